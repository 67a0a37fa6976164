//! What is to happen with a payment, chosen by three digits (`README.md` has the table).

use crate::order::{Course, Kind};

/// What happens to a pay request instead of being processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instead {
    /// The connection is cut.
    Cut,
    /// Status 3, unsigned.
    Busy3,
    /// Status 103, signed.
    Busy103,
    /// Status 101, unsigned.
    Refuse101,
    /// Status 102, signed.
    Refuse102,
    /// Status 104, signed.
    Refuse104,
    /// Status 104 with internal_status 407, signed.
    Reentry,
    /// Status 104 without authentication.
    Unsigned104,
}

impl Instead {
    /// Whether only the first request with a number is treated so; the same request sent again is then processed.
    pub(crate) fn only_first(self) -> bool {
        matches!(self, Self::Cut | Self::Busy3 | Self::Busy103)
    }
}

/// How the answer to a processed request is spoilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Spoil {
    /// Not at all.
    #[default]
    None,
    /// Status 3, unsigned, though it was processed.
    Status3,
    /// The connection is cut.
    Cut,
    /// It comes late.
    Slow,
    /// A wrong authen_code.
    BadAuth,
    /// The announced length, half of the bytes, then the end of the connection.
    HalfBody,
    /// HTTP 502 with a page of HTML.
    Html502,
    /// Rightly signed, but about another order.
    OtherOrder,
    /// Status 0 without authen_info.
    NoAuth,
    /// `response_content` as an object instead of a string.
    Object,
    /// HTTP 200 with something that is not JSON.
    Garbage,
}

/// A scenario: three digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scenario(u16);

/// What a scenario means for a pay request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) instead: Option<Instead>,
    pub(crate) course: Course,
    pub(crate) spoil: Spoil,
}

impl Scenario {
    /// The scenario that a text asks for by name: `sandbox:NNN`.
    pub(crate) fn named(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sandbox:")?;
        (digits.len() == 3).then(|| three_digits(digits)).flatten()
    }

    /// The scenario that a payment code asks for by its last three digits.
    pub(crate) fn of_code(code: &str) -> Option<Self> {
        three_digits(code.get(code.len().checked_sub(3)?..)?)
    }

    /// Whether this is the refund whose answer is lost.
    pub(crate) fn loses_refund_answer(self) -> bool {
        self.0 == 913
    }

    /// The plan for a pay request. Without a scenario a scanned code pays at once and a shown code waits for its customer.
    pub(crate) fn plan(this: Option<Self>, kind: Kind) -> Plan {
        let Some(Self(code)) = this else {
            let course = if kind == Kind::MicroPay {
                Course::PaidAt(0)
            } else {
                Course::Waits
            };
            return Plan {
                instead: None,
                course,
                spoil: Spoil::None,
            };
        };
        let instead = match code {
            6 => Some(Instead::Busy3),
            7 => Some(Instead::Busy103),
            101 => Some(Instead::Refuse101),
            102 => Some(Instead::Refuse102),
            104 => Some(Instead::Refuse104),
            407 => Some(Instead::Reentry),
            902 => Some(Instead::Cut),
            910 => Some(Instead::Unsigned104),
            _ => None,
        };
        let spoil = match code {
            5 => Spoil::Status3,
            901 => Spoil::Cut,
            903 => Spoil::Slow,
            904 => Spoil::BadAuth,
            905 => Spoil::HalfBody,
            906 => Spoil::Html502,
            907 => Spoil::OtherOrder,
            908 => Spoil::NoAuth,
            909 => Spoil::Object,
            _ => Spoil::None,
        };
        let course = match code {
            1 => Course::PaidAt(2),
            2 => Course::Waits,
            3 => Course::StopsAt(2),
            4 => Course::NoMoney,
            911 => Course::LateAfterUndo,
            912 => Course::LateAfterFailure,
            _ => Course::PaidAt(0),
        };
        // A customer who is shown a code can't have paid before the register got it, nor run out of money.
        let course = match (kind, course) {
            (Kind::ScanCodePay, Course::PaidAt(0)) => Course::PaidAt(1),
            (Kind::ScanCodePay, Course::NoMoney) => Course::StopsAt(1),
            _ => course,
        };
        Plan {
            instead,
            course,
            spoil,
        }
    }
}

fn three_digits(text: &str) -> Option<Scenario> {
    let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok().map(Scenario)).flatten()
}
