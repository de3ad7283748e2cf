//! Compresses answers with gzip, Brotli or Zstandard, as the caller accepts.
//!
//! The coding with the highest weight in Accept-Encoding wins (RFC 9110 section 12.5.3); between
//! equals, the order of `encodings` decides. Compressed are answers of the listed types from
//! `min_size` on, or of unknown size. Left alone are those that are encoded already, marked
//! `Cache-Control: no-transform`, partial (206), without a body (204, 304, answers to HEAD), or
//! that carry a digest of their bytes. Answers that could have been compressed say
//! `Vary: Accept-Encoding`; compressed ones have a weak ETag and take no ranges.
//!
//! Bytes are compressed as they pass, 8 KiB in one turn of the worker, and whatever is
//! held back leaves as soon as the target pauses, so that a stream is never delayed. A stream in
//! compression takes about 0.4 MiB (gzip) to 0.6 MiB (Brotli, Zstandard). Answers that mix secrets
//! with what a caller sends should not be compressed (BREACH): give their route no such policy.
//!
//! ```yaml
//! - compress: { encodings: [zstd, gzip], min_size: 2KiB, levels: { gzip: 6 } }
//! ```

#[path = "compress/coding.rs"]
mod coding;
#[path = "compress/stream.rs"]
mod stream;

use coding::negotiate;
pub use coding::{Coding, Levels};
use gate_flow::{CompileContext, Exchange, Policy, PolicyKind, Replay};
use gate_kit::http::{Body, HeaderId, Headers, Method, Response};
use gate_model::units::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use stream::Compressing;

/// Types that compress well.
const TYPES: [&str; 14] = [
    "text/*",
    "application/json",
    "application/*+json",
    "application/x-ndjson",
    "application/javascript",
    "application/x-javascript",
    "application/xml",
    "application/*+xml",
    "application/wasm",
    "application/graphql",
    "image/svg+xml",
    "image/bmp",
    "font/ttf",
    "font/otf",
];

/// Compresses answers as the caller accepts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CompressConfig {
    /// Codings to offer, the preferred one first.
    pub encodings: Vec<Coding>,
    /// Answers with fewer bytes than this are left alone.
    pub min_size: ByteSize,
    /// Content types to compress, without parameters; one `*` stands for anything. Text, JSON,
    /// JavaScript, XML, SVG, WebAssembly and uncompressed fonts when left out.
    pub types: Vec<String>,
    /// Whether server-sent events (`text/event-stream`) are compressed too, each as it comes.
    pub event_streams: bool,
    /// How hard to try.
    pub levels: Levels,
}

impl Default for CompressConfig {
    fn default() -> Self {
        Self {
            encodings: vec![Coding::Zstd, Coding::Br, Coding::Gzip],
            min_size: ByteSize::from_kibibytes(1),
            types: TYPES.map(str::to_owned).into(),
            event_streams: false,
            levels: Levels::default(),
        }
    }
}

/// The policy.
pub struct Compress {
    encodings: Vec<Coding>,
    min_size: u64,
    types: Vec<(String, Option<String>)>,
    event_streams: bool,
    levels: Levels,
}

impl PolicyKind for Compress {
    const NAME: &'static str = "compress";
    type Config = CompressConfig;

    fn compile(
        config: CompressConfig,
        _: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        let CompressConfig {
            encodings,
            min_size,
            types,
            event_streams,
            levels,
        } = config;
        if encodings.is_empty() {
            return Err((Some("encodings"), "no coding is offered".into()));
        }
        if (1..encodings.len()).any(|index| encodings[..index].contains(&encodings[index])) {
            return Err((Some("encodings"), "a coding stands here twice".into()));
        }
        if types.is_empty() {
            return Err((Some("types"), "no type is compressed".into()));
        }
        levels.check().map_err(|e| (Some("levels"), e))?;
        let types = types
            .iter()
            .map(|kind| compile_type(kind))
            .collect::<Result<_, _>>();
        let types = types.map_err(|e| (Some("types"), e))?;
        let min_size = min_size.bytes();
        Ok(Arc::new(Compress {
            encodings,
            min_size,
            types,
            event_streams,
            levels,
        }))
    }
}

impl Policy for Compress {
    fn response(&self, exchange: &mut Exchange, response: &mut Response) {
        let head = &mut response.head;
        if !self.may_compress(head.status, &head.headers) {
            return;
        }
        vary(&mut head.headers);
        let request = &exchange.request.head;
        let too_small = response
            .body
            .length()
            .is_some_and(|bytes| bytes < self.min_size.max(1));
        if too_small || request.method == Method::Head {
            return;
        }
        let Some(coding) = negotiate(&request.headers, &self.encodings) else {
            return;
        };
        weaken_etag(&mut head.headers);
        head.headers.remove(HeaderId::ContentLength);
        head.headers.remove_named("accept-ranges");
        head.headers
            .append_known(HeaderId::ContentEncoding, coding.name().as_bytes());
        let body = std::mem::take(&mut response.body);
        response.body = Body::Stream(Box::new(Compressing::new(body, coding, self.levels)));
    }

