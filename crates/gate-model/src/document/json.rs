//! JSON text into [`Node`]s with their places, without the detour over a YAML scanner, which keeps
//! every token of a bracketed document until it knows that the whole is no key.
//!
//! It reads what is JSON (RFC 8259) and within the limits of `parse.rs`, and says nothing about
//! anything else: whoever called asks the YAML parser then, whose findings are the same for both. Two
//! things are read here that YAML refuses: a character beyond U+FFFF as a pair of `\u` escapes, and
//! a key that is apart from its colon.

use super::node::{Key, Node, NodeKind, Span, repeated};
use super::parse::{DEPTH_MAX, KEY_BYTES_MAX, NODES_MAX};
use super::scalar;

/// The document that `text` is; none where it is not a JSON object within all limits.
pub(super) fn read(text: &str) -> Option<Node> {
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: 0,
        line: 1,
        column: 1,
        nodes: 0,
    };
    if reader.skip_blanks() != Some(b'{') {
        return None;
    }
    let root = reader.value(0)?;
    match reader.skip_blanks() {
        None => Some(root),
        Some(_) => None,
    }
}

struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    line: u32,
    /// In characters, from 1.
    column: u32,
    nodes: usize,
}

impl Reader<'_> {
    /// The next byte that is no blank, which stays.
    fn skip_blanks(&mut self) -> Option<u8> {
        loop {
            match *self.bytes.get(self.at)? {
                b' ' | b'\t' => self.column += 1,
                b'\r' if self.bytes.get(self.at + 1) == Some(&b'\n') => {}
                b'\n' | b'\r' => {
                    self.line += 1;
                    self.column = 1;
                }
                other => return Some(other),
            }
            self.at += 1;
        }
    }

    /// Takes a byte that is one character.
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.bytes.get(self.at) == Some(&byte)).then(|| {
            self.at += 1;
            self.column += 1;
        })
    }

    fn start(&self) -> (u32, u32) {
        (self.line, self.column)
    }

    fn span_from(&self, (line, column): (u32, u32)) -> Span {
        Span {
            line,
            column,
            end_line: self.line,
            end_column: self.column,
        }
    }

    /// The value that begins here, at a byte that is no blank.
    fn value(&mut self, depth: usize) -> Option<Node> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return None;
        }
        let start = self.start();
        let kind = match self.bytes.get(self.at)? {
            b'{' | b'[' if depth >= DEPTH_MAX => return None,
            b'{' => self.object(depth + 1)?,
            b'[' => self.list(depth + 1)?,
            b'"' => NodeKind::String(self.string()?),
            _ => self.word()?,
        };
        let span = self.span_from(start);
        Some(Node { span, kind })
    }

    fn object(&mut self, depth: usize) -> Option<NodeKind> {
        self.take(b'{')?;
        let mut entries: Vec<(Key, Node)> = Vec::new();
        if self.skip_blanks()? == b'}' {
            self.take(b'}')?;
            return Some(NodeKind::Mapping(entries));
        }
        loop {
            self.skip_blanks()?;
            let start = self.start();
            let text = self.string()?;
            if text.len() > KEY_BYTES_MAX || text.chars().any(char::is_control) {
                return None;
            }
            let span = self.span_from(start);
            self.skip_blanks()?;
            self.take(b':')?;
            self.skip_blanks()?;
            entries.push((Key { text, span }, self.value(depth)?));
            match self.skip_blanks()? {
                b',' => self.take(b',')?,
                _ => break,
            }
        }
        self.take(b'}')?;
        if repeated(&entries).is_some() {
            return None;
        }
        entries.shrink_to_fit();
        Some(NodeKind::Mapping(entries))
    }

    fn list(&mut self, depth: usize) -> Option<NodeKind> {
        self.take(b'[')?;
        let mut items = Vec::new();
        if self.skip_blanks()? == b']' {
            self.take(b']')?;
            return Some(NodeKind::Sequence(items));
        }
        loop {
            self.skip_blanks()?;
            items.push(self.value(depth)?);
            match self.skip_blanks()? {
                b',' => self.take(b',')?,
                _ => break,
            }
        }
        self.take(b']')?;
        items.shrink_to_fit();
        Some(NodeKind::Sequence(items))
    }

    /// `true`, `false`, `null` or a number.
    fn word(&mut self) -> Option<NodeKind> {
        let rest = &self.bytes[self.at..];
        let is_part =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let length = rest.iter().take_while(|byte| is_part(byte)).count();
        let word = &self.text[self.at..self.at + length];
        if !matches!(word, "true" | "false" | "null") && !is_number(word) {
            return None;
        }
        self.at += length;
        self.column += u32::try_from(length).ok()?;
        scalar::plain(word).ok()
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut text = String::new();
        loop {
            let rest = &self.bytes[self.at..];
            let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            let run = &self.text[self.at..self.at + length];
            if run.bytes().any(|byte| byte < b' ') {
                return None;
            }
            self.at += length;
            self.column += u32::try_from(run.chars().count()).ok()?;
            if self.bytes[self.at] == b'"' {
                self.take(b'"')?;
                if text.is_empty() {
                    return Some(run.to_owned());
                }
                text.push_str(run);
                text.shrink_to_fit();
                return Some(text);
            }
            text.push_str(run);
            text.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Option<char> {
        self.take(b'\\')?;
        let kind = *self.bytes.get(self.at)?;
        self.take(kind)?;
        Some(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hexadecimal()?;
                if !(0xD800..0xDC00).contains(&first) {
                    return char::from_u32(first);
                }
                self.take(b'\\')?;
                self.take(b'u')?;
                let second = self.hexadecimal()?;
                let low = second.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
                char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + low)?
            }
            _ => return None,
        })
    }

    fn hexadecimal(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        self.column += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}

/// RFC 8259, section 6.
fn is_number(word: &str) -> bool {
    let rest = word.strip_prefix('-').unwrap_or(word);
    let (rest, exponent) = match rest.split_once(['e', 'E']) {
        Some((rest, exponent)) => (rest, Some(exponent)),
        None => (rest, None),
    };
    let (whole, fraction) = match rest.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (rest, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let power = |text: &str| digits(text.strip_prefix(['+', '-']).unwrap_or(text));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(power)
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
