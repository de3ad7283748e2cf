//! A stream of events: pieces of text are gathered, events wait until theirs is decided.
//!
//! Every event leaves once, in its order; one whose text stays leaves with the bytes it came with.
//! An event waits only while its text could be the first part of something that is looked for, and
//! what is behind it waits with it. A text that is replaced leaves in the event that it began in.
//! Server-sent events and Amazon's binary frames differ only in where an event's data lies, and in
//! that a frame's lengths and checksums are written anew when its text was changed.

use super::body::{check_string, text_of};
use super::lane::Lane;
use super::places::{Found, LaneKey, Means, Places};
use super::session::Guard;
use super::text::splice;
use super::{Findings, Point, Side};
use crate::endpoint::Operation;
use crate::event_stream::{EventFrame, seal_frame};
use crate::failure::ErrorClass;
use crate::framing::{Framing, Scanner};
use crate::json::scan::Scanner as JsonScanner;
use crate::usage::value_of_member;
use crate::{DialectError, error_event};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::ops::Range;

/// Longest event, in bytes.
const EVENT_MAX: usize = 4 * 1024 * 1024;
/// Most bytes of events that wait.
const QUEUE_MAX: usize = 8 * 1024 * 1024;
/// Most texts of one stream.
const LANES_MAX: usize = 1024;

/// A string of an event.
#[derive(Debug)]
enum Piece {
    /// A part of a lane's text: which lane, which bytes of it.
    Part { lane: usize, text: Range<usize> },
    /// A whole text with its edits.
    Ready(Vec<u8>),
}

/// An event that waits, with the insides of its strings that matter.
#[derive(Debug)]
struct Waiting {
    raw: Vec<u8>,
    pieces: SmallVec<[(Range<usize>, Piece); 1]>,
}

/// Guards one stream in the caller's dialect.
pub struct GuardStream {
    guard: Guard,
    operation: Operation,
    places: Option<&'static Places>,
    framing: Framing,
    scanner: Scanner,
    /// The beginning of an event whose end has not come.
    carry: Vec<u8>,
    lanes: Vec<(LaneKey, Lane)>,
    queue: VecDeque<Waiting>,
    queued: usize,
    is_over: bool,
    /// Text for guards that are asked elsewhere, when they are: of the answer, and of calls of tools.
    gathered: Option<[Vec<u8>; 2]>,
}

impl GuardStream {
    /// Guards a stream with what the guard knows of its request. One without texts passes unread.
    #[must_use]
    pub fn new(guard: Guard, operation: Operation) -> Self {
        let framing = match operation {
            Operation::Conversation(dialect) => dialect.framing(),
            _ => Framing::Sse,
        };
        Self {
            guard,
            operation,
            places: Places::of_events(operation),
            framing,
            scanner: Scanner::new(framing),
            carry: Vec::new(),
            lanes: Vec::new(),
            queue: VecDeque::new(),
            queued: 0,
            is_over: false,
            gathered: None,
        }
    }

    /// Also keeps the text of the answer for [`Self::take_text`].
    #[must_use]
    pub fn gathering(mut self) -> Self {
        self.gathered = Some(Default::default());
        self
    }

    /// The text that came since this was last asked: of the answer, and of calls of tools.
    pub fn take_text(&mut self) -> [Vec<u8>; 2] {
        self.gathered
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// What was found since this was last asked.
    pub fn take_findings(&mut self) -> Findings {
        self.guard.take_findings()
    }

    /// The rule that ended the stream, and where it found something.
    #[must_use]
    pub fn blocked(&self) -> Option<(usize, Point)> {
        self.guard.blocked()
    }

    /// Takes the stream's next bytes; appends what may leave to `out`. When a rule blocks, an error
    /// event in the caller's dialect is the last that leaves.
    ///
    /// # Errors
    /// [`DialectError`] when an event cannot be read or the limits are exceeded: nothing can be
    /// said about the rest of the stream then, and nothing more of it leaves.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), DialectError> {
        let mut start = self.scanner.leading(bytes);
        if start > 0 {
            match self.queue.back_mut() {
                _ if !self.carry.is_empty() => self.carry.push(b'\n'),
                Some(last) => {
                    last.raw.push(b'\n');
                    self.queued += 1;
                }
                None => out.push(b'\n'),
            }
        }
        while let Some(end) = self.scanner.next_end(bytes, start) {
            if self.is_over {
                return Ok(());
            }
            self.carry.extend_from_slice(&bytes[start..end]);
            start = end;
            let raw = std::mem::take(&mut self.carry);
            self.event(raw, out)?;
        }
        if self.is_over {
            return Ok(());
        }
        self.carry.extend_from_slice(&bytes[start..]);
        if self.carry.len() > EVENT_MAX || self.queued > QUEUE_MAX {
            return Err(self.too_large());
        }
        Ok(())
    }

