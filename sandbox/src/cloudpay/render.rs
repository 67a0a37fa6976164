//! Orders and refunds as the protocol shows them (`OrderContent`, `RefundOrderContent`, `PayMchKey`).

use serde_json::{Map, Value, json};

use crate::order::{Kind, Order, Platform, Refund, State, What};

/// The text of a stored request, read again. It was read once before, so it is JSON.
pub(crate) fn origin(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// `trade_type` of an order.
pub(crate) fn trade_type(kind: Kind) -> i64 {
    match kind {
        Kind::MicroPay => 1,
        Kind::ScanCodePay => 2,
    }
}

/// `current_trade_state` of an order.
pub(crate) fn trade_state(order: &Order) -> i64 {
    let micro = order.kind == Kind::MicroPay;
    match (order.platform, order.state) {
        (Platform::Wxpay, State::Waiting) => {
            if micro {
                9
            } else {
                6
            }
        }
        (Platform::Wxpay, State::Paid) if order.is_refunded() => 4,
        (Platform::Wxpay, State::Paid) => {
            if micro {
                2
            } else {
                3
            }
        }
        (Platform::Wxpay, State::Stopped) => {
            if micro {
                5
            } else {
                10
            }
        }
        (Platform::Wxpay, State::Failed) => 10,
        (Platform::Wxpay, State::Closed) => 7,
        (Platform::Wxpay, State::Reversed) => 8,
        (Platform::Alipay, State::Waiting) => 4,
        (Platform::Alipay, State::Paid) if !order.is_refunded() => 2,
        (Platform::Alipay, _) => 5,
    }
}

/// The third party's number of an order: 28 digits.
pub(crate) fn transaction_id(order: &Order) -> String {
    match order.platform {
        Platform::Wxpay => format!("42000{:013}{:010}", order.created_ms, order.seq),
        Platform::Alipay => format!("{:013}{:015}", order.created_ms, order.seq),
    }
}

/// `order_content`.
pub(crate) fn order_content(order: &Order, origin: &Value, code_url: Option<String>) -> Value {
    let asked = origin.get("pay_content").unwrap_or(&Value::Null);
    let text = |key: &str| asked.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut content = Map::new();
    let mut put = |key: &str, value: Value| content.insert(key.to_owned(), value);
    put("out_trade_no", (*order.no).into());
    put("trade_type", trade_type(order.kind).into());
    put(
        "nonce_str",
        origin.get("nonce_str").cloned().unwrap_or_default(),
    );
    put("create_time", (order.created_ms / 1000).into());
    put("last_update_time", (order.updated_ms / 1000).into());
    put("time_expire", (order.expires_ms / 1000).into());
    put("is_transforming", (order.state == State::Waiting).into());
    put("source_type", 0.into());
    put("total_fee", order.total_fee.into());
    put("fee_type", "CNY".into());
    for key in ["body", "detail", "client_flow_id", "remark"] {
        put(key, text(key).into());
    }
    if order.kind == Kind::MicroPay {
        put("author_code", text("author_code").into());
    }
    if let Some(url) = code_url {
        put("code_url", url.into());
    }
    if let Some(paid_ms) = order.paid_ms() {
        put("transaction_id", transaction_id(order).into());
        put("time_end", (paid_ms / 1000).into());
        put("cash_fee", order.total_fee.into());
        put("cash_fee_type", "CNY".into());
        put("settlement_total_fee", order.total_fee.into());
    }
    match order.platform {
        Platform::Wxpay => put("wxpay_order_content_ext", wxpay_ext(order, asked)),
        Platform::Alipay => put("alipay_order_content_ext", alipay_ext(order)),
    };
    Value::Object(content)
}

/// A text of WeChat's part of `pay_content`, which some registers put beside it.
pub(crate) fn wxpay_text<'a>(asked: &'a Value, key: &str) -> &'a str {
    let ext = asked.get("wxpay_pay_content_ext");
    ext.and_then(|e| e.get(key))
        .or_else(|| asked.get(key))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn wxpay_ext(order: &Order, asked: &Value) -> Value {
    let text = |key: &str| wxpay_text(asked, key);
    json!({
        "current_trade_state": trade_state(order),
        "attach": text("attach"),
        "bank_type": if order.paid_ms().is_some() { "CFT" } else { "" },
        "goods_tag": text("goods_tag"),
        "coupon_fee": 0,
        "coupon_count": 0,
        "product_id": text("product_id"),
        "limit_pay": text("limit_pay"),
        "prepare_id": "",
        "trade_state_desc": order.state_name(),
    })
}

