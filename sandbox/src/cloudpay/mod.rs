//! The cloud-pay protocol.

mod envelope;
mod interface;
mod orders;
mod pay;
pub(crate) mod pss;
mod refunds;
mod render;
mod reports;
mod shops;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::app::{App, lock};
use crate::clock::now_ms;
use crate::faults::Hit;
use crate::fields;
use crate::ledger::Undo;
use crate::order::{Asker, Kind, Order, masked};
use crate::records::Request;
use crate::reply::Reply;
use crate::scenario::{Instead, Spoil};
use envelope::{Answer, Call};
use interface::Interface;

/// An answer, and what is done to it on its way.
pub(crate) struct Outcome {
    answer: Answer,
    spoil: Spoil,
}

impl Outcome {
    fn of(answer: Answer) -> Self {
        Self {
            answer,
            spoil: Spoil::None,
        }
    }
}

/// Serves one request to `/cpay/…`.
pub(crate) async fn serve(
    app: Arc<App>,
    listener: usize,
    path: String,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let Some(interface) = Interface::of_path(&path) else {
        return Reply::Plain(StatusCode::NOT_FOUND, "no such interface\n");
    };
    let began = now_ms();
    let mut seen = Seen {
        auth: "",
        no: String::new(),
    };
    let outcome = match envelope::open(&app, listener, &headers, &body, interface.accepts()) {
        Err(refusal) => Outcome::of(*refusal),
        Ok(call) => {
            seen = Seen {
                auth: call.auth,
                no: number(&call).unwrap_or_default().to_owned(),
            };
            let nth = arrive(&app, interface, &call);
            let hit = app.draw(interface.pays());
            if !hit.delay.is_zero() {
                tokio::time::sleep(hit.delay).await;
            }
            act(&app, interface, &path, &call, nth, hit)
        }
    };
    let mut spoil = outcome.spoil;
    if spoil == Spoil::Slow {
        let slow = app.delays().slow;
        tokio::time::sleep(Duration::from_millis(slow)).await;
    }
    if spoil == Spoil::None && app.chaos().faults.object_answers {
        spoil = Spoil::Object;
    }
    note(&app, listener, path, seen, &outcome.answer, spoil, began);
    envelope::seal(
        app.merchant.authen_key,
        interface.part(),
        outcome.answer,
        spoil,
    )
}

/// What the log says about a request besides its verdict.
struct Seen {
    auth: &'static str,
    no: String,
}

fn note(
    app: &App,
    listener: usize,
    path: String,
    seen: Seen,
    answer: &Answer,
    spoil: Spoil,
    began: u64,
) {
    lock(&app.requests).push(Request {
        at_ms: began,
        listener,
        path: format!("/cpay/{path}"),
        auth: seen.auth,
        out_trade_no: seen.no,
        status: answer.status,
        internal_status: answer.internal,
        verdict: answer.description.clone(),
        fault: if spoil == Spoil::None {
            String::new()
        } else {
            format!("{spoil:?}")
        },
        took_ms: now_ms().saturating_sub(began),
    });
}

/// The order number of a request, wherever the interface has it.
fn number(call: &Call) -> Option<&str> {
    let at = [
        "/pay_content/out_trade_no",
        "/refund_content/out_trade_no",
        "/out_trade_no",
    ];
    at.iter()
        .find_map(|p| call.content.pointer(p))
        .and_then(Value::as_str)
}

/// Counts an authentic request with a well-formed number, whatever becomes of it. Returns how many pay requests there were.
fn arrive(app: &Arc<App>, interface: Interface, call: &Call) -> usize {
    let good = |no: &&str| no.starts_with(app.merchant.order_prefix) && no.chars().count() <= 32;
    let Some(no) = number(call).filter(good) else {
        return 0;
    };
    let undo = match interface {
        Interface::CloseOrder => Some(Undo::Close),
        Interface::Reverse => Some(Undo::Reverse),
        _ => None,
    };
    app.ledger(|ledger| {
        if let Some(undo) = undo {
            let device = orders::text(call, "/order_client/device_id");
            ledger.note_undo(no, undo, device, call.listener);
        }
        let traffic = ledger.traffic(no);
        match interface {
            Interface::MicroPay | Interface::ScanCodePay => {
                let mut hash = [0; 32];
                hash.copy_from_slice(digest(&SHA256, call.text.as_bytes()).as_ref());
                traffic.pay_requests.push(hash);
            }
            Interface::QueryOrder => traffic.queries += 1,
            Interface::Refund => traffic.refund_requests += 1,
            _ => {}
        }
        traffic.pay_requests.len()
    })
}

