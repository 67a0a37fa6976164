//! The library's hand-overs between threads, under a scheduler that tries thousands of orders of
//! their steps. A wake-up that can be lost is found here as a deadlock, and with a seed.
//!
//! The files are the library's own; only `locks` differs.
// The files' own tests belong to the library.
#![cfg(not(test))]
#![allow(clippy::unwrap_used, clippy::panic)]

use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, Runner};

#[path = "../../src/condition.rs"]
#[allow(dead_code)]
mod condition;
mod engine;
mod journal;
#[path = "../../src/text.rs"]
#[allow(dead_code, unreachable_pub)]
mod text;

pub use engine::{everything_is_taken, payments_find_free_workers};
pub use journal::{every_caller_hears, nobody_hangs_when_it_closes};

mod locks {
    pub(crate) use shuttle::sync::atomic;
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a check in so many random orders of its threads' steps.
fn explore(orders: usize, check: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    // SQLite needs more than a coroutine usually gets.
    config.stack_size = 256 * 1024;
    Runner::new(RandomScheduler::new(orders), config).run(check);
}
