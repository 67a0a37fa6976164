//! refund and query_refund_order.

use std::sync::Arc;

use serde_json::{Value, json};

use super::envelope::{Answer, Call};
use super::orders::{mismatch, text};
use super::{Outcome, render};
use crate::app::App;
use crate::clock::nonce;
use crate::ledger::Refunded;
use crate::order::{Order, Protocol};
use crate::scenario::{Scenario, Spoil};

/// The words by which a register knows that a refund was never made.
const NO_REFUND: &str = "退款单不存在 (no such refund)";

/// refund.
pub(crate) fn refund(app: &Arc<App>, call: &Call) -> Outcome {
    let asked = call.content.get("refund_content").unwrap_or(&Value::Null);
    let number = |key: &str| asked.get(key).and_then(Value::as_u64).unwrap_or_default();
    let (no, refund_no) = (
        text(call, "/refund_content/out_trade_no"),
        text(call, "/refund_content/out_refund_no"),
    );
    if text(call, "/refund_content/refund_fee_type") != "CNY" {
        return Outcome::of(Answer::refused(
            104,
            "refund_content.refund_fee_type: 只支持 CNY (only CNY)",
        ));
    }
    let wait_ms = app.delays().refund;
    app.ledger(|ledger| {
        if let Some(refusal) = mismatch(ledger, no, call) {
            return Outcome::of(refusal);
        }
        let is_new = ledger.order_of_refund(refund_no).is_none();
        let result = ledger.refund(
            no,
            refund_no,
            number("total_fee"),
            number("refund_fee"),
            &call.text,
            wait_ms,
        );
        if !matches!(result, Refunded::Accepted) {
            return Outcome::of(Answer::refused(104, refusal(&result)));
        }
        let lost = Scenario::named(text(call, "/refund_content/refund_reason"))
            .is_some_and(Scenario::loses_refund_answer);
        let spoil = if lost && is_new {
            Spoil::Cut
        } else {
            Spoil::None
        };
        let answer = ledger
            .order(no)
            .and_then(|order| accepted(order, refund_no))
            .unwrap_or_else(Answer::busy);
        Outcome { answer, spoil }
    })
}

fn accepted(order: &Order, refund_no: &str) -> Option<Answer> {
    let refund = order.refunds.iter().find(|r| *r.no == *refund_no)?;
    Some(Answer::done(json!({
        "nonce_str": nonce(),
        "pay_mch_key": render::pay_mch_key(order, &render::origin(&order.origin)),
        "refund_order_content": render::refund_content(order, refund),
    })))
}

fn refusal(result: &Refunded) -> String {
    match result {
        Refunded::Accepted => String::new(),
        Refunded::Unknown => "订单不存在 (no such order)".to_owned(),
        Refunded::NotPaid(state) => format!("refund_content.out_trade_no: 订单未支付 (the order is {state})"),
        Refunded::OtherTotal(fen) => format!("refund_content.total_fee: 与订单金额不符 (the order's is {fen})"),
        Refunded::TooMuch(fen) => format!("refund_content.refund_fee: 超过可退金额 (at most {fen} left)"),
        Refunded::OtherRefund => {
            "refund_content.out_refund_no: 退款单号重复，且内容不一致 (this number belongs to another refund)".to_owned()
        }
    }
}

/// query_refund_order: one refund by its number, or all of an order.
pub(crate) fn query(app: &Arc<App>, call: &Call) -> Answer {
    let given = |key: &str| {
        call.content
            .get(key)
            .and_then(Value::as_str)
            .filter(|t| !t.is_empty())
    };
    let refund_no = given("out_refund_no");
    app.ledger(|ledger| {
        let owner = refund_no.and_then(|r| ledger.order_of_refund(r));
        let no = match (given("out_trade_no"), owner) {
            (None, None) if refund_no.is_none() => {
                return Answer::refused(
                    104,
                    "out_refund_no: 与 out_trade_no 至少填一个 (give this or out_trade_no)",
                );
            }
            (Some(asked), Some(owner)) if asked != owner => return Answer::refused(104, NO_REFUND),
            (_, Some(owner)) => owner,
            (Some(asked), None) if refund_no.is_none() => asked.to_owned(),
            _ => return Answer::refused(104, NO_REFUND),
        };
        if ledger
            .order(&no)
            .is_some_and(|o| o.protocol != Protocol::CloudPay)
        {
            return Answer::refused(104, NO_REFUND);
        }
        let Some(order) = ledger.poll_refunds(&no, refund_no) else {
            return Answer::refused(104, NO_REFUND);
        };
        let wanted = order
            .refunds
            .iter()
            .filter(|r| refund_no.is_none_or(|n| n == &*r.no));
        let list: Vec<Value> = wanted.map(|r| render::refund_content(order, r)).collect();
        Answer::done(json!({
            "nonce_str": nonce(),
            "pay_mch_key": render::pay_mch_key(order, &render::origin(&order.origin)),
            "refund_order_content": list,
        }))
    })
}
