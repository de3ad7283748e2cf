//! Writes a tree as YAML that people like to read: short things on one line, long ones below.
//!
//! Texts stand bare only where nothing could take them for something else; all others are in
//! double quotes, and what YAML does not print is escaped.

use serde_json::{Map, Value};

/// The longest line that a short thing may fill.
const WIDTH: usize = 96;

/// The document; ends with a line's end.
pub(crate) fn write(document: &Value) -> String {
    let mut out = String::new();
    match document {
        Value::Object(map) if !map.is_empty() => block_map(map, 0, &mut out),
        other => {
            flow(other, &mut out);
            out.push('\n');
        }
    }
    out
}

fn block_map(map: &Map<String, Value>, indent: usize, out: &mut String) {
    for (key, value) in map {
        pad(indent, out);
        text(key, out);
        out.push(':');
        below(value, indent, indent == 0, out);
    }
}

/// A value behind its key or dash; `open` asks for a line of its own for each entry.
fn below(value: &Value, indent: usize, open: bool, out: &mut String) {
    let mut short = String::new();
    flow(value, &mut short);
    let column = out.len() - out.rfind('\n').map_or(0, |at| at + 1);
    let fits = column + 1 + short.chars().count() <= WIDTH;
    match value {
        Value::Object(map) if !map.is_empty() && (open || !fits) => {
            out.push('\n');
            block_map(map, indent + 2, out);
        }
        Value::Array(items) if !items.is_empty() && !fits => {
            out.push('\n');
            for item in items {
                pad(indent + 2, out);
                out.push('-');
                item_below(item, indent + 2, out);
            }
        }
        _ => {
            out.push(' ');
            out.push_str(&short);
            out.push('\n');
        }
    }
}

/// An entry of a list: a mapping begins on the dash's own line.
fn item_below(item: &Value, indent: usize, out: &mut String) {
    let mut short = String::new();
    flow(item, &mut short);
    let fits = indent + 2 + short.chars().count() <= WIDTH;
    match item {
        Value::Object(map) if !map.is_empty() && !fits => {
            let mut inner = String::new();
            block_map(map, indent + 2, &mut inner);
            out.push(' ');
            out.push_str(inner.trim_start_matches(' '));
        }
        _ => {
            out.push(' ');
            out.push_str(&short);
            out.push('\n');
        }
    }
}

fn flow(value: &Value, out: &mut String) {
    match value {
        Value::String(value) => text(value, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                flow(item, out);
            }
            out.push(']');
        }
        Value::Object(map) if map.is_empty() => out.push_str("{}"),
        Value::Object(map) => {
            out.push_str("{ ");
            for (index, (key, value)) in map.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                text(key, out);
                out.push_str(": ");
                flow(value, out);
            }
            out.push_str(" }");
        }
        plain => out.push_str(&plain.to_string()),
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Whether a text can be taken for nothing but itself, in any version of YAML.
fn is_bare(text: &str) -> bool {
    const WORDS: [&str; 11] = [
        "true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan",
    ];
    let mut bytes = text.bytes();
    let first = bytes.next();
    let starts = first.is_some_and(|b| b.is_ascii_alphabetic() || b == b'/');
    let inside = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/');
    starts && bytes.all(inside) && !WORDS.contains(&&*text.to_ascii_lowercase())
}

fn text(text: &str, out: &mut String) {
    if is_bare(text) || is_quantity(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_printed(c) => out.push(c),
            c if u32::from(c) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
}

/// Such as `30s`, `1MiB` and `100/s`: begins with digits, and is no number.
fn is_quantity(text: &str) -> bool {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let unit = rest.strip_prefix('/').unwrap_or(rest);
    let units = ["ms", "s", "m", "h", "d", "KiB", "MiB", "GiB"];
    (1..=9).contains(&(text.len() - rest.len())) && units.contains(&unit)
}

fn is_printed(c: char) -> bool {
    let special = matches!(
        c,
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
    );
    !c.is_control() && !special
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_model::document::{Document, canonical_json};
    use proptest::prelude::*;
    use serde_json::json;

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            prop_oneof![
                "no", "1.5", "0x10", "1e3", "~", "a: b", "- a", "30s", "012", "7/s", ""
            ]
            .prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[ -~]{1,12}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(value in tree()) {
            let document = json!({ "a": value });
            let text = write(&document);
            let read = Document::parse(text.as_bytes(), "f").map_err(|f| {
                TestCaseError::fail(format!("{f:?}\n{text}"))
            })?;
            let read: Value = serde_json::from_str(&canonical_json(&read.root)).unwrap();
            prop_assert_eq!(read, document, "{}", text);
        }
    }
}
