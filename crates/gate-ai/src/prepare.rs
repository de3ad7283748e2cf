//! Makes the provider's request from a caller's of the same dialect: the model's name is replaced
//! and, where usage must be known, asked for. Every other byte stays as it is.

use crate::inspect::UsageWish;
use crate::{Dialect, RequestFacts};
use smallvec::{SmallVec, smallvec};
use std::ops::Range;

/// A piece of the request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// These bytes of the caller's body.
    Original(Range<usize>),
    /// Bytes of ours.
    Inserted(Vec<u8>),
}

/// A request to send, as pieces of the caller's body and of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The pieces in order.
    pub segments: SmallVec<[Segment; 5]>,
    /// Length of all pieces together, in bytes.
    pub length: usize,
    /// Whether usage was asked for on the gateway's own account, so that the chunk which carries
    /// it must be taken out of the answer: give it to [`crate::StreamTap::new`].
    pub strip_usage_chunk: bool,
}

impl Prepared {
    /// Whether the request is the caller's body as it came.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        matches!(self.segments.as_slice(), [Segment::Original(_)])
    }

    /// Appends the request to `out`; `body` is the caller's body that was prepared.
    ///
    /// # Panics
    /// When `body` is shorter than the one that was prepared.
    pub fn write_into(&self, body: &[u8], out: &mut Vec<u8>) {
        out.reserve(self.length);
        for segment in &self.segments {
            match segment {
                Segment::Original(range) => out.extend_from_slice(&body[range.clone()]),
                Segment::Inserted(bytes) => out.extend_from_slice(bytes),
            }
        }
    }

    /// The request as one vector.
    #[must_use]
    pub fn to_vec(&self, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.length);
        self.write_into(body, &mut out);
        out
    }
}

/// Prepares a request for a provider that speaks the caller's dialect.
///
/// `facts` must come from [`crate::inspect()`] of this very `body`. Where the path names the model,
/// the body stays as it is and the provider's path has its name. With `want_usage` a streamed
/// Chat Completions request that does not ask for usage is made to.
#[must_use]
pub fn prepare_native(
    dialect: Dialect,
    body: &[u8],
    facts: &RequestFacts,
    provider_model: &str,
    want_usage: bool,
) -> Prepared {
    let model = (facts.model != provider_model && !facts.model_span.is_empty())
        .then(|| (facts.model_span.clone(), json_string(provider_model)));
    let usage = (want_usage && facts.stream && dialect == Dialect::ChatCompletions)
        .then(|| usage_edit(&facts.include_usage))
        .flatten();
    let strip_usage_chunk = usage.is_some();
    let (first, second) = match (model, usage) {
        (Some(model), Some(usage)) if usage.0.start < model.0.start => (Some(usage), Some(model)),
        other => other,
    };
    let mut segments: SmallVec<[Segment; 5]> = smallvec![];
    let mut length = body.len();
    let mut done = 0;
    for (span, bytes) in first.into_iter().chain(second) {
        if done < span.start {
            segments.push(Segment::Original(done..span.start));
        }
        length = length - span.len() + bytes.len();
        done = span.end;
        segments.push(Segment::Inserted(bytes));
    }
    if done < body.len() {
        segments.push(Segment::Original(done..body.len()));
    }
    Prepared {
        segments,
        length,
        strip_usage_chunk,
    }
}

/// A Messages body with a version of Anthropic's interface in the place of the model, as clouds
/// want it that name the model in the path. Every other byte stays as it is.
///
/// # Errors
/// [`crate::DialectError`] when the body is no Messages request.
pub fn versioned_body(body: &[u8], version: &str) -> Result<Vec<u8>, crate::DialectError> {
    let span = crate::inspect(Dialect::Messages, body)?.model_span;
    // The key ends at the last quote in front of the value: strings before it are whole.
    let before = body[..span.start].trim_ascii_end();
    let before = before.strip_suffix(b":").unwrap_or(before).trim_ascii_end();
    let key = before.strip_suffix(b"\"").unwrap_or(before);
    let start = memchr::memrchr(b'"', key).unwrap_or(0);
    let mut out = Vec::with_capacity(body.len() + 32);
    out.extend_from_slice(&body[..start]);
    out.extend_from_slice(b"\"anthropic_version\":");
    out.extend_from_slice(&json_string(version));
    out.extend_from_slice(&body[span.end..]);
    Ok(out)
}

