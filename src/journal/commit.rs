//! Group commit: what gathers while one commit is written is done together in the next one, so
//! that many callers share one fsync. There is no thread for it: whoever waits first commits for
//! all that are queued.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use crate::condition::Condition;
use crate::locks::atomic::{AtomicBool, Ordering};
use crate::locks::{Mutex, TryLockError, lock};
use crate::text::{Text, text};

/// The most work one transaction takes: its first caller shouldn't wait for a whole day's sales.
const MAX_BATCH: usize = 512;

/// How long lazy work waits for a commit that happens anyway, and written work for an fsync.
const LAZY_WAIT: Duration = Duration::from_millis(500);

/// Does the work, with one statement that writes at most: that one is done whole or not at all.
/// Gives back how to tell the caller.
type Work = Box<dyn FnOnce(&Connection) -> Acknowledge + Send>;

/// Tells a caller how the commit went.
type Acknowledge = Box<dyn FnOnce(Result<(), Text>) + Send>;

/// What has to be certain before the caller goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// It survives a power cut.
    Durable,
    /// It survives the end of this process. A power cut can take it back within half a second.
    Written,
}

/// Work that is queued.
struct Command {
    work: Work,
    until: Until,
    /// Whoever waits for it; nobody waits for lazy work.
    caller: Option<Arc<dyn Caller>>,
}

/// The file and the work for it.
pub(super) struct Committer {
    queue: Mutex<Queue>,
    /// Rung for the thread that writes lazy work, when there is some or when it is to end.
    lazy_bell: Condition,
    /// Held by whoever commits. `None` after the end.
    file: Mutex<Option<File>>,
    /// Whether there is something that no fsync has reached.
    sync_owed: AtomicBool,
}

struct File {
    connection: Connection,
    /// Whether commits end with an fsync, as they do when it is opened.
    syncs: bool,
}

#[derive(Default)]
struct Queue {
    commands: VecDeque<Command>,
    /// The thread for lazy work sleeps until it is rung for.
    lazy_sleeps: bool,
    closed: bool,
}

/// Where a caller waits for its result.
struct Seat<T> {
    state: Mutex<SeatState<T>>,
    changed: Condition,
}

enum SeatState<T> {
    Waiting,
    /// The one who committed before has left: it is this caller's turn to commit.
    Called,
    Done(Result<T, Text>),
    Gone,
}

/// What the queue knows of a caller.
trait Caller: Send + Sync {
    /// Has it commit next.
    fn call(&self);
}

impl<T: Send> Caller for Seat<T> {
    fn call(&self) {
        let mut state = lock(&self.state);
        if matches!(*state, SeatState::Waiting) {
            *state = SeatState::Called;
            self.changed.notify_one();
        }
    }
}

impl<T> Seat<T> {
    fn finish(&self, result: Result<T, Text>) {
        *lock(&self.state) = SeatState::Done(result);
        self.changed.notify_one();
    }

    /// The result, if there is one.
    fn take(&self) -> Option<Result<T, Text>> {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, SeatState::Gone) {
            SeatState::Done(result) => Some(result),
            // Called or not: the caller is awake.
            _ => {
                *state = SeatState::Waiting;
                None
            }
        }
    }

    /// Sleeps until there is a result, or it is this caller's turn to commit.
    fn sleep(&self) {
        let mut state = lock(&self.state);
        while matches!(*state, SeatState::Waiting) {
            state = self.changed.wait(state);
        }
    }
}

/// What work owes its caller, also when it is dropped undone.
struct Promise<T>(Arc<Seat<T>>);

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let done = matches!(*lock(&self.0.state), SeatState::Done(_) | SeatState::Gone);
        if !done {
            self.0.finish(Err(text!(
                "流水库（journal）已关闭或无法写入",
                "the journal is closed or can't be written"
            )));
        }
    }
}

/// Stands for work that will be durable.
#[must_use = "the work is done when somebody waits for it"]
pub(crate) struct Ticket<T: Send> {
    seat: Arc<Seat<T>>,
    committer: Arc<Committer>,
}

impl<T: Send> Ticket<T> {
    /// Blocks until the work is on disk, or is known not to be.
    pub(crate) fn wait(self) -> Result<T, Text> {
        loop {
            if let Some(result) = self.seat.take() {
                return result;
            }
            if !self.committer.try_commit() {
                self.seat.sleep();
            }
        }
    }
}

