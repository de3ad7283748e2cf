//! Neutral events into Responses streams.
//!
//! The dialect repeats everything: a part when it is complete, an item when it is complete, and the
//! whole answer at the end. So the answer is kept while it is streamed, up to [`KEPT_MAX`]; a longer
//! one ends with an error. Texts that follow each other are parts of one message.

use super::write::{
    Envelope, incomplete, item_id, report_stop, tokens_json, write_annotation, write_call,
    write_message, write_reasoning, write_refusal, write_text,
};
use super::write_error;
use crate::conversation::{Block, Citation, Stop, StreamEvent};
use crate::dialect::StreamEncoder;
use crate::failure::{ErrorClass, ProviderError, classify};
use crate::json::write::Writer;
use crate::{Losses, TranslateOptions, Usage};

/// Most bytes of one answer that are kept to be repeated at its end.
const KEPT_MAX: usize = 16 * 1024 * 1024;

/// A message whose parts are still coming.
struct Message {
    place: usize,
    id: String,
    /// The finished parts, as JSON with commas between.
    parts: String,
    next: u64,
}

/// A block that is open.
struct Open {
    block: u32,
    kind: Kind,
    /// What has come of it.
    text: String,
}

enum Kind {
    /// A part of the open message.
    Text {
        part: u64,
        refusal: bool,
        characters: u64,
        /// Annotations and tokens, as JSON with commas between.
        annotations: String,
        notes: u64,
        tokens: String,
        /// Tokens that go out with the next piece.
        next_tokens: String,
    },
    Reasoning {
        place: usize,
        id: String,
        sealed: Option<String>,
    },
    Call {
        place: usize,
        id: String,
        call: String,
        name: String,
    },
}

pub(super) struct Encoder {
    model: String,
    now_unix_s: u64,
    id: String,
    created: u64,
    sequence: u64,
    /// The finished items, each in its place.
    items: Vec<Option<Vec<u8>>>,
    message: Option<Message>,
    open: Vec<Open>,
    stop: Stop,
    usage: Option<Usage>,
    kept: usize,
}

impl Encoder {
    pub(super) fn new(model: &str, options: &TranslateOptions) -> Self {
        Self {
            model: model.to_owned(),
            now_unix_s: options.now_unix_s,
            id: String::new(),
            created: 0,
            sequence: 0,
            items: Vec::new(),
            message: None,
            open: Vec::new(),
            stop: Stop::EndTurn,
            usage: None,
            kept: 0,
        }
    }

    /// One event with its number; `fill` writes the other members.
    fn event(
        &mut self,
        out: &mut Vec<u8>,
        kind: &'static str,
        fill: impl FnOnce(&mut Writer<'_>, &Self),
    ) {
        out.extend_from_slice(b"event: response.");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: {\"type\":\"response.");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\",\"sequence_number\":");
        let mut w = Writer::new(out);
        w.unsigned(self.sequence);
        fill(&mut w, self);
        out.extend_from_slice(b"}\n\n");
        self.sequence += 1;
    }

    fn start(&mut self, id: &str, created: Option<u64>, out: &mut Vec<u8>) {
        id.clone_into(&mut self.id);
        self.created = created.unwrap_or(self.now_unix_s);
        for kind in ["created", "in_progress"] {
            self.event(out, kind, |w, this| this.envelope(w.key("response"), None));
        }
    }

    fn envelope(&self, w: &mut Writer<'_>, stop: Option<Stop>) {
        let envelope = Envelope {
            id: &self.id,
            model: &self.model,
            created: self.created,
            service_tier: None,
            stop,
            usage: self.usage.as_ref().filter(|_| stop.is_some()),
        };
        envelope.write(w, |w| {
            w.open_list();
            for item in self.items.iter().flatten() {
                w.raw(std::str::from_utf8(item).unwrap_or("null"));
            }
            w.close_list();
        });
    }

