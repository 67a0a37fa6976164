//! The requests that a register writes, read and checked against the protocol's limits before
//! anything is stored or sent.

use std::time::Duration;

use crate::config::Merchant;
use crate::fields::Fields;
use crate::model::{
    AlipayExtras, MAX_FEE, MAX_PAGE_SIZE, MAX_TRADE_NO, Page, Payment, PaymentCode, Platform,
    RefundRequest, Report, Scope, TradeType, check_number,
};
use crate::text::{Text, text};

/// The longest wait that wait_order accepts.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);

/// A request about an order: query, wait, cancel, close.
pub(crate) struct OrderQuery {
    pub(crate) trade_no: String,
    pub(crate) trade_type: Option<TradeType>,
    pub(crate) platform: Option<Platform>,
    /// wait_order only: return as soon as the QR code is ready.
    pub(crate) until_code: bool,
}

/// A request for a refund whose platform may still have to be looked up.
pub(crate) struct RefundAsked {
    pub(crate) trade_no: String,
    pub(crate) refund_no: String,
    pub(crate) platform: Option<Platform>,
    pub(crate) total_fee: i64,
    pub(crate) refund_fee: i64,
    pub(crate) reason: Option<String>,
    pub(crate) staff_id: Option<String>,
}

impl RefundAsked {
    pub(crate) fn on(self, platform: Option<Platform>) -> RefundRequest {
        RefundRequest {
            trade_no: self.trade_no,
            refund_no: self.refund_no,
            platform,
            total_fee: self.total_fee,
            refund_fee: self.refund_fee,
            reason: self.reason,
            staff_id: self.staff_id,
        }
    }
}

/// A request about a refund.
pub(crate) struct RefundQuery {
    pub(crate) trade_no: Option<String>,
    pub(crate) refund_no: Option<String>,
    pub(crate) platform: Option<Platform>,
}

/// Reads a micro_pay request.
pub(crate) fn micro_pay(fields: &mut Fields, merchant: &Merchant) -> Result<Payment, Text> {
    let code = PaymentCode::new(fields.required_text("author_code", 128)?.trim());
    if code.reveal().is_empty() {
        return Err(fields.missing("author_code"));
    }
    let platform = match platform(fields)? {
        Some(given) => given,
        None => Payment::platform_of(&code)?,
    };
    payment(fields, merchant, platform, Some(code))
}

/// Reads a scan_code_pay request.
pub(crate) fn scan_code_pay(fields: &mut Fields, merchant: &Merchant) -> Result<Payment, Text> {
    let platform = platform(fields)?.ok_or_else(|| fields.missing("pay_platform"))?;
    payment(fields, merchant, platform, None)
}

fn payment(
    fields: &mut Fields,
    merchant: &Merchant,
    platform: Platform,
    code: Option<PaymentCode>,
) -> Result<Payment, Text> {
    let trade_no = trade_no(fields)?;
    check_prefix(fields, "out_trade_no", &trade_no, merchant)?;
    let total_fee = fields.required_integer("total_fee", 1, MAX_FEE)?;
    currency(fields, "fee_type")?;
    let scan = code.is_none();
    Ok(Payment {
        trade_no,
        code,
        platform,
        sub_platform: fields
            .integer("sub_pay_platform", 0, i64::from(i32::MAX))?
            .unwrap_or(platform.sub_number()),
        total_fee,
        body: fields.text("body", 128)?,
        attach: fields.text("attach", 127)?,
        goods_tag: fields.text("goods_tag", 32)?,
        limit_pay: fields.text("limit_pay", 32)?,
        product_id: if scan {
            fields.text("product_id", 32)?
        } else {
            None
        },
        detail: fields.json_text("detail", 6000)?,
        remark: fields.text("remark", 127)?,
        client_flow_id: fields.text("client_flow_id", 64)?,
        time_expire: if scan {
            fields.integer("time_expire", 1, i64::MAX)?
        } else {
            None
        },
        alipay: AlipayExtras {
            discountable_amount: fields.integer("discountable_amount", 0, MAX_FEE)?,
            undiscountable_amount: fields.integer("undiscountable_amount", 0, MAX_FEE)?,
            product_code: fields.text("product_code", 128)?,
            royalty_info: fields.json_text("royalty_info", 256)?,
            extend_params: fields.json_text("extend_params", 256)?,
            disable_pay_channels: fields.text("disable_pay_channels", 128)?,
        },
        staff_id: staff_id(fields)?,
        tag: None,
    })
}

