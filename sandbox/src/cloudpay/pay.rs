//! micro_pay and scan_code_pay.

use std::sync::Arc;

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::envelope::{Answer, Call};
use super::{Outcome, render};
use crate::app::App;
use crate::clock::nonce;
use crate::faults::Hit;
use crate::ledger::Ledger;
use crate::order::{Course, Kind, NewOrder, Order, Platform, Protocol, State};
use crate::scenario::{Instead, Plan, Scenario, Spoil};

/// What a pay request says, once it is checked.
struct Request<'a> {
    no: &'a str,
    kind: Kind,
    platform: Platform,
    total_fee: u64,
    code: &'a str,
    device: &'a str,
    expires_ms: Option<u64>,
    /// Which payment this is, whatever the nonce.
    content: [u8; 32],
    plan: Plan,
}

/// Answers a pay request. `nth` is how many with this number have arrived.
pub(crate) fn pay(app: &Arc<App>, kind: Kind, call: &Call, nth: usize, hit: Hit) -> Outcome {
    let request = match read(kind, call, app.chaos().faults.strict_codes) {
        Ok(request) => request,
        Err(why) => return Outcome::of(Answer::refused(104, why)),
    };
    if let Some(instead) = hit.instead {
        return dropped(instead);
    }
    let (late_fail, strict) = {
        let chaos = app.chaos();
        (chaos.delays().late_fail, chaos.faults.strict_codes)
    };
    let base = app.urls.first().map(String::as_str).unwrap_or_default();
    app.ledger(|ledger| {
        if let Some(order) = ledger.order(request.no) {
            let answer = if order.content == request.content {
                show(order, base)
            } else {
                reentry()
            };
            return Outcome {
                answer,
                spoil: hit.spoil,
            };
        }
        if let Some(instead) = request.plan.instead.filter(|i| nth == 1 || !i.only_first()) {
            return dropped(instead);
        }
        process(ledger, &request, call, late_fail, strict, base, hit.spoil)
    })
}

fn process(
    ledger: &mut Ledger,
    request: &Request<'_>,
    call: &Call,
    late_fail_ms: u64,
    strict: bool,
    base: &str,
    spoil: Spoil,
) -> Outcome {
    if strict
        && request.kind == Kind::MicroPay
        && let Some(owner) = ledger.code_owner(request.code, request.no)
    {
        return Outcome::of(Answer::refused(
            104,
            format!("author_code: 付款码已使用 (this code has paid {owner})"),
        ));
    }
    let new = NewOrder {
        no: request.no,
        protocol: Protocol::CloudPay,
        kind: request.kind,
        platform: request.platform,
        total_fee: request.total_fee,
        course: request.plan.course,
        content: request.content,
        device: request.device,
        listener: call.listener,
        origin: &call.text,
        expires_ms: request.expires_ms,
    };
    let answer = show(ledger.place(new, late_fail_ms), base);
    // The scenario's own fault comes before a random one: a test that asks for it must get it.
    let spoil = if request.plan.spoil == Spoil::None {
        spoil
    } else {
        request.plan.spoil
    };
    Outcome { answer, spoil }
}

fn read<'a>(kind: Kind, call: &'a Call, strict: bool) -> Result<Request<'a>, String> {
    let asked = call.content.get("pay_content").unwrap_or(&Value::Null);
    let ext = asked.get("wxpay_pay_content_ext");
    let text = |key: &str| asked.get(key).and_then(Value::as_str).unwrap_or_default();
    let ext_text = |key: &str| {
        ext.and_then(|e| e.get(key))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let number = |key: &str| asked.get(key).and_then(Value::as_u64);

    if text("fee_type") != "CNY" {
        return Err("pay_content.fee_type: 只支持 CNY (only CNY)".to_owned());
    }
    if !matches!(ext_text("limit_pay"), "" | "no_credit") {
        return Err(
            "pay_content.wxpay_pay_content_ext.limit_pay: 只能是 no_credit (only no_credit)"
                .to_owned(),
        );
    }
    let key = call.content.get("pay_mch_key").unwrap_or(&Value::Null);
    let platform = match key.get("pay_platform").and_then(Value::as_i64) {
        Some(2) => Platform::Alipay,
        _ => Platform::Wxpay,
    };
    let code = text("author_code");
    if strict && kind == Kind::MicroPay && !fits(platform, code) {
        return Err(
            "pay_content.author_code: 付款码无效 (not a payment code of this platform)".to_owned(),
        );
    }
    let now = crate::clock::now_ms();
    let expires_ms = number("time_expire")
        .map(|s| s.saturating_mul(1000))
        .filter(|_| kind == Kind::ScanCodePay);
    if expires_ms.is_some_and(|at| at <= now) {
        return Err("pay_content.time_expire: 已过期 (in the past)".to_owned());
    }
    let named = [ext_text("attach"), text("attach"), text("remark")]
        .into_iter()
        .find_map(Scenario::named);
    let scenario = named.or_else(|| Scenario::of_code(code).filter(|_| kind == Kind::MicroPay));
    let client = call.content.get("order_client").unwrap_or(&Value::Null);
    let terminal = ["device_id", "machine_no"].map(|key| client.get(key).unwrap_or(&Value::Null));
    Ok(Request {
        no: text("out_trade_no"),
        kind,
        platform,
        total_fee: number("total_fee").unwrap_or_default(),
        code,
        device: terminal[0].as_str().unwrap_or_default(),
        expires_ms,
        content: fingerprint(kind, [key, asked, terminal[0], terminal[1]]),
        plan: Scenario::plan(scenario, kind),
    })
}

