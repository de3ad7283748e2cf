//! A point in time: `2027-01-31` or `2027-01-31T08:30:00Z`, in UTC.

use std::fmt;
use std::str::FromStr;

use super::{UnitError, shown};

/// A second of UNIX time from 1970 to 9999, written in UTC as RFC 3339 does; a day alone means its
/// beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    unix_s: u64,
}

impl Timestamp {
    /// So many seconds since 1970, at most the last of the year 9999.
    #[must_use]
    pub const fn from_unix_s(unix_s: u64) -> Timestamp {
        let last = 253_402_300_799;
        Timestamp {
            unix_s: if unix_s > last { last } else { unix_s },
        }
    }

    /// The seconds since 1970.
    #[must_use]
    pub const fn unix_s(self) -> u64 {
        self.unix_s
    }

    fn from_whole(_: u64) -> Result<Timestamp, UnitError> {
        Err(Timestamp::no_unit(""))
    }

    fn no_unit(_: &str) -> UnitError {
        UnitError {
            found: "a number".to_owned(),
            expected: Timestamp::EXPECTED,
        }
    }
}

/// A number of exactly so many digits.
fn digits(text: &str, length: usize) -> Option<u64> {
    let plain = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

fn read(text: &str) -> Option<u64> {
    let (day, time) = match text.split_once(['T', ' ']) {
        Some((day, time)) => (day, Some(time.strip_suffix('Z')?)),
        None => (text, None),
    };
    let mut parts = day.split('-');
    let year = digits(parts.next()?, 4).filter(|year| *year >= 1970)?;
    let month = digits(parts.next()?, 2).filter(|month| (1..=12).contains(month))?;
    let day = digits(parts.next()?, 2)?;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if parts.next().is_some() || !(1..=length).contains(&day) {
        return None;
    }
    let mut seconds = 0;
    if let Some(time) = time {
        let mut parts = time.split(':');
        for (most, unit) in [(23, 3600), (59, 60), (59, 1)] {
            seconds += digits(parts.next()?, 2).filter(|part| *part <= most)? * unit;
        }
        if parts.next().is_some() {
            return None;
        }
    }
    // Days of years that begin in March, so that leap days come last; 719,468 before 1970.
    let (year, month) = match month {
        3.. => (year, month - 3),
        _ => (year - 1, month + 9),
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some((days - 719_468) * 86_400 + seconds)
}

impl FromStr for Timestamp {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Timestamp, UnitError> {
        let unix_s = read(text.trim()).ok_or_else(|| UnitError {
            found: shown(text),
            expected: Timestamp::EXPECTED,
        })?;
        Ok(Timestamp { unix_s })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, seconds) = (self.unix_s / 86_400 + 719_468, self.unix_s % 86_400);
        let era = days / 146_097;
        let of_era = days % 146_097;
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let (year, month) = match month {
            0..10 => (year + 400 * era, month + 3),
            _ => (year + 400 * era + 1, month - 9),
        };
        write!(f, "{year:04}-{month:02}-{day:02}")?;
        if seconds == 0 {
            return Ok(());
        }
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(f, "T{hours:02}:{minutes:02}:{:02}Z", seconds % 60)
    }
}

super::text_quantity!(Timestamp,
    expected: "a time in UTC such as 2027-01-31 or 2027-01-31T08:30:00Z",
    pattern: r"^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}:[0-9]{2}Z)?\s*$",
    examples: ["2027-01-31", "2027-01-31T08:30:00Z"],
    integer: serde_json::json!("string"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_shown_in_utc() {
        for (text, unix_s) in [
            ("1970-01-01", 0),
            ("2028-02-29", 1_835_395_200),
            ("2028-02-29T12:00:01Z", 1_835_438_401),
            ("9999-12-31", 253_402_214_400),
        ] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!((time.unix_s(), &*time.to_string()), (unix_s, text));
        }
        for wrong in [
            "",
            "2027-02-29",
            "2027-13-01",
            "27-01-01",
            "2027-01-01T24:00:00Z",
            "2027-01-01T08:30:00",
        ] {
            assert!(wrong.parse::<Timestamp>().is_err(), "{wrong}");
        }
    }
}
