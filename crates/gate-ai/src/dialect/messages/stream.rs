//! Messages streams into neutral events.

use super::blocks::citation;
use super::response::stop_of;
use crate::conversation::{Block, StreamEvent};
use crate::dialect::{Codec, Emit, StreamDecoder};
use crate::json::object::{Object, Text, list};
use crate::{DialectError, Losses, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Most blocks followed in one stream.
const BLOCKS_MAX: usize = 1024;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    message: Option<Object<'a>>,
    #[serde(borrow, default)]
    content_block: Option<Object<'a>>,
    #[serde(borrow, default)]
    delta: Option<Object<'a>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<Object<'a>>,
}

/// A block of the stream that has a neutral place.
struct OpenBlock {
    theirs: u64,
    ours: u32,
    /// A call whose arguments have not begun.
    call_without_arguments: bool,
}

#[derive(Default)]
pub(super) struct Decoder {
    ended: bool,
    blocks: u32,
    open: Vec<OpenBlock>,
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
        let text = std::str::from_utf8(data).map_err(|e| DialectError::json(e.valid_up_to()))?;
        let event: Event<'_> =
            serde_json::from_str(text).map_err(|error| DialectError::from_serde(&error))?;
        match event.kind.0.as_ref() {
            "message_start" => self.message(event.message, losses, emit)?,
            "content_block_start" => {
                if let (Some(index), Some(block)) = (event.index, event.content_block) {
                    self.block_start(index, &block, losses, emit)?;
                }
            }
            "content_block_delta" => {
                if let (Some(index), Some(delta)) = (event.index, event.delta) {
                    self.delta(index, &delta, losses, emit);
                }
            }
            "content_block_stop" => self.block_stop(event.index, losses, emit),
            "message_delta" => self.message_delta(event.usage, event.delta, losses, emit),
            "message_stop" => {
                self.ended = true;
                emit(StreamEvent::End, losses);
            }
            "error" => {
                self.ended = true;
                let member = |key| event.error.as_ref().and_then(|error| error.text(key));
                let kind = member("type").unwrap_or_default();
                let message = member("message").unwrap_or_default();
                emit(StreamEvent::Error { kind, message }, losses);
            }
            // Pings, and events of a later version, which clients are told to ignore.
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _losses: &mut Losses, _emit: &mut Emit<'_>) {}
}

impl Decoder {
    fn message(
        &mut self,
        message: Option<Object<'_>>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let Some(message) = message else {
            return Ok(());
        };
        // A stream that begins again leaves what was open unfinished.
        for open in std::mem::take(&mut self.open) {
            emit(StreamEvent::BlockStop { index: open.ours }, losses);
        }
        let id = message.text("id").unwrap_or_default();
        emit(StreamEvent::Start { id, created: None }, losses);
        self.count(message.get("usage"), losses, emit);
        if message.get("container").is_some() {
            losses.add("container");
        }
        // Calls that code execution makes come whole, inside the message. Their numbers are taken
        // from the far end, out of the way of the blocks that follow.
        let content = message
            .get("content")
            .map_or(Ok(Vec::new()), |raw| list(raw, "content"))?;
        for (i, raw) in content.into_iter().enumerate() {
            let theirs = u64::MAX - i as u64;
            self.block_start(theirs, &Object::of(raw, "content")?, losses, emit)?;
            self.block_stop(Some(theirs), losses, emit);
        }
        Ok(())
    }

    fn count(&mut self, raw: Option<&RawValue>, losses: &mut Losses, emit: &mut Emit<'_>) {
        let Some(raw) = raw else { return };
        let read = super::Messages.read_usage(raw.get().as_bytes(), 0, &mut self.usage);
        if read.is_some() {
            emit(StreamEvent::Usage(self.usage), losses);
        }
    }

