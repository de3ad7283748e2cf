//! Reads usage and model from an answer as its bytes pass.
//!
//! A JSON answer is walked byte by byte with a few words of state; only the small members that
//! matter are kept, so that an answer of any size costs no memory. Of a stream of events only those
//! that mention usage are read. The result does not depend on how the bytes were cut.

use super::counts::Counts;
use crate::json::scan::Scanner;
use crate::usage::value_of_member;
use crate::{Dialect, SseFramer, Usage};
use gate_model::units::Pieces;
use memchr::{memchr2, memmem};

/// Longest member that is kept, in bytes.
const MEMBER_MAX: usize = 16 * 1024;
/// Longest event of a stream that is read, in bytes: one of pictures passes unread.
const EVENT_MAX: usize = 1024 * 1024;

/// Watches one answer.
#[derive(Debug)]
pub struct Watch {
    reader: Reader,
    usage: Option<Usage>,
    pieces: Pieces,
    model: Option<String>,
    /// Whose counts the usage is, where they are a conversation's.
    dialect: Option<Dialect>,
}

#[derive(Debug)]
enum Reader {
    Json(Box<Members>),
    Events(SseFramer),
    /// Nothing to be read, or nothing any more.
    Blind,
}

impl Watch {
    /// A watch on an answer with this content type.
    #[must_use]
    pub fn of(content_type: &[u8]) -> Self {
        let is = |kind: &[u8]| {
            content_type
                .get(..kind.len())
                .is_some_and(|c| c.eq_ignore_ascii_case(kind))
        };
        Self {
            reader: match () {
                () if is(b"application/json") => Reader::Json(Box::default()),
                () if is(b"text/event-stream") => Reader::Events(SseFramer::new(EVENT_MAX)),
                () => Reader::Blind,
            },
            usage: None,
            pieces: Pieces::default(),
            model: None,
            dialect: None,
        }
    }

    /// The same on a whole answer of a conversation in this dialect.
    #[must_use]
    pub const fn counting_as(mut self, dialect: Dialect) -> Self {
        self.dialect = Some(dialect);
        self
    }

    /// Reads the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let (usage, model, pieces) = (&mut self.usage, &mut self.model, &mut self.pieces);
        match &mut self.reader {
            Reader::Blind => {}
            Reader::Json(members) => members.push(bytes, |name, value| match name {
                b"model" => {
                    let text = Scanner::at(value, 0).string().ok();
                    *model = text.and_then(|text| Some(text.value(value).ok()?.into_owned()));
                }
                b"duration" => pieces.audio_ms = milliseconds(value).unwrap_or(pieces.audio_ms),
                _ if self.dialect.is_some() => {
                    let mut counts = Usage::default();
                    let codec = self.dialect.map(Dialect::codec);
                    let read = codec.and_then(|codec| codec.read_usage(value, 0, &mut counts));
                    // Other vendors' counts have other names.
                    if read.is_some() && counts != Usage::default() {
                        *usage = Some(counts);
                    }
                }
                _ => {
                    *usage = Counts::read(value).or(*usage);
                    *pieces = pieces.or_better(&Counts::pieces(value));
                }
            }),
            Reader::Events(framer) => {
                let read = framer.push(bytes, |event| {
                    let data = event.data.as_deref().unwrap_or_default();
                    *usage = usage_of_event(data).or(*usage);
                    if let Some(counted) = usage_object(data) {
                        *pieces = pieces.or_better(&Counts::pieces(counted));
                    }
                    Ok(())
                });
                if read.is_err() {
                    self.reader = Reader::Blind;
                }
            }
        }
    }

    /// Token counts, as far as they came.
    #[must_use]
    pub const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// What the answer counts besides tokens; images are counted where they are listed.
    #[must_use]
    pub fn pieces(&self) -> Pieces {
        let listed = match &self.reader {
            Reader::Json(members) => members.listed,
            _ => 0,
        };
        let counted = Pieces {
            images: listed,
            ..Pieces::default()
        };
        counted.or_better(&self.pieces)
    }

    /// The model that the answer names, once.
    #[must_use]
    pub fn take_model(&mut self) -> Option<String> {
        self.model.take()
    }
}

/// The usage of a JSON event, at its top or in its `response`.
pub(super) fn usage_of_event(data: &[u8]) -> Option<Usage> {
    Counts::read(usage_object(data)?)
}

/// Where an event's usage begins.
fn usage_object(data: &[u8]) -> Option<&[u8]> {
    memmem::find(data, b"\"usage\"")?;
    let member = |document: &[u8], name: &[u8]| {
        let at = value_of_member(document, name)?;
        Some(at).filter(|at| document.get(*at) == Some(&b'{'))
    };
    if let Some(at) = member(data, b"usage") {
        return data.get(at..);
    }
    let response = member(data, b"response")?;
    let at = member(&data[response..], b"usage")?;
    data.get(response + at..)
}

/// Seconds, as a number or a text of one, in whole milliseconds.
fn milliseconds(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?.trim().trim_matches('"');
    let time = std::time::Duration::try_from_secs_f64(text.parse().ok()?).ok()?;
    u64::try_from(time.as_millis()).ok()
}

/// Finds members of the outermost object as its bytes pass.
#[derive(Debug, Default)]
struct Members {
    depth: u32,
    /// Inside a string, and whether its next byte is escaped.
    in_string: bool,
    escaped: bool,
    /// At the top, a key is due next; otherwise a value.
    wants_key: bool,
    /// The key being read or last read, cut short.
    key: Vec<u8>,
    reading_key: bool,
    /// The value being kept.
    value: Vec<u8>,
    keeping: bool,
    /// Objects in the list `data`.
    listed: u64,
}

/// Members that are handed on.
const WANTED: [&[u8]; 5] = [b"usage", b"meta", b"usageMetadata", b"model", b"duration"];

