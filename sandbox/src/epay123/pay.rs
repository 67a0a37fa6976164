//! unifiedOrder.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Answer, Call, Outcome, dropped, orders, pay_order_id};
use crate::app::App;
use crate::clock::now_ms;
use crate::order::{Kind, NewOrder, Order, Platform, Protocol, State};
use crate::scenario::Scenario;

/// A number that is there already is refused, whatever it is about: this protocol has no repeating.
pub(crate) fn taken(no: &str) -> String {
    format!("mchOrderNo: 商户订单[{no}]已存在 (this number exists)")
}

/// Makes an order. `nth` is how many requests with its number have arrived.
pub(crate) fn unified_order(app: &Arc<App>, call: &Call, nth: usize) -> Outcome {
    let (kind, platform, code) = match way(call) {
        Ok(way) => way,
        Err(why) => return Outcome::of(Answer::refused(why)),
    };
    if !call.text("currency").eq_ignore_ascii_case("cny") {
        return Outcome::of(Answer::refused("currency: 只支持 cny (only cny)"));
    }
    let named = Scenario::named(call.text("extParam"));
    let scenario = named.or_else(|| Scenario::of_code(&code).filter(|_| kind == Kind::MicroPay));
    let plan = Scenario::plan(scenario, kind);
    let no = call.text("mchOrderNo");
    let expires_s = call.fields.get("expiredTime").and_then(Value::as_u64);
    let (late_fail, strict) = {
        let chaos = app.chaos();
        (chaos.delays().late_fail, chaos.faults.strict_codes)
    };
    let base = app.urls.first().map(String::as_str).unwrap_or_default();
    app.ledger(|ledger| {
        if ledger.order(no).is_some() {
            return Outcome::of(Answer::refused(taken(no)));
        }
        if let Some(instead) = plan.instead.filter(|i| nth == 1 || !i.only_first()) {
            return dropped(instead, no);
        }
        if strict && kind == Kind::MicroPay && ledger.code_owner(&code, no).is_some() {
            return Outcome::of(Answer::refused(
                "channelExtra.authCode: 付款码已使用 (this code has paid)",
            ));
        }
        let new = NewOrder {
            no,
            protocol: Protocol::Epay123,
            kind,
            platform,
            total_fee: call.number("amount"),
            course: plan.course,
            content: [0; 32],
            device: "",
            listener: call.listener,
            origin: &call.text,
            expires_ms: expires_s.map(|s| now_ms().saturating_add(s.saturating_mul(1000))),
        };
        let answer = made(ledger.place(new, late_fail), base);
        Outcome {
            answer,
            spoil: plan.spoil,
        }
    })
}

/// How it is paid: scanned or shown, by whom, and the code that was scanned.
fn way(call: &Call) -> Result<(Kind, Platform, String), String> {
    let code = auth_code(call.text("channelExtra"))?;
    let alipay = matches!(code.get(..2), Some("25" | "26" | "27" | "28" | "29" | "30"));
    let (kind, platform) = match call.text("wayCode") {
        "WX_NATIVE" => (Kind::ScanCodePay, Platform::Wxpay),
        "ALI_QR" => (Kind::ScanCodePay, Platform::Alipay),
        "WX_BAR" => (Kind::MicroPay, Platform::Wxpay),
        "ALI_BAR" => (Kind::MicroPay, Platform::Alipay),
        "AUTO_BAR" if alipay => (Kind::MicroPay, Platform::Alipay),
        "AUTO_BAR" => (Kind::MicroPay, Platform::Wxpay),
        _ => return Err("wayCode: 支付方式不支持 (not offered)".to_owned()),
    };
    if kind == Kind::MicroPay && code.is_empty() {
        return Err("channelExtra.authCode: 缺少 (missing)".to_owned());
    }
    Ok((kind, platform, code))
}

/// The code that was scanned; empty when none was.
pub(super) fn auth_code(extra: &str) -> Result<String, String> {
    let extra: Value = match extra {
        "" => Value::Null,
        text => serde_json::from_str(text)
            .map_err(|_| "channelExtra: 不是 JSON (must be JSON in a string)")?,
    };
    let code = extra.get("authCode").and_then(Value::as_str);
    Ok(code.unwrap_or_default().to_owned())
}

fn made(order: &Order, base: &str) -> Answer {
    let shown = order.kind == Kind::ScanCodePay;
    let failed = order.state == State::Failed;
    Answer::data(json!({
        "payOrderId": pay_order_id(order),
        "mchOrderNo": &*order.no,
        "orderState": orders::state(order),
        "payDataType": if shown { "codeUrl" } else { "none" },
        "payData": if shown { format!("{base}/sandbox/scan/{}", order.seq) } else { String::new() },
        "errCode": failed.then_some("NOTENOUGH"),
        "errMsg": failed.then_some("余额不足"),
    }))
}
