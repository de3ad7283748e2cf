//! Watches a stream that passes through unchanged: usage, first token, end.
//!
//! Events are framed, not parsed; only those that carry usage are read, and the first few until a
//! token has been seen. The tail of an incomplete event is held back until it is complete, so that
//! what goes out always ends with a whole event and, if the stream breaks, an error event can stand
//! behind it. When the gateway itself asked for usage, the chunk that carries it is taken out.

mod last;

use crate::failure::{ErrorClass, ProviderError, classify};
use crate::framing::{Framing, Scanner};
use crate::json_list::element;
use crate::operation::invoke;
use crate::prices::ServiceTier;
use crate::usage::value_of_member;
use crate::{Dialect, EventFrame, SseEvent, Usage, service_tier, stream_error};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use last::Last;
use memchr::memmem::Finder;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

/// Longest event that is kept to be read or held back; longer ones pass unread.
const EVENT_MAX: usize = 1024 * 1024;
/// Ending events are short, so that only short events are looked at for it.
const END_MAX: usize = 96;

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage\""));
/// Google's name for it.
static USAGE_METADATA: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new("\"usageMetadata\""));

/// Whether an event is as short as those that end a stream. Line ends behind it do not count: a LF
/// behind the last CR may belong to the event or come with the next bytes.
#[inline]
fn is_short(event: &[u8]) -> bool {
    let line_ends = || event.iter().rev().take_while(|byte| b"\r\n".contains(byte));
    event.len() <= END_MAX
        || (event.len() <= END_MAX + 4 && event.len() - line_ends().count() <= END_MAX)
}

/// What may be forwarded of the bytes just pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tapped {
    /// All of them, as they are.
    All,
    /// These pieces, in this order. When the stream has ended, [`StreamTap::finish`] has the rest.
    Some {
        /// Bytes held back earlier that now go out in front.
        held: Option<Vec<u8>>,
        /// Ranges of the pushed bytes, in order.
        ranges: SmallVec<[Range<usize>; 4]>,
    },
}

impl Tapped {
    /// Appends what may be forwarded to `out`; `bytes` are the ones that were pushed.
    pub fn write_into(&self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::All => out.extend_from_slice(bytes),
            Self::Some { held, ranges } => {
                out.extend_from_slice(held.as_deref().unwrap_or_default());
                for range in ranges {
                    out.extend_from_slice(&bytes[range.clone()]);
                }
            }
        }
    }
}

/// Watches one stream.
#[derive(Debug)]
pub struct StreamTap {
    dialect: Dialect,
    strip: bool,
    /// The vendor puts errors among the members of ordinary chunks.
    hides_errors: bool,
    framing: Framing,
    /// Finds the name of the member with the usage.
    usage_key: &'static Finder<'static>,
    scanner: Scanner,
    /// The beginning of an event whose end has not come.
    carry: Vec<u8>,
    /// The event being read is too long to keep.
    oversized: bool,
    /// The last event was taken out; a LF that still belongs to it is, too.
    dropped_last: bool,
    usage: Option<Usage>,
    token_seen: bool,
    ended: bool,
    error: Option<ErrorClass>,
    events: u64,
    /// For the one dialect whose last event some leave out.
    last: Option<Last>,
    /// Whether the tier that the call is served in is read, and what it is.
    reads_tier: bool,
    tier: Option<ServiceTier>,
    /// The last event was too long to be read.
    unread: bool,
}

impl StreamTap {
    /// A tap on a stream of this dialect; `strip_usage_chunk` as [`crate::Prepared`] says.
    #[must_use]
    pub fn new(dialect: Dialect, strip_usage_chunk: bool) -> Self {
        Self {
            dialect,
            strip: strip_usage_chunk,
            hides_errors: false,
            framing: dialect.framing(),
            usage_key: match dialect {
                Dialect::GenerateContent => &USAGE_METADATA,
                _ => &USAGE,
            },
            scanner: Scanner::new(dialect.framing()),
            carry: Vec::new(),
            oversized: false,
            dropped_last: false,
            usage: None,
            token_seen: false,
            ended: false,
            error: None,
            events: 0,
            last: (dialect == Dialect::ChatCompletions).then(Last::default),
            reads_tier: false,
            tier: None,
            unread: false,
        }
    }

    /// The same for a stream that is one JSON list, as Google sends it to callers that do not ask
    /// for server-sent events.
    #[must_use]
    pub fn in_json_list(mut self) -> Self {
        self.framing = Framing::JsonList;
        self.scanner = Scanner::new(self.framing);
        self
    }

