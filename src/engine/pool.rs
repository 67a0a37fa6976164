//! The workers: the only threads that talk to the gateway by themselves.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::Engine;
use super::agenda::Duty;
use crate::text::{Text, text};

/// Starts a worker.
pub(super) fn worker(engine: &Arc<Engine>, duty: Duty) -> Result<JoinHandle<()>, Text> {
    let engine = Arc::clone(engine);
    spawn("worker", move || {
        while let Some(due) = engine.agenda.next(duty) {
            engine.work(&due.live, due.turn);
        }
    })
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