/// WeChat: 18 digits that begin with 10 to 15. Alipay: 16 to 24 digits that begin with 25 to 30.
fn fits(platform: Platform, code: &str) -> bool {
    let start: u32 = code
        .get(..2)
        .and_then(|s| s.parse().ok())
        .unwrap_or_default();
    let digits = code.bytes().all(|b| b.is_ascii_digit());
    digits
        && match platform {
            Platform::Wxpay => code.len() == 18 && (10..=15).contains(&start),
            Platform::Alipay => (16..=24).contains(&code.len()) && (25..=30).contains(&start),
        }
}

/// The hash of what makes a payment this payment. The order of keys is not part of it, and neither is the nonce.
/// Another cashier at the same terminal is the same payment.
fn fingerprint(kind: Kind, parts: [&Value; 4]) -> [u8; 32] {
    let mut text = String::from(kind.name());
    for part in parts {
        sorted(part, &mut text);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

fn sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (key, value) in pairs {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                sorted(value, text);
                text.push(',');
            }
            text.push('}');
        }
        other => text.push_str(&other.to_string()),
    }
}

fn dropped(instead: Instead) -> Outcome {
    let (answer, spoil) = match instead {
        Instead::Cut => (Answer::busy(), Spoil::Cut),
        Instead::Busy3 => (Answer::busy(), Spoil::None),
        Instead::Busy103 => (
            Answer::refused(103, "系统内部错误，可重试 (internal error, try again)"),
            Spoil::None,
        ),
        Instead::Refuse101 => (
            Answer {
                signed: false,
                ..Answer::refused(101, "操作失败，不建议重试 (refused)")
            },
            Spoil::None,
        ),
        Instead::Refuse102 => (
            Answer::refused(
                102,
                "操作失败，建议换新单号重试 (refused, use a new number)",
            ),
            Spoil::None,
        ),
        Instead::Refuse104 => (
            Answer::refused(104, "操作失败，不建议重试 (refused)"),
            Spoil::None,
        ),
        Instead::Reentry => (reentry(), Spoil::None),
        Instead::Unsigned104 => (
            Answer {
                signed: false,
                ..Answer::refused(104, "操作失败 (refused)")
            },
            Spoil::None,
        ),
    };
    Outcome { answer, spoil }
}

fn reentry() -> Answer {
    let why = "out_trade_no: 单号重复，且支付内容不一致 (this number belongs to another payment)";
    Answer {
        internal: 407,
        ..Answer::refused(104, why)
    }
}

/// The address that an order's QR code holds. It names the order by its sequence, because 64 characters is all there is.
pub(crate) fn code_url(base: &str, order: &Order) -> Option<String> {
    (order.kind == Kind::ScanCodePay).then(|| format!("{base}/sandbox/scan/{}", order.seq))
}

/// The answer to a pay request: the order as it stands now.
fn show(order: &Order, base: &str) -> Answer {
    if order.course == Course::NoMoney && order.state == State::Failed {
        return Answer::refused(104, "余额不足 (not enough money)");
    }
    match code_url(base, order) {
        Some(url) => Answer::done(json!({ "nonce_str": nonce(), "code_url": url })),
        None => {
            let origin = render::origin(&order.origin);
            Answer::done(json!({
                "pay_mch_key": render::pay_mch_key(order, &origin),
                "order_content": render::order_content(order, &origin, None),
                "nonce_str": nonce(),
            }))
        }
    }
}
