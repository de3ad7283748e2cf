//! JSON: every value becomes an argument named by its path, `json.a.array_0.b`.

use crate::transaction::Transaction;
use crate::transform::hex_digit;

/// Reads a document. Strict, as RFC 8259 has it.
pub(crate) fn parse(transaction: &mut Transaction, body: &[u8]) -> Result<(), String> {
    let depth = transaction.rules.limits().depth;
    let mut parser = Parser {
        transaction,
        input: body,
        at: 0,
        path: b"json".to_vec(),
        open: Vec::new(),
        text: Vec::new(),
        depth,
    };
    parser
        .run()
        .map_err(|what| format!("{what} at byte {}", parser.at))
}

/// An object or a list that is open.
struct Open {
    /// Length of its path.
    base: usize,
    /// How many elements a list has so far; nothing for an object.
    elements: Option<usize>,
}

struct Parser<'a> {
    transaction: &'a mut Transaction,
    input: &'a [u8],
    at: usize,
    path: Vec<u8>,
    open: Vec<Open>,
    /// The last string that had escapes.
    text: Vec<u8>,
    depth: usize,
}

/// A string: a part of the input, or the parser's `text`.
enum Text {
    Plain(usize, usize),
    Unescaped,
}

type Result_<T> = Result<T, &'static str>;

