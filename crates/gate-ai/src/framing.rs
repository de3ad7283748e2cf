//! How a dialect's streams are cut into events: a choice between framings, made once per stream.
//!
//! Dialects see events as a name and data; taps see where events end. Neither knows the framing.

use crate::event_stream::{EventFrame, EventStreamFramer, FrameScanner};
use crate::json::write::Writer;
use crate::json_list::{ElementFramer, ElementScanner};
use crate::sse::EventScanner;
use crate::{DialectError, SseFramer};

/// How events are put into a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events.
    Sse,
    /// `application/vnd.amazon.eventstream`.
    EventStream,
    /// The elements of one JSON list.
    JsonList,
}

/// Receives an event's name and data.
pub(crate) type Each<'e> = dyn FnMut(Option<&[u8]>, &[u8]) -> Result<(), DialectError> + 'e;

/// Cuts a stream into events, with memory for one of them.
#[derive(Debug)]
pub(crate) enum Framer {
    Sse(SseFramer),
    EventStream(EventStreamFramer),
    JsonList(ElementFramer),
}

impl Framer {
    /// A framer that refuses events longer than `limit` bytes.
    pub(crate) fn new(framing: Framing, limit: usize) -> Self {
        match framing {
            Framing::Sse => Self::Sse(SseFramer::new(limit)),
            Framing::EventStream => Self::EventStream(EventStreamFramer::new(limit)),
            Framing::JsonList => Self::JsonList(ElementFramer::new(limit)),
        }
    }

    /// Hands every event with data that these bytes complete to `each`.
    pub(crate) fn push(&mut self, bytes: &[u8], each: &mut Each<'_>) -> Result<(), DialectError> {
        match self {
            Self::Sse(framer) => framer.push(bytes, |event| {
                match event.data.filter(|data| !data.is_empty()) {
                    Some(data) => each(event.name, &data),
                    None => Ok(()),
                }
            }),
            Self::EventStream(framer) => framer.push(bytes, |frame| frame_event(&frame, each)),
            Self::JsonList(framer) => framer.push(bytes, |element| each(None, element)),
        }
    }

    /// Hands the last event to `each` when the stream ended in the middle of it and the framing
    /// lets such an event be read.
    pub(crate) fn finish(&mut self, each: &mut Each<'_>) -> Result<(), DialectError> {
        match self {
            Self::Sse(framer) => {
                framer.finish(|event| match event.data.filter(|data| !data.is_empty()) {
                    Some(data) => each(event.name, &data),
                    None => Ok(()),
                })
            }
            // A frame without its checksum is no frame, nor an element without its last brace.
            Self::EventStream(_) | Self::JsonList(_) => Ok(()),
        }
    }
}

fn frame_event(frame: &EventFrame<'_>, each: &mut Each<'_>) -> Result<(), DialectError> {
    let Some(code) = frame.header(":error-code") else {
        return each(frame.name(), frame.payload);
    };
    // Errors without a shape of their own have all they say in their headers.
    let message = frame.header(":error-message").unwrap_or_default();
    let mut data = Vec::with_capacity(64 + message.len());
    let mut w = Writer::new(&mut data);
    w.open().member("code", &String::from_utf8_lossy(code));
    w.member("message", &String::from_utf8_lossy(message))
        .close();
    each(Some(b"error"), &data)
}

/// Finds the ends of events and copies nothing.
#[derive(Debug)]
pub(crate) enum Scanner {
    Sse(EventScanner),
    EventStream(FrameScanner),
    JsonList(ElementScanner),
}

impl Scanner {
    pub(crate) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Sse => Self::Sse(EventScanner::new()),
            Framing::EventStream => Self::EventStream(FrameScanner::new()),
            Framing::JsonList => Self::JsonList(ElementScanner::new()),
        }
    }

    /// Bytes at the start of a new slice that belong to the event before it.
    #[inline]
    pub(crate) fn leading(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Sse(scanner) => scanner.leading_lf(bytes),
            Self::EventStream(_) | Self::JsonList(_) => 0,
        }
    }

    /// One past the end of the next event at or after `from`; `None` when it has not come yet.
    #[inline]
    pub(crate) fn next_end(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        match self {
            Self::Sse(scanner) => scanner.next_end(bytes, from),
            Self::EventStream(scanner) => scanner.next_end(bytes, from),
            Self::JsonList(scanner) => scanner.next_end(bytes, from),
        }
    }
}
