//! Bodies that are recorded, where a resource says so.
//!
//! They are gathered as they pass, up to a limit, and are text for nobody until [`RecordedBody::text`]
//! is asked for: whoever writes logs or traces asks, on a thread of its own, and gets what was
//! redacted. How much may wait in memory for that is bounded by a [`BodyRoom`].

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Which body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodySide {
    /// What the caller sent.
    Request,
    /// What the caller got.
    Response,
}

/// Makes recorded bytes into text that may be kept.
pub trait BodyReader: Send + Sync {
    /// The text of these bytes, redacted. It may be heavy: it is never called on a worker.
    fn text(&self, side: BodySide, bytes: &[u8]) -> String;

    /// The messages of a whole body in OpenTelemetry's form, as JSON; none where it holds none.
    fn messages(&self, side: BodySide, bytes: &[u8]) -> Option<String>;
}

/// How many bytes of recorded bodies may wait to be written.
#[derive(Debug)]
pub struct BodyRoom {
    left: AtomicUsize,
}

impl BodyRoom {
    /// Room for so many bytes.
    #[must_use]
    pub const fn new(bytes: usize) -> Self {
        Self {
            left: AtomicUsize::new(bytes),
        }
    }

    /// Takes room, if there is so much.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Option<BodyPlace> {
        let less = |left: usize| left.checked_sub(bytes);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.ok().map(|_| BodyPlace {
            room: self.clone(),
            bytes,
        })
    }
}

/// Room that was taken; given back when dropped.
#[derive(Debug)]
pub struct BodyPlace {
    room: Arc<BodyRoom>,
    bytes: usize,
}

impl Drop for BodyPlace {
    fn drop(&mut self) {
        self.room.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// A body, or its beginning, as it passed.
pub struct RecordedBody {
    /// Which.
    pub side: BodySide,
    /// Bytes of the whole body, as far as it passed.
    pub total: u64,
    /// Most bytes of its text.
    most: usize,
    /// Bytes that are gathered: more than `most`, so that what is redacted is seen whole.
    gathered_max: usize,
    bytes: Vec<u8>,
    reader: Arc<dyn BodyReader>,
    text: OnceLock<String>,
    _place: BodyPlace,
}

/// Never shows what was recorded.
impl fmt::Debug for RecordedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordedBody({:?}, {} bytes)", self.side, self.total)
    }
}

impl RecordedBody {
    /// A body of which nothing has passed. Its text has `most` bytes at most; `more` bytes behind
    /// them are looked at too.
    #[must_use]
    pub fn new(
        side: BodySide,
        most: usize,
        more: usize,
        reader: Arc<dyn BodyReader>,
        place: BodyPlace,
    ) -> Self {
        Self {
            side,
            total: 0,
            most,
            gathered_max: most.saturating_add(more),
            bytes: Vec::new(),
            reader,
            text: OnceLock::new(),
            _place: place,
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = self.gathered_max - self.bytes.len().min(self.gathered_max);
        self.bytes
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The text that may be kept. Heavy the first time: never on a worker.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.get_or_init(|| {
            let mut text = self.reader.text(self.side, &self.bytes);
            if text.len() > self.most {
                let mut end = self.most;
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                text.truncate(end);
            }
            text
        })
    }

    /// Whether the text lacks some of the body's end.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.total > self.bytes.len() as u64 || self.text().len() >= self.most
    }

    /// The messages in OpenTelemetry's form, as JSON, redacted; none of a body that was not
    /// recorded whole.
    #[must_use]
    pub fn messages(&self) -> Option<String> {
        if self.is_truncated() {
            return None;
        }
        self.reader.messages(self.side, &self.bytes)
    }
}

/// The recorded bodies of an exchange.
#[derive(Debug, Default)]
pub struct Bodies {
    /// What the caller sent.
    pub request: Option<RecordedBody>,
    /// What the caller got.
    pub response: Option<RecordedBody>,
    /// Bodies that were not recorded because too many wait to be written.
    pub dropped: u32,
}
