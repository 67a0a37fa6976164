//! Waiting for a change of what a mutex guards.

use std::time::{Duration, Instant};

use crate::locks::atomic::{AtomicUsize, Ordering};
use crate::locks::{Condvar, MutexGuard, PoisonError};

/// A condition variable that costs nothing to notify when nobody waits: the standard library's asks
/// the kernel every time. Notify after the change was made under the mutex: whoever waits counts
/// itself under the same mutex, so either it has seen the change, or it is seen.
#[derive(Default)]
pub(crate) struct Condition {
    condvar: Condvar,
    waiting: AtomicUsize,
}

impl Condition {
    /// How many wait. Certain only under the mutex.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Wakes one of those who wait.
    pub(crate) fn notify_one(&self) {
        if self.waiting() > 0 {
            self.condvar.notify_one();
        }
    }

    /// Wakes all who wait.
    pub(crate) fn notify_all(&self) {
        if self.waiting() > 0 {
            self.condvar.notify_all();
        }
    }

    /// Waits until notified. It may also wake for no reason: look again.
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let woken = self.condvar.wait(guard);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        woken.unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, at most until `deadline`.
    pub(crate) fn wait_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Instant,
    ) -> MutexGuard<'a, T> {
        self.wait_for(guard, deadline.saturating_duration_since(Instant::now()))
    }

    /// The same, for so long at most.
    pub(crate) fn wait_for<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> MutexGuard<'a, T> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let woken = self.condvar.wait_timeout(guard, time);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }
}
