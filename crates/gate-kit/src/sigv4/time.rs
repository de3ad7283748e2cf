//! Times as signatures spell them: `20150830T123600Z`.

use crate::date::{civil, days};
use std::time::Duration;

/// The time stamp of a time in seconds since 1970.
#[must_use]
pub fn time_stamp(unix_s: u64) -> String {
    let [year, month, day, hour, minute, second] = civil(Duration::from_secs(unix_s));
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// The time in seconds since 1970 of a time stamp; `None` when it is none.
#[must_use]
pub fn parse_time(stamp: &str) -> Option<u64> {
    let bytes = stamp.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| -> Option<u64> {
        let digits = &bytes[range];
        let all = digits.iter().all(u8::is_ascii_digit);
        let value = |sum: u64, digit: &u8| sum * 10 + u64::from(digit - b'0');
        all.then(|| digits.iter().fold(0, value))
    };
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    let valid = year >= 1970
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !valid {
        return None;
    }
    let midnight = days(year, month, day) * 86_400;
    // A day that its month does not have would be another day.
    (civil(Duration::from_secs(midnight))[..3] == [year, month, day])
        .then(|| midnight + hour * 3_600 + minute * 60 + second)
}
