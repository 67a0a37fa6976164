//! What is due: payments at once, everything else at its time. Orders that wait for a time wait
//! here, not on a thread.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::Live;
use crate::condition::Condition;
use crate::locks::{Mutex, MutexGuard, lock};

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

/// What a worker does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// Payments first, then whatever is due.
    Everything,
    /// Nothing but payments: a sale never waits behind other people's passwords.
    PaymentsOnly,
}

/// What the workers share.
#[derive(Default)]
pub(super) struct Agenda {
    state: Mutex<State>,
    /// Rung for a worker that does everything.
    everything: Condition,
    /// Rung for the one that does payments only.
    payments_only: Condition,
}

#[derive(Default)]
struct State {
    payments: VecDeque<Due>,
    timed: BinaryHeap<Reverse<Due>>,
    /// When the first of the sleeping workers wakes by itself.
    wakes_at: Option<Instant>,
    closed: bool,
}

impl Agenda {
    /// A payment that is due now.
    pub(super) fn add_payment(&self, due: Due) {
        let mut state = lock(&self.state);
        if state.closed {
            return;
        }
        state.payments.push_back(due);
        if self.payments_only.waiting() > 0 {
            self.payments_only.notify_one();
        } else {
            self.everything.notify_one();
        }
    }

    /// Anything that is due at its time.
    pub(super) fn add_timed(&self, due: Due) {
        let mut state = lock(&self.state);
        if state.closed {
            return;
        }
        state.timed.push(Reverse(due));
        self.pass_on(&state);
    }

    /// The next thing to do; blocks until there is one. `None` at the end.
    pub(super) fn next(&self, duty: Duty) -> Option<Due> {
        let mut state = lock(&self.state);
        loop {
            let due = match (state.payments.pop_front(), duty) {
                (None, Duty::Everything) => state.take_timed(),
                (payment, _) => payment,
            };
            if due.is_some() {
                self.pass_on(&state);
                return due;
            }
            if state.closed {
                return None;
            }
            state = match duty {
                Duty::Everything => self.sleep(state),
                Duty::PaymentsOnly => self.payments_only.wait(state),
            };
        }
    }

    /// Nothing more is taken. Payments that wait are still given out: they were accepted.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.timed.clear();
        drop(state);
        self.everything.notify_all();
        self.payments_only.notify_all();
    }

    /// Wakes a worker for the next payment, or when nobody would wake in time for what is due
    /// first: whoever was woken for that may just have left with something else.
    fn pass_on(&self, state: &State) {
        let waiting = !state.payments.is_empty() || state.first_is_before(state.wakes_at);
        if waiting {
            self.everything.notify_one();
        }
    }

    /// Sleeps until rung for, or until what is due first, unless another worker does that already.
    fn sleep<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let alarm = state
            .first_at()
            .filter(|_| state.first_is_before(state.wakes_at));
        state = match alarm {
            Some(at) => {
                state.wakes_at = Some(at);
                self.everything.wait_until(state, at)
            }
            None => self.everything.wait(state),
        };
        if alarm.is_some() && state.wakes_at == alarm {
            state.wakes_at = None;
        }
        state
    }
}

impl State {
    fn first_at(&self) -> Option<Instant> {
        self.timed.peek().map(|Reverse(due)| due.at)
    }

    /// Whether something is due before then, or at all when `then` is `None`.
    fn first_is_before(&self, then: Option<Instant>) -> bool {
        self.first_at()
            .is_some_and(|first| then.is_none_or(|then| first < then))
    }

    fn take_timed(&mut self) -> Option<Due> {
        if self.first_at()? > Instant::now() {
            return None;
        }
        self.timed.pop().map(|Reverse(due)| due)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    use super::*;
    use crate::engine::step::Track;
    use crate::gateway::OrderKey;
    use crate::model::{Order, Origin, Platform, TradeType};

    fn due(turn: u64, after: Duration) -> Due {
        let now = Instant::now();
        let key = OrderKey {
            trade_no: "n".to_owned(),
            platform: Some(Platform::WeChat),
            sub_platform: Some(100),
            trade_type: Some(TradeType::MicroPay),
            total_fee: None,
        };
        let track = Track::accepted(
            Order::unknown("n"),
            Origin::default(),
            TradeType::MicroPay,
            now,
        );
        Due {
            at: now + after,
            turn,
            live: Arc::new(Live::new(key, track)),
        }
    }

    /// A worker that takes one thing and never comes back.
    fn take_one(agenda: &Arc<Agenda>, duty: Duty, taken: &Sender<u64>) {
        let (agenda, taken) = (Arc::clone(agenda), taken.clone());
        std::thread::spawn(move || {
            if let Some(due) = agenda.next(duty) {
                taken.send(due.turn).unwrap();
            }
        });
    }

    fn until_asleep(agenda: &Agenda, workers: usize) {
        loop {
            let state = lock(&agenda.state);
            if agenda.everything.waiting() + agenda.payments_only.waiting() == workers {
                return;
            }
            drop(state);
            std::thread::yield_now();
        }
    }

    /// Two sales at the same moment: the second is not left to the worker that has the first.
    #[test]
    fn every_payment_finds_a_worker() {
        for _ in 0..300 {
            let agenda = Arc::new(Agenda::default());
            let (sender, taken) = channel();
            take_one(&agenda, Duty::PaymentsOnly, &sender);
            take_one(&agenda, Duty::Everything, &sender);
            until_asleep(&agenda, 2);
            agenda.add_payment(due(1, Duration::ZERO));
            agenda.add_payment(due(2, Duration::ZERO));
            let mut turns = [(); 2].map(|()| taken.recv_timeout(Duration::from_secs(20)));
            turns.sort_unstable_by_key(|turn| turn.unwrap_or(0));
            assert_eq!(turns, [Ok(1), Ok(2)]);
        }
    }

    /// The worker that watched the clock leaves with a payment; another one watches on.
    #[test]
    fn what_is_timed_is_taken_in_time() {
        let agenda = Arc::new(Agenda::default());
        let (sender, taken) = channel();
        take_one(&agenda, Duty::Everything, &sender);
        take_one(&agenda, Duty::Everything, &sender);
        agenda.add_timed(due(2, Duration::from_millis(300)));
        until_asleep(&agenda, 2);
        agenda.add_payment(due(1, Duration::ZERO));
        let patience = Duration::from_secs(20);
        assert_eq!(taken.recv_timeout(patience), Ok(1));
        assert_eq!(taken.recv_timeout(patience), Ok(2));
    }

    #[test]
    fn payments_are_given_out_to_the_end() {
        let agenda = Agenda::default();
        agenda.add_timed(due(2, Duration::ZERO));
        agenda.add_payment(due(1, Duration::ZERO));
        agenda.close();
        assert_eq!(agenda.next(Duty::Everything).map(|due| due.turn), Some(1));
        assert!(agenda.next(Duty::Everything).is_none());
    }
}
