//! Writes heads and chunk framing.
//!
//! Framing is written from its meaning, never copied: fields that frame a message or belong to one
//! hop are skipped even if something above let them in. Adds neither Date nor Server; the caller
//! decides about those. Names of fields that are added are in lower case.

use super::BodyFraming;
use super::body::may_trail;
use gate_kit::http::{HeaderId, Headers, Method, RequestHead, ResponseHead, Version, reason};
use std::fmt;

/// What ends a chunk's data.
pub const CHUNK_SUFFIX: &[u8] = b"\r\n";

/// How the body that the caller is about to send ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutgoingFraming<'a> {
    /// There is no body.
    None,
    /// Exactly this many bytes follow; for HEAD and 304, would follow.
    Length(u64),
    /// Length unknown; trailers may follow.
    Chunked,
    /// Length unknown, ended by closing the connection; for requests it means `Chunked`.
    UntilClose,
    /// No body, and the connection is to leave HTTP for this protocol.
    Upgrade(&'a str),
}

/// What the encoding of a response depends on besides the response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseContext<'a> {
    /// The version the request came in: HTTP/1.0 callers know no chunks.
    pub version: Version,
    /// Whether this side is willing to keep the connection.
    pub keep_alive: bool,
    /// The method being answered.
    pub request_method: &'a Method,
}

/// What was promised to the peer and has to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// How the body must be sent. `None` means that no body byte may follow, whatever the caller
    /// has at hand.
    pub framing: BodyFraming,
    /// Whether the connection stays open after the message.
    pub keep_alive: bool,
}

/// A target, authority or protocol that would split the message if it were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeError;

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the target, authority or upgrade holds a space or a control character")
    }
}

impl std::error::Error for EncodeError {}

/// Appends the head of an HTTP/1.1 request.
///
/// With an upgrade, `keep_alive` is not told to the peer: the connection leaves HTTP.
///
/// # Errors
/// [`EncodeError`] when the line would be split; nothing useful is in `out` then.
pub fn encode_request_head(
    out: &mut Vec<u8>,
    head: &RequestHead,
    framing: OutgoingFraming<'_>,
    keep_alive: bool,
) -> Result<Sent, EncodeError> {
    let target = match head.method {
        Method::Connect => &head.authority,
        _ => &head.target,
    };
    if !is_clean(target) || target.is_empty() || !is_clean(&head.authority) {
        return Err(EncodeError);
    }
    out.reserve(256 + target.len());
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    out.extend_from_slice(head.authority.as_bytes());
    out.extend_from_slice(b"\r\n");
    let te_trailers = encode_fields(out, &head.headers);
    if te_trailers {
        out.extend_from_slice(b"te: trailers\r\n");
    }
    let sent = request_framing(out, &head.method, framing)?;
    let upgrades = matches!(framing, OutgoingFraming::Upgrade(_));
    out.extend_from_slice(match (upgrades, te_trailers, keep_alive) {
        (true, true, _) => b"connection: upgrade, te\r\n\r\n",
        (true, false, _) => b"connection: upgrade\r\n\r\n",
        (false, true, true) => b"connection: te\r\n\r\n",
        (false, true, false) => b"connection: close, te\r\n\r\n",
        (false, false, true) => b"\r\n",
        (false, false, false) => b"connection: close\r\n\r\n",
    });
    Ok(Sent {
        framing: sent,
        keep_alive,
    })
}

/// Writes the framing fields of a request. RFC 9110 section 8.6: methods that define a body say
/// so when there is none.
fn request_framing(
    out: &mut Vec<u8>,
    method: &Method,
    framing: OutgoingFraming<'_>,
) -> Result<BodyFraming, EncodeError> {
    Ok(match framing {
        _ if *method == Method::Connect => BodyFraming::None,
        OutgoingFraming::Length(length) => {
            encode_length(out, length);
            BodyFraming::Length(length)
        }
        OutgoingFraming::None => {
            if matches!(method, Method::Post | Method::Put | Method::Patch) {
                out.extend_from_slice(b"content-length: 0\r\n");
            }
            BodyFraming::None
        }
        OutgoingFraming::Chunked | OutgoingFraming::UntilClose => {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            BodyFraming::Chunked
        }
        OutgoingFraming::Upgrade(protocol) => {
            encode_upgrade(out, protocol)?;
            BodyFraming::None
        }
    })
}

/// Appends the head of a response, as HTTP/1.1 also to HTTP/1.0 callers (RFC 9110 section 6.2).
///
/// # Errors
/// [`EncodeError`] when the protocol of an upgrade would split the message.
pub fn encode_response_head(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    framing: OutgoingFraming<'_>,
    context: ResponseContext<'_>,
) -> Result<Sent, EncodeError> {
    out.reserve(512);
    encode_status_line(out, head.status);
    encode_fields(out, &head.headers);
    let framing = match body_rule(head.status, context.request_method) {
        BodyRule::Body => response_framing(out, framing, context.version),
        BodyRule::Interim => {
            out.extend_from_slice(b"\r\n");
            return Ok(Sent {
                framing: BodyFraming::None,
                keep_alive: context.keep_alive,
            });
        }
        BodyRule::Switch => {
            if let OutgoingFraming::Upgrade(protocol) = framing {
                encode_upgrade(out, protocol)?;
            }
            out.extend_from_slice(b"connection: upgrade\r\n\r\n");
            return Ok(Sent {
                framing: BodyFraming::Tunnel,
                keep_alive: false,
            });
        }
        BodyRule::Tunnel => BodyFraming::Tunnel,
        BodyRule::Never => BodyFraming::None,
        BodyRule::Described => {
            describe_length(out, &head.headers, framing);
            BodyFraming::None
        }
    };
    let ends_connection = matches!(framing, BodyFraming::UntilClose | BodyFraming::Tunnel);
    let keep_alive = context.keep_alive && !ends_connection;
    out.extend_from_slice(match (keep_alive, context.version) {
        _ if framing == BodyFraming::Tunnel => b"\r\n",
        (false, _) => b"connection: close\r\n\r\n",
        (true, Version::Http10) => b"connection: keep-alive\r\n\r\n",
        (true, _) => b"\r\n",
    });
    Ok(Sent {
        framing,
        keep_alive,
    })
}

