//! The dialects of conversations as providers speak and callers read them, small enough to be
//! broken on purpose.

use crate::support::Answer;
use gate_ai::Dialect;
use gate_ai::event_stream::{EventStreamFramer, write_frame};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// A provider's side of a dialect.
pub(crate) struct Speaker {
    pub(crate) dialect: Dialect,
    /// Settings of a provider that speaks it and nothing else.
    pub(crate) settings: fn(SocketAddr) -> String,
}

/// One for each dialect.
pub(crate) const SPEAKERS: [Speaker; 5] = [
    Speaker {
        dialect: Dialect::ChatCompletions,
        settings: |at| format!("compatible: {{ base_url: 'http://{at}/v1' }}"),
    },
    Speaker {
        dialect: Dialect::Messages,
        settings: |at| {
            format!("anthropic: {{ base_url: 'http://{at}/v1', credentials: [{{ env: KEY }}] }}")
        },
    },
    Speaker {
        dialect: Dialect::Responses,
        settings: |at| {
            format!("compatible: {{ base_url: 'http://{at}/v1', dialects: [responses] }}")
        },
    },
    Speaker {
        dialect: Dialect::GenerateContent,
        settings: |at| {
            format!("gemini: {{ base_url: 'http://{at}/v1beta', credentials: [{{ env: KEY }}] }}")
        },
    },
    Speaker {
        dialect: Dialect::Converse,
        settings: |at| {
            format!(
                "bedrock: {{ base_url: 'http://{at}', region: eu-west-1, credentials: \
                 [{{ access_key_id: {{ env: ID }}, secret_access_key: {{ env: SECRET }} }}] }}"
            )
        },
    },
];

fn sse(name: Option<&str>, data: &Value) -> Vec<u8> {
    let name = name.map_or(String::new(), |name| format!("event: {name}\n"));
    format!("{name}data: {data}\n\n").into_bytes()
}

/// An event whose name is its data's type.
fn typed(data: &Value) -> Vec<u8> {
    sse(data["type"].as_str(), data)
}

fn frame(name: &str, payload: &Value) -> Vec<u8> {
    let (header, kind) = match name.ends_with("Exception") {
        true => (":exception-type", "exception"),
        false => (":event-type", "event"),
    };
    let mut out = Vec::new();
    let headers = [(header, name), (":message-type", kind)];
    write_frame(&mut out, &headers, payload.to_string().as_bytes());
    out
}

fn chat(delta: &Value, reason: Option<&str>) -> Vec<u8> {
    sse(
        None,
        &json!({ "id": "i", "object": "chat.completion.chunk", "created": 1, "model": "p",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] }),
    )
}

fn google(parts: &Value, more: &Value) -> Vec<u8> {
    let mut candidate = json!({ "index": 0, "content": { "role": "model", "parts": parts } });
    let mut chunk = json!({ "modelVersion": "p", "responseId": "i" });
    if more["finishReason"].is_string() {
        candidate["finishReason"] = more["finishReason"].clone();
        chunk["usageMetadata"] = more["usageMetadata"].clone();
    }
    chunk["candidates"] = json!([candidate]);
    sse(None, &chunk)
}

impl Speaker {
    /// What a stream begins with, before any token.
    pub(crate) fn opening(&self) -> Vec<u8> {
        match self.dialect {
            Dialect::ChatCompletions => chat(&json!({ "role": "assistant", "content": "" }), None),
            Dialect::Messages => typed(&json!({ "type": "message_start", "message": {
                "id": "i", "type": "message", "role": "assistant", "content": [], "model": "p",
                "usage": { "input_tokens": 3, "output_tokens": 1 } } })),
            Dialect::Responses => typed(&json!({ "type": "response.created", "sequence_number": 0,
                "response": { "id": "i", "object": "response", "created_at": 1, "model": "p",
                "status": "in_progress", "error": null, "output": [] } })),
            Dialect::GenerateContent => Vec::new(),
            Dialect::Converse => frame("messageStart", &json!({ "role": "assistant" })),
            Dialect::CohereChat => typed(&json!({ "type": "message-start", "id": "i" })),
        }
    }

