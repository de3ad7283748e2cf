//! Writes UNIX time the ways that logs and the Date field spell it, in UTC.

use gate_kit::date::{MONTHS, civil};
use std::io::Write;
use std::time::Duration;

/// RFC 3339 with microseconds: `2026-11-21T12:00:00.000000Z`.
pub(super) fn write_rfc3339(to: &mut Vec<u8>, unix: Duration) {
    let [year, month, day, hour, minute, second] = civil(unix);
    let micros = unix.subsec_micros();
    let _ = write!(
        to,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"
    );
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
    use gate_kit::date::http_date;

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
