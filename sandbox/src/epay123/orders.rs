//! query and close.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Answer, Call, pay_order_id, which};
use crate::app::App;
use crate::ledger::Undone;
use crate::order::{Kind, Order, Platform, State};

/// The words by which a register knows that an order or a refund was never made.
pub(crate) const NO_ORDER: &str = "订单不存在 (no such order)";

/// `state` of an order.
pub(crate) fn state(order: &Order) -> i64 {
    match order.state {
        State::Waiting => 1,
        State::Paid if order.is_refunded() => 5,
        State::Paid => 2,
        State::Stopped | State::Failed => 3,
        State::Reversed => 4,
        State::Closed => 6,
    }
}

/// query: by the merchant's number or by ours.
pub(crate) fn query(app: &Arc<App>, call: &Call) -> Answer {
    if call.text("mchOrderNo").is_empty() && call.text("payOrderId").is_empty() {
        return Answer::refused("mchOrderNo: 与 payOrderId 不能同时为空 (give this or payOrderId)");
    }
    app.ledger(|ledger| {
        let found = which(ledger, call);
        match found.and_then(|no| ledger.poll(&no)) {
            Some(order) => Answer::data(shown(order)),
            None => Answer::refused(NO_ORDER),
        }
    })
}

fn shown(order: &Order) -> Value {
    let asked: Map<String, Value> = serde_json::from_str(&order.origin).unwrap_or_default();
    let way = match (order.platform, order.kind) {
        (Platform::Wxpay, Kind::MicroPay) => "WX_BAR",
        (Platform::Wxpay, Kind::ScanCodePay) => "WX_NATIVE",
        (Platform::Alipay, Kind::MicroPay) => "ALI_BAR",
        (Platform::Alipay, Kind::ScanCodePay) => "ALI_QR",
    };
    let failed = matches!(order.state, State::Failed | State::Stopped);
    let paid_ms = order.paid_ms();
    json!({
        "payOrderId": pay_order_id(order),
        "mchNo": asked.get("mchNo"),
        "appId": asked.get("appId"),
        "mchOrderNo": &*order.no,
        "ifCode": if order.platform == Platform::Wxpay { "wxpay" } else { "alipay" },
        "wayCode": way,
        "amount": order.total_fee,
        "currency": "cny",
        "state": state(order),
        "clientIp": asked.get("clientIp"),
        "subject": asked.get("subject"),
        "body": asked.get("body"),
        "extParam": asked.get("extParam"),
        "channelOrderNo": paid_ms.map(|_| format!("42000{:013}{:010}", order.created_ms, order.seq)),
        "errCode": failed.then_some("PAYERROR"),
        "errMsg": failed.then_some("支付失败"),
        "createdAt": order.created_ms,
        "successTime": paid_ms,
    })
}

/// close. The answer is the same for every order.
pub(crate) fn close(app: &Arc<App>, call: &Call) -> Answer {
    let late_ms = app.delays().late;
    app.ledger(|ledger| {
        let Some(no) = which(ledger, call) else {
            return Answer::refused(NO_ORDER);
        };
        if ledger.order(&no).is_some_and(|o| o.state != State::Waiting) {
            return Answer::refused("mchOrderNo: 当前订单不可关闭 (this order can't be closed)");
        }
        match ledger.close(&no, "", late_ms) {
            Undone::Done => Answer::data(json!({})),
            _ => Answer::refused("mchOrderNo: 当前订单不可关闭 (this order can't be closed)"),
        }
    })
}
