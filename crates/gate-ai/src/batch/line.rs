//! What one line of a batch asks for.

use crate::json::object::{Object, boolean, text};
use std::borrow::Cow;

/// Longest id that a caller may give a request, in bytes.
const CUSTOM_ID_MAX: usize = 512;

/// A line of a file for OpenAI's batches
/// (<https://platform.openai.com/docs/api-reference/batch/request-input>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAiLine<'a> {
    /// What the caller knows the request by.
    pub custom_id: Cow<'a, str>,
    /// The request.
    pub body: &'a str,
    /// The model that it names, if it names one.
    pub model: Option<Cow<'a, str>>,
    /// Whether it asks for a stream, which a batch cannot give.
    pub streams: bool,
}

/// A request of a message batch
/// (<https://docs.claude.com/en/api/creating-message-batches>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnthropicLine<'a> {
    /// What the caller knows the request by.
    pub custom_id: Cow<'a, str>,
    /// The request.
    pub params: &'a str,
    /// The model that it names, if it names one.
    pub model: Option<Cow<'a, str>>,
    /// Whether it asks for a stream, which a batch cannot give.
    pub streams: bool,
}

/// What is wrong with a line. The codes are OpenAI's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is no JSON object.
    #[error("This line is not parseable as valid JSON.")]
    NoJson,
    /// It has more bytes than one request may have.
    #[error("This line is longer than one request may be.")]
    TooLong,
    /// A member is not there.
    #[error("Missing required parameter: '{0}'.")]
    Missing(&'static str),
    /// A member is not of its type, or empty, or too long.
    #[error("Invalid value for parameter: '{0}'.")]
    Invalid(&'static str),
    /// The method is not POST.
    #[error("The HTTP method of this request is not POST.")]
    Method,
    /// The address is not the batch's.
    #[error("The URL provided for this request does not match the batch endpoint.")]
    Address,
    /// An earlier line has the same id.
    #[error(
        "The custom_id '{0}' for this request is a duplicate of another request. The custom_id \
         parameter must be unique for each request in a batch."
    )]
    Duplicate(String),
}

impl LineError {
    /// The code that clients tell it by.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoJson => "invalid_json_line",
            Self::TooLong => "line_too_long",
            Self::Missing(_) => "missing_required_parameter",
            Self::Invalid(_) => "invalid_value",
            Self::Method => "invalid_method",
            Self::Address => "invalid_url",
            Self::Duplicate(_) => "duplicate_custom_id",
        }
    }

    /// The member that it is about.
    #[must_use]
    pub const fn parameter(&self) -> Option<&'static str> {
        match self {
            Self::NoJson | Self::TooLong => None,
            Self::Missing(name) | Self::Invalid(name) => Some(name),
            Self::Method => Some("method"),
            Self::Address => Some("url"),
            Self::Duplicate(_) => Some("custom_id"),
        }
    }
}

/// Reads a line of a file for a batch whose requests go to `endpoint`.
///
/// # Errors
/// [`LineError`], but never [`LineError::Duplicate`], which takes more than one line to know.
pub fn openai_line<'a>(line: &'a [u8], endpoint: &str) -> Result<OpenAiLine<'a>, LineError> {
    let object = Object::parse(line).map_err(|_| LineError::NoJson)?;
    let named = |name: &'static str| {
        let raw = object.get(name).ok_or(LineError::Missing(name))?;
        text(raw, name).map_err(|_| LineError::Invalid(name))
    };
    let custom_id = named("custom_id")?;
    if custom_id.is_empty() || custom_id.len() > CUSTOM_ID_MAX {
        return Err(LineError::Invalid("custom_id"));
    }
    if named("method")? != "POST" {
        return Err(LineError::Method);
    }
    if named("url")? != endpoint {
        return Err(LineError::Address);
    }
    let (body, model, streams) = request(&object, "body")?;
    Ok(OpenAiLine {
        custom_id,
        body,
        model,
        streams,
    })
}

