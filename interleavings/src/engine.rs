//! The agenda: whatever is added reaches a worker.

#[path = "../../src/engine/agenda.rs"]
#[allow(dead_code)]
mod agenda;

use std::sync::Arc;
use std::time::Instant;

use agenda::{Agenda, Due, Duty};
use shuttle::sync::mpsc::channel;
use shuttle::thread;

use crate::explore;

/// Stands for an order: the agenda only passes it on.
struct Live;

const DUTIES: [Duty; 3] = [Duty::PaymentsOnly, Duty::Everything, Duty::Everything];

fn due(turn: u64) -> Due {
    Due {
        at: Instant::now(),
        turn,
        live: Arc::new(Live),
    }
}

/// Workers take one payment each and never come back: none is left to a worker that is gone.
pub fn payments_find_free_workers() {
    explore(100_000, || {
        let agenda = Arc::new(Agenda::default());
        let (sender, taken) = channel();
        for duty in DUTIES {
            let (agenda, sender) = (Arc::clone(&agenda), sender.clone());
            thread::spawn(move || sender.send(agenda.next(duty).unwrap().turn).unwrap());
        }
        for turn in 0..3 {
            let agenda = Arc::clone(&agenda);
            thread::spawn(move || agenda.add_payment(due(turn)));
        }
        let mut turns = [(); 3].map(|()| taken.recv().unwrap());
        turns.sort_unstable();
        assert_eq!(turns, [0, 1, 2]);
    });
}

/// Payments and what is due by time, while workers come and go: all of it is taken, once.
pub fn everything_is_taken() {
    explore(100_000, || {
        let agenda = Arc::new(Agenda::default());
        let (sender, taken) = channel();
        let workers = DUTIES.map(|duty| {
            let (agenda, sender) = (Arc::clone(&agenda), sender.clone());
            thread::spawn(move || {
                while let Some(due) = agenda.next(duty) {
                    sender.send(due.turn).unwrap();
                }
            })
        });
        for half in [0, 2] {
            let agenda = Arc::clone(&agenda);
            thread::spawn(move || {
                agenda.add_timed(due(half));
                agenda.add_payment(due(half + 1));
            });
        }
        let mut turns = [(); 4].map(|()| taken.recv().unwrap());
        turns.sort_unstable();
        assert_eq!(turns, [0, 1, 2, 3]);
        agenda.close();
        for worker in workers {
            worker.join().unwrap();
        }
    });
}