/// Reads a request of query_order, wait_order, cancel_order or close_order.
pub(crate) fn order_query(fields: &mut Fields, _: &Merchant) -> Result<OrderQuery, Text> {
    let trade_no = trade_no(fields)?;
    let trade_type = fields
        .kind("trade_type", 2)?
        .and_then(TradeType::from_number);
    Ok(OrderQuery {
        trade_no,
        trade_type,
        platform: platform(fields)?,
        until_code: fields
            .choice("until", &[("final", false), ("code_ready", true)])?
            .unwrap_or(false),
    })
}

/// Reads a refund request. Without a number of its own the refund takes the order's, so that the
/// same call repeated can never refund twice.
pub(crate) fn refund(fields: &mut Fields, merchant: &Merchant) -> Result<RefundAsked, Text> {
    let trade_no = trade_no(fields)?;
    let total_fee = fields.required_integer("total_fee", 1, MAX_FEE)?;
    let refund_fee = fields.required_integer("refund_fee", 1, total_fee)?;
    currency(fields, "refund_fee_type")?;
    let refund_no = match number(fields, "out_refund_no")? {
        Some(own) => {
            check_prefix(fields, "out_refund_no", &own, merchant)?;
            own
        }
        None => trade_no.clone(),
    };
    Ok(RefundAsked {
        trade_no,
        refund_no,
        platform: platform(fields)?,
        total_fee,
        refund_fee,
        reason: fields.text("refund_reason", 255)?,
        staff_id: staff_id(fields)?,
    })
}

/// Reads a query_refund request: one of the two numbers has to be there.
pub(crate) fn refund_query(fields: &mut Fields, _: &Merchant) -> Result<RefundQuery, Text> {
    let trade_no = number(fields, "out_trade_no")?;
    let refund_no = number(fields, "out_refund_no")?;
    if trade_no.is_none() && refund_no.is_none() {
        return Err(fields.missing("out_trade_no"));
    }
    Ok(RefundQuery {
        trade_no,
        refund_no,
        platform: platform(fields)?,
    })
}

/// A question about orders, with the file to save all of a period to, when one is named.
pub(crate) struct Detail {
    pub(crate) scope: Scope,
    pub(crate) page: Page,
    pub(crate) save_to: Option<String>,
}

/// Reads a query_shop_info request.
pub(crate) fn shops(fields: &mut Fields, _: &Merchant) -> Result<Report, Text> {
    Ok(Report::Shops {
        out_shop_id: fields.text("out_shop_id", 32)?.filter(|id| !id.is_empty()),
        page: page(fields, 10)?,
    })
}

/// Reads a query_sub_mch_info request: there is nothing to say but `{}`.
pub(crate) fn sub_merchant(_: &mut Fields, _: &Merchant) -> Result<Report, Text> {
    Ok(Report::SubMerchant)
}

/// Reads an order_detail request.
pub(crate) fn detail(fields: &mut Fields, merchant: &Merchant) -> Result<Detail, Text> {
    let save_to = fields
        .text("save_to", 4096)?
        .filter(|path| !path.is_empty());
    let size = if save_to.is_some() { 100 } else { 10 };
    Ok(Detail {
        scope: scope(fields, merchant)?,
        page: page(fields, size)?,
        save_to,
    })
}

/// Reads an order_stat request.
pub(crate) fn sums(fields: &mut Fields, merchant: &Merchant) -> Result<Report, Text> {
    let out_shop_ids = match fields.is_list("out_shop_id") {
        true => fields.texts("out_shop_id", 32)?.unwrap_or_default(),
        false => Vec::new(),
    };
    let number = |fields: &mut Fields, key| fields.integer(key, 0, i64::from(i32::MAX));
    let mut scope = scope(fields, merchant)?;
    if !out_shop_ids.is_empty() {
        scope.out_shop_id = None;
    }
    Ok(Report::Sums {
        scope,
        out_shop_ids,
        sub_pay_platforms: fields.integers("sub_pay_platforms", 0, i64::from(i32::MAX))?,
        trade_type: number(fields, "trade_type")?,
        pay_time_type: number(fields, "pay_time_type")?,
        refund_time_type: number(fields, "refund_time_type")?,
        time_filter: number(fields, "time_filter")?,
    })
}

