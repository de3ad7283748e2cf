//! How much a provider says it will still take from a credential, and until when it wants rest.
//!
//! Read from the fields of its answers: OpenAI's `x-ratelimit-remaining-requests`, `-tokens` and
//! their `-reset-` (durations such as `6m0s`,
//! <https://platform.openai.com/docs/guides/rate-limits>), which Azure, Groq and others share;
//! Anthropic's `anthropic-ratelimit-requests-remaining`, `-tokens-remaining` and their `-reset`
//! (RFC 3339, <https://docs.claude.com/en/api/rate-limits>); `retry-after` (RFC 9110 section
//! 10.2.3) and `retry-after-ms`. What cannot be read is taken for absent.

use super::Bench;
use crate::upstream::trouble::Trouble;
use gate_kit::clock::Moment;
use gate_kit::date::{days, parse_http_date};
use gate_kit::http::{HeaderId, Headers};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest rest that a provider's answer leads to.
const REST_MAX: Duration = Duration::from_secs(3600);

/// What is known about one credential at one provider's model.
#[derive(Debug, Default)]
pub(in super::super) struct Lane {
    /// Passed over until then: out of requests, or told to wait.
    pub(in super::super) rest: Bench,
    /// Tokens left until `tokens_until`.
    tokens_left: AtomicU64,
    tokens_until: AtomicU64,
    /// Requests left and one more; zero where no answer has said.
    requests_left: AtomicU64,
    /// When it was refused last, and how, for people who look.
    pub(in super::super) trouble: Trouble,
}

impl Lane {
    /// Whether a call of about so many tokens fits now.
    pub(in super::super) fn has_room(&self, tokens: u64, now: Moment) -> bool {
        !self.rest.is_out(now)
            && (self.tokens_until.load(Ordering::Relaxed) <= now.0
                || self.tokens_left.load(Ordering::Relaxed) >= tokens)
    }

    /// From when on a call of about so many tokens fits.
    pub(in super::super) fn free_from(&self, tokens: u64) -> Moment {
        let rest = self.rest.until();
        match self.tokens_left.load(Ordering::Relaxed) >= tokens {
            true => rest,
            false => rest.max(Moment(self.tokens_until.load(Ordering::Relaxed))),
        }
    }

    /// Requests that are left, as the last answer said.
    pub(in super::super) fn requests_left(&self) -> Option<u64> {
        self.requests_left.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Tokens that are left, and until when that counts; none where no answer has said, and where
    /// that time is over.
    pub(in super::super) fn tokens_left(&self, now: Moment) -> Option<(u64, Moment)> {
        let until = Moment(self.tokens_until.load(Ordering::Relaxed));
        (until > now).then(|| (self.tokens_left.load(Ordering::Relaxed), until))
    }

    /// Notes what an answer's fields say. `unix` is now as UNIX time.
    pub(in super::super) fn note(&self, headers: &Headers, now: Moment, unix: Duration) {
        for family in FAMILIES {
            let Some(requests) = number(headers, family.requests) else {
                continue;
            };
            self.requests_left
                .store(requests.saturating_add(1), Ordering::Relaxed);
            if requests == 0
                && let Some(reset) = reset(headers, family.requests_reset, unix)
            {
                self.rest.rest(now.plus(reset));
            }
        }
        for family in FAMILIES {
            for (left, until) in family.tokens {
                let (Some(left), Some(until)) =
                    (number(headers, left), reset(headers, until, unix))
                else {
                    continue;
                };
                self.tokens_left.store(left, Ordering::Relaxed);
                self.tokens_until
                    .store(now.plus(until).0, Ordering::Relaxed);
                return;
            }
        }
    }
}

/// One vendor's names for the same things.
struct Family {
    requests: &'static str,
    requests_reset: &'static str,
    tokens: &'static [(&'static str, &'static str)],
}

const FAMILIES: [Family; 2] = [
    Family {
        requests: "x-ratelimit-remaining-requests",
        requests_reset: "x-ratelimit-reset-requests",
        tokens: &[("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens")],
    },
    Family {
        requests: "anthropic-ratelimit-requests-remaining",
        requests_reset: "anthropic-ratelimit-requests-reset",
        // The most restrictive of Anthropic's limits is the one without input or output in it.
        tokens: &[
            (
                "anthropic-ratelimit-tokens-remaining",
                "anthropic-ratelimit-tokens-reset",
            ),
            (
                "anthropic-ratelimit-input-tokens-remaining",
                "anthropic-ratelimit-input-tokens-reset",
            ),
        ],
    },
];

fn text<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    std::str::from_utf8(headers.get_named(name)?)
        .ok()
        .map(str::trim)
}

fn number(headers: &Headers, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

fn reset(headers: &Headers, name: &str, unix: Duration) -> Option<Duration> {
    let text = text(headers, name)?;
    let time = go_duration(text).or_else(|| {
        let at = rfc3339(text)?;
        Some(at.saturating_sub(unix))
    })?;
    Some(time.min(REST_MAX))
}

/// How long an answer asks to wait before the next try.
pub(in super::super) fn retry_after(headers: &Headers, unix: Duration) -> Option<Duration> {
    if let Some(milliseconds) = number(headers, "retry-after-ms") {
        return Some(Duration::from_millis(milliseconds).min(REST_MAX));
    }
    let text = headers.get_str(HeaderId::RetryAfter)?.trim();
    let seconds = text
        .parse::<f64>()
        .ok()
        .filter(|s| s.is_finite() && *s >= 0.0);
    let time = match seconds {
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        None => Duration::from_secs(parse_http_date(text.as_bytes(), unix.as_secs())?)
            .saturating_sub(unix),
    };
    Some(time.min(REST_MAX))
}

/// A duration as Go writes it: `1s`, `6m0s`, `2h3m4.5s`, `120ms`; a bare number is seconds.
fn go_duration(text: &str) -> Option<Duration> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let value: f64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |next| digits + next);
        total += value
            * match &rest[digits..unit] {
                "h" => 3_600.0,
                "m" => 60.0,
                "s" | "" => 1.0,
                "ms" => 1e-3,
                "us" | "\u{b5}s" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    if text.is_empty() {
        return None;
    }
    Duration::try_from_secs_f64(total).ok()
}

