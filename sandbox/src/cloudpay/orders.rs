//! query_order, close_order and reverse.

use std::sync::Arc;

use serde_json::{Value, json};

use super::envelope::{Answer, Call};
use super::{pay, render};
use crate::app::App;
use crate::clock::nonce;
use crate::ledger::{Ledger, Undone};
use crate::order::{Kind, Order, Protocol, State};

/// The words by which a register knows that an order was never made.
const NO_ORDER: &str = "订单不存在 (no such order)";

/// query_order.
pub(crate) fn query(app: &Arc<App>, call: &Call) -> Answer {
    let no = text(call, "/out_trade_no");
    let base = app.urls.first().map(String::as_str).unwrap_or_default();
    app.ledger(|ledger| {
        if let Some(refusal) = mismatch(ledger, no, call) {
            return refusal;
        }
        match ledger.poll(no) {
            Some(order) => Answer::done(shown(order, base)),
            None => Answer::refused(104, NO_ORDER),
        }
    })
}

/// The answer's own part of query_order, also what a payment notification carries.
pub(crate) fn shown(order: &Order, base: &str) -> Value {
    let origin = render::origin(&order.origin);
    let mut body = json!({
        "pay_mch_key": render::pay_mch_key(order, &origin),
        "order_content": render::order_content(order, &origin, pay::code_url(base, order)),
        "order_client": origin.get("order_client"),
        "nonce_str": nonce(),
    });
    if order.state == State::Paid
        && let Some(content) = body.get_mut("order_content").and_then(Value::as_object_mut)
    {
        content.insert("trade_state".to_owned(), 4.into());
    }
    body
}

/// close_order. The answer names no order.
pub(crate) fn close(app: &Arc<App>, call: &Call) -> Answer {
    let late_ms = app.delays().late;
    let no = text(call, "/out_trade_no");
    app.ledger(|ledger| {
        if let Some(refusal) = mismatch(ledger, no, call) {
            return refusal;
        }
        undone(ledger.close(no, text(call, "/order_client/device_id"), late_ms))
    })
}

/// reverse. Only what a terminal has scanned can be reversed.
pub(crate) fn reverse(app: &Arc<App>, call: &Call) -> Answer {
    let late_ms = app.delays().late;
    let no = text(call, "/out_trade_no");
    app.ledger(|ledger| {
        if let Some(refusal) = mismatch(ledger, no, call) {
            return refusal;
        }
        if ledger.order(no).is_some_and(|o| o.kind != Kind::MicroPay) {
            return Answer::refused(
                104,
                "trade_type: 只能撤销刷卡支付订单 (only micro_pay orders can be reversed)",
            );
        }
        undone(ledger.reverse(no, text(call, "/order_client/device_id"), late_ms))
    })
}

fn undone(result: Undone) -> Answer {
    match result {
        Undone::Done => Answer::done(json!({ "nonce_str": nonce() })),
        Undone::Unknown => Answer::refused(104, NO_ORDER),
        Undone::OtherDevice => Answer::refused(
            104,
            "order_client.device_id: 只能由支付的终端操作 (only the terminal that paid may do this)",
        ),
        Undone::NotNow(state) => Answer::refused(
            104,
            format!("out_trade_no: 订单状态不允许 (the order is {state})"),
        ),
    }
}

/// A number that a request gives; 0 is the same as none.
pub(crate) fn given(object: &Value, key: &str) -> Option<i64> {
    object.get(key).and_then(Value::as_i64).filter(|n| *n != 0)
}

/// What a request says about an order, against what is known of it. It may say nothing: a till that asks about another
/// till's order knows its number only.
pub(crate) fn mismatch(ledger: &mut Ledger, no: &str, call: &Call) -> Option<Answer> {
    let order = ledger.order(no)?;
    if order.protocol != Protocol::CloudPay {
        return Some(Answer::refused(104, NO_ORDER));
    }
    let key = call.content.get("pay_mch_key").unwrap_or(&Value::Null);
    let platform = given(key, "pay_platform");
    if platform.is_some_and(|p| p != order.platform.number()) {
        return Some(Answer::refused(
            104,
            "pay_mch_key.pay_platform: 与订单不符 (not the order's)",
        ));
    }
    let trade_type = given(&call.content, "trade_type");
    if trade_type.is_some_and(|t| t != render::trade_type(order.kind)) {
        return Some(Answer::refused(
            104,
            "trade_type: 与订单不符 (not the order's)",
        ));
    }
    None
}

/// A text of the request; the check has made sure that it is one.
pub(crate) fn text<'a>(call: &'a Call, pointer: &str) -> &'a str {
    call.content
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
