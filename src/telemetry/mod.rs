//! What the library says of itself: to log files, and to the gateway's monitor.

mod log;
mod machine;
mod monitor;
mod processor;

pub(crate) use self::log::{Log, log_exchange, log_verdict};
pub(crate) use self::machine::Machine;
pub(crate) use self::monitor::{CallResult, Monitor, Upload};
