//! Converse streams into neutral events.
//!
//! An event's name stands in its frame's headers. Blocks other than tool calls have no beginning
//! of their own: their first delta begins them.

use super::blocks::{citation, is_server_tool, redacted};
use super::response::{stop_of, stop_sequence};
use crate::conversation::{Block, StreamEvent};
use crate::dialect::{Codec, Emit, StreamDecoder};
use crate::json::object::{Object, Raw, unsigned};
use crate::{DialectError, Losses, Usage};

/// Most blocks followed in one stream.
const BLOCKS_MAX: u32 = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    ToolCall {
        arguments: bool,
    },
    /// A block that has no neutral place and was reported.
    Skipped,
}

struct Open {
    theirs: u64,
    ours: u32,
    kind: Kind,
}

#[derive(Default)]
pub(super) struct Decoder {
    started: bool,
    stopped: bool,
    ended: bool,
    blocks: u32,
    open: Vec<Open>,
    usage: Usage,
}

impl StreamDecoder for Decoder {
    fn event(
        &mut self,
        name: Option<&[u8]>,
        data: &[u8],
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let name = name.unwrap_or_default();
        if self.ended || name == b"initial-response" {
            return Ok(());
        }
        let event = Object::parse(data)?;
        match name {
            b"messageStart" => self.start(losses, emit),
            b"contentBlockStart" => self.block_start(&event, losses, emit)?,
            b"contentBlockDelta" => self.delta(&event, losses, emit)?,
            b"contentBlockStop" => {
                let theirs = index_of(&event)?;
                self.close(losses, emit, |open| open.theirs == theirs);
            }
            b"messageStop" => self.stop(&event, losses, emit)?,
            b"metadata" => self.metadata(&event, losses, emit),
            _ if name == b"error" || name.ends_with(b"Exception") => {
                self.ended = true;
                let kind = match event.text("code") {
                    Some(code) => code,
                    None => String::from_utf8_lossy(name).into_owned().into(),
                };
                let message = event.text("message").or_else(|| event.text("Message"));
                let message = message.unwrap_or_default();
                emit(StreamEvent::Error { kind, message }, losses);
            }
            // Events of a later version.
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, losses: &mut Losses, emit: &mut Emit<'_>) {
        // The counts are missing, the turn is not.
        if self.stopped && !self.ended {
            self.ended = true;
            emit(StreamEvent::End, losses);
        }
    }
}

fn index_of(event: &Object<'_>) -> Result<u64, DialectError> {
    let raw = event.get("contentBlockIndex");
    raw.map_or(Ok(0), |raw| unsigned(raw, "contentBlockIndex"))
}

impl Decoder {
    fn start(&mut self, losses: &mut Losses, emit: &mut Emit<'_>) {
        if !self.started {
            self.started = true;
            let id = "".into();
            emit(StreamEvent::Start { id, created: None }, losses);
        }
    }

    /// A new block under their number, which is free then.
    fn open(
        &mut self,
        theirs: u64,
        kind: Kind,
        block: Option<Block<'_>>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<u32, DialectError> {
        self.close(losses, emit, |open| open.theirs == theirs);
        if self.blocks == BLOCKS_MAX || self.open.len() as u32 == BLOCKS_MAX {
            let limit = BLOCKS_MAX as usize;
            return Err(DialectError::TooManyBlocks { limit });
        }
        let index = self.blocks;
        if let Some(block) = block {
            self.blocks += 1;
            emit(StreamEvent::BlockStart { index, block }, losses);
        }
        self.open.push(Open {
            theirs,
            ours: index,
            kind,
        });
        Ok(index)
    }

    fn close(&mut self, losses: &mut Losses, emit: &mut Emit<'_>, which: impl Fn(&Open) -> bool) {
        while let Some(at) = self.open.iter().position(&which) {
            let open = self.open.remove(at);
            let index = open.ours;
            if open.kind == Kind::Skipped {
                continue;
            }
            if open.kind == (Kind::ToolCall { arguments: false }) {
                // Elsewhere arguments are text that clients parse, so that nothing is not enough.
                let json = "{}".into();
                emit(StreamEvent::Arguments { index, json }, losses);
            }
            emit(StreamEvent::BlockStop { index }, losses);
        }
    }

    fn block_start(
        &mut self,
        event: &Object<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let theirs = index_of(event)?;
        let Some(start) = event.get("start") else {
            return Ok(());
        };
        for (kind, raw) in Object::of(start, "start")?.iter() {
            let block = Object::of(raw, "start")?;
            if kind != "toolUse" {
                losses.add(format!("content.{kind}"));
                self.open(theirs, Kind::Skipped, None, losses, emit)?;
            } else if is_server_tool(&block, losses) {
                self.open(theirs, Kind::Skipped, None, losses, emit)?;
            } else {
                let member = |field| block.text(field).ok_or(DialectError::Missing { field });
                let call = Block::ToolCall {
                    id: member("toolUseId")?,
                    name: member("name")?,
                };
                let kind = Kind::ToolCall { arguments: false };
                self.open(theirs, kind, Some(call), losses, emit)?;
            }
        }
        Ok(())
    }