impl Members {
    fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8], &[u8])) {
        let mut at = 0;
        while at < bytes.len() {
            if self.in_string {
                at = self.string(bytes, at);
                continue;
            }
            let byte = bytes[at];
            at += 1;
            let ends = self.depth == 1 && matches!(byte, b',' | b'}' | b']');
            if ends && std::mem::take(&mut self.keeping) {
                if self.value.len() < MEMBER_MAX {
                    each(&self.key, &self.value);
                }
                self.value.clear();
            }
            self.byte(byte);
        }
    }

    fn byte(&mut self, byte: u8) {
        if self.keeping {
            self.keep(&[byte]);
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.reading_key = self.depth == 1 && self.wants_key;
                if self.reading_key {
                    self.key.clear();
                }
            }
            b'{' | b'[' => {
                if byte == b'{' && self.depth == 2 && self.key == b"data" {
                    self.listed += 1;
                }
                self.depth += 1;
                self.wants_key = self.depth == 1;
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b',' if self.depth == 1 => self.wants_key = true,
            b':' if self.depth == 1 => {
                self.wants_key = false;
                self.keeping = WANTED.contains(&&self.key[..]);
            }
            _ => {}
        }
    }

    /// Reads on inside a string; where to go on.
    fn string(&mut self, bytes: &[u8], at: usize) -> usize {
        let rest = &bytes[at..];
        let length = match self.escaped {
            true => 1,
            false => memchr2(b'"', b'\\', rest).map_or(rest.len(), |stop| stop + 1),
        };
        let (read, last) = (&rest[..length], rest[length - 1]);
        if self.reading_key && self.key.len() < 32 {
            let text = read.strip_suffix(b"\"").unwrap_or(read);
            self.key.extend_from_slice(&text[..text.len().min(32)]);
        } else if self.keeping {
            self.keep(read);
        }
        if self.escaped {
            self.escaped = false;
        } else {
            self.escaped = last == b'\\';
            self.in_string = last != b'"';
        }
        at + length
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = MEMBER_MAX - self.value.len();
        self.value
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn watched(kind: &str, pieces: &[&[u8]]) -> (Option<Usage>, Option<String>) {
        let mut watch = Watch::of(kind.as_bytes());
        pieces.iter().for_each(|piece| watch.push(piece));
        (watch.usage(), watch.take_model())
    }

    const ANSWER: &str = r#"{"data":[{"usage":{"total_tokens":1},"model":"no"},"a,\"usage\":{}\\"],
        "model":"m\"1", "usage" : {"prompt_tokens":4,"total_tokens":4},"x":[[1.5,-2],{}]}"#;

    #[test]
    fn members_at_the_top_are_found_at_every_cut() {
        let whole = watched("application/json", &[ANSWER.as_bytes()]);
        assert_eq!(whole.0.map(|usage| usage.input_tokens), Some(4));
        assert_eq!(whole.1.as_deref(), Some("m\"1"));
        for at in 0..ANSWER.len() {
            let (a, b) = ANSWER.as_bytes().split_at(at);
            assert_eq!(
                watched("application/json; charset=utf-8", &[a, b]),
                whole,
                "{at}"
            );
        }
        assert_eq!(watched("audio/mpeg", &[ANSWER.as_bytes()]), (None, None));
    }

    #[test]
    fn images_and_seconds_are_counted() {
        let pieces = |text: &str| {
            let mut watch = Watch::of(b"application/json");
            text.as_bytes()
                .chunks(3)
                .for_each(|piece| watch.push(piece));
            watch.pieces()
        };
        let images = r#"{"created":1,"data":[{"b64_json":"a{["},{"url":"x","y":{}}],"usage":{"output_tokens_details":{"image_tokens":5}}}"#;
        let counted = pieces(images);
        assert_eq!((counted.images, counted.image_output_tokens), (2, 5));
        assert_eq!(pieces(r#"{"text":"x","duration":8.47}"#).audio_ms, 8_470);
        assert_eq!(pieces(r#"{"duration":"2.5","text":"x"}"#).audio_ms, 2_500);
        let told = r#"{"text":"x","usage":{"type":"duration","seconds":9}}"#;
        assert_eq!(pieces(told).audio_ms, 9_000);
        assert_eq!(pieces(r#"{"duration":"long","data":3}"#), Pieces::default());
    }

    #[test]
    fn events_are_read_at_every_cut() {
        let stream = "data: {\"type\":\"x.delta\",\"delta\":\"\\\"usage\\\"\"}\n\n\
            data: {\"type\":\"x.done\",\"usage\":{\"input_tokens\":3,\"output_tokens\":2}}\n\n\
            data: [DONE]\n\n";
        for at in 0..stream.len() {
            let (a, b) = stream.as_bytes().split_at(at);
            let (usage, _) = watched("text/event-stream", &[a, b]);
            let usage = usage.unwrap();
            assert_eq!((usage.input_tokens, usage.output_tokens), (3, 2));
        }
    }

    #[test]
    fn endless_members_and_events_cost_no_memory() {
        let mut watch = Watch::of(b"application/json");
        watch.push(b"{\"usage\":{\"a\":\"");
        (0..100).for_each(|_| watch.push(&[b'x'; 4096]));
        let Reader::Json(members) = &watch.reader else {
            unreachable!()
        };
        assert!(members.value.len() <= MEMBER_MAX);
        let mut watch = Watch::of(b"text/event-stream");
        (0..600).for_each(|_| watch.push(&[b'x'; 4096]));
        assert!(matches!(watch.reader, Reader::Blind));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, cut in 0_usize..64) {
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(
                watched("application/json", &[a, b]),
                watched("application/json", &[&bytes])
            );
        }
    }
}
