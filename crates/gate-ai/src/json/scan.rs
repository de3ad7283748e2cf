//! A lazy scanner over JSON bytes: finds the members of an object, skips what nobody asked for.
//!
//! What it returns is checked (strings are unescaped by serde_json unless they are plain, bracket
//! kinds match, nothing trails the document). What it skips is only delimited: a provider that is
//! stricter will say so itself, and none can see other members at the top than this scanner does.

use crate::DialectError;
use gate_kit::block::first_quote_or_backslash;
use std::borrow::Cow;
use std::ops::Range;

/// Deepest nesting accepted, the same as serde_json's own limit.
const DEPTH_MAX: u32 = 128;

/// Where a document stops being JSON, in one word so that results travel in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScanError(u32);

impl ScanError {
    const TOO_DEEP: Self = Self(u32::MAX);

    fn at(offset: usize) -> Self {
        Self(u32::try_from(offset).unwrap_or(u32::MAX - 1))
    }
}

impl From<ScanError> for DialectError {
    #[cold]
    fn from(error: ScanError) -> Self {
        if error == ScanError::TOO_DEEP {
            return Self::TooDeep;
        }
        Self::json(error.0 as usize)
    }
}

/// Takes in every string that a scanner passes, keys included, in their order.
pub(crate) trait Strings {
    /// A string whose first byte is at `start` of the document; `next` is one past its closing quote.
    fn take(&mut self, document: &[u8], start: usize, next: usize, is_escaped: bool);
}

/// Nobody asks for them.
impl Strings for () {
    #[inline(always)]
    fn take(&mut self, _: &[u8], _: usize, _: usize, _: bool) {}
}

/// A position in a document, and who is told of the strings on the way.
pub(crate) struct Scanner<'a, S = ()> {
    bytes: &'a [u8],
    pos: usize,
    strings: S,
}

/// A string as found between its quotes.
#[derive(Clone, Copy)]
pub(crate) struct RawString<'a> {
    /// The bytes between the quotes, escapes and all.
    pub(crate) inner: &'a [u8],
    /// Where the string lies in the document, quotes included.
    pub(crate) start: usize,
    /// One past the closing quote.
    pub(crate) end: usize,
    escaped: bool,
}

impl<'a> RawString<'a> {
    /// Whether there are escapes in it, so that `inner` is not its value.
    #[inline]
    pub(crate) fn is_escaped(&self) -> bool {
        self.escaped
    }

    /// The string's value.
    ///
    /// # Errors
    /// When an escape, a control character or a byte sequence is not valid JSON text.
    pub(crate) fn value(&self, document: &'a [u8]) -> Result<Cow<'a, str>, ScanError> {
        // Without a branch for each byte, so that the compiler uses vectors.
        let control = |seen, &byte: &u8| seen | (byte < 0x20);
        if !self.escaped && !self.inner.iter().fold(false, control) {
            let text = std::str::from_utf8(self.inner).map_err(|_| ScanError::at(self.start))?;
            return Ok(Cow::Borrowed(text));
        }
        serde_json::from_slice(&document[self.start..self.end])
            .map(Cow::Owned)
            .map_err(|_| ScanError::at(self.start))
    }
}

/// What a byte outside of strings means to the skipper.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Bad,
    Space,
    Scalar,
    Separator,
    Quote,
    Open,
    Close,
}

const CLASS: [Class; 256] = {
    let mut table = [Class::Bad; 256];
    let scalar = b"+-.0123456789abcdefghijklmnopqrstuvwxyzE";
    let mut i = 0;
    while i < scalar.len() {
        table[scalar[i] as usize] = Class::Scalar;
        i += 1;
    }
    table[b' ' as usize] = Class::Space;
    table[b'\t' as usize] = Class::Space;
    table[b'\r' as usize] = Class::Space;
    table[b'\n' as usize] = Class::Space;
    table[b',' as usize] = Class::Separator;
    table[b':' as usize] = Class::Separator;
    table[b'"' as usize] = Class::Quote;
    table[b'{' as usize] = Class::Open;
    table[b'[' as usize] = Class::Open;
    table[b'}' as usize] = Class::Close;
    table[b']' as usize] = Class::Close;
    table
};

impl<'a> Scanner<'a> {
    /// A scanner at `pos` of a document.
    pub(crate) fn at(bytes: &'a [u8], pos: usize) -> Self {
        Self::telling(bytes, pos, ())
    }
}

