//! Gemini's batch API: an operation over an uploaded file, and a file of responses
//! (<https://ai.google.dev/gemini-api/docs/batch-api>, <https://ai.google.dev/api/batch-api>).
//!
//! States are `BATCH_STATE_...` on the wire and `JOB_STATE_...` in the vendor's guide; both are read.
//! Requests always go by file: responses to those inline would come in one document, which could not be
//! read line by line.

use super::{Answer, Look, Upload, Vendor, Wish, is_final, raw, text};
use crate::provider::{BatchApi, escaped};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;

/// How the vendor's names of batches begin.
const BATCHES: &str = "batches/";

pub(super) struct Gemini;

impl Vendor for Gemini {
    fn request(&self, id: &str, _: &str, body: &str) -> String {
        format!("{{\"key\":\"{id}\",\"request\":{body}}}")
    }

    fn upload(&self) -> Option<Upload> {
        Some(Upload::Resumable)
    }

    fn create(&self, _: &BatchApi, wish: &Wish<'_>) -> (String, Value) {
        let path = format!("/models/{}:{}", escaped(wish.model), wish.endpoint);
        let input = json!({ "fileName": wish.file });
        let body = json!({ "batch": { "displayName": wish.note, "inputConfig": input } });
        (path, body)
    }

    fn made(&self, answer: &Value) -> Option<String> {
        let name = text(answer, "name")?;
        Some(name.strip_prefix(BATCHES)?.to_owned())
    }

    fn listing(&self) -> &'static str {
        "?pageSize=100"
    }

    fn found(&self, listed: &Value, wish: &Wish<'_>) -> Option<String> {
        let mut all = listed["operations"].as_array().into_iter().flatten();
        let own = |one: &&Value| {
            let batch = &one["metadata"];
            batch["displayName"] == wish.note && batch["inputConfig"]["fileName"] == wish.file
        };
        // Where the list does not show files, the name has to do.
        let named = |one: &&Value| {
            let batch = &one["metadata"];
            batch["displayName"] == wish.note && batch["inputConfig"]["fileName"].is_null()
        };
        let found = all.clone().find(own).or_else(|| all.find(named));
        self.made(found?)
    }

    fn look(&self, api: &BatchApi, _: &str, seen: &Value) -> Look {
        let batch = &seen["metadata"];
        let count = |name: &str| {
            let count = &batch["batchStats"][name];
            let text = count.as_str().and_then(|text| text.parse().ok());
            text.or_else(|| count.as_u64()).unwrap_or(0)
        };
        let state = batch["state"].as_str().unwrap_or_default();
        let state = state.strip_prefix("BATCH_STATE_").unwrap_or(state);
        let state = state.strip_prefix("JOB_STATE_").unwrap_or(state);
        let file = ["response", "metadata"]
            .into_iter()
            .find_map(|at| match at {
                "response" => text(&seen[at], "responsesFile"),
                _ => text(&seen[at]["output"], "responsesFile"),
            });
        let is_over = match state {
            // The file may come a moment later.
            "SUCCEEDED" | "PARTIALLY_SUCCEEDED" => file.is_some(),
            "FAILED" | "CANCELLED" | "EXPIRED" => true,
            _ => seen["error"].is_object(),
        };
        // `files/abc`, whose path is that of files with what follows.
        let path = |file: String| {
            let id = file.strip_prefix("files/").unwrap_or(&file).to_owned();
            format!("{}/{id}:download?alt=media", api.files)
        };
        Look {
            is_over,
            succeeded: count("successfulRequestCount"),
            failed: count("failedRequestCount"),
            results: file.map(path).into_iter().collect(),
        }
    }

    fn cancel(&self, api: &BatchApi, batch: &str) -> String {
        format!("{}/{batch}:cancel", api.batches)
    }

    fn answer<'a>(&self, line: &'a [u8]) -> Option<Answer<'a>> {
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        let (status, body) = match (line.response, line.error) {
            (Some(response), _) => (200, raw(response)),
            (None, Some(error)) => {
                let status = status_of(error.code.unwrap_or_default());
                let message = error.message.unwrap_or_default();
                let error = json!({ "code": status, "message": message, "status": error.status });
                let body = json!({ "error": error }).to_string().into_bytes();
                (status, Cow::Owned(body))
            }
            (None, None) => return None,
        };
        is_final(status).then_some(Answer {
            id: line.key,
            status,
            request: Cow::Borrowed(""),
            body,
        })
    }
}

