//! Errors that a provider reports with status 200: inside of a stream, or as a whole answer.
//!
//! A glance at an event's first bytes finds those that may be errors; what such an event says is
//! asked of the dialect's own reader, the one that translations use, so that a stream that passes
//! unread and one that is translated never disagree about it.

use crate::conversation::StreamEvent;
use crate::dialect::cohere_chat;
use crate::failure::{ProviderError, provider_error};
use crate::{Dialect, Losses};
use memchr::memmem::{self, Finder};
use std::sync::LazyLock;

/// Longest answer that is taken for an error, in bytes.
const ERROR_MAX: usize = 1024 * 1024;

/// A member that chunks of a vendor which hides errors among them have.
static HIDDEN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"error\""));

/// The error that an event reports, if it does.
pub(crate) fn read(dialect: Dialect, name: Option<&[u8]>, data: &[u8]) -> Option<ProviderError> {
    let mut told = None;
    let mut losses = Losses::new(dialect, dialect);
    let mut decoder = dialect.codec().stream_decoder();
    // What is no event of the dialect is for whoever reads the stream to complain about.
    let _ = decoder.event(name, data, &mut losses, &mut |step, _| {
        if let StreamEvent::Error { kind, message } = step {
            told = Some((kind.into_owned(), message.into_owned()));
        }
    });
    if told.is_none() && name != Some(b"error") {
        return None;
    }
    let filled = |text: String| Some(text).filter(|text| !text.is_empty());
    let (kind, message) = told.unwrap_or_default();
    let mut error = provider_error(dialect, data);
    error.code = error.code.or_else(|| filled(kind));
    error.message = error.message.or_else(|| filled(message));
    Some(error)
}

/// Whether an event of server-sent events may be an error; mostly one byte tells.
#[inline]
pub(crate) fn may_be(dialect: Dialect, event: &[u8]) -> bool {
    match event.first() {
        Some(b'e') => match event.get(7) {
            Some(b'e' | b'r') => is_named_error(dialect, event),
            Some(b'm') if dialect == Dialect::CohereChat => cohere_chat::ends_in_error(event),
            _ => event.get(6) == Some(&b'e'),
        },
        // What chunks of Chat Completions begin with.
        Some(b'd') => event.get(8) != Some(&b'i') && data_may_be(event),
        _ => false,
    }
}

/// Whether an event may be the last one of a dialect whose last event has usage, where it has none
/// that could be read. Its name or its type stands near its beginning.
#[inline]
pub(crate) fn may_end(dialect: Dialect, event: &[u8]) -> bool {
    let names: &[&[u8]] = match dialect {
        Dialect::Responses => &[
            b"response.completed",
            b"response.incomplete",
            b"response.failed",
        ],
        Dialect::CohereChat => &[b"message-end"],
        _ => return false,
    };
    let head = &event[..event.len().min(160)];
    let is_in = |name: &&[u8]| memchr::memmem::find(head, name).is_some();
    names.iter().any(is_in)
}

fn is_named_error(dialect: Dialect, event: &[u8]) -> bool {
    let name = event.strip_prefix(b"event: ").unwrap_or_default();
    name.starts_with(b"error")
        || (dialect == Dialect::Responses && name.starts_with(b"response.failed"))
}

/// The same of an event without a name.
#[inline(never)]
fn data_may_be(event: &[u8]) -> bool {
    let Some(data) = event.strip_prefix(b"data:") else {
        return false;
    };
    object_may_be(data)
}

/// Whether a JSON object begins as errors do: with `error`, or with a type that names one.
pub(crate) fn object_may_be(json: &[u8]) -> bool {
    let next = |bytes: &'_ [u8], token: &[u8]| -> Option<usize> {
        let trimmed = bytes.trim_ascii_start();
        trimmed
            .starts_with(token)
            .then(|| bytes.len() - trimmed.len() + token.len())
    };
    let Some(opened) = next(json, b"{") else {
        return false;
    };
    let members = &json[opened..];
    if next(members, b"\"error\"").is_some() {
        return true;
    }
    let value = next(members, b"\"type\"").and_then(|at| {
        let colon = next(&members[at..], b":")?;
        Some(members[at + colon..].trim_ascii_start())
    });
    value.is_some_and(|value| {
        value.starts_with(b"\"error\"") || value.starts_with(b"\"response.failed\"")
    })
}

