//! What SQL gets beside SQLite's own functions: times, spans and quantiles.
//!
//! | Function | Answer |
//! |---|---|
//! | `now()` | microseconds since 1970, the same all through a query |
//! | `since('24h')` | `now()` less a span |
//! | `at('2026-11-22T10:00:00Z')` | the microseconds of a time in UTC |
//! | `iso(time)` | the time as text |
//! | `bucket(time, '5m')`, `minute(time)`, `hour(time)`, `day(time)` | where the time's span begins |
//! | `quantile(x, 0.99)`, `p50(x)`, `p90(x)`, `p95(x)`, `p99(x)` | as [`Sketch::quantile`] has it |

use crate::scan::Sketch;
use gate_kit::date;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Result};
use std::time::Duration;

/// Microseconds of spans that have a function of their own.
pub(super) const SPANS: [(&str, i64); 3] = [
    ("minute", 60_000_000),
    ("hour", 3_600_000_000),
    ("day", 86_400_000_000),
];
/// Quantiles that have a function of their own.
pub(super) const QUANTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)];

/// Microseconds of a span: `90s`, `5m`, `24h`, `7d`.
pub(super) fn span_us(text: &str) -> Option<i64> {
    let unit = match text.as_bytes().last()? {
        b's' => 1_000_000,
        b'm' => 60_000_000,
        b'h' => 3_600_000_000,
        b'd' => 86_400_000_000,
        _ => return None,
    };
    let count: i64 = text[..text.len() - 1].parse().ok()?;
    (count > 0).then(|| count.checked_mul(unit)).flatten()
}

/// Microseconds of a time in UTC: `2026-11-22`, `2026-11-22T10:00`, `2026-11-22T10:00:00Z`.
pub(super) fn time_us(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (day, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let mut parts = day.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let in_calendar = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && parts.next().is_none();
    if !in_calendar {
        return None;
    }
    let mut parts = clock.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    let of_a_day = hour < 24 && minute < 60 && second < 60 && parts.next().is_none();
    let seconds = date::days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    of_a_day.then(|| i64::try_from(seconds).ok()?.checked_mul(1_000_000))?
}

/// A time as text, with microseconds.
#[must_use]
pub fn iso(time_us: i64) -> String {
    let unix = Duration::from_micros(u64::try_from(time_us).unwrap_or(0));
    let [year, month, day, hour, minute, second] = date::civil(unix);
    let micros = unix.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

fn wrong(problem: &str) -> Error {
    Error::UserFunctionError(problem.into())
}

/// The width of a bucket, as a number or a span.
fn width(value: ValueRef<'_>) -> Result<i64> {
    let width = match value {
        ValueRef::Integer(width) => Some(width),
        ValueRef::Text(text) => std::str::from_utf8(text).ok().and_then(span_us),
        _ => None,
    };
    width
        .filter(|width| *width > 0)
        .ok_or_else(|| wrong("a bucket is a number above zero or a span such as '5m'"))
}

fn floor(value: ValueRef<'_>, width: i64) -> Option<i64> {
    match value {
        ValueRef::Integer(value) => Some(value.saturating_sub(value.rem_euclid(width))),
        _ => None,
    }
}

/// Gives a connection the functions.
pub(super) fn register(connection: &Connection, now_us: i64) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("now", 0, flags, move |_| Ok(now_us))?;
    connection.create_scalar_function("since", 1, flags, move |context| {
        let span = span_us(context.get_raw(0).as_str().unwrap_or(""));
        span.map(|span| now_us.saturating_sub(span))
            .ok_or_else(|| wrong("`since` takes a span such as '24h'"))
    })?;
    connection.create_scalar_function("at", 1, flags, |context| {
        time_us(context.get_raw(0).as_str().unwrap_or(""))
            .ok_or_else(|| wrong("`at` takes a time in UTC such as '2026-11-22T10:00:00Z'"))
    })?;
    connection.create_scalar_function("iso", 1, flags, |context| {
        Ok(match context.get_raw(0) {
            ValueRef::Integer(time) => Some(iso(time)),
            _ => None,
        })
    })?;
    connection.create_scalar_function("bucket", 2, flags, |context| {
        Ok(floor(context.get_raw(0), width(context.get_raw(1))?))
    })?;
    for (name, width) in SPANS {
        connection.create_scalar_function(name, 1, flags, move |context| {
            Ok(floor(context.get_raw(0), width))
        })?;
    }
    connection.create_aggregate_function("quantile", 2, flags, Quantile(None))?;
    for (name, share) in QUANTILES {
        connection.create_aggregate_function(name, 1, flags, Quantile(Some(share)))?;
    }
    Ok(())
}

/// The quantile of a share that is given, or is the second argument.
struct Quantile(Option<f64>);

impl Aggregate<(Sketch, f64), Option<i64>> for Quantile {
    fn init(&self, context: &mut Context<'_>) -> Result<(Sketch, f64)> {
        let share = match self.0 {
            Some(share) => share,
            None => context.get::<f64>(1)?,
        };
        match (0.0..=1.0).contains(&share) {
            true => Ok((Sketch::default(), share)),
            false => Err(wrong("a quantile is of a share from 0 to 1")),
        }
    }

    fn step(&self, context: &mut Context<'_>, (sketch, _): &mut (Sketch, f64)) -> Result<()> {
        if let ValueRef::Integer(value) = context.get_raw(0) {
            sketch.record(value);
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, found: Option<(Sketch, f64)>) -> Result<Option<i64>> {
        Ok(found.and_then(|(sketch, share)| sketch.quantile(share)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_spans_are_read() {
        assert_eq!(span_us("5m"), Some(300_000_000));
        assert_eq!(span_us("0s"), None);
        assert_eq!(span_us("m"), None);
        assert_eq!(time_us("1970-01-02"), Some(86_400_000_000));
        let at = time_us("2026-11-22T10:20:30Z").unwrap();
        assert_eq!(iso(at + 5), "2026-11-22T10:20:30.000005Z");
        assert_eq!(time_us("2026-11-22 10:20"), Some(at - 30_000_000));
        for wrong in [
            "",
            "2026",
            "2026-13-01",
            "2026-11-22T25:00",
            "2026-11-22T10",
        ] {
            assert_eq!(time_us(wrong), None, "{wrong}");
        }
    }
}