    /// The beginning of a block of text, where the dialect has one.
    pub(crate) fn block(&self) -> Vec<u8> {
        match self.dialect {
            Dialect::Messages => typed(&json!({ "type": "content_block_start", "index": 0,
                "content_block": { "type": "text", "text": "" } })),
            Dialect::Responses => [
                typed(
                    &json!({ "type": "response.output_item.added", "output_index": 0,
                    "item": { "id": "m", "type": "message", "role": "assistant",
                    "status": "in_progress", "content": [] } }),
                ),
                typed(
                    &json!({ "type": "response.content_part.added", "item_id": "m",
                    "output_index": 0, "content_index": 0,
                    "part": { "type": "output_text", "text": "", "annotations": [] } }),
                ),
            ]
            .concat(),
            _ => Vec::new(),
        }
    }

    /// A piece of text.
    pub(crate) fn piece(&self, text: &str) -> Vec<u8> {
        match self.dialect {
            Dialect::ChatCompletions => chat(&json!({ "content": text }), None),
            Dialect::Messages => typed(&json!({ "type": "content_block_delta", "index": 0,
                "delta": { "type": "text_delta", "text": text } })),
            Dialect::Responses => typed(&json!({ "type": "response.output_text.delta",
                "item_id": "m", "output_index": 0, "content_index": 0, "delta": text })),
            Dialect::GenerateContent => google(&json!([{ "text": text }]), &Value::Null),
            Dialect::Converse => frame(
                "contentBlockDelta",
                &json!({ "contentBlockIndex": 0, "delta": { "text": text } }),
            ),
            Dialect::CohereChat => typed(&json!({ "type": "content-delta", "index": 0,
                "delta": { "message": { "content": { "text": text } } } })),
        }
    }

    /// The beginning of an answer: `opening`, `block` and two pieces.
    pub(crate) fn begun(&self) -> Vec<u8> {
        [
            self.opening(),
            self.block(),
            self.piece("one "),
            self.piece("two "),
        ]
        .concat()
    }

    /// An error inside the stream: the provider is overloaded, in its own words.
    pub(crate) fn error(&self) -> Vec<u8> {
        match self.dialect {
            Dialect::ChatCompletions => sse(
                None,
                &json!({ "error": { "type": "overloaded_error", "message": "busy" } }),
            ),
            Dialect::Messages => typed(&json!({ "type": "error",
                "error": { "type": "overloaded_error", "message": "busy" } })),
            Dialect::Responses => typed(&json!({ "type": "response.failed", "response": {
                "id": "i", "object": "response", "created_at": 1, "model": "p", "output": [],
                "status": "failed", "error": { "code": "overloaded", "message": "busy" } } })),
            Dialect::GenerateContent => sse(
                None,
                &json!({ "error": { "code": 503, "status": "UNAVAILABLE", "message": "busy" } }),
            ),
            Dialect::Converse => {
                frame("serviceUnavailableException", &json!({ "message": "busy" }))
            }
            Dialect::CohereChat => typed(&json!({ "type": "message-end",
                "delta": { "finish_reason": "ERROR", "error": "busy" } })),
        }
    }