fn usage_edit(wish: &UsageWish) -> Option<(Range<usize>, Vec<u8>)> {
    Some(match wish {
        UsageWish::Present | UsageWish::Unclear => return None,
        // The request has a model, so that a comma is due behind what is inserted in front.
        UsageWish::InsertOptions(at) => (
            *at..*at,
            b"\"stream_options\":{\"include_usage\":true},".to_vec(),
        ),
        UsageWish::InsertMember(at, false) => (*at..*at, b"\"include_usage\":true".to_vec()),
        UsageWish::InsertMember(at, true) => (*at..*at, b"\"include_usage\":true,".to_vec()),
        UsageWish::ReplaceFlag(span) => (span.clone(), b"true".to_vec()),
        UsageWish::ReplaceOptions(span) => (span.clone(), b"{\"include_usage\":true}".to_vec()),
    })
}

fn json_string(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    serde_json::to_writer(&mut out, text).expect("writing to memory cannot fail");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect;

    fn prepared(body: &str, model: &str, want_usage: bool) -> (String, bool) {
        let facts = inspect(Dialect::ChatCompletions, body.as_bytes()).unwrap();
        let made = prepare_native(
            Dialect::ChatCompletions,
            body.as_bytes(),
            &facts,
            model,
            want_usage,
        );
        let bytes = made.to_vec(body.as_bytes());
        assert_eq!(bytes.len(), made.length);
        (String::from_utf8(bytes).unwrap(), made.strip_usage_chunk)
    }

    #[test]
    fn a_version_takes_the_models_place() {
        for (body, made) in [
            (
                r#"{"model":"m","a":1}"#,
                r#"{"anthropic_version":"v","a":1}"#,
            ),
            (
                r#"{ "a":"model\"", "mod\u0065l" : "m" }"#,
                r#"{ "a":"model\"", "anthropic_version":"v" }"#,
            ),
        ] {
            let got = versioned_body(body.as_bytes(), "v").unwrap();
            assert_eq!(String::from_utf8(got).unwrap(), made);
        }
        assert!(versioned_body(b"{}", "v").is_err());
    }

    #[test]
    fn only_the_model_changes() {
        let body = "{ \"messages\":[],\n\"model\" : \"m\\u0061\", \"x\":{\"model\":\"a\"} }\n";
        let (made, strip) = prepared(body, "b\"c", true);
        assert_eq!(made, body.replace("\"m\\u0061\"", "\"b\\\"c\""));
        assert!(!strip);
        assert_eq!(prepared(body, "ma", true).0, body);
    }

    #[test]
    fn usage_is_asked_for_wherever_it_was_not() {
        for (options, made) in [
            (r#""#, r#""stream_options":{"include_usage":true},"#),
            (
                r#""stream_options":{},"#,
                r#""stream_options":{"include_usage":true},"#,
            ),
            (
                r#""stream_options":null,"#,
                r#""stream_options":{"include_usage":true},"#,
            ),
            (
                r#""stream_options":{ "a":1},"#,
                r#""stream_options":{"include_usage":true, "a":1},"#,
            ),
            (
                r#""stream_options":{"a":1,"include_usage": false},"#,
                r#""stream_options":{"a":1,"include_usage": true},"#,
            ),
        ] {
            let body = |options| format!(r#"{{{options}"model":"a","stream":true}}"#);
            let expected = body(made).replace("\"a\",", "\"b\",");
            assert_eq!(prepared(&body(options), "b", true), (expected, true));
            let untouched = body(options).replace("\"a\",", "\"b\",");
            assert_eq!(prepared(&body(options), "b", false), (untouched, false));
        }
        for body in [
            r#"{"model":"a","stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"model":"a","stream":true,"stream_options":7}"#,
            r#"{"model":"a","stream":false}"#,
        ] {
            assert_eq!(prepared(body, "a", true), (body.to_owned(), false));
        }
    }
}
