//! The epay123 protocol, beside cloud pay and on the same books.

mod interface;
mod orders;
mod pay;
mod refunds;
mod sign;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use crate::app::{App, lock};
use crate::clock::now_ms;
use crate::faults::Hit;
use crate::fields::{self, Field};
use crate::ledger::{Ledger, Undo};
use crate::order::{Asker, Order, Protocol, masked};
use crate::records::Request;
use crate::reply::Reply;
use crate::scenario::{Instead, Spoil};
use interface::{COMMON, Interface};

/// The answer to whatever is wrong, with a request or at the gateway: only the words differ.
const REFUSED: i64 = 9999;

/// A request whose signature is right.
struct Call {
    /// The fields that the protocol knows.
    fields: Map<String, Value>,
    /// The body, as it came.
    text: String,
    /// The listener that it came by.
    listener: usize,
}

impl Call {
    /// A text field; empty when it is not there.
    fn text(&self, key: &str) -> &str {
        self.fields
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// A number field, which the check has made sure of.
    fn number(&self, key: &str) -> u64 {
        self.fields
            .get(key)
            .and_then(Value::as_u64)
            .unwrap_or_default()
    }
}

/// What is answered, before it is signed. A refusal has no data and is never signed.
enum Answer {
    Data(Map<String, Value>),
    Refused(String),
}

impl Answer {
    fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }

    fn broken() -> Self {
        Self::refused("系统异常 (internal error)")
    }

    /// Signed data; what is null is left out.
    fn data(value: Value) -> Self {
        match value {
            Value::Object(mut data) => {
                data.retain(|_, v| !v.is_null());
                Self::Data(data)
            }
            _ => Self::broken(),
        }
    }
}

/// An answer, and what is done to it on its way.
struct Outcome {
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

/// Serves one request to `/api/…`.
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
    let (mut auth, mut no) = ("", String::new());
    let outcome = match open(&app, listener, interface, &path, &headers, &body) {
        Err(why) => Outcome::of(Answer::refused(why)),
        Ok(call) => {
            auth = "md5";
            no = call.text("mchOrderNo").to_owned();
            let nth = arrive(&app, interface, &call);
            let hit = app.draw(interface == Interface::UnifiedOrder);
            if !hit.delay.is_zero() {
                tokio::time::sleep(hit.delay).await;
            }
            act(&app, interface, &call, nth, hit)
        }
    };
    if outcome.spoil == Spoil::Slow {
        let slow = app.delays().slow;
        tokio::time::sleep(Duration::from_millis(slow)).await;
    }
    let (status, verdict) = match &outcome.answer {
        Answer::Data(_) => (0, "SUCCESS".to_owned()),
        Answer::Refused(why) => (REFUSED, why.clone()),
    };
    lock(&app.requests).push(Request {
        at_ms: began,
        listener,
        path,
        auth,
        out_trade_no: no,
        status,
        internal_status: 0,
        verdict,
        fault: if outcome.spoil == Spoil::None {
            String::new()
        } else {
            format!("{:?}", outcome.spoil)
        },
        took_ms: now_ms().saturating_sub(began),
    });
    seal(app.merchant.app_secret, outcome)
}

