//! Reads one request's head and body length; enough for what proxies send us, and no more.
//!
//! A body must come with Content-Length: every proxy measured here keeps the caller's.

use memchr::memmem;

/// The longest head taken from a proxy, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The longest body taken from a proxy, in bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What the buffer holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// More bytes are needed.
    Partial,
    /// A whole request of `bytes` bytes.
    Whole {
        /// What is asked.
        question: Question<'a>,
        /// Bytes of the buffer that belong to this request.
        bytes: usize,
    },
    /// Not a request that this responder serves; the connection must be closed.
    Refused(&'static str),
}

/// One request, as far as the responder cares.
#[derive(Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The method, as sent.
    pub method: &'a str,
    /// The path, as sent.
    pub path: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// Reads the request at the start of `input`.
#[must_use]
pub fn parse(input: &[u8]) -> Parsed<'_> {
    let Some(head_end) = memmem::find(input, b"\r\n\r\n") else {
        if input.len() > HEAD_BYTES_MAX {
            return Parsed::Refused("head too long");
        }
        return Parsed::Partial;
    };
    let Ok(head) = std::str::from_utf8(&input[..head_end]) else {
        return Parsed::Refused("head is not UTF-8");
    };
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Parsed::Refused("no request line");
    };
    let mut body_bytes = 0;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            return Parsed::Refused("header without colon");
        };
        if name.eq_ignore_ascii_case("content-length") {
            match value.trim().parse::<usize>() {
                Ok(bytes) if bytes <= BODY_BYTES_MAX => body_bytes = bytes,
                _ => return Parsed::Refused("bad content-length"),
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Parsed::Refused("request bodies need content-length");
        }
    }
    let body_start = head_end + 4;
    let bytes = body_start + body_bytes;
    if input.len() < bytes {
        return Parsed::Partial;
    }
    let question = Question {
        method,
        path,
        body: &input[body_start..bytes],
    };
    Parsed::Whole { question, bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: &[u8] = b"POST /v1/x HTTP/1.1\r\nHost: a\r\ncontent-length: 4\r\n\r\nbody";

    #[test]
    fn needs_every_byte_of_the_request() {
        for end in 0..POST.len() {
            assert_eq!(parse(&POST[..end]), Parsed::Partial, "at {end}");
        }
        let Parsed::Whole { question, bytes } = parse(POST) else {
            panic!("whole request not seen");
        };
        assert_eq!((question.method, question.path), ("POST", "/v1/x"));
        assert_eq!((question.body, bytes), (&b"body"[..], POST.len()));
    }

    #[test]
    fn refuses_what_it_cannot_frame() {
        let chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(matches!(parse(chunked), Parsed::Refused(_)));
        let negative = b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n";
        assert!(matches!(parse(negative), Parsed::Refused(_)));
        assert!(matches!(parse(&[b'a'; 20_000]), Parsed::Refused(_)));
    }
}
