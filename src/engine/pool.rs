//! The workers: the only threads that talk to the gateway by themselves.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, never, select_biased};

use super::Engine;
use super::schedule::Due;
use crate::text::{Text, text};

/// What a worker listens to. New payments come before polls, and with more than one worker the
/// first does nothing but payments: a sale never waits behind other people's passwords.
pub(super) struct Lines {
    pub(super) payments: Receiver<Due>,
    pub(super) polls: Receiver<Due>,
    /// Never carries anything: its end is the sign to stop.
    pub(super) stop: Receiver<()>,
}

/// Starts a worker.
pub(super) fn worker(
    engine: &Arc<Engine>,
    lines: &Lines,
    payments_only: bool,
) -> Result<JoinHandle<()>, Text> {
    let engine = Arc::clone(engine);
    let lines = Lines {
        payments: lines.payments.clone(),
        polls: if payments_only {
            never()
        } else {
            lines.polls.clone()
        },
        stop: lines.stop.clone(),
    };
    spawn("worker", move || {
        while let Some(due) = next(&lines) {
            engine.work(&due.live, due.turn);
        }
    })
}

fn next(lines: &Lines) -> Option<Due> {
    select_biased! {
        recv(lines.stop) -> _ => None,
        recv(lines.payments) -> due => due.ok(),
        recv(lines.polls) -> due => due.ok(),
    }
}

/// The thread that calls the register's callback.
pub(super) const CALLBACK: &str = "callback";

/// Whether this is the thread that calls the register's callback: it must not wait for itself.
pub(crate) fn on_callback_thread() -> bool {
    std::thread::current()
        .name()
        .and_then(|name| name.strip_prefix(PREFIX))
        == Some(CALLBACK)
}

/// What the names of the library's threads begin with.
const PREFIX: &str = "cloudpay-";

/// Starts one of the library's threads.
pub(super) fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, Text> {
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    std::thread::Builder::new()
        .name(format!("{PREFIX}{name}"))
        .stack_size(512 * 1024)
        .spawn(move || tracing::dispatcher::with_default(&dispatch, body))
        .map_err(|error| text!("无法创建线程：{error}", "can't start a thread: {error}"))
}
