//! Reads response heads, as strictly as requests: an upstream whose framing two readers could
//! read differently would mix up the answers of different callers on one pooled connection.

use super::lines::Lines;
use super::{BodyFraming, Limits, ParseError, fields};
use gate_kit::http::{HeaderId, Method, ResponseHead};

/// A response head and what it says about the bytes behind it.
#[derive(Debug)]
pub struct ParsedResponse {
    /// The response, without fields that frame it or belong to this hop. Content-Length stays
    /// where there is no body that it could frame: for HEAD and 304 it describes the resource.
    pub head: ResponseHead,
    /// Bytes of input that the head took.
    pub consumed: usize,
    /// How the body is delimited.
    pub framing: BodyFraming,
    /// Whether the connection may be used again after this response.
    pub keep_alive: bool,
    /// The protocol that a 101 has switched to.
    pub upgrade: Option<Box<str>>,
}

/// Reads a response head from the start of `bytes`; `None` asks for more bytes.
///
/// Interim responses (1xx) are returned like others; after one that is not 101 the caller calls
/// again for the next. `request_method` is the method of the request being answered.
///
/// # Errors
/// The reason for which the response is refused; the connection cannot be used further.
pub fn parse_response(
    bytes: &[u8],
    request_method: &Method,
    limits: &Limits,
) -> Result<Option<ParsedResponse>, ParseError> {
    if let Some(b'\r' | b'\n') = bytes.first() {
        return Err(ParseError::LeadingBytes);
    }
    let mut lines = Lines::new();
    let Some(length) = lines.find(bytes, limits)? else {
        return incomplete(bytes);
    };
    let head = &bytes[..length];
    let (status, is_http10) = status_line(lines.first(head))?;
    let mut fields = fields::read(head, &lines)?;
    // A name that is no coding codes nothing; what remains of it is that the body ends with the
    // connection (RFC 9112 section 6.3), which then carries nothing else.
    let named = match fields.made_up_coding && fields.content_length.is_none() {
        true => Some(BodyFraming::UntilClose),
        false => fields.framing(is_http10)?,
    };
    let framing = framing(status, request_method, named);
    if let (BodyFraming::None, Some(length)) = (framing, fields.content_length)
        && !matches!(status, 100..=199 | 204)
    {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(length).as_bytes();
        fields.headers.append_known(HeaderId::ContentLength, digits);
    }
    let upgrade = if status == 101 {
        fields.upgrade()
    } else {
        None
    };
    let keep_alive = fields.persists(is_http10)
        && !matches!(framing, BodyFraming::UntilClose | BodyFraming::Tunnel)
        && !promises_forbidden_body(status, named);
    Ok(Some(ParsedResponse {
        head: ResponseHead {
            status,
            headers: fields.headers,
        },
        consumed: length,
        framing,
        keep_alive,
        upgrade,
    }))
}

/// Status and whether the version is 1.0 (RFC 9112 section 4). The reason is not looked at; the
/// space before it may lack, as many servers have it.
#[inline]
fn status_line(line: &[u8]) -> Result<(u16, bool), ParseError> {
    let Some((version, rest)) = line.split_first_chunk::<9>() else {
        return Err(ParseError::InvalidStatusLine);
    };
    let is_http10 = match version {
        b"HTTP/1.1 " => false,
        b"HTTP/1.0 " => true,
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'0'..=b'9',
            b'.',
            b'0'..=b'9',
            b' ',
        ] => {
            return Err(ParseError::UnsupportedVersion);
        }
        _ => return Err(ParseError::InvalidStatusLine),
    };
    match rest {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']
        | [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..] => {
            let digit = |d: &u8| u16::from(d - b'0');
            Ok((digit(a) * 100 + digit(b) * 10 + digit(c), is_http10))
        }
        _ => Err(ParseError::InvalidStatusLine),
    }
}

/// More bytes are needed, unless those at hand are no HTTP.
#[cold]
fn incomplete(bytes: &[u8]) -> Result<Option<ParsedResponse>, ParseError> {
    if let Some(end) = memchr::memchr(b'\r', bytes) {
        return status_line(&bytes[..end]).map(|_| None);
    }
    let shared = bytes.len().min(b"HTTP/".len());
    match bytes[..shared] == b"HTTP/"[..shared] {
        true => Ok(None),
        false => Err(ParseError::InvalidStatusLine),
    }
}

/// RFC 9112 section 6.3, in its order.
fn framing(status: u16, request_method: &Method, named: Option<BodyFraming>) -> BodyFraming {
    match status {
        101 => BodyFraming::Tunnel,
        100..=199 | 204 | 304 => BodyFraming::None,
        _ if *request_method == Method::Head => BodyFraming::None,
        200..=299 if *request_method == Method::Connect => BodyFraming::Tunnel,
        _ => named.unwrap_or(BodyFraming::UntilClose),
    }
}

