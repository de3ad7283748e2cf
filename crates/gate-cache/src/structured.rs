//! Dictionaries of structured fields (RFC 8941 section 3.2), as strictly as the RFC parses them:
//! one character that does not belong makes the whole field nothing.
//!
//! Only what directives need is told apart: integers, booleans, lists of strings, and the rest. Parameters are read
//! and dropped.

/// A member's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bare {
    /// A whole number of at most 15 digits.
    Integer(i64),
    /// `?1`, `?0`, or a key without a value.
    Boolean(bool),
    /// An inner list of strings, which may be empty.
    Texts(Vec<String>),
    /// A decimal, string, token, byte sequence or another inner list.
    Other,
}

/// The members of a dictionary in order, a repeated key with its last value; `None` when it does
/// not parse. Several lines are one field joined by commas.
#[must_use]
pub fn dictionary<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Vec<(String, Bare)>> {
    let mut joined = Vec::new();
    for (index, line) in lines.enumerate() {
        if index > 0 {
            joined.extend_from_slice(b", ");
        }
        joined.extend_from_slice(line);
    }
    let mut parser = Parser {
        rest: joined.trim_ascii_start(),
    };
    let mut members: Vec<(String, Bare)> = Vec::new();
    while !parser.rest.is_empty() {
        let key = parser.key()?;
        let value = match parser.take(b'=') {
            true => parser.item_or_list()?,
            false => Bare::Boolean(true),
        };
        parser.parameters()?;
        members.retain(|(known, _)| *known != key);
        members.push((key, value));
        parser.white_space();
        if parser.rest.is_empty() {
            break;
        }
        if !parser.take(b',') {
            return None;
        }
        parser.white_space();
        if parser.rest.is_empty() {
            // A trailing comma.
            return None;
        }
    }
    Some(members)
}

struct Parser<'a> {
    rest: &'a [u8],
}

impl<'a> Parser<'a> {
    fn take(&mut self, byte: u8) -> bool {
        let rest = self.rest.strip_prefix(&[byte]);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn while_(&mut self, holds: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !holds(*byte));
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn white_space(&mut self) {
        self.while_(|byte| byte == b' ' || byte == b'\t');
    }

    fn key(&mut self) -> Option<String> {
        let starts = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'*';
        self.rest.first().filter(|byte| starts(byte))?;
        let holds = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)
        };
        let key = self.while_(holds);
        String::from_utf8(key.to_vec()).ok()
    }

    fn item_or_list(&mut self) -> Option<Bare> {
        if !self.take(b'(') {
            return self.bare();
        }
        let mut texts = Some(Vec::new());
        loop {
            self.while_(|byte| byte == b' ');
            if self.take(b')') {
                return Some(texts.map_or(Bare::Other, Bare::Texts));
            }
            match self.rest.first()? {
                b'"' => {
                    let text = self.string()?;
                    if let Some(texts) = &mut texts {
                        texts.push(text);
                    }
                }
                _ => {
                    self.bare()?;
                    texts = None;
                }
            }
            self.parameters()?;
            if !matches!(self.rest.first()?, b' ' | b')') {
                return None;
            }
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.while_(|byte| byte == b' ');
            self.key()?;
            if self.take(b'=') {
                self.bare()?;
            }
        }
        Some(())
    }

    fn bare(&mut self) -> Option<Bare> {
        match *self.rest.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string().map(|_| Bare::Other),
            b'?' => {
                self.rest = &self.rest[1..];
                let is_true = self.take(b'1');
                (is_true || self.take(b'0')).then_some(Bare::Boolean(is_true))
            }
            b':' => {
                self.rest = &self.rest[1..];
                self.while_(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
                self.take(b':').then_some(Bare::Other)
            }
            byte if byte.is_ascii_alphabetic() || byte == b'*' => {
                self.while_(|byte| {
                    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte)
                });
                Some(Bare::Other)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Bare> {
        let negative = self.take(b'-');
        let whole = self.while_(|byte| byte.is_ascii_digit());
        if whole.is_empty() {
            return None;
        }
        if self.take(b'.') {
            let fraction = self.while_(|byte| byte.is_ascii_digit());
            let fits = whole.len() <= 12 && (1..=3).contains(&fraction.len());
            return fits.then_some(Bare::Other);
        }
        if whole.len() > 15 {
            return None;
        }
        let value: i64 = std::str::from_utf8(whole).ok()?.parse().ok()?;
        Some(Bare::Integer(if negative { -value } else { value }))
    }

    /// A string with its escapes undone; the next byte is its quote.
    fn string(&mut self) -> Option<String> {
        self.rest = &self.rest[1..];
        let mut text = String::new();
        loop {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(text),
                b'\\' => {
                    let (escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    if !matches!(escaped, b'"' | b'\\') {
                        return None;
                    }
                    text.push(char::from(*escaped));
                }
                0x20..=0x7e => text.push(char::from(*byte)),
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Option<Vec<(String, Bare)>> {
        dictionary(lines.iter().map(|line| line.as_bytes()))
    }

    #[test]
    fn dictionaries_and_what_is_none() {
        let one = |key: &str, value| Some(vec![(key.to_owned(), value)]);
        assert_eq!(read(&["max-age=3600"]), one("max-age", Bare::Integer(3600)));
        assert_eq!(read(&["a=1", "a=-2"]), one("a", Bare::Integer(-2)));
        assert_eq!(read(&["a;x=1;y"]), one("a", Bare::Boolean(true)));
        assert_eq!(read(&["a=?0"]), one("a", Bare::Boolean(false)));
        for other in [
            "a=\"b\\\"\"",
            "a=1.5",
            "a=tok/en:x",
            "a=:aGk=:",
            "a=(1 \"b\";q=1  c)",
        ] {
            assert_eq!(read(&[other]), one("a", Bare::Other), "{other}");
        }
        let texts = |list: &[&str]| Bare::Texts(list.iter().map(|text| (*text).into()).collect());
        assert_eq!(
            read(&["a=(\"b\" \"c\\\"\" )"]),
            one("a", texts(&["b", "c\""]))
        );
        assert_eq!(read(&["a=()"]), one("a", texts(&[])));
        assert_eq!(read(&[""]), Some(Vec::new()));
        for wrong in [
            "max-age =100",
            "max-age= 100",
            "MaX-aGe=3600",
            "max-age=10000, &&&&&",
            "a,",
            "a=",
            "a=1.",
            "a=1234567890123456",
            "a=\"open",
            "a=(1 2",
            "a=?2",
            "a b",
            "é",
        ] {
            assert_eq!(read(&[wrong]), None, "{wrong}");
        }
    }
}
