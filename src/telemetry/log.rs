//! The rolling log: one file a day, written by a thread of its own. What goes in is chosen field
//! by field: order numbers, states, times; never keys, payment codes or customers
//! (`lifecycle.md`, invariant 7).

use std::sync::Mutex;
use std::time::Duration;

use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{RollingFileAppender, Rotation};

use crate::config::{Config, LogLevel};
use crate::engine::Heard;
use crate::gateway::{Call, Verdict};
use crate::lock;
use crate::model::Order;
use crate::text::{Text, text};

/// Lines that wait for the disk. More are dropped rather than holding up a payment.
const MAX_WAITING: usize = 16_384;

/// The log of one running library. A host written in Rust keeps its own `tracing` subscriber:
/// this one is only in force within [`Log::scope`] and on the library's threads.
pub(crate) struct Log {
    dispatch: Dispatch,
    /// Ends the writing thread, after it has written everything.
    guard: Mutex<Option<WorkerGuard>>,
}

impl Log {
    pub(crate) fn open(config: &Config) -> Result<Self, Text> {
        let Some(folder) = &config.log_path else {
            return Ok(Self {
                dispatch: Dispatch::none(),
                guard: Mutex::new(None),
            });
        };
        let unwritable = |error: &dyn std::error::Error| {
            let folder = folder.display();
            text!(
                "common_conf.log_path：无法写入 {folder}：{error}",
                "common_conf.log_path: can't write to {folder}: {error}"
            )
        };
        std::fs::create_dir_all(folder).map_err(|error| unwritable(&error))?;
        let appender = RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix("cloudpay")
            .filename_suffix("log")
            .max_log_files(config.log_keep_days)
            .build(folder)
            .map_err(|error| unwritable(&error))?;
        let (writer, guard) = tracing_appender::non_blocking::NonBlockingBuilder::default()
            .buffered_lines_limit(MAX_WAITING)
            .lossy(true)
            .thread_name("cloudpay-log")
            .finish(appender);
        let level = match config.log_level {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
        };
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_target(false)
            .with_writer(writer)
            .finish();
        Ok(Self {
            dispatch: Dispatch::new(subscriber),
            guard: Mutex::new(Some(guard)),
        })
    }

    /// Does something with this log in force.
    pub(crate) fn scope<T>(&self, body: impl FnOnce() -> T) -> T {
        tracing::dispatcher::with_default(&self.dispatch, body)
    }

    /// Writes what waits and ends the writing thread.
    pub(crate) fn flush(&self) {
        drop(lock(&self.guard).take());
    }
}

/// One exchange with the gateway.
pub(crate) fn log_exchange(call: &Call<'_>, heard: &Heard, took: Duration) {
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let (interface, number) = (call.name(), call.number());
    let answer = match heard {
        Heard::Answer(answer) => answer,
        Heard::NotSent(reason) => {
            tracing::warn!(interface, number, ms, %reason, "not sent");
            return;
        }
        Heard::Lost(reason) => {
            tracing::warn!(interface, number, ms, %reason, "no answer");
            return;
        }
    };
    let (said, reason) = match &answer.verdict {
        Verdict::Order(facts) => (facts.state.name(), facts.other_amount.as_ref()),
        Verdict::Refund(refund) => (refund.state.name(), None),
        Verdict::Refunds(_) => ("answered", None),
        Verdict::Done | Verdict::Report(_) | Verdict::AskAgain => ("done", None),
        Verdict::NotFound => ("not_found", None),
        Verdict::Refused(reason) => ("refused", Some(reason)),
        Verdict::Reentry(reason) => ("reentry", Some(reason)),
        Verdict::RefusedUnsigned(reason) => ("refused (unsigned)", Some(reason)),
        Verdict::NumberUsed(reason) => ("number used (unsigned)", Some(reason)),
        Verdict::Busy(reason) => ("busy", Some(reason)),
        Verdict::Untrusted(reason) => {
            let domain = &answer.evidence.domain;
            tracing::error!(interface, number, ms, %domain, %reason, "answer thrown away");
            return;
        }
    };
    let (domain, log_id) = (&answer.evidence.domain, answer.evidence.log_id);
    let reason = reason.map(ToString::to_string).unwrap_or_default();
    tracing::info!(interface, number, ms, said, %domain, log_id, reason, "answered");
}

/// A verdict, with its evidence (`lifecycle.md`, invariant 9).
pub(crate) fn log_verdict(order: &Order) {
    let number = &order.trade_no;
    let state = order.state.name();
    let (late, recovered) = (order.late, order.recovered);
    match &order.evidence {
        Some(evidence) => tracing::info!(
            number,
            state,
            late,
            recovered,
            authenticated = evidence.authenticated,
            domain = %evidence.domain,
            log_id = evidence.log_id,
            "verdict"
        ),
        None => tracing::info!(number, state, late, recovered, "verdict"),
    }
}