fn alipay_ext(order: &Order) -> Value {
    let paid = order.sum(What::Charge);
    let mut ext = json!({
        "current_trade_state": trade_state(order),
        "point_amount": 0,
        "invoice_amount": paid,
        "buyer_logon_id": "159****5620",
    });
    if let (true, Some(ext)) = (paid > 0, ext.as_object_mut()) {
        ext.insert(
            "fund_bill_list".to_owned(),
            json!([{ "fund_channel": "ALIPAYACCOUNT", "amount": paid }]),
        );
    }
    ext
}

/// `pay_mch_key` of an answer: the one that was asked with, and who paid.
pub(crate) fn pay_mch_key(order: &Order, origin: &Value) -> Value {
    let mut key = origin.get("pay_mch_key").cloned().unwrap_or_default();
    if let Some(key) = key.as_object_mut() {
        let (name, ext) = match order.platform {
            Platform::Wxpay => (
                "wxpay_pay_mch_key_ext",
                json!({ "app_id": "wx5a9d0b0f5a9d0b0f", "sub_app_id": "", "open_id": "oSANDBOX0customer0000000001", "sub_open_id": "" }),
            ),
            Platform::Alipay => (
                "alipay_pay_mch_key_ext",
                json!({ "user_id": "2088000000000001" }),
            ),
        };
        key.insert(name.to_owned(), ext);
    }
    key
}

/// One `RefundOrderContent`.
pub(crate) fn refund_content(order: &Order, refund: &Refund) -> Value {
    let origin = origin(&refund.origin);
    let asked = origin.get("refund_content").unwrap_or(&Value::Null);
    let done = refund.done_ms.is_some();
    let mut content = json!({
        "out_refund_no": &*refund.no,
        "refund_id": format!("50000{:013}{:010}", refund.created_ms, refund.seq),
        "out_trade_no": &*order.no,
        "trade_type": trade_type(order.kind),
        "nonce_str": origin.get("nonce_str"),
        "create_time": refund.created_ms / 1000,
        "last_update_time": refund.done_ms.unwrap_or(refund.created_ms) / 1000,
        "is_transforming": !done,
        "total_fee": order.total_fee,
        "refund_fee": refund.fee,
        "refund_fee_type": "CNY",
        "refund_reason": asked.get("refund_reason").and_then(Value::as_str).unwrap_or_default(),
    });
    let state = if done { 2 } else { 4 };
    let (name, ext) = match order.platform {
        Platform::Wxpay => (
            "wxpay_refund_order_content_ext",
            json!({
                "state": state,
                "cash_refund_fee": refund.fee,
                "settlement_refund_fee": refund.fee,
                "coupon_refund_fee": 0,
                "coupon_refund_count": 0,
                "refund_channel": "ORIGINAL",
                "refund_rcv_account": "支付用户零钱",
            }),
        ),
        Platform::Alipay => (
            "alipay_refund_order_content_ext",
            json!({
                "refund_status": state,
                "fund_change": if done { "Y" } else { "N" },
                "gmt_refund_pay": refund.done_ms.map(|ms| (ms / 1000).to_string()).unwrap_or_default(),
            }),
        ),
    };
    if let Some(content) = content.as_object_mut() {
        content.insert(name.to_owned(), ext);
    }
    content
}

/// Makes an answer one about another, paid, order. Answers that name no order stay as they are.
pub(crate) fn make_another(body: &mut Value) {
    let Some(body) = body.as_object_mut() else {
        return;
    };
    if body.contains_key("code_url") {
        body.insert(
            "order_content".to_owned(),
            json!({ "out_trade_no": "sz0100another00order000000000001" }),
        );
    }
    if let Some(order) = body.get_mut("order_content").and_then(Value::as_object_mut) {
        order.insert(
            "out_trade_no".to_owned(),
            "sz0100another00order000000000001".into(),
        );
        for ext in ["wxpay_order_content_ext", "alipay_order_content_ext"] {
            if let Some(ext) = order.get_mut(ext).and_then(Value::as_object_mut) {
                ext.insert("current_trade_state".to_owned(), 2.into());
            }
        }
    }
    match body.get_mut("refund_order_content") {
        Some(Value::Array(refunds)) => refunds.iter_mut().for_each(another_refund),
        Some(refund) => another_refund(refund),
        None => {}
    }
}

fn another_refund(refund: &mut Value) {
    if let Some(refund) = refund.as_object_mut() {
        refund.insert(
            "out_refund_no".to_owned(),
            "sz0100another0refund000000000001".into(),
        );
        refund.insert(
            "out_trade_no".to_owned(),
            "sz0100another00order000000000001".into(),
        );
    }
}