/// Whether a whole answer may be an error; mostly one byte tells.
#[inline]
#[must_use]
pub fn may_be_error(answer: &[u8]) -> bool {
    match answer {
        [b'{', b'"', first, ..] if !matches!(first, b'e' | b't') => false,
        answer => object_may_be(answer),
    }
}

/// The error that a whole answer of status 200 is, as some vendors send them: an object that begins
/// with it, and has nothing of an answer.
#[must_use]
pub fn answer_error(dialect: Dialect, answer: &[u8]) -> Option<ProviderError> {
    let has = |member: &[u8]| memmem::find(answer, member).is_some();
    let is_long = answer.len() > ERROR_MAX;
    if is_long || !may_be_error(answer) || has(b"\"usage\"") || has(b"\"choices\"") {
        return None;
    }
    let error = provider_error(dialect, answer);
    (error != ProviderError::default()).then_some(error)
}

/// Whether a chunk has an error among its other members; a search through all of it.
pub(crate) fn may_hide_one(event: &[u8]) -> bool {
    HIDDEN.find(event).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{ErrorClass, classify};
    use crate::{StreamTap, StreamTranslator, TranslateOptions};

    #[test]
    fn an_error_of_status_200_is_told_from_an_answer() {
        let told = |answer: &str| answer_error(Dialect::ChatCompletions, answer.as_bytes());
        let error = told(r#" { "error" : {"code": 429, "message": "slow down"} }"#).unwrap();
        assert_eq!(error.message.as_deref(), Some("slow down"));
        assert_eq!(classify(200, &error), ErrorClass::RateLimited);
        let error = told(r#"{"error":{"code":502,"message":"Provider returned error"}}"#);
        assert_eq!(classify(200, &error.unwrap()), ErrorClass::Server);
        let anthropic = r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#;
        let error = answer_error(Dialect::Messages, anthropic.as_bytes()).unwrap();
        assert_eq!(classify(200, &error), ErrorClass::Overloaded);
        for answer in [
            r#"{"error":null,"id":"a"}"#,
            r#"{"error":{"message":"x"},"choices":[]}"#,
            r#"{"type":"message","content":[]}"#,
            r#"{"id":"a","error":{"message":"x"}}"#,
            "{\"",
            "",
            "[]",
        ] {
            assert_eq!(told(answer), None, "{answer}");
        }
    }

    /// Errors as vendors send them, and events that only look like errors.
    const EVENTS: &[(Dialect, &str, Option<ErrorClass>)] = &[
        (
            Dialect::ChatCompletions,
            "data: {\"error\":{\"type\":\"server_error\",\"message\":\"oops\"}}\n\n",
            Some(ErrorClass::Server),
        ),
        (
            Dialect::ChatCompletions,
            "data:{\"error\":{\"code\":\"rate_limit_exceeded\"}}\r\n\r\n",
            Some(ErrorClass::RateLimited),
        ),
        (
            Dialect::ChatCompletions,
            "event: error\ndata: { \"error\" : {\"message\":\"x\",\"type\":\"overloaded_error\"}}\n\n",
            Some(ErrorClass::Overloaded),
        ),
        (
            Dialect::ChatCompletions,
            "data: {\"error\":null,\"choices\":[]}\n\n",
            None,
        ),
        (
            Dialect::ChatCompletions,
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"data: {\\\"error\\\"\"}}]}\n\n",
            None,
        ),
        (
            Dialect::Messages,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n",
            Some(ErrorClass::Overloaded),
        ),
        (
            Dialect::Messages,
            "data: {\"type\": \"error\",\"error\":{\"type\":\"rate_limit_error\"}}\n\n",
            Some(ErrorClass::RateLimited),
        ),
        (
            Dialect::Messages,
            "event: errors\ndata: {\"type\":\"ping\"}\n\n",
            None,
        ),
        (
            Dialect::Responses,
            "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"x\"}\n\n",
            Some(ErrorClass::Server),
        ),
        (
            Dialect::Responses,
            "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"id\":\"r\",\"status\":\"failed\",\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"slow\"}}}\n\n",
            Some(ErrorClass::RateLimited),
        ),
        (
            Dialect::Responses,
            "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\"}}}\n\n",
            Some(ErrorClass::Server),
        ),
        (
            Dialect::CohereChat,
            "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"error\":\"x\",\"finish_reason\":\"TIMEOUT\"}}\n\n",
            Some(ErrorClass::Timeout),
        ),
        (
            Dialect::GenerateContent,
            "data: {  \"error\" : {\"code\": 503, \"status\": \"UNAVAILABLE\", \"message\": \"busy\"}}\r\n\r\n",
            Some(ErrorClass::Overloaded),
        ),
        (
            Dialect::GenerateContent,
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\\\"error\\\"\"}]}}]}\r\n\r\n",
            None,
        ),
    ];

    #[test]
    fn passing_and_translated_streams_agree_about_errors() {
        for (dialect, event, expected) in EVENTS {
            for cut in 0..event.len() {
                let mut tap = StreamTap::new(*dialect, false);
                tap.push(&event.as_bytes()[..cut]);
                tap.push(&event.as_bytes()[cut..]);
                assert_eq!(tap.error(), *expected, "{event:?} cut at {cut}");
            }
            let options = TranslateOptions::default();
            let mut translator = StreamTranslator::new(*dialect, *dialect, "m", &options);
            let _ = translator.push(event.as_bytes(), &mut Vec::new());
            assert_eq!(translator.provider_error(), *expected, "{event:?}");
        }
    }

    #[test]
    fn frames_that_say_they_failed_are_errors() {
        let mut frame = Vec::new();
        let headers = [
            (":message-type", "exception"),
            (":exception-type", "throttlingException"),
        ];
        crate::event_stream::write_frame(&mut frame, &headers, b"{\"message\":\"slow\"}");
        let mut tap = StreamTap::new(Dialect::Converse, false);
        tap.push(&frame);
        assert_eq!(tap.error(), Some(ErrorClass::RateLimited));
        let name: &[u8] = b"throttlingException";
        let error = read(Dialect::Converse, Some(name), b"{\"message\":\"slow\"}").unwrap();
        assert_eq!(classify(200, &error), ErrorClass::RateLimited);
        assert_eq!(error.message.as_deref(), Some("slow"));
    }

    #[test]
    fn a_list_ends_with_its_error() {
        let list = b"[{\"candidates\":[]}\n,{\n  \"error\": {\"status\": \"RESOURCE_EXHAUSTED\"}}]";
        let mut tap = StreamTap::new(Dialect::GenerateContent, false).in_json_list();
        tap.push(list);
        assert_eq!(tap.error(), Some(ErrorClass::RateLimited));
    }

    #[test]
    fn a_vendor_that_hides_errors_among_chunks_is_looked_through() {
        let event = b"data: {\"id\":\"gen-1\",\"object\":\"chat.completion.chunk\",\"error\":{\"code\":\"server_error\",\"message\":\"Provider disconnected\"},\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n";
        let text = b"data: {\"id\":\"gen-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\\"error\\\"\"}}],\"error\":null}\n\n";
        for (hides, bytes, expected) in [
            (true, &event[..], Some(ErrorClass::Server)),
            (true, text, None),
            (false, event, None),
        ] {
            let mut tap = StreamTap::new(Dialect::ChatCompletions, false).hiding_errors(hides);
            tap.push(bytes);
            assert_eq!(tap.error(), expected);
        }
    }
}