impl<'a, S: Strings> Scanner<'a, S> {
    /// The same that tells `strings` of what it passes.
    pub(crate) fn telling(bytes: &'a [u8], pos: usize, strings: S) -> Self {
        Self {
            bytes,
            pos,
            strings,
        }
    }

    /// Who was told.
    pub(crate) fn into_strings(self) -> S {
        self.strings
    }

    /// The offset of the next byte.
    pub(crate) fn position(&self) -> usize {
        self.pos
    }

    fn error<T>(&self) -> Result<T, ScanError> {
        Err(ScanError::at(self.pos))
    }

    /// The next byte that is no white space, not consumed.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        match self.bytes.get(self.pos) {
            Some(&byte) if byte > b' ' => Some(byte),
            _ => self.peek_behind_space(),
        }
    }

    fn peek_behind_space(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.pos) {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Some(byte);
            }
            self.pos += 1;
            self.skip_indentation();
        }
        None
    }

    /// Moves past up to eight spaces in one step: providers indent what they send.
    #[inline]
    fn skip_indentation(&mut self) {
        const SPACES: u64 = u64::from_ne_bytes([b' '; 8]);
        if let Some(word) = self
            .bytes
            .get(self.pos..)
            .and_then(|rest| rest.first_chunk())
        {
            let others = u64::from_le_bytes(*word) ^ SPACES;
            self.pos += (others.trailing_zeros() / 8) as usize;
        }
    }

    #[inline]
    fn expect(&mut self, wanted: u8) -> Result<(), ScanError> {
        if self.peek() != Some(wanted) {
            return self.error();
        }
        self.pos += 1;
        Ok(())
    }

    /// Consumes the opening brace of an object.
    pub(crate) fn open_object(&mut self) -> Result<(), ScanError> {
        self.expect(b'{')
    }

    /// The next key of the object whose brace was opened, its colon consumed; `None` at the
    /// closing brace, which is consumed too. `first` is the caller's memory of where it is.
    #[inline]
    pub(crate) fn next_key(
        &mut self,
        first: &mut bool,
    ) -> Result<Option<RawString<'a>>, ScanError> {
        match self.peek() {
            Some(b'}') => {
                self.pos += 1;
                return Ok(None);
            }
            Some(b',') if !*first => self.pos += 1,
            Some(b'"') if *first => {}
            _ => return self.error(),
        }
        *first = false;
        let key = self.string()?;
        self.expect(b':')?;
        Ok(Some(key))
    }

    /// Consumes the opening bracket of a list.
    pub(crate) fn open_list(&mut self) -> Result<(), ScanError> {
        self.expect(b'[')
    }

    /// Whether the list whose bracket was opened has a further element, which is next; at the
    /// closing bracket, which is consumed, it has none.
    pub(crate) fn next_element(&mut self, first: &mut bool) -> Result<bool, ScanError> {
        match self.peek() {
            Some(b']') => {
                self.pos += 1;
                return Ok(false);
            }
            Some(b',') if !*first => self.pos += 1,
            Some(_) if *first => {}
            _ => return self.error(),
        }
        *first = false;
        Ok(true)
    }

    /// [`Self::next_key`] for the few loops that run for every exchange: the usual key is read in
    /// place instead of behind a call.
    #[inline(always)]
    pub(crate) fn next_key_inline(
        &mut self,
        first: &mut bool,
    ) -> Result<Option<RawString<'a>>, ScanError> {
        let before = self.pos;
        if *first || self.bytes.get(self.pos) == Some(&b',') {
            self.pos += usize::from(!*first);
            if let Some(key) = self.short_key() {
                *first = false;
                return Ok(Some(key));
            }
            self.pos = before;
        }
        self.next_key(first)
    }

    /// A key of fewer than 32 bytes without escapes, its colon right behind it: nearly all of them.
    #[inline(always)]
    fn short_key(&mut self) -> Option<RawString<'a>> {
        if self.bytes.get(self.pos) != Some(&b'"') {
            self.peek_behind_space();
        }
        let [b'"', window @ ..] = self.bytes.get(self.pos..)?.first_chunk::<34>()? else {
            return None;
        };
        let (blocks, _) = window.as_chunks::<16>();
        let length = match first_quote_or_backslash(&blocks[0]) {
            Some(length) => length,
            None => 16 + first_quote_or_backslash(&blocks[1])?,
        };
        let [b'"', b':'] = window[length..length + 2] else {
            return None;
        };
        let start = self.pos;
        self.pos += length + 3;
        self.strings
            .take(self.bytes, start + 1, start + length + 2, false);
        Some(RawString {
            inner: &self.bytes[start + 1..start + 1 + length],
            start,
            end: start + length + 2,
            escaped: false,
        })
    }

    /// Only white space may be left.
    pub(crate) fn finish(&mut self) -> Result<(), ScanError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.error(),
        }
    }

    /// Consumes a string.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<RawString<'a>, ScanError> {
        self.expect(b'"')?;
        let start = self.pos - 1;
        let escaped = self.skip_string_rest()?;
        Ok(RawString {
            inner: &self.bytes[start + 1..self.pos - 1],
            start,
            end: self.pos,
            escaped,
        })
    }

    /// Moves past the closing quote; says whether there were escapes.
    #[inline]
    fn skip_string_rest(&mut self) -> Result<bool, ScanError> {
        let end = string_end(self.bytes, self.pos).ok_or(ScanError::at(self.pos))?;
        self.strings
            .take(self.bytes, self.pos, end.next, end.escaped);
        self.pos = end.next;
        Ok(end.escaped)
    }

    /// Consumes any value and returns where it lay.
    #[inline]
    pub(crate) fn skip_value(&mut self) -> Result<Range<usize>, ScanError> {
        let first = self.peek();
        let start = self.pos;
        match first {
            Some(b'"') => {
                self.pos += 1;
                self.skip_string_rest()?;
            }
            Some(b'{' | b'[') => self.skip_container()?,
            Some(byte) if CLASS[byte as usize] == Class::Scalar => {
                while let Some(&byte) = self.bytes.get(self.pos) {
                    if CLASS[byte as usize] != Class::Scalar {
                        break;
                    }
                    self.pos += 1;
                }
            }
            _ => return self.error(),
        }
        Ok(start..self.pos)
    }

    /// Skips a container without recursion; one bit per level remembers which bracket is open.
    fn skip_container(&mut self) -> Result<(), ScanError> {
        let bytes = self.bytes;
        let mut pos = self.pos;
        let mut kinds: u128 = 0;
        let mut depth: u32 = 0;
        while let Some(&byte) = bytes.get(pos) {
            pos += 1;
            match CLASS[byte as usize] {
                Class::Quote => loop {
                    let end = string_end(bytes, pos).ok_or(ScanError::at(pos))?;
                    self.strings.take(bytes, pos, end.next, end.escaped);
                    pos = end.next;
                    // Most strings are keys and values of text: the next is two bytes on.
                    match bytes.get(pos..pos + 2) {
                        Some([b':' | b',', b'"']) => pos += 2,
                        _ => break,
                    }
                },
                Class::Space | Class::Scalar | Class::Separator => {}
                Class::Open => {
                    if depth == DEPTH_MAX {
                        return Err(ScanError::TOO_DEEP);
                    }
                    kinds = (kinds << 1) | u128::from(byte == b'{');
                    depth += 1;
                }
                Class::Close => {
                    if (kinds & 1 == 1) != (byte == b'}') {
                        break;
                    }
                    kinds >>= 1;
                    depth -= 1;
                    if depth == 0 {
                        self.pos = pos;
                        return Ok(());
                    }
                }
                Class::Bad => break,
            }
        }
        Err(ScanError::at(pos))
    }

    /// Consumes a value that has to be `true`, `false` or `null`; `None` for any other.
    pub(crate) fn flag(&mut self) -> Result<Option<Option<bool>>, ScanError> {
        let span = self.skip_value()?;
        Ok(match &self.bytes[span] {
            b"true" => Some(Some(true)),
            b"false" => Some(Some(false)),
            b"null" => Some(None),
            _ => None,
        })
    }

    /// Consumes a number of up to five digits right behind a colon: nearly all counts. Anything
    /// else is left to [`Self::unsigned`].
    #[inline(always)]
    pub(crate) fn short_number(&mut self) -> Option<u64> {
        let window = self.bytes.get(self.pos..)?.first_chunk::<6>()?;
        let mut number = 0;
        for (digits, &byte) in window.iter().enumerate() {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                if digits == 0 || !matches!(byte, b',' | b'}') {
                    return None;
                }
                self.pos += digits;
                return Some(number);
            }
            number = number * 10 + u64::from(digit);
        }
        None
    }

    /// Consumes a value; its number when it is a plain unsigned integer.
    pub(crate) fn unsigned(&mut self) -> Result<Option<u64>, ScanError> {
        self.peek();
        let rest = self.bytes.get(self.pos..).unwrap_or_default();
        let mut number = 0_u64;
        for (digits, &byte) in rest.iter().take(19).enumerate() {
            let digit = byte.wrapping_sub(b'0');
            if digit < 10 {
                number = number * 10 + u64::from(digit);
            } else if digits > 0 && matches!(byte, b',' | b'}' | b'\n' | b' ') {
                self.pos += digits;
                return Ok(Some(number));
            } else {
                break;
            }
        }
        // Fractions, exponents, longer numbers and other types take the long way.
        let span = self.skip_value()?;
        Ok(unsigned(&self.bytes[span]))
    }
}

