//! The JSON that goes back to the register.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::charset::Charset;
use crate::engine::Refunded;
use crate::model::{Evidence, Order, OrderState, PendingOrder, Refund};

/// The state of an order whose QR code can be scanned.
const CODE_READY: &str = OrderState::CodeReady.name();

/// How output is written: the register's character set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    pub(crate) charset: Charset,
    pub(crate) ascii: bool,
}

impl Style {
    /// JSON in the register's character set.
    pub(crate) fn json<T: Serialize>(self, value: &T) -> Vec<u8> {
        // Our own types have nothing that JSON could not hold.
        let json = serde_json::to_string(value).unwrap_or_default();
        self.charset.encode_json(&json, self.ascii)
    }
}

/// The keys of the order JSON, in the order they are written.
#[derive(Serialize)]
struct OrderJson<'a> {
    out_trade_no: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pay_platform: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trade_type: Option<i64>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_fee: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_end: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    recovered: bool,
    late: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    refunded_fee: Option<i64>,
    refund_state: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shortened: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<EvidenceJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_content: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pay_mch_key: Option<&'a RawValue>,
    /// Of pending orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since_ms: Option<i64>,
}

#[derive(Serialize)]
struct EvidenceJson<'a> {
    source: &'static str,
    authenticated: bool,
    /// Milliseconds since 1970.
    time: i64,
    domain: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_id: Option<i64>,
}

#[derive(Serialize)]
struct RefundJson<'a> {
    out_refund_no: &'a str,
    out_trade_no: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_id: Option<&'a str>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_fee: Option<i64>,
    evidence: EvidenceJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_order_content: Option<&'a RawValue>,
    /// Of an order's refunds, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refunds: Option<Vec<RefundJson<'a>>>,
}

fn evidence_json(evidence: &Evidence) -> EvidenceJson<'_> {
    EvidenceJson {
        source: evidence.source.name(),
        authenticated: evidence.authenticated,
        time: evidence.time_ms,
        domain: &evidence.domain,
        log_id: evidence.log_id,
    }
}

fn order_json(order: &Order) -> OrderJson<'_> {
    OrderJson {
        out_trade_no: &order.trade_no,
        pay_platform: order.platform.map(|platform| platform.number()),
        trade_type: order.trade_type.map(|kind| kind.number()),
        state: order.state.name(),
        total_fee: order.total_fee,
        code_url: order.code_url.as_deref(),
        transaction_id: order.transaction_id.as_deref(),
        time_end: order.time_end,
        message: Some(order.message.as_str()).filter(|message| !message.is_empty()),
        recovered: order.recovered,
        late: order.late,
        refunded_fee: order.refunded().0,
        refund_state: order.refunded().1,
        shortened: false,
        evidence: order.evidence.as_ref().map(evidence_json),
        order_content: order.content.as_deref(),
        pay_mch_key: order.mch_key.as_deref(),
        why: None,
        since_ms: None,
    }
}

/// The whole order JSON.
pub(crate) fn order(order: &Order, style: Style) -> Vec<u8> {
    style.json(&order_json(order))
}