impl Committer {
    pub(super) fn new(connection: Connection) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::default(),
            lazy_bell: Condition::default(),
            file: Mutex::new(Some(File {
                connection,
                syncs: true,
            })),
            sync_owed: AtomicBool::new(false),
        })
    }

    /// Has `work`, one writing statement at most, done within the next commit. The ticket tells
    /// when that is certain.
    pub(super) fn submit<T: Send + 'static>(
        self: &Arc<Self>,
        until: Until,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Ticket<T> {
        let seat = Arc::new(Seat {
            state: Mutex::new(SeatState::Waiting),
            changed: Condition::default(),
        });
        let promise = Promise(Arc::clone(&seat));
        let command = Command {
            work: Box::new(move |connection| {
                let result = work(connection).map_err(|error| failure(&error));
                Box::new(move |committed| promise.0.finish(committed.and(result)))
            }),
            until,
            caller: Some(Arc::clone(&seat) as Arc<dyn Caller>),
        };
        let mut queue = lock(&self.queue);
        if !queue.closed {
            queue.commands.push_back(command);
        }
        drop(queue);
        Ticket {
            seat,
            committer: Arc::clone(self),
        }
    }

    /// The same for what nobody waits for: it rides on somebody else's commit, or is written
    /// within half a second.
    pub(super) fn submit_lazily(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) {
        let mut queue = lock(&self.queue);
        if queue.closed {
            return;
        }
        queue.commands.push_back(Command {
            work: Box::new(move |connection| {
                // What is lazy can be missed: a failure of the journal shows with the others' work.
                let _ = work(connection);
                Box::new(|_| ())
            }),
            until: Until::Written,
            caller: None,
        });
        if std::mem::take(&mut queue.lazy_sleeps) {
            self.lazy_bell.notify_one();
        }
    }

    /// The thread that writes lazy work, and sees to an fsync that nobody else asks for. Ends when
    /// the queue is closed.
    pub(super) fn write_lazily(self: &Arc<Self>) {
        let mut queue = lock(&self.queue);
        while !queue.closed {
            if queue.commands.is_empty() && !self.sync_owed.load(Ordering::Acquire) {
                queue.lazy_sleeps = true;
                queue = self.lazy_bell.wait(queue);
                continue;
            }
            drop(self.lazy_bell.wait_for(queue, LAZY_WAIT));
            if self.sync_owed.load(Ordering::Acquire) {
                // Something has to change for SQLite to sync.
                let touch = "UPDATE journal SET number_counter = number_counter";
                let synced = self.submit(Until::Durable, |db| {
                    db.prepare_cached(touch)?.execute([]).map(drop)
                });
                // A disk that fails is told to those who wait for it.
                let _ = synced.wait();
            } else {
                self.try_commit();
            }
            queue = lock(&self.queue);
        }
    }

    /// Commits what is queued, unless somebody else is about it; then that one sees to the queue
    /// when it is done.
    fn try_commit(&self) -> bool {
        let mut file = match self.file.try_lock() {
            Ok(file) => file,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        if let Some(file) = file.as_mut() {
            self.commit(file, self.batch());
        }
        drop(file);
        // Those who came meanwhile found the file taken: one of them is next.
        let next = {
            let queue = lock(&self.queue);
            queue
                .commands
                .iter()
                .find_map(|command| command.caller.clone())
        };
        if let Some(caller) = next {
            caller.call();
        }
        true
    }

    /// Writes what is queued and closes the file. Later work is refused.
    pub(super) fn close(&self) {
        lock(&self.queue).closed = true;
        self.lazy_bell.notify_one();
        let mut file = lock(&self.file);
        while let Some(open) = file.as_mut() {
            let batch = self.batch();
            if batch.is_empty() {
                *file = None;
            } else {
                self.commit(open, batch);
            }
        }
    }

    /// What the next commit takes.
    fn batch(&self) -> Vec<Command> {
        let mut queue = lock(&self.queue);
        let count = queue.commands.len().min(MAX_BATCH);
        queue.commands.drain(..count).collect()
    }

    /// Commits, with an fsync if anybody needs one.
    fn commit(&self, file: &mut File, batch: Vec<Command>) {
        if batch.is_empty() {
            return;
        }
        let connection = &file.connection;
        // Without a file there is nothing to sync.
        let durable = batch.iter().any(|command| command.until == Until::Durable)
            || connection.path().is_none_or(str::is_empty);
        if durable != file.syncs {
            let kind = if durable { "FULL" } else { "NORMAL" };
            if let Err(error) = connection.pragma_update(None, "synchronous", kind) {
                tracing::error!(%error, "the journal's kind of commit can't be changed");
                return;
            }
            file.syncs = durable;
        }
        let before = connection.total_changes();
        let committed = commit(connection, batch);
        if !committed || connection.total_changes() == before {
            return;
        }
        self.sync_owed.store(!durable, Ordering::Release);
        if !durable && std::mem::take(&mut lock(&self.queue).lazy_sleeps) {
            self.lazy_bell.notify_one();
        }
    }
}

