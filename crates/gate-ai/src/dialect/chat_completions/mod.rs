//! OpenAI Chat Completions, and what compatible servers made of it.
//!
//! Reference: <https://platform.openai.com/docs/api-reference/chat>. Extensions that are widely
//! spoken are understood where they carry something: `reasoning_content` and `reasoning`
//! (DeepSeek, vLLM, Groq), `reasoning_details` with signatures (OpenRouter), `cache_control`
//! (OpenRouter), lists of `thinking` parts (Mistral), usage spellings of DeepSeek and Moonshot.

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
use crate::json::object::unsigned;
use crate::json::scan::Scanner;
use crate::json::write::Writer;
use crate::usage::{read_counts, value_of_member};
use crate::{DialectError, Losses, TranslateOptions, Usage};
use std::cell::Cell;

pub(super) use encode::address;
pub(super) use parts::{image as image_of, source as source_of, span as span_of, tool_calls};

pub(crate) struct ChatCompletions;

/// What a count of the usage is a part of.
#[derive(Clone, Copy, Default)]
enum Counted {
    #[default]
    All,
    Prompt,
    Completion,
}

/// Searches that Perplexity charges for, in a usage with a `cost`: one with each request, in the size
/// that it says, or as many as it counts (<https://docs.perplexity.ai/getting-started/pricing>).
fn searches(usage: &[u8]) -> [u64; 3] {
    let member = |name| Some(Scanner::at(usage, value_of_member(usage, name)?));
    if let Some(size) = member(b"search_context_size").and_then(|mut at| at.string().ok()) {
        return match size.inner {
            b"high" => [0, 0, 1],
            b"medium" => [0, 1, 0],
            _ => [1, 0, 0],
        };
    }
    let counted = member(b"num_search_queries").and_then(|mut at| at.unsigned().ok()?);
    [counted.unwrap_or(0), 0, 0]
}

impl Codec for ChatCompletions {
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
        // Others' spellings of cached tokens count only where OpenAI's is absent.
        let (mut cached, mut cached_elsewhere) = (None, None);
        let billed = Cell::new(false);
        let details = |name: &[u8]| match name {
            b"prompt_tokens_details" => Some(Counted::Prompt),
            b"completion_tokens_details" => Some(Counted::Completion),
            b"cost" => {
                billed.set(true);
                None
            }
            _ => None,
        };
        let end = read_counts(document, at, details, |of, name, n| match of {
            Counted::All => match name {
                b"prompt_tokens" => usage.input_tokens = n,
                b"completion_tokens" => usage.output_tokens = n,
                // DeepSeek, Moonshot and Mistral say it at the top.
                b"prompt_cache_hit_tokens" | b"cached_tokens" | b"num_cached_tokens" => {
                    cached_elsewhere = Some(n);
                }
                _ => {}
            },
            Counted::Prompt => match name {
                b"cached_tokens" => cached = Some(n),
                b"cache_write_tokens" => usage.cache_written_tokens = n,
                b"audio_tokens" => usage.audio_input_tokens = n,
                _ => {}
            },
            Counted::Completion => match name {
                b"reasoning_tokens" => usage.reasoning_tokens = n,
                b"audio_tokens" => usage.audio_output_tokens = n,
                _ => {}
            },
        })?;
        usage.cached_tokens = cached.or(cached_elsewhere).unwrap_or(0);
        if billed.get() {
            usage.pieces.searches = searches(&document[at..end]);
        }
        Some(end)
    }

    fn read_stream_usage(&self, data: &[u8], usage: &mut Usage) -> bool {
        let at = value_of_member(data, b"usage").filter(|at| data[*at..].starts_with(b"{"));
        // Groq's place for it where the caller did not ask.
        let at = at.or_else(|| {
            let outer = value_of_member(data, b"x_groq")?;
            let end = Scanner::at(data, outer).skip_value().ok()?.end;
            Some(outer + value_of_member(&data[outer..end], b"usage")?)
        });
        let mut found = Usage::default();
        let read = at.is_some_and(|at| self.read_usage(data, at, &mut found).is_some());
        if read {
            *usage = found;
        }
        read
    }

    fn is_usage_chunk(&self, data: &[u8]) -> bool {
        value_of_member(data, b"choices").is_some_and(|at| {
            data.get(at) == Some(&b'[') && Scanner::at(data, at + 1).peek() == Some(b']')
        })
    }

    fn is_end(&self, event: &[u8]) -> bool {
        crate::SseEvent::parse(event)
            .data
            .is_some_and(|data| data.trim_ascii() == b"[DONE]")
    }

    fn bears_token(&self, data: &[u8]) -> bool {
        stream::bears_token(data)
    }

    fn error_body(&self, status: u16, code: &str, message: &str) -> Vec<u8> {
        error_json(kind_of_status(status), code, message)
    }

    fn error_event(&self, class: ErrorClass, code: &str, message: &str) -> Vec<u8> {
        let mut out = b"data: ".to_vec();
        out.extend_from_slice(&error_json(kind_of_class(class), code, message));
        out.extend_from_slice(b"\n\n");
        out
    }

    fn read_error(&self, body: &[u8]) -> ProviderError {
        let Ok(object) = Object::parse(body) else {
            return ProviderError::default();
        };
        read_error_object(&object)
    }
}

/// Reads `{"error":{type,code,message}}`, and the flat forms some compatible servers send.
pub(super) fn read_error_object(object: &Object<'_>) -> ProviderError {
    let inner = object
        .get("error")
        .and_then(|raw| Object::of(raw, "error").ok());
    let error = inner.as_ref().unwrap_or(object);
    let owned = |key| error.text(key).map(std::borrow::Cow::into_owned);
    ProviderError {
        kind: owned("type"),
        // Some vendors write the status there.
        code: owned("code")
            .or_else(|| Some(unsigned(error.get("code")?, "code").ok()?.to_string())),
        message: owned("message")
            .or_else(|| owned("detail"))
            .or_else(|| object.text("error").map(std::borrow::Cow::into_owned)),
    }
}

pub(super) fn error_json(kind: &str, code: &str, message: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(96 + message.len());
    let mut w = Writer::new(&mut out);
    w.open().key("error").open();
    w.member("message", message).member("type", kind);
    w.key("param").null().member("code", code);
    w.close().close();
    out
}

/// OpenAI's type for a status, which its SDKs and their users look at.
pub(super) fn kind_of_status(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

pub(super) fn kind_of_class(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::RateLimited => "rate_limit_error",
        ErrorClass::QuotaExhausted => "insufficient_quota",
        ErrorClass::BadRequest
        | ErrorClass::ContextLength
        | ErrorClass::ContentFilter
        | ErrorClass::NotFound => "invalid_request_error",
        _ => "server_error",
    }
}

/// Writes usage as OpenAI does.
fn write_usage(w: &mut Writer<'_>, usage: &Usage) {
    w.open();
    w.key("prompt_tokens").unsigned(usage.input_tokens);
    w.key("completion_tokens").unsigned(usage.output_tokens);
    w.key("total_tokens").unsigned(usage.total_tokens());
    w.key("prompt_tokens_details").open();
    w.key("cached_tokens").unsigned(usage.cached_tokens);
    if usage.cache_written_tokens > 0 {
        w.key("cache_write_tokens")
            .unsigned(usage.cache_written_tokens);
    }
    w.key("audio_tokens").unsigned(usage.audio_input_tokens);
    w.close().key("completion_tokens_details").open();
    w.key("reasoning_tokens").unsigned(usage.reasoning_tokens);
    w.key("audio_tokens").unsigned(usage.audio_output_tokens);
    w.close().close();
}
