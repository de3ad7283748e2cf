//! JSON as tokens: where a string ends, where a value ends, what a string says. Knows no patterns.
//! What is passed over is only bracketed, not judged: an event is validated where it comes in.

use gate_kit::block::first_quote_or_backslash;

/// Why bytes are no JSON that we read: what is wrong, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// What was expected or found, as a sentence's end.
    pub problem: &'static str,
    /// Offset of the byte from the start of the text.
    pub at: usize,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} at byte {}", self.problem, self.at)
    }
}

impl std::error::Error for Malformed {}

/// Most objects and arrays within each other that are passed over or read.
pub(super) const DEPTH_MAX: usize = 128;

/// A place in a text.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn wrong(&self, problem: &'static str) -> Malformed {
        let at = self.at;
        Malformed { problem, at }
    }

    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline(always)]
    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Passes the byte when it is there.
    #[inline(always)]
    pub(super) fn pass(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// From behind an opening quote to behind the closing one: what lies between, and whether
    /// something in it is escaped.
    #[inline]
    pub(super) fn string(&mut self) -> Result<(&'a [u8], bool), Malformed> {
        let from = self.at;
        let mut escaped = false;
        loop {
            let stop = match self.bytes[self.at..].first_chunk::<16>() {
                Some(block) => match first_quote_or_backslash(block) {
                    Some(stop) => stop,
                    None => {
                        self.at += 16;
                        continue;
                    }
                },
                None => {
                    let rest = &self.bytes[self.at..];
                    let stop = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
                    stop.ok_or_else(|| self.wrong("a string has no end"))?
                }
            };
            self.at += stop;
            if self.bytes[self.at] == b'"' {
                self.at += 1;
                return Ok((&self.bytes[from..self.at - 1], escaped));
            }
            escaped = true;
            self.at += 2;
            if self.at > self.bytes.len() {
                self.at = self.bytes.len();
                return Err(self.wrong("a string has no end"));
            }
        }
    }

    /// A number or a word: to the first byte that is part of neither.
    #[inline]
    pub(super) fn word(&mut self) -> &'a [u8] {
        let from = self.at;
        while let Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'-' | b'+') = self.peek() {
            self.at += 1;
        }
        &self.bytes[from..self.at]
    }

    /// Passes over a value, whatever it is.
    #[inline]
    pub(super) fn skip(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.string().map(drop)
            }
            Some(b'{' | b'[') => self.skip_nested(),
            _ => match self.word() {
                [] => Err(self.wrong("a value is missing")),
                _ => Ok(()),
            },
        }
    }

    fn skip_nested(&mut self) -> Result<(), Malformed> {
        // One bit for each level: whether it is an object.
        let (mut objects, mut depth) = (0_u128, 0_usize);
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => drop(self.string()?),
                b'{' | b'[' => {
                    objects = objects << 1 | u128::from(byte == b'{');
                    depth += 1;
                    if depth > DEPTH_MAX {
                        return Err(self.wrong("objects and arrays lie too deep"));
                    }
                }
                b'}' | b']' => {
                    if (objects & 1 == 1) != (byte == b'}') {
                        return Err(self.wrong("a bracket closes another's"));
                    }
                    objects >>= 1;
                    depth -= 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ => {}
            }
        }
        Err(self.wrong("an object or array has no end"))
    }
}

/// Writes what a string with escapes says, behind what `out` holds. Half of a surrogate pair becomes
/// U+FFFD.
pub(super) fn unescape(mut text: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    while let Some(at) = text.iter().position(|byte| *byte == b'\\') {
        out.extend_from_slice(&text[..at]);
        let simple = match text.get(at + 1) {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(&byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'u') => {
                let mut unit = code_unit(&text[at..])?;
                text = &text[at + 6..];
                if (0xd800..0xdc00).contains(&unit)
                    && text.starts_with(b"\\u")
                    && let low @ 0xdc00..0xe000 = code_unit(text)?
                {
                    unit = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                    text = &text[6..];
                }
                let letter = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            _ => return Err("an escape is unknown"),
        };
        out.push(simple);
        text = &text[at + 2..];
    }
    out.extend_from_slice(text);
    Ok(())
}

/// The four digits behind `\u`.
fn code_unit(escape: &[u8]) -> Result<u32, &'static str> {
    let digits = escape.get(2..6).ok_or("an escape has no end")?;
    let mut unit = 0;
    for &digit in digits {
        let digit = char::from(digit).to_digit(16);
        unit = unit << 4 | digit.ok_or("an escape has no four digits")?;
    }
    Ok(unit)
}