/// Reads a request and checks who sent it. An error says what is wrong, with the key.
fn open(
    app: &App,
    listener: usize,
    interface: Interface,
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Call, String> {
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    if !media
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case("application/json")
    {
        return Err("content-type: 必须是 application/json (must be application/json)".to_owned());
    }
    let text =
        std::str::from_utf8(body).map_err(|_| "请求不是 UTF-8 (the request is not UTF-8)")?;
    let Ok(Value::Object(all)) = serde_json::from_str::<Value>(text) else {
        return Err("请求不是 JSON 对象 (the request is not a JSON object)".to_owned());
    };
    let known: Vec<Field> = COMMON.iter().chain(interface.fields()).copied().collect();
    let mut odd = Vec::new();
    let checked = fields::check(&all, &known, "", &mut odd);
    app.warn(path, odd);
    checked?;

    let call = Call {
        fields: all
            .into_iter()
            .filter(|(key, _)| known.iter().any(|f| f.name == key))
            .collect(),
        text: text.to_owned(),
        listener,
    };
    if call.text("signType") != "MD5" {
        return Err("signType: 只支持 MD5 (only MD5)".to_owned());
    }
    if call.text("mchNo") != app.merchant.mch_no {
        return Err("mchNo: 商户不存在 (unknown merchant)".to_owned());
    }
    if call.text("appId") != app.merchant.app_id {
        return Err("appId: 商户应用不存在 (unknown application)".to_owned());
    }
    if !sign::same(
        &sign::sign(&call.fields, app.merchant.app_secret),
        call.text("sign"),
    ) {
        return Err("sign: 验签失败 (wrong signature)".to_owned());
    }
    let time = call.text("reqTime");
    if time.len() != 13 || !time.bytes().all(|b| b.is_ascii_digit()) {
        return Err("reqTime: 必须是 13 位毫秒时间戳 (must be 13 digits, ms)".to_owned());
    }
    Ok(call)
}

/// Counts an authentic request. Returns how many pay requests with its number there were.
fn arrive(app: &Arc<App>, interface: Interface, call: &Call) -> usize {
    app.ledger(|ledger| {
        let no = match which(ledger, call) {
            Some(no) => no,
            None if !call.text("mchOrderNo").is_empty() => call.text("mchOrderNo").to_owned(),
            None => return 0,
        };
        if interface == Interface::Close {
            ledger.note_undo(&no, Undo::Close, "", call.listener);
        }
        let traffic = ledger.traffic(&no);
        match interface {
            Interface::UnifiedOrder => {
                let mut hash = [0; 32];
                hash.copy_from_slice(digest(&SHA256, call.text.as_bytes()).as_ref());
                traffic.pay_requests.push(hash);
            }
            Interface::Query => traffic.queries += 1,
            Interface::Refund => traffic.refund_requests += 1,
            Interface::Close | Interface::QueryRefund => {}
        }
        traffic.pay_requests.len()
    })
}

fn act(app: &Arc<App>, interface: Interface, call: &Call, nth: usize, hit: Hit) -> Outcome {
    if let Some(instead) = hit.instead {
        return dropped(instead, call.text("mchOrderNo"));
    }
    let outcome = match interface {
        Interface::UnifiedOrder => pay::unified_order(app, call, nth),
        Interface::Query => Outcome::of(orders::query(app, call)),
        Interface::Close => Outcome::of(orders::close(app, call)),
        Interface::Refund => refunds::refund(app, call),
        Interface::QueryRefund => Outcome::of(refunds::query(app, call)),
    };
    let spoil = if outcome.spoil == Spoil::None {
        hit.spoil
    } else {
        outcome.spoil
    };
    Outcome { spoil, ..outcome }
}

/// What happens to a request that is not processed. Refusals are all alike here: none is signed.
fn dropped(instead: Instead, no: &str) -> Outcome {
    match instead {
        Instead::Cut => Outcome {
            answer: Answer::broken(),
            spoil: Spoil::Cut,
        },
        Instead::Busy3 | Instead::Busy103 => Outcome::of(Answer::broken()),
        Instead::Reentry => Outcome::of(Answer::refused(pay::taken(no))),
        Instead::Refuse101 | Instead::Refuse102 | Instead::Refuse104 | Instead::Unsigned104 => {
            Outcome::of(Answer::refused("操作失败 (refused)"))
        }
    }
}

/// Signs an answer, and spoils it as told.
fn seal(secret: &str, outcome: Outcome) -> Reply {
    match outcome.spoil {
        Spoil::Cut => return Reply::Cut,
        Spoil::Html502 => return Reply::BadGateway,
        Spoil::Garbage => return Reply::Garbage,
        Spoil::Object => return Reply::Empty,
        _ => {}
    }
    let answer = if outcome.spoil == Spoil::Status3 {
        Answer::broken()
    } else {
        outcome.answer
    };
    let wire = match answer {
        Answer::Refused(why) => json!({ "code": REFUSED, "msg": why }),
        Answer::Data(mut data) => {
            if outcome.spoil == Spoil::OtherOrder {
                make_another(&mut data);
            }
            match outcome.spoil {
                Spoil::NoAuth => json!({ "code": 0, "msg": "SUCCESS", "data": data }),
                Spoil::BadAuth => {
                    json!({ "code": 0, "msg": "SUCCESS", "sign": sign::sign(&data, "not the secret"), "data": data })
                }
                _ => {
                    json!({ "code": 0, "msg": "SUCCESS", "sign": sign::sign(&data, secret), "data": data })
                }
            }
        }
    };
    let wire = wire.to_string();
    if outcome.spoil == Spoil::HalfBody {
        Reply::Half(wire)
    } else {
        Reply::Json(wire)
    }
}

/// Makes an answer one about another, paid, order. Answers that name none stay as they are.
fn make_another(data: &mut Map<String, Value>) {
    let another: [(&str, Value); 4] = [
        ("mchOrderNo", "another00order000000000001".into()),
        ("mchRefundNo", "another0refund000000000001".into()),
        ("orderState", 2.into()),
        ("state", 2.into()),
    ];
    for (key, value) in another {
        if let Some(slot) = data.get_mut(key) {
            *slot = value;
        }
    }
}

/// The number of the order that a request is about, by the merchant's number or by ours.
fn which(ledger: &mut Ledger, call: &Call) -> Option<String> {
    let ours = call
        .text("payOrderId")
        .strip_prefix('P')
        .and_then(|n| n.parse().ok());
    let order = match call.text("mchOrderNo") {
        "" => ledger.by_seq(ours?),
        no => ledger.order(no),
    };
    let order = order.filter(|o| o.protocol == Protocol::Epay123)?;
    let fits = call.text("payOrderId").is_empty() || call.text("payOrderId") == pay_order_id(order);
    fits.then(|| order.no.to_string())
}

/// Who asked for an order, and with which code. This protocol names no terminal.
pub(crate) fn asker(order: &Order) -> Asker {
    let asked: Value = serde_json::from_str(&order.origin).unwrap_or_default();
    let text = |key: &str| asked.get(key).and_then(Value::as_str).unwrap_or_default();
    Asker {
        client_ip: text("clientIp").to_owned(),
        author_code: masked(&pay::auth_code(text("channelExtra")).unwrap_or_default()),
        attach: text("extParam").to_owned(),
        ..Asker::default()
    }
}

/// The gateway's own number of an order.
fn pay_order_id(order: &Order) -> String {
    format!("P{:018}", order.seq)
}
