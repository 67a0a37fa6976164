//! The journal on disk: what makes an accepted payment survive a power cut (`lifecycle.md`).
//!
//! One thread owns the file. Everybody else sends it work; what has gathered while one commit was
//! written is done together in the next one, so that many callers share one fsync.

mod commit;
mod orders;
mod refunds;
mod store;

use std::path::Path;
use std::thread::JoinHandle;

use crossbeam_channel::Sender;
use rusqlite::Connection;

use self::commit::Command;
pub(crate) use self::commit::Ticket;
pub(crate) use self::orders::{Accepted, StoredOrder};
pub(crate) use self::refunds::BegunRefund;
use crate::lock;
use crate::text::{Text, text};

/// The journal of one register.
pub(crate) struct Journal {
    queue: std::sync::Mutex<Option<Sender<Command>>>,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens or creates the journal and locks it against every other process. `merchant` is who
    /// it belongs to; another merchant's journal is refused.
    pub(crate) fn open(path: Option<&Path>, merchant: &str) -> Result<Self, Text> {
        let connection = store::open(path, merchant)?;
        let (sender, receiver) = crossbeam_channel::unbounded();
        let thread = std::thread::Builder::new()
            .name("cloudpay-journal".to_owned())
            .spawn(move || commit::run(connection, &receiver))
            .map_err(|error| text!("无法创建线程：{error}", "can't start a thread: {error}"))?;
        Ok(Self {
            queue: std::sync::Mutex::new(Some(sender)),
            thread: std::sync::Mutex::new(Some(thread)),
        })
    }

    /// Has `work` done within the next commit. The ticket tells when it is durable.
    fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Ticket<T> {
        let (command, ticket) = Command::new(work);
        if let Some(queue) = lock(&self.queue).as_ref() {
            // The thread outlives the queue: sending can't fail while the queue is there.
            let _ = queue.send(command);
        }
        ticket
    }

    /// Like [`Journal::submit`] for what nobody waits for: it rides on somebody else's commit, or
    /// is written within a second.
    fn submit_lazily(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) {
        if let Some(queue) = lock(&self.queue).as_ref() {
            let _ = queue.send(Command::lazy(work));
        }
    }

    /// Writes what is queued, closes the file and gives up the lock. Later work is refused.
    pub(crate) fn close(&self) {
        drop(lock(&self.queue).take());
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // A panic there was already answered to everyone who waited.
            let _ = thread.join();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}
