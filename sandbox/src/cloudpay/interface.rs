//! The interfaces: their paths, their keys, and which of them needs what.

use super::envelope::Accepts;
use crate::fields::Kind::{Flag, Free, Line, List, Number, Object, Text};
use crate::fields::{Field, may, need};

/// A text whose length the manuals don't limit.
const LONG: usize = 1_000_000;
/// The largest amount and count on the wire.
const MAX: i64 = 2_147_483_647;
/// The largest Unix time.
const TIME: i64 = 1 << 40;

/// One interface of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interface {
    MicroPay,
    ScanCodePay,
    CloseOrder,
    Reverse,
    Refund,
    QueryOrder,
    QueryRefund,
    OrderDetail,
    OrderStat,
    ShopInfo,
    SubMchInfo,
    MonitorUpload,
    MachineUpload,
}

impl Interface {
    /// The interface behind `/cpay/…`.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        Some(match path {
            "micro_pay" => Self::MicroPay,
            "scan_code_pay" => Self::ScanCodePay,
            "close_order" => Self::CloseOrder,
            "reverse" => Self::Reverse,
            "refund" => Self::Refund,
            "query_order" => Self::QueryOrder,
            "query_refund_order" => Self::QueryRefund,
            "client_order_detail" => Self::OrderDetail,
            "query_order_list_overview" => Self::OrderStat,
            "query_sub_mch_shop_info" => Self::ShopInfo,
            "sdk_query_sub_mch_info" => Self::SubMchInfo,
            "upload_client_monitor_info" => Self::MonitorUpload,
            "upload_client_conf_info" => Self::MachineUpload,
            _ => return None,
        })
    }

    /// The key of the interface's own part in the answer.
    pub(crate) fn part(self) -> &'static str {
        match self {
            Self::MicroPay => "micro_pay",
            Self::ScanCodePay => "scan_code_pay",
            Self::CloseOrder => "close_order",
            Self::Reverse => "reverse",
            Self::Refund => "refund",
            Self::QueryOrder => "query_order",
            Self::QueryRefund => "query_refund_order",
            Self::OrderDetail => "order_detail_query",
            Self::OrderStat => "query_order_list_overview",
            Self::ShopInfo => "query_shop_info",
            Self::SubMchInfo => "query_sub_mch_info",
            Self::MonitorUpload => "upload_client_monitor_info",
            Self::MachineUpload => "upload_client_conf_info",
        }
    }

    /// Whether it makes a payment.
    pub(crate) fn pays(self) -> bool {
        matches!(self, Self::MicroPay | Self::ScanCodePay)
    }

    /// How it may be authenticated: refunds were signed in the older manual and coded in the newer one, reverses the like.
    pub(crate) fn accepts(self) -> Accepts {
        if matches!(self, Self::Refund | Self::Reverse) {
            Accepts::CodeOrSign
        } else {
            Accepts::Code
        }
    }

    /// The keys of the request.
    pub(crate) fn fields(self) -> &'static [Field] {
        match self {
            Self::MicroPay => MICRO_PAY,
            Self::ScanCodePay => SCAN_CODE_PAY,
            Self::CloseOrder => CLOSE_ORDER,
            Self::Reverse => REVERSE,
            Self::Refund => REFUND,
            Self::QueryOrder => QUERY_ORDER,
            Self::QueryRefund => QUERY_REFUND,
            Self::OrderDetail => ORDER_DETAIL,
            Self::OrderStat => ORDER_STAT,
            Self::ShopInfo => SHOP_INFO,
            Self::SubMchInfo => SUB_MCH_INFO,
            Self::MonitorUpload => MONITOR,
            Self::MachineUpload => MACHINE,
        }
    }
}

const MCH_IDS: [Field; 6] = [
    need("out_mch_id", Text(32)),
    need("out_sub_mch_id", Text(32)),
    need("out_shop_id", Text(32)),
    may("notify_open_ids", List),
    may("wxpay_pay_mch_key_ext", Free),
    may("alipay_pay_mch_key_ext", Free),
];

const fn mch_key(platform: Field, sub_platform: Field) -> [Field; 8] {
    let [a, b, c, d, e, f] = MCH_IDS;
    [platform, sub_platform, a, b, c, d, e, f]
}

