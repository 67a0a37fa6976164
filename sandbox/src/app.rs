//! Everything that the parts of one gateway share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::callback::Callbacks;
use crate::clock::now_ms;
use crate::cloudpay::pss::PublicKey;
use crate::faults::{Chaos, Delays, Hit};
use crate::fields::Oddities;
use crate::ledger::{Event, Ledger};
use crate::merchant::Merchant;
use crate::net::Listeners;
use crate::options::Options;
use crate::records::{Last, Request, Upload, Warning};

/// One gateway.
pub(crate) struct App {
    pub(crate) merchant: Merchant,
    pub(crate) public_key: PublicKey,
    /// `https://…` of each listener.
    pub(crate) urls: Vec<String>,
    pub(crate) listeners: Listeners,
    pub(crate) callbacks: Callbacks,
    pub(crate) requests: Mutex<Last<Request>>,
    pub(crate) warnings: Mutex<Last<Warning>>,
    pub(crate) uploads: Mutex<Last<Upload>>,
    ledger: Mutex<Ledger>,
    chaos: Mutex<Chaos>,
}

/// Locks, also after a panic of another thread: what is kept here is never left half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl App {
    /// A gateway with empty books.
    pub(crate) fn new(
        options: &Options,
        public_key: PublicKey,
        urls: Vec<String>,
        listeners: Listeners,
        callbacks: Callbacks,
    ) -> Arc<Self> {
        Arc::new(Self {
            merchant: Merchant::TEST,
            public_key,
            urls,
            listeners,
            callbacks,
            requests: Mutex::new(Last::new(2_000)),
            warnings: Mutex::new(Last::new(2_000)),
            uploads: Mutex::new(Last::new(200)),
            ledger: Mutex::new(Ledger::default()),
            chaos: Mutex::new(Chaos::new(options)),
        })
    }

    /// One step on the books, and then what follows from it outside. The lock is never held longer than `step`.
    pub(crate) fn ledger<T>(self: &Arc<Self>, step: impl FnOnce(&mut Ledger) -> T) -> T {
        let (result, events) = {
            let mut ledger = lock(&self.ledger);
            let result = step(&mut ledger);
            (result, ledger.take_outbox())
        };
        for event in events {
            self.follow(event);
        }
        result
    }

    /// The random faults and switches.
    pub(crate) fn chaos(&self) -> MutexGuard<'_, Chaos> {
        lock(&self.chaos)
    }

    /// The delays in force.
    pub(crate) fn delays(&self) -> Delays {
        self.chaos().delays()
    }

    /// What hits this request.
    pub(crate) fn draw(&self, pays: bool) -> Hit {
        self.chaos().draw(pays)
    }

    /// Keeps what a protocol doesn't define but was let through.
    pub(crate) fn warn(&self, path: &str, odd: Oddities) {
        if odd.is_empty() {
            return;
        }
        let mut warnings = lock(&self.warnings);
        for (key, what) in odd {
            warnings.push(Warning {
                at_ms: now_ms(),
                path: path.to_owned(),
                key,
                what,
            });
        }
    }

    fn follow(self: &Arc<Self>, event: Event) {
        match event {
            Event::Wake(no, at_ms) => {
                let app = self.clone();
                let wait = Duration::from_millis(at_ms.saturating_sub(now_ms()).saturating_add(1));
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    app.ledger(|l| l.settle(&no));
                });
            }
            Event::Paid(no) => self.callbacks.paid(self, &no),
            Event::Refunded(no, refund_no) => self.callbacks.refunded(self, &no, &refund_no),
        }
    }
}