    fn place(&mut self) -> usize {
        self.items.push(None);
        self.items.len() - 1
    }

    /// Announces an item whose `text` is what it looks like while it is empty.
    fn item_added(&mut self, place: usize, item: &[u8], out: &mut Vec<u8>) {
        self.event(out, "output_item.added", |w, _| {
            w.key("output_index").unsigned(place as u64);
            w.key("item")
                .raw(std::str::from_utf8(item).unwrap_or("null"));
        });
    }

    fn item_done(&mut self, place: usize, item: Vec<u8>, out: &mut Vec<u8>) {
        self.event(out, "output_item.done", |w, _| {
            w.key("output_index").unsigned(place as u64);
            w.key("item")
                .raw(std::str::from_utf8(&item).unwrap_or("null"));
        });
        if let Some(slot) = self.items.get_mut(place) {
            *slot = Some(item);
        }
    }

    fn block_start(&mut self, index: u32, block: &Block<'_>, out: &mut Vec<u8>) {
        let is_spoken = matches!(block, Block::Text | Block::Refusal);
        let speaking = self
            .open
            .iter()
            .any(|open| matches!(open.kind, Kind::Text { .. }));
        if !is_spoken && !speaking {
            self.end_message(out);
        }
        let kind = match block {
            Block::Text => self.text_start(false, out),
            Block::Refusal => self.text_start(true, out),
            Block::Reasoning | Block::RedactedReasoning(_) => {
                let place = self.place();
                let id = item_id("rs", &self.id, place);
                let item = written(|w| write_reasoning(w, Some(&id), "", None));
                self.item_added(place, &item, out);
                let sealed = match block {
                    Block::RedactedReasoning(data) => Some(data.clone().into_owned()),
                    _ => None,
                };
                Kind::Reasoning { place, id, sealed }
            }
            Block::ToolCall { id: call, name } => {
                let place = self.place();
                let id = item_id("fc", &self.id, place);
                let item = written(|w| write_call(w, &id, "in_progress", (call, name), ""));
                self.item_added(place, &item, out);
                Kind::Call {
                    place,
                    id,
                    call: call.clone().into_owned(),
                    name: name.clone().into_owned(),
                }
            }
        };
        self.open.push(Open {
            block: index,
            kind,
            text: String::new(),
        });
    }

    fn text_start(&mut self, refusal: bool, out: &mut Vec<u8>) -> Kind {
        if self.message.is_none() {
            let place = self.place();
            let id = item_id("msg", &self.id, place);
            let item = written(|w| write_message(w, &id, "in_progress", ""));
            self.item_added(place, &item, out);
            self.message = Some(Message {
                place,
                id,
                parts: String::new(),
                next: 0,
            });
        }
        let part = self.message.as_mut().map_or(0, |message| {
            message.next += 1;
            message.next - 1
        });
        let kind = Kind::Text {
            part,
            refusal,
            characters: 0,
            annotations: String::new(),
            notes: 0,
            tokens: String::new(),
            next_tokens: String::new(),
        };
        self.event(out, "content_part.added", |w, this| {
            this.part_place(w, part);
            write_part(w.key("part"), &kind, "");
        });
        kind
    }

    /// Where a part of the open message stands.
    fn part_place(&self, w: &mut Writer<'_>, part: u64) {
        let (id, place) = self
            .message
            .as_ref()
            .map_or(("", 0), |message| (&message.id, message.place));
        w.member("item_id", id);
        w.key("output_index").unsigned(place as u64);
        w.key("content_index").unsigned(part);
    }

    fn take(&mut self, index: u32) -> Option<Open> {
        let at = self.open.iter().position(|open| open.block == index)?;
        Some(self.open.remove(at))
    }

