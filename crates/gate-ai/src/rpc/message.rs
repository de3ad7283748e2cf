//! One JSON-RPC message, read as far as must be known to route it.
//!
//! Batches are refused: revision 2025-06-18 of MCP took them out.

use crate::DialectError;
use crate::json::object::{Object, Raw, text};

/// Longest method or id that is read, in bytes.
const SHORT_MAX: usize = 256;
/// Longest name, address or cursor that is read, in bytes.
const LONG_MAX: usize = 8 * 1024;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It asks for an answer.
    Request,
    /// It asks for none.
    Notification,
    /// It answers.
    Response,
}

/// A message, with copies of what decides about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Its id as JSON, a text or a number; none for notifications.
    pub id: Option<Box<str>>,
    /// Its method; empty for answers.
    pub method: Box<str>,
    /// The tool or prompt that it names.
    pub name: Option<Box<str>>,
    /// The resource that it names.
    pub uri: Option<Box<str>>,
    /// Where a list goes on.
    pub cursor: Option<Box<str>>,
    /// The request that it is about, as JSON: of a cancellation.
    pub about: Option<Box<str>>,
    /// The token of progress that it asks for or tells of, as JSON.
    pub progress: Option<Box<str>>,
    /// The code of the error that it answers with.
    pub error: Option<i64>,
    /// It answers that the tool failed.
    pub tool_failed: bool,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// When the bytes are not one JSON-RPC 2.0 message.
    pub fn read(bytes: &[u8]) -> Result<Self, DialectError> {
        let object = Object::parse(bytes)?;
        if object.text("jsonrpc").as_deref() != Some("2.0") {
            return Err(DialectError::wrong_type("jsonrpc", "\"2.0\""));
        }
        let id = object.get("id").map(id).transpose()?;
        let mut message = Self {
            kind: Kind::Response,
            id,
            method: "".into(),
            name: None,
            uri: None,
            cursor: None,
            about: None,
            progress: None,
            error: None,
            tool_failed: false,
        };
        match object.get("method") {
            Some(method) => {
                message.method = short(method, "method", SHORT_MAX)?;
                message.kind = match message.id {
                    Some(_) => Kind::Request,
                    None => Kind::Notification,
                };
                if let Some(params) = object.get("params") {
                    message.read_params(params)?;
                }
            }
            None => message.read_answer(&object)?,
        }
        Ok(message)
    }

    fn read_params(&mut self, params: Raw<'_>) -> Result<(), DialectError> {
        // A2A's HTTP+JSON and later revisions may have others; they are not looked into.
        if !params.get().starts_with('{') {
            return Ok(());
        }
        let params = Object::of(params, "params")?;
        let long = |object: &Object<'_>, key: &'static str| {
            let raw = object.get(key);
            raw.map(|raw| short(raw, key, LONG_MAX)).transpose()
        };
        match &*self.method {
            "tools/call" | "prompts/get" => self.name = long(&params, "name")?,
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
                self.uri = long(&params, "uri")?;
            }
            "completion/complete" => {
                if let Some(reference) = params.get("ref") {
                    let reference = Object::of(reference, "ref")?;
                    self.name = long(&reference, "name")?;
                    self.uri = long(&reference, "uri")?;
                }
            }
            "notifications/cancelled" => {
                self.about = params.get("requestId").map(id).transpose()?;
            }
            "notifications/progress" => {
                self.progress = params.get("progressToken").map(id).transpose()?;
            }
            method if method.ends_with("/list") => self.cursor = long(&params, "cursor")?,
            _ => {}
        }
        if let Some(meta) = params.get("_meta").filter(|_| self.kind == Kind::Request) {
            let meta = Object::of(meta, "_meta")?;
            self.progress = meta.get("progressToken").map(id).transpose()?;
        }
        Ok(())
    }

    fn read_answer(&mut self, object: &Object<'_>) -> Result<(), DialectError> {
        if let Some(error) = object.get("error") {
            let error = Object::of(error, "error")?;
            let code = error
                .get("code")
                .ok_or(DialectError::Missing { field: "code" })?;
            let code = serde_json::from_str(code.get());
            self.error = Some(code.map_err(|_| DialectError::wrong_type("code", "an integer"))?);
            return Ok(());
        }
        let result = object
            .get("result")
            .ok_or(DialectError::Missing { field: "method" })?;
        if self.id.is_none() {
            return Err(DialectError::Missing { field: "id" });
        }
        if result.get().starts_with('{') {
            let result = Object::of(result, "result")?;
            self.tool_failed = result.get("isError").is_some_and(|raw| raw.get() == "true");
        }
        Ok(())
    }
}

fn id(raw: Raw<'_>) -> Result<Box<str>, DialectError> {
    let json = raw.get();
    let first = json.as_bytes().first().copied().unwrap_or_default();
    let fits = first == b'"' || first == b'-' || first.is_ascii_digit();
    if !fits || json.len() > SHORT_MAX {
        return Err(DialectError::wrong_type("id", "a short text or a number"));
    }
    Ok(json.into())
}

fn short(raw: Raw<'_>, field: &'static str, most: usize) -> Result<Box<str>, DialectError> {
    let found = text(raw, field)?;
    if found.len() > most {
        return Err(DialectError::wrong_type(field, "a shorter text"));
    }
    Ok(found.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Message {
        Message::read(json.as_bytes()).unwrap()
    }

    #[test]
    fn requests_say_what_they_name() {
        let call = read(
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__b","arguments":{"name":"no"},"_meta":{"progressToken":"p"}}}"#,
        );
        assert_eq!((call.kind, call.id.as_deref()), (Kind::Request, Some("1")));
        assert_eq!(call.name.as_deref(), Some("a__b"));
        assert_eq!(call.progress.as_deref(), Some("\"p\""));
        let list =
            read(r#"{"jsonrpc":"2.0","id":"x","method":"tools/list","params":{"cursor":"c"}}"#);
        assert_eq!(list.cursor.as_deref(), Some("c"));
        let ended = read(
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"7"}}"#,
        );
        assert_eq!(
            (ended.kind, ended.about.as_deref()),
            (Kind::Notification, Some("\"7\""))
        );
    }

    #[test]
    fn answers_say_how_it_went() {
        assert!(read(r#"{"jsonrpc":"2.0","id":1,"result":{"isError":true}}"#).tool_failed);
        let failed = read(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}"#);
        assert_eq!((failed.error, failed.id), (Some(-32700), None));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for json in [
            "[]",
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{}}"#,
        ] {
            assert!(Message::read(json.as_bytes()).is_err(), "{json}");
        }
        let long = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#,
            "m".repeat(300)
        );
        assert!(Message::read(long.as_bytes()).is_err());
    }
}
