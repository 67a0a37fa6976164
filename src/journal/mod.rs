//! The journal on disk: what makes an accepted payment survive a power cut (`lifecycle.md`).
//!
//! Many callers share one commit, and one fsync: see [`commit`].

mod commit;
mod orders;
mod refunds;
mod store;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rusqlite::Connection;

pub(crate) use self::commit::Ticket;
use self::commit::{Committer, Until};
pub(crate) use self::orders::{Accepted, StoredOrder};
pub(crate) use self::refunds::{BegunRefund, BegunTakeBack};
use crate::lock;
use crate::text::{Text, text};

/// The journal of one register.
pub(crate) struct Journal {
    committer: Arc<Committer>,
    /// Writes what nobody waits for.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens or creates the journal and locks it against every other process. `merchant` is who
    /// it belongs to; another merchant's journal is refused.
    pub(crate) fn open(path: Option<&Path>, merchant: &str) -> Result<Self, Text> {
        let committer = Committer::new(store::open(path, merchant)?);
        let for_thread = Arc::clone(&committer);
        let thread = std::thread::Builder::new()
            .name("cloudpay-journal".to_owned())
            .spawn(move || for_thread.write_lazily())
            .map_err(|error| text!("无法创建线程：{error}", "can't start a thread: {error}"))?;
        Ok(Self {
            committer,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Has `work` done within the next commit. The ticket tells when it is durable.
    fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Ticket<T> {
        self.committer.submit(Until::Durable, work)
    }

    /// The same for what is only read, and for what the gateway will say again when it is asked:
    /// the ticket tells when it survives this process, and half a second later it survives a power cut.
    fn submit_unsynced<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Ticket<T> {
        self.committer.submit(Until::Written, work)
    }

    /// Like [`Journal::submit`] for what nobody waits for: it rides on somebody else's commit, or
    /// is written within half a second.
    fn submit_lazily(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) {
        self.committer.submit_lazily(work);
    }

    /// Writes what is queued, closes the file and gives up the lock. Later work is refused.
    pub(crate) fn close(&self) {
        self.committer.close();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // Nothing in it panics; if it did, everybody who waited has been answered.
            let _ = thread.join();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}