/// The number that these bytes spell, when they are digits only and fit.
pub(crate) fn unsigned(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 19 {
        return None;
    }
    bytes.iter().try_fold(0_u64, |sum, &byte| {
        byte.is_ascii_digit()
            .then(|| sum * 10 + u64::from(byte - b'0'))
    })
}

/// Where a string ends.
pub(crate) struct StringEnd {
    /// One past the closing quote.
    pub(crate) next: usize,
    /// Whether there are escapes in it.
    pub(crate) escaped: bool,
}

/// The end of the string whose first byte is at `pos`.
#[inline(always)]
pub(crate) fn string_end(bytes: &[u8], pos: usize) -> Option<StringEnd> {
    let stop = pos + find_quote_or_backslash(bytes.get(pos..)?)?;
    if bytes[stop] == b'"' {
        return Some(StringEnd {
            next: stop + 1,
            escaped: false,
        });
    }
    escaped_string_end(bytes, stop)
}

/// The end of a string that has a backslash at `stop`.
fn escaped_string_end(bytes: &[u8], mut stop: usize) -> Option<StringEnd> {
    loop {
        // The escaped byte may be a quote.
        let rest = stop + 2;
        stop = rest + memchr::memchr2(b'"', b'\\', bytes.get(rest..)?)?;
        if bytes[stop] == b'"' {
            return Some(StringEnd {
                next: stop + 1,
                escaped: true,
            });
        }
    }
}

