//! Structured fields (RFC 9651, section 4): read strictly, written canonically. Display strings are
//! not read, since nothing here has any.

mod write;

pub use write::{
    dictionary_text, list_text, write_bare, write_inner, write_item, write_member, write_parameters,
};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Most members of a list, dictionary, inner list or parameters.
const MEMBERS_MAX: usize = 256;

/// A bare item (section 3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bare {
    /// Up to 15 digits.
    Integer(i64),
    /// In thousandths.
    Decimal(i64),
    /// Printable ASCII.
    String(String),
    /// A word.
    Token(String),
    /// Bytes, written as base64.
    Bytes(Vec<u8>),
    /// `?1` or `?0`.
    Boolean(bool),
    /// UNIX seconds.
    Date(i64),
}

/// Parameters in order, each name once.
pub type Parameters = Vec<(String, Bare)>;

/// An item with parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its value.
    pub value: Bare,
    /// What is said of it.
    pub parameters: Parameters,
}

/// A member of a list or dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// An item.
    Item(Item),
    /// Several items in parentheses.
    Inner(Vec<Item>, Parameters),
}

/// Why text is no structured field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// A dictionary: the last of several members of one name counts, at the place of the first.
///
/// # Errors
/// [`Malformed`].
pub fn dictionary(text: &str) -> Result<Vec<(String, Member)>, Malformed> {
    let mut reader = Reader::new(text);
    let mut members: Vec<(String, Member)> = Vec::new();
    while !reader.is_done() {
        let name = reader.key()?;
        let member = if reader.take(b'=') {
            reader.member()?
        } else {
            let parameters = reader.parameters()?;
            let value = Bare::Boolean(true);
            Member::Item(Item { value, parameters })
        };
        put(&mut members, name, member)?;
        reader.comma()?;
    }
    Ok(members)
}

/// A list.
///
/// # Errors
/// [`Malformed`].
pub fn list(text: &str) -> Result<Vec<Member>, Malformed> {
    let mut reader = Reader::new(text);
    let mut members = Vec::new();
    while !reader.is_done() {
        if members.len() == MEMBERS_MAX {
            return Err(Malformed);
        }
        members.push(reader.member()?);
        reader.comma()?;
    }
    Ok(members)
}

/// One item.
///
/// # Errors
/// [`Malformed`].
pub fn item(text: &str) -> Result<Item, Malformed> {
    let mut reader = Reader::new(text);
    let item = reader.item()?;
    reader.is_done().then_some(item).ok_or(Malformed)
}