    fn block_start(
        &mut self,
        theirs: u64,
        block: &Object<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        let kind = block.text("type").unwrap_or_default();
        let member = |field| block.text(field).ok_or(DialectError::Missing { field });
        let neutral = match kind.as_ref() {
            "text" => Block::Text,
            "thinking" => Block::Reasoning,
            "redacted_thinking" => Block::RedactedReasoning(member("data")?),
            "tool_use" => Block::ToolCall {
                id: member("id")?,
                name: member("name")?,
            },
            _ => {
                losses.add(format!("content.{kind}"));
                return Ok(());
            }
        };
        if self.blocks as usize == BLOCKS_MAX {
            return Err(DialectError::TooManyBlocks { limit: BLOCKS_MAX });
        }
        let index = self.blocks;
        self.blocks += 1;
        let is_call = matches!(neutral, Block::ToolCall { .. });
        emit(
            StreamEvent::BlockStart {
                index,
                block: neutral,
            },
            losses,
        );
        let input = block.get("input").map_or("{}", RawValue::get);
        let has_input = is_call && input.len() > 2;
        if has_input {
            // A call that did not need streaming: its arguments are all here.
            let json = input.into();
            emit(StreamEvent::Arguments { index, json }, losses);
        }
        self.open.push(OpenBlock {
            theirs,
            ours: index,
            call_without_arguments: is_call && !has_input,
        });
        for (field, reasoning) in [("text", false), ("thinking", true)] {
            if let Some(text) = block.text(field).filter(|text| !text.is_empty()) {
                emit(
                    if reasoning {
                        StreamEvent::Reasoning { index, text }
                    } else {
                        StreamEvent::Text { index, text }
                    },
                    losses,
                );
            }
        }
        Ok(())
    }

    fn delta(&mut self, theirs: u64, delta: &Object<'_>, losses: &mut Losses, emit: &mut Emit<'_>) {
        // Blocks without a neutral place were reported when they began.
        let Some(open) = self
            .open
            .iter_mut()
            .rev()
            .find(|open| open.theirs == theirs)
        else {
            return;
        };
        let index = open.ours;
        let kind = delta.text("type").unwrap_or_default();
        let text = |field| delta.text(field).filter(|text| !text.is_empty());
        let event = match kind.as_ref() {
            "text_delta" => text("text").map(|text| StreamEvent::Text { index, text }),
            "thinking_delta" => text("thinking").map(|text| StreamEvent::Reasoning { index, text }),
            "signature_delta" => {
                text("signature").map(|signature| StreamEvent::Signature { index, signature })
            }
            "input_json_delta" => text("partial_json").map(|json| {
                open.call_without_arguments = false;
                StreamEvent::Arguments { index, json }
            }),
            "citations_delta" => {
                let inner = delta
                    .get("citation")
                    .and_then(|raw| Object::of(raw, "citation").ok());
                let citation = inner.as_ref().and_then(citation);
                if citation.is_none() {
                    losses.add("content.text.citations.document");
                }
                citation.map(|citation| StreamEvent::Citation { index, citation })
            }
            _ => {
                losses.add(format!("delta.{kind}"));
                None
            }
        };
        if let Some(event) = event {
            emit(event, losses);
        }
    }

    fn block_stop(&mut self, theirs: Option<u64>, losses: &mut Losses, emit: &mut Emit<'_>) {
        let Some(at) = self
            .open
            .iter()
            .rposition(|open| Some(open.theirs) == theirs)
        else {
            return;
        };
        let open = self.open.remove(at);
        let index = open.ours;
        if open.call_without_arguments {
            // Elsewhere arguments are text that clients parse, so that nothing is not enough.
            let json = "{}".into();
            emit(StreamEvent::Arguments { index, json }, losses);
        }
        emit(StreamEvent::BlockStop { index }, losses);
    }

    fn message_delta(
        &mut self,
        usage: Option<&RawValue>,
        delta: Option<Object<'_>>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) {
        self.count(usage, losses, emit);
        let Some(delta) = delta else { return };
        if delta.get("container").is_some() {
            losses.add("container");
        }
        if delta.get("stop_details").is_some() {
            losses.add("stop_details");
        }
        if let Some(reason) = delta.text("stop_reason") {
            let stop = stop_of(&reason);
            let stop_sequence = delta.text("stop_sequence");
            emit(
                StreamEvent::Finish {
                    stop,
                    stop_sequence,
                },
                losses,
            );
        }
    }
}
