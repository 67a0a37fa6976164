//! Group commit: whoever waits gets an answer, whoever commits.

#[path = "../../src/journal/commit.rs"]
#[allow(dead_code)]
mod commit;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use commit::{Committer, Until};
use rusqlite::Connection;
use shuttle::thread::{self, JoinHandle};

use crate::explore;

/// A journal, and its thread for what nobody waits for.
fn start() -> (Arc<Committer>, JoinHandle<()>) {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch(
            "CREATE TABLE t (x INTEGER PRIMARY KEY) STRICT;
             CREATE TABLE journal (number_counter INTEGER) STRICT;",
        )
        .unwrap();
    let committer = Committer::new(connection);
    let for_thread = Arc::clone(&committer);
    (committer, thread::spawn(move || for_thread.write_lazily()))
}

/// Writes a number and says whether that was done.
fn insert(committer: &Arc<Committer>, x: i64, until: Until) -> bool {
    let ticket = committer.submit(until, move |db| {
        db.execute("INSERT INTO t VALUES (?1)", [x])
    });
    ticket.wait().is_ok()
}

/// Callers that wait for a commit, others that don't, and the thread for those: everybody hears,
/// and everything is written.
pub fn every_caller_hears() {
    explore(30_000, || {
        let (committer, lazy) = start();
        let lazily = Arc::new(AtomicUsize::new(0));
        let callers = [
            (1, Until::Durable),
            (1, Until::Durable),
            (2, Until::Written),
        ];
        let callers = callers.map(|(x, until)| {
            let (committer, lazily) = (Arc::clone(&committer), Arc::clone(&lazily));
            thread::spawn(move || {
                let written = insert(&committer, x, until);
                committer.submit_lazily(move |_| {
                    lazily.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                });
                written
            })
        });
        let [one, again, two] = callers.map(|caller| caller.join().unwrap());
        // A number is written once, and whoever was second knows.
        assert!(one != again && two);
        committer.close();
        lazy.join().unwrap();
        assert_eq!(lazily.load(Ordering::Relaxed), 3);
    });
}

/// The journal closes while callers come: each is told the truth, and nobody waits for ever.
pub fn nobody_hangs_when_it_closes() {
    explore(30_000, || {
        let (committer, lazy) = start();
        let callers = [1, 2, 3].map(|x| {
            let committer = Arc::clone(&committer);
            thread::spawn(move || insert(&committer, x, Until::Durable))
        });
        committer.close();
        for caller in callers {
            caller.join().unwrap();
        }
        lazy.join().unwrap();
        assert!(!insert(&committer, 4, Until::Durable));
    });
}