/// Checks the request's keys and does what it asks for.
fn act(
    app: &Arc<App>,
    interface: Interface,
    path: &str,
    call: &Call,
    nth: usize,
    hit: Hit,
) -> Outcome {
    if let Err(why) = check(app, interface, path, call) {
        return Outcome::of(Answer::refused(104, why));
    }
    match interface {
        Interface::MicroPay => return pay::pay(app, Kind::MicroPay, call, nth, hit),
        Interface::ScanCodePay => return pay::pay(app, Kind::ScanCodePay, call, nth, hit),
        _ => {}
    }
    match hit.instead {
        Some(Instead::Cut) => {
            return Outcome {
                answer: Answer::busy(),
                spoil: Spoil::Cut,
            };
        }
        Some(Instead::Busy103) => {
            return Outcome::of(Answer::refused(
                103,
                "系统内部错误，可重试 (internal error, try again)",
            ));
        }
        Some(_) => return Outcome::of(Answer::busy()),
        None => {}
    }
    let answer = match interface {
        Interface::MicroPay | Interface::ScanCodePay => Answer::busy(),
        Interface::Refund => {
            let outcome = refunds::refund(app, call);
            let spoil = if outcome.spoil == Spoil::None {
                hit.spoil
            } else {
                outcome.spoil
            };
            return Outcome { spoil, ..outcome };
        }
        Interface::CloseOrder => orders::close(app, call),
        Interface::Reverse => orders::reverse(app, call),
        Interface::QueryOrder => orders::query(app, call),
        Interface::QueryRefund => refunds::query(app, call),
        Interface::OrderDetail => reports::detail(app, call),
        Interface::OrderStat => reports::overview(app, call),
        Interface::ShopInfo => shops::shops(app, call),
        Interface::SubMchInfo => shops::sub_merchant(app),
        Interface::MonitorUpload => uploads::monitor(app, call, path),
        Interface::MachineUpload => uploads::machine(app, call, path),
    };
    Outcome {
        answer,
        spoil: hit.spoil,
    }
}

/// Keys, types, lengths, and what belongs to the merchant. An error names the key.
fn check(app: &App, interface: Interface, path: &str, call: &Call) -> Result<(), String> {
    let mut odd = Vec::new();
    let checked = match call.content.as_object() {
        Some(content) => fields::check(content, interface.fields(), "", &mut odd),
        None => Ok(()),
    };
    if interface == Interface::ScanCodePay && needs_product_id(&call.content) {
        odd.push((
            "pay_content.wxpay_pay_content_ext.product_id".to_owned(),
            "missing, WeChat wants it for scan_code_pay",
        ));
    }
    app.warn(&format!("/cpay/{path}"), odd);
    checked?;

    for at in ["/pay_mch_key/out_shop_id", "/out_shop_id"] {
        let shop = call
            .content
            .pointer(at)
            .and_then(Value::as_str)
            .filter(|s| !s.is_empty());
        if shop.is_some_and(|id| !app.merchant.has_shop(id)) {
            return Err(format!("{}: 未知的门店 (unknown shop)", dotted(at)));
        }
    }
    let key = call.content.get("pay_mch_key").unwrap_or(&Value::Null);
    let platform = orders::given(key, "pay_platform");
    if let Some(sub) = orders::given(key, "sub_pay_platform")
        && !matches!(
            (platform, sub),
            (Some(1) | None, 100) | (Some(2) | None, 200)
        )
    {
        return Err(
            "pay_mch_key.sub_pay_platform: 与 pay_platform 不符 (100 with WeChat, 200 with Alipay)"
                .to_owned(),
        );
    }
    let terminal = call
        .content
        .pointer("/order_client/terminal_type")
        .and_then(Value::as_i64);
    if terminal.is_some_and(|t| !matches!(t, 1..=4 | 100)) {
        return Err(
            "order_client.terminal_type: 只能是 1、2、3、4、100 (only 1, 2, 3, 4, 100)".to_owned(),
        );
    }
    let numbers = [
        "/pay_content/out_trade_no",
        "/refund_content/out_trade_no",
        "/refund_content/out_refund_no",
        "/out_trade_no",
        "/out_refund_no",
    ];
    for at in numbers {
        let no = call
            .content
            .pointer(at)
            .and_then(Value::as_str)
            .filter(|n| !n.is_empty());
        if no.is_some_and(|no| !no.starts_with(app.merchant.order_prefix)) {
            return Err(format!(
                "{}: 前缀必须是 {} (must begin with it)",
                dotted(at),
                app.merchant.order_prefix
            ));
        }
    }
    Ok(())
}