    /// The block that a delta of this kind goes on, begun where it is not open; `None` where the
    /// block is left out.
    fn block(
        &mut self,
        theirs: u64,
        kind: Kind,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<Option<u32>, DialectError> {
        let open = self.open.iter_mut().find(|open| open.theirs == theirs);
        if let Some(open) = open {
            if open.kind == Kind::Skipped {
                return Ok(None);
            }
            if std::mem::discriminant(&open.kind) == std::mem::discriminant(&kind) {
                open.kind = kind;
                return Ok(Some(open.ours));
            }
        }
        let block = match kind {
            Kind::Text => Block::Text,
            Kind::Reasoning => Block::Reasoning,
            // Arguments of a call that never began have no call to go to.
            Kind::ToolCall { .. } | Kind::Skipped => return Ok(None),
        };
        self.open(theirs, kind, Some(block), losses, emit).map(Some)
    }

    fn delta(
        &mut self,
        event: &Object<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let theirs = index_of(event)?;
        let Some(delta) = event.get("delta") else {
            return Ok(());
        };
        for (kind, raw) in Object::of(delta, "delta")?.iter() {
            match kind {
                "text" => {
                    let text = crate::json::object::text(raw, "text")?;
                    if let Some(index) = self.block(theirs, Kind::Text, losses, emit)?
                        && !text.is_empty()
                    {
                        emit(StreamEvent::Text { index, text }, losses);
                    }
                }
                "toolUse" => {
                    let input = Object::of(raw, "toolUse")?.text("input");
                    let Some(json) = input.filter(|json| !json.is_empty()) else {
                        continue;
                    };
                    let kind = Kind::ToolCall { arguments: true };
                    if let Some(index) = self.block(theirs, kind, losses, emit)? {
                        emit(StreamEvent::Arguments { index, json }, losses);
                    }
                }
                "reasoningContent" => self.reasoning(theirs, raw, losses, emit)?,
                "citation" => {
                    if let Some(citation) = citation(&Object::of(raw, "citation")?, losses)
                        && let Some(index) = self.block(theirs, Kind::Text, losses, emit)?
                    {
                        emit(StreamEvent::Citation { index, citation }, losses);
                    }
                }
                _ => losses.add(format!("content.{kind}")),
            }
        }
        Ok(())
    }

    fn reasoning(
        &mut self,
        theirs: u64,
        raw: Raw<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let thought = Object::of(raw, "reasoningContent")?;
        if let Some(data) = thought.text("redactedContent") {
            match redacted(&data) {
                Some(data) => {
                    let block = Some(Block::RedactedReasoning(data));
                    self.open(theirs, Kind::Reasoning, block, losses, emit)?;
                }
                None => losses.add("content.redactedContent"),
            }
        }
        let filled = |field| thought.text(field).filter(|text| !text.is_empty());
        if let Some(text) = filled("text")
            && let Some(index) = self.block(theirs, Kind::Reasoning, losses, emit)?
        {
            emit(StreamEvent::Reasoning { index, text }, losses);
        }
        if let Some(signature) = filled("signature")
            && let Some(index) = self.block(theirs, Kind::Reasoning, losses, emit)?
        {
            emit(StreamEvent::Signature { index, signature }, losses);
        }
        Ok(())
    }

    fn stop(
        &mut self,
        event: &Object<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        self.close(losses, emit, |_| true);
        self.stopped = true;
        let reason = event.text("stopReason").unwrap_or_default();
        let stop = stop_of(&reason, losses);
        let fields = event.get("additionalModelResponseFields");
        let stop_sequence = match fields {
            Some(raw) => stop_sequence(raw, losses)?,
            None => None,
        };
        let finish = StreamEvent::Finish {
            stop,
            stop_sequence,
        };
        emit(finish, losses);
        Ok(())
    }

    fn metadata(&mut self, event: &Object<'_>, losses: &mut Losses, emit: &mut Emit<'_>) {
        for (name, raw) in event.iter() {
            match name {
                "usage" => {
                    let bytes = raw.get().as_bytes();
                    if super::Converse
                        .read_usage(bytes, 0, &mut self.usage)
                        .is_some()
                    {
                        emit(StreamEvent::Usage(self.usage), losses);
                    }
                }
                // Padding against guessing from lengths.
                "p" => {}
                _ => losses.add(name.to_owned()),
            }
        }
        if self.stopped {
            self.ended = true;
            emit(StreamEvent::End, losses);
        }
    }
}