    fn grow(&mut self, index: u32, piece: &str, out: &mut Vec<u8>) {
        // Taken out while events are written, which need the rest.
        let Some(mut open) = self.take(index) else {
            return;
        };
        self.kept += piece.len();
        match &mut open.kind {
            Kind::Text {
                part,
                refusal,
                characters,
                tokens,
                next_tokens,
                ..
            } => {
                *characters += piece.chars().count() as u64;
                let kind = if *refusal {
                    "refusal.delta"
                } else {
                    "output_text.delta"
                };
                self.event(out, kind, |w, this| {
                    this.part_place(w, *part);
                    w.member("delta", piece);
                    if !*refusal {
                        w.key("logprobs").open_list();
                        if !next_tokens.is_empty() {
                            w.raw(next_tokens);
                        }
                        w.close_list();
                    }
                });
                join(tokens, &std::mem::take(next_tokens));
            }
            Kind::Reasoning { place, id, .. } => {
                if open.text.is_empty() {
                    self.event(out, "reasoning_summary_part.added", |w, _| {
                        summary_place(w, id, *place);
                        write_summary(w, "");
                    });
                }
                self.event(out, "reasoning_summary_text.delta", |w, _| {
                    summary_place(w, id, *place);
                    w.member("delta", piece);
                });
            }
            Kind::Call { place, id, .. } => {
                self.event(out, "function_call_arguments.delta", |w, _| {
                    w.member("item_id", id);
                    w.key("output_index").unsigned(*place as u64);
                    w.member("delta", piece);
                });
            }
        }
        open.text.push_str(piece);
        self.open.push(open);
    }

    fn annotate(
        &mut self,
        index: u32,
        citation: &Citation<'_>,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) {
        let Some(mut open) = self.take(index) else {
            return;
        };
        if let Kind::Text {
            part,
            characters,
            annotations,
            notes,
            ..
        } = &mut open.kind
        {
            let note = written(|w| write_annotation(w, citation, *characters, losses));
            let note = String::from_utf8(note).unwrap_or_default();
            self.event(out, "output_text.annotation.added", |w, this| {
                this.part_place(w, *part);
                w.key("annotation_index").unsigned(*notes);
                w.key("annotation").raw(&note);
            });
            self.kept += note.len();
            *notes += 1;
            join(annotations, &note);
        }
        self.open.push(open);
    }

    fn block_stop(&mut self, index: u32, out: &mut Vec<u8>) {
        let Some(open) = self.take(index) else { return };
        let text = &open.text;
        match &open.kind {
            kind @ Kind::Text { .. } => self.text_stop(kind, text, out),
            Kind::Reasoning { place, id, sealed } => {
                if !text.is_empty() {
                    self.event(out, "reasoning_summary_text.done", |w, _| {
                        summary_place(w, id, *place);
                        w.member("text", text);
                    });
                    self.event(out, "reasoning_summary_part.done", |w, _| {
                        summary_place(w, id, *place);
                        write_summary(w, text);
                    });
                }
                let item = written(|w| write_reasoning(w, Some(id), text, sealed.as_deref()));
                self.item_done(*place, item, out);
            }
            Kind::Call {
                place,
                id,
                call,
                name,
            } => {
                self.event(out, "function_call_arguments.done", |w, _| {
                    w.member("item_id", id);
                    w.key("output_index").unsigned(*place as u64);
                    w.member("name", name).member("arguments", text);
                });
                let item = written(|w| write_call(w, id, "completed", (call, name), text));
                self.item_done(*place, item, out);
            }
        }
    }

    fn text_stop(&mut self, kind: &Kind, text: &str, out: &mut Vec<u8>) {
        let Kind::Text {
            part,
            refusal,
            tokens,
            ..
        } = kind
        else {
            return;
        };
        if *refusal {
            self.event(out, "refusal.done", |w, this| {
                this.part_place(w, *part);
                w.member("refusal", text);
            });
        } else {
            self.event(out, "output_text.done", |w, this| {
                this.part_place(w, *part);
                w.member("text", text).key("logprobs").open_list();
                if !tokens.is_empty() {
                    w.raw(tokens);
                }
                w.close_list();
            });
        }
        let written = written(|w| write_part(w, kind, text));
        let written = String::from_utf8(written).unwrap_or_default();
        self.event(out, "content_part.done", |w, this| {
            this.part_place(w, *part);
            w.key("part").raw(&written);
        });
        if let Some(message) = &mut self.message {
            join(&mut message.parts, &written);
        }
    }

