//! What goes on beside the payments: domains are probed, a connection is kept warm, and how the
//! calls went is uploaded. All of it on one thread, none of it in a payment's way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, after, select};
use serde_json::json;

use super::Engine;
use super::step::Heard;
use crate::gateway::{Call, Verdict};
use crate::http::Failover;
use crate::telemetry::{Machine, Upload};

/// The prober keeps one connection warm by asking this often.
const WARM_INTERVAL: Duration = Duration::from_secs(30);

/// A domain that is down is asked this often whether it is back.
const DOWN_INTERVAL: Duration = Duration::from_secs(3);

/// The first upload comes this long after the start, out of the way of the first sale.
const FIRST_UPLOAD: Duration = Duration::from_secs(5);

/// Between uploads, until the gateway says otherwise.
const UPLOAD_INTERVAL: Duration = Duration::from_secs(60);

/// The gateway may ask for uploads this often, and this seldom, in seconds.
const INTERVALS: std::ops::RangeInclusive<u64> = 10..=86_400;

/// What wakes the housekeeping before its time.
pub(super) struct Bells {
    /// Ends when the library stops.
    pub(super) stop: Receiver<()>,
    /// A domain could not be connected to.
    pub(super) domain_failed: Receiver<()>,
    /// Enough results are waiting.
    pub(super) monitor_full: Receiver<()>,
}

/// The housekeeping thread.
pub(super) fn run(engine: &Arc<Engine>, bells: &Bells, probe: bool, monitor: bool) {
    let mut house = House {
        engine,
        machine: Machine::new(),
        interval: UPLOAD_INTERVAL,
    };
    let mut next_probe = probe.then(Instant::now);
    let mut next_upload = monitor.then(|| Instant::now() + FIRST_UPLOAD);
    let mut described = false;
    loop {
        let now = Instant::now();
        if next_probe.is_some_and(|at| at <= now) {
            let path = engine.gateway.ping_path();
            let all_up = engine.http.probe(path, |domain, up, took| {
                engine.monitor.note_probe(domain, up, took);
            });
            next_probe = Some(Instant::now() + if all_up { WARM_INTERVAL } else { DOWN_INTERVAL });
        }
        if next_upload.is_some_and(|at| at <= now) {
            described = described || house.upload_machine();
            house.upload_calls();
            next_upload = Some(Instant::now() + house.interval);
        }
        let next = [next_probe, next_upload].into_iter().flatten().min();
        let Some(next) = next else { return };
        select! {
            recv(bells.stop) -> _ => return,
            recv(bells.domain_failed) -> _ => {
                let soon = Instant::now() + DOWN_INTERVAL;
                next_probe = next_probe.map(|at| at.min(soon));
            }
            recv(bells.monitor_full) -> _ => next_upload = next_upload.map(|_| Instant::now()),
            recv(after(next.saturating_duration_since(Instant::now()))) -> _ => {}
        }
    }
}

struct House<'a> {
    engine: &'a Engine,
    machine: Machine,
    interval: Duration,
}

impl House<'_> {
    /// Uploads what kind of machine this is; says whether it arrived.
    fn upload_machine(&mut self) -> bool {
        let upload = Upload::Machine(self.machine.description());
        self.send(&upload).is_some()
    }

    /// Uploads how the calls went. What doesn't arrive waits for the next time.
    fn upload_calls(&mut self) {
        let (results, dropped) = self.engine.monitor.take();
        let mut machine = self.machine.usage();
        if let Some(machine) = machine.as_object_mut() {
            machine.insert("dropped_results".to_owned(), json!(dropped));
        }
        let upload = Upload::Calls {
            interval: self.interval.as_secs(),
            results,
            machine,
        };
        let answer = self.send(&upload);
        match answer {
            Some(wanted) if INTERVALS.contains(&wanted) => {
                self.interval = Duration::from_secs(wanted);
            }
            Some(_) => {}
            None => {
                if let Upload::Calls { results, .. } = upload {
                    self.engine.monitor.put_back(results, dropped);
                }
            }
        }
    }

    /// Sends an upload; `None` when it didn't arrive, otherwise the interval asked for (0: as
    /// before).
    fn send(&self, upload: &Upload) -> Option<u64> {
        match self
            .engine
            .ask_quietly(&Call::Upload(upload), Failover::Any)
        {
            Heard::Answer(answer) => match answer.verdict {
                Verdict::Report(words) => {
                    let words: serde_json::Value = serde_json::from_str(words.get()).ok()?;
                    Some(words.get("interval").and_then(|n| n.as_u64()).unwrap_or(0))
                }
                other => {
                    tracing::debug!(reason = %other.reason(), "upload refused");
                    None
                }
            },
            Heard::NotSent(reason) | Heard::Lost(reason) => {
                tracing::debug!(%reason, "upload did not arrive");
                None
            }
        }
    }
}
