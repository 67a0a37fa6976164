//! What hand-overs between threads are made of. `interleavings` puts a scheduler's own in the place
//! of the standard library's.

pub(crate) use std::sync::atomic;
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

/// Locks a mutex. A panic elsewhere must not take the register down with it: every value behind
/// our locks is left consistent before anything that could panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
