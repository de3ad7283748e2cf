//! OpenAI's batch API, which Azure and Groq have as well
//! (<https://platform.openai.com/docs/api-reference/batch>): lines of results have a status and a body.

use super::{Answer, Look, NOTE, Upload, Vendor, Wish, is_final, raw, text, texts};
use crate::batch::BatchState;
use crate::provider::BatchApi;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;

pub(super) struct OpenAi;

impl Vendor for OpenAi {
    fn request(&self, id: &str, endpoint: &str, body: &str) -> String {
        format!(
            "{{\"custom_id\":\"{id}\",\"method\":\"POST\",\"url\":\"{endpoint}\",\"body\":{body}}}"
        )
    }

    fn upload(&self) -> Option<Upload> {
        Some(Upload::Form {
            path: "",
            fields: &[("purpose", "batch")],
        })
    }

    fn create(&self, api: &BatchApi, wish: &Wish<'_>) -> (String, Value) {
        let endpoint = api.endpoint.unwrap_or(wish.endpoint);
        let body = json!({
            "input_file_id": wish.file, "endpoint": endpoint, "completion_window": "24h",
            "metadata": { NOTE: wish.note },
        });
        (api.batches.to_owned(), body)
    }

    fn made(&self, answer: &Value) -> Option<String> {
        text(answer, "id")
    }

    fn listing(&self) -> &'static str {
        "?limit=100"
    }

    fn found(&self, listed: &Value, wish: &Wish<'_>) -> Option<String> {
        over(&listed["data"], wish)
    }

    /// Azure writes states with a capital.
    fn look(&self, api: &BatchApi, _: &str, seen: &Value) -> Look {
        let status = seen["status"].as_str().map(str::to_ascii_lowercase);
        let status = status.and_then(|status| BatchState::named(&status));
        let count = |name: &str| seen["request_counts"][name].as_u64().unwrap_or(0);
        Look {
            is_over: status.is_some_and(BatchState::is_over),
            succeeded: count("completed"),
            failed: count("failed"),
            results: contents(api, texts(seen, &["output_file_id", "error_file_id"])),
        }
    }

    fn answer<'a>(&self, line: &'a [u8]) -> Option<Answer<'a>> {
        answer(line)
    }
}

/// The batch over the file of this wish, among these.
pub(super) fn over(batches: &Value, wish: &Wish<'_>) -> Option<String> {
    let mut all = batches.as_array().into_iter().flatten();
    let own = all.find(|one| one["input_file_id"] == wish.file)?;
    text(own, "id")
}

/// Where the contents of files are.
pub(super) fn contents(api: &BatchApi, files: Vec<String>) -> Vec<String> {
    let path = |file| format!("{}/{file}/content", api.files);
    files.into_iter().map(path).collect()
}

/// A line of results.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    custom_id: Cow<'a, str>,
    #[serde(borrow, default)]
    response: Option<Response<'a>>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(default)]
    status_code: Option<u16>,
    #[serde(borrow, default)]
    request_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// What stands in a line of results. One that was not run has no answer.
pub(super) fn answer(line: &[u8]) -> Option<Answer<'_>> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let response = line.response?;
    let status = response.status_code?;
    is_final(status).then(|| Answer {
        id: line.custom_id,
        status,
        request: response.request_id.unwrap_or_default(),
        body: raw(response.body),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Wish<'static> {
        Wish {
            note: "batch_tg_00ff",
            model: "m",
            endpoint: "/v1/chat/completions",
            file: "file-1",
            requests: 2,
            asked_ms: 0,
        }
    }

    #[test]
    fn a_batch_is_made_and_found_again_by_its_file() {
        let (path, body) = OpenAi.create(&BatchApi::OPENAI, &wish());
        assert_eq!(
            (&*path, &body["input_file_id"]),
            ("/batches", &json!("file-1"))
        );
        assert_eq!(body["metadata"]["tidegate_batch"], "batch_tg_00ff");
        let (path, body) = OpenAi.create(&BatchApi::AZURE, &wish());
        assert_eq!(
            (&*path, &body["endpoint"]),
            ("/openai/v1/batches", &json!("/chat/completions"))
        );
        let listed = json!({"data": [{"id": "a", "input_file_id": "file-0"}, {"id": "b", "input_file_id": "file-1"}]});
        assert_eq!(OpenAi.found(&listed, &wish()).as_deref(), Some("b"));
    }

    #[test]
    fn a_look_shows_what_is_done_and_where_results_are() {
        let of = |seen: Value| OpenAi.look(&BatchApi::OPENAI, "b", &seen);
        let azure =
            json!({"status": "Validating", "request_counts": {"total": null, "completed": null}});
        assert!(!of(azure).is_over);
        let done = json!({"status": "Completed", "output_file_id": "file-2", "error_file_id": "",
            "request_counts": {"completed": 3, "failed": 1}});
        let look = of(done);
        assert_eq!((look.is_over, look.succeeded, look.failed), (true, 3, 1));
        // An empty name is no file.
        assert_eq!(look.results, ["/files/file-2/content"]);
    }

    #[test]
    fn lines_have_a_status_and_a_body() {
        let line = br#"{"id":"r","custom_id":"00ff-1","response":{"status_code":200,"request_id":"q","body":{"x": 1}},"error":null}"#;
        let read = answer(line).unwrap();
        assert_eq!(
            (&*read.id, read.status, &*read.request),
            ("00ff-1", 200, "q")
        );
        assert_eq!(&*read.body, br#"{"x": 1}"#);
        for none in [
            r#"{"custom_id":"a","response":null,"error":{"code":"batch_expired"}}"#,
            r#"{"custom_id":"a","response":{"status_code":503,"body":{}}}"#,
            "{}",
            "nonsense",
        ] {
            assert_eq!(answer(none.as_bytes()), None, "{none}");
        }
    }
}