    /// What ends a turn in order; `usage` stands where the dialect has it.
    pub(crate) fn ending_with(&self, usage: &Value) -> Vec<u8> {
        match self.dialect {
            Dialect::ChatCompletions => [
                chat(&json!({}), Some("stop")),
                sse(
                    None,
                    &json!({ "id": "i", "object": "chat.completion.chunk", "created": 1,
                        "model": "p", "choices": [], "usage": usage }),
                ),
                b"data: [DONE]\n\n".to_vec(),
            ]
            .concat(),
            Dialect::Messages => [
                typed(&json!({ "type": "content_block_stop", "index": 0 })),
                typed(&json!({ "type": "message_delta", "usage": usage,
                    "delta": { "stop_reason": "end_turn", "stop_sequence": null } })),
                typed(&json!({ "type": "message_stop" })),
            ]
            .concat(),
            Dialect::Responses => typed(&json!({ "type": "response.completed", "response": {
                "id": "i", "object": "response", "created_at": 1, "model": "p", "output": [],
                "status": "completed", "error": null, "usage": usage } })),
            Dialect::GenerateContent => google(
                &json!([{ "text": "" }]),
                &json!({ "finishReason": "STOP", "usageMetadata": usage }),
            ),
            Dialect::Converse => [
                frame("contentBlockStop", &json!({ "contentBlockIndex": 0 })),
                frame("messageStop", &json!({ "stopReason": "end_turn" })),
                frame(
                    "metadata",
                    &json!({ "usage": usage, "metrics": { "latencyMs": 1 } }),
                ),
            ]
            .concat(),
            Dialect::CohereChat => typed(&json!({ "type": "message-end",
                "delta": { "finish_reason": "COMPLETE", "usage": usage } })),
        }
    }