    /// The same for a stream of Messages as Bedrock's InvokeModelWithResponseStream frames it: an
    /// event's data is the base64 text `bytes` of a frame's payload.
    #[must_use]
    pub fn in_invoke_frames(mut self) -> Self {
        self.framing = Framing::EventStream;
        self.scanner = Scanner::new(self.framing);
        self
    }

    /// The same for a vendor that may put an error behind other members of a chunk, where a glance
    /// does not find it.
    #[must_use]
    pub const fn hiding_errors(mut self, hides: bool) -> Self {
        self.hides_errors = hides;
        self
    }

    /// The same, reading the service tier beside the usage.
    #[must_use]
    pub const fn reading_tier(mut self, reads: bool) -> Self {
        self.reads_tier = reads;
        self
    }

    /// Looks at the next bytes and says which of them to forward now.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> Tapped {
        if let Some(last) = &mut self.last {
            last.push(bytes);
        }
        if self.strip {
            return self.push_stripping(bytes);
        }
        // One walk over the matches beside one walk over the events; most streams have one match.
        let mut usage_at = next_usage(self.usage_key, bytes, 0);
        let mut start = self.scanner.leading(bytes);
        let (mut from, mut held) = (0, None);
        if start > 0 && !self.carry.is_empty() {
            // It ends a line of the event that is held back, so it waits behind that.
            self.carry.push(b'\n');
            from = start;
        }
        while let Some(end) = self.scanner.next_end(bytes, start) {
            let piece = &bytes[start..end];
            self.events += 1;
            if self.carry.is_empty() && !self.oversized {
                let has_usage = usage_at.is_some_and(|at| at < end);
                self.look(piece, has_usage);
                if has_usage {
                    usage_at = next_usage(self.usage_key, bytes, end);
                }
            } else {
                held = (!self.carry.is_empty()).then(|| self.carry.clone());
                self.complete_carried(piece);
                usage_at = usage_at
                    .filter(|at| *at >= end)
                    .or_else(|| next_usage(self.usage_key, bytes, end));
            }
            start = end;
        }
        if start == bytes.len() && from == 0 && held.is_none() {
            return Tapped::All;
        }
        self.hold_tail(bytes, from, start, held)
    }

    /// Keeps what begins at `tail` until its event is complete, unless that is too long to keep.
    fn hold_tail(
        &mut self,
        bytes: &[u8],
        from: usize,
        tail: usize,
        mut held: Option<Vec<u8>>,
    ) -> Tapped {
        let too_long = self.carry.len() + (bytes.len() - tail) > EVENT_MAX;
        let mut until = tail;
        if self.oversized || too_long {
            // What is held already is the beginning of the same event.
            if !self.carry.is_empty() {
                held = Some(std::mem::take(&mut self.carry));
            }
            self.oversized = true;
            until = bytes.len();
        } else {
            self.carry.extend_from_slice(&bytes[tail..]);
        }
        if held.is_none() && from == 0 && until == bytes.len() {
            return Tapped::All;
        }
        let mut ranges = SmallVec::new();
        if from < until {
            ranges.push(from..until);
        }
        Tapped::Some { held, ranges }
    }

    fn complete_carried(&mut self, piece: &[u8]) -> bool {
        if self.oversized || self.carry.len() + piece.len() > EVENT_MAX {
            self.oversized = false;
            self.unread = true;
            self.carry.clear();
            return false;
        }
        let mut event = std::mem::take(&mut self.carry);
        event.extend_from_slice(piece);
        let is_usage_chunk = {
            let has_usage = next_usage(self.usage_key, &event, 0).is_some();
            self.look(&event, has_usage)
        };
        event.clear();
        self.carry = event;
        is_usage_chunk
    }

    /// The same, holding back what might be the usage chunk.
    fn push_stripping(&mut self, bytes: &[u8]) -> Tapped {
        let mut held = None;
        let mut ranges: SmallVec<[Range<usize>; 4]> = SmallVec::new();
        let mut forward = |range: Range<usize>| match ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ if range.is_empty() => {}
            _ => ranges.push(range),
        };
        let mut start = self.scanner.leading(bytes);
        if !self.carry.is_empty() && start > 0 {
            // It ends a line of the event that is held back, so it waits behind that.
            self.carry.push(b'\n');
        } else if !self.dropped_last {
            forward(0..start);
        }
        while let Some(end) = self.scanner.next_end(bytes, start) {
            let piece = start..end;
            start = end;
            self.events += 1;
            if self.oversized {
                self.oversized = false;
                self.unread = true;
                self.dropped_last = false;
                forward(piece);
                continue;
            }
            let before = self.carry.clone();
            self.dropped_last = if before.is_empty() {
                {
                    let event = &bytes[piece.clone()];
                    let has_usage = next_usage(self.usage_key, event, 0).is_some();
                    self.look(event, has_usage)
                }
            } else {
                self.complete_carried(&bytes[piece.clone()])
            };
            if !self.dropped_last {
                if !before.is_empty() {
                    held = Some(before);
                }
                forward(piece);
            }
        }
        if self.oversized {
            forward(start..bytes.len());
        } else if self.carry.len() + (bytes.len() - start) > EVENT_MAX {
            // Too long for a usage chunk: let it go. What was carried is a first piece of it, so
            // that no event was completed above and nothing else is held.
            if !self.carry.is_empty() {
                held = Some(std::mem::take(&mut self.carry));
            }
            self.oversized = true;
            forward(start..bytes.len());
        } else {
            self.carry.extend_from_slice(&bytes[start..]);
        }
        Tapped::Some { held, ranges }
    }

    /// Reads what is needed of one whole event; true when it is a chunk of nothing but usage.
    #[inline]
    fn look(&mut self, event: &[u8], has_usage: bool) -> bool {
        self.unread = false;
        if self.framing == Framing::EventStream {
            match self.dialect {
                Dialect::Messages => self.look_at_wrapped(event),
                _ => self.look_at_frame(event, has_usage),
            }
            return false;
        }
        if self.dialect == Dialect::GenerateContent {
            self.look_at_chunk(event, has_usage);
            return false;
        }
        self.look_at_text(event, has_usage)
    }

    /// The same of a server-sent event of a dialect that names its last one.
    #[inline]
    fn look_at_text(&mut self, event: &[u8], has_usage: bool) -> bool {
        let hides_one = self.hides_errors && stream_error::may_hide_one(event);
        if hides_one || stream_error::may_be(self.dialect, event) {
            let event = SseEvent::parse(event);
            let data = event.data.as_deref().unwrap_or_default();
            self.note_error(stream_error::read(self.dialect, event.name, data));
        }
        if is_short(event) && self.dialect.codec().is_end(event) {
            self.ended = true;
            return false;
        }
        if !has_usage && stream_error::may_end(self.dialect, event) {
            let event = SseEvent::parse(event);
            let data = event.data.as_deref().unwrap_or_default();
            self.ended = self.ended || self.dialect.codec().ends_with_usage(data);
        }
        if !self.token_seen {
            let event = SseEvent::parse(event);
            let data = event.data.as_deref().unwrap_or_default();
            self.token_seen = self.dialect.codec().bears_token(data);
        }
        has_usage && self.read_usage(event)
    }

    #[cold]
    fn note_error(&mut self, error: Option<ProviderError>) {
        let class = error.map(|error| classify(500, &error));
        self.error = self.error.or(class);
    }

    /// The same of an event inside of a frame.
    fn look_at_wrapped(&mut self, event: &[u8]) {
        let Some(frame) = EventFrame::parse_unchecked(event) else {
            return;
        };
        if frame.is_failure() {
            let error = stream_error::read(Dialect::Converse, frame.name(), frame.payload);
            return self.note_error(error);
        }
        let Some(event) = wrapped(frame.payload) else {
            return;
        };
        // Bedrock adds its own counts to the last event, which is longer than others' then. How
        // other vendors end their streams is not known; they are taken as they come.
        let data = &event[WRAPPED.len()..];
        let counted = invoke::usage_of_event(data);
        self.ended = self.ended || counted.is_some() || self.dialect.codec().is_end(&event);
        self.unread = !data.starts_with(b"{\"type\":");
        self.usage = self.usage.or(counted);
        let has_usage = next_usage(self.usage_key, &event, 0).is_some();
        self.look_at_text(&event, has_usage);
    }

    /// The same of a binary frame, whose last one may carry usage and is no chunk of ours.
    fn look_at_frame(&mut self, event: &[u8], has_usage: bool) {
        let codec = self.dialect.codec();
        self.ended = self.ended || codec.is_end(event);
        let Some(frame) = EventFrame::parse_unchecked(event) else {
            return;
        };
        if frame.is_failure() {
            let error = stream_error::read(self.dialect, frame.name(), frame.payload);
            self.note_error(error);
        }
        self.token_seen = self.token_seen || codec.bears_token(frame.payload);
        let mut usage = self.usage.unwrap_or_default();
        if has_usage && codec.read_stream_usage(frame.payload, &mut usage) {
            self.usage = Some(usage);
            self.read_tier(frame.payload);
        }
    }

    fn read_tier(&mut self, data: &[u8]) {
        if self.reads_tier {
            self.tier = service_tier::granted(self.dialect, data).or(self.tier);
        }
    }

    /// The same of a chunk of Google's, which has everything at once: what ends the turn, usage,
    /// and the answer.
    fn look_at_chunk(&mut self, event: &[u8], has_usage: bool) {
        let data = match self.framing {
            Framing::JsonList => Cow::Borrowed(element(event)),
            _ => SseEvent::parse(event).data.unwrap_or_default(),
        };
        if stream_error::object_may_be(&data) {
            self.note_error(stream_error::read(self.dialect, None, &data));
        }
        let codec = self.dialect.codec();
        self.ended = self.ended || codec.is_end(&data);
        self.token_seen = self.token_seen || codec.bears_token(&data);
        let mut usage = self.usage.unwrap_or_default();
        if has_usage && codec.read_stream_usage(&data, &mut usage) {
            self.usage = Some(usage);
            self.read_tier(&data);
        }
    }

    fn read_usage(&mut self, event: &[u8]) -> bool {
        let event = SseEvent::parse(event);
        let data = event.data.as_deref().unwrap_or_default();
        let codec = self.dialect.codec();
        let mut usage = self.usage.unwrap_or_default();
        self.ended = self.ended || codec.ends_with_usage(data);
        if codec.read_stream_usage(data, &mut usage) {
            self.usage = Some(usage);
            self.read_tier(data);
            return codec.is_usage_chunk(data);
        }
        false
    }

    /// What is still held back when the stream has ended: forward it last.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        let tail = std::mem::take(&mut self.carry);
        let has_usage = next_usage(self.usage_key, &tail, 0).is_some();
        let is_usage_chunk = !tail.is_empty() && !self.oversized && self.look(&tail, has_usage);
        if self.strip && is_usage_chunk {
            Vec::new()
        } else {
            tail
        }
    }

    /// An error of the gateway's own, as bytes to end the stream with in place of what is missing.
    #[must_use]
    pub fn error_event(&self, class: ErrorClass, code: &str, message: &str) -> Vec<u8> {
        let dialect = match (self.dialect, self.framing) {
            (Dialect::Messages, Framing::EventStream) => Dialect::Converse,
            (dialect, _) => dialect,
        };
        let event = crate::error_event(dialect, class, code, message);
        if self.framing != Framing::JsonList {
            return event;
        }
        // The last element of the list, which is open already when an element has passed.
        let joint: &[u8] = if self.events > 0 { b",\r\n" } else { b"[" };
        let element = event.strip_prefix(b"data: ").unwrap_or(&event);
        [joint, element.trim_ascii_end(), b"]"].concat()
    }

    /// Counts so far.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The service tier that the provider names, where it is read.
    #[must_use]
    pub fn tier(&self) -> Option<ServiceTier> {
        self.tier
    }

    /// Whether an event with a token (text, thinking or a tool call) has passed.
    #[must_use]
    pub fn token_seen(&self) -> bool {
        self.token_seen
    }

    /// Whether the dialect's last event has passed.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether nothing is known to be missing of a stream that has no more bytes: its last event has
    /// passed, an error has, or an event too long to be read; or the dialect is one whose vendors
    /// need no last event, and one says why the answer stopped.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let stopped = |last: &Last| last.names_a_reason();
        let is_over = self.ended || self.error.is_some() || self.oversized || self.unread;
        is_over || self.last.as_ref().is_some_and(stopped)
    }

    /// The class of the error that the provider sent as an event, if it did.
    #[must_use]
    pub fn error(&self) -> Option<ErrorClass> {
        self.error
    }

    /// Number of whole events so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }
}

/// What stands before the data of such an event.
const WRAPPED: &[u8] = b"data: ";

/// The event whose data a frame's payload holds, as server-sent events write it.
fn wrapped(payload: &[u8]) -> Option<Vec<u8>> {
    let at = value_of_member(payload, b"bytes")?;
    let text = crate::json::scan::Scanner::at(payload, at).string().ok()?;
    let mut event = WRAPPED.to_vec();
    STANDARD.decode_vec(text.inner, &mut event).ok()?;
    event.extend_from_slice(b"\n\n");
    Some(event)
}

/// The next key of usage at or after `from` whose value is an object: chunks say null until the last.
fn next_usage(key: &Finder<'_>, bytes: &[u8], from: usize) -> Option<usize> {
    let mut from = from;
    loop {
        let at = from + key.find(&bytes[from..])?;
        from = at + key.needle().len();
        let mut rest = bytes[from..]
            .iter()
            .filter(|byte| !matches!(byte, b' ' | b'\t' | b':'));
        if rest.next() == Some(&b'{') {
            return Some(at);
        }
    }
}
