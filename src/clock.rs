//! The wall clock. Only for what people and the gateway read: every wait and every limit runs on
//! `Instant`, which never jumps.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

/// `YYMMDDhhmmss` in China's time (UTC+8, no summer time), for order numbers.
pub(crate) fn stamp(seconds: i64) -> String {
    let local = seconds + 8 * 3600;
    let (days, second) = (local.div_euclid(86_400), local.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    format!(
        "{:02}{month:02}{day:02}{:02}{:02}{:02}",
        year.rem_euclid(100),
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// The date of a day counted from 1970-01-01: whole 400-year eras, years beginning in March so
/// that the leap day comes last.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_beijing_time() {
        // From `date -d @… +%y%m%d%H%M%S` with TZ=Asia/Shanghai.
        assert_eq!(stamp(0), "700101080000");
        assert_eq!(stamp(1_566_803_216), "190826150656");
        assert_eq!(stamp(1_709_164_800), "240229080000");
        assert_eq!(stamp(1_735_660_799), "241231235959");
    }
}