    /// The stream's bytes have ended: what waits is decided and leaves.
    ///
    /// # Errors
    /// As [`Self::push`], for a last event without its blank line.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), DialectError> {
        if self.is_over {
            return Ok(());
        }
        let raw = std::mem::take(&mut self.carry);
        if !raw.is_empty() {
            self.event(raw, out)?;
        }
        self.end_lanes(&[]);
        self.release(out);
        self.is_over = true;
        Ok(())
    }

    fn too_large(&mut self) -> DialectError {
        self.is_over = true;
        DialectError::EventTooLarge { limit: EVENT_MAX }
    }

    fn event(&mut self, raw: Vec<u8>, out: &mut Vec<u8>) -> Result<(), DialectError> {
        if raw.len() > EVENT_MAX {
            return Err(self.too_large());
        }
        let waiting = self.read(raw).inspect_err(|_| self.is_over = true)?;
        if waiting.pieces.is_empty() && self.queue.is_empty() && self.guard.blocked().is_none() {
            out.extend_from_slice(&waiting.raw);
            return Ok(());
        }
        self.queued += waiting.raw.len();
        self.queue.push_back(waiting);
        self.release(out);
        Ok(())
    }

    /// Finds an event's pieces and pushes them into their lanes.
    fn read(&mut self, raw: Vec<u8>) -> Result<Waiting, DialectError> {
        let Some(places) = self.places else {
            return Ok(Waiting {
                raw,
                pieces: SmallVec::new(),
            });
        };
        let found = match self.framing {
            Framing::EventStream => {
                let data = self.frame(&raw)?;
                (raw, data)
            }
            Framing::Sse | Framing::JsonList => data_of(raw),
        };
        let (raw, data) = match found {
            (raw, Some(data)) => (raw, data),
            (raw, None) => {
                return Ok(Waiting {
                    raw,
                    pieces: SmallVec::new(),
                });
            }
        };
        let json = &raw[data.clone()];
        if json.trim_ascii() == b"[DONE]" {
            self.end_lanes(&[]);
            return Ok(Waiting {
                raw,
                pieces: SmallVec::new(),
            });
        }
        let mut strings: SmallVec<[Found<'_>; 4]> = SmallVec::new();
        places.visit(json, &mut |found| strings.push(found))?;
        let mut pieces = SmallVec::new();
        for found in strings {
            let inside = |raw: &crate::json::scan::RawString<'_>| {
                data.start + raw.start + 1..data.start + raw.end - 1
            };
            match (found.means, found.raw) {
                (Means::End, _) => self.end_lanes(&found.key.indices),
                (means @ (Means::Whole(point, kind) | Means::Again(point, kind)), Some(string)) => {
                    let mut session = self.guard.session(Side::Response);
                    session.counts = matches!(means, Means::Whole(..));
                    if let (Some(gathered), true) = (&mut self.gathered, session.counts) {
                        let text = &mut gathered[usize::from(point == Point::ToolCall)];
                        text.extend_from_slice(&text_of(&string));
                        text.push(b'\n');
                    }
                    let mut lane = Lane::new(point, kind);
                    if let Some(with) = check_string(&mut lane, &string, &mut session) {
                        pieces.push((inside(&string), Piece::Ready(with)));
                    }
                }
                (Means::Delta(point, kind), Some(string)) => {
                    let lane = self.lane(&found.key, || Lane::new(point, kind))?;
                    let text = text_of(&string);
                    if let Some(gathered) = &mut self.gathered {
                        gathered[usize::from(point == Point::ToolCall)].extend_from_slice(&text);
                    }
                    let mut session = self.guard.session(Side::Response);
                    let from = self.lanes[lane].1.pushed();
                    self.lanes[lane].1.push(&text, &mut session);
                    let text = from..self.lanes[lane].1.pushed();
                    pieces.push((inside(&string), Piece::Part { lane, text }));
                }
                (_, None) => {}
            }
        }
        Ok(Waiting { raw, pieces })
    }

    /// Where a frame's data lies. Ends of blocks are frames of their own, known by their names.
    fn frame(&mut self, raw: &[u8]) -> Result<Option<Range<usize>>, DialectError> {
        let frame = EventFrame::parse(raw)?;
        match frame.name() {
            Some(b"contentBlockStop") => {
                let at = value_of_member(frame.payload, b"contentBlockIndex");
                let index = match at {
                    Some(at) => JsonScanner::at(frame.payload, at).unsigned()?,
                    None => None,
                };
                match index.and_then(|index| u32::try_from(index).ok()) {
                    Some(index) => self.end_lanes(&[index]),
                    None => self.end_lanes(&[]),
                }
                Ok(None)
            }
            Some(b"messageStop") => {
                self.end_lanes(&[]);
                Ok(None)
            }
            _ if frame.payload.is_empty() => Ok(None),
            _ => {
                let end = raw.len() - 4;
                Ok(Some(end - frame.payload.len()..end))
            }
        }
    }

    fn lane(&mut self, key: &LaneKey, make: impl FnOnce() -> Lane) -> Result<usize, DialectError> {
        if let Some(known) = self.lanes.iter().position(|(known, _)| known == key) {
            return Ok(known);
        }
        if self.lanes.len() >= LANES_MAX {
            return Err(DialectError::EventTooLarge { limit: LANES_MAX });
        }
        self.lanes.push((key.clone(), make()));
        Ok(self.lanes.len() - 1)
    }

    /// No more text will come for the lanes whose indices begin like this.
    fn end_lanes(&mut self, indices: &[u32]) {
        for (key, lane) in &mut self.lanes {
            if key.indices.starts_with(indices) && lane.pushed() > lane.settled() {
                lane.finish(&mut self.guard.session(Side::Response));
            }
        }
    }

    /// Lets go of the events at the front whose texts are decided.
    fn release(&mut self, out: &mut Vec<u8>) {
        if self.guard.blocked().is_some() {
            self.tell_blocked(out);
            return;
        }
        while let Some(front) = self.queue.front() {
            let is_decided = front.pieces.iter().all(|(_, piece)| match piece {
                Piece::Ready(_) => true,
                Piece::Part { lane, text } => self.lanes[*lane].1.settled() >= text.end,
            });
            if !is_decided {
                return;
            }
            let Some(front) = self.queue.pop_front() else {
                return;
            };
            self.queued -= front.raw.len();
            let (start, mut copied) = (out.len(), 0);
            for (span, piece) in front.pieces {
                let with = match piece {
                    Piece::Ready(with) => with,
                    Piece::Part { lane, text } => {
                        let edits = self.lanes[lane].1.edits(text.start, text.end);
                        if edits.is_empty() {
                            continue;
                        }
                        let mut with = Vec::with_capacity(span.len() + 32);
                        splice(&front.raw[span.clone()], &edits, &mut with);
                        with
                    }
                };
                out.extend_from_slice(&front.raw[copied..span.start]);
                out.extend_from_slice(&with);
                copied = span.end;
            }
            out.extend_from_slice(&front.raw[copied..]);
            if copied > 0 && self.framing == Framing::EventStream {
                seal_frame(&mut out[start..]);
            }
        }
    }

    /// Ends the stream with an error event in the caller's dialect; what waits never leaves.
    pub fn tell_blocked(&mut self, out: &mut Vec<u8>) {
        self.is_over = true;
        self.queue.clear();
        self.carry.clear();
        out.extend_from_slice(&error_event(
            self.operation.error_dialect(),
            ErrorClass::ContentFilter,
            "guard_blocked",
            "a guard of the gateway ended this answer",
        ));
    }
}

