//! What an integrator looks at afterwards: the last requests, warnings and uploads. Bounded, oldest first.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::Value;

/// The last things of one sort.
#[derive(Debug)]
pub(crate) struct Last<T> {
    kept: VecDeque<T>,
    most: usize,
}

impl<T> Last<T> {
    /// Keeps `most` things.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            kept: VecDeque::new(),
            most,
        }
    }

    /// Adds one, and drops the oldest when there are too many.
    pub(crate) fn push(&mut self, thing: T) {
        if self.kept.len() == self.most {
            self.kept.pop_front();
        }
        self.kept.push_back(thing);
    }

    /// All that are kept, oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.kept.iter()
    }

    /// Forgets them.
    pub(crate) fn clear(&mut self) {
        self.kept.clear();
    }
}

/// One request, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Request {
    pub(crate) at_ms: u64,
    pub(crate) listener: usize,
    pub(crate) path: String,
    /// `a`, `s` or empty when the request had no usable authentication.
    pub(crate) auth: &'static str,
    pub(crate) out_trade_no: String,
    pub(crate) status: i64,
    pub(crate) internal_status: i64,
    /// The description the register got, or should have got.
    pub(crate) verdict: String,
    /// What was done to the answer on purpose.
    pub(crate) fault: String,
    pub(crate) took_ms: u64,
}

/// Something in a request that the protocol doesn't define, though it was accepted.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Warning {
    pub(crate) at_ms: u64,
    pub(crate) path: String,
    /// The key, with dots.
    pub(crate) key: String,
    /// `unknown`, `empty`, `null` or a sentence.
    pub(crate) what: &'static str,
}

/// One monitor or machine upload, unpacked.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Upload {
    pub(crate) at_ms: u64,
    pub(crate) path: String,
    pub(crate) compressed: bool,
    /// The request's content.
    pub(crate) content: Value,
    /// `uncompressed_monitor_info`, or what was in `compressed_monitor_info`.
    pub(crate) monitor_info: Value,
    /// `machine_info`, which travels as a JSON string, read.
    pub(crate) machine_info: Value,
}
