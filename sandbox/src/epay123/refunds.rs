//! refundOrder and its query.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Answer, Call, Outcome, orders, pay_order_id, which};
use crate::app::App;
use crate::ledger::Refunded;
use crate::order::{Order, Protocol, Refund};
use crate::scenario::{Scenario, Spoil};

/// refundOrder: one at a time for an order, and every number once.
pub(crate) fn refund(app: &Arc<App>, call: &Call) -> Outcome {
    if !call.text("currency").eq_ignore_ascii_case("cny") {
        return Outcome::of(Answer::refused("currency: 只支持 cny (only cny)"));
    }
    let (refund_no, fee) = (call.text("mchRefundNo"), call.number("refundAmount"));
    let wait_ms = app.delays().refund;
    app.ledger(|ledger| {
        let Some(no) = which(ledger, call) else { return Outcome::of(Answer::refused(orders::NO_ORDER)) };
        if ledger.order_of_refund(refund_no).is_some() {
            let why = format!("mchRefundNo: 商户退款订单号[{refund_no}]已存在 (this number exists)");
            return Outcome::of(Answer::refused(why));
        }
        let order = ledger.order(&no);
        if order.is_some_and(|o| o.refunds.iter().any(|r| r.done_ms.is_none())) {
            let why = "mchOrderNo: 支付订单具有在途退款申请，请稍后再试 (a refund of this order is under way)";
            return Outcome::of(Answer::refused(why));
        }
        let total = ledger.order(&no).map_or(0, |o| o.total_fee);
        match ledger.refund(&no, refund_no, total, fee, &call.text, wait_ms) {
            Refunded::Accepted => {}
            Refunded::TooMuch(left) => {
                let why = format!("refundAmount: 申请金额超出订单可退款余额 (at most {left} left)");
                return Outcome::of(Answer::refused(why));
            }
            _ => return Outcome::of(Answer::refused("mchOrderNo: 订单状态不正确，无法完成退款 (not paid)")),
        }
        let lost = Scenario::named(call.text("refundReason")).is_some_and(Scenario::loses_refund_answer);
        let found = ledger.order(&no).and_then(|o| Some((o, o.refunds.iter().find(|r| *r.no == *refund_no)?)));
        let answer = found.map_or_else(Answer::broken, |(order, refund)| Answer::data(short(order, refund)));
        Outcome { answer, spoil: if lost { Spoil::Cut } else { Spoil::None } }
    })
}

/// query of a refund, by the merchant's number or by ours.
pub(crate) fn query(app: &Arc<App>, call: &Call) -> Answer {
    let (wanted, ours) = (call.text("mchRefundNo"), call.text("refundOrderId"));
    if wanted.is_empty() && ours.is_empty() {
        return Answer::refused(
            "mchRefundNo: 与 refundOrderId 不能同时为空 (give this or refundOrderId)",
        );
    }
    app.ledger(|ledger| {
        let refund_no = match wanted {
            "" => ours
                .strip_prefix('R')
                .and_then(|n| n.parse().ok())
                .and_then(|seq| ledger.refund_by_seq(seq)),
            no => Some(no.to_owned()),
        };
        let unknown = || Answer::refused(orders::NO_ORDER);
        let Some(refund_no) = refund_no else {
            return unknown();
        };
        let Some(no) = ledger.order_of_refund(&refund_no) else {
            return unknown();
        };
        let order = ledger
            .poll_refunds(&no, Some(&refund_no))
            .filter(|o| o.protocol == Protocol::Epay123);
        let found = order.and_then(|o| Some((o, o.refunds.iter().find(|r| *r.no == *refund_no)?)));
        match found {
            Some((_, refund)) if !ours.is_empty() && ours != refund_order_id(refund) => unknown(),
            Some((order, refund)) => Answer::data(long(order, refund)),
            None => unknown(),
        }
    })
}

fn refund_order_id(refund: &Refund) -> String {
    format!("R{:018}", refund.seq)
}

fn short(order: &Order, refund: &Refund) -> Value {
    json!({
        "refundOrderId": refund_order_id(refund),
        "mchRefundNo": &*refund.no,
        "payAmount": order.total_fee,
        "refundAmount": refund.fee,
        "state": if refund.done_ms.is_some() { 2 } else { 1 },
    })
}

fn long(order: &Order, refund: &Refund) -> Value {
    let asked: Map<String, Value> = serde_json::from_str(&refund.origin).unwrap_or_default();
    let mut data = short(order, refund);
    if let Some(data) = data.as_object_mut() {
        data.insert("payOrderId".to_owned(), pay_order_id(order).into());
        for key in ["mchNo", "appId", "extParam"] {
            data.insert(key.to_owned(), asked.get(key).cloned().unwrap_or_default());
        }
        data.insert("currency".to_owned(), "cny".into());
        data.insert("createdAt".to_owned(), refund.created_ms.into());
        data.insert("successTime".to_owned(), refund.done_ms.into());
    }
    data
}
