//! UNIX time as HTTP spells it (RFC 9110 section 5.6.7), in both directions.
//!
//! Reading is strict where servers have read the same text differently: one space, two digits, GMT.
//! Names of days and months are read in any case, and the two obsolete forms are read as well.

use std::time::Duration;

/// Names of months, as dates have them.
pub const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// Names of days; the first day of UNIX time was a Thursday.
const DAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

/// Year, month (1 to 12), day, hour, minute, second in UTC.
#[must_use]
pub fn civil(unix: Duration) -> [u64; 6] {
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

/// The Date field's form: `Sat, 21 Nov 2026 12:00:00 GMT`.
#[must_use]
pub fn http_date(unix: Duration) -> String {
    let [year, month, day, hour, minute, second] = civil(unix);
    let weekday = &DAYS[(unix.as_secs() / 86_400 % 7) as usize][..3];
    let month = MONTHS[month as usize - 1];
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Seconds of UNIX time that a date says, in any of the three forms; `None` for anything else and
/// for times before 1970. `now` (seconds of UNIX time) decides the century of two-digit years: at
/// most 50 years ahead.
#[must_use]
pub fn parse_http_date(text: &[u8], now: u64) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    match text.split_once(", ") {
        Some((day, rest)) if day.len() == 3 => imf_fixdate(day, rest),
        Some((day, rest)) => rfc850(day, rest, now),
        None => asctime(text),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(day_name: &str, rest: &str) -> Option<u64> {
    is_day(day_name, 3)?;
    let mut parts = rest.split(' ');
    let day = digits(parts.next()?, 2)?;
    let month = month(parts.next()?)?;
    let year = digits(parts.next()?, 4)?;
    let time = time(parts.next()?)?;
    let zone = parts.next()?;
    (parts.next().is_none() && zone.eq_ignore_ascii_case("GMT"))
        .then(|| seconds(year, month, day, time))?
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(day_name: &str, rest: &str, now: u64) -> Option<u64> {
    is_day(day_name, day_name.len())?;
    let mut parts = rest.split(' ');
    let mut date = parts.next()?.split('-');
    let day = digits(date.next()?, 2)?;
    let month = month(date.next()?)?;
    let short = digits(date.next()?, 2)?;
    let time = time(parts.next()?)?;
    let zone = parts.next()?;
    if date.next().is_some() || parts.next().is_some() || !zone.eq_ignore_ascii_case("GMT") {
        return None;
    }
    let [this_year, ..] = civil(Duration::from_secs(now));
    let mut year = this_year - this_year % 100 + short;
    // RFC 9110: more than 50 years ahead means the most recent past year with these digits.
    if year > this_year + 50 {
        year -= 100;
    }
    seconds(year, month, day, time)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &str) -> Option<u64> {
    let (day_name, rest) = text.split_once(' ')?;
    is_day(day_name, 3)?;
    let (name, rest) = rest.split_once(' ')?;
    let month = month(name)?;
    let (day, rest) = rest.split_at_checked(2)?;
    let day = match day.strip_prefix(' ') {
        Some(single) => digits(single, 1)?,
        None => digits(day, 2)?,
    };
    let (clock, year) = rest.strip_prefix(' ')?.split_once(' ')?;
    seconds(digits(year, 4)?, month, day, time(clock)?)
}

fn is_day(name: &str, length: usize) -> Option<()> {
    let is_name = |day: &&str| match length {
        3 => day[..3].eq_ignore_ascii_case(name),
        _ => day.eq_ignore_ascii_case(name),
    };
    DAYS.iter().any(is_name).then_some(())
}

fn month(name: &str) -> Option<u64> {
    let position = MONTHS
        .iter()
        .position(|month| month.eq_ignore_ascii_case(name))?;
    Some(position as u64 + 1)
}

fn digits(text: &str, length: usize) -> Option<u64> {
    (text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

/// Seconds of a day in `08:49:37`; a leap second counts as the one before it.
fn time(text: &str) -> Option<u64> {
    let mut parts = text.split(':');
    let mut next = || digits(parts.next()?, 2);
    let (hour, minute, second) = (next()?, next()?, next()?);
    (parts.next().is_none() && hour < 24 && minute < 60 && second <= 60)
        .then(|| hour * 3_600 + minute * 60 + second.min(59))
}

fn seconds(year: u64, month: u64, day: u64, time: u64) -> Option<u64> {
    if year < 1970 || !(1..=31).contains(&day) {
        return None;
    }
    Some(days(year, month, day) * 86_400 + time)
}

/// Days since 1970 of a date from then on in the Gregorian calendar; months count from 1. A day that
/// its month lacks counts on into the next one.
#[must_use]
pub fn days(year: u64, month: u64, day: u64) -> u64 {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22.
    const NOW: u64 = 1_795_305_600;

    #[test]
    fn three_forms_say_the_same_and_come_back() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "SUN, 06 nov 1994 08:49:37 gMT",
        ] {
            assert_eq!(
                parse_http_date(text.as_bytes(), NOW),
                Some(784_111_777),
                "{text}"
            );
        }
        for unix in [0, 951_782_399, 951_868_800, 4_102_444_800, 253_402_300_799] {
            let text = http_date(Duration::from_secs(unix));
            assert_eq!(parse_http_date(text.as_bytes(), NOW), Some(unix), "{text}");
        }
        let ahead = parse_http_date(b"Thursday, 18-Aug-50 02:01:18 GMT", NOW);
        assert_eq!(
            ahead,
            parse_http_date(b"Thu, 18 Aug 2050 02:01:18 GMT", NOW)
        );
    }

    #[test]
    fn other_spellings_say_nothing() {
        for text in [
            "0",
            "",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT GMT",
            "Xxx, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 1950 02:01:18 GMT",
            "Thu Aug  8 02:01:18 20500",
            "Thu, ü8 Aug 2050 02:01:18 GMT",
        ] {
            assert_eq!(parse_http_date(text.as_bytes(), NOW), None, "{text}");
        }
    }
}
