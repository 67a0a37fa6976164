//! What the library says of itself, to files.

mod log;

pub(crate) use self::log::{Log, log_exchange, log_verdict};
