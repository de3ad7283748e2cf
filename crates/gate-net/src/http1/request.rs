//! Reads request heads.
//!
//! `httparse` finds the tokens; what it lets pass and we do not is closed here and in
//! [`super::fields`]: bare LF, several leading empty lines, targets with any byte above space.

use super::{BodyFraming, HEAD_BYTES_MAX, HEADER_COUNT_MAX, Limits, ParseError, fields, target};
use gate_kit::http::{Method, RequestHead, Version};
use std::mem::MaybeUninit;

/// A request head and what it says about the bytes behind it.
#[derive(Debug)]
pub struct ParsedRequest {
    /// The request, without fields that frame it or belong to this hop, save `te: trailers`.
    ///
    /// The target of CONNECT is empty: its authority says all.
    pub head: RequestHead,
    /// Bytes of input that the head took.
    pub consumed: usize,
    /// How the body is delimited: none, a length or chunks.
    pub framing: BodyFraming,
    /// Whether the caller wants the connection kept.
    pub keep_alive: bool,
    /// Whether the caller waits for 100 before it sends the body (RFC 9110 section 10.1.1).
    /// Expect itself stays among the headers, so that it can be forwarded.
    pub expect_continue: bool,
}

/// Reads a request head from the start of `bytes`; `None` asks for more bytes.
///
/// One CR LF before the request line is skipped (RFC 9112 section 2.2).
///
/// # Errors
/// The reason for which the request is refused; the connection cannot be used further.
pub fn parse_request(bytes: &[u8], limits: &Limits) -> Result<Option<ParsedRequest>, ParseError> {
    let (skipped, bytes) = match bytes {
        [b'\r', b'\n', rest @ ..] => (2, rest),
        [] | [b'\r'] => return Ok(None),
        _ => (0, bytes),
    };
    match bytes.first() {
        None => return Ok(None),
        Some(b'\r' | b'\n') => return Err(ParseError::LeadingBytes),
        Some(_) => {}
    }
    let mut storage = [const { MaybeUninit::uninit() }; HEADER_COUNT_MAX];
    let count = limits.header_count.min(HEADER_COUNT_MAX);
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut storage[..count]) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return incomplete(bytes, limits),
        Err(error) => return Err(refusal(error, bytes)),
    };
    check_head(&bytes[..length], request.headers.len(), limits)?;
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(ParseError::InvalidRequestLine);
    };
    if target.len() > limits.target_bytes {
        return Err(ParseError::TargetTooLong);
    }
    let mut parsed = assemble(method, target, minor == 0, request.headers, length)?;
    parsed.consumed = skipped + length;
    Ok(Some(parsed))
}

#[inline]
fn assemble(
    method: &str,
    target: &str,
    is_http10: bool,
    fields: &[httparse::Header<'_>],
    length: usize,
) -> Result<ParsedRequest, ParseError> {
    let method = Method::from_bytes(method.as_bytes()).ok_or(ParseError::InvalidRequestLine)?;
    let resolved = target::resolve(&method, target)?;
    let fields = fields::read(fields, length)?;
    let host = match fields.host {
        Some(host) => target::authority(host, false).ok_or(ParseError::InvalidHost)?,
        None if is_http10 => "",
        None => return Err(ParseError::MissingHost),
    };
    let framing = fields.framing(is_http10)?;
    if method == Method::Connect && framing.is_some() {
        // RFC 9110 section 9.3.6 gives such a body no meaning; its bytes could be tunnel bytes.
        return Err(ParseError::AmbiguousFraming);
    }
    Ok(ParsedRequest {
        consumed: length,
        framing: framing.unwrap_or(BodyFraming::None),
        keep_alive: fields.persists(is_http10),
        expect_continue: fields.expect_continue && !is_http10,
        head: RequestHead {
            method,
            // RFC 9112 section 3.2.2: an absolute target wins over Host.
            authority: resolved.authority.unwrap_or(host).to_owned(),
            target: resolved.target,
            version: if is_http10 {
                Version::Http10
            } else {
                Version::Http11
            },
            upgrade: if is_http10 { None } else { fields.upgrade() },
            headers: fields.headers,
        },
    })
}

/// What holds for the bytes of every complete head, request or response.
///
/// `httparse` has checked that each CR is followed by LF, but also takes LF alone for a line end.
/// Then a CR is missing: there must be one per field, one for the first line, one for the last.
#[inline]
pub(super) fn check_head(head: &[u8], fields: usize, limits: &Limits) -> Result<(), ParseError> {
    if head.len() > limits.head_bytes.min(HEAD_BYTES_MAX) {
        return Err(ParseError::HeadTooLarge);
    }
    if memchr::memchr_iter(b'\r', head).count() != fields + 2 {
        return Err(ParseError::InvalidLineEnd);
    }
    Ok(())
}

/// More bytes are needed, unless there are too many already.
#[cold]
fn incomplete(bytes: &[u8], limits: &Limits) -> Result<Option<ParsedRequest>, ParseError> {
    if bytes.len() > limits.target_bytes {
        let start = memchr::memchr(b' ', bytes).map_or(0, |space| space + 1);
        let target = memchr::memchr2(b' ', b'\n', &bytes[start..]).unwrap_or(bytes.len() - start);
        if start > 0 && target > limits.target_bytes {
            return Err(ParseError::TargetTooLong);
        }
    }
    too_large(bytes, limits).map(|()| None)
}

/// Refuses a head that is longer than its limit and still incomplete.
pub(super) fn too_large(bytes: &[u8], limits: &Limits) -> Result<(), ParseError> {
    match bytes.len() >= limits.head_bytes.min(HEAD_BYTES_MAX) {
        true => Err(ParseError::HeadTooLarge),
        false => Ok(()),
    }
}

#[cold]
fn refusal(error: httparse::Error, bytes: &[u8]) -> ParseError {
    match error {
        httparse::Error::Version => version_refusal(bytes),
        httparse::Error::Token => token_refusal(bytes),
        other => field_refusal(other).unwrap_or(ParseError::InvalidRequestLine),
    }
}

/// Reasons that requests and responses share.
pub(super) fn field_refusal(error: httparse::Error) -> Option<ParseError> {
    match error {
        httparse::Error::HeaderName => Some(ParseError::InvalidHeaderName),
        httparse::Error::HeaderValue => Some(ParseError::InvalidHeaderValue),
        httparse::Error::NewLine => Some(ParseError::InvalidLineEnd),
        httparse::Error::TooManyHeaders => Some(ParseError::TooManyHeaders),
        _ => None,
    }
}

/// 505 is for what is a version at all; other text in its place is a malformed line.
fn version_refusal(bytes: &[u8]) -> ParseError {
    let line = bytes
        .split(|&b| b == b'\r' || b == b'\n')
        .next()
        .unwrap_or_default();
    match line.splitn(3, |&b| b == b' ').nth(2).unwrap_or_default() {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            ParseError::UnsupportedVersion
        }
        _ => ParseError::InvalidRequestLine,
    }
}

/// Tells a bad target from a bad method or bad spacing.
fn token_refusal(bytes: &[u8]) -> ParseError {
    let mut parts = bytes.splitn(2, |&b| b == b' ');
    let method = parts.next().unwrap_or_default();
    let target = parts.next().unwrap_or_default();
    match Method::from_bytes(method) {
        Some(_) if target.first().is_some_and(|&b| b > b' ') => ParseError::InvalidTarget,
        _ => ParseError::InvalidRequestLine,
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
