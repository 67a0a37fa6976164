//! What a register asks about the merchant: shops, lists of orders, sums.

/// The most entries that a page may hold.
pub(crate) const MAX_PAGE_SIZE: i64 = 1000;

/// Which page of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    /// Counted from 1.
    pub number: i64,
    /// Entries on a page.
    pub size: i64,
}

/// A question about the merchant. Times in seconds since 1970.
#[derive(Clone, Debug)]
pub(crate) enum Report {
    /// 门店查询: the merchant's shops.
    Shops {
        /// One shop only.
        out_shop_id: Option<String>,
        /// Which page.
        page: Page,
    },
    /// The sub-merchant, with its order prefix.
    SubMerchant,
    /// 交易明细: orders and refunds, newest first.
    Orders {
        /// Whose, and from when to when.
        scope: Scope,
        /// Which page.
        page: Page,
    },
    /// 交易统计: sums over orders and refunds.
    Sums {
        /// Whose, and from when to when.
        scope: Scope,
        /// More than one shop.
        out_shop_ids: Vec<String>,
        /// Protocol: `sub_pay_platforms`, 100 WeChat, 200 Alipay.
        sub_pay_platforms: Vec<i64>,
        /// Protocol: `trade_type`.
        trade_type: Option<i64>,
        /// Protocol: `pay_time_type`.
        pay_time_type: Option<i64>,
        /// Protocol: `refund_time_type`.
        refund_time_type: Option<i64>,
        /// Protocol: `time_filter`.
        time_filter: Option<i64>,
    },
}

/// Whose orders, and when.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// 1 WeChat, 2 Alipay; both when not given.
    pub pay_platform: Option<i64>,
    /// 1 payments, 2 refunds, 3 both.
    pub order_type: i64,
    /// One shop.
    pub out_shop_id: Option<String>,
    /// One cashier of that shop.
    pub staff_id: Option<String>,
    /// One register of that shop.
    pub device_id: Option<String>,
    /// From.
    pub start_time: i64,
    /// To.
    pub end_time: i64,
}
