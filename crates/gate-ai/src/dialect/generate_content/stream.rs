//! generateContent streams into neutral events.
//!
//! Every chunk is a whole response with the next parts in it; nothing marks the last one, so that
//! the turn ends with the bytes. Chunks have no blocks; the decoder opens one when the kind of part
//! changes. A call comes whole in one part, or piece by piece where the caller asked for that.

use super::super::blocks::{self, Blocks, Kind};
use super::calls::CallIds;
use super::grounding::Sources;
use super::logprobs;
use super::partial::Partial;
use super::parts::signature_of;
use super::response::{is_blocked, stop_of, unix_s};
use super::{read_error_object, usage};
use crate::conversation::{Block, Stop, StreamEvent, Text};
use crate::dialect::{Emit, StreamDecoder};
use crate::json::object::{Object, Raw, list, text};
use crate::{DialectError, Losses, Usage};
use serde_json::value::RawValue;

/// Whether a chunk holds text, thinking or a call.
pub(super) fn bears_token(data: &[u8]) -> bool {
    let found = || -> Option<bool> {
        let chunk = Object::parse(data).ok()?;
        let first = *list(chunk.get("candidates")?, "candidates").ok()?.first()?;
        let content = Object::of(first, "candidates").ok()?.get("content")?;
        let parts = Object::of(content, "content").ok()?.get("parts")?;
        let bears = |part: Raw<'_>| {
            Object::of(part, "parts").is_ok_and(|part| {
                part.text("text").is_some_and(|text| !text.is_empty())
                    || part.get("functionCall").is_some()
            })
        };
        Some(list(parts, "parts").ok()?.into_iter().any(bears))
    };
    found().unwrap_or(false)
}

#[derive(Default)]
pub(super) struct Decoder {
    started: bool,
    ended: bool,
    blocks: Blocks,
    ids: CallIds,
    called: bool,
    /// The call whose arguments are arriving, and its block.
    partial: Option<(u32, Partial)>,
    stop: Option<Stop>,
    usage: Usage,
}

impl StreamDecoder for Decoder {
    fn event(
        &mut self,
        _name: Option<&[u8]>,
        data: &[u8],
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        if self.ended {
            return Ok(());
        }
        let chunk = Object::parse(data)?.camel()?;
        if chunk.get("error").is_some() {
            self.ended = true;
            let error = read_error_object(&chunk);
            let event = StreamEvent::Error {
                kind: error.kind.or(error.code).unwrap_or_default().into(),
                message: error.message.unwrap_or_default().into(),
            };
            emit(event, losses);
            return Ok(());
        }
        self.start(&chunk, losses, emit);
        for (name, raw) in chunk.iter() {
            match name {
                "responseId" | "modelVersion" | "createTime" => {}
                "candidates" => self.candidates(raw, losses, emit)?,
                "promptFeedback" => {
                    if is_blocked(raw, losses)? {
                        self.stop = Some(Stop::Refusal);
                    }
                }
                "usageMetadata" => {
                    if usage::read(raw.get().as_bytes(), 0, &mut self.usage).is_some() {
                        emit(StreamEvent::Usage(self.usage), losses);
                    }
                }
                _ => losses.add(name.to_owned()),
            }
        }
        Ok(())
    }

    fn finish(&mut self, losses: &mut Losses, emit: &mut Emit<'_>) {
        let Some(stop) = self.stop.filter(|_| !self.ended) else {
            return;
        };
        self.ended = true;
        self.blocks.close(losses, emit);
        self.end_partial(losses, emit);
        let stop = match stop {
            Stop::EndTurn if self.called => Stop::ToolCall,
            stop => stop,
        };
        blocks::finish(stop, losses, emit);
    }
}

impl Decoder {
    fn start(&mut self, chunk: &Object<'_>, losses: &mut Losses, emit: &mut Emit<'_>) {
        if self.started {
            return;
        }
        self.started = true;
        let id = chunk.text("responseId").unwrap_or_default();
        self.ids = CallIds::of_response(&id);
        let created = chunk.text("createTime").and_then(|time| unix_s(&time));
        emit(StreamEvent::Start { id, created }, losses);
    }

