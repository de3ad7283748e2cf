//! Writes UNIX time the ways that logs and the Date field spell it, in UTC.

use std::io::Write;
use std::time::Duration;

/// Year, month (1 to 12), day, hour, minute, second.
fn civil(unix: Duration) -> [u64; 6] {
    let (days, second) = (unix.as_secs() / 86_400, unix.as_secs() % 86_400);
    // Days are counted from 0000-03-01, so that the leap day ends a year; eras are 400 years.
    // Source: Howard Hinnant, "chrono-compatible low-level date algorithms".
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let leap = day_of_era / 1_460 + day_of_era / 146_096;
    let year_of_era = (day_of_era + day_of_era / 36_524 - leap) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    [
        year,
        month,
        day,
        second / 3_600,
        second / 60 % 60,
        second % 60,
    ]
}

/// RFC 3339 with microseconds: `2026-11-21T12:00:00.000000Z`.
pub(super) fn write_rfc3339(to: &mut Vec<u8>, unix: Duration) {
    let [year, month, day, hour, minute, second] = civil(unix);
    let micros = unix.subsec_micros();
    let _ = write!(
        to,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"
    );
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The Date field's (RFC 9110 section 5.6.7): `Sat, 21 Nov 2026 12:00:00 GMT`.
pub(crate) fn http_date(unix: Duration) -> String {
    // The first day of UNIX time was a Thursday.
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let [year, month, day, hour, minute, second] = civil(unix);
    let weekday = DAYS[(unix.as_secs() / 86_400 % 7) as usize];
    let month = MONTHS[month as usize - 1];
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// The combined log format's: `21/Nov/2026:12:00:00 +0000`.
pub(super) fn write_combined(to: &mut Vec<u8>, unix: Duration) {
    let [year, month, day, hour, minute, second] = civil(unix);
    let month = MONTHS[month as usize - 1];
    let _ = write!(
        to,
        "{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days_are_written_right() {
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00.000042Z"),
            (951_782_400, "2000-02-29T00:00:00.000042Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000042Z"),
            (1_795_262_400, "2026-11-21T12:00:00.000042Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000042Z"),
        ] {
            let mut text = Vec::new();
            write_rfc3339(
                &mut text,
                Duration::from_secs(seconds) + Duration::from_micros(42),
            );
            assert_eq!(String::from_utf8_lossy(&text), shown);
        }
        let mut text = Vec::new();
        write_combined(&mut text, Duration::from_secs(1_795_262_400));
        assert_eq!(text, b"21/Nov/2026:12:00:00 +0000");
        for (seconds, shown) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (1_795_262_400, "Sat, 21 Nov 2026 12:00:00 GMT"),
        ] {
            assert_eq!(http_date(Duration::from_secs(seconds)), shown);
        }
    }
}
