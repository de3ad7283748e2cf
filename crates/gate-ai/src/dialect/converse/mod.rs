//! Amazon Bedrock's Converse and ConverseStream.
//!
//! Reference: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>.
//! The path names the model and says whether the answer is streamed; streams are binary frames
//! ([`crate::event_stream`]). Tools that Bedrock runs itself, guardrails and videos have no neutral
//! place and are reported as losses.

mod blocks;
mod decode;
mod encode;
mod fields;
mod media;
mod response;
mod stream;
mod stream_write;

use super::{Codec, StreamDecoder, StreamEncoder};
use crate::conversation::{Request, Response};
use crate::event_stream::{EventFrame, write_frame};
use crate::failure::{ErrorClass, ProviderError};
use crate::json::object::{Object, list, unsigned};
use crate::json::write::Writer;
use crate::usage::{read_counts, value_of_member};
use crate::{DialectError, Losses, TranslateOptions, Usage};
use std::borrow::Cow;

pub(crate) struct Converse;

impl Codec for Converse {
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
        _model: &str,
        _options: &TranslateOptions,
        losses: &mut Losses,
    ) -> Result<Vec<u8>, DialectError> {
        response::encode(response, losses)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::default())
    }

    fn stream_encoder(&self, _model: &str, _options: &TranslateOptions) -> Box<dyn StreamEncoder> {
        Box::new(stream_write::Encoder::default())
    }

    fn read_usage(&self, document: &[u8], at: usize, usage: &mut Usage) -> Option<usize> {
        let mut fresh = usage.fresh_input_tokens();
        let end = read_counts(document, at, Some, |outer: &[u8], name, n| {
            match (outer, name) {
                (b"", b"inputTokens") => fresh = n,
                (b"", b"outputTokens") => usage.output_tokens = n,
                (b"", b"cacheReadInputTokens") => usage.cached_tokens = n,
                (b"", b"cacheWriteInputTokens") => usage.cache_written_tokens = n,
                _ => {}
            }
        })?;
        if usage.cache_written_tokens > 0 {
            usage.cache_written_1h_tokens = written_for_an_hour(&document[at..end]).unwrap_or(0);
        }
        // Bedrock counts cached tokens beside the others.
        usage.input_tokens = fresh
            .saturating_add(usage.cached_tokens)
            .saturating_add(usage.cache_written_tokens);
        Some(end)
    }

    fn read_stream_usage(&self, data: &[u8], usage: &mut Usage) -> bool {
        let at = value_of_member(data, b"usage");
        at.is_some_and(|at| self.read_usage(data, at, usage).is_some())
    }

    fn is_usage_chunk(&self, _data: &[u8]) -> bool {
        false
    }

    fn is_end(&self, event: &[u8]) -> bool {
        let frame = EventFrame::parse_unchecked(event);
        frame.is_some_and(|frame| frame.header(":event-type") == Some(b"metadata"))
    }

    fn bears_token(&self, data: &[u8]) -> bool {
        value_of_member(data, b"delta").is_some()
    }

    fn error_body(&self, status: u16, _code: &str, message: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + message.len());
        let mut w = Writer::new(&mut out);
        w.open().member("__type", kind_of_status(status));
        w.member("message", message).close();
        out
    }

    fn error_event(&self, class: ErrorClass, _code: &str, message: &str) -> Vec<u8> {
        let mut payload = Vec::with_capacity(32 + message.len());
        Writer::new(&mut payload)
            .open()
            .member("message", message)
            .close();
        let headers = [
            (":exception-type", exception_of_class(class)),
            (":content-type", "application/json"),
            (":message-type", "exception"),
        ];
        let mut out = Vec::with_capacity(payload.len() + 128);
        write_frame(&mut out, &headers, &payload);
        out
    }

    fn read_error(&self, body: &[u8]) -> ProviderError {
        let Ok(object) = Object::parse(body) else {
            return ProviderError::default();
        };
        let text = |names: [&str; 2]| {
            let found = names.iter().find_map(|name| object.text(name));
            found.map(Cow::into_owned)
        };
        ProviderError {
            kind: text(["__type", "code"]).map(|kind| error_name(&kind).to_owned()),
            code: None,
            message: text(["message", "Message"]),
        }
    }
}

/// The name of an error without the address of its shape, as in
/// `ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/` or
/// `com.amazon.coral.service#AccessDeniedException`.
pub(crate) fn error_name(kind: &str) -> &str {
    let kind = kind.split(':').next().unwrap_or_default();
    kind.rsplit('#').next().unwrap_or_default()
}

/// Tokens that are kept in the cache for an hour, among the details of a usage object.
fn written_for_an_hour(usage: &[u8]) -> Option<u64> {
    let details = Object::parse(usage).ok()?.get("cacheDetails")?;
    let mut written: u64 = 0;
    for raw in list(details, "cacheDetails").ok()? {
        let detail = Object::of(raw, "cacheDetails").ok()?;
        if detail.text("ttl").as_deref() == Some("1h") {
            written = written.saturating_add(unsigned(detail.get("inputTokens")?, "").ok()?);
        }
    }
    Some(written)
}

/// Bedrock's exception for a status:
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html>.
pub(crate) fn kind_of_status(status: u16) -> &'static str {
    match status {
        401 | 403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 | 504 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        503 | 529 => "ServiceUnavailableException",
        400..=499 => "ValidationException",
        _ => "InternalServerException",
    }
}

fn exception_of_class(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::RateLimited | ErrorClass::QuotaExhausted => "throttlingException",
        ErrorClass::Overloaded => "serviceUnavailableException",
        ErrorClass::BadRequest
        | ErrorClass::ContextLength
        | ErrorClass::ContentFilter
        | ErrorClass::NotFound => "validationException",
        ErrorClass::Timeout => "modelStreamErrorException",
        // A bad credential is the gateway's, not the caller's.
        ErrorClass::BadCredential | ErrorClass::Server => "internalServerException",
    }
}

/// Writes usage as Bedrock does.
fn write_usage(w: &mut Writer<'_>, usage: &Usage, losses: &mut Losses) {
    if usage.reasoning_tokens > 0 {
        losses.add("usage.reasoning_tokens");
    }
    if usage.audio_input_tokens > 0 || usage.audio_output_tokens > 0 {
        losses.add("usage.audio_tokens");
    }
    w.open();
    w.key("inputTokens").unsigned(usage.fresh_input_tokens());
    w.key("outputTokens").unsigned(usage.output_tokens);
    w.key("totalTokens").unsigned(usage.total_tokens());
    w.key("cacheReadInputTokens").unsigned(usage.cached_tokens);
    w.key("cacheWriteInputTokens")
        .unsigned(usage.cache_written_tokens);
    if usage.cache_written_1h_tokens > 0 {
        let hour = usage.cache_written_1h_tokens;
        let five = usage.cache_written_tokens.saturating_sub(hour);
        w.key("cacheDetails").open_list();
        for (ttl, tokens) in [("1h", hour), ("5m", five)] {
            if tokens > 0 {
                w.open().key("inputTokens").unsigned(tokens);
                w.member("ttl", ttl).close();
            }
        }
        w.close_list();
    }
    w.close();
}
