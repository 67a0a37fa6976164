//! Time and the gateway's own numbers.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom, SystemRandom};

/// Unix time in ms. It never goes back while the process runs: the ledger's entries stay in order when the wall clock is set.
pub(crate) fn now_ms() -> u64 {
    static START: OnceLock<(Instant, u64)> = OnceLock::new();
    let (start, unix) = START.get_or_init(|| {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        (Instant::now(), millis(unix))
    });
    unix.saturating_add(millis(start.elapsed()))
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// 32 random upper-case hex characters, as every `nonce_str` is.
pub(crate) fn nonce() -> String {
    let mut bytes = [0_u8; 16];
    // A nonce that repeats is harmless here, so a missing random source is no reason to refuse an answer.
    let _ = SystemRandom::new().fill(&mut bytes);
    hex_upper(&bytes)
}

/// The message number that names one answer in both sides' logs.
pub(crate) fn log_id() -> u32 {
    static NEXT: AtomicU64 = AtomicU64::new(1_310_856_473);
    u32::try_from(NEXT.fetch_add(1, Ordering::Relaxed) & 0xFFFF_FFFF).unwrap_or(1)
}

/// Bytes as upper-case hex.
pub(crate) fn hex_upper(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02X}");
            text
        })
}
