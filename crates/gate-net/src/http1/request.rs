//! Reads request heads.
//!
//! [`super::lines`] has proved that there are lines, [`super::fields`] judges the fields; here is
//! the request line, and what the parts mean together.

use super::lines::Lines;
use super::{BodyFraming, Limits, ParseError, fields, target};
use gate_kit::http::{Method, RequestHead, Version};

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
    let mut lines = Lines::new();
    let length = match lines.find(bytes, limits) {
        Ok(Some(length)) => length,
        Ok(None) => return incomplete(bytes, limits),
        Err(error) => return Err(blame_target(error, bytes)),
    };
    let head = &bytes[..length];
    let line = RequestLine::read(lines.first(head))?;
    if line.target.len() > limits.target_bytes {
        return Err(ParseError::TargetTooLong);
    }
    let mut parsed = assemble(line, head, &lines, limits)?;
    parsed.consumed += skipped;
    Ok(Some(parsed))
}

/// Method, target and version, separated by exactly one space (RFC 9112 section 3).
struct RequestLine<'b> {
    method: Method,
    target: &'b [u8],
    is_http10: bool,
}

impl<'b> RequestLine<'b> {
    #[inline]
    fn read(line: &'b [u8]) -> Result<Self, ParseError> {
        let is_http10 = match line.last_chunk() {
            Some(b" HTTP/1.1") => false,
            Some(b" HTTP/1.0") => true,
            _ => return Err(version_refusal(line)),
        };
        let line = &line[..line.len() - b" HTTP/1.1".len()];
        let space = line.iter().position(|&b| b == b' ');
        let (method, target) = line.split_at(space.ok_or(ParseError::InvalidRequestLine)?);
        let target = &target[1..];
        match Method::from_bytes(method) {
            Some(method) if !target.is_empty() => Ok(Self {
                method,
                target,
                is_http10,
            }),
            _ => Err(ParseError::InvalidRequestLine),
        }
    }
}

#[inline]
fn assemble(
    line: RequestLine<'_>,
    head: &[u8],
    lines: &Lines,
    limits: &Limits,
) -> Result<ParsedRequest, ParseError> {
    let RequestLine {
        method,
        target,
        is_http10,
    } = line;
    let resolved = target::resolve(&method, target)?;
    let mut fields = fields::read(head, lines)?;
    if limits.keeps_connection_fields {
        fields.put_aside(head, lines);
    }
    let host = match fields.host {
        Some(host) => gate_kit::http::authority(host, false).ok_or(ParseError::InvalidHost)?,
        None if is_http10 => "",
        None => return Err(ParseError::MissingHost),
    };
    if fields.expect_other {
        return Err(ParseError::UnknownExpectation);
    }
    let framing = fields.framing(is_http10)?;
    if method == Method::Connect && framing.is_some() {
        // RFC 9110 section 9.3.6 gives such a body no meaning; its bytes could be tunnel bytes.
        return Err(ParseError::AmbiguousFraming);
    }
    Ok(ParsedRequest {
        consumed: head.len(),
        framing: framing.unwrap_or(BodyFraming::None),
        keep_alive: fields.persists(is_http10),
        expect_continue: fields.expect_continue && !is_http10,
        head: RequestHead {
            method,
            // RFC 9112 section 3.2.2: an absolute target wins over Host.
            authority: resolved.authority.unwrap_or(host).to_owned(),
            target: resolved.target,
            version: match is_http10 {
                true => Version::Http10,
                false => Version::Http11,
            },
            upgrade: match is_http10 {
                true => None,
                false => fields.upgrade(),
            },
            headers: fields.headers,
        },
    })
}

/// More bytes are needed, unless the first line shows already that they would not help.
#[cold]
fn incomplete(bytes: &[u8], limits: &Limits) -> Result<Option<ParsedRequest>, ParseError> {
    if let Some(end) = memchr::memchr(b'\r', bytes) {
        let line = RequestLine::read(&bytes[..end])?;
        return match line.target.len() > limits.target_bytes {
            true => Err(ParseError::TargetTooLong),
            false => Ok(None),
        };
    }
    let method = bytes.split(|&b| b == b' ').next().unwrap_or_default();
    if Method::from_bytes(method).is_none() {
        return Err(ParseError::InvalidRequestLine);
    }
    match bytes.len() > method.len() + limits.target_bytes + " HTTP/1.1\r".len() {
        true if bytes.len() > method.len() => Err(ParseError::TargetTooLong),
        _ => Ok(None),
    }
}

/// A head that is too large before its first line has ended has a target that is too long.
#[cold]
fn blame_target(error: ParseError, bytes: &[u8]) -> ParseError {
    let first_line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    match error {
        ParseError::HeadTooLarge if first_line.len() == bytes.len() && bytes.contains(&b' ') => {
            ParseError::TargetTooLong
        }
        other => other,
    }
}

/// 505 is for what is a version at all; other text in its place is a malformed line, and so is a
/// major version of 0: HTTP/0.9 wrote none (RFC 1945 section 5), so that nobody who speaks it says so.
#[cold]
fn version_refusal(line: &[u8]) -> ParseError {
    match line.splitn(3, |&b| b == b' ').nth(2).unwrap_or_default() {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if matches!(major, b'1'..=b'9') && minor.is_ascii_digit() =>
        {
            ParseError::UnsupportedVersion
        }
        _ => ParseError::InvalidRequestLine,
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
