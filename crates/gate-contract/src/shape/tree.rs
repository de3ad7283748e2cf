//! A JSON document whose numbers and texts keep their spelling.

use serde::de::IgnoredAny;

/// Deepest nesting that is read.
pub const DEPTH_MAX: usize = 64;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Json {
    /// Null, a truth value, a number or a text, as it is written.
    Scalar(Box<str>),
    List(Vec<Json>),
    /// Members in their order; no name stands twice.
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(super) fn null() -> Json {
        Json::Scalar("null".into())
    }

    pub(super) fn string(text: &str) -> Json {
        Json::Scalar(quoted(text).into())
    }

    /// Reads a document.
    pub(super) fn parse(body: &[u8]) -> Result<Json, String> {
        let text = std::str::from_utf8(body).map_err(|_| "the body is no UTF-8".to_owned())?;
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.space();
        match reader.at == text.len() {
            true => Ok(value),
            false => Err(reader.refuse("something stands behind the document")),
        }
    }

    /// The text of a text.
    pub(super) fn as_text(&self) -> Option<String> {
        match self {
            Json::Scalar(raw) if raw.starts_with('"') => serde_json::from_str(raw).ok(),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Json::Scalar(raw) if &**raw == "null")
    }

    /// The document as text, without spaces between values.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Json::Scalar(raw) => out.push_str(raw),
            Json::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    out.push_str(&quoted(name));
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn refuse(&self, what: &str) -> String {
        format!("{what} at byte {}", self.at)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| b" \t\r\n".contains(&byte)) {
            self.at += 1;
        }
    }

    /// Takes this byte, if it comes next.
    fn takes(&mut self, byte: u8) -> bool {
        self.space();
        let is_it = self.peek() == Some(byte);
        self.at += usize::from(is_it);
        is_it
    }

    fn value(&mut self, depth: usize) -> Result<Json, String> {
        if depth > DEPTH_MAX {
            return Err(self.refuse("the document is nested too deeply"));
        }
        if self.takes(b'{') {
            return self.members(depth);
        }
        if self.takes(b'[') {
            let mut items = Vec::new();
            if self.takes(b']') {
                return Ok(Json::List(items));
            }
            loop {
                items.push(self.value(depth + 1)?);
                if self.takes(b']') {
                    return Ok(Json::List(items));
                }
                if !self.takes(b',') {
                    return Err(self.refuse("a list is not continued"));
                }
            }
        }
        Ok(Json::Scalar(self.scalar()?.into()))
    }

    fn members(&mut self, depth: usize) -> Result<Json, String> {
        let mut members: Vec<(String, Json)> = Vec::new();
        let mut known = std::collections::HashSet::new();
        if self.takes(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.refuse("a member has no name"));
            }
            let raw = self.scalar()?;
            let name: String =
                serde_json::from_str(raw).map_err(|_| self.refuse("a name is malformed"))?;
            if !known.insert(name.clone()) {
                return Err(self.refuse("a member stands twice"));
            }
            if !self.takes(b':') {
                return Err(self.refuse("a member has no value"));
            }
            members.push((name, self.value(depth + 1)?));
            if self.takes(b'}') {
                return Ok(Json::Object(members));
            }
            if !self.takes(b',') {
                return Err(self.refuse("an object is not continued"));
            }
        }
    }

    /// Anything that is neither list nor object.
    fn scalar(&mut self) -> Result<&'a str, String> {
        self.space();
        let start = self.at;
        if self.peek() == Some(b'"') {
            self.at += 1;
            while let Some(byte) = self.peek() {
                self.at += 1;
                match byte {
                    b'\\' => self.at += 1,
                    b'"' => break,
                    _ => {}
                }
            }
        } else {
            let ends = |byte: u8| b" \t\r\n,]}:\"[{".contains(&byte);
            while self.peek().is_some_and(|byte| !ends(byte)) {
                self.at += 1;
            }
        }
        let raw = self.text.get(start..self.at.min(self.text.len()));
        let raw = raw.ok_or_else(|| self.refuse("a text is malformed"))?;
        match serde_json::from_str::<IgnoredAny>(raw) {
            Ok(_) => Ok(raw),
            Err(_) => Err(format!("there is no value at byte {start}")),
        }
    }
}
