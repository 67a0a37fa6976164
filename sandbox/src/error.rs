//! Why a sandbox could not start.

use std::fmt;

/// Why a sandbox could not start: what was tried, and what stood in the way.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    /// An error for the step `what` with its cause.
    pub(crate) fn new(what: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self(format!("{what}: {cause}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