fn put<T>(all: &mut Vec<(String, T)>, name: String, value: T) -> Result<(), Malformed> {
    match all.iter().position(|(known, _)| *known == name) {
        Some(place) => all[place].1 = value,
        None if all.len() == MEMBERS_MAX => return Err(Malformed),
        None => all.push((name, value)),
    }
    Ok(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self(text.trim_matches(' ').as_bytes())
    }

    fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    fn next(&mut self) -> Result<u8, Malformed> {
        let byte = self.peek().ok_or(Malformed)?;
        self.0 = &self.0[1..];
        Ok(byte)
    }

    fn run(&mut self, accepted: impl Fn(u8) -> bool) -> &'a str {
        let length = self.0.iter().take_while(|byte| accepted(**byte)).count();
        let (run, rest) = self.0.split_at(length);
        self.0 = rest;
        std::str::from_utf8(run).unwrap_or_default()
    }

    /// What stands between two members: a comma, with white space around it and something behind.
    fn comma(&mut self) -> Result<(), Malformed> {
        let white = |byte| matches!(byte, b' ' | b'\t');
        self.run(white);
        if self.is_done() {
            return Ok(());
        }
        if !self.take(b',') {
            return Err(Malformed);
        }
        self.run(white);
        if self.is_done() {
            Err(Malformed)
        } else {
            Ok(())
        }
    }

    fn key(&mut self) -> Result<String, Malformed> {
        let first = self.peek().ok_or(Malformed)?;
        if !first.is_ascii_lowercase() && first != b'*' {
            return Err(Malformed);
        }
        let named = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)
        };
        Ok(self.run(named).to_owned())
    }

    fn parameters(&mut self) -> Result<Parameters, Malformed> {
        let mut parameters = Parameters::new();
        while self.take(b';') {
            self.run(|byte| byte == b' ');
            let name = self.key()?;
            let value = match self.take(b'=') {
                true => self.bare()?,
                false => Bare::Boolean(true),
            };
            put(&mut parameters, name, value)?;
        }
        Ok(parameters)
    }

    fn member(&mut self) -> Result<Member, Malformed> {
        if !self.take(b'(') {
            return self.item().map(Member::Item);
        }
        let mut items = Vec::new();
        loop {
            self.run(|byte| byte == b' ');
            if self.take(b')') {
                return Ok(Member::Inner(items, self.parameters()?));
            }
            if items.len() == MEMBERS_MAX {
                return Err(Malformed);
            }
            items.push(self.item()?);
            if !matches!(self.peek(), Some(b' ' | b')')) {
                return Err(Malformed);
            }
        }
    }

    fn item(&mut self) -> Result<Item, Malformed> {
        let value = self.bare()?;
        let parameters = self.parameters()?;
        Ok(Item { value, parameters })
    }

    fn bare(&mut self) -> Result<Bare, Malformed> {
        match self.peek().ok_or(Malformed)? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b':' => self.bytes(),
            b'?' => {
                self.next()?;
                match self.next()? {
                    b'1' => Ok(Bare::Boolean(true)),
                    b'0' => Ok(Bare::Boolean(false)),
                    _ => Err(Malformed),
                }
            }
            b'@' => {
                self.next()?;
                match self.number()? {
                    Bare::Integer(seconds) => Ok(Bare::Date(seconds)),
                    _ => Err(Malformed),
                }
            }
            b'*' | b'a'..=b'z' | b'A'..=b'Z' => {
                let token =
                    |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte);
                Ok(Bare::Token(self.run(token).to_owned()))
            }
            _ => Err(Malformed),
        }
    }

    fn number(&mut self) -> Result<Bare, Malformed> {
        let sign = if self.take(b'-') { -1 } else { 1 };
        let whole = self.run(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > 15 {
            return Err(Malformed);
        }
        let value: i64 = whole.parse().map_err(|_| Malformed)?;
        if !self.take(b'.') {
            return Ok(Bare::Integer(sign * value));
        }
        let fraction = self.run(|byte| byte.is_ascii_digit());
        if whole.len() > 12 || !(1..=3).contains(&fraction.len()) {
            return Err(Malformed);
        }
        let thousandths: i64 = format!("{fraction:0<3}").parse().map_err(|_| Malformed)?;
        Ok(Bare::Decimal(sign * (value * 1000 + thousandths)))
    }

    fn string(&mut self) -> Result<Bare, Malformed> {
        self.next()?;
        let mut text = String::new();
        loop {
            match self.next()? {
                b'"' => return Ok(Bare::String(text)),
                b'\\' => match self.next()? {
                    byte @ (b'"' | b'\\') => text.push(char::from(byte)),
                    _ => return Err(Malformed),
                },
                byte @ 0x20..=0x7e => text.push(char::from(byte)),
                _ => return Err(Malformed),
            }
        }
    }

    fn bytes(&mut self) -> Result<Bare, Malformed> {
        self.next()?;
        let text = self.run(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        let bytes = STANDARD.decode(text).map_err(|_| Malformed)?;
        self.take(b':')
            .then_some(Bare::Bytes(bytes))
            .ok_or(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_in_one_spelling() {
        for (text, expected) in [
            (
                "a=1,  b;x=?1;y=?0 , c=(1 2.50);q",
                "a=1, b;x;y=?0, c=(1 2.5);q",
            ),
            (
                "a=\"q\\\"\\\\\", b=:aGk=:, c=tok/en:*",
                "a=\"q\\\"\\\\\", b=:aGk=:, c=tok/en:*",
            ),
            ("a=1, b=2, a=3", "a=3, b=2"),
            ("d=@1659578233, e=-0.100", "d=@1659578233, e=-0.1"),
            ("x=()", "x=()"),
            ("", ""),
        ] {
            let members = dictionary(text).unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(dictionary_text(&members), expected);
        }
        assert_eq!(
            list_text(&list("a, (b c);d , \"e\"").unwrap()),
            "a, (b c);d, \"e\""
        );
        assert_eq!(
            item("5;a").unwrap().parameters,
            [("a".into(), Bare::Boolean(true))]
        );
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for text in [
            "A=1",
            "a=1,",
            "a=1 b=2",
            "a=",
            "a=\"x",
            "a=\"\\x\"",
            "a=:x",
            "a=:!:",
            "a=?2",
            "a=1234567890123456",
            "a=1.",
            "a=1.2345",
            "a=(1",
            "a=(1,2)",
            "a=1;",
            "a=@1.5",
            "a=%\"x\"",
            "a=\u{e9}",
            ",a=1",
            "a=(1 2)x",
        ] {
            assert_eq!(dictionary(text), Err(Malformed), "{text}");
        }
        assert_eq!(item("1 2"), Err(Malformed));
        let many = vec!["a"; MEMBERS_MAX + 1].join(",");
        assert_eq!(list(&many), Err(Malformed));
    }
}
