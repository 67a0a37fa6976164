//! What is uploaded of the calls to the gateway: how each ended, how long it took, on which
//! domain. No key, no payment code, nothing of the customer (`lifecycle.md`, invariant 7). It
//! waits in a bounded place and is dropped, and counted, rather than holding up a payment.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::clock;
use crate::engine::Heard;
use crate::gateway::{Answer, Call, Verdict};
use crate::lock;
use crate::model::{Report, TradeType};

/// Results that wait for an upload; the oldest give way.
const MAX_WAITING: usize = 500;

/// So many results are uploaded without waiting for the interval.
const FULL: usize = 200;

/// One call: the protocol's `ClientIntResult`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CallResult {
    /// The protocol's `Interface` number.
    interface: i64,
    status: i64,
    description: &'static str,
    /// Milliseconds.
    time_cost: u64,
    /// Seconds since 1970.
    start_time: i64,
    log_id: i64,
    domain_name: String,
}

/// What an upload carries.
#[derive(Debug)]
pub(crate) enum Upload {
    /// How the calls went, and how busy the machine is.
    Calls {
        /// Seconds to the next upload.
        interval: u64,
        /// The results.
        results: Vec<CallResult>,
        /// JSON, which travels as a string.
        machine: Value,
    },
    /// What kind of machine it is: once per start.
    Machine(Value),
}

/// Results waiting for their upload.
#[derive(Default)]
pub(crate) struct Monitor {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    results: VecDeque<CallResult>,
    dropped: u64,
}

impl Monitor {
    /// Notes how a call went. Says whether it is time for an upload.
    pub(crate) fn note(
        &self,
        call: &Call<'_>,
        heard: &Heard,
        domain: &str,
        took: Duration,
    ) -> bool {
        let (status, description, log_id) = outcome(heard);
        self.push(interface(call), status, description, log_id, domain, took)
    }

    /// Notes how a probe of a domain went. Says whether it is time for an upload.
    pub(crate) fn note_probe(&self, domain: &str, up: bool, took: Duration) -> bool {
        let (status, description) = if up { (0, "up") } else { (3, "down") };
        self.push(PING, status, description, 0, domain, took)
    }

    fn push(
        &self,
        interface: i64,
        status: i64,
        description: &'static str,
        log_id: i64,
        domain: &str,
        took: Duration,
    ) -> bool {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let result = CallResult {
            interface,
            status,
            description,
            time_cost: took_ms,
            start_time: (clock::now_ms() - i64::try_from(took_ms).unwrap_or(0)) / 1000,
            log_id,
            domain_name: domain.to_owned(),
        };
        let mut waiting = lock(&self.waiting);
        if waiting.results.len() >= MAX_WAITING {
            waiting.results.pop_front();
            waiting.dropped = waiting.dropped.saturating_add(1);
        }
        waiting.results.push_back(result);
        waiting.results.len() == FULL
    }

    /// Takes what waits, and how many were dropped since the last time.
    pub(crate) fn take(&self) -> (Vec<CallResult>, u64) {
        let mut waiting = lock(&self.waiting);
        let results = std::mem::take(&mut waiting.results).into();
        (results, std::mem::take(&mut waiting.dropped))
    }

    /// Puts back what could not be uploaded, as far as there is room.
    pub(crate) fn put_back(&self, results: Vec<CallResult>, dropped: u64) {
        let mut waiting = lock(&self.waiting);
        waiting.dropped = waiting.dropped.saturating_add(dropped);
        for result in results.into_iter().rev() {
            if waiting.results.len() >= MAX_WAITING {
                waiting.dropped = waiting.dropped.saturating_add(1);
            } else {
                waiting.results.push_front(result);
            }
        }
    }
}

/// The protocol's `Interface` number of a ping.
const PING: i64 = 50_000;

/// The protocol's `Interface` number of a call.
fn interface(call: &Call<'_>) -> i64 {
    match call {
        Call::Pay(payment) => match payment.trade_type() {
            TradeType::MicroPay => 100,
            TradeType::ScanCode => 101,
        },
        Call::CloseOrder(_) => 103,
        Call::Refund(_) => 104,
        Call::QueryOrder(_) => 106,
        Call::QueryRefund(_) | Call::QueryRefunds(_) => 107,
        Call::Reverse(_) => 108,
        Call::Report(Report::Shops { .. } | Report::SubMerchant) => 14,
        Call::Report(Report::Orders { .. }) => 221,
        Call::Report(Report::Sums { .. }) => 224,
        Call::Upload(Upload::Calls { .. }) => 202,
        Call::Upload(Upload::Machine(_)) => 203,
    }
}

/// Status, description and log id. Our own words only: a gateway's description may repeat what
/// has no place in an upload.
fn outcome(heard: &Heard) -> (i64, &'static str, i64) {
    let (status, words, log_id) = match heard {
        Heard::NotSent(_) => (3, "not sent", None),
        Heard::Lost(_) => (3, "no answer", None),
        Heard::Answer(Answer { verdict, evidence }) => {
            let (status, words) = match verdict {
                Verdict::Order(facts) => (0, facts.state.name()),
                Verdict::Refund(refund) => (0, refund.state.name()),
                Verdict::Report(_) | Verdict::Refunds(_) | Verdict::AskAgain | Verdict::Done => {
                    (0, "done")
                }
                Verdict::NotFound => (104, "not_found"),
                Verdict::Refused(_) => (104, "refused"),
                Verdict::Reentry(_) => (104, "reentry"),
                Verdict::RefusedUnsigned(_) | Verdict::NumberUsed(_) => (101, "refused"),
                Verdict::Busy(_) => (103, "busy"),
                Verdict::Untrusted(_) => (3, "thrown away"),
            };
            (status, words, evidence.log_id)
        }
    };
    (status, words, log_id.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Text;

    #[test]
    fn what_waits_is_bounded_and_what_is_dropped_is_counted() {
        let monitor = Monitor::default();
        let report = Report::SubMerchant;
        let lost = Heard::Lost(Text::verbatim("words"));
        let mut full = 0;
        for _ in 0..MAX_WAITING + 3 {
            let call = Call::Report(&report);
            full += u32::from(monitor.note(&call, &lost, "domain", Duration::ZERO));
        }
        assert_eq!(full, 1);
        let (results, dropped) = monitor.take();
        assert_eq!((results.len(), dropped), (MAX_WAITING, 3));
        monitor.note(&Call::Report(&report), &lost, "domain", Duration::ZERO);
        monitor.put_back(results, dropped);
        let (results, dropped) = monitor.take();
        assert_eq!((results.len(), dropped), (MAX_WAITING, 4));
    }
}
