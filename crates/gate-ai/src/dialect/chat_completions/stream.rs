//! Chat Completions streams into neutral events.
//!
//! Chunks have no blocks; the decoder opens one when the kind of delta changes. Calls stay open
//! until the end, because their arguments may come interleaved. The reason to stop is kept until
//! the end too: some servers send it twice, or before the last delta.

use super::super::blocks::{self, Blocks, Kind};
use super::parts::reasoning_detail;
use crate::conversation::{Block, Content, Stop, StreamEvent};
use crate::dialect::{Codec, Emit, StreamDecoder};
use crate::json::object::{Object, Text, is_null, list, text};
use crate::json::scan::Scanner;
use crate::{DialectError, Losses, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What is needed of a chunk. Its other members, which are most of it, are skipped.
#[derive(Default)]
struct Chunk<'a> {
    id: Cow<'a, str>,
    created: Option<u64>,
    choices: Vec<Choice<'a>>,
    has_usage: bool,
    has_error: bool,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    logprobs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning_details: Option<Vec<Object<'a>>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow, default)]
    function_call: Option<Function<'a>>,
    #[serde(borrow, default)]
    annotations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    arguments: Option<Text<'a>>,
}

fn parse(data: &[u8]) -> Result<Chunk<'_>, DialectError> {
    let text = std::str::from_utf8(data).map_err(|e| DialectError::json(e.valid_up_to()))?;
    let mut chunk = Chunk::default();
    let mut scanner = Scanner::at(data, 0);
    scanner.open_object()?;
    let mut first = true;
    while let Some(key) = scanner.next_key(&mut first)? {
        // Nobody spells these with escapes; a reader that did not know them would skip them too.
        match key.inner {
            b"id" if scanner.peek() == Some(b'"') => chunk.id = scanner.string()?.value(data)?,
            b"created" => chunk.created = scanner.unsigned()?,
            b"choices" => {
                let choices: Option<Vec<Choice<'_>>> =
                    serde_json::from_str(&text[scanner.skip_value()?])
                        .map_err(|error| DialectError::from_serde(&error))?;
                chunk.choices = choices.unwrap_or_default();
            }
            b"usage" | b"x_groq" => chunk.has_usage |= &data[scanner.skip_value()?] != b"null",
            b"error" => chunk.has_error = &data[scanner.skip_value()?] != b"null",
            _ => {
                scanner.skip_value()?;
            }
        }
    }
    scanner.finish()?;
    Ok(chunk)
}

/// Whether a chunk holds text, thinking or a call.
pub(super) fn bears_token(data: &[u8]) -> bool {
    let filled = |text: &Option<Text<'_>>| text.as_ref().is_some_and(|text| !text.0.is_empty());
    let Ok(chunk) = parse(data) else { return false };
    chunk.choices.iter().any(|choice| {
        choice.delta.as_ref().is_some_and(|delta| {
            delta
                .content
                .is_some_and(|raw| !matches!(raw.get(), "\"\"" | "[]"))
                || filled(&delta.refusal)
                || filled(&delta.reasoning)
                || filled(&delta.reasoning_content)
                || delta
                    .tool_calls
                    .as_ref()
                    .is_some_and(|calls| !calls.is_empty())
                || delta.function_call.is_some()
        })
    })
}

/// A call being streamed.
struct OpenCall {
    index: u64,
    id: String,
    block: u32,
}

#[derive(Default)]
pub(super) struct Decoder {
    started: bool,
    ended: bool,
    blocks: Blocks,
    calls: Vec<OpenCall>,
    stop: Option<Stop>,
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
        if data.trim_ascii() == b"[DONE]" {
            self.end(losses, emit);
            return Ok(());
        }
        let chunk = parse(data)?;
        if chunk.has_error {
            self.ended = true;
            let error = super::ChatCompletions.read_error(data);
            let event = StreamEvent::Error {
                kind: error.code.or(error.kind).unwrap_or_default().into(),
                message: error.message.unwrap_or_default().into(),
            };
            emit(event, losses);
            return Ok(());
        }
        self.start(&chunk, losses, emit);
        for choice in chunk.choices {
            if choice.index.unwrap_or(0) != 0 {
                losses.add("choices");
                continue;
            }
            if let Some(raw) = choice.logprobs.filter(|raw| !is_null(raw)) {
                let tokens = super::response::logprobs_of(raw, losses)?;
                if !tokens.is_empty() {
                    let index = self.blocks.of(Kind::Text, losses, emit)?;
                    emit(StreamEvent::Logprobs { index, tokens }, losses);
                }
            }
            if let Some(delta) = choice.delta {
                self.delta(delta, losses, emit)?;
            }
            if let Some(reason) = choice.finish_reason {
                self.stop = Some(super::response::stop_of(&reason.0));
            }
        }
        if chunk.has_usage {
            let mut usage = Usage::default();
            if super::ChatCompletions.read_stream_usage(data, &mut usage) {
                emit(StreamEvent::Usage(usage), losses);
            }
        }
        Ok(())
    }

    fn finish(&mut self, losses: &mut Losses, emit: &mut Emit<'_>) {
        // Perplexity and GPUStack send no [DONE]; a reason to stop is as good.
        if !self.ended && self.stop.is_some() {
            self.end(losses, emit);
        }
    }
}

