//! client_order_detail and query_order_list_overview: what was paid, in a list and in sums.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::envelope::{Answer, Call};
use super::orders::text;
use super::{render, shops};
use crate::app::App;
use crate::clock::nonce;
use crate::ledger::Ledger;
use crate::order::{Order, Protocol, Refund, What};

/// Which orders are asked for. What is empty asks for all.
struct Filter<'a> {
    platforms: Vec<i64>,
    shops: Vec<&'a str>,
    staff: &'a str,
    device: &'a str,
    from_s: u64,
    to_s: u64,
    payments: bool,
    refunds: bool,
}

impl<'a> Filter<'a> {
    fn new(call: &'a Call, kind_key: &str) -> Self {
        let time = |key: &str| call.content.get(key).and_then(Value::as_u64);
        let kind = call
            .content
            .get(kind_key)
            .and_then(Value::as_u64)
            .unwrap_or(3);
        let mut platforms: Vec<i64> = call
            .content
            .get("pay_platform")
            .and_then(Value::as_i64)
            .into_iter()
            .collect();
        let listed = call
            .content
            .get("sub_pay_platforms")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        platforms.extend(listed.filter_map(Value::as_i64).map(|sub| sub / 100));
        let shops = match call.content.get("out_shop_id") {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) if !one.is_empty() => vec![one.as_str()],
            _ => Vec::new(),
        };
        Self {
            platforms,
            shops,
            staff: text(call, "/staff_id"),
            device: text(call, "/device_id"),
            from_s: time("start_time").unwrap_or(0),
            to_s: time("end_time").unwrap_or(u64::MAX),
            payments: kind & 1 == 1,
            refunds: kind & 2 == 2,
        }
    }

    fn covers(&self, ms: u64) -> bool {
        (self.from_s..=self.to_s).contains(&(ms / 1000))
    }

    fn wants(&self, order: &Order, origin: &Value) -> bool {
        let is = |wanted: &str, at: &str| {
            wanted.is_empty()
                || origin
                    .pointer(at)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    == wanted
        };
        let shop = origin
            .pointer("/pay_mch_key/out_shop_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        order.protocol == Protocol::CloudPay
            && (self.platforms.is_empty() || self.platforms.contains(&order.platform.number()))
            && (self.shops.is_empty() || self.shops.contains(&shop))
            && is(self.staff, "/order_client/staff_id")
            && is(self.device, "/order_client/device_id")
    }
}

/// Calls `each` for every wanted order, newest first.
fn for_each(ledger: &mut Ledger, filter: &Filter<'_>, mut each: impl FnMut(&Order, &Value)) {
    let numbers: Vec<Box<str>> = ledger.newest().cloned().collect();
    for no in numbers {
        let Some(order) = ledger.order(&no) else {
            continue;
        };
        let origin = render::origin(&order.origin);
        if filter.wants(order, &origin) {
            each(order, &origin);
        }
    }
}

/// client_order_detail.
pub(crate) fn detail(app: &Arc<App>, call: &Call) -> Answer {
    let filter = Filter::new(call, "query_order_type");
    let (skip, size) = shops::window(&call.content);
    let (mut count, mut page) = (0, Vec::new());
    app.ledger(|ledger| {
        for_each(ledger, &filter, |order, origin| {
            // Only what is on the page is rendered: there may be many more.
            let mut add = |name: &str, receipt: &dyn Fn() -> Value| {
                if count >= skip && page.len() < size {
                    page.push(entry(app, origin, name, receipt()));
                }
                count += 1;
            };
            for refund in order
                .refunds
                .iter()
                .rev()
                .filter(|r| filter.refunds && filter.covers(r.created_ms))
            {
                add("refund_order", &|| refund_receipt(order, refund, origin));
            }
            if filter.payments && filter.covers(order.created_ms) {
                add("order", &|| order_receipt(order, origin));
            }
        });
    });
    Answer::done(json!({ "nonce_str": nonce(), "total_count": count, "order_details": page }))
}

fn entry(app: &App, origin: &Value, name: &str, receipt: Value) -> Value {
    let id = origin
        .pointer("/pay_mch_key/out_shop_id")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let (shop_name, number) = if id == app.merchant.out_shop_id {
        ("沙箱一号店", "1")
    } else {
        ("沙箱二号店", "2")
    };
    let staff = origin
        .pointer("/order_client/staff_id")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut entry = Map::new();
    entry.insert("shop_info".to_owned(), shops::shop(id, shop_name, number));
    entry.insert(
        "shop_staff_info".to_owned(),
        json!({ "staff_id": staff, "staff_name": "店员", "shop_manager": false }),
    );
    entry.insert("receipt".to_owned(), json!({ name: receipt }));
    Value::Object(entry)
}

fn order_receipt(order: &Order, origin: &Value) -> Value {
    let mut content = render::order_content(order, origin, None);
    if let Some(content) = content.as_object_mut() {
        content.insert("refunded_fee".to_owned(), order.sum(What::Refund).into());
    }
    json!({
        "order_mch": origin.get("pay_mch_key"),
        "order_content": content,
        "order_client": origin.get("order_client"),
        "authen_info": { "a": { "authen_type": 1 } },
    })
}

fn refund_receipt(order: &Order, refund: &Refund, origin: &Value) -> Value {
    let asked = render::origin(&refund.origin);
    json!({
        "refund_order_mch": origin.get("pay_mch_key"),
        "refund_order_content": render::refund_content(order, refund),
        "order_client": asked.get("order_client"),
        "authen_info": { "a": { "authen_type": 1 } },
    })
}

/// query_order_list_overview. There are no fees and no discounts here, so what is paid is what is settled.
pub(crate) fn overview(app: &Arc<App>, call: &Call) -> Answer {
    let filter = Filter::new(call, "order_type");
    let (mut count, mut paid, mut refunds, mut refunded, mut of_orders) =
        (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
    app.ledger(|ledger| {
        for_each(ledger, &filter, |order, _| {
            let standing = order.sum(What::Charge) > order.sum(What::Reverse);
            if filter.payments && standing && order.paid_ms().is_some_and(|ms| filter.covers(ms)) {
                count += 1;
                paid += order.total_fee;
                of_orders += order.sum(What::Refund);
            }
            for refund in order
                .refunds
                .iter()
                .filter(|r| filter.refunds && filter.covers(r.created_ms))
            {
                refunds += 1;
                refunded += refund.fee;
            }
        });
    });
    let fen = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Answer::done(json!({
        "nonce_str": nonce(),
        "total_count": 1,
        "overviews": [{
            "fee_type": "CNY",
            "success_count": count,
            "success_amount": paid,
            "settle_amount": fen(paid) - fen(refunded),
            "discount_amount": 0,
            "pay_settle_amount": paid,
            "refund_settle_amount": refunded,
            "refund_create_count": refunds,
            "refund_create_amount": refunded,
            "poundage": 0,
            "income_amount": fen(paid) - fen(refunded),
            "order_refunded_amount": of_orders,
        }],
    }))
}
