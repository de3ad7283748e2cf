//! Cohere's Chat, version 2.
//!
//! Reference: <https://docs.cohere.com/reference/chat>. Answers do not name their model. Cohere
//! counts the tokens of its own template too and bills only the others, so that what it bills is
//! what counts here. A plan of tool calls is text that the model says before them.

mod citations;
mod decode;
mod encode;
mod parts;
mod response;
mod stream;
mod stream_write;

use super::{Codec, StreamDecoder, StreamEncoder};
use crate::conversation::{Request, Response};
use crate::failure::{ErrorClass, ProviderError};
use crate::json::object::Object;
use crate::json::scan::Scanner;
use crate::json::write::Writer;
use crate::usage::{read_counts, value_of_member};
use crate::{DialectError, Losses, TranslateOptions, Usage};

pub(crate) struct CohereChat;

impl Codec for CohereChat {
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
        Ok(encode::request(request, losses))
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
        Ok(response::encode(response, losses))
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::default())
    }

    fn stream_encoder(&self, _model: &str, _options: &TranslateOptions) -> Box<dyn StreamEncoder> {
        Box::new(stream_write::Encoder::default())
    }

    fn read_usage(&self, document: &[u8], at: usize, usage: &mut Usage) -> Option<usize> {
        let (mut billed, mut counted) = ([None; 2], [None; 2]);
        let mut cached = 0;
        let end = read_counts(document, at, Some, |outer: &[u8], name, n| {
            let place = match name {
                b"input_tokens" => 0,
                b"output_tokens" => 1,
                b"reasoning_tokens" if outer == b"tokens" => {
                    usage.reasoning_tokens = n;
                    return;
                }
                b"cached_tokens" if outer.is_empty() => {
                    cached = n;
                    return;
                }
                _ => return,
            };
            match outer {
                b"billed_units" => billed[place] = Some(n),
                b"tokens" => counted[place] = Some(n),
                _ => {}
            }
        })?;
        usage.input_tokens = billed[0].or(counted[0]).unwrap_or(0);
        usage.output_tokens = billed[1].or(counted[1]).unwrap_or(0);
        // Most of what is cached is the template, which is not among the billed tokens.
        usage.cached_tokens = cached.min(usage.input_tokens);
        Some(end)
    }

    fn read_stream_usage(&self, data: &[u8], usage: &mut Usage) -> bool {
        member_of_delta(data, b"usage").is_some_and(|at| self.read_usage(data, at, usage).is_some())
    }

    fn is_usage_chunk(&self, _data: &[u8]) -> bool {
        false
    }

    fn is_end(&self, event: &[u8]) -> bool {
        let data = crate::SseEvent::parse(event).data.unwrap_or_default();
        // Its last event is read for usage where it has some.
        data.trim_ascii() == b"[DONE]"
            || (is_message_end(&data)
                && member_of_delta(&data, b"usage").is_none()
                && !is_failed(&data))
    }

    fn ends_with_usage(&self, data: &[u8]) -> bool {
        is_message_end(data)
    }

    fn bears_token(&self, data: &[u8]) -> bool {
        value_of_member(data, b"type").is_some_and(|at| {
            let kind = &data[at..];
            kind.starts_with(b"\"content-delta\"") || kind.starts_with(b"\"tool-")
        })
    }

    fn error_body(&self, _status: u16, code: &str, message: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + message.len());
        let mut w = Writer::new(&mut out);
        w.open().member("message", message);
        w.member("error_type", code).close();
        out
    }

    fn error_event(&self, class: ErrorClass, _code: &str, message: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + message.len());
        let reason = match class {
            ErrorClass::Timeout => "TIMEOUT",
            _ => "ERROR",
        };
        stream_write::event(&mut out, "message-end", |w| {
            w.key("delta").open().member("error", message);
            w.member("finish_reason", reason).close();
        });
        out
    }

    fn read_error(&self, body: &[u8]) -> ProviderError {
        let Ok(object) = Object::parse(body) else {
            return ProviderError::default();
        };
        let delta = object
            .get("delta")
            .and_then(|raw| Object::of(raw, "delta").ok());
        let in_delta = |key| delta.as_ref().and_then(|delta| delta.text(key));
        let kind = object
            .text("error_type")
            .or_else(|| in_delta("finish_reason"));
        let message = object.text("message").or_else(|| in_delta("error"));
        ProviderError {
            kind: kind.map(std::borrow::Cow::into_owned),
            code: None,
            message: message.map(std::borrow::Cow::into_owned),
        }
    }
}

fn is_message_end(data: &[u8]) -> bool {
    value_of_member(data, b"type").is_some_and(|at| data[at..].starts_with(b"\"message-end\""))
}

/// Whether this event, as it came, ends a stream that failed.
pub(crate) fn ends_in_error(event: &[u8]) -> bool {
    // Others are told apart without being parsed.
    event.starts_with(b"event: message-end")
        && crate::SseEvent::parse(event)
            .data
            .is_some_and(|data| is_message_end(&data) && is_failed(&data))
}

fn is_failed(data: &[u8]) -> bool {
    member_of_delta(data, b"finish_reason").is_some_and(|at| {
        let reason = &data[at..];
        reason.starts_with(b"\"ERROR\"") || reason.starts_with(b"\"TIMEOUT\"")
    })
}

/// The offset of a member's value in an event's `delta`.
fn member_of_delta(data: &[u8], wanted: &[u8]) -> Option<usize> {
    let delta = value_of_member(data, b"delta")?;
    let end = Scanner::at(data, delta).skip_value().ok()?.end;
    Some(delta + value_of_member(&data[delta..end], wanted)?)
}

/// Writes usage as Cohere does, with everything billed.
fn write_usage(w: &mut Writer<'_>, usage: &Usage) {
    w.open();
    for (key, details) in [("billed_units", false), ("tokens", true)] {
        w.key(key).open();
        w.key("input_tokens").unsigned(usage.input_tokens);
        w.key("output_tokens").unsigned(usage.output_tokens);
        if details && usage.reasoning_tokens > 0 {
            w.key("reasoning_tokens").unsigned(usage.reasoning_tokens);
        }
        w.close();
    }
    w.key("cached_tokens").unsigned(usage.cached_tokens).close();
}
