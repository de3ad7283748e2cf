//! OpenAI Responses, and what compatible servers (xAI, DeepSeek, LM Studio, Bedrock) made of it.
//!
//! Reference: <https://platform.openai.com/docs/api-reference/responses>. Items of tools that run
//! at the vendor (web search, code, files, MCP) have no neutral place and are reported as losses.
//! Conversations that are stored at the vendor (`previous_response_id`, `conversation`, stored
//! prompts, references to items) are refused towards another dialect: the model would answer
//! without what was said before, which no report of a loss makes good.

mod decode;
mod encode;
mod items;
mod response;
mod stream;
mod stream_write;
mod write;

use super::chat_completions::{error_json, kind_of_class, kind_of_status, read_error_object};
use super::{Codec, StreamDecoder, StreamEncoder};
use crate::conversation::{Request, Response};
use crate::failure::{ErrorClass, ProviderError};
use crate::json::object::Object;
use crate::json::scan::Scanner;
use crate::json::write::Writer;
use crate::usage::{read_counts, value_of_member};
use crate::{DialectError, Losses, TranslateOptions, Usage};

pub(crate) struct Responses;

impl Codec for Responses {
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
        Ok(encode::request(request, options, losses))
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
        read_counts(document, at, Some, |outer: &[u8], name, n| {
            match (outer, name) {
                (b"", b"input_tokens") => usage.input_tokens = n,
                (b"", b"output_tokens") => usage.output_tokens = n,
                (b"input_tokens_details", b"cached_tokens") => usage.cached_tokens = n,
                (b"input_tokens_details", b"cache_write_tokens") => usage.cache_written_tokens = n,
                (b"output_tokens_details", b"reasoning_tokens") => usage.reasoning_tokens = n,
                _ => {}
            }
        })
    }

    fn read_stream_usage(&self, data: &[u8], usage: &mut Usage) -> bool {
        let Some(outer) = value_of_member(data, b"response") else {
            return false;
        };
        let Ok(span) = Scanner::at(data, outer).skip_value() else {
            return false;
        };
        let mut found = Usage::default();
        let at = value_of_member(&data[span.clone()], b"usage");
        let at = at.map(|at| at + span.start);
        let read = at
            .filter(|at| data[*at..].starts_with(b"{"))
            .is_some_and(|at| self.read_usage(data, at, &mut found).is_some());
        if read {
            *usage = found;
        }
        read
    }

    fn is_usage_chunk(&self, _data: &[u8]) -> bool {
        false
    }

    fn is_end(&self, event: &[u8]) -> bool {
        let data = crate::SseEvent::parse(event).data.unwrap_or_default();
        self.ends_with_usage(&data)
    }

    fn ends_with_usage(&self, data: &[u8]) -> bool {
        const ENDS: [&[u8]; 3] = [
            b"\"response.completed\"",
            b"\"response.incomplete\"",
            b"\"response.failed\"",
        ];
        value_of_member(data, b"type")
            .is_some_and(|at| ENDS.iter().any(|end| data[at..].starts_with(end)))
    }

    fn bears_token(&self, data: &[u8]) -> bool {
        let Some(at) = value_of_member(data, b"type") else {
            return false;
        };
        // Text, refusals, thinking, arguments: whatever grows by deltas.
        Scanner::at(data, at)
            .skip_value()
            .is_ok_and(|span| data[span].ends_with(b".delta\""))
    }

    fn error_body(&self, status: u16, code: &str, message: &str) -> Vec<u8> {
        error_json(kind_of_status(status), code, message)
    }

    fn error_event(&self, class: ErrorClass, code: &str, message: &str) -> Vec<u8> {
        let mut out = Vec::new();
        write_error(&mut out, 0, kind_of_class(class), code, message);
        out
    }

    fn read_error(&self, body: &[u8]) -> ProviderError {
        let Ok(object) = Object::parse(body) else {
            return ProviderError::default();
        };
        read_error_object(&object)
    }
}

/// One event that says the stream failed. The members stand twice: at the top, where the reference
/// and the official SDK's types have them, and under `error`, where OpenAI sends them and the SDKs
/// look for something to raise.
fn write_error(out: &mut Vec<u8>, sequence: u64, kind: &str, code: &str, message: &str) {
    out.extend_from_slice(b"event: error\ndata: ");
    let mut w = Writer::new(out);
    w.open().member("type", "error");
    w.key("sequence_number").unsigned(sequence);
    w.member("code", code).member("message", message);
    w.key("param").null().key("error").open();
    w.member("type", kind).member("code", code);
    w.member("message", message).key("param").null();
    w.close().close();
    out.extend_from_slice(b"\n\n");
}

/// Writes usage as OpenAI does.
fn write_usage(w: &mut Writer<'_>, usage: &Usage) {
    w.open();
    w.key("input_tokens").unsigned(usage.input_tokens);
    w.key("input_tokens_details").open();
    w.key("cached_tokens").unsigned(usage.cached_tokens);
    w.key("cache_write_tokens")
        .unsigned(usage.cache_written_tokens);
    w.close();
    w.key("output_tokens").unsigned(usage.output_tokens);
    w.key("output_tokens_details").open();
    w.key("reasoning_tokens").unsigned(usage.reasoning_tokens);
    w.close();
    w.key("total_tokens").unsigned(usage.total_tokens());
    w.close();
}