fn needs_product_id(content: &Value) -> bool {
    content
        .pointer("/pay_mch_key/pay_platform")
        .and_then(Value::as_i64)
        == Some(1)
        && content
            .pointer("/pay_content/wxpay_pay_content_ext/product_id")
            .is_none()
}

fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

/// Who asked for an order, and with which code.
pub(crate) fn asker(order: &Order) -> Asker {
    let origin = render::origin(&order.origin);
    let text = |at: &str| {
        let text = origin.pointer(at).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    Asker {
        device_id: text("/order_client/device_id"),
        machine_no: text("/order_client/machine_no"),
        client_ip: text("/order_client/spbill_create_ip"),
        author_code: masked(&text("/pay_content/author_code")),
        attach: render::wxpay_text(origin.get("pay_content").unwrap_or(&Value::Null), "attach")
            .to_owned(),
    }
}

/// The signed notification that an order is paid.
pub(crate) fn payment_notice(app: &App, order: &Order) -> String {
    let base = app.urls.first().map(String::as_str).unwrap_or_default();
    let text = orders::shown(order, base).to_string();
    envelope::wrap(
        app.merchant.authen_key,
        "request_content",
        &text,
        true,
        Spoil::None,
    )
}

/// The signed notification that a refund succeeded.
pub(crate) fn refund_notice(app: &App, order: &Order, refund_no: &str) -> String {
    let refunds = order.refunds.iter().filter(|r| *r.no == *refund_no);
    let content = serde_json::json!({
        "nonce_str": crate::clock::nonce(),
        "pay_mch_key": render::pay_mch_key(order, &render::origin(&order.origin)),
        "refund_order_content": refunds.map(|r| render::refund_content(order, r)).collect::<Vec<_>>(),
    });
    envelope::wrap(
        app.merchant.authen_key,
        "request_content",
        &content.to_string(),
        true,
        Spoil::None,
    )
}

/// Whether this is an authentic answer with status 0 to a notification. An error says what it is instead.
pub(crate) fn notice_accepted(app: &App, body: &[u8]) -> Result<(), String> {
    let outer: Value =
        serde_json::from_slice(body).map_err(|e| format!("the answer is not JSON: {e}"))?;
    let text = outer
        .get("response_content")
        .and_then(Value::as_str)
        .ok_or("response_content is no string")?;
    let code = outer
        .pointer("/authen_info/a/authen_code")
        .and_then(Value::as_str)
        .ok_or("authen_info.a is missing")?;
    if !envelope::code_is_right(app.merchant.authen_key, text, code) {
        return Err("wrong authen_code".to_owned());
    }
    let content: Value =
        serde_json::from_str(text).map_err(|e| format!("response_content is not JSON: {e}"))?;
    match content.get("status").and_then(Value::as_i64) {
        Some(0) => Ok(()),
        status => Err(format!("status {status:?}")),
    }
}
