//! Random faults and switches, set through the control interface.

use std::time::Duration;

use ring::digest;
use serde::{Deserialize, Serialize};

use crate::options::Options;
use crate::scenario::{Instead, Spoil};

/// Which requests the random faults may hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    /// micro_pay and scan_code_pay, and what corresponds to them.
    #[default]
    Pay,
    /// Every call of a register.
    All,
}

/// The whole setting. Setting it replaces all of it; keys that are not given have their defaults.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Faults {
    /// The same seed and the same sequence of requests give the same faults.
    pub(crate) seed: u64,
    pub(crate) scope: Scope,
    /// Rates, 0 to 1. At most one of them hits a request.
    pub(crate) cut_before: f64,
    pub(crate) busy_3: f64,
    pub(crate) busy_103: f64,
    pub(crate) cut_after: f64,
    pub(crate) status_502: f64,
    pub(crate) bad_auth: f64,
    pub(crate) half_body: f64,
    pub(crate) no_auth: f64,
    pub(crate) other_order: f64,
    pub(crate) garbage: f64,
    /// Every hit request waits for a time between these two, in ms.
    pub(crate) delay_ms: Option<(u64, u64)>,
    /// ping answers 503.
    pub(crate) ping_down: bool,
    /// A payment code pays once, and has to look like one of its platform.
    pub(crate) strict_codes: bool,
    /// Every answer has `response_content` as an object instead of a string.
    pub(crate) object_answers: bool,
    /// In place of the delays that the sandbox was started with.
    pub(crate) slow_ms: Option<u64>,
    pub(crate) late_ms: Option<u64>,
    pub(crate) late_fail_ms: Option<u64>,
    pub(crate) refund_ms: Option<u64>,
}

/// What hits one request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hit {
    pub(crate) delay: Duration,
    pub(crate) instead: Option<Instead>,
    pub(crate) spoil: Spoil,
}

/// Delays in ms, as they stand now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delays {
    pub(crate) slow: u64,
    pub(crate) late: u64,
    pub(crate) late_fail: u64,
    pub(crate) refund: u64,
}

/// The setting in force, and how many requests it has seen.
#[derive(Debug)]
pub(crate) struct Chaos {
    pub(crate) faults: Faults,
    seen: u64,
    start: Delays,
}

impl Chaos {
    /// No faults, and the delays of the options.
    pub(crate) fn new(options: &Options) -> Self {
        let start = Delays {
            slow: options.slow_ms,
            late: options.late_ms,
            late_fail: options.late_fail_ms,
            refund: options.refund_ms,
        };
        Self {
            faults: Faults::default(),
            seen: 0,
            start,
        }
    }

    /// Puts another setting in force and begins its sequence.
    pub(crate) fn set(&mut self, faults: Faults) {
        self.faults = faults;
        self.seen = 0;
    }

    /// The delays in force.
    pub(crate) fn delays(&self) -> Delays {
        Delays {
            slow: self.faults.slow_ms.unwrap_or(self.start.slow),
            late: self.faults.late_ms.unwrap_or(self.start.late),
            late_fail: self.faults.late_fail_ms.unwrap_or(self.start.late_fail),
            refund: self.faults.refund_ms.unwrap_or(self.start.refund),
        }
    }

    /// What hits the next request.
    pub(crate) fn draw(&mut self, pays: bool) -> Hit {
        let f = &self.faults;
        if f.scope == Scope::Pay && !pays {
            return Hit::default();
        }
        let dice = Dice::roll(f.seed, self.seen);
        self.seen += 1;
        let mut hit = Hit::default();
        if let Some((least, most)) = f.delay_ms {
            let span = most.saturating_sub(least).saturating_add(1);
            hit.delay = Duration::from_millis(least.saturating_add(dice.delay % span));
        }
        // A status 3 says "unknown": half of those requests were processed, half were not.
        let busy_instead = dice.coin.then_some(Instead::Busy3);
        let busy_spoil = if dice.coin {
            Spoil::None
        } else {
            Spoil::Status3
        };
        let table = [
            (f.cut_before, Some(Instead::Cut), Spoil::None),
            (f.busy_3, busy_instead, busy_spoil),
            (f.busy_103, Some(Instead::Busy103), Spoil::None),
            (f.cut_after, None, Spoil::Cut),
            (f.status_502, None, Spoil::Html502),
            (f.bad_auth, None, Spoil::BadAuth),
            (f.half_body, None, Spoil::HalfBody),
            (f.no_auth, None, Spoil::NoAuth),
            (f.other_order, None, Spoil::OtherOrder),
            (f.garbage, None, Spoil::Garbage),
        ];
        let mut left = dice.fault;
        for (rate, instead, spoil) in table {
            if left < rate {
                return Hit {
                    instead,
                    spoil,
                    ..hit
                };
            }
            left -= rate;
        }
        hit
    }
}

/// The random numbers of one request: a hash of the seed and the request's place in the sequence.
struct Dice {
    fault: f64,
    delay: u64,
    coin: bool,
}

impl Dice {
    fn roll(seed: u64, place: u64) -> Self {
        let mut input = seed.to_be_bytes().to_vec();
        input.extend(place.to_be_bytes());
        let hash = digest::digest(&digest::SHA256, &input);
        let mut words = hash
            .as_ref()
            .chunks_exact(4)
            .map(|c| c.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)));
        let mut next = || words.next().unwrap_or_default();
        Self {
            fault: f64::from(next()) / 4_294_967_296.0,
            delay: u64::from(next()),
            coin: next() & 1 == 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_faults_at_about_their_rate() {
        let run = |seed| {
            let mut chaos = Chaos::new(&Options::default());
            chaos.set(Faults {
                seed,
                cut_before: 0.1,
                cut_after: 0.2,
                ..Faults::default()
            });
            (0..5_000)
                .map(|_| chaos.draw(true))
                .map(|h| (h.instead, h.spoil))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let count = |wanted| run(1).iter().filter(|h| **h == wanted).count();
        assert!((400..600).contains(&count((Some(Instead::Cut), Spoil::None))));
        assert!((850..1_150).contains(&count((None, Spoil::Cut))));
    }

    #[test]
    fn faults_for_payments_leave_queries_alone() {
        let mut chaos = Chaos::new(&Options::default());
        chaos.set(Faults {
            cut_before: 1.0,
            ..Faults::default()
        });
        assert_eq!(chaos.draw(false).instead, None);
        assert_eq!(chaos.draw(true).instead, Some(Instead::Cut));
    }
}