    fn end_message(&mut self, out: &mut Vec<u8>) {
        if let Some(message) = self.message.take() {
            let item = written(|w| write_message(w, &message.id, "completed", &message.parts));
            self.item_done(message.place, item, out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        while let Some(open) = self.open.first() {
            let index = open.block;
            self.block_stop(index, out);
        }
        self.end_message(out);
        let kind = if incomplete(self.stop).is_some() {
            "incomplete"
        } else {
            "completed"
        };
        self.usage.get_or_insert_default();
        self.event(out, kind, |w, this| {
            this.envelope(w.key("response"), Some(this.stop));
        });
    }
}

impl StreamEncoder for Encoder {
    fn event(&mut self, event: &StreamEvent<'_>, losses: &mut Losses, out: &mut Vec<u8>) {
        match event {
            StreamEvent::Start { id, created } => self.start(id, *created, out),
            StreamEvent::BlockStart { index, block } => self.block_start(*index, block, out),
            StreamEvent::Text { index, text } | StreamEvent::Reasoning { index, text } => {
                self.grow(*index, text, out);
            }
            StreamEvent::Arguments { index, json } => self.grow(*index, json, out),
            StreamEvent::Logprobs { index, tokens } => {
                let json = tokens_json(tokens);
                self.kept += json.len();
                let open = self.open.iter_mut().find(|open| open.block == *index);
                if let Some(Kind::Text { next_tokens, .. }) = open.map(|open| &mut open.kind) {
                    join(next_tokens, &json);
                }
            }
            StreamEvent::Signature { index, signature } => {
                self.kept += signature.len();
                let open = self.open.iter_mut().find(|open| open.block == *index);
                if let Some(Kind::Reasoning { sealed, .. }) = open.map(|open| &mut open.kind) {
                    *sealed = Some(signature.clone().into_owned());
                }
            }
            StreamEvent::Citation { index, citation } => {
                self.annotate(*index, citation, losses, out);
            }
            StreamEvent::BlockStop { index } => self.block_stop(*index, out),
            StreamEvent::Finish { stop, .. } => {
                report_stop(*stop, losses);
                self.stop = *stop;
            }
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
        let kind = crate::dialect::chat_completions::kind_of_class(class);
        write_error(out, self.sequence, kind, code, message);
        self.sequence += 1;
    }

    fn is_full(&self) -> bool {
        self.kept > KEPT_MAX
    }
}

/// Appends to a JSON list without its brackets.
fn join(list: &mut String, item: &str) {
    if item.is_empty() {
        return;
    }
    if !list.is_empty() {
        list.push(',');
    }
    list.push_str(item);
}

fn written(fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    fill(&mut Writer::new(&mut out));
    out
}

fn write_part(w: &mut Writer<'_>, kind: &Kind, text: &str) {
    match kind {
        Kind::Text { refusal: true, .. } => write_refusal(w, text),
        Kind::Text {
            annotations,
            tokens,
            ..
        } => write_text(w, text, annotations, tokens),
        Kind::Reasoning { .. } | Kind::Call { .. } => {}
    }
}

fn summary_place(w: &mut Writer<'_>, id: &str, place: usize) {
    w.member("item_id", id);
    w.key("output_index").unsigned(place as u64);
    w.key("summary_index").unsigned(0);
}

fn write_summary(w: &mut Writer<'_>, text: &str) {
    w.key("part").open().member("type", "summary_text");
    w.member("text", text).close();
}
