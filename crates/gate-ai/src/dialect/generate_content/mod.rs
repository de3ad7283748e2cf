//! Google's generateContent and streamGenerateContent, as the Gemini API and Vertex AI speak it.
//!
//! Reference: <https://ai.google.dev/api/generate-content>. Members are read in camel case and with
//! underscores and written in camel case. Tools that Google runs itself (search, code execution,
//! file search, URL context) have no neutral place and are reported as losses. Model and streaming
//! stand in the path, which is the endpoint's business and not this folder's.

mod calls;
mod decode;
mod encode;
pub(crate) mod facts;
mod grounding;
mod logprobs;
mod partial;
mod parts;
mod query;
mod response;
mod schema;
mod settings;
mod signature;
mod stream;
mod stream_write;
mod tools;
mod usage;

pub use query::{target_in_form, wants_json_list};

use super::{Codec, StreamDecoder, StreamEncoder};
use crate::conversation::{Request, Response};
use crate::failure::{ErrorClass, ProviderError};
use crate::json::object::{Object, Raw, list};
use crate::json::write::Writer;
use crate::usage::value_of_member;
use crate::{DialectError, Losses, TranslateOptions, Usage};
use memchr::memmem::Finder;
use std::sync::LazyLock;

pub(crate) struct GenerateContent;

impl Codec for GenerateContent {
    fn decode_request<'a>(
        &self,
        body: &'a [u8],
        losses: &mut Losses,
    ) -> Result<Request<'a>, DialectError> {
        decode::request(body, losses)
    }

    fn encode_request(
        &self,
        request: &Request<'_>,
        _options: &TranslateOptions,
        losses: &mut Losses,
    ) -> Result<Vec<u8>, DialectError> {
        encode::request(request, losses)
    }

    fn decode_response<'a>(
        &self,
        body: &'a [u8],
        losses: &mut Losses,
    ) -> Result<Response<'a>, DialectError> {
        response::decode(body, losses)
    }

    fn encode_response(
        &self,
        response: &Response<'_>,
        model: &str,
        options: &TranslateOptions,
        losses: &mut Losses,
    ) -> Result<Vec<u8>, DialectError> {
        Ok(response::encode(response, model, options, losses))
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::default())
    }

    fn stream_encoder(&self, model: &str, options: &TranslateOptions) -> Box<dyn StreamEncoder> {
        Box::new(stream_write::Encoder::new(model, options))
    }

    fn read_usage(&self, document: &[u8], at: usize, usage: &mut Usage) -> Option<usize> {
        usage::read(document, at, usage)
    }

    fn read_stream_usage(&self, data: &[u8], usage: &mut Usage) -> bool {
        value_of_member(data, b"usageMetadata")
            .is_some_and(|at| usage::read(data, at, usage).is_some())
    }

    fn is_usage_chunk(&self, _data: &[u8]) -> bool {
        false
    }

    fn is_end(&self, event: &[u8]) -> bool {
        // Nothing marks the end but the reason to stop, or why the prompt was refused. A quote in
        // text is escaped, so that text never looks like the key.
        static FINISH: LazyLock<Finder<'static>> =
            LazyLock::new(|| Finder::new("\"finishReason\""));
        static BLOCK: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"blockReason\""));
        FINISH.find(event).is_some() || BLOCK.find(event).is_some()
    }

    fn bears_token(&self, data: &[u8]) -> bool {
        stream::bears_token(data)
    }

    fn error_body(&self, status: u16, code: &str, message: &str) -> Vec<u8> {
        error_json(status, status_name(status), code, message)
    }

    fn error_event(&self, class: ErrorClass, code: &str, message: &str) -> Vec<u8> {
        let mut out = b"data: ".to_vec();
        out.extend_from_slice(&error_of_class(class, code, message));
        out.extend_from_slice(b"\r\n\r\n");
        out
    }

    fn read_error(&self, body: &[u8]) -> ProviderError {
        let Ok(text) = std::str::from_utf8(body) else {
            return ProviderError::default();
        };
        let Ok(raw) = serde_json::from_str::<Raw<'_>>(text.trim()) else {
            return ProviderError::default();
        };
        // A stream that was asked for as a list has its error in a list, too.
        let first = list(raw, "error")
            .ok()
            .and_then(|list| list.first().copied());
        Object::of(first.unwrap_or(raw), "error").map_or_else(
            |_| ProviderError::default(),
            |object| read_error_object(&object),
        )
    }
}

/// Reads `{"error":{code,message,status,details}}`.
fn read_error_object(object: &Object<'_>) -> ProviderError {
    let inner = object
        .get("error")
        .and_then(|raw| Object::of(raw, "error").ok());
    let error = inner.as_ref().unwrap_or(object);
    let details = error.get("details");
    let details = details.and_then(|raw| list(raw, "details").ok());
    let reason = details.into_iter().flatten().find_map(|raw| {
        let detail = Object::of(raw, "details").ok()?;
        detail.text("reason").map(std::borrow::Cow::into_owned)
    });
    ProviderError {
        kind: error.text("status").map(std::borrow::Cow::into_owned),
        code: reason,
        message: error.text("message").map(std::borrow::Cow::into_owned),
    }
}

fn error_of_class(class: ErrorClass, code: &str, message: &str) -> Vec<u8> {
    let (status, name) = match class {
        ErrorClass::RateLimited | ErrorClass::QuotaExhausted => (429, "RESOURCE_EXHAUSTED"),
        ErrorClass::Overloaded => (503, "UNAVAILABLE"),
        ErrorClass::BadRequest | ErrorClass::ContextLength | ErrorClass::ContentFilter => {
            (400, "INVALID_ARGUMENT")
        }
        ErrorClass::NotFound => (404, "NOT_FOUND"),
        ErrorClass::Timeout => (504, "DEADLINE_EXCEEDED"),
        // A bad credential is the gateway's, not the caller's.
        ErrorClass::BadCredential | ErrorClass::Server => (500, "INTERNAL"),
    };
    error_json(status, name, code, message)
}

/// An error as Google's servers write it (<https://cloud.google.com/apis/design/errors>); the
/// gateway's own code is the reason among the details.
fn error_json(status: u16, name: &str, code: &str, message: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(192 + message.len());
    let mut w = Writer::new(&mut out);
    w.open().key("error").open();
    w.key("code").unsigned(status.into());
    w.member("message", message).member("status", name);
    w.key("details").open_list().open();
    w.member("@type", "type.googleapis.com/google.rpc.ErrorInfo");
    w.member("reason", code).member("domain", "tidegate");
    w.close().close_list().close().close();
    out
}

/// Google's name for a status.
fn status_name(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        503 | 529 => "UNAVAILABLE",
        408 | 504 => "DEADLINE_EXCEEDED",
        400..=499 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}
