//! Models that are named in a path instead of in a body.

use gate_ai::endpoint::{Endpoint, ModelPlace};
use gate_flow::Exchange;

/// Names another model in a path that names one.
pub(super) fn address(exchange: &mut Exchange, model: &str) {
    let head = &mut exchange.request.head;
    let Ok(endpoint) = Endpoint::of(&head.method, head.path(), head.query()) else {
        return;
    };
    if !matches!(endpoint.model, ModelPlace::Path(_)) {
        return;
    }
    // `/v1beta/models/NAME:generateContent` and `/model/NAME/converse`.
    let (path, query) = match head.target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (head.target.as_str(), None),
    };
    let Some(start) = ["/models/", "/model/"]
        .iter()
        .find_map(|mark| Some(path.find(mark)? + mark.len()))
    else {
        return;
    };
    let length = match path[start..]
        .rfind(':')
        .filter(|_| !path.contains("/model/"))
    {
        Some(colon) => colon,
        None => path[start..].rfind('/').unwrap_or(path.len() - start),
    };
    let mut target = format!("{}{}", &path[..start], escaped(model));
    target.push_str(&path[start + length..]);
    if let Some(query) = query {
        target.push('?');
        target.push_str(query);
    }
    let before = std::mem::replace(&mut head.target, target);
    let original = &mut exchange.record.original_target;
    original.get_or_insert_with(|| before.into());
}

/// A name as a path's segment.
fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
