//! The contents of requests, field by field as the manual's tables have them. What the register
//! did not give is not sent: "not filled" and "filled with empty" differ.

use serde::Serialize;

use super::authen::hex;
use crate::config::Merchant;
use crate::gateway::{OrderKey, RefundKey};
use crate::model::{Payment, Platform, RefundRequest, TradeType};
use crate::text::{Text, text};

/// `body` is required by the protocol but not by the ABI: what is bought when nobody said.
const DEFAULT_BODY: &str = "线下消费";

#[derive(Serialize)]
struct Content<'a, T> {
    pay_mch_key: MchKey<'a>,
    order_client: Client<'a>,
    nonce_str: String,
    #[serde(flatten)]
    own: T,
}

#[derive(Serialize)]
struct MchKey<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pay_platform: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_pay_platform: Option<i64>,
    out_mch_id: &'a str,
    out_sub_mch_id: &'a str,
    out_shop_id: &'a str,
}

#[derive(Serialize)]
pub(super) struct Client<'a> {
    device_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    staff_id: Option<&'a str>,
    terminal_type: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_terminal_type: Option<i64>,
    machine_no: &'a str,
    sdk_version: &'a str,
    spbill_create_ip: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sn_code: Option<&'a str>,
}

#[derive(Serialize)]
struct PayPart<'a> {
    pay_content: PayContent<'a>,
}

#[derive(Serialize)]
struct PayContent<'a> {
    out_trade_no: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    author_code: Option<&'a str>,
    total_fee: i64,
    fee_type: &'a str,
    body: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_flow_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_expire: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wxpay_pay_content_ext: Option<WeChatPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alipay_pay_content_ext: Option<AlipayPart<'a>>,
}

#[derive(Serialize, PartialEq, Default)]
struct WeChatPart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    attach: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    goods_tag: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_pay: Option<&'a str>,
}

#[derive(Serialize, PartialEq, Default)]
struct AlipayPart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    discountable_amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undiscountable_amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    royalty_info: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extend_params: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_pay_channels: Option<&'a str>,
}

#[derive(Serialize)]
struct OrderPart<'a> {
    out_trade_no: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trade_type: Option<i64>,
}

#[derive(Serialize)]
struct RefundPart<'a> {
    refund_content: RefundContent<'a>,
}

#[derive(Serialize)]
struct RefundContent<'a> {
    out_trade_no: &'a str,
    out_refund_no: &'a str,
    total_fee: i64,
    refund_fee: i64,
    refund_fee_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_reason: Option<&'a str>,
}

#[derive(Serialize)]
struct QueryRefundPart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    out_trade_no: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    out_refund_no: Option<&'a str>,
}

/// The content of micro_pay and scan_code_pay.
pub(super) fn pay(merchant: &Merchant, payment: &Payment) -> Result<String, Text> {
    let wechat = WeChatPart {
        attach: payment.own_attach().or(payment.tag.as_deref()),
        goods_tag: payment.goods_tag.as_deref(),
        // Required of a QR order, but not by the ABI.
        product_id: match payment.trade_type() {
            TradeType::MicroPay => None,
            TradeType::ScanCode => payment.product_id.as_deref().or(Some(&payment.trade_no)),
        },
        limit_pay: payment.limit_pay.as_deref(),
    };
    let alipay = AlipayPart {
        discountable_amount: payment.alipay.discountable_amount,
        undiscountable_amount: payment.alipay.undiscountable_amount,
        product_code: payment.alipay.product_code.as_deref(),
        royalty_info: payment.alipay.royalty_info.as_deref(),
        extend_params: payment.alipay.extend_params.as_deref(),
        disable_pay_channels: payment.alipay.disable_pay_channels.as_deref(),
    };
    let pay_content = PayContent {
        out_trade_no: &payment.trade_no,
        author_code: payment.code.as_ref().map(|code| code.reveal()),
        total_fee: payment.total_fee,
        fee_type: "CNY",
        body: payment
            .body
            .as_deref()
            .filter(|body| !body.is_empty())
            .unwrap_or(DEFAULT_BODY),
        client_flow_id: payment.client_flow_id.as_deref(),
        detail: payment.detail.as_deref(),
        remark: payment.remark.as_deref(),
        time_expire: payment.time_expire,
        wxpay_pay_content_ext: Some(wechat)
            .filter(|part| payment.platform == Platform::WeChat && *part != WeChatPart::default()),
        alipay_pay_content_ext: Some(alipay)
            .filter(|part| payment.platform == Platform::Alipay && *part != AlipayPart::default()),
    };
    let asker = Asker {
        platform: Some(payment.platform),
        sub_platform: Some(payment.sub_platform),
        staff_id: payment.staff_id.as_deref(),
    };
    content(merchant, &asker, PayPart { pay_content })
}