    /// The same with three tokens read and two written.
    pub(crate) fn ending(&self) -> Vec<u8> {
        self.ending_with(&match self.dialect {
            Dialect::ChatCompletions => {
                json!({ "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5 })
            }
            Dialect::Messages | Dialect::Responses => {
                json!({ "input_tokens": 3, "output_tokens": 2, "total_tokens": 5 })
            }
            Dialect::GenerateContent => {
                json!({ "promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5 })
            }
            Dialect::Converse => json!({ "inputTokens": 3, "outputTokens": 2, "totalTokens": 5 }),
            Dialect::CohereChat => {
                json!({ "billed_units": { "input_tokens": 3, "output_tokens": 2 } })
            }
        })
    }

    /// A call of the tool `f` with this text as its only argument, as one stream.
    pub(crate) fn calling(&self, argument: &str) -> Vec<u8> {
        let arguments = json!({ "a": argument });
        let text = arguments.to_string();
        let pieces: Vec<&str> = split(&text);
        let mut out = self.opening();
        match self.dialect {
            Dialect::ChatCompletions => {
                let call = |more: Value| chat(&json!({ "tool_calls": [more] }), None);
                out.extend(call(json!({ "index": 0, "id": "c", "type": "function",
                    "function": { "name": "f", "arguments": "" } })));
                for piece in pieces {
                    out.extend(call(
                        json!({ "index": 0, "function": { "arguments": piece } }),
                    ));
                }
                out.extend(chat(&json!({}), Some("tool_calls")));
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
            Dialect::Messages => {
                out.extend(typed(&json!({ "type": "content_block_start", "index": 0,
                    "content_block": { "type": "tool_use", "id": "c", "name": "f", "input": {} } })));
                for piece in pieces {
                    out.extend(typed(&json!({ "type": "content_block_delta", "index": 0,
                        "delta": { "type": "input_json_delta", "partial_json": piece } })));
                }
                out.extend(self.ending());
            }
            Dialect::Responses => {
                out.extend(typed(
                    &json!({ "type": "response.output_item.added", "output_index": 0,
                    "item": { "id": "fc", "type": "function_call", "call_id": "c", "name": "f",
                    "arguments": "", "status": "in_progress" } }),
                ));
                for piece in pieces {
                    out.extend(typed(
                        &json!({ "type": "response.function_call_arguments.delta",
                        "item_id": "fc", "output_index": 0, "delta": piece }),
                    ));
                }
                out.extend(self.ending());
            }
            Dialect::GenerateContent => {
                out.extend(google(
                    &json!([{ "functionCall": { "name": "f", "args": arguments } }]),
                    &Value::Null,
                ));
                out.extend(self.ending());
            }
            Dialect::Converse => {
                out.extend(frame(
                    "contentBlockStart",
                    &json!({ "contentBlockIndex": 0,
                    "start": { "toolUse": { "toolUseId": "c", "name": "f" } } }),
                ));
                for piece in pieces {
                    out.extend(frame(
                        "contentBlockDelta",
                        &json!({ "contentBlockIndex": 0,
                        "delta": { "toolUse": { "input": piece } } }),
                    ));
                }
                out.extend(self.ending());
            }
            Dialect::CohereChat => {
                let call = |kind: &str, call: Value| {
                    typed(&json!({ "type": kind, "index": 0,
                        "delta": { "message": { "tool_calls": call } } }))
                };
                out.extend(call(
                    "tool-call-start",
                    json!({ "id": "c", "type": "function",
                        "function": { "name": "f", "arguments": "" } }),
                ));
                for piece in pieces {
                    let more = json!({ "function": { "arguments": piece } });
                    out.extend(call("tool-call-delta", more));
                }
                out.extend(self.ending());
            }
        }
        out
    }

    /// A refusal before any stream: too many requests.
    pub(crate) fn limited(&self) -> String {
        match self.dialect {
            Dialect::ChatCompletions | Dialect::Responses => {
                json!({ "error": { "type": "rate_limit_exceeded", "message": "slow" } })
            }
            Dialect::Messages => {
                json!({ "type": "error", "error": { "type": "rate_limit_error", "message": "slow" } })
            }
            Dialect::GenerateContent => {
                json!({ "error": { "code": 429, "status": "RESOURCE_EXHAUSTED", "message": "slow" } })
            }
            Dialect::Converse | Dialect::CohereChat => json!({ "message": "slow" }),
        }
        .to_string()
    }
}

/// In pieces of some thousand characters.
fn split(text: &str) -> Vec<&str> {
    let pieces = text.as_bytes().chunks(4_096);
    pieces
        .map(|piece| std::str::from_utf8(piece).unwrap())
        .collect()
}

/// A caller's side of a dialect; Google's has two forms of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) dialect: Dialect,
    pub(crate) as_list: bool,
}

/// One for each dialect and form.
pub(crate) fn listeners() -> Vec<Listener> {
    let plain = Dialect::ALL.map(|dialect| Listener {
        dialect,
        as_list: false,
    });
    let list = Listener {
        dialect: Dialect::GenerateContent,
        as_list: true,
    };
    plain.into_iter().chain([list]).collect()
}

/// How a stream ended, and what it said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) text: String,
    /// Bytes of a tool's arguments.
    pub(crate) arguments: usize,
    /// The message of an error event, which is the last one.
    pub(crate) error: Option<String>,
    /// Whether the turn's last event came.
    pub(crate) ended: bool,
}

impl Listener {
    /// Path and body of a streamed request to `model`.
    pub(crate) fn request(self, model: &str) -> (String, String) {
        let message = json!([{ "role": "user", "content": "hello" }]);
        let google = json!({ "contents": [{ "role": "user", "parts": [{ "text": "hello" }] }] });
        let (path, body) = match self.dialect {
            Dialect::ChatCompletions => (
                "/v1/chat/completions".into(),
                json!({ "model": model, "stream": true, "messages": message,
                    "stream_options": { "include_usage": true } }),
            ),
            Dialect::Messages => (
                "/v1/messages".into(),
                json!({ "model": model, "stream": true, "max_tokens": 9, "messages": message }),
            ),
            Dialect::Responses => (
                "/v1/responses".into(),
                json!({ "model": model, "stream": true, "input": "hello" }),
            ),
            Dialect::GenerateContent => {
                let form = if self.as_list { "" } else { "?alt=sse" };
                (
                    format!("/v1beta/models/{model}:streamGenerateContent{form}"),
                    google,
                )
            }
            Dialect::CohereChat => (
                "/v2/chat".into(),
                json!({ "model": model, "stream": true, "messages": message }),
            ),
            Dialect::Converse => (
                format!("/model/{model}/converse-stream"),
                json!({ "messages": [{ "role": "user", "content": [{ "text": "hello" }] }] }),
            ),
        };
        (path, body.to_string())
    }

    /// Reads an answer strictly: every event whole, of this dialect, nothing behind the last.
    pub(crate) fn hear(self, answer: &Answer) -> Heard {
        let mut heard = Heard::default();
        for event in self.events(answer) {
            assert!(
                heard.error.is_none(),
                "something follows an error: {event} in {answer:?}"
            );
            self.note(&event, &mut heard);
        }
        heard
    }

    fn events(self, answer: &Answer) -> Vec<Value> {
        if self.dialect == Dialect::Converse {
            let mut events = Vec::new();
            let mut framer = EventStreamFramer::new(usize::MAX);
            let read = framer.push(&answer.body, |frame| {
                let payload: Value = serde_json::from_slice(frame.payload).unwrap();
                let name = String::from_utf8_lossy(frame.name().unwrap()).into_owned();
                let failed = frame.is_failure();
                events.push(json!({ "name": name, "failed": failed, "payload": payload }));
                Ok(())
            });
            read.unwrap();
            assert!(!framer.is_cut(), "a frame is cut");
            return events;
        }
        let text = answer.text();
        if self.as_list {
            return serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
        }
        assert!(
            text.ends_with("\n\n") || text.ends_with("\r\n\r\n"),
            "it ends with a whole event: {text:?}"
        );
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let mut events: Vec<&str> = data.collect();
        if let Some(at) = events.iter().position(|data| *data == "[DONE]") {
            assert_eq!(at + 1, events.len(), "something follows the end");
            events[at] = "\"[DONE]\"";
        }
        let parse =
            |data: &&str| serde_json::from_str(data).unwrap_or_else(|e| panic!("{e}: {data}"));
        events.iter().map(parse).collect()
    }

    fn note(self, event: &Value, heard: &mut Heard) {
        let message = |value: &Value| value["message"].as_str().map(str::to_owned);
        let mut say = |value: &Value| heard.text += value.as_str().unwrap_or_default();
        let length = |value: &Value| value.as_str().map_or(0, str::len);
        match self.dialect {
            Dialect::ChatCompletions => {
                let delta = &event["choices"][0]["delta"];
                say(&delta["content"]);
                heard.arguments += length(&delta["tool_calls"][0]["function"]["arguments"]);
                heard.error = message(&event["error"]);
                heard.ended = event == "[DONE]";
            }
            Dialect::Messages => {
                say(&event["delta"]["text"]);
                heard.arguments += length(&event["delta"]["partial_json"]);
                heard.error = message(&event["error"]);
                heard.ended = event["type"] == "message_stop";
            }
            Dialect::Responses => {
                let kind = event["type"].as_str().unwrap_or_default();
                match kind {
                    "response.output_text.delta" => say(&event["delta"]),
                    "response.function_call_arguments.delta" => {
                        heard.arguments += length(&event["delta"]);
                    }
                    "error" => heard.error = message(event),
                    "response.failed" => heard.error = message(&event["response"]["error"]),
                    _ => {}
                }
                heard.ended = kind == "response.completed";
            }
            Dialect::GenerateContent => {
                let candidate = &event["candidates"][0];
                for part in candidate["content"]["parts"]
                    .as_array()
                    .into_iter()
                    .flatten()
                {
                    say(&part["text"]);
                    if part["functionCall"]["args"].is_object() {
                        heard.arguments += part["functionCall"]["args"].to_string().len();
                    }
                }
                heard.error = message(&event["error"]);
                heard.ended |= candidate["finishReason"].is_string();
            }
            Dialect::CohereChat => {
                let said = &event["delta"]["message"];
                say(&said["content"]["text"]);
                heard.arguments += length(&said["tool_calls"]["function"]["arguments"]);
                heard.error = event["delta"]["error"].as_str().map(str::to_owned);
                heard.ended = event == "[DONE]";
            }
            Dialect::Converse => {
                let delta = &event["payload"]["delta"];
                say(&delta["text"]);
                heard.arguments += length(&delta["toolUse"]["input"]);
                if event["failed"] == true {
                    heard.error = message(&event["payload"]);
                }
                heard.ended = event["name"] == "metadata";
            }
        }
    }
}
