//! query_sub_mch_shop_info and sdk_query_sub_mch_info.

use serde_json::{Value, json};

use super::envelope::{Answer, Call};
use crate::app::App;
use crate::clock::nonce;

/// The merchant's shops, by page.
pub(crate) fn shops(app: &App, call: &Call) -> Answer {
    let m = app.merchant;
    let wanted = call
        .content
        .get("out_shop_id")
        .and_then(Value::as_str)
        .filter(|s| !s.is_empty());
    let all = [
        (m.out_shop_id, "沙箱一号店", "1"),
        (m.other_shop_id, "沙箱二号店", "2"),
    ];
    let found: Vec<Value> = all
        .into_iter()
        .filter(|(id, ..)| wanted.is_none_or(|w| w == *id))
        .map(|(id, name, number)| shop(id, name, number))
        .collect();
    let (skip, size) = window(&call.content);
    let page: Vec<&Value> = found.iter().skip(skip).take(size).collect();
    Answer::done(json!({ "nonce_str": nonce(), "total_count": found.len(), "shop_infos": page }))
}

/// One `ShopInfo`.
pub(crate) fn shop(id: &str, name: &str, number: &str) -> Value {
    json!({
        "shop_id": number,
        "shop_name": name,
        "province": "广东省",
        "city": "深圳市",
        "district": "南山区",
        "address": "科技园",
        "phone": "0755-00000000",
        "out_shop_id": id,
        "fee_type": "CNY",
        "device_infos": [{ "device_id": "12345", "device_type": 3, "device_name": "收银台" }],
        "staff_infos": [{ "staff_id": "1003", "staff_name": "店员", "shop_manager": false }],
    })
}

/// What `page_num` (from 1) and `page_size` ask for: how many to skip, and how many to show.
pub(crate) fn window(content: &Value) -> (usize, usize) {
    let number = |key: &str| {
        content
            .get(key)
            .and_then(Value::as_u64)
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(1)
    };
    let size = number("page_size");
    (
        number("page_num").saturating_sub(1).saturating_mul(size),
        size,
    )
}

/// The sub-merchant with its order prefix.
pub(crate) fn sub_merchant(app: &App) -> Answer {
    let m = app.merchant;
    let sub = json!({
        "sub_mch_id": "1900000001",
        "company_name": "沙箱子商户",
        "cloud_cashier_id": m.order_prefix,
        "out_sub_mch_id": m.out_sub_mch_id,
        "out_sub_mch_id_url": "https://localhost/",
        "merchant_name": "沙箱子商户",
        "direct": true,
    });
    Answer::done(json!({
        "nonce_str": nonce(),
        "total_count": 1,
        "sub_mch_infos": [{
            "mch_id": "1900000000",
            "pay_platform": 1,
            "company_name": "沙箱服务商",
            "mch_sub_uin": "0",
            "mch_sub_company_name": "沙箱服务商",
            "out_mch_id": m.out_mch_id,
            "sub_mch_infos": [sub],
        }],
    }))
}
