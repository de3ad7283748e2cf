//! Neutral events into Chat Completions streams.

use super::response::{reason_of, write_citation};
use super::write_usage;
use crate::conversation::{Block, StreamEvent};
use crate::dialect::{Codec, StreamEncoder, logprobs};
use crate::failure::{ErrorClass, ProviderError, classify};
use crate::json::write::Writer;
use crate::{Losses, TranslateOptions, Usage};

pub(super) struct Encoder {
    model: String,
    now_unix_s: u64,
    include_usage: bool,
    /// Every chunk up to its choices, made once.
    head: Vec<u8>,
    /// Blocks that are calls, in order; the position is the call's index.
    calls: Vec<u32>,
    /// Blocks of thinking, in order.
    thoughts: Vec<u32>,
    /// Blocks of refusals.
    refusals: Vec<u32>,
    /// The likelihoods that go out with the next piece of text, as a JSON list.
    logprobs: Vec<u8>,
    usage: Usage,
    /// Characters of text so far, and where the current text block began.
    characters: usize,
    block_start: usize,
}

impl Encoder {
    pub(super) fn new(model: &str, options: &TranslateOptions) -> Self {
        Self {
            model: model.to_owned(),
            now_unix_s: options.now_unix_s,
            include_usage: options.include_usage,
            head: Vec::new(),
            calls: Vec::new(),
            thoughts: Vec::new(),
            refusals: Vec::new(),
            logprobs: Vec::new(),
            usage: Usage::default(),
            characters: 0,
            block_start: 0,
        }
    }

    fn start(&mut self, id: &str, created: Option<u64>) {
        self.head.extend_from_slice(b"data: ");
        let mut w = Writer::new(&mut self.head);
        w.open()
            .member("id", id)
            .member("object", "chat.completion.chunk");
        w.key("created")
            .unsigned(created.unwrap_or(self.now_unix_s));
        w.member("model", &self.model);
        self.head.extend_from_slice(b",\"choices\":");
    }

    /// One chunk with a delta that `fill` writes the members of.
    fn chunk(&self, out: &mut Vec<u8>, reason: Option<&str>, fill: impl FnOnce(&mut Writer<'_>)) {
        out.extend_from_slice(&self.head);
        let mut w = Writer::new(out);
        w.open_list()
            .open()
            .key("index")
            .unsigned(0)
            .key("delta")
            .open();
        fill(&mut w);
        w.close().key("logprobs");
        match std::str::from_utf8(&self.logprobs) {
            Ok(tokens) if !tokens.is_empty() => {
                w.open().key("content").raw(tokens).key("refusal").null();
                w.close()
            }
            _ => w.null(),
        };
        w.key("finish_reason");
        match reason {
            Some(reason) => w.text(reason),
            None => w.null(),
        };
        w.close().close_list();
        out.extend_from_slice(if self.include_usage {
            b",\"usage\":null}\n\n"
        } else {
            b"}\n\n"
        });
    }

    fn position(list: &[u32], index: u32) -> u64 {
        list.iter().position(|block| *block == index).unwrap_or(0) as u64
    }

    fn block(&mut self, index: u32, block: &Block<'_>, out: &mut Vec<u8>) {
        match block {
            Block::Text => self.block_start = self.characters,
            Block::Refusal => self.refusals.push(index),
            Block::Reasoning => self.thoughts.push(index),
            Block::RedactedReasoning(data) => {
                self.thoughts.push(index);
                let at = Self::position(&self.thoughts, index);
                self.chunk(out, None, |w| {
                    w.key("reasoning_details").open_list().open();
                    w.member("type", "reasoning.encrypted").member("data", data);
                    w.key("index").unsigned(at).close().close_list();
                });
            }
            Block::ToolCall { id, name } => {
                self.calls.push(index);
                let at = Self::position(&self.calls, index);
                self.chunk(out, None, |w| {
                    w.key("tool_calls").open_list().open();
                    w.key("index")
                        .unsigned(at)
                        .member("id", id)
                        .member("type", "function");
                    w.key("function")
                        .open()
                        .member("name", name)
                        .member("arguments", "");
                    w.close().close().close_list();
                });
            }
        }
    }

    fn finish(&self, out: &mut Vec<u8>) {
        if self.include_usage {
            out.extend_from_slice(&self.head);
            let mut w = Writer::new(out);
            w.open_list().close_list();
            write_usage(w.key("usage"), &self.usage);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

impl StreamEncoder for Encoder {
    fn event(&mut self, event: &StreamEvent<'_>, losses: &mut Losses, out: &mut Vec<u8>) {
        match event {
            StreamEvent::Start { id, created } => {
                self.start(id, *created);
                self.chunk(out, None, |w| {
                    w.member("role", "assistant").member("content", "");
                });
            }
            StreamEvent::BlockStart { index, block } => self.block(*index, block, out),
            StreamEvent::Text { index, text } if self.refusals.contains(index) => {
                self.chunk(out, None, |w| {
                    w.member("refusal", text);
                });
            }
            StreamEvent::Text { text, .. } => {
                self.characters += text.chars().count();
                self.chunk(out, None, |w| {
                    w.member("content", text);
                });
                self.logprobs.clear();
            }
            StreamEvent::Logprobs { tokens, .. } => {
                self.logprobs.clear();
                logprobs::write(&mut Writer::new(&mut self.logprobs), tokens);
            }
            StreamEvent::Reasoning { text, .. } => {
                self.chunk(out, None, |w| {
                    w.member("reasoning_content", text);
                });
            }
            StreamEvent::Signature { index, signature } => {
                let at = Self::position(&self.thoughts, *index);
                self.chunk(out, None, |w| {
                    w.key("reasoning_details").open_list().open();
                    w.member("type", "reasoning.text").member("text", "");
                    w.member("signature", signature).key("index").unsigned(at);
                    w.close().close_list();
                });
            }
            StreamEvent::Arguments { index, json } => {
                let at = Self::position(&self.calls, *index);
                self.chunk(out, None, |w| {
                    w.key("tool_calls")
                        .open_list()
                        .open()
                        .key("index")
                        .unsigned(at);
                    w.key("function").open().member("arguments", json).close();
                    w.close().close_list();
                });
            }
            StreamEvent::Citation { citation, .. } => {
                let place = (self.block_start, self.characters);
                self.chunk(out, None, |w| {
                    w.key("annotations").open_list();
                    write_citation(w, citation, place);
                    w.close_list();
                });
            }
            StreamEvent::BlockStop { .. } => {}
            StreamEvent::Finish { stop, .. } => {
                let reason = reason_of(*stop, losses);
                self.chunk(out, Some(reason), |_| {});
            }
            StreamEvent::Usage(usage) => self.usage = *usage,
            StreamEvent::End => self.finish(out),
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
        out.extend_from_slice(&super::ChatCompletions.error_event(class, code, message));
    }
}
