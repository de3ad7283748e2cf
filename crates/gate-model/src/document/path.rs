//! The address of a value inside a document: `routes.orders.policies[0].limit.rate`.
//!
//! Keys that would read as something else (dots, brackets, blanks, quotes) are written in double
//! quotes with JSON's escapes, so that every path has one text and every text one path.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// An entry of a mapping, by its key's text.
    Key(String),
    /// An element of a list, counted from 0.
    Index(usize),
}

/// Steps from a document's root to a value; the empty path is the root itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Path(Vec<Segment>);

/// Why a text is no [`Path`]; `at` counts bytes from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a path: {problem} at byte {at}")]
pub struct PathError {
    problem: &'static str,
    at: usize,
}

impl Path {
    /// The path of the document's root.
    pub fn root() -> Path {
        Path::default()
    }

    /// This path and one key below it.
    pub fn key(&self, key: impl Into<String>) -> Path {
        self.with(Segment::Key(key.into()))
    }

    /// This path and one list index (from 0) below it.
    pub fn index(&self, index: usize) -> Path {
        self.with(Segment::Index(index))
    }

    /// Adds one step in place.
    pub fn push(&mut self, segment: Segment) {
        self.0.push(segment);
    }

    /// The steps from the root.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The path one step up, and `None` for the root.
    pub fn parent(&self) -> Option<Path> {
        let (_, above) = self.0.split_last()?;
        Some(Path(above.to_vec()))
    }

    fn with(&self, segment: Segment) -> Path {
        let mut steps = Vec::with_capacity(self.0.len() + 1);
        steps.extend_from_slice(&self.0);
        steps.push(segment);
        Path(steps)
    }
}

impl FromIterator<Segment> for Path {
    fn from_iter<I: IntoIterator<Item = Segment>>(steps: I) -> Path {
        Path(steps.into_iter().collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    write_key(f, key)?;
                }
            }
        }
        Ok(())
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Path, PathError> {
        let mut path = Path::root();
        let mut rest = text;
        while !rest.is_empty() {
            let at = text.len() - rest.len();
            let error = |problem| PathError { problem, at };
            if let Some(inside) = rest.strip_prefix('[') {
                let (digits, after) = inside.split_once(']').ok_or(error("`[` is not closed"))?;
                let index = digits
                    .parse()
                    .map_err(|_| error("the index is no number"))?;
                path.push(Segment::Index(index));
                rest = after;
                continue;
            }
            if !path.0.is_empty() {
                rest = rest.strip_prefix('.').ok_or(error("expected `.` or `[`"))?;
            }
            let (key, after) = read_key(rest).ok_or(error("the key is empty or malformed"))?;
            path.push(Segment::Key(key));
            rest = after;
        }
        Ok(path)
    }
}

fn is_bare(key: &str) -> bool {
    !key.is_empty()
        && !key
            .chars()
            .any(|c| matches!(c, '.' | '[' | ']' | '"') || c.is_whitespace() || c.is_control())
}

fn write_key(f: &mut fmt::Formatter<'_>, key: &str) -> fmt::Result {
    if is_bare(key) {
        return f.write_str(key);
    }
    f.write_str(&serde_json::Value::from(key).to_string())
}

/// Splits the first key off `text`: quoted with JSON's escapes, or bare up to `.` or `[`.
fn read_key(text: &str) -> Option<(String, &str)> {
    if text.starts_with('"') {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let key = values.next()?.ok()?;
        return Some((key, &text[values.byte_offset()..]));
    }
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (key, after) = text.split_at(end);
    is_bare(key).then(|| (key.to_owned(), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_paths_are_refused_with_their_place() {
        for (text, message) in [
            (
                "a..b",
                "not a path: the key is empty or malformed at byte 1",
            ),
            ("a.", "not a path: the key is empty or malformed at byte 1"),
            ("a[x]", "not a path: the index is no number at byte 1"),
            ("a[1", "not a path: `[` is not closed at byte 1"),
            ("a[1]b", "not a path: expected `.` or `[` at byte 4"),
            ("\"a", "not a path: the key is empty or malformed at byte 0"),
        ] {
            let error = text.parse::<Path>().expect_err(text);
            assert_eq!(error.to_string(), message, "{text}");
        }
    }

    #[test]
    fn every_path_reads_back_from_its_text() {
        for (path, text) in [
            (Path::root(), ""),
            (
                Path::root()
                    .key("routes")
                    .key("orders")
                    .index(0)
                    .key("rate"),
                "routes.orders[0].rate",
            ),
            (
                Path::root().key("api.example.com").key("a b"),
                "\"api.example.com\".\"a b\"",
            ),
            (
                Path::root().key("say \"hi\"").index(2),
                "\"say \\\"hi\\\"\"[2]",
            ),
            (Path::root().key(""), "\"\""),
            (Path::root().index(1).key("x"), "[1].x"),
        ] {
            assert_eq!(path.to_string(), text);
            assert_eq!(text.parse::<Path>().as_ref(), Ok(&path), "{text}");
        }
    }
}
