//! XML: the text of the document, and its attributes. Of a DTD, the internal subset is text too; no
//! entity beyond the five that XML names is expanded, nothing is fetched.

use crate::transaction::Transaction;
use crate::variables::{Scalar, Set};

/// Reads a document.
pub(crate) fn parse(transaction: &mut Transaction, body: &[u8]) -> Result<(), String> {
    let depth = transaction.rules.limits().depth;
    let mut parser = Parser {
        transaction,
        input: body,
        at: 0,
        open: Vec::new(),
        text: Vec::new(),
        has_root: false,
        has_doctype: false,
        depth,
    };
    let result = parser.run();
    let (at, has_root) = (parser.at, parser.has_root);
    let text = std::mem::take(&mut parser.text);
    if has_root {
        transaction.store.set(Scalar::XmlText, &text);
    }
    result.map_err(|what| format!("XML: Failed parsing document. {what} at byte {at}"))
}

/// Most attributes that are looked at.
const ATTRIBUTES_MAX: usize = 4096;

struct Parser<'a> {
    transaction: &'a mut Transaction,
    input: &'a [u8],
    at: usize,
    open: Vec<&'a [u8]>,
    text: Vec<u8>,
    has_root: bool,
    has_doctype: bool,
    depth: usize,
}

type Result_<T> = Result<T, &'static str>;

impl<'a> Parser<'a> {
    fn run(&mut self) -> Result_<()> {
        if self.input.starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
        }
        while self.at < self.input.len() {
            let rest = &self.input[self.at..];
            let length = memchr::memchr(b'<', rest).unwrap_or(rest.len());
            let text = &rest[..length];
            if self.open.is_empty() {
                if !text.trim_ascii().is_empty() {
                    return Err("text outside the root");
                }
            } else {
                let mut decoded = std::mem::take(&mut self.text);
                let result = decode(text, &mut decoded, self.has_doctype);
                self.text = decoded;
                result?;
            }
            self.at += length;
            if self.at < self.input.len() {
                self.markup()?;
            }
        }
        match (self.open.is_empty(), self.has_root) {
            (true, true) => Ok(()),
            (false, _) => Err("an element is not closed"),
            (_, false) => Err("there is no root"),
        }
    }

    /// Goes behind what `with` ends; the text before it.
    fn until(&mut self, with: &[u8]) -> Result_<&'a [u8]> {
        let rest = &self.input[self.at..];
        let length = memchr::memmem::find(rest, with).ok_or("markup is not closed")?;
        self.at += length + with.len();
        Ok(&rest[..length])
    }

    fn markup(&mut self) -> Result_<()> {
        let rest = &self.input[self.at..];
        if rest.starts_with(b"<!--") {
            self.at += 4;
            self.until(b"-->").map(drop)
        } else if rest.starts_with(b"<![CDATA[") {
            self.at += 9;
            let text = self.until(b"]]>")?;
            if self.open.is_empty() {
                return Err("text outside the root");
            }
            self.text.extend_from_slice(text);
            Ok(())
        } else if rest.starts_with(b"<?") {
            self.at += 2;
            self.until(b"?>").map(drop)
        } else if rest.starts_with(b"<!DOCTYPE") && !self.has_root {
            self.has_doctype = true;
            self.doctype()
        } else if rest.starts_with(b"</") {
            self.at += 2;
            let name = self.until(b">")?.trim_ascii_end();
            match self.open.pop() {
                Some(open) if open == name => Ok(()),
                _ => Err("an element is closed that is not open"),
            }
        } else {
            self.element()
        }
    }

    /// Passes over a document type. What its internal subset declares may appear wherever an entity
    /// is named, so that it is text for rules too.
    fn doctype(&mut self) -> Result_<()> {
        let mut opened = None;
        let mut quote = None;
        for at in self.at..self.input.len() {
            let byte = self.input[at];
            match (quote, byte) {
                (Some(open), _) if byte == open => quote = None,
                (Some(_), _) => {}
                (None, b'"' | b'\'') => quote = Some(byte),
                (None, b'[') if opened.is_none() => opened = Some(at + 1),
                (None, b']') => {
                    if let Some(start) = opened.take() {
                        self.text.extend_from_slice(&self.input[start..at]);
                    }
                }
                (None, b'>') if opened.is_none() => {
                    self.at = at + 1;
                    return Ok(());
                }
                _ => {}
            }
        }
        Err("the document type is not closed")
    }

    fn element(&mut self) -> Result_<()> {
        if self.has_root && self.open.is_empty() {
            return Err("there is a second root");
        }
        if self.open.len() >= self.depth {
            return Err("elements are nested too deep");
        }
        self.at += 1;
        let name = self.name();
        if name.is_empty() {
            return Err("an element has no name");
        }
        self.has_root = true;
        loop {
            let blank = self.blank();
            match self.input.get(self.at) {
                Some(b'>') => {
                    self.at += 1;
                    self.open.push(name);
                    return Ok(());
                }
                Some(b'/') if self.input.get(self.at + 1) == Some(&b'>') => {
                    self.at += 2;
                    return Ok(());
                }
                Some(_) if blank => self.attribute()?,
                _ => return Err("an element is malformed"),
            }
        }
    }

    fn blank(&mut self) -> bool {
        let start = self.at;
        while self.input.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.at > start
    }

    fn name(&mut self) -> &'a [u8] {
        let rest = &self.input[self.at..];
        let ends = |byte: &u8| {
            byte.is_ascii_whitespace() || matches!(byte, b'=' | b'>' | b'/' | b'<' | b'"' | b'\'')
        };
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn attribute(&mut self) -> Result_<()> {
        let name = self.name();
        self.blank();
        if name.is_empty() || self.input.get(self.at) != Some(&b'=') {
            return Err("an attribute is malformed");
        }
        self.at += 1;
        self.blank();
        let quote = match self.input.get(self.at) {
            Some(quote @ (b'"' | b'\'')) => *quote,
            _ => return Err("an attribute's value is not quoted"),
        };
        self.at += 1;
        let value = self.until(&[quote])?;
        if value.contains(&b'<') {
            return Err("an attribute's value holds `<`");
        }
        let mut decoded = Vec::with_capacity(value.len());
        decode(value, &mut decoded, self.has_doctype)?;
        // A declaration of a namespace is no attribute to XPath.
        let declares = name == b"xmlns" || name.starts_with(b"xmlns:");
        let store = &mut self.transaction.store;
        if !declares && store.entries(Set::XmlAttribute).len() < ATTRIBUTES_MAX {
            store.add(Set::XmlAttribute, name, &decoded);
        }
        Ok(())
    }
}