/// Reads a request of a message batch.
///
/// # Errors
/// As [`openai_line`].
pub fn anthropic_line(line: &[u8]) -> Result<AnthropicLine<'_>, LineError> {
    let object = Object::parse(line).map_err(|_| LineError::NoJson)?;
    let raw = object.get("custom_id");
    let raw = raw.ok_or(LineError::Missing("custom_id"))?;
    let custom_id = text(raw, "custom_id").map_err(|_| LineError::Invalid("custom_id"))?;
    if !is_custom_id(&custom_id) {
        return Err(LineError::Invalid("custom_id"));
    }
    let (params, model, streams) = request(&object, "params")?;
    Ok(AnthropicLine {
        custom_id,
        params,
        model,
        streams,
    })
}

/// Whether Anthropic admits this as an id: 1 to 64 letters, digits, `-` and `_`.
#[must_use]
pub fn is_custom_id(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(fits)
}

type Request<'a> = (&'a str, Option<Cow<'a, str>>, bool);

/// The request in a line's member: its text, its model, and whether it streams.
fn request<'a>(line: &Object<'a>, name: &'static str) -> Result<Request<'a>, LineError> {
    let raw = line.get(name).ok_or(LineError::Missing(name))?;
    let body = Object::of(raw, name).map_err(|_| LineError::Invalid(name))?;
    let streams = body.get("stream").map(|raw| boolean(raw, "stream"));
    Ok((
        raw.get(),
        body.text("model"),
        matches!(streams, Some(Ok(true))),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &str = "/v1/chat/completions";

    #[test]
    fn a_line_says_what_it_asks_for() {
        let line = r#"{"custom_id":"a\u002d1","method":"POST","url":"/v1/chat/completions","body":{"model":"m","stream":true,"x":[1]}}"#;
        let read = openai_line(line.as_bytes(), CHAT).unwrap();
        assert_eq!(
            (&*read.custom_id, read.model.as_deref()),
            ("a-1", Some("m"))
        );
        assert_eq!(read.body, r#"{"model":"m","stream":true,"x":[1]}"#);
        assert!(read.streams);
        let line = br#"{"custom_id":"a_1","params":{"max_tokens":1}}"#;
        let read = anthropic_line(line).unwrap();
        assert_eq!(
            (&*read.custom_id, read.params),
            ("a_1", r#"{"max_tokens":1}"#)
        );
        assert_eq!((read.model, read.streams), (None, false));
    }

    #[test]
    fn what_is_wrong_with_a_line_has_openais_code() {
        let check = |line: &str, code: &str, parameter: Option<&str>| {
            let error = openai_line(line.as_bytes(), CHAT).unwrap_err();
            assert_eq!(
                (error.code(), error.parameter()),
                (code, parameter),
                "{line}"
            );
        };
        let missing = "missing_required_parameter";
        check("{", "invalid_json_line", None);
        check("[]", "invalid_json_line", None);
        check(r#"{"a":1} x"#, "invalid_json_line", None);
        check("{}", missing, Some("custom_id"));
        check(r#"{"custom_id":1}"#, "invalid_value", Some("custom_id"));
        check(r#"{"custom_id":""}"#, "invalid_value", Some("custom_id"));
        check(r#"{"custom_id":"a"}"#, missing, Some("method"));
        let get = r#"{"custom_id":"a","method":"GET","url":"/v1/chat/completions"}"#;
        check(get, "invalid_method", Some("method"));
        check(&get.replace("GET", "POST"), missing, Some("body"));
        let other = r#"{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{}}"#;
        check(other, "invalid_url", Some("url"));
        let list = r#"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":[]}"#;
        check(list, "invalid_value", Some("body"));
    }

    #[test]
    fn anthropics_ids_are_bounded() {
        assert!(is_custom_id("my-custom_id-1") && is_custom_id(&"a".repeat(64)));
        for id in ["", "a b", "ä", "a/b", &"a".repeat(65)] {
            assert!(!is_custom_id(id), "{id}");
        }
    }
}
