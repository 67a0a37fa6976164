//! Whose order is it? What a payment carries so that its order can be told from one that another
//! register made under the same number (`lifecycle.md`, "Whose order it is").

use super::payment::mask;

/// What can be seen in an answer of who made the order: on our side, what was sent for it; in an
/// answer, what the gateway hands back. What is absent or empty says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The register. Only together with `machine_no`: a cloned disk has the same one.
    pub device_id: Option<String>,
    /// The machine.
    pub machine_no: Option<String>,
    /// First two and last four digits of the payment code.
    pub payment_code: Option<String>,
    /// 16 random hex characters where the register's `attach` would be, when it gave none.
    pub tag: Option<String>,
    /// SHA-256 over all the words of the order that the gateway hands back, when the register gave
    /// an `attach` of its own.
    pub words: Option<[u8; 32]>,
    /// When the order was accepted or made, in ms since 1970 by the gateway's clock.
    pub made_ms: Option<i64>,
}

/// Who made an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    /// This register: a mark of ours, and none that differs.
    Us,
    /// Another one: a mark differs.
    Another,
    /// Nothing tells.
    Unproven,
}

/// An order made so much before it was accepted here is another one, by the gateway's clock.
const CLOCK_SLACK_MS: i64 = 120_000;

impl Marks {
    /// Who made the order that an answer shows.
    pub(crate) fn maker(&self, answered: &Self) -> Maker {
        let parts = [
            self.terminal(answered),
            same(&self.payment_code, &answered.payment_code),
            same(&self.tag, &answered.tag),
            self.words(answered),
        ];
        if parts.contains(&Some(false)) {
            Maker::Another
        } else if parts.contains(&Some(true)) {
            Maker::Us
        } else {
            Maker::Unproven
        }
    }

    /// Device and machine: either may differ, only both together are the same.
    fn terminal(&self, answered: &Self) -> Option<bool> {
        // Who hands them back may write them its own way.
        let plain = |text: &Option<String>| text.as_deref().map(|text| text.trim().to_lowercase());
        let device = same(&plain(&self.device_id), &plain(&answered.device_id));
        let machine = same(&plain(&self.machine_no), &plain(&answered.machine_no));
        match (device, machine) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }

    /// All words as sent, and not made before they were.
    fn words(&self, answered: &Self) -> Option<bool> {
        let words = same(&self.words, &answered.words)?;
        let early = match (self.made_ms, answered.made_ms) {
            (Some(ours), Some(theirs)) => theirs < ours - CLOCK_SLACK_MS,
            _ => false,
        };
        Some(words && !early)
    }

    /// The mark that a payment code leaves, where the gateway hands back at least its first two and
    /// last four digits.
    pub(crate) fn of_code(code: &str) -> Option<String> {
        let masked = mask(code);
        let digits = masked.bytes().filter(u8::is_ascii_digit).count();
        (digits == 6).then_some(masked)
    }
}

/// Whether two marks are the same; `None` where one of them is missing.
fn same<T: PartialEq>(ours: &Option<T>, theirs: &Option<T>) -> Option<bool> {
    Some(ours.as_ref()? == theirs.as_ref()?)
}

/// What the journal keeps of an order beside what the register sees of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// What was sent for it.
    pub marks: Marks,
    /// Proven to be this register's own.
    pub ours: bool,
    /// The domain that may have taken the payment: it alone can say that there is none.
    pub domain: Option<String>,
    /// When its QR code ends, in seconds since 1970, as the register asked for it.
    pub time_expire: Option<i64>,
    /// It failed because the gateway found no such order, and for no better reason.
    pub provisional: bool,
    /// It has ever been proven paid: then only the order itself says that it is over.
    pub was_paid: bool,
    /// When the end of a paid order was proven, in seconds since 1970 by the gateway's clock.
    pub reversed_at: Option<i64>,
    /// Its only sending was refused because there is an order under its number.
    pub number_used: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> Marks {
        Marks {
            device_id: Some("7".to_owned()),
            machine_no: Some("M7".to_owned()),
            payment_code: Marks::of_code("134520273825387649"),
            tag: Some("0123456789abcdef".to_owned()),
            words: Some([7; 32]),
            made_ms: Some(1_000_000),
        }
    }

    /// One mark is enough to prove it, one that differs to disprove it, and none proves nothing.
    #[test]
    fn one_mark_proves_an_order_and_one_disproves_it() {
        let text = |text: &str| Some(text.to_owned());
        let none = Marks::default();
        let answers = [
            (none.clone(), Maker::Unproven),
            (marks(), Maker::Us),
            (
                Marks {
                    device_id: text("7"),
                    ..none.clone()
                },
                Maker::Unproven,
            ),
            (
                Marks {
                    machine_no: text("M7"),
                    ..none.clone()
                },
                Maker::Unproven,
            ),
            (
                Marks {
                    device_id: text("8"),
                    ..none.clone()
                },
                Maker::Another,
            ),
            (
                Marks {
                    machine_no: text("M8"),
                    ..none.clone()
                },
                Maker::Another,
            ),
            (
                Marks {
                    payment_code: marks().payment_code,
                    ..none.clone()
                },
                Maker::Us,
            ),
            (
                Marks {
                    payment_code: text("13****7640"),
                    ..none.clone()
                },
                Maker::Another,
            ),
            (
                Marks {
                    tag: marks().tag,
                    ..none.clone()
                },
                Maker::Us,
            ),
            (
                Marks {
                    tag: text("of another"),
                    ..none.clone()
                },
                Maker::Another,
            ),
            (
                Marks {
                    words: Some([7; 32]),
                    ..none.clone()
                },
                Maker::Us,
            ),
            (
                Marks {
                    words: Some([8; 32]),
                    ..none.clone()
                },
                Maker::Another,
            ),
            (
                Marks {
                    made_ms: Some(1),
                    ..none.clone()
                },
                Maker::Unproven,
            ),
            (
                Marks {
                    words: Some([7; 32]),
                    made_ms: Some(880_000),
                    ..none.clone()
                },
                Maker::Us,
            ),
            (
                Marks {
                    words: Some([7; 32]),
                    made_ms: Some(879_999),
                    ..none.clone()
                },
                Maker::Another,
            ),
            (
                Marks {
                    tag: text("of another"),
                    ..marks()
                },
                Maker::Another,
            ),
        ];
        for (answered, maker) in answers {
            assert_eq!(marks().maker(&answered), maker, "{answered:?}");
            assert_eq!(none.maker(&answered), Maker::Unproven);
        }
    }

    #[test]
    fn a_masked_code_is_as_good_as_the_whole() {
        let whole = Marks::of_code("134520273825387649");
        assert_eq!(whole, Marks::of_code("134520********7649"));
        assert_ne!(whole, Marks::of_code("134520273825387640"));
        assert_eq!(Marks::of_code("****"), None);
        assert_eq!(Marks::of_code("**************7649"), None);
        assert_eq!(Marks::of_code(""), None);
    }
}