/// Does all the work in one transaction and tells everybody. A statement that fails leaves nothing
/// behind, and the others' work stands; when the commit fails, all of it is undone. Says whether it
/// was committed.
fn commit(connection: &Connection, batch: Vec<Command>) -> bool {
    let run = |sql| connection.prepare_cached(sql)?.raw_execute().map(drop);
    let begun = run("BEGIN IMMEDIATE");
    let mut waiting = Vec::with_capacity(batch.len());
    for command in batch {
        // A disk that fails can end the transaction: what comes after it isn't begun.
        if begun.is_ok() && !connection.is_autocommit() {
            waiting.push((command.work)(connection));
        }
    }
    let committed = begun
        .and_then(|()| run("COMMIT"))
        .map_err(|error| failure(&error));
    if let Err(reason) = &committed {
        tracing::error!(%reason, "the journal could not be written");
        if !connection.is_autocommit() {
            let _ = run("ROLLBACK");
        }
    }
    let done = committed.is_ok();
    for acknowledge in waiting {
        acknowledge(committed.clone());
    }
    done
}

fn failure(error: &rusqlite::Error) -> Text {
    text!(
        "流水库（journal）读写失败：{error}",
        "the journal could not be read or written: {error}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committer() -> Arc<Committer> {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE t (x INTEGER PRIMARY KEY) STRICT;
                 CREATE TABLE journal (number_counter INTEGER) STRICT;",
            )
            .unwrap();
        Committer::new(connection)
    }

    fn insert(committer: &Arc<Committer>, x: i64) -> Ticket<usize> {
        committer.submit(Until::Durable, move |c| {
            c.execute("INSERT INTO t VALUES (?1)", [x])
        })
    }

    fn sum(committer: &Arc<Committer>) -> i64 {
        let ticket = committer.submit(Until::Written, |c| {
            c.query_row("SELECT sum(x) FROM t", [], |row| row.get(0))
        });
        ticket.wait().unwrap()
    }

    #[test]
    fn work_that_fails_is_undone_alone() {
        let committer = committer();
        let first = insert(&committer, 1);
        let second = committer.submit(Until::Written, |c| {
            c.execute("INSERT INTO t VALUES (2), (1)", [])
        });
        let third = insert(&committer, 3);
        // One of them commits for all.
        assert!(first.wait().is_ok());
        assert!(second.wait().is_err());
        assert!(third.wait().is_ok());
        assert_eq!(sum(&committer), 4);
    }

    #[test]
    fn many_threads_share_commits() {
        let committer = committer();
        std::thread::scope(|scope| {
            for thread in 0..16 {
                let committer = &committer;
                scope.spawn(move || {
                    for x in 0..500 {
                        insert(committer, thread * 500 + x).wait().unwrap();
                    }
                });
            }
        });
        assert_eq!(sum(&committer), 8_000 * 7_999 / 2);
    }

    #[test]
    fn everything_queued_is_written_before_the_end() {
        let committer = committer();
        let tickets: Vec<_> = (0..2_000).map(|x| insert(&committer, x)).collect();
        let (sender, receiver) = std::sync::mpsc::channel();
        committer.submit_lazily(move |c| {
            let deleted = c.execute("DELETE FROM t WHERE x = 0", [])?;
            sender.send(deleted).unwrap();
            Ok(())
        });
        committer.close();
        assert_eq!(receiver.recv(), Ok(1));
        assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
    }

    #[test]
    fn lazy_work_is_written_by_itself() {
        let committer = committer();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| committer.write_lazily());
            committer.submit_lazily(move |_| {
                sender.send(()).unwrap();
                Ok(())
            });
            assert_eq!(receiver.recv(), Ok(()));
            committer.close();
        });
    }

    #[test]
    fn work_for_a_closed_journal_is_an_error() {
        let committer = committer();
        committer.close();
        assert!(insert(&committer, 1).wait().is_err());
    }
}
