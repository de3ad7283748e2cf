//! Responses streams into neutral events.
//!
//! Items and their parts are numbered; what is open is found by those numbers, and opened where a
//! server leaves out the event that says so. What an event at the end repeats (the text, the
//! arguments, the item) counts only where its deltas never came.

use super::items::{self, SEAM};
use super::response::{created_of, stop_of};
use crate::conversation::{Block, Content, StreamEvent};
use crate::dialect::{Codec, Emit, StreamDecoder, logprobs};
use crate::json::object::{Object, Text, list, text};
use crate::{DialectError, Losses, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Most blocks followed in one stream.
const BLOCKS_MAX: usize = 1024;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(default)]
    output_index: Option<u64>,
    #[serde(default)]
    content_index: Option<u64>,
    #[serde(default)]
    summary_index: Option<u64>,
    #[serde(borrow, default)]
    response: Option<Object<'a>>,
    #[serde(borrow, default)]
    item: Option<Object<'a>>,
    #[serde(borrow, default)]
    part: Option<Object<'a>>,
    #[serde(borrow, default)]
    annotation: Option<Object<'a>>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    logprobs: Option<&'a RawValue>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Reasoning,
    Call,
}

/// A block that is open.
struct Open {
    output: u64,
    /// The part of a message; zero for other items.
    content: u64,
    kind: Kind,
    block: u32,
    /// Whether any of it has come.
    filled: bool,
    /// The piece of the summary that came last, and whether it is one of the summary at all.
    piece: Option<(u64, bool)>,
}

#[derive(Default)]
pub(super) struct Decoder {
    started: bool,
    ended: bool,
    called: bool,
    blocks: u32,
    open: Vec<Open>,
    /// Items of which something came.
    seen: Vec<u64>,
}

impl StreamDecoder for Decoder {
    fn event(
        &mut self,
        _name: Option<&[u8]>,
        data: &[u8],
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        // Some servers end as Chat Completions does.
        if self.ended || data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let text = std::str::from_utf8(data).map_err(|e| DialectError::json(e.valid_up_to()))?;
        let event: Event<'_> =
            serde_json::from_str(text).map_err(|error| DialectError::from_serde(&error))?;
        let Some(kind) = event.kind.0.strip_prefix("response.") else {
            if event.kind.0 == "error" {
                self.error(data, losses, emit);
            }
            return Ok(());
        };
        match kind {
            "created" | "queued" | "in_progress" => {
                self.start(event.response.as_ref(), losses, emit);
                Ok(())
            }
            "completed" | "incomplete" => {
                self.complete(data, event.response.as_ref(), losses, emit)
            }
            "failed" => {
                let error = event.response.and_then(|response| response.get("error"));
                self.error(
                    error.map_or(b"{}".as_slice(), |raw| raw.get().as_bytes()),
                    losses,
                    emit,
                );
                Ok(())
            }
            _ => self.grow(kind, &event, losses, emit),
        }
    }

    fn finish(&mut self, _losses: &mut Losses, _emit: &mut Emit<'_>) {}
}

impl Decoder {
    fn start(&mut self, response: Option<&Object<'_>>, losses: &mut Losses, emit: &mut Emit<'_>) {
        let Some(response) = response.filter(|_| !self.started) else {
            return;
        };
        self.started = true;
        let id = response.text("id").unwrap_or_default();
        let created = created_of(response);
        emit(StreamEvent::Start { id, created }, losses);
    }

    fn error(&mut self, data: &[u8], losses: &mut Losses, emit: &mut Emit<'_>) {
        self.ended = true;
        let error = super::Responses.read_error(data);
        let event = StreamEvent::Error {
            kind: error.code.or(error.kind).unwrap_or_default().into(),
            message: error.message.unwrap_or_default().into(),
        };
        emit(event, losses);
    }

    fn complete(
        &mut self,
        data: &[u8],
        response: Option<&Object<'_>>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        self.start(response, losses, emit);
        self.ended = true;
        for open in std::mem::take(&mut self.open) {
            emit(StreamEvent::BlockStop { index: open.block }, losses);
        }
        let mut usage = Usage::default();
        if super::Responses.read_stream_usage(data, &mut usage) {
            emit(StreamEvent::Usage(usage), losses);
        }
        let response = response.ok_or(DialectError::Missing { field: "response" })?;
        let stop = stop_of(response, self.called, losses);
        let stop_sequence = None;
        emit(
            StreamEvent::Finish {
                stop,
                stop_sequence,
            },
            losses,
        );
        emit(StreamEvent::End, losses);
        Ok(())
    }

