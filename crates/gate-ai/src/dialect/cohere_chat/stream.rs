//! Cohere's streams into neutral events.
//!
//! Content has numbers of its own, calls have theirs, and a plan has none; what is said is a block
//! until something else is said.

use super::super::blocks::{self, Blocks, Kind};
use super::citations;
use super::response::{logprob, stop_of};
use crate::conversation::{Block, Stop, StreamEvent};
use crate::dialect::{Codec, Emit, StreamDecoder};
use crate::json::object::{Object, Raw, Text};
use crate::{DialectError, Losses, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<Object<'a>>,
    #[serde(borrow, default)]
    logprobs: Option<&'a RawValue>,
}

/// A call being streamed.
struct OpenCall {
    theirs: Option<u64>,
    block: u32,
    arguments: Arguments,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Arguments {
    /// None have come.
    Awaited,
    /// They are handed on as they come.
    Come,
    /// They are `null`, which stands for none.
    Null,
}

#[derive(Default)]
pub(super) struct Decoder {
    ended: bool,
    blocks: Blocks,
    calls: Vec<OpenCall>,
    called: bool,
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
        if self.ended || data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let text = std::str::from_utf8(data).map_err(|e| DialectError::json(e.valid_up_to()))?;
        let event: Event<'_> =
            serde_json::from_str(text).map_err(|error| DialectError::from_serde(&error))?;
        let message = event.delta.as_ref().and_then(|delta| delta.get("message"));
        let message = message.map(|raw| Object::of(raw, "message")).transpose()?;
        let member = |name: &'static str| {
            let raw = message.as_ref().and_then(|message| message.get(name));
            raw.map(|raw| Object::of(raw, name)).transpose()
        };
        match event.kind.as_ref().map(|kind| kind.0.as_ref()) {
            Some("message-start") => {
                let id = event.id.map(|id| id.0).unwrap_or_default();
                emit(StreamEvent::Start { id, created: None }, losses);
            }
            Some("tool-plan-delta") => {
                let plan = message.as_ref().and_then(|m| m.text("tool_plan"));
                self.blocks
                    .piece(Kind::Plan, plan.unwrap_or_default(), losses, emit)?;
            }
            Some("content-start" | "content-delta") => {
                if let Some(content) = member("content")? {
                    self.content(&content, event.logprobs, losses, emit)?;
                }
            }
            Some("content-end") => self.blocks.close(losses, emit),
            Some("tool-call-start") => {
                if let Some(call) = member("tool_calls")? {
                    self.call(event.index, &call, losses, emit)?;
                }
            }
            Some("tool-call-delta") => {
                if let Some(call) = member("tool_calls")? {
                    self.arguments(event.index, &call, losses, emit)?;
                }
            }
            Some("tool-call-end") => self.end_call(event.index, losses, emit),
            Some("citation-start") => {
                if let Some(raw) = message.as_ref().and_then(|m| m.get("citations")) {
                    self.citation(raw, losses, emit)?;
                }
            }
            Some("message-end") => self.end(event.delta.as_ref(), data, losses, emit)?,
            // Ends of citations, and events of a later version.
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _losses: &mut Losses, _emit: &mut Emit<'_>) {}
}

impl Decoder {
    fn content(
        &mut self,
        content: &Object<'_>,
        logprobs: Option<Raw<'_>>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        if let Some(raw) = logprobs.filter(|raw| raw.get().starts_with('{'))
            && let Some(token) = logprob(raw, losses)?
        {
            let index = self.blocks.of(Kind::Text, losses, emit)?;
            let tokens = vec![token];
            emit(StreamEvent::Logprobs { index, tokens }, losses);
        }
        if let Some(text) = content.text("thinking") {
            self.blocks.piece(Kind::Reasoning, text, losses, emit)?;
        }
        match content.text("text") {
            Some(text) => self.blocks.piece(Kind::Text, text, losses, emit),
            None => Ok(()),
        }
    }

    fn call(
        &mut self,
        theirs: Option<u64>,
        call: &Object<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        self.blocks.close(losses, emit);
        let function = call.get("function");
        let function = function
            .map(|raw| Object::of(raw, "function"))
            .transpose()?;
        let name = function.as_ref().and_then(|function| function.text("name"));
        let name = name.ok_or(DialectError::Missing { field: "name" })?;
        let block = self.blocks.next()?;
        let id = call
            .text("id")
            .unwrap_or_else(|| format!("call_{block}").into());
        let kind = Block::ToolCall { id, name };
        let index = block;
        emit(StreamEvent::BlockStart { index, block: kind }, losses);
        self.called = true;
        self.calls.push(OpenCall {
            theirs,
            block,
            arguments: Arguments::Awaited,
        });
        self.arguments(theirs, call, losses, emit)
    }

    fn arguments(
        &mut self,
        theirs: Option<u64>,
        call: &Object<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let Some(raw) = call.get("function") else {
            return Ok(());
        };
        let json = Object::of(raw, "function")?.text("arguments");
        let open = self.calls.iter_mut().rev().find(|c| c.theirs == theirs);
        let (Some(open), Some(json)) = (open, json.filter(|json| !json.is_empty())) else {
            return Ok(());
        };
        if open.arguments == Arguments::Awaited {
            open.arguments = match json.trim_start().starts_with('n') {
                true => Arguments::Null,
                false => Arguments::Come,
            };
        }
        if open.arguments == Arguments::Come {
            let index = open.block;
            emit(StreamEvent::Arguments { index, json }, losses);
        }
        Ok(())
    }

    fn end_call(&mut self, theirs: Option<u64>, losses: &mut Losses, emit: &mut Emit<'_>) {
        let Some(at) = self.calls.iter().rposition(|call| call.theirs == theirs) else {
            return;
        };
        let call = self.calls.remove(at);
        close_call(&call, losses, emit);
    }

    fn citation(
        &mut self,
        raw: Raw<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        for citation in citations::read(raw, losses)?.sources {
            let index = self.blocks.of(Kind::Text, losses, emit)?;
            emit(StreamEvent::Citation { index, citation }, losses);
        }
        Ok(())
    }

    fn end(
        &mut self,
        delta: Option<&Object<'_>>,
        data: &[u8],
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        self.ended = true;
        if super::CohereChat.read_stream_usage(data, &mut self.usage) {
            emit(StreamEvent::Usage(self.usage), losses);
        }
        let reason = delta.and_then(|delta| delta.text("finish_reason"));
        let reason = reason.unwrap_or_default();
        let Some(stop) = stop_of(&reason) else {
            let message = delta.and_then(|delta| delta.text("error"));
            let message = message.unwrap_or_default();
            emit(
                StreamEvent::Error {
                    kind: reason,
                    message,
                },
                losses,
            );
            return Ok(());
        };
        self.blocks.close(losses, emit);
        for call in std::mem::take(&mut self.calls) {
            close_call(&call, losses, emit);
        }
        let stop = match stop {
            Stop::EndTurn if self.called => Stop::ToolCall,
            stop => stop,
        };
        blocks::finish(stop, losses, emit);
        Ok(())
    }
}

fn close_call(call: &OpenCall, losses: &mut Losses, emit: &mut Emit<'_>) {
    let index = call.block;
    if call.arguments != Arguments::Come {
        // Elsewhere arguments are text that clients parse, so that nothing is not enough.
        let json = "{}".into();
        emit(StreamEvent::Arguments { index, json }, losses);
    }
    emit(StreamEvent::BlockStop { index }, losses);
}
