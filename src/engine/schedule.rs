//! The schedule: orders that wait for a time wait here, not on a thread.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select};

use super::Live;

/// A turn of an order that is due at some time. Turns that were overtaken by another are skipped
/// by the worker that gets them.
pub(super) struct Due {
    pub(super) at: Instant,
    pub(super) turn: u64,
    pub(super) live: Arc<Live>,
}

impl Due {
    fn key(&self) -> (Instant, u64) {
        (self.at, self.turn)
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// The scheduler's thread: hands what is due to the workers, earliest first, as fast as they take
/// it. Ends when nobody can schedule any more, or nobody works.
pub(super) fn run(planned: &Receiver<Due>, workers: &Sender<Due>) {
    let mut heap: BinaryHeap<Reverse<Due>> = BinaryHeap::new();
    loop {
        let Some(Reverse(first)) = heap.pop() else {
            match planned.recv() {
                Ok(due) => heap.push(Reverse(due)),
                Err(_) => return,
            }
            continue;
        };
        if first.at > Instant::now() {
            let until = first.at;
            heap.push(Reverse(first));
            match planned.recv_deadline(until) {
                Ok(due) => heap.push(Reverse(due)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            continue;
        }
        // While the workers are busy, what is planned meanwhile takes its place in the order.
        select! {
            recv(planned) -> due => {
                heap.push(Reverse(first));
                match due {
                    Ok(due) => heap.push(Reverse(due)),
                    Err(_) => return,
                }
            }
            send(workers, first) -> sent => {
                if sent.is_err() {
                    return;
                }
            }
        }
    }
}