    fn candidates(
        &mut self,
        raw: Raw<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        for item in list(raw, "candidates")? {
            let candidate = Object::of(item, "candidates")?.camel()?;
            if candidate
                .get("index")
                .is_some_and(|index| index.get() != "0")
            {
                losses.add("candidates");
                continue;
            }
            let mut sources = Sources::default();
            if let Some(raw) = candidate.get("logprobsResult") {
                self.logprobs(raw, losses, emit)?;
            }
            for (name, raw) in candidate.iter() {
                match name {
                    "index" | "logprobsResult" => {}
                    "content" => {
                        if let Some(raw) = Object::of(raw, "content")?.get("parts") {
                            for part in list(raw, "parts")? {
                                let part = Object::of(part, "parts")?.camel()?;
                                self.part(&part, losses, emit)?;
                            }
                        }
                    }
                    "finishReason" => self.stop = Some(stop_of(raw, losses)),
                    "groundingMetadata" => sources.read_grounding(raw, losses)?,
                    "citationMetadata" => sources.read_citations(raw, losses)?,
                    _ => losses.add(format!("candidates.{name}")),
                }
            }
            self.cite(&sources, losses, emit)?;
        }
        Ok(())
    }

    /// Likelihoods go in front of the text that they are of.
    fn logprobs(
        &mut self,
        raw: Raw<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let tokens = logprobs::read(raw, losses)?;
        if tokens.is_empty() {
            return Ok(());
        }
        let index = self.blocks.of(Kind::Text, losses, emit)?;
        emit(StreamEvent::Logprobs { index, tokens }, losses);
        Ok(())
    }

    /// The text has gone out already, so that its stretches cannot be told any more.
    fn cite(
        &mut self,
        sources: &Sources<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        for citation in sources.citations(None, losses) {
            let index = self.blocks.of(Kind::Text, losses, emit)?;
            emit(StreamEvent::Citation { index, citation }, losses);
        }
        Ok(())
    }

    fn part(
        &mut self,
        part: &Object<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let is_thought = part.get("thought").is_some_and(|flag| flag.get() == "true");
        let signature = signature_of(part);
        let mut lost = false;
        for (name, raw) in part.iter() {
            match name {
                "thought" | "thoughtSignature" => {}
                "text" => {
                    let kind = if is_thought {
                        Kind::Reasoning
                    } else {
                        Kind::Text
                    };
                    self.blocks.piece(kind, text(raw, "text")?, losses, emit)?;
                }
                "functionCall" => {
                    let call = Object::of(raw, "functionCall")?.camel()?;
                    return self.call(&call, signature, losses, emit);
                }
                _ => {
                    lost = true;
                    losses.add(format!("content.{name}"));
                }
            }
        }
        match signature {
            Some(signature) if is_thought => {
                let index = self.blocks.of(Kind::Reasoning, losses, emit)?;
                emit(StreamEvent::Signature { index, signature }, losses);
                // What comes next is another thought.
                self.blocks.close(losses, emit);
                Ok(())
            }
            Some(signature) if !lost => self.redacted(signature, losses, emit),
            _ => Ok(()),
        }
    }

    /// A signature on a text or call stands alone in the neutral form.
    fn redacted(
        &mut self,
        signature: Text<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        self.blocks.close(losses, emit);
        let index = self.blocks.next()?;
        let block = Block::RedactedReasoning(signature);
        emit(StreamEvent::BlockStart { index, block }, losses);
        emit(StreamEvent::BlockStop { index }, losses);
        Ok(())
    }

    fn call(
        &mut self,
        call: &Object<'_>,
        signature: Option<Text<'_>>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let pieces = call.get("partialArgs");
        let goes_on = call
            .get("willContinue")
            .is_some_and(|flag| flag.get() == "true");
        let name = call.text("name").filter(|name| !name.is_empty());
        let Some(name) = name else {
            if let (Some((_, partial)), Some(pieces)) = (&mut self.partial, pieces) {
                partial.add(pieces)?;
            }
            if !goes_on {
                self.end_partial(losses, emit);
            }
            return Ok(());
        };
        self.end_partial(losses, emit);
        self.blocks.close(losses, emit);
        if let Some(signature) = signature {
            self.redacted(signature, losses, emit)?;
        }
        self.called = true;
        let index = self.blocks.next()?;
        let id = self.ids.call(call.text("id"), &name);
        let block = Block::ToolCall { id, name };
        emit(StreamEvent::BlockStart { index, block }, losses);
        if goes_on || pieces.is_some() {
            let mut partial = Partial::new();
            if let Some(pieces) = pieces {
                partial.add(pieces)?;
            }
            self.partial = Some((index, partial));
            if !goes_on {
                self.end_partial(losses, emit);
            }
            return Ok(());
        }
        let json = call.get("args").map_or("{}", RawValue::get).into();
        emit(StreamEvent::Arguments { index, json }, losses);
        emit(StreamEvent::BlockStop { index }, losses);
        Ok(())
    }

    fn end_partial(&mut self, losses: &mut Losses, emit: &mut Emit<'_>) {
        if let Some((index, partial)) = self.partial.take() {
            let json = partial.into_json().into();
            emit(StreamEvent::Arguments { index, json }, losses);
            emit(StreamEvent::BlockStop { index }, losses);
        }
    }
}
