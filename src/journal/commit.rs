//! Group commit: one thread, one transaction for all that is waiting, one fsync.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use rusqlite::Connection;

use crate::text::{Text, text};

/// The most work one transaction takes: its first caller shouldn't wait for a whole day's sales.
const MAX_BATCH: usize = 512;

/// How long lazy work waits for a commit that happens anyway.
const LAZY_WAIT: Duration = Duration::from_millis(500);

/// Tells a caller how the commit went.
type Acknowledge = Box<dyn FnOnce(Result<(), Text>) + Send>;

/// Does the work; says whether it succeeded, and how to tell the caller.
type Work = Box<dyn FnOnce(&Connection) -> (bool, Acknowledge) + Send>;

/// Work for the journal's thread.
pub(super) struct Command {
    work: Work,
    lazy: bool,
}

impl Command {
    pub(super) fn new<T: Send + 'static>(
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> (Self, Ticket<T>) {
        let (sender, receiver) = bounded(1);
        let command = Self {
            work: Box::new(move |connection| {
                let result = work(connection).map_err(|error| failure(&error));
                let done = result.is_ok();
                let acknowledge: Acknowledge = Box::new(move |committed| {
                    // Nobody may be waiting any more.
                    let _ = sender.send(committed.and(result));
                });
                (done, acknowledge)
            }),
            lazy: false,
        };
        (command, Ticket(receiver))
    }

    pub(super) fn lazy(
        work: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Self {
        let (command, _) = Self::new(work);
        Self {
            lazy: true,
            ..command
        }
    }
}

/// A promise that work will be durable.
pub(crate) struct Ticket<T>(Receiver<Result<T, Text>>);

impl<T> Ticket<T> {
    /// Blocks until the work is on disk, or is known not to be.
    pub(crate) fn wait(self) -> Result<T, Text> {
        self.0
            .recv()
            .unwrap_or_else(|_| Err(text!("日志文件已关闭", "the journal is closed")))
    }
}

/// The journal's thread. Ends, with everything written, when the last sender is gone.
pub(super) fn run(connection: Connection, queue: &Receiver<Command>) {
    let mut batch: Vec<Command> = Vec::new();
    loop {
        let urgent = batch.iter().any(|command| !command.lazy);
        if !urgent {
            let next = if batch.is_empty() {
                queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                queue.recv_timeout(LAZY_WAIT)
            };
            match next {
                Ok(command) => {
                    let lazy = command.lazy;
                    batch.push(command);
                    if lazy && batch.len() < MAX_BATCH {
                        continue;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    commit(&connection, batch);
                    return;
                }
            }
        }
        batch.extend(queue.try_iter().take(MAX_BATCH.saturating_sub(batch.len())));
        commit(&connection, std::mem::take(&mut batch));
    }
}

/// Does all the work in one transaction and tells everybody. Work that fails by itself is undone
/// alone; when the commit fails, all of it is.
fn commit(connection: &Connection, batch: Vec<Command>) {
    if batch.is_empty() {
        return;
    }
    let begun = connection.execute_batch("BEGIN IMMEDIATE");
    let mut waiting = Vec::with_capacity(batch.len());
    for command in batch {
        let saved = begun.is_ok() && connection.execute_batch("SAVEPOINT work").is_ok();
        let (done, acknowledge) = (command.work)(connection);
        if saved {
            let undo = if done { "" } else { "ROLLBACK TO work; " };
            let _ = connection.execute_batch(&format!("{undo}RELEASE work"));
        }
        waiting.push(acknowledge);
    }
    let committed = begun
        .and_then(|()| connection.execute_batch("COMMIT"))
        .map_err(|error| failure(&error));
    if let Err(reason) = &committed {
        tracing::error!(%reason, "the journal could not be written");
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
    }
    for acknowledge in waiting {
        acknowledge(committed.clone());
    }
}

fn failure(error: &rusqlite::Error) -> Text {
    text!(
        "日志文件（journal）读写失败：{error}",
        "the journal could not be read or written: {error}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE t (x INTEGER PRIMARY KEY) STRICT")
            .unwrap();
        connection
    }

    fn insert(x: i64) -> (Command, Ticket<usize>) {
        Command::new(move |c| c.execute("INSERT INTO t VALUES (?1)", [x]))
    }

    #[test]
    fn work_that_fails_is_undone_alone() {
        let connection = table();
        let (one, first) = insert(1);
        let (twice, second) = Command::new(|c| {
            c.execute("INSERT INTO t VALUES (2)", [])?;
            c.execute("INSERT INTO t VALUES (1)", [])
        });
        let (three, third) = insert(3);
        commit(&connection, vec![one, twice, three]);
        assert!(first.wait().is_ok());
        assert!(second.wait().is_err());
        assert!(third.wait().is_ok());
        let sum: i64 = connection
            .query_row("SELECT sum(x) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sum, 4);
    }

    #[test]
    fn everything_queued_is_written_before_the_thread_ends() {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let mut tickets = Vec::new();
        for x in 0..2_000 {
            let (command, ticket) = insert(x);
            sender.send(command).unwrap();
            tickets.push(ticket);
        }
        sender
            .send(Command::lazy(|c| {
                c.execute("DELETE FROM t WHERE x = 0", []).map(drop)
            }))
            .unwrap();
        drop(sender);
        run(table(), &receiver);
        assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
    }

    #[test]
    fn a_ticket_for_a_closed_journal_is_an_error() {
        let (command, ticket) = insert(1);
        drop(command);
        assert!(ticket.wait().is_err());
    }
}
