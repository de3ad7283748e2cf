//! JSON strings as bytes: reading their text, and changing parts of it without touching the rest.
//!
//! All offsets of edits are in the *text*, after escapes were resolved. Splicing walks the raw
//! string beside its text, so that an escape outside of an edit keeps its spelling.

use std::ops::Range;

/// A part of a text and what takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    /// Bytes of the text.
    pub(crate) range: Range<usize>,
    /// The new text.
    pub(crate) with: String,
}

/// One character or escape of a raw string.
struct Unit {
    /// Raw bytes it takes.
    raw: usize,
    /// What it means, and how many bytes of `text` count.
    text: [u8; 4],
    length: usize,
}

/// The unit at the start of `raw`, which is not empty. A broken escape stands for itself, a lone
/// surrogate for U+FFFD.
fn unit(raw: &[u8]) -> Unit {
    let plain = |byte: u8, raw: usize| Unit {
        raw,
        text: [byte, 0, 0, 0],
        length: 1,
    };
    if raw[0] != b'\\' {
        return plain(raw[0], 1);
    }
    match raw.get(1) {
        Some(b'n') => plain(b'\n', 2),
        Some(b't') => plain(b'\t', 2),
        Some(b'r') => plain(b'\r', 2),
        Some(b'b') => plain(8, 2),
        Some(b'f') => plain(12, 2),
        Some(&byte @ (b'"' | b'\\' | b'/')) => plain(byte, 2),
        Some(b'u') => match hex4(raw, 2) {
            Some(first) => wide(raw, first),
            None => plain(b'\\', 1),
        },
        _ => plain(b'\\', 1),
    }
}

fn wide(raw: &[u8], first: u32) -> Unit {
    let low = (raw.get(6..8) == Some(br"\u"))
        .then(|| hex4(raw, 8))
        .flatten();
    let (code, taken) = match (first, low) {
        (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
            (0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00), 12)
        }
        _ => (first, 6),
    };
    let mut text = [0; 4];
    let char = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    let length = char.encode_utf8(&mut text).len();
    Unit {
        raw: taken,
        text,
        length,
    }
}

fn hex4(raw: &[u8], at: usize) -> Option<u32> {
    let digits = raw.get(at..at + 4)?;
    digits.iter().try_fold(0, |sum, &digit| {
        Some(sum * 16 + char::from(digit).to_digit(16)?)
    })
}

/// Appends the text of a raw string (without its quotes) to `out`.
pub(crate) fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let unit = unit(&rest[at..]);
        out.extend_from_slice(&unit.text[..unit.length]);
        rest = &rest[at + unit.raw..];
    }
    out.extend_from_slice(rest);
}

/// Appends a text as the inside of a JSON string.
pub(crate) fn escape(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
}

/// Appends the raw string with these edits, which are in order and do not overlap.
pub(crate) fn splice(raw: &[u8], edits: &[Edit], out: &mut Vec<u8>) {
    let (mut at, mut position) = (0, 0);
    for edit in edits {
        while at < raw.len() && position < edit.range.start {
            let unit = unit(&raw[at..]);
            out.extend_from_slice(&raw[at..at + unit.raw]);
            at += unit.raw;
            position += unit.length;
        }
        escape(&edit.with, out);
        while at < raw.len() && position < edit.range.end {
            let unit = unit(&raw[at..]);
            at += unit.raw;
            position += unit.length;
        }
    }
    out.extend_from_slice(&raw[at..]);
}

/// Where a byte of text that was read through a [`Lens`] comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// First byte of the source.
    pub(crate) start: usize,
    /// Bytes of the source.
    length: u8,
    place: SeenIn,
}

impl Seen {
    /// Whether it lies outside of strings.
    pub(crate) fn is_outside(self) -> bool {
        self.place == SeenIn::Outside
    }