/// What RFC 9110 says about the body of a response with this status to this method.
enum BodyRule {
    Body,
    /// 1xx: another response follows.
    Interim,
    /// 101.
    Switch,
    /// 2xx to CONNECT.
    Tunnel,
    /// 204: neither body nor length.
    Never,
    /// HEAD and 304: no body, but its length may be told.
    Described,
}

fn body_rule(status: u16, request_method: &Method) -> BodyRule {
    match (status, request_method) {
        (101, _) => BodyRule::Switch,
        (100..=199, _) => BodyRule::Interim,
        (204, _) => BodyRule::Never,
        (304, _) | (_, Method::Head) => BodyRule::Described,
        (200..=299, Method::Connect) => BodyRule::Tunnel,
        _ => BodyRule::Body,
    }
}

fn response_framing(
    out: &mut Vec<u8>,
    framing: OutgoingFraming<'_>,
    version: Version,
) -> BodyFraming {
    match framing {
        OutgoingFraming::Length(length) => {
            encode_length(out, length);
            BodyFraming::Length(length)
        }
        OutgoingFraming::None | OutgoingFraming::Upgrade(_) => {
            out.extend_from_slice(b"content-length: 0\r\n");
            BodyFraming::None
        }
        OutgoingFraming::Chunked if version != Version::Http10 => {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            BodyFraming::Chunked
        }
        OutgoingFraming::Chunked | OutgoingFraming::UntilClose => BodyFraming::UntilClose,
    }
}

/// For HEAD and 304: the length of the body that is not sent, from the caller or as upstream said.
fn describe_length(out: &mut Vec<u8>, headers: &Headers, framing: OutgoingFraming<'_>) {
    if let OutgoingFraming::Length(length) = framing {
        encode_length(out, length);
    } else if let Some(length) = headers.get(HeaderId::ContentLength) {
        encode_field(out, b"content-length", length);
    }
}

fn encode_status_line(out: &mut Vec<u8>, status: u16) {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    debug_assert!((100..1000).contains(&status), "status {status}");
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(digits.format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes the end-to-end fields; returns whether `te: trailers` was among the others.
#[inline]
fn encode_fields(out: &mut Vec<u8>, headers: &Headers) -> bool {
    let mut te = false;
    headers.write_lines(out, |id| {
        te |= id == HeaderId::Te;
        is_written_by_us(id)
    });
    te && headers
        .all(HeaderId::Te)
        .any(|value| value.eq_ignore_ascii_case(b"trailers"))
}

#[inline]
fn encode_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Fields that only this file writes.
#[inline]
fn is_written_by_us(id: HeaderId) -> bool {
    id.is_hop_by_hop() || matches!(id, HeaderId::Host | HeaderId::ContentLength)
}

fn encode_length(out: &mut Vec<u8>, length: u64) {
    let mut digits = itoa::Buffer::new();
    encode_field(out, b"content-length", digits.format(length).as_bytes());
}

fn encode_upgrade(out: &mut Vec<u8>, protocol: &str) -> Result<(), EncodeError> {
    if !protocol
        .bytes()
        .all(|b| b == b'\t' || (b' '..0x7f).contains(&b))
    {
        return Err(EncodeError);
    }
    encode_field(out, b"upgrade", protocol.as_bytes());
    Ok(())
}

/// Whether text holds only visible ASCII. Without early exit, so that it is vectorised.
#[inline]
fn is_clean(text: &str) -> bool {
    text.bytes()
        .fold(true, |clean, b| clean & (b > b' ') & (b < 0x7f))
}

/// Appends what precedes a chunk of `length` bytes; follow the bytes with [`CHUNK_SUFFIX`].
///
/// A length of zero would end the body, so nothing is written for it and no chunk may follow.
pub fn encode_chunk_prefix(out: &mut Vec<u8>, length: u64) {
    debug_assert!(length > 0, "an empty chunk ends the body");
    if length == 0 {
        return;
    }
    let mut line = *b"0000000000000000\r\n";
    let mut first = 16;
    let mut left = length;
    while left > 0 {
        first -= 1;
        line[first] = b"0123456789abcdef"[(left & 15) as usize];
        left >>= 4;
    }
    out.extend_from_slice(&line[first..]);
}

/// Appends the last chunk with its trailers; fields that may not trail are skipped.
pub fn encode_last_chunk(out: &mut Vec<u8>, trailers: Option<&Headers>) {
    out.extend_from_slice(b"0\r\n");
    for (id, name, value) in trailers.iter().flat_map(|headers| headers.iter()) {
        if may_trail(id) {
            encode_field(out, name, value);
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
