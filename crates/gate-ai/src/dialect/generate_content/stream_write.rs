//! Neutral events into generateContent streams.
//!
//! Every chunk is a whole response with the next part in it. A call goes out when its arguments are
//! complete, because they are an object here; the reason to stop, the sources and the usage go out
//! with the last chunk.

use super::encode::write_call;
use super::grounding::{self, Cited};
use super::response::{malformed, reason_of, write_signature};
use super::signature::for_caller;
use super::{error_of_class, logprobs, usage};
use crate::conversation::{Block, Stop, StreamEvent};
use crate::dialect::StreamEncoder;
use crate::failure::{ErrorClass, ProviderError, classify};
use crate::json::write::Writer;
use crate::{Losses, TranslateOptions, Usage};

/// Most bytes of arguments that wait for their end, of all open calls together.
const ARGUMENTS_MAX: usize = 16 * 1024 * 1024;

/// A call whose arguments are arriving.
struct OpenCall {
    block: u32,
    id: String,
    name: String,
    arguments: String,
    signature: Option<String>,
}

pub(super) struct Encoder {
    model: String,
    id: String,
    /// The stream is a list instead of server-sent events.
    as_list: bool,
    /// A chunk has been written.
    begun: bool,
    calls: Vec<OpenCall>,
    /// A signature that the next call may carry.
    signature: Option<String>,
    cited: Vec<Cited>,
    /// Likelihoods of the tokens in the next piece of text.
    logprobs: Vec<u8>,
    /// Bytes of text so far, and where the current block began.
    bytes: usize,
    block_start: usize,
    stop: Stop,
    malformed: bool,
    usage: Usage,
}

impl Encoder {
    pub(super) fn new(model: &str, options: &TranslateOptions) -> Self {
        Self {
            model: model.to_owned(),
            id: String::new(),
            as_list: options.json_list,
            begun: false,
            calls: Vec::new(),
            signature: None,
            cited: Vec::new(),
            logprobs: Vec::new(),
            bytes: 0,
            block_start: 0,
            stop: Stop::EndTurn,
            malformed: false,
            usage: Usage::default(),
        }
    }

    /// One event whose data `fill` writes.
    fn event_of(&mut self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
        let in_front: &[u8] = match (self.as_list, self.begun) {
            (false, _) => b"data: ",
            (true, false) => b"[",
            (true, true) => b",\r\n",
        };
        out.extend_from_slice(in_front);
        self.begun = true;
        let start = out.len();
        fill(out);
        if !self.as_list {
            // Arguments stand here as the model wrote them. In JSON a line's end is white space,
            // and in an event it would be the end of the data.
            for byte in &mut out[start..] {
                if matches!(byte, b'\n' | b'\r') {
                    *byte = b' ';
                }
            }
            out.extend_from_slice(b"\r\n\r\n");
        }
    }

    /// One chunk: parts, then what follows them in the candidate, then what follows that.
    fn chunk(
        &mut self,
        out: &mut Vec<u8>,
        parts: impl FnOnce(&mut Writer<'_>),
        candidate: impl FnOnce(&mut Writer<'_>),
        counts: Option<&Usage>,
    ) {
        let (model, id) = (self.model.clone(), self.id.clone());
        self.event_of(out, |out| {
            let mut w = Writer::new(out);
            w.open().key("candidates").open_list().open();
            w.key("content").open().key("parts").open_list();
            parts(&mut w);
            w.close_list().member("role", "model").close();
            candidate(&mut w);
            w.key("index").unsigned(0).close().close_list();
            if let Some(counts) = counts {
                usage::write(w.key("usageMetadata"), counts);
            }
            w.member("modelVersion", &model).member("responseId", &id);
            w.close();
        });
    }

    fn parts(&mut self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Writer<'_>)) {
        self.chunk(out, fill, |_| {}, None);
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        self.bytes += text.len();
        let logprobs = std::mem::take(&mut self.logprobs);
        let part = |w: &mut Writer<'_>| {
            w.open().member("text", text).close();
        };
        let candidate = |w: &mut Writer<'_>| {
            if !logprobs.is_empty() {
                w.key("logprobsResult")
                    .raw(&String::from_utf8_lossy(&logprobs));
            }
        };
        self.chunk(out, part, candidate, None);
    }

    /// A signature that no call took goes out by itself.
    fn flush_signature(&mut self, out: &mut Vec<u8>) {
        if let Some(signature) = self.signature.take() {
            self.parts(out, |w| write_signature(w, &signature.as_str().into()));
        }
    }