/// Writes `text` with entities decoded; unknown ones stay where a document type may declare them.
fn decode(text: &[u8], output: &mut Vec<u8>, lenient: bool) -> Result_<()> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest) {
        output.extend_from_slice(&rest[..at]);
        let end = memchr::memchr(b';', &rest[at..]).ok_or("an entity is not closed")?;
        let name = &rest[at + 1..at + end];
        match (letter(name), lenient) {
            (Some(letter), _) => {
                let mut room = [0; 4];
                output.extend_from_slice(letter.encode_utf8(&mut room).as_bytes());
            }
            (None, true) => output.extend_from_slice(&rest[at..=at + end]),
            (None, false) => return Err("an entity is not known"),
        }
        rest = &rest[at + end + 1..];
    }
    output.extend_from_slice(rest);
    Ok(())
}

fn letter(name: &[u8]) -> Option<char> {
    Some(match name {
        b"lt" => '<',
        b"gt" => '>',
        b"amp" => '&',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x', digits @ ..] => number(digits, 16)?,
        [b'#', digits @ ..] => number(digits, 10)?,
        _ => return None,
    })
}

fn number(digits: &[u8], base: u32) -> Option<char> {
    let digits = std::str::from_utf8(digits).ok()?;
    char::from_u32(u32::from_str_radix(digits, base).ok()?)
}
