//! The contents of questions about the merchant: shops, lists of orders, sums.

use serde::Serialize;

use super::wire::nonce;
use crate::config::Merchant;
use crate::model::{Page, Report, Scope};
use crate::text::{Text, text};

#[derive(Serialize)]
struct Shops<'a> {
    out_mch_id: &'a str,
    out_sub_mch_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    out_shop_id: Option<&'a str>,
    page_num: i64,
    page_size: i64,
    nonce_str: String,
}

#[derive(Serialize)]
struct SubMerchant<'a> {
    out_sub_mch_id: &'a str,
    page_num: i64,
    page_size: i64,
    nonce_str: String,
}

#[derive(Serialize)]
struct Orders<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pay_platform: Option<i64>,
    out_sub_mch_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    out_shop_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    staff_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a str>,
    query_order_type: i64,
    start_time: i64,
    end_time: i64,
    page_num: i64,
    page_size: i64,
    nonce_str: String,
}

#[derive(Serialize)]
struct Sums<'a> {
    out_sub_mch_id: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sub_pay_platforms: Vec<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    out_shop_id: Option<ShopIds<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    staff_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a str>,
    order_type: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    trade_type: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pay_time_type: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_time_type: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_filter: Option<i64>,
    start_time: i64,
    end_time: i64,
    nonce_str: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ShopIds<'a> {
    One(&'a str),
    Many(&'a [String]),
}

/// The content of a question about the merchant.
pub(super) fn content(merchant: &Merchant, report: &Report) -> Result<String, Text> {
    let out_sub_mch_id = merchant.out_sub_mch_id.as_str();
    let nonce_str = nonce()?;
    let content = match report {
        Report::Shops { out_shop_id, page } => serde_json::to_string(&Shops {
            out_mch_id: &merchant.out_mch_id,
            out_sub_mch_id,
            out_shop_id: out_shop_id.as_deref(),
            page_num: page.number,
            page_size: page.size,
            nonce_str,
        }),
        // The protocol: "1, one sub-merchant at a time".
        Report::SubMerchant => serde_json::to_string(&SubMerchant {
            out_sub_mch_id,
            page_num: 1,
            page_size: 1,
            nonce_str,
        }),
        Report::Orders { scope, page } => {
            serde_json::to_string(&orders(out_sub_mch_id, scope, *page, nonce_str))
        }
        Report::Sums {
            scope,
            out_shop_ids,
            sub_pay_platforms,
            trade_type,
            pay_time_type,
            refund_time_type,
            time_filter,
        } => {
            let mut platforms = sub_pay_platforms.clone();
            // 1 and 2 in the register's words are 100 and 200 here.
            platforms.extend(scope.pay_platform.map(|platform| platform * 100));
            serde_json::to_string(&Sums {
                out_sub_mch_id,
                sub_pay_platforms: platforms,
                out_shop_id: match (&scope.out_shop_id, out_shop_ids.as_slice()) {
                    (Some(one), _) => Some(ShopIds::One(one)),
                    (None, []) => None,
                    (None, many) => Some(ShopIds::Many(many)),
                },
                staff_id: scope.staff_id.as_deref(),
                device_id: scope.device_id.as_deref(),
                order_type: scope.order_type,
                trade_type: *trade_type,
                pay_time_type: *pay_time_type,
                refund_time_type: *refund_time_type,
                time_filter: *time_filter,
                start_time: scope.start_time,
                end_time: scope.end_time,
                nonce_str,
            })
        }
    };
    content.map_err(|error| text!("内部错误：{error}", "internal error: {error}"))
}

fn orders<'a>(
    out_sub_mch_id: &'a str,
    scope: &'a Scope,
    page: Page,
    nonce_str: String,
) -> Orders<'a> {
    Orders {
        pay_platform: scope.pay_platform,
        out_sub_mch_id,
        out_shop_id: scope.out_shop_id.as_deref(),
        staff_id: scope.staff_id.as_deref(),
        device_id: scope.device_id.as_deref(),
        query_order_type: scope.order_type,
        start_time: scope.start_time,
        end_time: scope.end_time,
        page_num: page.number,
        page_size: page.size,
        nonce_str,
    }
}
