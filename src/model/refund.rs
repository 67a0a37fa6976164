//! A refund as the register asks for it and as the gateway reports it.

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Evidence, Platform};

/// A checked refund request.
#[derive(Clone, Debug)]
pub(crate) struct RefundRequest {
    /// The order to refund (`out_trade_no`).
    pub trade_no: String,
    /// The refund's own number; the order number when the register gave none.
    pub refund_no: String,
    /// WeChat or Alipay; `None` when neither register nor journal said.
    pub platform: Option<Platform>,
    /// The order's amount in fen.
    pub total_fee: i64,
    /// What to give back, in fen, 1..=total_fee.
    pub refund_fee: i64,
    /// Why, at most 255 characters.
    pub reason: Option<String>,
    /// The cashier, where the register named one for this refund; not part of what is refunded.
    pub staff_id: Option<String>,
}

impl RefundRequest {
    /// Tells the same refund again from another one under the same number.
    pub(crate) fn content_digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [
            self.trade_no.as_str(),
            &self.platform.map_or(0, Platform::number).to_string(),
            &self.total_fee.to_string(),
            &self.refund_fee.to_string(),
            self.reason.as_deref().unwrap_or("\0none"),
        ] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().into()
    }
}

/// Where a refund stands. The names are those of the refund JSON's `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundState {
    /// Accepted, under way.
    Processing,
    /// The money went back.
    Success,
    /// Refused by the platform after it was accepted.
    Failed,
    /// The customer's card can't take it: give the money back by hand.
    Manual,
    /// Closed or void.
    Closed,
    /// Nobody could say.
    Unknown,
}

impl RefundState {
    const ALL: [Self; 6] = [
        Self::Processing,
        Self::Success,
        Self::Failed,
        Self::Manual,
        Self::Closed,
        Self::Unknown,
    ];

    /// The state with this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// The word in the refund JSON and in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Manual => "manual",
            Self::Closed => "closed",
            Self::Unknown => "unknown",
        }
    }
}

/// A refund: what query_refund reports.
#[derive(Clone, Debug)]
pub struct Refund {
    /// The refund's own number.
    pub refund_no: String,
    /// The order it belongs to.
    pub trade_no: String,
    /// The gateway's or platform's number.
    pub refund_id: Option<String>,
    /// Where it stands.
    pub state: RefundState,
    /// What goes back, in fen.
    pub refund_fee: Option<i64>,
    /// Who said so.
    pub evidence: Evidence,
    /// The gateway's own `refund_order_content`, untouched.
    pub content: Option<Box<RawValue>>,
}