    /// Whether it lies in the same kind of place as another.
    pub(crate) fn is_with(self, other: Self) -> bool {
        self.place == other.place
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SeenIn {
    String,
    Quote,
    Outside,
}

/// Reads JSON text that comes in pieces: escapes inside of strings are resolved, everything else
/// is seen as it is.
#[derive(Debug, Default)]
pub(crate) struct Lens {
    in_string: bool,
    /// An escape that is not complete.
    escape: Vec<u8>,
}

impl Lens {
    /// Bytes of the source that wait for the rest of their escape.
    pub(crate) fn pending(&self) -> usize {
        self.escape.len()
    }

    /// Reads `source`, whose first byte is number `offset`.
    pub(crate) fn push(
        &mut self,
        source: &[u8],
        offset: usize,
        text: &mut Vec<u8>,
        seen: &mut Vec<Seen>,
    ) {
        for (index, byte) in source.iter().enumerate() {
            self.byte(*byte, offset + index, text, seen);
        }
    }

    fn byte(&mut self, byte: u8, start: usize, text: &mut Vec<u8>, seen: &mut Vec<Seen>) {
        if !self.escape.is_empty() || self.in_string && byte == b'\\' {
            self.escape.push(byte);
            if is_complete(&self.escape) {
                self.take_unit(start + 1, text, seen);
                // A lone surrogate or a broken escape leaves something to be read again.
                let rest = std::mem::take(&mut self.escape);
                for (index, byte) in rest.iter().enumerate() {
                    self.byte(*byte, start + 1 - rest.len() + index, text, seen);
                }
            }
            return;
        }
        let place = match (self.in_string, byte) {
            (_, b'"') => SeenIn::Quote,
            (true, _) => SeenIn::String,
            (false, _) => SeenIn::Outside,
        };
        self.in_string ^= place == SeenIn::Quote;
        text.push(byte);
        seen.push(Seen {
            start,
            length: 1,
            place,
        });
    }

    /// No more source will come: an escape that is not complete stands for itself.
    pub(crate) fn finish(&mut self, end: usize, text: &mut Vec<u8>, seen: &mut Vec<Seen>) {
        while !self.escape.is_empty() {
            self.take_unit(end, text, seen);
        }
    }

    /// Moves the first unit of the kept escape into the text; the escape ends at `end`.
    fn take_unit(&mut self, end: usize, text: &mut Vec<u8>, seen: &mut Vec<Seen>) {
        let unit = unit(&self.escape);
        let from = Seen {
            start: end - self.escape.len(),
            length: unit.raw as u8,
            place: SeenIn::String,
        };
        text.extend_from_slice(&unit.text[..unit.length]);
        seen.extend(std::iter::repeat_n(from, unit.length));
        self.escape.drain(..unit.raw);
    }
}

/// Whether the kept bytes begin with a whole unit, the second half of a surrogate pair included.
fn is_complete(escape: &[u8]) -> bool {
    match escape {
        [] | [b'\\'] => false,
        [b'\\', b'u', rest @ ..] => match (rest.len(), hex4(escape, 2)) {
            (..4, _) => rest.iter().any(|byte| !byte.is_ascii_hexdigit()),
            (_, Some(0xd800..=0xdbff)) => {
                let low = &rest[4..];
                low.len() >= 6
                    || !br"\u".starts_with(&low[..low.len().min(2)])
                    || low.iter().skip(2).any(|byte| !byte.is_ascii_hexdigit())
            }
            _ => true,
        },
        _ => true,
    }
}

/// Moves an edit of text that was read through a lens to its place in the source, with its new
/// text escaped. False when it touches nothing but quotes.
///
/// An edit across strings stops at the first quote. One outside of strings, of a number, becomes a
/// string, so that the source stays JSON.
pub(crate) fn lift(edit: &mut Edit, seen: &[Seen]) -> bool {
    let part = &seen[edit.range.clone()];
    let Some(first) = part.iter().position(|seen| seen.place != SeenIn::Quote) else {
        return false;
    };
    let place = part[first].place;
    let same = part[first..].iter().take_while(|seen| seen.place == place);
    let last = part[first + same.count() - 1];
    edit.range = part[first].start..last.start + usize::from(last.length);
    let mut with = Vec::with_capacity(edit.with.len() + 2);
    escape(&edit.with, &mut with);
    edit.with = String::from_utf8(with).expect("escaping keeps UTF-8");
    if place == SeenIn::Outside {
        edit.with = format!("\"{}\"", edit.with);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(raw: &str) -> String {
        let mut out = Vec::new();
        unescape(raw.as_bytes(), &mut out);
        String::from_utf8(out).expect("UTF-8 stays UTF-8")
    }

    fn spliced(raw: &str, edits: &[Edit]) -> String {
        let mut out = Vec::new();
        splice(raw.as_bytes(), edits, &mut out);
        String::from_utf8(out).expect("UTF-8 stays UTF-8")
    }

    #[test]
    fn escapes_outside_of_an_edit_keep_their_spelling() {
        let raw = r"\u0041\/\n x@y \ud83d\ude00\u00e9";
        assert_eq!(text(raw), "A/\n x@y 😀é");
        let edit = Edit {
            range: 4..7,
            with: "\"1\"".into(),
        };
        assert_eq!(
            spliced(raw, &[edit]),
            "\\u0041\\/\\n \\\"1\\\" \\ud83d\\ude00\\u00e9"
        );
    }

    #[test]
    fn broken_escapes_stand_for_themselves() {
        assert_eq!(text(r"\ud83d x \q \u12"), "\u{fffd} x \\q \\u12");
    }

    fn through_lens(source: &str, cuts: &[usize]) -> (Vec<u8>, Vec<Seen>) {
        let (mut lens, mut text, mut seen) = (Lens::default(), Vec::new(), Vec::new());
        let mut at = 0;
        for cut in cuts.iter().copied().chain([source.len()]) {
            lens.push(&source.as_bytes()[at..cut], at, &mut text, &mut seen);
            at = cut;
        }
        lens.finish(source.len(), &mut text, &mut seen);
        (text, seen)
    }

    #[test]
    fn an_edit_is_lifted_through_two_layers() {
        // The text is JSON itself, as tool arguments are.
        let source = r#"{"a":"x\u0022y\ud83d\ude00z","n":41}"#;
        let (text, seen) = through_lens(source, &[]);
        assert_eq!(text, "{\"a\":\"x\"y😀z\",\"n\":41}".as_bytes());
        let at = |what: &str| {
            let start = memchr::memmem::find(&text, what.as_bytes()).unwrap();
            start..start + what.len()
        };
        for (what, expected) in [
            ("y😀", r#"{"a":"x\u0022\"!z","n":41}"#),
            ("41", r#"{"a":"x\u0022y\ud83d\ude00z","n":"\"!"}"#),
        ] {
            let mut edit = Edit {
                range: at(what),
                with: "\"!".into(),
            };
            assert!(lift(&mut edit, &seen));
            let mut out = source.to_owned();
            out.replace_range(edit.range, &edit.with);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn a_lens_sees_the_same_wherever_the_source_is_cut() {
        for source in [
            r#"{"k":"\ud83d\ude00 \ud83d \ud83d\n \u12x \q \\","v":[1,"é"]}"#,
            r#""\ud83d\u00"#,
            r#""\"#,
        ] {
            let whole = through_lens(source, &[]);
            for a in 0..=source.len() {
                for b in a..=source.len() {
                    assert_eq!(through_lens(source, &[a, b]), whole, "{source} {a} {b}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn text_is_what_serde_reads_and_edits_fall_where_they_should(
            value in "[a-c\"\\\\\n\u{e9}\u{1f600}/]{0,24}", a in 0..30_usize, b in 0..30_usize,
        ) {
            let raw = serde_json::to_string(&value).unwrap().replace('/', "\\/").replace('é', "\\u00e9");
            let raw = &raw[1..raw.len() - 1];
            prop_assert_eq!(text(raw), value.clone());
            prop_assert_eq!(spliced(raw, &[]), raw);
            let (a, b) = (a.min(b), a.max(b));
            if b <= value.len() && value.is_char_boundary(a) && value.is_char_boundary(b) {
                let edited = spliced(raw, &[Edit { range: a..b, with: "<\">".into() }]);
                prop_assert_eq!(text(&edited), format!("{}<\">{}", &value[..a], &value[b..]));
            }
        }
    }
}
