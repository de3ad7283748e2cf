//! Anthropic's Message Batches: requests inline, results in one stream
//! (<https://docs.claude.com/en/api/creating-message-batches>).
//!
//! A batch there carries no note of ours. One of as many requests that was made since it was asked for is
//! taken for ours; were it somebody else's, ids in its results would show that.

use super::{Answer, Look, Upload, Vendor, Wish, is_final, raw, text};
use crate::prices::unix_of_date;
use crate::provider::BatchApi;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// How far the vendor's clock may be behind ours, in milliseconds.
const SKEW_MS: i64 = 5 * 60_000;

pub(super) struct Anthropic;

impl Vendor for Anthropic {
    fn request(&self, id: &str, _: &str, body: &str) -> String {
        format!("{{\"custom_id\":\"{id}\",\"params\":{body}}}")
    }

    fn upload(&self) -> Option<Upload> {
        None
    }

    /// Its requests are the body.
    fn create(&self, api: &BatchApi, _: &Wish<'_>) -> (String, Value) {
        (api.batches.to_owned(), Value::Null)
    }

    fn made(&self, answer: &Value) -> Option<String> {
        text(answer, "id")
    }

    fn listing(&self) -> &'static str {
        "?limit=100"
    }

    fn found(&self, listed: &Value, wish: &Wish<'_>) -> Option<String> {
        let fits = |one: &&Value| {
            let counts = one["request_counts"].as_object();
            let all = counts.into_iter().flatten();
            let all: u64 = all.filter_map(|(_, count)| count.as_u64()).sum();
            let made = one["created_at"].as_str().and_then(unix_ms);
            all == wish.requests && made.is_some_and(|at| at >= wish.asked_ms - SKEW_MS)
        };
        // The newest stands first.
        let mut all = listed["data"].as_array().into_iter().flatten();
        text(all.rfind(fits)?, "id")
    }

    fn look(&self, api: &BatchApi, batch: &str, seen: &Value) -> Look {
        let count = |name: &str| seen["request_counts"][name].as_u64().unwrap_or(0);
        Look {
            is_over: seen["processing_status"] == "ended",
            succeeded: count("succeeded"),
            failed: count("errored"),
            results: vec![format!("{}/{batch}/results", api.batches)],
        }
    }

    fn answer<'a>(&self, line: &'a [u8]) -> Option<Answer<'a>> {
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        let (status, body) = match (&*line.result.r#type, line.result.message, line.result.error) {
            ("succeeded", Some(message), _) => (200, message),
            ("errored", _, Some(error)) => (status_of(error), error),
            // Those that were cancelled there or had no time are run here while there is time.
            _ => return None,
        };
        is_final(status).then(|| Answer {
            id: line.custom_id,
            status,
            request: Cow::Borrowed(""),
            body: raw(body),
        })
    }
}

/// UNIX milliseconds of a time as RFC 3339 has it, to the second.
fn unix_ms(text: &str) -> Option<i64> {
    let (date, clock) = (text.get(..10)?, text.get(11..19)?);
    let number = |text: &str| text.parse::<i64>().ok();
    let mut parts = clock.split(':').map(number);
    let mut next = || parts.next().flatten();
    let (hours, minutes, seconds) = (next()?, next()?, next()?);
    let zone = text
        .get(19..)?
        .trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign @ ("+" | "-"), zone) => {
            let (hours, minutes) = zone.split_once(':')?;
            let ahead = number(hours)? * 3_600 + number(minutes)? * 60;
            if sign == "-" { -ahead } else { ahead }
        }
        _ => return None,
    };
    let day = i64::try_from(unix_of_date(date)?).ok()?;
    Some((day + hours * 3_600 + minutes * 60 + seconds - offset) * 1_000)
}

/// A line of results.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    custom_id: Cow<'a, str>,
    #[serde(borrow)]
    result: Outcome<'a>,
}

/// How a request ended.
#[derive(Deserialize)]
struct Outcome<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// The status that an error has (<https://docs.claude.com/en/api/errors>).
fn status_of(error: &RawValue) -> u16 {
    let error: Value = serde_json::from_str(error.get()).unwrap_or_default();
    match error["error"]["type"].as_str().unwrap_or_default() {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "overloaded_error" => 529,
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn results_are_messages_errors_or_nothing() {
        let of = |line: &str| {
            let read = Anthropic.answer(line.as_bytes())?;
            Some((read.id.into_owned(), read.status, read.body.to_vec()))
        };
        let good =
            r#"{"custom_id": "00ff-7", "result": {"type": "succeeded", "message": {"usage": {}}}}"#;
        assert_eq!(
            of(good),
            Some(("00ff-7".into(), 200, br#"{"usage": {}}"#.to_vec()))
        );
        let error = r#"{"type":"error","error":{"type":"invalid_request_error","message":"no"}}"#;
        let bad =
            format!(r#"{{"custom_id":"00ff-0","result":{{"type":"errored","error":{error}}}}}"#);
        assert_eq!(
            of(&bad),
            Some(("00ff-0".into(), 400, error.as_bytes().to_vec()))
        );
        for none in [
            r#"{"custom_id":"00ff-0","result":{"type":"expired"}}"#.to_owned(),
            r#"{"custom_id":"00ff-0","result":{"type":"canceled"}}"#.to_owned(),
            bad.replace("invalid_request_error", "overloaded_error"),
            "{}".to_owned(),
        ] {
            assert_eq!(of(&none), None, "{none}");
        }
    }

    #[test]
    fn times_are_read_with_their_zones() {
        let day = 20_686 * 86_400_000;
        let at = day + (14 * 3_600 + 44 * 60 + 51) * 1_000;
        for text in [
            "2026-08-21T14:44:51Z",
            "2026-08-21T14:44:51.493319+00:00",
            "2026-08-21T16:14:51+01:30",
            "2026-08-21T07:44:51-07:00",
        ] {
            assert_eq!(unix_ms(text), Some(at), "{text}");
        }
        for wrong in [
            "",
            "2026-08-21",
            "2026-08-21T14:44:51",
            "2026-08-21T14:44:51+1",
        ] {
            assert_eq!(unix_ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_batch_of_as_many_requests_that_was_made_since_is_ours() {
        let one = |id: &str, at: &str, count: u64| json!({"id": id, "created_at": at, "request_counts": {"processing": count, "errored": 0}});
        let listed = json!({"data": [
            one("newest", "2026-08-20T10:00:00Z", 3), one("ours", "2026-08-20T09:00:00Z", 2),
            one("older", "2026-08-20T07:00:00Z", 2),
        ]});
        let wish = Wish {
            note: "",
            model: "m",
            endpoint: "",
            file: "",
            requests: 2,
            asked_ms: unix_ms("2026-08-20T08:59:00Z").unwrap(),
        };
        assert_eq!(Anthropic.found(&listed, &wish).as_deref(), Some("ours"));
    }
}
