//! What both gateways share: amounts, platforms, payment codes, orders and refunds.

mod order;
mod origin;
mod payment;
mod refund;
mod report;

pub use order::{Evidence, Order, OrderState, PendingOrder, Refunds, Source};
pub(crate) use origin::{Maker, Marks, Origin};
pub(crate) use payment::{AlipayExtras, CodeKey, Payment, PaymentCode};
pub(crate) use refund::RefundRequest;
pub use refund::{Refund, RefundState};
pub(crate) use report::MAX_PAGE_SIZE;
pub(crate) use report::{Page, Report, Scope};

use crate::text::{Text, text};

/// The largest amount of one order, in fen (the protocol's amounts are signed 32-bit).
pub(crate) const MAX_FEE: i64 = 2_147_483_647;

/// The longest order or refund number, in characters (the protocol's `String(32)`).
pub(crate) const MAX_TRADE_NO: usize = 32;

/// Who moves the customer's money. Protocol: `PayPlatform` and `SubPayPlatform`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// WeChat Pay, 微信支付: 1 (sub-platform 100).
    WeChat,
    /// Alipay, 支付宝: 2 (sub-platform 200).
    Alipay,
}

impl Platform {
    /// The number in the protocol and in the C ABI.
    pub const fn number(self) -> i64 {
        match self {
            Self::WeChat => 1,
            Self::Alipay => 2,
        }
    }

    /// The platform's default `sub_pay_platform`.
    pub const fn sub_number(self) -> i64 {
        match self {
            Self::WeChat => 100,
            Self::Alipay => 200,
        }
    }

    /// The platform with this number.
    pub const fn from_number(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::WeChat),
            2 => Some(Self::Alipay),
            _ => None,
        }
    }
}

/// How an order is paid. Protocol: `TradeType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TradeType {
    /// 刷卡支付, 1: the cashier scans the customer's phone.
    MicroPay,
    /// 扫码支付, 2: the customer scans a QR code.
    ScanCode,
}

impl TradeType {
    /// The number in the protocol and in the C ABI.
    pub const fn number(self) -> i64 {
        match self {
            Self::MicroPay => 1,
            Self::ScanCode => 2,
        }
    }

    /// The trade type with this number; 3 to 8 are payments that no register makes.
    pub const fn from_number(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::MicroPay),
            2 => Some(Self::ScanCode),
            _ => None,
        }
    }
}

/// Refuses an order or refund number that the protocol could not carry unharmed.
pub(crate) fn check_number(number: &str) -> Result<(), Text> {
    match number.chars().find(|c| c.is_control() || c.is_whitespace()) {
        None => Ok(()),
        Some(c) => {
            let code = u32::from(c);
            Err(text!(
                "不能包含空白或控制字符（U+{code:04X}）",
                "must not contain white space or control characters (U+{code:04X})"
            ))
        }
    }
}
