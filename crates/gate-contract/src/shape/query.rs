//! The same changes over the parameters of a query.

use super::change::{Change, What};
use super::tree::Json;

/// Why a change cannot be made to a query.
pub(super) fn refusal(change: &Change) -> Option<String> {
    let one = |way: &[String]| way.len() == 1;
    let fits = match &change.what {
        What::Move { from, to } | What::Copy { from, to } => one(from) && one(to),
        What::Default { at, value } | What::Set { at, value } => {
            one(at) && matches!(value, Json::Scalar(_))
        }
        What::Remove { at } | What::Values { at, .. } => one(at),
        What::Cast { .. } => return Some("parameters are texts: there is nothing to cast".into()),
    };
    (!fits).then(|| "a parameter is named by one step, as in `/limit`, and holds one value".into())
}

/// The query after the changes; none when no parameter is left. Parameters that no change names keep
/// their spelling.
pub(super) fn change(query: &str, changes: &[Change]) -> Option<String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<String> = pairs.map(str::to_owned).collect();
    for change in changes {
        apply(&mut pairs, &change.what);
    }
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

fn apply(pairs: &mut Vec<String>, what: &What) {
    let first = |way: &[String]| way.first().cloned().unwrap_or_default();
    match what {
        What::Move { from, to } => {
            for pair in pairs.iter_mut().filter(|pair| is_named(pair, &first(from))) {
                *pair = renamed(pair, &first(to));
            }
        }
        What::Copy { from, to } => {
            let from = first(from);
            let copies = pairs.iter().filter(|pair| is_named(pair, &from));
            let copies: Vec<String> = copies.map(|pair| renamed(pair, &first(to))).collect();
            pairs.extend(copies);
        }
        What::Default { at, value } => {
            let name = first(at);
            if !pairs.iter().any(|pair| is_named(pair, &name)) {
                pairs.push(pair(&name, &plain(value)));
            }
        }
        What::Set { at, value } => {
            let name = first(at);
            pairs.retain(|pair| !is_named(pair, &name));
            pairs.push(pair(&name, &plain(value)));
        }
        What::Remove { at } => pairs.retain(|pair| !is_named(pair, &first(at))),
        What::Values {
            at, map, otherwise, ..
        } => {
            let name = first(at);
            for known in pairs.iter_mut().filter(|pair| is_named(pair, &name)) {
                let value = known.split_once('=').map_or("", |(_, value)| value);
                if let Some(new) = map.get(&decoded(value)).or(otherwise.as_ref()) {
                    *known = pair(&name, new);
                }
            }
        }
        What::Cast { .. } => {}
    }
}

fn is_named(pair: &str, name: &str) -> bool {
    decoded(pair.split_once('=').map_or(pair, |(name, _)| name)) == name
}

fn renamed(pair: &str, name: &str) -> String {
    let name = encoded(name);
    match pair.split_once('=') {
        Some((_, value)) => format!("{name}={value}"),
        None => name,
    }
}

fn pair(name: &str, value: &str) -> String {
    format!("{}={}", encoded(name), encoded(value))
}

fn plain(value: &Json) -> String {
    value.as_text().unwrap_or_else(|| value.text())
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// As forms are decoded; what is no escape stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let hex = |byte: &u8| {
            char::from(*byte)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        match (byte, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, behind @ ..]) => match (hex(high), hex(low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high * 16 + low);
                    rest = behind;
                }
                _ => bytes.push(byte),
            },
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