/// 1xx and 204 have no body and may name no length (RFC 9110 section 8.6). A server that names one
/// may also send one, so its connection is not used again.
fn promises_forbidden_body(status: u16, named: Option<BodyFraming>) -> bool {
    matches!(status, 100..=199 | 204) && !matches!(named, None | Some(BodyFraming::Length(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, method: &Method) -> Result<Option<ParsedResponse>, ParseError> {
        parse_response(text.as_bytes(), method, &Limits::default())
    }

    #[test]
    fn framing_by_status_method_and_fields() {
        use BodyFraming::{Chunked, Length, None, Tunnel, UntilClose};
        let (get, head, connect) = (Method::Get, Method::Head, Method::Connect);
        for (rest, method, framing, keep_alive) in [
            (
                "1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                &get,
                Length(5),
                true,
            ),
            (
                "1.1 200\r\ncontent-length: 0\r\n\r\n",
                &get,
                Length(0),
                true,
            ),
            (
                "1.1 200 \r\nTransfer-Encoding: Chunked\r\n\r\n",
                &get,
                Chunked,
                true,
            ),
            ("1.1 200 OK\r\n\r\n", &get, UntilClose, false),
            (
                "1.1 200 OK\r\nTransfer-Encoding: made-up\r\n\r\n",
                &get,
                UntilClose,
                false,
            ),
            (
                "1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
                &get,
                Length(5),
                false,
            ),
            (
                "1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n",
                &get,
                Length(5),
                true,
            ),
            (
                "1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n",
                &get,
                Length(5),
                false,
            ),
            ("1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &head, None, true),
            (
                "1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
                &get,
                None,
                true,
            ),
            ("1.1 204 No Content\r\n\r\n", &get, None, true),
            (
                "1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
                &get,
                None,
                false,
            ),
            (
                "1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
                &get,
                None,
                false,
            ),
            ("1.1 100 Continue\r\n\r\n", &get, None, true),
            (
                "1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
                &get,
                Tunnel,
                false,
            ),
            ("1.1 200 OK\r\n\r\n", &connect, Tunnel, false),
            (
                "1.1 407 No\r\nContent-Length: 1\r\n\r\n",
                &connect,
                Length(1),
                true,
            ),
        ] {
            let parsed = parse(&format!("HTTP/{rest}"), method).unwrap().unwrap();
            assert_eq!(
                (parsed.framing, parsed.keep_alive),
                (framing, keep_alive),
                "{rest}"
            );
            assert_eq!(parsed.consumed, rest.len() + 5);
            assert_eq!(parsed.upgrade.is_some(), parsed.head.status == 101);
        }
    }

    #[test]
    fn a_length_that_frames_nothing_is_kept() {
        for (method, status, kept) in [
            (Method::Head, 200, true),
            (Method::Get, 304, true),
            (Method::Get, 200, false),
        ] {
            let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 17\r\n\r\n");
            let head = parse(&text, &method).unwrap().unwrap().head;
            assert_eq!(
                head.headers.contains(HeaderId::ContentLength),
                kept,
                "{status}"
            );
        }
    }

    #[test]
    fn refusals() {
        for (text, error) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                ParseError::AmbiguousFraming,
            ),
            (
                "HTTP/1.1 304 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                ParseError::AmbiguousFraming,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
                ParseError::AmbiguousFraming,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
                ParseError::AmbiguousFraming,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
                ParseError::InvalidContentLength,
            ),
            (
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                ParseError::InvalidTransferEncoding,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
                ParseError::UnsupportedTransferCoding,
            ),
            ("HTTP/1.1 099 OK\r\n\r\n", ParseError::InvalidStatusLine),
            ("HTTP/1.1 2000 OK\r\n\r\n", ParseError::InvalidStatusLine),
            ("HTTP/1.1  200 OK\r\n\r\n", ParseError::InvalidStatusLine),
            ("HTTP/2.0 200 OK\r\n\r\n", ParseError::UnsupportedVersion),
            ("\r\nHTTP/1.1 200 OK\r\n\r\n", ParseError::LeadingBytes),
            ("HTTP/1.1 200 OK\nA: b\r\n\r\n", ParseError::InvalidLineEnd),
            ("HTTP/1.1 200 OK\r\nA: b\n\r\n", ParseError::InvalidLineEnd),
            ("HTTP/1.1 200 OK\r\nA: b\r\n\n", ParseError::InvalidLineEnd),
            (
                "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
                ParseError::InvalidHeaderName,
            ),
            (
                "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
                ParseError::InvalidHeaderName,
            ),
            ("HTTP/1.1 200 O\rK\r\n\r\n", ParseError::ControlCharacter),
        ] {
            assert_eq!(parse(text, &Method::Get).err(), Some(error), "{text:?}");
        }
    }

    #[test]
    fn every_prefix_asks_for_more() {
        let text = "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\n";
        for end in 0..text.len() {
            assert!(
                parse(&text[..end], &Method::Get).unwrap().is_none(),
                "{end}"
            );
        }
    }
}
