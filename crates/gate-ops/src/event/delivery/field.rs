//! Fields of events, by their paths.

use serde_json::Value;

/// Most bytes of a value that events are ordered or told apart by.
const WORD_BYTES_MAX: usize = 1 << 10;

/// What an event has at a path of names, joined with dots; a number is an element of a list.
#[must_use]
pub fn field<'a>(event: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(event, |value, name| match value {
        Value::Object(fields) => fields.get(name),
        Value::Array(elements) => elements.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The value at a path as a word that events are ordered or told apart by: a text, or what a number or
/// a truth value is written as. None for what is not there, null, lists, objects, and values longer than
/// 1 KiB.
#[must_use]
pub fn word(event: &Value, path: &str) -> Option<String> {
    let text = match field(event, path)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (text.len() <= WORD_BYTES_MAX).then_some(text)
}