impl Decoder {
    fn start(&mut self, chunk: &Chunk<'_>, losses: &mut Losses, emit: &mut Emit<'_>) {
        // Azure's first chunk is about filters and has neither id nor choices.
        if self.started || (chunk.id.is_empty() && chunk.choices.is_empty()) {
            return;
        }
        self.started = true;
        let id = Cow::Borrowed(chunk.id.as_ref());
        let created = chunk.created;
        emit(StreamEvent::Start { id, created }, losses);
    }

    fn delta(
        &mut self,
        delta: Delta<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        self.reasoning(&delta, losses, emit)?;
        if let Some(raw) = delta.content {
            if raw.get().starts_with('"') {
                self.blocks
                    .piece(Kind::Text, text(raw, "content")?, losses, emit)?;
            } else {
                self.content_parts(raw, losses, emit)?;
            }
        }
        if let Some(refusal) = delta.refusal {
            self.blocks.piece(Kind::Refusal, refusal.0, losses, emit)?;
        }
        if let Some(raw) = delta.annotations {
            for citation in super::parts::citations(raw, losses)? {
                let index = self.blocks.of(Kind::Text, losses, emit)?;
                emit(StreamEvent::Citation { index, citation }, losses);
            }
        }
        for call in delta.tool_calls.into_iter().flatten() {
            self.call(call, losses, emit)?;
        }
        if let Some(function) = delta.function_call {
            let name = function.name.as_ref().map(|name| name.0.clone());
            let id = name.map(|name| Text(format!("call_{name}").into()));
            let call = Call {
                index: Some(0),
                id,
                function: Some(function),
            };
            self.call(call, losses, emit)?;
        }
        Ok(())
    }

    fn reasoning(
        &mut self,
        delta: &Delta<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let mut detailed = false;
        for detail in delta.reasoning_details.iter().flatten() {
            match reasoning_detail(detail) {
                Some(Content::Reasoning { text, signature }) => {
                    detailed = true;
                    self.blocks.piece(Kind::Reasoning, text, losses, emit)?;
                    if let Some(signature) = signature.filter(|signature| !signature.is_empty()) {
                        let index = self.blocks.of(Kind::Reasoning, losses, emit)?;
                        emit(StreamEvent::Signature { index, signature }, losses);
                    }
                }
                Some(Content::RedactedReasoning(data)) => {
                    detailed = true;
                    self.blocks.close(losses, emit);
                    let index = self.blocks.next()?;
                    let block = Block::RedactedReasoning(data);
                    emit(StreamEvent::BlockStart { index, block }, losses);
                    emit(StreamEvent::BlockStop { index }, losses);
                }
                _ => losses.add("reasoning_details"),
            }
        }
        let plain = delta
            .reasoning_content
            .as_ref()
            .or(delta.reasoning.as_ref());
        if let (false, Some(plain)) = (detailed, plain) {
            self.blocks
                .piece(Kind::Reasoning, Cow::Borrowed(&plain.0), losses, emit)?;
        }
        Ok(())
    }

    /// Mistral's lists of parts.
    fn content_parts(
        &mut self,
        raw: &RawValue,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        for item in list(raw, "content")? {
            let part = Object::of(item, "content")?;
            if let Some(text) = part.text("text") {
                self.blocks.piece(Kind::Text, text, losses, emit)?;
            } else if let Some(raw) = part.get("thinking") {
                let text = super::parts::joined_texts(raw)?;
                self.blocks.piece(Kind::Reasoning, text, losses, emit)?;
            } else {
                let kind = part.text("type").unwrap_or_default();
                losses.add(format!("content.{kind}"));
            }
        }
        Ok(())
    }

    fn call(
        &mut self,
        call: Call<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let id = call.id.map(|id| id.0).filter(|id| !id.is_empty());
        let function = call.function;
        let (name, arguments) = function.map_or((None, None), |f| (f.name, f.arguments));
        let name = name.map(|name| name.0).filter(|name| !name.is_empty());
        let index = call
            .index
            .unwrap_or_else(|| match (&id, self.calls.last()) {
                (None, Some(last)) => last.index,
                _ => self.calls.len() as u64,
            });
        // Some servers number every call zero: a new id with a name is a new call.
        let known = self.calls.iter().rev().find(|open| open.index == index);
        let known = known.filter(|open| match (&id, &name) {
            (Some(id), Some(_)) => open.id == id.as_ref(),
            _ => true,
        });
        let block = match known {
            Some(open) => open.block,
            None => {
                self.blocks.close(losses, emit);
                let block = self.blocks.next()?;
                let id = id.unwrap_or_else(|| format!("call_{block}").into());
                let name = name.ok_or(DialectError::Missing { field: "name" })?;
                self.calls.push(OpenCall {
                    index,
                    id: id.clone().into_owned(),
                    block,
                });
                let kind = Block::ToolCall { id, name };
                emit(
                    StreamEvent::BlockStart {
                        index: block,
                        block: kind,
                    },
                    losses,
                );
                block
            }
        };
        if let Some(json) = arguments.map(|text| text.0).filter(|json| !json.is_empty()) {
            emit(StreamEvent::Arguments { index: block, json }, losses);
        }
        Ok(())
    }

    fn end(&mut self, losses: &mut Losses, emit: &mut Emit<'_>) {
        self.ended = true;
        self.blocks.close(losses, emit);
        for call in &self.calls {
            emit(StreamEvent::BlockStop { index: call.block }, losses);
        }
        let stop = match self.stop {
            // Some servers say "stop" though they call.
            None | Some(Stop::EndTurn) if !self.calls.is_empty() => Stop::ToolCall,
            stop => stop.unwrap_or(Stop::EndTurn),
        };
        blocks::finish(stop, losses, emit);
    }
}
