//! Neutral events into Cohere's streams.
//!
//! The reason to stop and the usage go out in one event, so that the reason waits for the end.

use super::response::{reason_of, write_logprobs};
use super::{citations, write_usage};
use crate::conversation::{Block, Citation, Stop, StreamEvent};
use crate::dialect::{Codec, StreamEncoder};
use crate::failure::{ErrorClass, ProviderError, classify};
use crate::json::write::Writer;
use crate::{Losses, Usage};

/// Where a block of ours stands in the stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A piece of content with this number.
    Content(u64),
    /// A call with this number.
    Call(u64),
    /// Nowhere.
    Lost,
}

struct Open {
    index: u32,
    place: Place,
    /// Characters of text so far.
    characters: u64,
}

pub(super) struct Encoder {
    open: Vec<Open>,
    contents: u64,
    calls: u64,
    citations: u64,
    /// The likelihoods that go out with the next piece of text.
    logprobs: Vec<u8>,
    usage: Option<Usage>,
    reason: &'static str,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            open: Vec::new(),
            contents: 0,
            calls: 0,
            citations: 0,
            logprobs: Vec::new(),
            usage: None,
            reason: "COMPLETE",
        }
    }
}

/// One event whose data has a type and the members that `fill` writes.
pub(super) fn event(out: &mut Vec<u8>, kind: &'static str, fill: impl FnOnce(&mut Writer<'_>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let mut w = Writer::new(out);
    w.open().member("type", kind);
    fill(&mut w);
    w.close();
    out.extend_from_slice(b"\n\n");
}

/// One event about the piece with this number, whose message has the members that `fill` writes.
fn delta(out: &mut Vec<u8>, kind: &'static str, number: u64, fill: impl FnOnce(&mut Writer<'_>)) {
    event(out, kind, |w| {
        w.key("index").unsigned(number);
        w.key("delta").open().key("message").open();
        fill(w);
        w.close().close();
    });
}

impl Encoder {
    fn block_start(
        &mut self,
        index: u32,
        block: &Block<'_>,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) {
        let place = match block {
            Block::Text | Block::Refusal => self.content_start("text", out),
            Block::Reasoning => self.content_start("thinking", out),
            Block::RedactedReasoning(_) => {
                losses.add("content.reasoning.redacted");
                Place::Lost
            }
            Block::ToolCall { id, name } => {
                let number = self.calls;
                self.calls += 1;
                delta(out, "tool-call-start", number, |w| {
                    w.key("tool_calls").open().member("id", id);
                    w.member("type", "function").key("function").open();
                    w.member("name", name).member("arguments", "");
                    w.close().close();
                });
                Place::Call(number)
            }
        };
        self.open.push(Open {
            index,
            place,
            characters: 0,
        });
    }

    fn content_start(&mut self, kind: &'static str, out: &mut Vec<u8>) -> Place {
        let number = self.contents;
        self.contents += 1;
        delta(out, "content-start", number, |w| {
            w.key("content").open().member("type", kind);
            w.member(kind, "").close();
        });
        Place::Content(number)
    }

    fn place(&self, index: u32) -> Place {
        let open = self.open.iter().rev().find(|open| open.index == index);
        open.map_or(Place::Lost, |open| open.place)
    }

    fn content(&mut self, index: u32, kind: &'static str, text: &str, out: &mut Vec<u8>) {
        let Some(open) = self.open.iter_mut().rev().find(|o| o.index == index) else {
            return;
        };
        open.characters += text.chars().count() as u64;
        let Place::Content(number) = open.place else {
            return;
        };
        let logprobs = std::mem::take(&mut self.logprobs);
        event(out, "content-delta", |w| {
            w.key("index").unsigned(number);
            w.key("delta").open().key("message").open();
            w.key("content").open().member(kind, text).close();
            w.close().close();
            if let (false, Ok(logprobs)) = (logprobs.is_empty(), std::str::from_utf8(&logprobs)) {
                w.key("logprobs").raw(logprobs);
            }
        });
    }

    fn citation(
        &mut self,
        index: u32,
        citation: &Citation<'_>,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) {
        let open = self.open.iter().rev().find(|open| open.index == index);
        let Some((Place::Content(number), characters)) = open.map(|o| (o.place, o.characters))
        else {
            return;
        };
        let at = self.citations;
        self.citations += 1;
        delta(out, "citation-start", at, |w| {
            w.key("citations");
            citations::write(w, citation, number, (0, characters), losses);
        });
        event(out, "citation-end", |w| {
            w.key("index").unsigned(at);
        });
    }

    fn block_stop(&mut self, index: u32, out: &mut Vec<u8>) {
        let (kind, number) = match self.place(index) {
            Place::Content(number) => ("content-end", number),
            Place::Call(number) => ("tool-call-end", number),
            Place::Lost => ("", 0),
        };
        self.open.retain(|open| open.index != index);
        if kind.is_empty() {
            return;
        }
        event(out, kind, |w| {
            w.key("index").unsigned(number);
        });
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        // Some providers end without ending their blocks.
        while let Some(index) = self.open.first().map(|open| open.index) {
            self.block_stop(index, out);
        }
        event(out, "message-end", |w| {
            w.key("delta").open().member("finish_reason", self.reason);
            if let Some(usage) = &self.usage {
                write_usage(w.key("usage"), usage);
            }
            w.close();
        });
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn finish(&mut self, stop: Stop, stop_sequence: Option<&str>, losses: &mut Losses) {
        self.reason = reason_of(stop, stop_sequence, losses);
    }
}

fn start(id: &str, out: &mut Vec<u8>) {
    event(out, "message-start", |w| {
        w.member("id", id).key("delta").open().key("message").open();
        w.member("role", "assistant").key("content").open_list();
        w.close_list().member("tool_plan", "").key("tool_calls");
        w.open_list().close_list().key("citations").open_list();
        w.close_list().close().close();
    });
}

impl StreamEncoder for Encoder {
    fn event(&mut self, step: &StreamEvent<'_>, losses: &mut Losses, out: &mut Vec<u8>) {
        match step {
            StreamEvent::Start { id, .. } => start(id, out),
            StreamEvent::BlockStart { index, block } => {
                self.block_start(*index, block, losses, out);
            }
            StreamEvent::Text { index, text } => self.content(*index, "text", text, out),
            StreamEvent::Logprobs { tokens, .. } => {
                self.logprobs.clear();
                write_logprobs(&mut Writer::new(&mut self.logprobs), tokens, losses);
            }
            StreamEvent::Reasoning { index, text } => self.content(*index, "thinking", text, out),
            StreamEvent::Signature { .. } => losses.add("content.reasoning.signature"),
            StreamEvent::Arguments { index, json } => {
                if let Place::Call(number) = self.place(*index) {
                    delta(out, "tool-call-delta", number, |w| {
                        w.key("tool_calls").open().key("function").open();
                        w.member("arguments", json).close().close();
                    });
                }
            }
            StreamEvent::Citation { index, citation } => {
                self.citation(*index, citation, losses, out);
            }
            StreamEvent::BlockStop { index } => self.block_stop(*index, out),
            StreamEvent::Finish {
                stop,
                stop_sequence,
            } => self.finish(*stop, stop_sequence.as_deref(), losses),
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
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
        out.extend_from_slice(&super::CohereChat.error_event(class, code, message));
    }
}