/// Offset of the first quote or backslash: a few short steps without a call for keys and
/// enumerations, then the wide search for text.
#[inline(always)]
fn find_quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    let (blocks, _) = bytes.as_chunks::<16>();
    for (i, block) in blocks.iter().take(3).enumerate() {
        if let Some(offset) = first_quote_or_backslash(block) {
            return Some(i * 16 + offset);
        }
    }
    let done = blocks.len().min(3) * 16;
    memchr::memchr2(b'"', b'\\', &bytes[done..]).map(|offset| done + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(document: &str) -> Result<Vec<String>, ScanError> {
        let bytes = document.as_bytes();
        let mut scanner = Scanner::at(bytes, 0);
        scanner.open_object()?;
        let (mut first, mut found) = (true, Vec::new());
        while let Some(key) = scanner.next_key(&mut first)? {
            found.push(key.value(bytes)?.into_owned());
            scanner.skip_value()?;
        }
        scanner.finish()?;
        Ok(found)
    }

    #[test]
    fn keys_are_found_whatever_lies_between() {
        let document =
            r#" { "a" : [1,{"x":"]}"}, "\\\""] , "\u0062":"q\"" , "c":-1.5e3,"d":null } "#;
        assert_eq!(keys(document).unwrap(), ["a", "b", "c", "d"]);
        assert_eq!(keys("{}").unwrap(), [""; 0]);
    }

    #[test]
    fn broken_structure_is_refused() {
        for document in [
            "",
            "{",
            "[]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":[}]}",
            "{\"a\":[1}",
            "{\"a\":1}x",
            "{\"a\":\"",
            "{\"a\":\"\\",
            "{\"a\":/**/1}",
            "{\"\u{1}\":1}",
            "{\"\\q\":1}",
            "{\"a\":{'b':1}}",
        ] {
            assert!(keys(document).is_err(), "{document:?}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(keys(&deep(128)).is_ok());
        assert!(matches!(keys(&deep(129)), Err(ScanError::TOO_DEEP)));
    }

    #[test]
    fn quotes_are_found_at_every_distance() {
        for length in 0..80 {
            for stop in [b'"', b'\\'] {
                let mut bytes = vec![0xdb; length];
                bytes.push(stop);
                bytes.push(b'"');
                assert_eq!(find_quote_or_backslash(&bytes), Some(length));
            }
            assert_eq!(find_quote_or_backslash(&vec![b'#'; length]), None);
        }
    }
}