    fn grow(
        &mut self,
        kind: &str,
        event: &Event<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let output = event.output_index.unwrap_or(0);
        let content = event.content_index.unwrap_or(0);
        match kind {
            "output_item.added" => self.item_added(output, event.item.as_ref(), losses, emit)?,
            "output_item.done" => {
                if let Some(item) = &event.item {
                    self.item_done(output, item, losses, emit)?;
                }
            }
            "content_part.added" => {
                let part = event.part.as_ref().and_then(|part| part.text("type"));
                match part.as_deref() {
                    Some("output_text") => {
                        self.block((output, content), Kind::Text, losses, emit)?;
                    }
                    Some("refusal") => {
                        self.block((output, content), Kind::Refusal, losses, emit)?;
                    }
                    _ => {}
                }
            }
            "content_part.done" => {
                self.part_done((output, content), event.part.as_ref(), losses, emit);
            }
            "output_text.delta" => self.text((output, content), event, losses, emit)?,
            "refusal.delta" => {
                self.delta((output, content), Kind::Refusal, event.delta, losses, emit)?;
            }
            "output_text.annotation.added" => {
                let citation = event.annotation.as_ref();
                if let Some(citation) = citation.and_then(|a| items::citation(a, losses)) {
                    let index = self.block((output, content), Kind::Text, losses, emit)?;
                    emit(StreamEvent::Citation { index, citation }, losses);
                }
            }
            "reasoning_summary_text.delta" => {
                let piece = (event.summary_index.unwrap_or(0), true);
                self.thought(output, piece, event.delta, losses, emit)?;
            }
            "reasoning_text.delta" => {
                self.thought(output, (content, false), event.delta, losses, emit)?;
            }
            "function_call_arguments.delta" => {
                self.delta((output, 0), Kind::Call, event.delta, losses, emit)?;
            }
            // Ends of what deltas said, and the steps of tools that run at the vendor, whose items
            // are reported as they begin.
            _ => {}
        }
        Ok(())
    }

    fn item_added(
        &mut self,
        output: u64,
        item: Option<&Object<'_>>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let Some(item) = item else { return Ok(()) };
        let kind = item.text("type").unwrap_or_default();
        match kind.as_ref() {
            "message" => {
                if item.get("phase").is_some() {
                    losses.add("messages.phase");
                }
            }
            "reasoning" => {}
            "function_call" => {
                self.call(output, item, losses, emit)?;
            }
            _ => losses.add(format!("output.{kind}")),
        }
        Ok(())
    }

