//! One member of a message, changed; the others as they are.
//!
//! Ids of what a server asks its client are given the server's name in front, so that the answer
//! finds its way back without anything being remembered.

use super::quoted;
use crate::DialectError;
use crate::json::object::Object;
use crate::json::write::Writer;

/// The message with another id (JSON).
///
/// # Errors
/// When the bytes are no JSON object.
pub fn with_id(bytes: &[u8], id: &str) -> Result<Vec<u8>, DialectError> {
    replaced(bytes, &["id"], id)
}

/// A call with another name for its tool or prompt; of a completion, in its reference.
///
/// # Errors
/// When the bytes are no JSON object.
pub fn with_name(bytes: &[u8], method: &str, name: &str) -> Result<Vec<u8>, DialectError> {
    let path: &[&str] = match method {
        "completion/complete" => &["params", "ref", "name"],
        _ => &["params", "name"],
    };
    replaced(bytes, path, &quoted(name))
}

/// A cancellation of another request (its id as JSON).
///
/// # Errors
/// When the bytes are no JSON object.
pub fn with_about(bytes: &[u8], id: &str) -> Result<Vec<u8>, DialectError> {
    replaced(bytes, &["params", "requestId"], id)
}

/// Metadata of a resource (RFC 9728) with another resource (JSON).
///
/// # Errors
/// When the bytes are no JSON object.
pub fn with_resource(bytes: &[u8], resource: &str) -> Result<Vec<u8>, DialectError> {
    replaced(bytes, &["resource"], resource)
}

/// An answer whose result `map` changes; an error as it is.
///
/// # Errors
/// When the bytes are no JSON object, and whatever `map` says.
pub fn mapped_result(
    bytes: &[u8],
    map: impl FnOnce(&[u8]) -> Result<Vec<u8>, DialectError>,
) -> Result<Vec<u8>, DialectError> {
    let object = Object::parse(bytes)?;
    let Some(result) = object.get("result") else {
        return Ok(bytes.to_vec());
    };
    let mapped = map(result.get().as_bytes())?;
    let mapped = String::from_utf8(mapped).map_err(|_| DialectError::json(0))?;
    replaced(bytes, &["result"], &mapped)
}

/// The document with one member's value replaced; unchanged where there is no such member.
fn replaced(bytes: &[u8], path: &[&str], value: &str) -> Result<Vec<u8>, DialectError> {
    let mut out = Vec::with_capacity(bytes.len() + value.len());
    let object = Object::parse(bytes)?;
    write(&mut Writer::new(&mut out), &object, path, value)?;
    Ok(out)
}

fn write(
    w: &mut Writer<'_>,
    object: &Object<'_>,
    path: &[&str],
    value: &str,
) -> Result<(), DialectError> {
    w.open();
    for (name, raw) in object.iter() {
        w.named(name);
        match path {
            [only] if *only == name => drop(w.raw(value)),
            [first, rest @ ..] if *first == name && raw.get().starts_with('{') => {
                write(w, &Object::of(raw, "params")?, rest, value)?;
            }
            _ => drop(w.raw(raw.get())),
        }
    }
    w.close();
    Ok(())
}

/// An id of a server's, for its client: a text of the server's name and the id.
#[must_use]
pub fn server_id(server: &str, id: &str) -> String {
    quoted(&format!("{}:{server}{id}", server.len()))
}

/// The server and its own id, out of what [`server_id`] made.
#[must_use]
pub fn own_id(id: &str) -> Option<(String, String)> {
    let text: String = serde_json::from_str(id).ok()?;
    let (length, rest) = text.split_once(':')?;
    let (server, own) = rest.split_at_checked(length.parse().ok()?)?;
    let is_id = serde_json::from_str::<serde_json::Value>(own);
    let is_id = is_id.is_ok_and(|value| value.is_string() || value.is_number());
    is_id.then(|| (server.to_owned(), own.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::Message;

    #[test]
    fn only_the_one_member_changes() {
        let call = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__b","arguments":{"name": 1}}}"#;
        let sent = with_name(call, "tools/call", "b\"").unwrap();
        assert_eq!(
            std::str::from_utf8(&sent).unwrap(),
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"b\"","arguments":{"name": 1}}}"#
        );
        let sent = with_id(call, "\"x\"").unwrap();
        assert_eq!(Message::read(&sent).unwrap().id.as_deref(), Some("\"x\""));
    }

    #[test]
    fn ids_find_their_way_back() {
        for id in ["7", "\"a:\\\"b\"", "-1.5"] {
            let public = server_id("we:ird", id);
            assert_eq!(own_id(&public), Some(("we:ird".into(), id.into())));
        }
        for foreign in ["7", "\"7\"", "\"9:a\"", "\"1:é\"", "\"1:a{}\"", "\"x:a1\""] {
            assert_eq!(own_id(foreign), None, "{foreign}");
        }
    }
}
