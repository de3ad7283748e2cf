//! Arguments of a call that arrive piece by piece, each at a path into them.
//!
//! Vertex streams them so where the caller asks for it
//! (<https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling>): strings
//! grow over several pieces of one path. Other dialects stream the arguments' text, which is whole
//! only when the last piece has come, so that the pieces are put together here, within limits.

use crate::DialectError;
use crate::json::object::{Object, Raw, list, text};
use serde_json::{Map, Value};

/// Most bytes of one call's arguments.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Deepest path.
const DEPTH_MAX: usize = 32;

/// A call's arguments so far.
#[derive(Debug)]
pub(super) struct Partial {
    value: Value,
    bytes: usize,
}

enum Step<'p> {
    Member(&'p str),
    Index(usize),
}

impl Partial {
    pub(super) fn new() -> Self {
        Self {
            value: Value::Object(Map::new()),
            bytes: 0,
        }
    }

    /// The arguments as JSON text.
    pub(super) fn into_json(self) -> String {
        self.value.to_string()
    }

    /// Adds the pieces of a list of `partialArgs`.
    pub(super) fn add(&mut self, raw: Raw<'_>) -> Result<(), DialectError> {
        for item in list(raw, "partialArgs")? {
            let piece = Object::of(item, "partialArgs")?.camel()?;
            let path = piece.text("jsonPath").unwrap_or_default();
            let value = value(&piece)?;
            self.bytes += path.len() + item.get().len();
            if self.bytes > BYTES_MAX {
                return Err(DialectError::EventTooLarge { limit: BYTES_MAX });
            }
            self.put(&path, value)?;
        }
        Ok(())
    }

    fn put(&mut self, path: &str, value: Value) -> Result<(), DialectError> {
        let wrong = || DialectError::wrong_type("jsonPath", "a path of members and indices");
        let steps = steps(path).ok_or_else(wrong)?;
        let mut at = &mut self.value;
        for step in steps {
            at = match step {
                Step::Member(name) => {
                    if !at.is_object() {
                        *at = Value::Object(Map::new());
                    }
                    let members = at.as_object_mut().ok_or_else(wrong)?;
                    members.entry(name).or_insert(Value::Null)
                }
                Step::Index(index) => {
                    if !at.is_array() {
                        *at = Value::Array(Vec::new());
                    }
                    let items = at.as_array_mut().ok_or_else(wrong)?;
                    if items.len() == index {
                        items.push(Value::Null);
                    }
                    // Lists grow item by item.
                    items.get_mut(index).ok_or_else(wrong)?
                }
            };
        }
        match (at, value) {
            (Value::String(text), Value::String(more)) => text.push_str(&more),
            (at, value) => *at = value,
        }
        Ok(())
    }
}

fn value(piece: &Object<'_>) -> Result<Value, DialectError> {
    for (name, raw) in piece.iter() {
        return Ok(match name {
            "stringValue" => text(raw, "stringValue")?.into_owned().into(),
            "numberValue" | "boolValue" => serde_json::from_str(raw.get())
                .map_err(|_| DialectError::wrong_type("numberValue", "a number"))?,
            _ => continue,
        });
    }
    Ok(Value::Null)
}

/// The steps of a path such as `$.a.b[0]['c']`.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() == DEPTH_MAX {
            return None;
        }
        if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            steps.push(Step::Member(&name[..end]));
            rest = &name[end..];
            continue;
        }
        let inner = rest.strip_prefix('[')?;
        let quote = inner.chars().next().filter(|c| matches!(c, '\'' | '"'));
        if let Some(quote) = quote {
            let (name, behind) = inner[1..].split_once(quote)?;
            steps.push(Step::Member(name));
            rest = behind.strip_prefix(']')?;
        } else {
            let (index, behind) = inner.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = behind;
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_together(pieces: &str) -> Result<String, DialectError> {
        let document = format!("{{\"p\":{pieces}}}");
        let object = Object::parse(document.as_bytes()).unwrap();
        let mut partial = Partial::new();
        partial.add(object.get("p").unwrap())?;
        Ok(partial.into_json())
    }

    #[test]
    fn strings_grow_and_paths_lead_into_lists() {
        let made = put_together(
            r#"[{"jsonPath":"$.a","stringValue":"x","willContinue":true},
               {"jsonPath":"$.a","stringValue":"y"},{"jsonPath":"$.b[0]","numberValue":1},
               {"jsonPath":"$.b[1].c","numberValue":2},
               {"jsonPath":"$['d e'][0]","boolValue":true},{"jsonPath":"$.n","nullValue":"NULL_VALUE"}]"#,
        );
        let expected = r#"{"a":"xy","b":[1,{"c":2}],"d e":[true],"n":null}"#;
        assert_eq!(made.unwrap(), expected);
    }

    #[test]
    fn hostile_paths_are_refused() {
        let deep = format!("${}", ".a".repeat(33));
        for path in ["", "a", "$[1]", "$[-1]", "$['a", "$x", deep.as_str()] {
            let piece = format!(r#"[{{"jsonPath":{path:?},"stringValue":""}}]"#);
            assert!(put_together(&piece).is_err(), "{path}");
        }
    }
}
