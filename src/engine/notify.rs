//! The register's callback, on a thread of its own: a slow callback holds up nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::pool::{self, CALLBACK};
use crate::lock;
use crate::model::Order;
use crate::text::{Text, text};

/// What the register wants called with every piece of news.
pub type Callback = Box<dyn Fn(&Order) + Send>;

/// Calls the callback.
pub(super) struct Notifier {
    shared: Arc<Shared>,
    /// Whether anybody wants to be called.
    wanted: AtomicBool,
    news: Mutex<Option<Sender<Order>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Disconnected when the thread ends.
    ended: Receiver<()>,
}

#[derive(Default)]
struct Shared {
    /// Held during a call: whoever sets the callback waits for the call to end.
    callback: Mutex<Option<Callback>>,
    /// Set from within the callback itself, to take effect when it returns.
    replacement: Mutex<Option<Option<Callback>>>,
}

impl Notifier {
    pub(super) fn start() -> Result<Self, Text> {
        let shared = Arc::new(Shared::default());
        let (sender, receiver) = unbounded();
        let for_thread = Arc::clone(&shared);
        let (running, ended) = bounded(0);
        let thread = pool::spawn(CALLBACK, move || {
            run(&for_thread, &receiver);
            drop::<Sender<()>>(running);
        })?;
        Ok(Self {
            shared,
            wanted: AtomicBool::new(false),
            news: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            ended,
        })
    }

    pub(super) fn tell(&self, order: &Order) {
        if !self.wanted.load(Ordering::Acquire) {
            return;
        }
        if let Some(news) = lock(&self.news).as_ref() {
            let _ = news.send(order.clone());
        }
    }

    /// Sets or clears the callback. From any other thread, waits for a call that is under way.
    pub(super) fn set(&self, callback: Option<Callback>) {
        self.wanted.store(callback.is_some(), Ordering::Release);
        if pool::on_callback_thread() {
            *lock(&self.shared.replacement) = Some(callback);
        } else {
            *lock(&self.shared.callback) = callback;
        }
    }

    /// Delivers what is queued and ends the thread. A callback that doesn't return until
    /// `deadline` is left behind: nothing here can end it.
    pub(super) fn stop(&self, deadline: Instant) -> Result<(), Text> {
        drop(lock(&self.news).take());
        if self.ended.recv_deadline(deadline) == Err(RecvTimeoutError::Timeout) {
            return Err(text!(
                "收银程序的回调函数没有返回",
                "the register's callback did not return"
            ));
        }
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        *lock(&self.shared.callback) = None;
        Ok(())
    }
}

fn run(shared: &Shared, news: &Receiver<Order>) {
    for order in news {
        let mut callback = lock(&shared.callback);
        if let Some(callback) = callback.as_ref() {
            callback(&order);
        }
        if let Some(replacement) = lock(&shared.replacement).take() {
            *callback = replacement;
        }
    }
}