    fn block(&mut self, index: u32, block: &Block<'_>, out: &mut Vec<u8>) {
        match block {
            Block::RedactedReasoning(data) => {
                self.flush_signature(out);
                self.signature = Some(for_caller(data).into_owned());
            }
            Block::ToolCall { id, name } => self.calls.push(OpenCall {
                block: index,
                id: id.clone().into_owned(),
                name: name.clone().into_owned(),
                arguments: String::new(),
                signature: self.signature.take(),
            }),
            Block::Text | Block::Refusal => {
                self.flush_signature(out);
                self.block_start = self.bytes;
            }
            Block::Reasoning => self.flush_signature(out),
        }
    }

    fn arguments(&mut self, index: u32, json: &str) {
        let call = self.calls.iter_mut().find(|call| call.block == index);
        if let Some(call) = call {
            call.arguments += json;
        }
    }

    fn end_block(&mut self, index: u32, out: &mut Vec<u8>) {
        let Some(at) = self.calls.iter().position(|call| call.block == index) else {
            return;
        };
        let call = self.calls.remove(at);
        let mut part = Vec::new();
        let written = write_call(
            &mut Writer::new(&mut part),
            &call.id,
            &call.name,
            &call.arguments,
            call.signature.as_deref(),
        );
        match written {
            Ok(()) => self.parts(out, |w| {
                w.raw(&String::from_utf8_lossy(&part));
            }),
            Err(_) => self.malformed = true,
        }
    }

    fn end(&mut self, losses: &mut Losses, out: &mut Vec<u8>) {
        let open: Vec<u32> = self.calls.iter().map(|call| call.block).collect();
        for index in open {
            self.end_block(index, out);
        }
        let mut reason = reason_of(self.stop, losses);
        if self.malformed {
            reason = malformed(reason, losses);
        }
        let signature = self.signature.take().unwrap_or_default();
        let (counts, cited) = (self.usage, std::mem::take(&mut self.cited));
        let last = |w: &mut Writer<'_>| {
            if signature.is_empty() {
                w.open().member("text", "").close();
            } else {
                write_signature(w, &signature.as_str().into());
            }
        };
        let candidate = |w: &mut Writer<'_>| {
            w.member("finishReason", reason);
            grounding::write(w, &cited);
        };
        self.chunk(out, last, candidate, Some(&counts));
        if self.as_list {
            out.extend_from_slice(b"]");
        }
    }
}

impl StreamEncoder for Encoder {
    fn event(&mut self, event: &StreamEvent<'_>, losses: &mut Losses, out: &mut Vec<u8>) {
        match event {
            StreamEvent::Start { id, .. } => self.id = id.clone().into_owned(),
            StreamEvent::BlockStart { index, block } => self.block(*index, block, out),
            StreamEvent::Text { text, .. } => self.text(text, out),
            StreamEvent::Logprobs { tokens, .. } => {
                self.logprobs.clear();
                logprobs::write(&mut Writer::new(&mut self.logprobs), tokens);
            }
            StreamEvent::Reasoning { text, .. } => self.parts(out, |w| {
                w.open().member("text", text).key("thought").boolean(true);
                w.close();
            }),
            StreamEvent::Signature { signature, .. } => {
                let signature = for_caller(signature);
                self.parts(out, |w| {
                    w.open().member("text", "").key("thought").boolean(true);
                    w.member("thoughtSignature", &signature).close();
                });
            }
            StreamEvent::Arguments { index, json } => self.arguments(*index, json),
            StreamEvent::Citation { citation, .. } => {
                let piece = self.block_start..self.bytes;
                self.cited.push(Cited::of_stream(citation, piece, losses));
            }
            StreamEvent::BlockStop { index } => self.end_block(*index, out),
            StreamEvent::Finish { stop, .. } => self.stop = *stop,
            StreamEvent::Usage(usage) => self.usage = *usage,
            StreamEvent::End => self.end(losses, out),
            StreamEvent::Error { kind, message } => {
                let error = ProviderError {
                    kind: Some(kind.clone().into_owned()),
                    ..ProviderError::default()
                };
                let class = classify(500, &error);
                self.error(class, kind, message, out);
            }
        }
    }

    fn error(&mut self, class: ErrorClass, code: &str, message: &str, out: &mut Vec<u8>) {
        self.event_of(out, |out| {
            out.extend_from_slice(&error_of_class(class, code, message));
        });
        if self.as_list {
            out.extend_from_slice(b"]");
        }
    }

    fn is_full(&self) -> bool {
        self.calls
            .iter()
            .map(|call| call.arguments.len())
            .sum::<usize>()
            > ARGUMENTS_MAX
    }
}
