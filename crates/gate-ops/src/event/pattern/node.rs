//! A pattern's text as JSON: strict, with places, numbers as they are spelled.

use super::parse::PATTERN_DEPTH_MAX;
use super::scan::{Cursor, Malformed, unescape};

/// JSON with numbers as they are spelled and fields in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    Number(String),
    Word(&'static str),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

pub(super) fn read(text: &str) -> Result<Node, Malformed> {
    let bytes = text.as_bytes();
    let mut cursor = Cursor { bytes, at: 0 };
    let node = node(&mut cursor, 0)?;
    cursor.space();
    match cursor.peek() {
        None => Ok(node),
        Some(_) => Err(cursor.wrong("something stands behind it")),
    }
}

fn node(cursor: &mut Cursor<'_>, depth: usize) -> Result<Node, Malformed> {
    if depth > PATTERN_DEPTH_MAX {
        return Err(cursor.wrong("objects and lists lie too deep"));
    }
    cursor.space();
    let node = match cursor.peek() {
        Some(b'"') => Node::Text(string(cursor)?),
        Some(b'{') => {
            cursor.at += 1;
            let mut fields: Vec<(String, Node)> = Vec::new();
            items(cursor, b'}', |cursor| {
                let name = string(cursor)?;
                if fields.iter().any(|(other, _)| *other == name) {
                    return Err(cursor.wrong("a name stands twice in one object"));
                }
                cursor.space();
                if !cursor.pass(b':') {
                    return Err(cursor.wrong("a colon is missing"));
                }
                fields.push((name, node(cursor, depth + 1)?));
                Ok(())
            })?;
            Node::Object(fields)
        }
        Some(b'[') => {
            cursor.at += 1;
            let mut elements = Vec::new();
            items(cursor, b']', |cursor| {
                elements.push(node(cursor, depth + 1)?);
                Ok(())
            })?;
            Node::Array(elements)
        }
        _ => match cursor.word() {
            b"true" => Node::Word("true"),
            b"false" => Node::Word("false"),
            b"null" => Node::Word("null"),
            word => {
                // Only what JSON calls a number passes.
                let spelled = String::from_utf8_lossy(word).into_owned();
                match serde_json::from_str::<serde_json::Number>(&spelled) {
                    Ok(_) => Node::Number(spelled),
                    Err(error) if error.to_string().contains("out of range") => {
                        Node::Number(spelled)
                    }
                    Err(_) => return Err(cursor.wrong("a value is missing or is none")),
                }
            }
        },
    };
    Ok(node)
}

/// What is between brackets and commas.
fn items(
    cursor: &mut Cursor<'_>,
    end: u8,
    mut each: impl FnMut(&mut Cursor<'_>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    cursor.space();
    if cursor.pass(end) {
        return Ok(());
    }
    loop {
        cursor.space();
        each(cursor)?;
        cursor.space();
        if cursor.pass(end) {
            return Ok(());
        }
        if !cursor.pass(b',') {
            return Err(cursor.wrong("a comma or a closing bracket is missing"));
        }
    }
}

fn string(cursor: &mut Cursor<'_>) -> Result<String, Malformed> {
    if !cursor.pass(b'"') {
        return Err(cursor.wrong("a name in quotes is missing"));
    }
    let (raw, escaped) = cursor.string()?;
    let mut text = Vec::new();
    if escaped {
        unescape(raw, &mut text).map_err(|problem| cursor.wrong(problem))?;
    } else {
        text.extend_from_slice(raw);
    }
    if raw.iter().any(|byte| *byte < b' ') {
        return Err(cursor.wrong("a control character stands in a string"));
    }
    String::from_utf8(text).map_err(|_| cursor.wrong("a string is no UTF-8"))
}
