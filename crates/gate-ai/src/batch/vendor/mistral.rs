//! Mistral's batch API: a job over files that names its model, and lines as OpenAI has them
//! (<https://docs.mistral.ai/capabilities/batch>).

use super::openai::{answer, contents};
use super::{Answer, Look, NOTE, Upload, Vendor, Wish, text, texts};
use crate::provider::BatchApi;
use serde_json::{Value, json};

/// How long the vendor is given, in hours.
const HOURS: u32 = 24;

pub(super) struct Mistral;

impl Vendor for Mistral {
    fn request(&self, id: &str, _: &str, body: &str) -> String {
        format!("{{\"custom_id\":\"{id}\",\"body\":{body}}}")
    }

    fn upload(&self) -> Option<Upload> {
        Some(Upload::Form {
            path: "",
            fields: &[("purpose", "batch")],
        })
    }

    fn create(&self, api: &BatchApi, wish: &Wish<'_>) -> (String, Value) {
        let body = json!({
            "input_files": [wish.file], "model": wish.model, "endpoint": wish.endpoint,
            "timeout_hours": HOURS, "metadata": { NOTE: wish.note },
        });
        (api.batches.to_owned(), body)
    }

    fn made(&self, answer: &Value) -> Option<String> {
        text(answer, "id")
    }

    fn listing(&self) -> &'static str {
        "?page=0&page_size=100&order_by=-created"
    }

    fn found(&self, listed: &Value, wish: &Wish<'_>) -> Option<String> {
        let mut all = listed["data"].as_array().into_iter().flatten();
        let is_over = |file: &Value| *file == wish.file;
        let own = all.find(|one| {
            let files = one["input_files"].as_array();
            files.is_some_and(|files| files.iter().any(is_over))
        });
        text(own?, "id")
    }

    fn look(&self, api: &BatchApi, _: &str, seen: &Value) -> Look {
        let count = |name: &str| seen[name].as_u64().unwrap_or(0);
        let over = ["SUCCESS", "FAILED", "TIMEOUT_EXCEEDED", "CANCELLED"];
        Look {
            is_over: seen["status"]
                .as_str()
                .is_some_and(|status| over.contains(&status)),
            succeeded: count("succeeded_requests"),
            failed: count("failed_requests"),
            results: contents(api, texts(seen, &["output_file", "error_file"])),
        }
    }

    fn answer<'a>(&self, line: &'a [u8]) -> Option<Answer<'a>> {
        answer(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_names_its_model_and_is_found_by_its_file() {
        let wish = Wish {
            note: "batch_tg_1",
            model: "mistral-small-latest",
            endpoint: "/v1/chat/completions",
            file: "f-1",
            requests: 1,
            asked_ms: 0,
        };
        let (path, body) = Mistral.create(&BatchApi::MISTRAL, &wish);
        assert_eq!(path, "/batch/jobs");
        assert_eq!(
            (&body["input_files"], &body["model"], &body["timeout_hours"]),
            (&json!(["f-1"]), &json!("mistral-small-latest"), &json!(24))
        );
        let listed = json!({"data": [{"id": "other", "input_files": []}, {"id": "own", "input_files": ["f-1"]}]});
        assert_eq!(Mistral.found(&listed, &wish).as_deref(), Some("own"));
        for (status, is_over) in [
            ("QUEUED", false),
            ("RUNNING", false),
            ("CANCELLATION_REQUESTED", false),
            ("SUCCESS", true),
            ("FAILED", true),
            ("TIMEOUT_EXCEEDED", true),
            ("CANCELLED", true),
        ] {
            let seen = json!({"status": status, "output_file": "f-2", "error_file": null,
                "succeeded_requests": 3, "failed_requests": 1});
            let look = Mistral.look(&BatchApi::MISTRAL, "own", &seen);
            assert_eq!((look.is_over, look.succeeded, look.failed), (is_over, 3, 1));
            assert_eq!(look.results, ["/files/f-2/content"]);
        }
    }
}