    fn replay(&self) -> Replay {
        Replay::Passive
    }
}

impl Compress {
    /// Whether an answer of this status and these fields is compressed for callers that accept it.
    fn may_compress(&self, status: u16, headers: &Headers) -> bool {
        let is_whole = !matches!(status, 100..=199 | 204..=206 | 304);
        let is_plain = !headers.contains(HeaderId::ContentEncoding)
            && !headers.contains(HeaderId::ContentRange)
            && !forbids_transform(headers);
        // RFC 9530 section 6.4 and RFC 1864: the digest is over the bytes as they are.
        let has_digest = ["content-digest", "repr-digest", "digest", "content-md5"]
            .iter()
            .any(|name| headers.get_named(name).is_some());
        is_whole && is_plain && !has_digest && self.fits_type(headers)
    }

    fn fits_type(&self, headers: &Headers) -> bool {
        let Some(kind) = headers.get_str(HeaderId::ContentType) else {
            return false;
        };
        let kind = kind
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        if kind == "text/event-stream" {
            return self.event_streams;
        }
        self.types.iter().any(|(start, end)| match end {
            None => kind == *start,
            Some(end) => kind
                .strip_prefix(start)
                .is_some_and(|rest| rest.ends_with(end)),
        })
    }
}

/// A type with at most one `*`, as what stands before and behind it; nothing behind without one.
fn compile_type(text: &str) -> Result<(String, Option<String>), String> {
    let lower = text.to_ascii_lowercase();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/*+-._".contains(&byte);
    let stars = lower.matches('*').count();
    if lower.matches('/').count() != 1 || stars > 1 || !lower.bytes().all(allowed) {
        return Err(format!(
            "`{text}` is no content type, such as `text/*` or `application/json`"
        ));
    }
    Ok(match lower.split_once('*') {
        Some((start, end)) => (start.to_owned(), Some(end.to_owned())),
        None => (lower, None),
    })
}

fn forbids_transform(headers: &Headers) -> bool {
    let mut directives = headers
        .all(HeaderId::CacheControl)
        .flat_map(|value| value.split(|&byte| byte == b','));
    directives.any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}

/// RFC 9110 section 12.5.5: tells caches that the answer depends on what the caller accepts.
fn vary(headers: &mut Headers) {
    let says_so = headers
        .all(HeaderId::Vary)
        .flat_map(|v| v.split(|&byte| byte == b','))
        .any(|f| {
            let field = f.trim_ascii();
            field == b"*" || field.eq_ignore_ascii_case(b"accept-encoding")
        });
    if !says_so {
        headers.append_known(HeaderId::Vary, b"Accept-Encoding");
    }
}

/// RFC 9110 section 8.8.1: other bytes cannot have the same strong validator.
fn weaken_etag(headers: &mut Headers) {
    let strong = headers
        .get(HeaderId::ETag)
        .filter(|etag| !etag.starts_with(b"W/"));
    let Some(weak) = strong.map(|etag| [b"W/", etag].concat()) else {
        return;
    };
    headers.set(HeaderId::ETag, &weak);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, Script, VerdictExt, response};
    use gate_kit::http::Chunk;

    fn refusal(settings: &str) -> String {
        let finding = Harness::new().compile::<Compress>(settings).err();
        finding
            .unwrap_or_else(|| panic!("accepted {settings}"))
            .to_string()
    }

    fn answer(settings: &str, head: &str, from: Response) -> Response {
        let harness = Harness::new();
        let policy = harness.policy::<Compress>(settings);
        let mut exchange = harness.exchange(head);
        assert!(harness.request(&policy, &mut exchange).is_next());
        harness.respond(&policy, &mut exchange, from)
    }

    fn body() -> Body {
        Body::Full(Chunk::from("x".repeat(2000)))
    }

    const GZIP: &str = "GET /\nAccept-Encoding: gzip";
    const TEXT: (&str, &str) = ("Content-Type", "text/html; charset=utf-8");

    #[test]
    fn settings_that_cannot_act_are_refused() {
        for (settings, expected) in [
            ("encodings: []", "no coding"),
            ("encodings: [gzip, br, gzip]", "twice"),
            ("encodings: [deflate]", "deflate"),
            ("types: []", "no type"),
            ("types: [json]", "is no content type"),
            ("types: ['*/*']", "is no content type"),
            ("types: ['text/html; charset=utf-8']", "is no content type"),
            ("levels: { gzip: 10 }", "`gzip` goes from 1 to 6, not 10"),
            ("levels: { br: 11 }", "`br` goes from 0 to 4"),
        ] {
            assert!(
                refusal(settings).contains(expected),
                "{}",
                refusal(settings)
            );
        }
    }

    #[test]
    fn answers_that_must_stay_as_they_are_stay() {
        for (status, fields) in [
            (200, vec![]),
            (200, vec![("Content-Type", "image/png")]),
            (200, vec![("Content-Type", "application/json-seq")]),
            (200, vec![("Content-Type", "text/event-stream")]),
            (200, vec![TEXT, ("Content-Encoding", "br")]),
            (200, vec![TEXT, ("Cache-Control", "public, No-Transform")]),
            (200, vec![TEXT, ("Content-Range", "bytes 0-1999/9000")]),
            (200, vec![TEXT, ("Content-Digest", "sha-256=:x:")]),
            (206, vec![TEXT]),
            (204, vec![TEXT]),
            (304, vec![TEXT]),
            (101, vec![TEXT]),
        ] {
            let answer = answer("{}", GZIP, response(status, &fields, body()));
            assert_eq!(
                answer.head.headers.len(),
                fields.len(),
                "{status} {fields:?}"
            );
            assert_eq!(answer.body.length(), Some(2000), "{status} {fields:?}");
        }
    }

    #[test]
    fn callers_that_get_it_plain_are_told_that_it_varies() {
        let small = || Body::Full(Chunk::from("x".repeat(1023)));
        for (head, body, length) in [
            ("GET /", body(), 2000),
            ("GET /\nAccept-Encoding: identity", body(), 2000),
            ("HEAD /\nAccept-Encoding: gzip", body(), 2000),
            (GZIP, small(), 1023),
            (GZIP, Body::Empty, 0),
        ] {
            let answer = answer("{}", head, response(200, &[TEXT, ("ETag", "\"a\"")], body));
            assert_eq!(answer.body.length(), Some(length), "{head}");
            assert_eq!(
                answer.head.headers.get_str(HeaderId::Vary),
                Some("Accept-Encoding")
            );
            assert_eq!(answer.head.headers.get_str(HeaderId::ETag), Some("\"a\""));
            assert!(
                !answer.head.headers.contains(HeaderId::ContentEncoding),
                "{head}"
            );
        }
    }

    #[test]
    fn compressed_answers_say_so() {
        let fields = [
            TEXT,
            ("ETag", "\"a\""),
            ("Vary", "Origin"),
            ("Content-Length", "2000"),
            ("Accept-Ranges", "bytes"),
        ];
        for body in [body(), Script::of(&["streamed"]).body()] {
            let answer = answer("{}", GZIP, response(200, &fields, body));
            let headers = &answer.head.headers;
            assert_eq!(headers.get_str(HeaderId::ContentEncoding), Some("gzip"));
            assert_eq!(headers.get_str(HeaderId::ETag), Some("W/\"a\""));
            let vary: Vec<&[u8]> = headers.all(HeaderId::Vary).collect();
            assert_eq!(vary, [b"Origin".as_slice(), b"Accept-Encoding"]);
            assert!(!headers.contains(HeaderId::ContentLength));
            assert!(headers.get_named("accept-ranges").is_none());
            assert_eq!(answer.body.length(), None);
        }
        let weak = [
            TEXT,
            ("ETag", "W/\"a\""),
            ("Vary", "accept-encoding, Origin"),
        ];
        let answer = answer("{}", GZIP, response(404, &weak, body()));
        assert_eq!(answer.head.headers.get_str(HeaderId::ETag), Some("W/\"a\""));
        assert_eq!(answer.head.headers.all(HeaderId::Vary).count(), 1);
    }

    #[test]
    fn types_and_order_are_configurable() {
        let settings = "{ encodings: [gzip, br], types: ['application/*+json', image/PNG], \
                        event_streams: true, min_size: 0B }";
        for (kind, expected) in [
            ("application/problem+json", Some("gzip")),
            ("image/png;x=y", Some("gzip")),
            ("text/event-stream", Some("gzip")),
            ("application/json", None),
            ("text/plain", None),
        ] {
            let head = "GET /\nAccept-Encoding: zstd, br, gzip";
            let body = Body::Full(Chunk::from("x"));
            let answer = answer(
                settings,
                head,
                response(200, &[("Content-Type", kind)], body),
            );
            assert_eq!(
                answer.head.headers.get_str(HeaderId::ContentEncoding),
                expected,
                "{kind}"
            );
        }
    }
}
