//! The lines of results.
//!
//! OpenAI's stand in two files: what was answered with success, and what was not
//! (<https://platform.openai.com/docs/api-reference/batch/request-output>). Anthropic's are one stream
//! (<https://docs.claude.com/en/api/retrieving-message-batch-results>).

use super::shape::Consumed;
use super::{Api, compact};
use crate::usage_of;
use crate::{Dialect, error_body};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// How a request of a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended<'a> {
    /// It was answered.
    Answered {
        /// The status of the answer.
        status: u16,
        /// The answer.
        body: &'a [u8],
        /// The id of the exchange.
        request: &'a str,
    },
    /// It could not be sent as it is.
    Refused {
        /// Why, for its owner.
        message: &'a str,
    },
    /// The batch was cancelled before it was run.
    Cancelled,
    /// The batch's time was over before it was run.
    Expired,
}

impl Ended<'_> {
    /// Whether it was answered with success.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Answered { status, .. } if *status >= 200 && *status < 300)
    }
}

/// Appends the line for a request, with its end. `id` names the request among all.
pub fn write(api: Api, id: &str, custom_id: &str, ended: &Ended<'_>, out: &mut Vec<u8>) {
    match api {
        Api::OpenAi => openai(id, custom_id, ended, out),
        Api::Anthropic => anthropic(custom_id, ended, out),
    }
    out.push(b'\n');
}

fn openai(id: &str, custom_id: &str, ended: &Ended<'_>, out: &mut Vec<u8>) {
    let error = |code: &str, message: &str| json!({ "code": code, "message": message });
    let (response, error) = match ended {
        Ended::Answered {
            status,
            body,
            request,
        } => {
            let head = format!(
                "{{\"id\":{},\"custom_id\":{},\"response\":{{\"status_code\":{status},\"request_id\":{},\"body\":",
                json!(id),
                json!(custom_id),
                json!(request),
            );
            out.extend_from_slice(head.as_bytes());
            embed(body, out);
            out.extend_from_slice(b"},\"error\":null}");
            return;
        }
        Ended::Refused { message } => {
            let body: Value = serde_json::from_slice(&error_body(
                Dialect::ChatCompletions,
                400,
                "invalid_request",
                message,
            ))
            .unwrap_or_default();
            let response = json!({ "status_code": 400, "request_id": null, "body": body });
            (response, Value::Null)
        }
        Ended::Cancelled => {
            let message = "This request was not executed because the batch was cancelled.";
            (Value::Null, error("batch_cancelled", message))
        }
        Ended::Expired => {
            let message =
                "This request could not be executed before the completion window expired.";
            (Value::Null, error("batch_expired", message))
        }
    };
    let line = json!({
        "id": id, "custom_id": custom_id, "response": response, "error": error,
    });
    out.extend_from_slice(line.to_string().as_bytes());
}

fn anthropic(custom_id: &str, ended: &Ended<'_>, out: &mut Vec<u8>) {
    let head = format!(
        "{{\"custom_id\":{},\"result\":{{\"type\":",
        json!(custom_id)
    );
    out.extend_from_slice(head.as_bytes());
    match ended {
        Ended::Answered { body, .. } if ended.is_success() => {
            out.extend_from_slice(b"\"succeeded\",\"message\":");
            embed(body, out);
        }
        Ended::Answered { status, body, .. } => {
            out.extend_from_slice(b"\"errored\",\"error\":");
            let is_error = serde_json::from_slice::<Value>(body)
                .is_ok_and(|body| body["type"] == "error" && body["error"].is_object());
            match is_error {
                true => embed(body, out),
                false => {
                    let message = "The answer could not be read.";
                    let body = error_body(Dialect::Messages, *status, "api_error", message);
                    embed(&body, out);
                }
            }
        }
        Ended::Refused { message } => {
            out.extend_from_slice(b"\"errored\",\"error\":");
            let body = error_body(Dialect::Messages, 400, "invalid_request_error", message);
            embed(&body, out);
        }
        Ended::Cancelled => out.extend_from_slice(b"\"canceled\""),
        Ended::Expired => out.extend_from_slice(b"\"expired\""),
    }
    out.extend_from_slice(b"}}");
}