/// Whose orders and when. `query_cashier_type` 2 is this register's shop, 3 its cashier, unless
/// the request names others.
fn scope(fields: &mut Fields, merchant: &Merchant) -> Result<Scope, Text> {
    let whose = fields.integer("query_cashier_type", 1, 3)?.unwrap_or(1);
    let given = |value: Option<String>| value.filter(|text| !text.is_empty());
    let shop = given(fields.text("out_shop_id", 32)?);
    let staff = given(fields.text("staff_id", 64)?);
    let now = crate::clock::now_ms() / 1000;
    let start_time = fields.integer("start_time", 0, i64::MAX)?.unwrap_or(0);
    Ok(Scope {
        pay_platform: fields.integer("pay_platform", 1, 2)?,
        order_type: fields.integer("query_order_type", 1, 3)?.unwrap_or(3),
        out_shop_id: shop.or_else(|| (whose >= 2).then(|| merchant.out_shop_id.clone())),
        staff_id: staff.or_else(|| merchant.staff_id.clone().filter(|_| whose == 3)),
        device_id: given(fields.text("device_id", 64)?),
        start_time,
        end_time: fields
            .integer("end_time", start_time, i64::MAX)?
            .unwrap_or(now.max(start_time)),
    })
}

fn page(fields: &mut Fields, size: i64) -> Result<Page, Text> {
    Ok(Page {
        number: fields
            .integer("page_num", 1, i64::from(i32::MAX))?
            .unwrap_or(1),
        size: fields
            .integer("page_size", 1, MAX_PAGE_SIZE)?
            .unwrap_or(size),
    })
}

fn trade_no(fields: &mut Fields) -> Result<String, Text> {
    number(fields, "out_trade_no")?.ok_or_else(|| fields.missing("out_trade_no"))
}

/// An order or refund number.
fn number(fields: &mut Fields, key: &'static str) -> Result<Option<String>, Text> {
    let Some(number) = fields.text(key, MAX_TRADE_NO)?.filter(|n| !n.is_empty()) else {
        return Ok(None);
    };
    check_number(&number).map_err(|why| fields.invalid(key, &why))?;
    Ok(Some(number))
}

/// A number that this register pays or refunds under begins with one of the merchant's prefixes,
/// where any are configured.
fn check_prefix(
    fields: &Fields,
    key: &'static str,
    number: &str,
    merchant: &Merchant,
) -> Result<(), Text> {
    let prefixes = &merchant.order_prefixes;
    if prefixes.is_empty() || prefixes.iter().any(|prefix| number.starts_with(prefix)) {
        return Ok(());
    }
    let prefixes = prefixes.join(", ");
    Err(fields.invalid(
        key,
        &text!(
            "须以 trade_conf.order_prefix（{prefixes}）开头，得到 {number}",
            "must begin with trade_conf.order_prefix ({prefixes}), got {number}"
        ),
    ))
}

/// The cashier of this request alone.
fn staff_id(fields: &mut Fields) -> Result<Option<String>, Text> {
    Ok(fields.text("staff_id", 64)?.filter(|id| !id.is_empty()))
}

fn platform(fields: &mut Fields) -> Result<Option<Platform>, Text> {
    Ok(fields
        .kind("pay_platform", 2)?
        .and_then(Platform::from_number))
}

/// The protocol knows one currency.
fn currency(fields: &mut Fields, key: &'static str) -> Result<(), Text> {
    match fields.text(key, 16)?.as_deref() {
        None | Some("" | "CNY") => Ok(()),
        Some(other) => Err(fields.invalid(
            key,
            &text!(
                "仅支持 CNY，得到 \"{other}\"",
                "only CNY is supported, got \"{other}\""
            ),
        )),
    }
}