/// `pay_mch_key` where the platform must be said, and where the order knows it: 0 is the same as nothing.
const MCH_KEY: &[Field] = &mch_key(
    need("pay_platform", Number(1, 2)),
    may("sub_pay_platform", Number(100, 200)),
);
const MCH_KEY_ANY: &[Field] = &mch_key(
    may("pay_platform", Number(0, 2)),
    may("sub_pay_platform", Number(0, 200)),
);

const fn client(device: Field, machine: Field) -> [Field; 8] {
    [
        device,
        may("staff_id", Text(64)),
        need("terminal_type", Number(1, 100)),
        may("sub_terminal_type", Number(0, MAX)),
        machine,
        need("sdk_version", Text(10)),
        need("spbill_create_ip", Text(16)),
        may("sn_code", Text(127)),
    ]
}

const CLIENT_PAY: &[Field] = &client(need("device_id", Text(64)), need("machine_no", Text(32)));
const CLIENT: &[Field] = &client(need("device_id", Text(64)), may("machine_no", Text(32)));
const CLIENT_QUERY: &[Field] = &client(may("device_id", Text(64)), may("machine_no", Text(32)));

const WXPAY_EXT: &[Field] = &[
    may("attach", Text(127)),
    may("goods_tag", Text(32)),
    may("product_id", Text(32)),
    may("limit_pay", Text(32)),
];
const ALIPAY_EXT: &[Field] = &[
    may("discountable_amount", Number(0, MAX)),
    may("undiscountable_amount", Number(0, MAX)),
    may("product_code", Text(128)),
    may("royalty_info", Text(256)),
    may("extend_params", Text(256)),
    may("disable_pay_channels", Text(128)),
];

const fn pay_content(code: Field) -> [Field; 12] {
    [
        need("out_trade_no", Text(32)),
        code,
        need("total_fee", Number(1, MAX)),
        need("fee_type", Text(3)),
        need("body", Text(128)),
        may("detail", Text(6000)),
        may("remark", Text(127)),
        may("client_flow_id", Text(LONG)),
        may("time_expire", Number(0, TIME)),
        may("attach", Text(127)),
        may("wxpay_pay_content_ext", Object(WXPAY_EXT)),
        may("alipay_pay_content_ext", Object(ALIPAY_EXT)),
    ]
}

