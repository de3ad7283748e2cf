//! Together's batch API: OpenAI's lines, with less in them, a wrapper around what was made, states in
//! capitals (<https://docs.together.ai/docs/inference/batch/overview>).

use super::openai::{OpenAi, answer, over};
use super::{Answer, Look, Upload, Vendor, Wish, text};
use crate::provider::BatchApi;
use serde_json::{Value, json};

pub(super) struct Together;

impl Vendor for Together {
    fn request(&self, id: &str, _: &str, body: &str) -> String {
        format!("{{\"custom_id\":\"{id}\",\"body\":{body}}}")
    }

    fn upload(&self) -> Option<Upload> {
        Some(Upload::Form {
            path: "/upload",
            fields: &[
                ("purpose", "batch-api"),
                ("file_name", "batch.jsonl"),
                ("file_type", "jsonl"),
            ],
        })
    }

    fn create(&self, api: &BatchApi, wish: &Wish<'_>) -> (String, Value) {
        let body = json!({ "input_file_id": wish.file, "endpoint": wish.endpoint });
        (api.batches.to_owned(), body)
    }

    fn made(&self, answer: &Value) -> Option<String> {
        text(&answer["job"], "id").or_else(|| text(answer, "id"))
    }

    fn listing(&self) -> &'static str {
        ""
    }

    /// The list stands alone.
    fn found(&self, listed: &Value, wish: &Wish<'_>) -> Option<String> {
        over(listed, wish)
    }

    fn look(&self, api: &BatchApi, batch: &str, seen: &Value) -> Look {
        OpenAi.look(api, batch, seen)
    }

    fn answer<'a>(&self, line: &'a [u8]) -> Option<Answer<'a>> {
        answer(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_stands_in_a_wrapper_and_the_list_alone() {
        let wish = Wish {
            note: "batch_tg_1",
            model: "m",
            endpoint: "/v1/chat/completions",
            file: "file-1",
            requests: 1,
            asked_ms: 0,
        };
        let made = json!({"job": {"id": "b-1", "status": "VALIDATING"}, "warning": ""});
        assert_eq!(Together.made(&made).as_deref(), Some("b-1"));
        let listed = json!([{"id": "b-1", "input_file_id": "file-1"}]);
        assert_eq!(Together.found(&listed, &wish).as_deref(), Some("b-1"));
        let seen = json!({"status": "COMPLETED", "output_file_id": "file-2"});
        let look = Together.look(&BatchApi::TOGETHER, "b-1", &seen);
        assert!(look.is_over);
        assert_eq!(look.results, ["/files/file-2/content"]);
    }
}
