//! Anthropic Messages.
//!
//! Reference: <https://docs.claude.com/en/api/messages>. Blocks of tools that Anthropic runs
//! itself (web search, code execution, MCP) have no neutral place and are reported as losses.

mod blocks;
mod decode;
mod encode;
mod response;
mod stream;
mod stream_write;

pub(in crate::dialect) use blocks::{tool_id, tool_input};
pub(in crate::dialect) use encode::Thinking;

use super::{Codec, StreamDecoder, StreamEncoder};
use crate::conversation::{Request, Response};
use crate::failure::{ErrorClass, ProviderError};
use crate::json::object::Object;
use crate::json::scan::Scanner;
use crate::json::write::Writer;
use crate::usage::{read_counts, value_of_member};
use crate::{DialectError, Losses, TranslateOptions, Usage};

pub(crate) struct Messages;

impl Codec for Messages {
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
        options: &TranslateOptions,
        losses: &mut Losses,
    ) -> Result<Vec<u8>, DialectError> {
        encode::request(request, options, losses)
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
        _options: &TranslateOptions,
        losses: &mut Losses,
    ) -> Result<Vec<u8>, DialectError> {
        response::encode(response, model, losses)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::default())
    }

    fn stream_encoder(&self, model: &str, _options: &TranslateOptions) -> Box<dyn StreamEncoder> {
        Box::new(stream_write::Encoder::new(model))
    }

    fn read_usage(&self, document: &[u8], at: usize, usage: &mut Usage) -> Option<usize> {
        // Members absent here keep what an earlier event of the stream said.
        let mut fresh = usage.fresh_input_tokens();
        let end = read_counts(document, at, Some, |outer: &[u8], name, n| {
            match (outer, name) {
                (b"", b"input_tokens") => fresh = n,
                (b"", b"output_tokens") => usage.output_tokens = n,
                (b"", b"cache_read_input_tokens") => usage.cached_tokens = n,
                (b"", b"cache_creation_input_tokens") => usage.cache_written_tokens = n,
                (b"cache_creation", b"ephemeral_1h_input_tokens") => {
                    usage.cache_written_1h_tokens = n;
                }
                (b"output_tokens_details", b"thinking_tokens") => usage.reasoning_tokens = n,
                (b"server_tool_use", b"web_search_requests") => usage.pieces.searches[0] = n,
                _ => {}
            }
        })?;
        usage.input_tokens = fresh
            .saturating_add(usage.cached_tokens)
            .saturating_add(usage.cache_written_tokens);
        Some(end)
    }

    fn read_stream_usage(&self, data: &[u8], usage: &mut Usage) -> bool {
        // message_delta has it at the top, message_start inside its message.
        let at = value_of_member(data, b"usage").or_else(|| {
            let message = value_of_member(data, b"message")?;
            let end = Scanner::at(data, message).skip_value().ok()?.end;
            Some(message + value_of_member(&data[message..end], b"usage")?)
        });
        at.is_some_and(|at| self.read_usage(data, at, usage).is_some())
    }

    fn is_usage_chunk(&self, _data: &[u8]) -> bool {
        false
    }

    fn is_end(&self, event: &[u8]) -> bool {
        let data = crate::SseEvent::parse(event).data.unwrap_or_default();
        value_of_member(&data, b"type")
            .is_some_and(|at| data[at..].starts_with(b"\"message_stop\""))
    }

    fn bears_token(&self, data: &[u8]) -> bool {
        value_of_member(data, b"type")
            .is_some_and(|at| data[at..].starts_with(b"\"content_block_delta\""))
    }

    fn error_body(&self, status: u16, _code: &str, message: &str) -> Vec<u8> {
        error_json(kind_of_status(status), message)
    }

    fn error_event(&self, class: ErrorClass, _code: &str, message: &str) -> Vec<u8> {
        let mut out = b"event: error\ndata: ".to_vec();
        out.extend_from_slice(&error_json(kind_of_class(class), message));
        out.extend_from_slice(b"\n\n");
        out
    }

    fn read_error(&self, body: &[u8]) -> ProviderError {
        let Ok(object) = Object::parse(body) else {
            return ProviderError::default();
        };
        let inner = object
            .get("error")
            .and_then(|raw| Object::of(raw, "error").ok());
        let error = inner.as_ref().unwrap_or(&object);
        ProviderError {
            kind: error.text("type").map(std::borrow::Cow::into_owned),
            code: None,
            message: error.text("message").map(std::borrow::Cow::into_owned),
        }
    }
}

fn error_json(kind: &str, message: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + message.len());
    let mut w = Writer::new(&mut out);
    w.open().member("type", "error").key("error").open();
    w.member("type", kind).member("message", message);
    w.close().close();
    out
}

/// Anthropic's type for a status: <https://docs.claude.com/en/api/errors>.
fn kind_of_status(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

fn kind_of_class(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::RateLimited => "rate_limit_error",
        ErrorClass::Overloaded => "overloaded_error",
        ErrorClass::QuotaExhausted => "billing_error",
        ErrorClass::BadRequest | ErrorClass::ContextLength | ErrorClass::ContentFilter => {
            "invalid_request_error"
        }
        ErrorClass::NotFound => "not_found_error",
        ErrorClass::Timeout => "timeout_error",
        // A bad credential is the gateway's, not the caller's.
        ErrorClass::BadCredential | ErrorClass::Server => "api_error",
    }
}

/// Writes usage as Anthropic does.
fn write_usage(w: &mut Writer<'_>, usage: &Usage) {
    w.open();
    w.key("input_tokens").unsigned(usage.fresh_input_tokens());
    w.key("cache_creation_input_tokens")
        .unsigned(usage.cache_written_tokens);
    w.key("cache_read_input_tokens")
        .unsigned(usage.cached_tokens);
    if usage.cache_written_1h_tokens > 0 {
        let five = usage
            .cache_written_tokens
            .saturating_sub(usage.cache_written_1h_tokens);
        w.key("cache_creation").open();
        w.key("ephemeral_5m_input_tokens").unsigned(five);
        w.key("ephemeral_1h_input_tokens")
            .unsigned(usage.cache_written_1h_tokens);
        w.close();
    }
    w.key("output_tokens").unsigned(usage.output_tokens);
    if usage.reasoning_tokens > 0 {
        w.key("output_tokens_details").open();
        w.key("thinking_tokens")
            .unsigned(usage.reasoning_tokens)
            .close();
    }
    w.close();
}
