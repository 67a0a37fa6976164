//! One order of the gateway: its state, its entries in the ledger, its refunds.

use serde::Serialize;

/// Which protocol an order came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// The cloud-pay protocol.
    CloudPay,
    /// The epay123 protocol.
    Epay123,
}

/// How the customer pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 刷卡支付: the register scans the customer's code.
    MicroPay,
    /// 扫码支付: the customer scans the register's code.
    ScanCodePay,
}

impl Kind {
    /// The protocol's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MicroPay => "micro_pay",
            Self::ScanCodePay => "scan_code_pay",
        }
    }
}

/// Whose customer pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Platform {
    /// WeChat Pay.
    Wxpay,
    /// Alipay.
    Alipay,
}

impl Platform {
    /// `pay_platform` on the wire.
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Wxpay => 1,
            Self::Alipay => 2,
        }
    }
}

/// Where an order stands. What a refund changes is not here: it follows from the refunds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The customer was asked and has not answered.
    Waiting,
    /// Charged.
    Paid,
    /// The customer said no.
    Stopped,
    /// The payment went wrong.
    Failed,
    /// Closed without a payment.
    Closed,
    /// Reversed.
    Reversed,
}

/// What a waiting order does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// Paid at the n-th query; 0 is at once.
    PaidAt(u32),
    /// The customer says no, seen at the n-th query.
    StopsAt(u32),
    /// Nothing, until a person clicks.
    Waits,
    /// Failed at once.
    NoMoney,
    /// Waits; but if it is reversed or closed, a charge that was under way lands after it.
    LateAfterUndo,
    /// Failed at once; but the charge was under way and lands later.
    LateAfterFailure,
}

/// One line of the ledger. Lines are only ever added.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Entry {
    /// Unix ms.
    pub(crate) at_ms: u64,
    /// What happened.
    pub(crate) what: What,
    /// Fen.
    pub(crate) amount: u64,
}

/// What a line of the ledger says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum What {
    /// The customer's money was taken.
    Charge,
    /// All of it went back.
    Reverse,
    /// A part of it, or all, went back.
    Refund,
}

/// One refund.
#[derive(Debug, Clone)]
pub(crate) struct Refund {
    pub(crate) no: Box<str>,
    /// The gateway's own number.
    pub(crate) seq: u64,
    pub(crate) fee: u64,
    /// The request, as it was signed.
    pub(crate) origin: Box<str>,
    pub(crate) created_ms: u64,
    /// When it succeeded; `None` while it is processed.
    pub(crate) done_ms: Option<u64>,
    /// When it succeeds by itself.
    pub(crate) due_ms: u64,
    pub(crate) queries: u32,
}

/// Who asked for an order, and whose customer it is: what tells two registers under one number apart.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Asker {
    pub(crate) device_id: String,
    pub(crate) machine_no: String,
    pub(crate) client_ip: String,
    /// Two first and four last digits.
    pub(crate) author_code: String,
    /// `extParam` at epay123.
    pub(crate) attach: String,
}

/// A payment code as it may be shown; empty for an order that had none.
pub(crate) fn masked(code: &str) -> String {
    let digits: Vec<char> = code.chars().collect();
    match (digits.first_chunk::<2>(), digits.last_chunk::<4>()) {
        (Some(first), Some(last)) if digits.len() > 6 => {
            let stars = std::iter::repeat_n(&'*', digits.len() - 6);
            first.iter().chain(stars).chain(last).collect()
        }
        _ => "*".repeat(digits.len()),
    }
}

/// One order.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) no: Box<str>,
    /// The gateway's own number.
    pub(crate) seq: u64,
    pub(crate) protocol: Protocol,
    pub(crate) kind: Kind,
    pub(crate) platform: Platform,
    /// Fen.
    pub(crate) total_fee: u64,
    pub(crate) state: State,
    pub(crate) course: Course,
    /// Which payment this is: the same number with another one is a re-entry.
    pub(crate) content: [u8; 32],
    /// The terminal that asked for it.
    pub(crate) device: Box<str>,
    /// The listener that it came by.
    pub(crate) listener: usize,
    /// The pay request, as it was signed. Everything that is only echoed is read from here again.
    pub(crate) origin: Box<str>,
    pub(crate) created_ms: u64,
    pub(crate) updated_ms: u64,
    pub(crate) expires_ms: u64,
    /// When a charge lands by itself.
    pub(crate) late_ms: Option<u64>,
    /// Queries that decided the course so far.
    pub(crate) polls: u32,
    pub(crate) entries: Vec<Entry>,
    pub(crate) refunds: Vec<Refund>,
}

/// Everything that is known when an order is made.
pub(crate) struct NewOrder<'a> {
    pub(crate) no: &'a str,
    pub(crate) protocol: Protocol,
    pub(crate) kind: Kind,
    pub(crate) platform: Platform,
    pub(crate) total_fee: u64,
    pub(crate) course: Course,
    pub(crate) content: [u8; 32],
    pub(crate) device: &'a str,
    pub(crate) listener: usize,
    pub(crate) origin: &'a str,
    /// When an unpaid order closes; `None`: two hours from now.
    pub(crate) expires_ms: Option<u64>,
}

impl Order {
    /// The sum of the entries of one sort, in fen.
    pub(crate) fn sum(&self, what: What) -> u64 {
        self.entries
            .iter()
            .filter(|e| e.what == what)
            .map(|e| e.amount)
            .sum()
    }

    /// What the customer has paid and not got back, in fen.
    pub(crate) fn net(&self) -> i64 {
        let fen = |what| i64::try_from(self.sum(what)).unwrap_or(i64::MAX);
        fen(What::Charge) - fen(What::Reverse) - fen(What::Refund)
    }

    /// When the customer's money was last taken.
    pub(crate) fn paid_ms(&self) -> Option<u64> {
        self.entries
            .iter()
            .rev()
            .find(|e| e.what == What::Charge)
            .map(|e| e.at_ms)
    }

    /// The sum of all refunds, also of those that are still processed, in fen.
    pub(crate) fn refund_sum(&self) -> u64 {
        self.refunds.iter().map(|r| r.fee).sum()
    }

    /// Whether a query calls this order refunded: WeChat from the first refund on, all others when nothing is left.
    pub(crate) fn is_refunded(&self) -> bool {
        match (self.protocol, self.platform) {
            (Protocol::CloudPay, Platform::Wxpay) => !self.refunds.is_empty(),
            _ => self.sum(What::Refund) >= self.total_fee,
        }
    }

    /// The state in a word, for the ledger and the console.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            State::Waiting if self.kind == Kind::MicroPay => "paying",
            State::Waiting => "waiting",
            State::Paid if self.is_refunded() => "refunded",
            State::Paid => "paid",
            State::Stopped => "stopped",
            State::Failed => "failed",
            State::Closed => "closed",
            State::Reversed => "reversed",
        }
    }
}
