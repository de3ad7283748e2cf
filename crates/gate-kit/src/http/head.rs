//! Request and response heads, and messages made of a head and a body.

use super::{Body, Headers};
use std::fmt;

/// A request method; standard ones compare as one byte.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs, reason = "each variant is its method's name")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Patch,
    Options,
    Connect,
    Trace,
    /// Any other token (RFC 9110 section 9.1 leaves the set open).
    Other(Box<str>),
}

impl Method {
    /// The method for a token; `None` when the bytes are no token.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(match bytes {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"PATCH" => Method::Patch,
            b"OPTIONS" => Method::Options,
            b"CONNECT" => Method::Connect,
            b"TRACE" => Method::Trace,
            other if super::headers::is_token(other) => {
                Method::Other(std::str::from_utf8(other).ok()?.into())
            }
            _ => return None,
        })
    }

    /// The method as sent on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Patch => "PATCH",
            Method::Options => "OPTIONS",
            Method::Connect => "CONNECT",
            Method::Trace => "TRACE",
            Method::Other(name) => name,
        }
    }

    /// RFC 9110 section 9.2.2: sending it twice has the effect of sending it once.
    #[must_use]
    pub const fn is_idempotent(&self) -> bool {
        matches!(
            self,
            Method::Get
                | Method::Head
                | Method::Put
                | Method::Delete
                | Method::Options
                | Method::Trace
        )
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The HTTP version a message arrived in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each variant is its version")]
pub enum Version {
    Http10,
    Http11,
    Http2,
    Http3,
}

impl Version {
    /// As OpenTelemetry's `network.protocol.version` spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Version::Http10 => "1.0",
            Version::Http11 => "1.1",
            Version::Http2 => "2",
            Version::Http3 => "3",
        }
    }
}

/// Whether the caller used TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs, reason = "each variant is its scheme")]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// `http` or `https`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// What a request asks for. Hop-by-hop and framing headers are not part of it: codecs take them
/// out on the way in and write their own on the way out.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// Host and port as the caller named them (Host header, absolute target or `:authority`);
    /// empty when an HTTP/1.0 caller named none. The Host header is not repeated in `headers`.
    pub authority: String,
    /// Path and query in one string, starting with `/` (or exactly `*` for OPTIONS).
    pub target: String,
    /// The version the request arrived in.
    pub version: Version,
    /// End-to-end fields, as spelt by the caller.
    pub headers: Headers,
    /// The protocol of an HTTP/1.1 Upgrade request (such as `websocket`) or of an extended CONNECT.
    pub upgrade: Option<Box<str>>,
}

impl RequestHead {
    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        match memchr::memchr(b'?', self.target.as_bytes()) {
            Some(length) => &self.target[..length],
            None => &self.target,
        }
    }

    /// The query without its question mark, when there is one.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        let mark = memchr::memchr(b'?', self.target.as_bytes())?;
        Some(&self.target[mark + 1..])
    }

    /// The host without its port, and without the brackets of an IPv6 literal.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.authority.as_str();
        if let Some(rest) = authority.strip_prefix('[') {
            return rest.split_once(']').map_or(rest, |(host, _)| host);
        }
        authority
            .split_once(':')
            .map_or(authority, |(host, _)| host)
    }
}

/// What a response says before its body.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status code, 100 to 999.
    pub status: u16,
    /// End-to-end fields, as spelt by the server.
    pub headers: Headers,
}

/// A request: head and body.
#[derive(Debug)]
pub struct Request {
    /// The head.
    pub head: RequestHead,
    /// The body, pulled by whoever needs it.
    pub body: Body,
}

/// A response: head and body.
#[derive(Debug)]
pub struct Response {
    /// The head.
    pub head: ResponseHead,
    /// The body, pulled by the connection that writes it.
    pub body: Body,
}

impl Response {
    /// A response with a complete body and its content type.
    #[must_use]
    pub fn full(status: u16, content_type: &str, body: impl Into<super::Chunk>) -> Self {
        let mut headers = Headers::with_capacity(4, 64 + content_type.len());
        headers.append_known(super::HeaderId::ContentType, content_type.as_bytes());
        Self {
            head: ResponseHead { status, headers },
            body: Body::Full(body.into()),
        }
    }

    /// A response without a body.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self {
            head: ResponseHead {
                status,
                headers: Headers::new(),
            },
            body: Body::Empty,
        }
    }
}

/// The standard reason phrase of a status; empty for codes without one.
#[must_use]
pub const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        529 => "Overloaded",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(authority: &str, target: &str) -> RequestHead {
        RequestHead {
            method: Method::Get,
            authority: authority.into(),
            target: target.into(),
            version: Version::Http11,
            headers: Headers::new(),
            upgrade: None,
        }
    }

    #[test]
    fn host_drops_port_and_brackets() {
        for (authority, host) in [
            ("a.example:80", "a.example"),
            ("a.example", "a.example"),
            ("[::1]:8080", "::1"),
            ("", ""),
        ] {
            assert_eq!(head(authority, "/").host(), host);
        }
    }

    #[test]
    fn target_splits_at_the_first_question_mark() {
        let head = head("", "/a/b?x=1?y");
        assert_eq!((head.path(), head.query()), ("/a/b", Some("x=1?y")));
    }

    #[test]
    fn only_tokens_are_methods() {
        assert_eq!(Method::from_bytes(b"GET"), Some(Method::Get));
        assert_eq!(
            Method::from_bytes(b"PURGE").map(|m| m.as_str().to_owned()),
            Some("PURGE".into())
        );
        assert_eq!(Method::from_bytes(b"G ET"), None);
        assert_eq!(Method::from_bytes(b""), None);
    }
}
