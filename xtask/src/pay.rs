//! The demonstration.

/// Builds everything and lets a C register pay.
pub(crate) fn run() -> Result<(), String> {
    Err("not written yet".to_owned())
}