/// A body inside of a line: as it is where it is JSON, as a text where it is not.
fn embed(body: &[u8], out: &mut Vec<u8>) {
    match serde_json::from_slice::<&RawValue>(body) {
        Ok(_) => compact(body, out),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            out.extend_from_slice(json!(text).to_string().as_bytes());
        }
    }
}

/// What an answer says that its request consumed, in the wire format of `endpoint`.
#[must_use]
pub fn consumed(endpoint: &str, body: &[u8]) -> Consumed {
    let dialect = match endpoint {
        super::MESSAGES => Dialect::Messages,
        "/v1/responses" => Dialect::named("responses").unwrap_or(Dialect::ChatCompletions),
        _ => Dialect::ChatCompletions,
    };
    let usage = usage_of(dialect, body).unwrap_or_default();
    Consumed {
        input: usage.input_tokens,
        cached: usage.cached_tokens,
        output: usage.output_tokens,
        reasoning: usage.reasoning_tokens,
    }
}

impl Consumed {
    /// Adds what another request consumed.
    pub fn add(&mut self, other: &Self) {
        self.input = self.input.saturating_add(other.input);
        self.cached = self.cached.saturating_add(other.cached);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(api: Api, ended: &Ended<'_>) -> Value {
        let mut out = Vec::new();
        write(api, "batch_req_1", "a\"b", ended, &mut out);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn openais_lines() {
        let body = b"{\n  \"x\": [1, 2]\n}";
        let answered = |status| Ended::Answered {
            status,
            body,
            request: "r",
        };
        let good = line(Api::OpenAi, &answered(200));
        assert_eq!(good["response"]["body"], json!({"x": [1, 2]}));
        assert_eq!(
            (&good["custom_id"], &good["error"]),
            (&json!("a\"b"), &Value::Null)
        );
        assert_eq!(
            line(Api::OpenAi, &answered(429))["response"]["status_code"],
            429
        );
        let text = Ended::Answered {
            status: 502,
            body: b"<html>\n",
            request: "",
        };
        assert_eq!(line(Api::OpenAi, &text)["response"]["body"], "<html>\n");
        let expired = line(Api::OpenAi, &Ended::Expired);
        assert_eq!(expired["error"]["code"], "batch_expired");
        assert!(expired["response"].is_null());
        let refused = line(Api::OpenAi, &Ended::Refused { message: "no" });
        assert_eq!(refused["response"]["body"]["error"]["message"], "no");
    }

    #[test]
    fn anthropics_lines() {
        let good = Ended::Answered {
            status: 200,
            body: br#"{"type":"message"}"#,
            request: "r",
        };
        let line_of = |ended: &Ended<'_>| line(Api::Anthropic, ended)["result"].clone();
        assert_eq!(
            line_of(&good),
            json!({"type": "succeeded", "message": {"type": "message"}})
        );
        let bad = Ended::Answered {
            status: 429,
            body: br#"{"type":"error","error":{"type":"rate_limit_error","message":"m"}}"#,
            request: "r",
        };
        let read = line_of(&bad);
        assert_eq!(read["type"], "errored");
        assert_eq!(read["error"]["error"]["type"], "rate_limit_error");
        let unread = Ended::Answered {
            status: 500,
            body: b"oops",
            request: "r",
        };
        assert_eq!(line_of(&unread)["error"]["type"], "error");
        let refused = line_of(&Ended::Refused { message: "no" });
        assert_eq!(refused["error"]["error"]["message"], "no");
        assert_eq!(line_of(&Ended::Cancelled), json!({"type": "canceled"}));
        assert_eq!(line_of(&Ended::Expired), json!({"type": "expired"}));
    }

    #[test]
    fn what_was_consumed_is_read_from_answers() {
        let body = br#"{"usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":2}}}"#;
        let mut sum = consumed("/v1/chat/completions", body);
        let body = br#"{"type":"message","usage":{"input_tokens":5,"output_tokens":1}}"#;
        sum.add(&consumed("/v1/messages", body));
        let body = br#"{"object":"list","data":[],"usage":{"prompt_tokens":7,"total_tokens":7}}"#;
        sum.add(&consumed("/v1/embeddings", body));
        assert_eq!((sum.input, sum.output, sum.cached), (21, 4, 2));
        assert_eq!(consumed("/v1/embeddings", b"x"), Consumed::default());
    }
}