/// UNIX time of `2026-11-21T18:00:00Z`; other zones than UTC and leap seconds are not read.
fn rfc3339(text: &str) -> Option<Duration> {
    let (date, time) = text.strip_suffix(['Z', 'z'])?.split_once(['T', 't', ' '])?;
    let mut parts = date.splitn(3, '-');
    let year = parts.next()?.parse().ok()?;
    let month = parts.next()?.parse().ok()?;
    let day = parts.next()?.parse().ok()?;
    unix_time(year, month, day, time)
}

fn unix_time(year: u64, month: u64, day: u64, time: &str) -> Option<Duration> {
    let mut parts = time.splitn(3, ':');
    let hour: u64 = parts.next()?.parse().ok()?;
    let minute: u64 = parts.next()?.parse().ok()?;
    let second: f64 = parts.next()?.parse().ok()?;
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && (0.0..61.0).contains(&second);
    if !valid {
        return None;
    }
    let days = days(year, month, day);
    let whole = Duration::from_secs(days * 86_400 + hour * 3_600 + minute * 60);
    Some(whole + Duration::try_from_secs_f64(second).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIX: Duration = Duration::from_secs(1_795_284_000); // 2026-11-21T18:00:00Z

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.append(name.as_bytes(), value.as_bytes());
        }
        headers
    }

    fn after(seconds: u64) -> Moment {
        Moment(1).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_credential_without_requests_left_rests_until_its_reset() {
        for fields in [
            &[
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "1m30s"),
            ],
            &[
                ("anthropic-ratelimit-requests-remaining", "0"),
                ("anthropic-ratelimit-requests-reset", "2026-11-21T18:01:30Z"),
            ],
        ] {
            let lane = Lane::default();
            lane.note(&headers(fields), Moment(1), UNIX);
            assert!(!lane.has_room(0, after(89)), "{fields:?}");
            assert!(lane.has_room(0, after(90)), "{fields:?}");
            assert_eq!(lane.free_from(0), after(90));
        }
        let lane = Lane::default();
        let some = [
            ("x-ratelimit-remaining-requests", "1"),
            ("x-ratelimit-reset-requests", "1m30s"),
        ];
        lane.note(&headers(&some), Moment(1), UNIX);
        assert!(lane.has_room(0, Moment(1)));
    }

    #[test]
    fn tokens_left_are_compared_with_the_call() {
        let lane = Lane::default();
        let fields = [
            ("x-ratelimit-remaining-tokens", "500"),
            ("x-ratelimit-reset-tokens", "20s"),
        ];
        lane.note(&headers(&fields), Moment(1), UNIX);
        assert!(lane.has_room(500, Moment(1)) && !lane.has_room(501, Moment(1)));
        assert!(lane.has_room(501, after(20)));
        assert_eq!(lane.free_from(501), after(20));
        assert_eq!(lane.free_from(1), Moment(0));
    }

    #[test]
    fn waiting_is_read_in_every_spelling() {
        let wait = |fields: &[(&str, &str)]| retry_after(&headers(fields), UNIX);
        assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(
            wait(&[("retry-after", "0.5")]),
            Some(Duration::from_millis(500))
        );
        let both = [("retry-after", "7"), ("retry-after-ms", "250")];
        assert_eq!(wait(&both), Some(Duration::from_millis(250)));
        let date = [("retry-after", "Sat, 21 Nov 2026 18:00:09 GMT")];
        assert_eq!(wait(&date), Some(Duration::from_secs(9)));
        let past = [("retry-after", "Sat, 21 Nov 2020 18:00:09 GMT")];
        assert_eq!(wait(&past), Some(Duration::ZERO));
        assert_eq!(wait(&[("retry-after", "999999999")]), Some(REST_MAX));
        for nonsense in [
            "",
            "soon",
            "-1",
            "NaN",
            "inf",
            "Sat, 99 Xyz 2026 18:00:09 GMT",
        ] {
            assert_eq!(wait(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
    }

    #[test]
    fn durations_and_dates_are_read_and_nonsense_is_not() {
        for (text, milliseconds) in [
            ("1s", 1_000),
            ("6m0s", 360_000),
            ("2h3m4.5s", 7_384_500),
            ("120ms", 120),
            ("17", 17_000),
        ] {
            assert_eq!(go_duration(text), Some(Duration::from_millis(milliseconds)));
        }
        for text in ["", "s", "1x", "1.2.3s", "-1s"] {
            assert_eq!(go_duration(text), None, "{text}");
        }
        assert_eq!(rfc3339("2026-11-21T18:00:00Z"), Some(UNIX));
        assert_eq!(rfc3339("1970-01-01T00:00:00Z"), Some(Duration::ZERO));
        assert_eq!(
            rfc3339("2024-02-29T12:00:00Z"),
            Some(Duration::from_secs(1_709_208_000))
        );
        for text in [
            "2026-13-01T00:00:00Z",
            "2026-11-21",
            "x",
            "0001-01-01T00:00:00Z",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
    }
}