impl Parser<'_> {
    fn run(&mut self) -> Result_<()> {
        loop {
            let opened = self.value()?;
            if opened {
                continue;
            }
            if self.behind_value()? {
                return Ok(());
            }
        }
    }

    fn blank(&mut self) -> Option<u8> {
        while let Some(byte) = self.input.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Reads a value; of an object or a list that is not empty, the beginning only.
    fn value(&mut self) -> Result_<bool> {
        match self.blank().ok_or("premature EOF")? {
            b'{' => {
                self.at += 1;
                if self.blank() == Some(b'}') {
                    self.at += 1;
                    return Ok(false);
                }
                self.open(None)?;
                self.key()?;
                Ok(true)
            }
            b'[' => {
                self.at += 1;
                if self.blank() == Some(b']') {
                    self.at += 1;
                    return Ok(false);
                }
                self.open(Some(0))?;
                self.element(0);
                Ok(true)
            }
            b'"' => {
                let text = self.string()?;
                self.add(&text)?;
                Ok(false)
            }
            b't' => self.word(b"true", Text::Plain(self.at, self.at + 4)),
            b'f' => self.word(b"false", Text::Plain(self.at, self.at + 5)),
            b'n' => self.word(b"null", Text::Plain(self.at, self.at)),
            b'-' | b'0'..=b'9' => {
                let start = self.at;
                self.number()?;
                self.add(&Text::Plain(start, self.at))?;
                Ok(false)
            }
            _ => Err("invalid char in json text"),
        }
    }

    /// Goes behind a value: closes what ends, begins what follows; says whether all is done.
    fn behind_value(&mut self) -> Result_<bool> {
        loop {
            let next = self.blank();
            let Some(open) = self.open.last_mut() else {
                return match next {
                    None => Ok(true),
                    Some(_) => Err("trailing garbage"),
                };
            };
            let close = if open.elements.is_some() { b']' } else { b'}' };
            match next.ok_or("premature EOF")? {
                b',' => {
                    self.at += 1;
                    let base = open.base;
                    match &mut open.elements {
                        Some(count) => {
                            *count += 1;
                            let count = *count;
                            self.path.truncate(base);
                            self.element(count);
                        }
                        None => {
                            self.path.truncate(base);
                            self.key()?;
                        }
                    }
                    return Ok(false);
                }
                byte if byte == close => {
                    self.at += 1;
                    self.open.pop();
                }
                _ => {
                    return Err(
                        "after a value, a comma or the end of its list or object is missing",
                    );
                }
            }
        }
    }

    fn open(&mut self, elements: Option<usize>) -> Result_<()> {
        if self.open.len() >= self.depth {
            return Err("parsing depth limit exceeded");
        }
        self.open.push(Open {
            base: self.path.len(),
            elements,
        });
        Ok(())
    }

    fn element(&mut self, number: usize) {
        self.path.extend_from_slice(b".array_");
        self.path.extend_from_slice(number.to_string().as_bytes());
    }

    fn key(&mut self) -> Result_<()> {
        if self.blank() != Some(b'"') {
            return Err("object key is no string");
        }
        let text = self.string()?;
        if self.blank() != Some(b':') {
            return Err("object key and value must be separated by a colon");
        }
        self.at += 1;
        self.path.push(b'.');
        let key = match text {
            Text::Plain(start, end) => &self.input[start..end],
            Text::Unescaped => &self.text,
        };
        let key = if key.is_empty() { b"empty-key" } else { key };
        self.path.extend_from_slice(key);
        Ok(())
    }

    fn add(&mut self, text: &Text) -> Result_<()> {
        let value = match text {
            Text::Plain(start, end) => &self.input[*start..*end],
            Text::Unescaped => &self.text,
        };
        match self.transaction.argument(None, &self.path, value) {
            true => Ok(()),
            false => Err("too many arguments"),
        }
    }

    fn word(&mut self, word: &[u8], text: Text) -> Result_<bool> {
        if !self.input[self.at..].starts_with(word) {
            return Err("invalid string in json text");
        }
        self.at += word.len();
        self.add(&text)?;
        Ok(false)
    }

    fn digits(&mut self) -> Result_<()> {
        let start = self.at;
        while self.input.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        match self.at > start {
            true => Ok(()),
            false => Err("malformed number"),
        }
    }

    fn number(&mut self) -> Result_<()> {
        if self.input[self.at] == b'-' {
            self.at += 1;
        }
        let leads_with_zero = self.input.get(self.at) == Some(&b'0');
        let start = self.at;
        self.digits()?;
        if leads_with_zero && self.at > start + 1 {
            return Err("malformed number");
        }
        if self.input.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.input.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.input.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Reads a string; the opening quote is next.
    fn string(&mut self) -> Result_<Text> {
        self.at += 1;
        let start = self.at;
        let length = self.plain()?;
        if self.input[start + length] == b'"' {
            self.at = start + length + 1;
            return Ok(Text::Plain(start, start + length));
        }
        self.text.clear();
        self.text
            .extend_from_slice(&self.input[start..start + length]);
        self.at = start + length;
        while self.input[self.at] == b'\\' {
            self.escape()?;
            let length = self.plain()?;
            self.text
                .extend_from_slice(&self.input[self.at..self.at + length]);
            self.at += length;
        }
        self.at += 1;
        Ok(Text::Unescaped)
    }

    /// Length of what comes before the next quote or backslash, which is there.
    fn plain(&self) -> Result_<usize> {
        let rest = &self.input[self.at..];
        let length = memchr::memchr2(b'"', b'\\', rest).ok_or("premature EOF")?;
        let plain = &rest[..length];
        if plain.iter().any(|byte| *byte < 0x20) {
            return Err("invalid character inside string");
        }
        match std::str::from_utf8(plain) {
            Ok(_) => Ok(length),
            Err(_) => Err("invalid bytes in UTF8 string"),
        }
    }

    fn escape(&mut self) -> Result_<()> {
        let next = *self.input.get(self.at + 1).ok_or("premature EOF")?;
        self.at += 2;
        let byte = match next {
            b'"' | b'\\' | b'/' => next,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.unicode(),
            _ => return Err("inside a string, '\\' occurs before a character which it may not"),
        };
        self.text.push(byte);
        Ok(())
    }

    fn four(&mut self) -> Result_<u32> {
        let digits = self
            .input
            .get(self.at..self.at + 4)
            .ok_or("premature EOF")?;
        let add = |code: u32, digit: &u8| Some(code << 4 | u32::from(hex_digit(*digit)?));
        let code = digits.iter().try_fold(0, add);
        self.at += 4;
        code.ok_or("invalid hex digits in a \\u escape")
    }

    fn unicode(&mut self) -> Result_<()> {
        let mut code = self.four()?;
        if (0xd800..0xdc00).contains(&code) && self.input[self.at..].starts_with(b"\\u") {
            let second = self.at;
            self.at += 2;
            let low = self.four()?;
            if (0xdc00..0xe000).contains(&low) {
                code = 0x1_0000 + ((code - 0xd800) << 10 | (low - 0xdc00));
            } else {
                // What follows half of a pair stands for itself, and must not be hidden by it.
                self.at = second;
            }
        }
        // Half of a pair stands for nothing.
        let letter = char::from_u32(code).unwrap_or('?');
        let mut room = [0; 4];
        self.text
            .extend_from_slice(letter.encode_utf8(&mut room).as_bytes());
        Ok(())
    }
}