    fn call(
        &mut self,
        output: u64,
        item: &Object<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<u32, DialectError> {
        let (id, name) = items::call(item, losses)?;
        self.called = true;
        let block = Block::ToolCall { id, name };
        self.begin((output, 0), Kind::Call, block, losses, emit)
    }

    fn begin(
        &mut self,
        place: (u64, u64),
        kind: Kind,
        block: Block<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<u32, DialectError> {
        if self.blocks as usize == BLOCKS_MAX {
            return Err(DialectError::TooManyBlocks { limit: BLOCKS_MAX });
        }
        let index = self.blocks;
        self.blocks += 1;
        self.seen.push(place.0);
        self.open.push(Open {
            output: place.0,
            content: place.1,
            kind,
            block: index,
            filled: false,
            piece: None,
        });
        emit(StreamEvent::BlockStart { index, block }, losses);
        Ok(index)
    }

    fn find(&mut self, place: (u64, u64), kind: Kind) -> Option<&mut Open> {
        self.open
            .iter_mut()
            .find(|open| (open.output, open.content) == place && open.kind == kind)
    }

    /// The open block at this place; opens one where there is none.
    fn block(
        &mut self,
        place: (u64, u64),
        kind: Kind,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<u32, DialectError> {
        if let Some(open) = self.find(place, kind) {
            return Ok(open.block);
        }
        let block = match kind {
            Kind::Text => Block::Text,
            Kind::Refusal => Block::Refusal,
            Kind::Reasoning => Block::Reasoning,
            // A call has a name, which its item says and its deltas do not.
            Kind::Call => return Err(DialectError::Missing { field: "name" }),
        };
        self.begin(place, kind, block, losses, emit)
    }

    fn text(
        &mut self,
        place: (u64, u64),
        event: &Event<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        if let Some(raw) = event.logprobs.filter(|raw| raw.get().starts_with('[')) {
            let tokens = logprobs::read(raw)?;
            if !tokens.is_empty() {
                let index = self.block(place, Kind::Text, losses, emit)?;
                emit(StreamEvent::Logprobs { index, tokens }, losses);
            }
        }
        self.delta(place, Kind::Text, event.delta, losses, emit)
    }

    fn delta(
        &mut self,
        place: (u64, u64),
        kind: Kind,
        delta: Option<&RawValue>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let Some(raw) = delta else { return Ok(()) };
        let piece = text(raw, "delta")?;
        if piece.is_empty() {
            return Ok(());
        }
        self.block(place, kind, losses, emit)?;
        self.fill(place, kind, piece, losses, emit);
        Ok(())
    }

    fn fill(
        &mut self,
        place: (u64, u64),
        kind: Kind,
        piece: Cow<'_, str>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) {
        let Some(open) = self.find(place, kind) else {
            return;
        };
        open.filled = true;
        let (index, text) = (open.block, piece);
        emit(
            match kind {
                Kind::Text | Kind::Refusal => StreamEvent::Text { index, text },
                Kind::Reasoning => StreamEvent::Reasoning { index, text },
                Kind::Call => StreamEvent::Arguments { index, json: text },
            },
            losses,
        );
    }

    /// More of the summary, or of the thoughts themselves where a server shows them. Of an item
    /// that has both, the one that comes first counts.
    fn thought(
        &mut self,
        output: u64,
        piece: (u64, bool),
        delta: Option<&RawValue>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let place = (output, 0);
        self.block(place, Kind::Reasoning, losses, emit)?;
        let Some(open) = self.find(place, Kind::Reasoning) else {
            return Ok(());
        };
        match open.piece.replace(piece) {
            Some(before) if before.1 != piece.1 => {
                open.piece = Some(before);
                return Ok(());
            }
            Some(before) if before != piece => {
                self.fill(place, Kind::Reasoning, SEAM.into(), losses, emit);
            }
            _ => {}
        }
        self.delta(place, Kind::Reasoning, delta, losses, emit)
    }

    fn part_done(
        &mut self,
        place: (u64, u64),
        part: Option<&Object<'_>>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) {
        let spoken = |open: &Open| {
            (open.output, open.content) == place && matches!(open.kind, Kind::Text | Kind::Refusal)
        };
        let Some(at) = self.open.iter().position(spoken) else {
            return;
        };
        let (kind, filled) = (self.open[at].kind, self.open[at].filled);
        let text = part.and_then(|part| part.text("text").or_else(|| part.text("refusal")));
        if let Some(text) = text.filter(|text| !filled && !text.is_empty()) {
            self.fill(place, kind, text, losses, emit);
        }
        let open = self.open.remove(at);
        emit(StreamEvent::BlockStop { index: open.block }, losses);
    }

    fn item_done(
        &mut self,
        output: u64,
        item: &Object<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        match item.text("type").as_deref() {
            Some("function_call") => {
                if self.find((output, 0), Kind::Call).is_none() {
                    self.call(output, item, losses, emit)?;
                }
                let filled = self.find((output, 0), Kind::Call).is_some_and(|o| o.filled);
                let arguments = item.text("arguments").filter(|text| !text.is_empty());
                if !filled {
                    // Clients parse arguments, so that nothing is not enough.
                    let arguments = arguments.unwrap_or("{}".into());
                    self.fill((output, 0), Kind::Call, arguments, losses, emit);
                }
            }
            Some("reasoning") => self.reasoning_done(output, item, losses, emit)?,
            Some("message") if !self.seen.contains(&output) => {
                self.whole_message(output, item, losses, emit)?;
            }
            _ => {}
        }
        let mut at = 0;
        while at < self.open.len() {
            if self.open[at].output == output {
                let open = self.open.remove(at);
                emit(StreamEvent::BlockStop { index: open.block }, losses);
            } else {
                at += 1;
            }
        }
        Ok(())
    }

    fn reasoning_done(
        &mut self,
        output: u64,
        item: &Object<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let place = (output, 0);
        let open = self.find(place, Kind::Reasoning);
        let open = open.map(|open| (open.block, open.filled));
        match (items::reasoning(item)?, open) {
            (Some(Content::Reasoning { text, signature }), open) => {
                let index = self.block(place, Kind::Reasoning, losses, emit)?;
                if !open.is_some_and(|(_, filled)| filled) {
                    self.fill(place, Kind::Reasoning, text, losses, emit);
                }
                if let Some(signature) = signature {
                    emit(StreamEvent::Signature { index, signature }, losses);
                }
            }
            (Some(Content::RedactedReasoning(signature)), Some((index, _))) => {
                emit(StreamEvent::Signature { index, signature }, losses);
            }
            (Some(Content::RedactedReasoning(sealed)), None) => {
                let block = Block::RedactedReasoning(sealed);
                self.begin(place, Kind::Reasoning, block, losses, emit)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A message whose parts never came by themselves.
    fn whole_message(
        &mut self,
        output: u64,
        item: &Object<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let Some(raw) = item.get("content") else {
            return Ok(());
        };
        for (at, raw) in list(raw, "content")?.into_iter().enumerate() {
            let part = Object::of(raw, "content")?;
            let place = (output, at as u64);
            let kind = match part.text("type").as_deref() {
                Some("output_text") => Kind::Text,
                Some("refusal") => Kind::Refusal,
                _ => continue,
            };
            self.block(place, kind, losses, emit)?;
            self.part_done(place, Some(&part), losses, emit);
        }
        Ok(())
    }
}