/// The order JSON in at most `room` bytes: parts are left out, the least important first, so that
/// a verdict reaches a register with a small buffer too. When nothing fits, the shortest form.
pub(crate) fn order_within(order: &Order, style: Style, room: usize) -> Vec<u8> {
    let mut json = order_json(order);
    let whole = style.json(&json);
    if whole.len() <= room {
        return whole;
    }
    json.shortened = true;
    json.pay_mch_key = None;
    let content = order.content.as_deref().and_then(without_detail);
    json.order_content = content.as_deref();
    let leave_out: [fn(&mut OrderJson<'_>); 4] = [
        |json| json.order_content = None,
        |json| json.evidence = None,
        |json| json.message = None,
        // Of any other order nobody scans the QR code any more.
        |json| json.code_url = json.code_url.filter(|_| json.state == CODE_READY),
    ];
    for part in leave_out {
        let shorter = style.json(&json);
        if shorter.len() <= room {
            return shorter;
        }
        part(&mut json);
    }
    style.json(&json)
}

/// The gateway's words without the goods list, which is most of them.
fn without_detail(content: &RawValue) -> Option<Box<RawValue>> {
    let mut content: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(content.get()).ok()?;
    content.remove("detail");
    serde_json::value::to_raw_value(&content).ok()
}

/// The refund JSON; or, for all refunds of an order, a list of them. A register that knows of one
/// refund only finds its keys beside the list: those of the one with the order's number, or of the
/// last.
pub(crate) fn refunded(refunded: &Refunded, style: Style) -> Vec<u8> {
    match refunded {
        Refunded::One(refund) => style.json(&refund_json(refund)),
        Refunded::All(trade_no, refunds) => {
            let one = refunds
                .iter()
                .find(|refund| refund.refund_no == *trade_no)
                .or(refunds.last());
            match one {
                Some(one) => style.json(&RefundJson {
                    total_count: Some(refunds.len()),
                    refunds: Some(refunds.iter().map(refund_json).collect()),
                    ..refund_json(one)
                }),
                None => style
                    .charset
                    .encode_json(r#"{"total_count":0,"refunds":[]}"#, style.ascii),
            }
        }
    }
}

fn refund_json(refund: &Refund) -> RefundJson<'_> {
    RefundJson {
        out_refund_no: &refund.refund_no,
        out_trade_no: &refund.trade_no,
        refund_id: refund.refund_id.as_deref(),
        state: refund.state.name(),
        refund_fee: refund.refund_fee,
        evidence: evidence_json(&refund.evidence),
        refund_order_content: refund.content.as_deref(),
        total_count: None,
        refunds: None,
    }
}

/// The list of pending_orders: as many as fit into `room` bytes, oldest first.
pub(crate) fn pending(orders: &[PendingOrder], style: Style, room: usize) -> Vec<u8> {
    #[derive(Serialize)]
    struct List<'a> {
        total_count: usize,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        shortened: bool,
        orders: &'a [OrderJson<'a>],
    }
    let entries: Vec<OrderJson<'_>> = orders
        .iter()
        .map(|pending| OrderJson {
            why: Some(pending.why),
            since_ms: Some(pending.since_ms),
            ..order_json(&pending.order)
        })
        .collect();
    let list = |count: usize| {
        style.json(&List {
            total_count: orders.len(),
            shortened: count < entries.len(),
            orders: entries.get(..count).unwrap_or_default(),
        })
    };
    let mut json = list(entries.len());
    if json.len() > room {
        // One more is longer by its own length and a comma.
        let mut used = list(0).len();
        let fitting = entries.iter().take_while(|entry| {
            used += style.json(entry).len() + 1;
            used <= room + 1
        });
        json = list(fitting.count());
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OrderState, Platform, Source, TradeType};

    fn full_order() -> Order {
        let detail = "x".repeat(6000);
        let content = format!(r#"{{"out_trade_no":"1","detail":"{detail}","bank_type":"CFT"}}"#);
        Order {
            platform: Some(Platform::WeChat),
            trade_type: Some(TradeType::ScanCode),
            state: OrderState::Paid,
            total_fee: Some(2_147_483_647),
            code_url: Some("u".repeat(64)),
            transaction_id: Some("4".repeat(32)),
            time_end: Some(i64::from(u32::MAX)),
            message: "信".repeat(255),
            evidence: Some(Evidence {
                source: Source::Gateway,
                authenticated: true,
                time_ms: 1,
                gateway_ms: None,
                domain: "https://pay.qcloud.com".to_owned(),
                log_id: Some(1),
            }),
            content: RawValue::from_string(content).ok(),
            ..Order::unknown("订".repeat(32))
        }
    }

    #[test]
    fn a_verdict_always_reaches_the_register() {
        let order = full_order();
        let style = Style {
            charset: Charset::Utf8,
            ascii: true,
        };
        let mut kept = Vec::new();
        for room in [100_000, 4096, 2200, 2150, 512] {
            let json = order_within(&order, style, room);
            assert!(json.len() <= room, "{} bytes in {room}", json.len());
            let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
            assert_eq!(value["state"], "paid");
            assert_eq!(value["total_fee"], 2_147_483_647);
            assert_eq!(value.get("shortened").is_some(), room < 100_000);
            let parts =
                ["order_content", "evidence", "message"].map(|key| value.get(key).is_some());
            kept.push((parts, value["order_content"].get("detail").is_some()));
        }
        assert_eq!(
            kept,
            [
                ([true, true, true], true),
                ([true, true, true], false),
                ([false, true, true], false),
                ([false, false, true], false),
                ([false, false, false], false),
            ]
        );
    }

    #[test]
    fn the_gateways_words_stay_as_they_are() {
        let words = r#"{ "b" : 1.50, "a":"\u64CD" }"#;
        let order = Order {
            content: RawValue::from_string(words.to_owned()).ok(),
            ..Order::unknown("1")
        };
        let json = String::from_utf8(super::order(&order, Style::default())).unwrap();
        assert!(json.contains(words), "{json}");
    }
}
