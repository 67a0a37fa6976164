//! An order as the register sees it.

use serde_json::value::RawValue;

use super::{Platform, TradeType};

/// Where an order stands. The names are those of the order JSON's `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// Under way: sent or about to be, the customer may be typing a password.
    Paying,
    /// The QR code can be shown.
    CodeReady,
    /// Proven paid.
    Paid,
    /// Proven not paid, and never will be.
    Failed,
    /// Closed before anybody paid.
    Closed,
    /// Reversed: the money went back.
    Reversed,
    /// Refunded.
    Refunded,
    /// This number belongs to another payment: never cancel it.
    Reentry,
    /// The gateway knows no such order.
    NotFound,
    /// Nobody could say.
    Unknown,
}

impl OrderState {
    /// Every state, for tables and tests.
    pub const ALL: [Self; 10] = [
        Self::Paying,
        Self::CodeReady,
        Self::Paid,
        Self::Failed,
        Self::Closed,
        Self::Reversed,
        Self::Refunded,
        Self::Reentry,
        Self::NotFound,
        Self::Unknown,
    ];

    /// The word in the order JSON and in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Paying => "paying",
            Self::CodeReady => "code_ready",
            Self::Paid => "paid",
            Self::Failed => "failed",
            Self::Closed => "closed",
            Self::Reversed => "reversed",
            Self::Refunded => "refunded",
            Self::Reentry => "reentry",
            Self::NotFound => "not_found",
            Self::Unknown => "unknown",
        }
    }

    /// The state with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// What `cloud_pay_query_order` returns for it.
    pub const fn code(self) -> i32 {
        match self {
            Self::Paid => 0,
            Self::Failed => -1,
            Self::Paying | Self::Unknown => -2,
            Self::Closed | Self::Reversed | Self::Refunded => -4,
            Self::CodeReady => -5,
            Self::Reentry => -6,
            Self::NotFound => -7,
        }
    }

    /// Whether it ended without payment.
    pub const fn is_unpaid(self) -> bool {
        matches!(self, Self::Failed | Self::Closed | Self::Reversed)
    }

    /// Whether polling ends here.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Paid
                | Self::Failed
                | Self::Closed
                | Self::Reversed
                | Self::Refunded
                | Self::Reentry
        )
    }
}

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The gateway, in an answer to this process.
    Gateway,
    /// The library's own journal.
    Journal,
}

impl Source {
    /// The word in the order JSON and in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Journal => "journal",
        }
    }
}

/// Why a verdict is what it is (`lifecycle.md`, invariant 9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Who said it.
    pub source: Source,
    /// Whether the answer carried the right authentication code.
    pub authenticated: bool,
    /// When, in milliseconds since 1970, by this machine's clock.
    pub time_ms: i64,
    /// When, by the gateway's clock (`Date`), in milliseconds since 1970. Not in the journal.
    pub gateway_ms: Option<i64>,
    /// Which of the gateway's domains; empty when no answer was involved.
    pub domain: String,
    /// The gateway's own number for the exchange, to ask its support with.
    pub log_id: Option<i64>,
}

/// How much of an order went back to the customer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refunds {
    /// Proven or accepted, in fen.
    pub fee: i64,
    /// The result of one isn't known.
    pub unknown: bool,
}

impl Order {
    /// What is known to have gone back: `refunded_fee` in fen, where it is known, and
    /// `refund_state`.
    pub(crate) fn refunded(&self) -> (Option<i64>, &'static str) {
        match self.refunds {
            Some(Refunds { unknown: true, .. }) => (None, "unknown"),
            // The gateway knows of a refund that this journal doesn't.
            Some(Refunds { fee: 0, .. }) if self.state == OrderState::Refunded => (None, "unknown"),
            Some(Refunds { fee: 0, .. }) => (Some(0), "none"),
            Some(Refunds { fee, .. }) if self.total_fee.is_some_and(|total| fee >= total) => {
                (Some(fee), "full")
            }
            Some(Refunds { fee, .. }) => (Some(fee), "partial"),
            None => (None, "unknown"),
        }
    }
}

/// An order that a register should look at, and why.
#[derive(Clone, Debug)]
pub struct PendingOrder {
    /// The order, without the gateway's words.
    pub order: Order,
    /// `untold`, `unknown`, `late`, `reopened` or `refund_open`.
    pub why: &'static str,
    /// Since when: it became final, or was accepted; in milliseconds since 1970.
    pub since_ms: i64,
}

/// An order: what query_order, wait_order and the callback report.
#[derive(Clone, Debug)]
pub struct Order {
    /// The register's order number.
    pub trade_no: String,
    /// WeChat or Alipay; `None` when neither register nor journal said.
    pub platform: Option<Platform>,
    /// How it is paid; `None` when neither register nor journal said.
    pub trade_type: Option<TradeType>,
    /// Where it stands.
    pub state: OrderState,
    /// Amount in fen.
    pub total_fee: Option<i64>,
    /// The text of the QR code.
    pub code_url: Option<String>,
    /// WeChat's or Alipay's own number.
    pub transaction_id: Option<String>,
    /// When it was paid, in seconds since 1970, by the gateway's clock.
    pub time_end: Option<i64>,
    /// A reason or a note, for people.
    pub message: String,
    /// Found again after a restart, and not yet shown to the register.
    pub recovered: bool,
    /// Paid after it had been reported as ended without payment.
    pub late: bool,
    /// Reported as failed, and found under way after that.
    pub reopened: bool,
    /// Why the gateway refused it, in its own words: kept whatever is found out later.
    pub reason: Option<String>,
    /// What was given back, as far as the journal knows; `None`: it doesn't hold the order.
    pub refunds: Option<Refunds>,
    /// Who said so.
    pub evidence: Option<Evidence>,
    /// The gateway's own `order_content`, untouched. From the journal: without the customer's
    /// payment code and identity.
    pub content: Option<Box<RawValue>>,
    /// The gateway's own `pay_mch_key`, untouched: accounts at the platform, and who paid. Only
    /// from a live answer: the journal doesn't keep it.
    pub mch_key: Option<Box<RawValue>>,
}

impl Order {
    /// An order of which only the number is known.
    pub fn unknown(trade_no: impl Into<String>) -> Self {
        Self {
            trade_no: trade_no.into(),
            platform: None,
            trade_type: None,
            state: OrderState::Unknown,
            total_fee: None,
            code_url: None,
            transaction_id: None,
            time_end: None,
            message: String::new(),
            recovered: false,
            late: false,
            reopened: false,
            reason: None,
            refunds: None,
            evidence: None,
            content: None,
            mch_key: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_are_those_of_the_abi() {
        let table: Vec<_> = OrderState::ALL
            .iter()
            .map(|state| (state.name(), state.code(), state.is_final()))
            .collect();
        assert_eq!(
            table,
            [
                ("paying", -2, false),
                ("code_ready", -5, false),
                ("paid", 0, true),
                ("failed", -1, true),
                ("closed", -4, true),
                ("reversed", -4, true),
                ("refunded", -4, true),
                ("reentry", -6, true),
                ("not_found", -7, false),
                ("unknown", -2, false),
            ]
        );
        for state in OrderState::ALL {
            assert_eq!(OrderState::from_name(state.name()), Some(state));
        }
    }
}
