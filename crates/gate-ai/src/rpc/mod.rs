//! JSON-RPC as servers of tools (MCP) and agents (A2A) speak it.
//!
//! Pure and bounded: a [`Message`] is read as far as must be known to route it, [`rewrite`] changes
//! one member of it, [`handshake`] and [`lists`] merge what several servers say into one answer,
//! [`names`] is about whose tool a name is, and [`card`] is about agents' cards. Which bytes go
//! where is decided in `gate-proxy/target/{mcp,agent}`. Source:
//! <https://modelcontextprotocol.io/specification/2025-11-25> and
//! <https://a2a-protocol.org/latest/specification/>.

pub mod card;
pub mod handshake;
pub mod lists;
mod message;
pub mod names;
pub mod rewrite;

pub use message::{Kind, Message};

use crate::json::write::Writer;

/// The code of JSON that cannot be read.
pub const PARSE_ERROR: i64 = -32700;
/// The code of a message that is no request.
pub const INVALID_REQUEST: i64 = -32600;
/// The code of a method that is not served.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The code of parameters that name nothing.
pub const INVALID_PARAMS: i64 = -32602;
/// The code of a failure on the way, in the range that is for implementations.
pub const SERVER_ERROR: i64 = -32000;
/// The code of a revision of the protocol that is not spoken.
pub const UNSUPPORTED_VERSION: i64 = -32022;

/// An error as an answer to the request with this id (its JSON); `null` without one. `code` is the
/// gateway's own code of the fault.
#[must_use]
pub fn error_answer(id: Option<&str>, number: i64, message: &str, code: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + message.len());
    let mut w = Writer::new(&mut out);
    w.open().member("jsonrpc", "2.0");
    w.key("id").raw(id.unwrap_or("null"));
    w.key("error").open();
    w.key("code").raw(&number.to_string());
    w.member("message", message);
    w.key("data").open().member("code", code).close();
    w.close().close();
    out
}

/// An answer with this result, which is JSON.
#[must_use]
pub fn answer(id: &str, result: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(40 + id.len() + result.len());
    let mut w = Writer::new(&mut out);
    w.open().member("jsonrpc", "2.0");
    w.key("id").raw(id).key("result").raw(result).close();
    out
}

/// A request, or a notification without an id; `params` is JSON.
#[must_use]
pub fn request(id: Option<&str>, method: &str, params: Option<&str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + method.len());
    let mut w = Writer::new(&mut out);
    w.open().member("jsonrpc", "2.0");
    if let Some(id) = id {
        w.key("id").raw(id);
    }
    w.member("method", method);
    if let Some(params) = params {
        w.key("params").raw(params);
    }
    w.close();
    out
}

/// A text as JSON.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    Writer::new(&mut out).text(text);
    String::from_utf8(out).expect("JSON of a text is UTF-8")
}

/// A message on one line, as event streams and pipes need it: line ends stand in JSON only where
/// any white space may.
pub fn flatten(json: &mut [u8]) {
    for byte in json {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// Appends an event with this data, which is one line.
pub fn write_event(to: &mut Vec<u8>, id: Option<&[u8]>, retry: Option<&[u8]>, data: &[u8]) {
    if let Some(id) = id {
        to.extend_from_slice(b"id: ");
        to.extend_from_slice(id);
        to.push(b'\n');
    }
    if let Some(retry) = retry {
        to.extend_from_slice(b"retry: ");
        to.extend_from_slice(retry);
        to.push(b'\n');
    }
    to.extend_from_slice(b"event: message\ndata: ");
    to.extend_from_slice(data);
    to.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_answers_are_read_back() {
        let error = error_answer(Some("\"a\""), INVALID_PARAMS, "No \"x\".", "tool_not_found");
        let read = Message::read(&error).unwrap();
        assert_eq!((read.kind, read.error), (Kind::Response, Some(-32602)));
        assert_eq!(read.id.as_deref(), Some("\"a\""));
        let read = Message::read(&answer("7", "{}")).unwrap();
        assert_eq!((read.kind, read.error), (Kind::Response, None));
        let read = Message::read(&request(None, "notifications/initialized", None)).unwrap();
        assert_eq!(read.kind, Kind::Notification);
    }

    #[test]
    fn an_event_is_one_line_of_data() {
        let mut json = b"{\n\"a\":1\r\n}".to_vec();
        flatten(&mut json);
        let mut out = Vec::new();
        write_event(&mut out, Some(b"a/1"), None, &json);
        assert_eq!(out, b"id: a/1\nevent: message\ndata: { \"a\":1  }\n\n");
    }
}