/// A line of responses.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<Failure<'a>>,
}

/// What went wrong (<https://cloud.google.com/apis/design/errors>).
#[derive(Deserialize)]
struct Failure<'a> {
    #[serde(default)]
    code: Option<u16>,
    #[serde(borrow, default)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
}

/// The status of HTTP that a code says: one of HTTP as it is, one of gRPC by its table
/// (<https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>).
const fn status_of(code: u16) -> u16 {
    match code {
        3 | 9 | 11 => 400,
        16 => 401,
        7 => 403,
        5 => 404,
        6 | 10 => 409,
        8 => 429,
        1 => 499,
        12 => 501,
        14 => 503,
        4 => 504,
        100.. => code,
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISH: Wish<'static> = Wish {
        note: "batch_tg_1",
        model: "gemini-2.5-flash",
        endpoint: "batchGenerateContent",
        file: "files/in",
        requests: 1,
        asked_ms: 0,
    };

    #[test]
    fn an_operation_is_made_for_a_model_and_found_by_its_name() {
        let (path, body) = Gemini.create(&BatchApi::GEMINI, &WISH);
        assert_eq!(path, "/models/gemini-2.5-flash:batchGenerateContent");
        assert_eq!(
            body,
            json!({"batch": {"displayName": "batch_tg_1", "inputConfig": {"fileName": "files/in"}}})
        );
        let listed = json!({"operations": [
            {"name": "batches/other", "metadata": {"displayName": "x"}},
            {"name": "batches/own", "metadata": {"displayName": "batch_tg_1"}},
        ]});
        assert_eq!(Gemini.found(&listed, &WISH).as_deref(), Some("own"));
        assert_eq!(
            Gemini.cancel(&BatchApi::GEMINI, "own"),
            "/batches/own:cancel"
        );
    }

    #[test]
    fn a_look_reads_both_spellings_and_waits_for_the_file() {
        let of = |seen: Value| {
            let look = Gemini.look(&BatchApi::GEMINI, "own", &seen);
            (look.is_over, look.succeeded, look.results)
        };
        let stats = json!({"requestCount": "3", "successfulRequestCount": "2"});
        let running = json!({"metadata": {"state": "BATCH_STATE_RUNNING", "batchStats": stats}});
        assert_eq!(of(running), (false, 2, vec![]));
        let late = json!({"done": true, "metadata": {"state": "BATCH_STATE_SUCCEEDED"}});
        assert_eq!(of(late), (false, 0, vec![]));
        let path = "/files/out:download?alt=media".to_owned();
        for done in [
            json!({"metadata": {"state": "JOB_STATE_SUCCEEDED"}, "response": {"responsesFile": "files/out"}}),
            json!({"metadata": {"state": "BATCH_STATE_SUCCEEDED", "output": {"responsesFile": "files/out"}}}),
        ] {
            assert_eq!(of(done), (true, 0, vec![path.clone()]));
        }
        for over in [
            "BATCH_STATE_FAILED",
            "BATCH_STATE_CANCELLED",
            "BATCH_STATE_EXPIRED",
        ] {
            assert!(of(json!({"metadata": {"state": over}})).0, "{over}");
        }
    }

    #[test]
    fn lines_are_responses_errors_or_nothing() {
        let good = br#"{"key":"1-0","response":{"candidates":[]}}"#;
        let read = Gemini.answer(good).unwrap();
        assert_eq!(
            (&*read.id, read.status, &*read.body),
            ("1-0", 200, &br#"{"candidates":[]}"#[..])
        );
        for (code, status) in [(3, 400), (400, 400), (5, 404)] {
            let bad = format!(r#"{{"key":"1-0","error":{{"code":{code},"message":"no"}}}}"#);
            let read = Gemini.answer(bad.as_bytes()).unwrap();
            assert_eq!(read.status, status);
            let body: Value = serde_json::from_slice(&read.body).unwrap();
            assert_eq!(body["error"]["message"], "no");
        }
        for none in [
            r#"{"key":"1-0","error":{"code":8,"message":"quota"}}"#,
            r#"{"key":"1-0","error":{"code":13}}"#,
            r#"{"key":"1-0"}"#,
            "{}",
        ] {
            assert_eq!(Gemini.answer(none.as_bytes()), None, "{none}");
        }
    }
}