const MICRO_PAY: &[Field] = &[
    need("pay_mch_key", Object(MCH_KEY)),
    need(
        "pay_content",
        Object(&pay_content(need("author_code", Text(128)))),
    ),
    need("order_client", Object(CLIENT_PAY)),
    need("nonce_str", Text(32)),
];
const SCAN_CODE_PAY: &[Field] = &[
    need("pay_mch_key", Object(MCH_KEY)),
    need(
        "pay_content",
        Object(&pay_content(may("author_code", Text(0)))),
    ),
    need("order_client", Object(CLIENT)),
    need("nonce_str", Text(32)),
];
const CLOSE_ORDER: &[Field] = &[
    need("pay_mch_key", Object(MCH_KEY_ANY)),
    need("order_client", Object(CLIENT)),
    need("out_trade_no", Text(32)),
    may("trade_type", Number(0, 8)),
    need("nonce_str", Text(32)),
];
const REVERSE: &[Field] = &[
    need("pay_mch_key", Object(MCH_KEY_ANY)),
    need("order_client", Object(CLIENT)),
    need("out_trade_no", Text(32)),
    may("trade_type", Number(0, 8)),
    need("nonce_str", Text(32)),
];
const QUERY_ORDER: &[Field] = &[
    need("pay_mch_key", Object(MCH_KEY_ANY)),
    need("order_client", Object(CLIENT_QUERY)),
    need("out_trade_no", Text(32)),
    may("trade_type", Number(0, 8)),
    need("nonce_str", Text(32)),
];
const REFUND_CONTENT: &[Field] = &[
    need("out_trade_no", Text(32)),
    need("out_refund_no", Text(32)),
    need("total_fee", Number(1, MAX)),
    need("refund_fee", Number(1, MAX)),
    need("refund_fee_type", Text(3)),
    may("refund_reason", Text(255)),
    may("wxpay_refund_content_ext", Free),
    may("alipay_refund_order_content_ext", Free),
];
const REFUND: &[Field] = &[
    need("pay_mch_key", Object(MCH_KEY_ANY)),
    need("refund_content", Object(REFUND_CONTENT)),
    need("order_client", Object(CLIENT)),
    need("nonce_str", Text(32)),
];
const QUERY_REFUND: &[Field] = &[
    need("pay_mch_key", Object(MCH_KEY_ANY)),
    need("order_client", Object(CLIENT_QUERY)),
    may("out_trade_no", Text(32)),
    may("out_refund_no", Text(32)),
    need("nonce_str", Text(32)),
];
const ORDER_DETAIL: &[Field] = &[
    may("pay_platform", Number(1, 2)),
    may("out_mch_id", Text(32)),
    need("out_sub_mch_id", Text(32)),
    may("out_shop_id", Text(32)),
    may("staff_id", Text(64)),
    may("device_id", Text(64)),
    need("query_order_type", Number(1, 3)),
    may("start_time", Number(0, TIME)),
    need("end_time", Number(0, TIME)),
    need("page_num", Number(1, MAX)),
    need("page_size", Number(1, 1000)),
    may("nonce_str", Text(32)),
];
const ORDER_STAT: &[Field] = &[
    need("out_sub_mch_id", Text(32)),
    need("start_time", Number(0, TIME)),
    need("end_time", Number(0, TIME)),
    need("nonce_str", Text(32)),
    may("out_mch_id", Text(32)),
    may("sub_pay_platforms", List),
    may("out_shop_id", Free),
    may("staff_id", Text(64)),
    may("device_id", Text(64)),
    may("order_type", Number(1, 3)),
    may("trade_type", Free),
    may("pay_time_type", Number(0, MAX)),
    may("refund_time_type", Number(0, MAX)),
    may("time_filter", Free),
];
const SHOP_INFO: &[Field] = &[
    need("out_mch_id", Text(32)),
    need("out_sub_mch_id", Text(32)),
    may("out_shop_id", Text(32)),
    need("page_num", Number(1, MAX)),
    need("page_size", Number(1, 1000)),
    need("nonce_str", Text(32)),
];
const SUB_MCH_INFO: &[Field] = &[
    may("out_mch_id", Text(32)),
    need("out_sub_mch_id", Text(32)),
    need("page_num", Number(1, 1)),
    need("page_size", Number(1, 1)),
    need("nonce_str", Text(32)),
];
const MONITOR_INFO: &[Field] = &[
    may("client_int_results", List),
    need("machine_info", Text(LONG)),
];
const MONITOR: &[Field] = &[
    need("out_mch_id", Text(32)),
    need("out_sub_mch_id", Text(32)),
    need("out_shop_id", Text(32)),
    need("order_client", Object(CLIENT)),
    need("interval", Number(0, MAX)),
    need("is_compress", Flag),
    may("compress_type", Number(1, 3)),
    may("compressed_monitor_info", Text(LONG)),
    may("uncompressed_monitor_info", Object(MONITOR_INFO)),
    need("nonce_str", Text(32)),
];
const MACHINE: &[Field] = &[
    need("out_mch_id", Text(32)),
    need("out_sub_mch_id", Text(32)),
    need("out_shop_id", Text(32)),
    need("order_client", Object(CLIENT)),
    need("machine_info", Text(LONG)),
    need("nonce_str", Text(32)),
];
/// One entry of `client_int_results`.
pub(crate) const INT_RESULT: &[Field] = &[
    need("interface", Number(0, MAX)),
    need("status", Number(-MAX, MAX)),
    need("description", Line(255)),
    need("time_cost", Number(0, MAX)),
    need("start_time", Number(0, TIME)),
    need("log_id", Number(0, 4_294_967_295)),
    need("domain_name", Line(1024)),
    may("logs", Free),
];
/// What `compressed_monitor_info` holds.
pub(crate) const MONITOR_CONTENT: &[Field] = MONITOR_INFO;
