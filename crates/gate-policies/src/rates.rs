//! What policies that count requests share: the table of who has used how much, and the header
//! fields that tell callers what is left.
//!
//! The fields come in two forms, because the draft changed its mind:
//! draft-ietf-httpapi-ratelimit-headers-10 has two fields that name every limit, drafts before 07
//! have three fields that speak of the one limit that is nearest.

#[path = "rates/table.rs"]
mod table;

pub(crate) use table::{Decision, Standing, Table, WINDOWS_MAX, Window};

use gate_kit::http::Headers;
use gate_kit::random;
use gate_model::units::Rate;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// Which header fields tell callers what is left. `Retry-After` is always sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RateLimitFields {
    /// `RateLimit-Policy` and `RateLimit`, of draft-ietf-httpapi-ratelimit-headers-10.
    #[default]
    Current,
    /// `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`, of its drafts before 07,
    /// which many clients read: they speak of the limit of which least is left.
    ThreeFields,
    /// None.
    None,
}

/// One limit, as callers are told of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    /// Its name: letters, digits and what needs no escaping in a quoted string.
    pub(crate) name: &'a str,
    /// Requests in the window.
    pub(crate) quota: u64,
    /// The window, where it is of whole seconds.
    pub(crate) window_s: Option<u64>,
    /// Requests that are left.
    pub(crate) remaining: u64,
    /// Until there are more.
    pub(crate) reset: Duration,
}

/// Tells what is left.
pub(crate) fn tell(fields: RateLimitFields, rows: &[Row<'_>], headers: &mut Headers) {
    if rows.is_empty() {
        return;
    }
    match fields {
        RateLimitFields::None => {}
        RateLimitFields::Current => {
            headers.append_written(b"RateLimit-Policy", |field| policies(rows, field));
            headers.append_written(b"RateLimit", |field| standings(rows, field));
        }
        RateLimitFields::ThreeFields => three_fields(rows, headers),
    }
}

fn policies(rows: &[Row<'_>], field: &mut Vec<u8>) {
    for (index, row) in rows.iter().enumerate() {
        name(index, row.name, field);
        number(b";q=", row.quota, field);
        if let Some(window_s) = row.window_s {
            number(b";w=", window_s, field);
        }
    }
}

fn standings(rows: &[Row<'_>], field: &mut Vec<u8>) {
    for (index, row) in rows.iter().enumerate() {
        name(index, row.name, field);
        number(b";r=", row.remaining, field);
        number(b";t=", seconds_up(row.reset), field);
    }
}

fn three_fields(rows: &[Row<'_>], headers: &mut Headers) {
    let nearest = rows
        .iter()
        .min_by_key(|row| (row.remaining, std::cmp::Reverse(row.reset)));
    let Some(nearest) = nearest else { return };
    headers.append_written(b"RateLimit-Limit", |field| {
        number(b"", nearest.quota, field);
        for row in rows {
            number(b", ", row.quota, field);
            if let Some(window_s) = row.window_s {
                number(b";w=", window_s, field);
            }
        }
    });
    let pairs: [(&[u8], u64); 2] = [
        (b"RateLimit-Remaining", nearest.remaining),
        (b"RateLimit-Reset", seconds_up(nearest.reset)),
    ];
    for (name, value) in pairs {
        headers.append_written(name, |field| number(b"", value, field));
    }
}

/// A quoted name behind the one before it.
pub(crate) fn name(index: usize, name: &str, field: &mut Vec<u8>) {
    if index > 0 {
        field.extend_from_slice(b", ");
    }
    field.push(b'"');
    field.extend_from_slice(name.as_bytes());
    field.push(b'"');
}

/// A number behind its label.
pub(crate) fn number(label: &[u8], value: u64, field: &mut Vec<u8>) {
    field.extend_from_slice(label);
    field.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Whole seconds, rounded up: a caller who waits that long has waited long enough.
pub(crate) fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// The whole seconds of a rate's window; shorter windows have none.
pub(crate) fn window_s(rate: Rate) -> Option<u64> {
    let per = rate.per().duration();
    (per.subsec_nanos() == 0).then_some(per.as_secs())
}

/// A window that grants `burst` at once. Rounds the interval up: a fraction of a nanosecond is
/// never given away.
pub(crate) fn compile_window(rate: Rate, burst: u32) -> Result<Window, String> {
    let nanos = u64::try_from(rate.per().duration().as_nanos()).ok();
    let interval = nanos.map(|nanos| nanos.div_ceil(u64::from(rate.count())));
    let window = interval.and_then(|interval| {
        let tolerance = interval.checked_mul(u64::from(burst).saturating_sub(1))?;
        // An hour of clock beyond it must still be countable.
        tolerance
            .checked_add(interval)?
            .checked_add(3_600_000_000_000)?;
        Some(Window {
            interval,
            tolerance,
        })
    });
    window.ok_or_else(|| format!("a burst of {burst} at {rate} takes centuries to recover"))
}

/// The key of a table's hashes.
pub(crate) fn secret() -> Result<[u64; 2], String> {
    let bytes: [u8; 16] = random::secret()
        .map_err(|error| format!("the operating system has no randomness: {error}"))?;
    let bits = u128::from_le_bytes(bytes);
    Ok([bits as u64, (bits >> 64) as u64])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(fields: RateLimitFields) -> String {
        let row = |name, quota, window_s, remaining, reset_ms| Row {
            name,
            quota,
            window_s,
            remaining,
            reset: Duration::from_millis(reset_ms),
        };
        let rows = [
            row("all/rate", 100, Some(60), 50, 30_001),
            row("all/day", 1_000, Some(86_400), 7, 3_600_000),
        ];
        let mut headers = Headers::new();
        tell(fields, &rows, &mut headers);
        let field = |(_, name, value): (_, &[u8], &[u8])| {
            format!(
                "{}: {}",
                name.escape_ascii(),
                String::from_utf8_lossy(value)
            )
        };
        headers.iter().map(field).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn both_forms_say_what_is_left() {
        assert_eq!(
            told(RateLimitFields::Current),
            "RateLimit-Policy: \"all/rate\";q=100;w=60, \"all/day\";q=1000;w=86400\n\
             RateLimit: \"all/rate\";r=50;t=31, \"all/day\";r=7;t=3600"
        );
        assert_eq!(
            told(RateLimitFields::ThreeFields),
            "RateLimit-Limit: 1000, 100;w=60, 1000;w=86400\n\
             RateLimit-Remaining: 7\nRateLimit-Reset: 3600"
        );
        assert_eq!(told(RateLimitFields::None), "");
    }
}
