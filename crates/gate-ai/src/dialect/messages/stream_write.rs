//! Neutral events into Messages streams.
//!
//! The reason to stop and the usage go out in one event, so that the reason waits for the end.

use super::blocks::{tool_id, write_citation};
use super::response::reason_of;
use super::write_usage;
use crate::conversation::{Block, Stop, StreamEvent};
use crate::dialect::{Codec, StreamEncoder};
use crate::failure::{ErrorClass, ProviderError, classify};
use crate::json::write::Writer;
use crate::{Losses, Usage};

pub(super) struct Encoder {
    model: String,
    usage: Usage,
    stop: Stop,
    stop_sequence: Option<String>,
}

impl Encoder {
    pub(super) fn new(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            usage: Usage::default(),
            stop: Stop::EndTurn,
            stop_sequence: None,
        }
    }

    fn start(&self, id: &str, out: &mut Vec<u8>) {
        event(out, "message_start", |w| {
            w.key("message").open();
            w.member("id", id)
                .member("type", "message")
                .member("role", "assistant");
            w.member("model", &self.model)
                .key("content")
                .open_list()
                .close_list();
            w.key("stop_reason").null().key("stop_sequence").null();
            write_usage(w.key("usage"), &self.usage);
            w.close();
        });
    }

    fn end(&self, out: &mut Vec<u8>) {
        event(out, "message_delta", |w| {
            w.key("delta")
                .open()
                .member("stop_reason", reason_of(self.stop));
            w.key("stop_sequence");
            match &self.stop_sequence {
                Some(stop) => w.text(stop),
                None => w.null(),
            };
            w.close();
            write_usage(w.key("usage"), &self.usage);
        });
        event(out, "message_stop", |_| {});
    }
}

/// One event whose data has a type and the members that `fill` writes.
fn event(out: &mut Vec<u8>, kind: &'static str, fill: impl FnOnce(&mut Writer<'_>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let mut w = Writer::new(out);
    w.open().member("type", kind);
    fill(&mut w);
    w.close();
    out.extend_from_slice(b"\n\n");
}

fn delta(out: &mut Vec<u8>, index: u32, kind: &'static str, fill: impl FnOnce(&mut Writer<'_>)) {
    event(out, "content_block_delta", |w| {
        w.key("index")
            .unsigned(index.into())
            .key("delta")
            .open()
            .member("type", kind);
        fill(w);
        w.close();
    });
}

fn block_start(out: &mut Vec<u8>, index: u32, block: &Block<'_>) {
    event(out, "content_block_start", |w| {
        w.key("index")
            .unsigned(index.into())
            .key("content_block")
            .open();
        match block {
            Block::Text | Block::Refusal => w.member("type", "text").member("text", ""),
            Block::Reasoning => w
                .member("type", "thinking")
                .member("thinking", "")
                .member("signature", ""),
            Block::RedactedReasoning(data) => {
                w.member("type", "redacted_thinking").member("data", data)
            }
            Block::ToolCall { id, name } => {
                w.member("type", "tool_use")
                    .member("id", &tool_id(id))
                    .member("name", name);
                w.key("input").open().close()
            }
        };
        w.close();
    });
}

impl StreamEncoder for Encoder {
    fn event(&mut self, step: &StreamEvent<'_>, losses: &mut Losses, out: &mut Vec<u8>) {
        match step {
            StreamEvent::Start { id, .. } => self.start(id, out),
            StreamEvent::BlockStart { index, block } => block_start(out, *index, block),
            StreamEvent::Text { index, text } => {
                delta(out, *index, "text_delta", |w| {
                    w.member("text", text);
                });
            }
            StreamEvent::Logprobs { .. } => losses.add("logprobs"),
            StreamEvent::Reasoning { index, text } => {
                delta(out, *index, "thinking_delta", |w| {
                    w.member("thinking", text);
                });
            }
            StreamEvent::Signature { index, signature } => {
                delta(out, *index, "signature_delta", |w| {
                    w.member("signature", signature);
                });
            }
            StreamEvent::Arguments { index, json } => {
                delta(out, *index, "input_json_delta", |w| {
                    w.member("partial_json", json);
                });
            }
            StreamEvent::Citation { index, citation } => {
                delta(out, *index, "citations_delta", |w| {
                    write_citation(w.key("citation"), citation);
                });
            }
            StreamEvent::BlockStop { index } => event(out, "content_block_stop", |w| {
                w.key("index").unsigned((*index).into());
            }),
            StreamEvent::Finish {
                stop,
                stop_sequence,
            } => {
                self.stop = *stop;
                self.stop_sequence = stop_sequence.as_ref().map(|stop| stop.clone().into_owned());
            }
            StreamEvent::Usage(usage) => self.usage = *usage,
            StreamEvent::End => self.end(out),
            StreamEvent::Error { kind, message } => {
                let error = ProviderError {
                    kind: Some(kind.clone().into_owned()),
                    ..ProviderError::default()
                };
                self.error(classify(500, &error), kind, message, out);
            }
        }
    }

    fn error(&mut self, class: ErrorClass, code: &str, message: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&super::Messages.error_event(class, code, message));
    }
}