impl std::fmt::Debug for GuardStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuardStream")
            .field("guard", &self.guard)
            .field("waiting", &self.queue.len())
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

/// Where an event's data lies. An event with several `data` lines is rewritten with one: a line end
/// means nothing between tokens of JSON and cannot occur inside them.
fn data_of(raw: Vec<u8>) -> (Vec<u8>, Option<Range<usize>>) {
    let mut lines: SmallVec<[Range<usize>; 2]> = SmallVec::new();
    let mut at = if raw.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    while at < raw.len() {
        let end = memchr::memchr2(b'\n', b'\r', &raw[at..]).map_or(raw.len(), |end| at + end);
        if let Some(value) = raw[at..end].strip_prefix(b"data:") {
            let start = end - value.strip_prefix(b" ").unwrap_or(value).len();
            lines.push(start..end);
        }
        at = end + 1;
    }
    match &lines[..] {
        [] => (raw, None),
        [data] => {
            let data = data.clone();
            (raw, Some(data))
        }
        many => {
            let mut joined = raw[..many[0].start].to_vec();
            let start = joined.len();
            for line in many {
                joined.extend_from_slice(&raw[line.clone()]);
                joined.push(b' ');
            }
            let end = joined.len();
            let last = many[many.len() - 1].end;
            joined.extend_from_slice(&raw[last..]);
            (joined, Some(start..end))
        }
    }
}
