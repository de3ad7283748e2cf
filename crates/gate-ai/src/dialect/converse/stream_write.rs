//! Neutral events into Converse streams.
//!
//! The reason to stop comes before the usage, in two events of their own, so that both wait for
//! the end.

use super::blocks::redacted_content;
use super::encode::write_citation;
use super::response::{reason_of, write_metrics};
use super::write_usage;
use crate::Losses;
use crate::Usage;
use crate::conversation::{Block, Stop, StreamEvent};
use crate::dialect::messages::tool_id;
use crate::dialect::{Codec, StreamEncoder};
use crate::event_stream::write_frame;
use crate::failure::{ErrorClass, ProviderError, classify};
use crate::json::write::Writer;

#[derive(Default)]
pub(super) struct Encoder {
    usage: Usage,
    stop: Option<Stop>,
    stop_sequence: Option<String>,
    /// Text blocks that have no text so far: clients look for a block at every end of one.
    silent: Vec<u32>,
    /// The payload of one event, kept for the next one.
    payload: Vec<u8>,
}

impl Encoder {
    fn event(&mut self, out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Writer<'_>)) {
        self.payload.clear();
        let mut w = Writer::new(&mut self.payload);
        w.open();
        fill(&mut w);
        w.close();
        let headers = [
            (":event-type", name),
            (":content-type", "application/json"),
            (":message-type", "event"),
        ];
        write_frame(out, &headers, &self.payload);
    }

    fn delta(&mut self, out: &mut Vec<u8>, index: u32, fill: impl FnOnce(&mut Writer<'_>)) {
        self.silent.retain(|silent| *silent != index);
        self.event(out, "contentBlockDelta", |w| {
            w.key("contentBlockIndex").unsigned(index.into());
            w.key("delta").open();
            fill(w);
            w.close();
        });
    }

    fn thought(&mut self, out: &mut Vec<u8>, index: u32, key: &'static str, value: &str) {
        self.delta(out, index, |w| {
            w.key("reasoningContent").open().member(key, value).close();
        });
    }

    fn block_start(&mut self, out: &mut Vec<u8>, index: u32, block: &Block<'_>) {
        match block {
            Block::Text | Block::Refusal => self.silent.push(index),
            Block::Reasoning => {}
            Block::RedactedReasoning(data) => {
                let data = redacted_content(data);
                self.thought(out, index, "redactedContent", &data);
            }
            Block::ToolCall { id, name } => self.event(out, "contentBlockStart", |w| {
                w.key("contentBlockIndex").unsigned(index.into());
                w.key("start").open().key("toolUse").open();
                w.member("toolUseId", &tool_id(id)).member("name", name);
                w.close().close();
            }),
        }
    }

    fn end(&mut self, losses: &mut Losses, out: &mut Vec<u8>) {
        let reason = reason_of(self.stop.unwrap_or(Stop::EndTurn), losses);
        let stop_sequence = self.stop_sequence.take();
        self.event(out, "messageStop", |w| {
            w.member("stopReason", reason);
            if let Some(stop) = &stop_sequence {
                w.key("additionalModelResponseFields").open();
                w.member("stop_sequence", stop).close();
            }
        });
        let usage = self.usage;
        self.event(out, "metadata", |w| {
            write_usage(w.key("usage"), &usage, losses);
            write_metrics(w);
        });
    }
}

impl StreamEncoder for Encoder {
    fn error(&mut self, class: ErrorClass, code: &str, message: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&super::Converse.error_event(class, code, message));
    }

    fn event(&mut self, step: &StreamEvent<'_>, losses: &mut Losses, out: &mut Vec<u8>) {
        match step {
            StreamEvent::Start { .. } => self.event(out, "messageStart", |w| {
                w.member("role", "assistant");
            }),
            StreamEvent::BlockStart { index, block } => self.block_start(out, *index, block),
            StreamEvent::Text { index, text } => self.delta(out, *index, |w| {
                w.member("text", text);
            }),
            StreamEvent::Logprobs { .. } => losses.add("logprobs"),
            StreamEvent::Reasoning { index, text } => self.thought(out, *index, "text", text),
            StreamEvent::Signature { index, signature } => {
                self.thought(out, *index, "signature", signature);
            }
            StreamEvent::Arguments { index, json } => self.delta(out, *index, |w| {
                w.key("toolUse").open().member("input", json).close();
            }),
            StreamEvent::Citation { index, citation } => self.delta(out, *index, |w| {
                w.key("citation").open();
                write_citation(w, citation);
                w.close();
            }),
            StreamEvent::BlockStop { index } => {
                if self.silent.contains(index) {
                    self.delta(out, *index, |w| {
                        w.member("text", "");
                    });
                }
                self.event(out, "contentBlockStop", |w| {
                    w.key("contentBlockIndex").unsigned((*index).into());
                });
            }
            StreamEvent::Finish {
                stop,
                stop_sequence,
            } => {
                self.stop = Some(*stop);
                self.stop_sequence = stop_sequence.as_ref().map(|stop| stop.clone().into_owned());
            }
            StreamEvent::Usage(usage) => self.usage = *usage,
            StreamEvent::End => self.end(losses, out),
            StreamEvent::Error { kind, message } => {
                let error = ProviderError {
                    kind: Some(kind.clone().into_owned()),
                    ..ProviderError::default()
                };
                let class = classify(500, &error);
                out.extend_from_slice(&super::Converse.error_event(class, kind, message));
            }
        }
    }
}