/// The content of query_order, close_order and reverse.
pub(super) fn order(merchant: &Merchant, key: &OrderKey) -> Result<String, Text> {
    let part = OrderPart {
        out_trade_no: &key.trade_no,
        trade_type: key.trade_type.map(TradeType::number),
    };
    content(merchant, &Asker::about(key), part)
}

/// The content of refund.
pub(super) fn refund(merchant: &Merchant, refund: &RefundRequest) -> Result<String, Text> {
    let refund_content = RefundContent {
        out_trade_no: &refund.trade_no,
        out_refund_no: &refund.refund_no,
        total_fee: refund.total_fee,
        refund_fee: refund.refund_fee,
        refund_fee_type: "CNY",
        refund_reason: refund.reason.as_deref(),
    };
    let asker = Asker {
        staff_id: refund.staff_id.as_deref(),
        ..Asker::on(refund.platform)
    };
    content(merchant, &asker, RefundPart { refund_content })
}

/// The content of query_refund_order.
pub(super) fn query_refund(merchant: &Merchant, key: &RefundKey) -> Result<String, Text> {
    let part = QueryRefundPart {
        out_trade_no: key.trade_no.as_deref(),
        out_refund_no: Some(&key.refund_no),
    };
    content(merchant, &Asker::on(key.platform), part)
}

/// The content of query_refund_order for every refund of an order.
pub(super) fn query_refunds(merchant: &Merchant, key: &OrderKey) -> Result<String, Text> {
    let part = QueryRefundPart {
        out_trade_no: Some(&key.trade_no),
        out_refund_no: None,
    };
    content(merchant, &Asker::about(key), part)
}

/// What a request says of its platform and its cashier.
struct Asker<'a> {
    platform: Option<Platform>,
    sub_platform: Option<i64>,
    staff_id: Option<&'a str>,
}

impl Asker<'_> {
    fn about(key: &OrderKey) -> Self {
        Self {
            platform: key.platform,
            sub_platform: key.sub_platform,
            staff_id: None,
        }
    }

    fn on(platform: Option<Platform>) -> Self {
        Self {
            platform,
            sub_platform: platform.map(Platform::sub_number),
            staff_id: None,
        }
    }
}

fn content<T: Serialize>(merchant: &Merchant, asker: &Asker<'_>, own: T) -> Result<String, Text> {
    let mut order_client = client(merchant);
    order_client.staff_id = asker.staff_id.or(order_client.staff_id);
    let content = Content {
        pay_mch_key: MchKey {
            pay_platform: asker.platform.map(Platform::number),
            sub_pay_platform: asker.sub_platform,
            out_mch_id: &merchant.out_mch_id,
            out_sub_mch_id: &merchant.out_sub_mch_id,
            out_shop_id: &merchant.out_shop_id,
        },
        order_client,
        nonce_str: nonce()?,
        own,
    };
    serde_json::to_string(&content)
        .map_err(|error| text!("内部错误：{error}", "internal error: {error}"))
}

/// The register that asks.
pub(super) fn client(merchant: &Merchant) -> Client<'_> {
    Client {
        device_id: &merchant.device_id,
        staff_id: merchant.staff_id.as_deref(),
        terminal_type: TERMINAL_TYPE,
        sub_terminal_type: merchant.sub_terminal_type,
        machine_no: &merchant.machine_no,
        sdk_version: SDK_VERSION,
        spbill_create_ip: &merchant.spbill_create_ip,
        sn_code: merchant.sn_code.as_deref(),
    }
}

/// Protocol: 1 Windows, 4 Linux, 100 other.
const TERMINAL_TYPE: i32 = if cfg!(windows) {
    1
} else if cfg!(target_os = "linux") {
    4
} else {
    100
};

/// Protocol: at most 10 characters.
const SDK_VERSION: &str = {
    let version = env!("CARGO_PKG_VERSION");
    assert!(version.len() <= 10, "sdk_version has at most 10 characters");
    version
};

/// 32 upper-case hex characters from the operating system's random source.
pub(super) fn nonce() -> Result<String, Text> {
    Ok(hex(&crate::random::bytes::<16>()?))
}

/// The response key of a payment.
pub(super) fn pay_key(trade_type: TradeType) -> &'static str {
    match trade_type {
        TradeType::MicroPay => "micro_pay",
        TradeType::ScanCode => "scan_code_pay",
    }
}
