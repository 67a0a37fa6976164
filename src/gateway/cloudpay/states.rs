//! The protocol's state numbers, and what they mean for an order and a refund.

use crate::model::{OrderState, Platform, RefundState, TradeType};

/// `current_trade_state`: `WxpayOrderState` and `AlipayOrderState`. A number that isn't listed
/// is unknown: the order is asked for again.
pub(super) fn order_state(platform: Platform, trade_type: TradeType, number: i64) -> OrderState {
    let waiting = match trade_type {
        TradeType::MicroPay => OrderState::Paying,
        TradeType::ScanCode => OrderState::CodeReady,
    };
    match (platform, number) {
        (Platform::WeChat, 1 | 9 | 12) => OrderState::Paying,
        (Platform::WeChat, 2 | 3) => OrderState::Paid,
        (Platform::WeChat, 4) => OrderState::Refunded,
        (Platform::WeChat, 5 | 10) => OrderState::Failed,
        (Platform::WeChat, 6) => waiting,
        (Platform::WeChat, 7) => OrderState::Closed,
        (Platform::WeChat, 8) => OrderState::Reversed,
        (Platform::WeChat, 11) => OrderState::NotFound,
        (Platform::Alipay, 1) => OrderState::Paying,
        (Platform::Alipay, 2 | 6) => OrderState::Paid,
        (Platform::Alipay, 4) => waiting,
        (Platform::Alipay, 5) => OrderState::Closed,
        (Platform::Alipay, 7) => OrderState::NotFound,
        _ => OrderState::Unknown,
    }
}

/// `WxpayRefundOrderState.state` and `AlipayRefundOrderState`. `None`: no such refund.
pub(super) fn refund_state(platform: Platform, number: i64) -> Option<RefundState> {
    Some(match (platform, number) {
        (_, 1) => RefundState::Processing,
        (_, 2) => RefundState::Success,
        (_, 3) => RefundState::Failed,
        (_, 4) => RefundState::Processing,
        (Platform::WeChat, 5) => RefundState::Manual,
        (Platform::WeChat, 6) => RefundState::Closed,
        (Platform::Alipay, 5) => return None,
        _ => RefundState::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use OrderState::*;

    #[test]
    fn order_states_are_those_of_the_protocol() {
        let wechat = |number| order_state(Platform::WeChat, TradeType::MicroPay, number);
        let expected = [
            Unknown, Paying, Paid, Paid, Refunded, Failed, Paying, Closed, Reversed, Paying,
            Failed, NotFound, Paying, Unknown,
        ];
        for (number, state) in (0..).zip(expected) {
            assert_eq!(wechat(number), state, "WeChat {number}");
        }
        let alipay = |number| order_state(Platform::Alipay, TradeType::ScanCode, number);
        let expected = [
            Unknown, Paying, Paid, Unknown, CodeReady, Closed, Paid, NotFound, Unknown,
        ];
        for (number, state) in (0..).zip(expected) {
            assert_eq!(alipay(number), state, "Alipay {number}");
        }
        assert_eq!(
            order_state(Platform::WeChat, TradeType::ScanCode, 6),
            CodeReady
        );
        assert_eq!(
            order_state(Platform::Alipay, TradeType::MicroPay, 4),
            Paying
        );
    }
}
