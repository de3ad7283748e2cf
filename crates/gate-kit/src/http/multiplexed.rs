//! What HTTP/2 and HTTP/3 have in common: a request made of pseudo-header fields and fields, and
//! which fields go further.
//!
//! Their codecs have already refused upper-case names and misplaced pseudo-header fields. What they
//! let through and an HTTP/1.1 peer could read differently is refused here, once for both.

use super::{
    Body, HeaderId, Headers, Method, RequestHead, Version, is_disguised, is_valid_authority,
};

/// Why a request is not served; answer it with [`Refusal::status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Neither `:authority` nor Host.
    NoAuthority,
    /// `:authority` and Host differ (RFC 9113 section 8.3.1, RFC 9114 section 4.3.1).
    AuthorityMismatch,
    /// The authority is no host and port.
    Authority,
    /// `:path` is empty or holds what no URI may.
    Path,
    /// A field that belongs to a connection of HTTP/1.1 (RFC 9113 section 8.2.2, RFC 9114 section
    /// 4.2).
    ConnectionField,
    /// A value begins or ends with white space (RFC 9113 section 8.2.1).
    PaddedValue,
    /// Content-Length is no number, or there are two.
    ContentLength,
    /// More fields than allowed.
    TooManyFields,
    /// A CONNECT without `:protocol`: this is no forward proxy.
    Connect,
    /// The method is no token.
    Method,
}

impl Refusal {
    /// The status that says so.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Refusal::TooManyFields => 431,
            // As over HTTP/1.1.
            Refusal::Connect => 405,
            _ => 400,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Refusal::NoAuthority => "the request names no authority",
            Refusal::AuthorityMismatch => "`:authority` and Host differ",
            Refusal::Authority => "the authority is malformed",
            Refusal::Path => "`:path` is malformed",
            Refusal::ConnectionField => "a connection-specific field was sent",
            Refusal::PaddedValue => "a field's value begins or ends with white space",
            Refusal::ContentLength => "Content-Length is malformed",
            Refusal::TooManyFields => "the request has too many fields",
            Refusal::Connect => "plain CONNECT is not offered",
            Refusal::Method => "the method is malformed",
        })
    }
}

impl std::error::Error for Refusal {}

/// The pseudo-header fields of a request, as they came.
#[derive(Debug, Clone, Copy)]
pub struct Pseudo<'a> {
    /// `:method`.
    pub method: &'a [u8],
    /// `:authority`.
    pub authority: Option<&'a [u8]>,
    /// `:path`.
    pub path: &'a str,
    /// `:protocol` (RFC 8441), where extended CONNECT is offered.
    pub protocol: Option<&'a str>,
}

/// A received request's head and its Content-Length. An extended CONNECT becomes what an HTTP/1.1
/// upgrade is: GET with `upgrade` set.
///
/// # Errors
/// [`Refusal`], for what must not be served.
pub fn request<'a, I: Iterator<Item = (&'a [u8], &'a [u8])>>(
    version: Version,
    pseudo: Pseudo<'_>,
    fields: impl Fn() -> I,
    fields_max: usize,
) -> Result<(RequestHead, Option<u64>), Refusal> {
    let count = fields().count();
    if count > fields_max {
        return Err(Refusal::TooManyFields);
    }
    // HTTP/1.1 upstreams would drop the padding, which none may.
    if fields().any(|(_, value)| value.trim_ascii() != value) {
        return Err(Refusal::PaddedValue);
    }
    let authority = request_authority(pseudo.authority, fields())?;
    let target = request_target(pseudo.path)?;
    let method = Method::from_bytes(pseudo.method).ok_or(Refusal::Method)?;
    let (method, upgrade) = match (method, pseudo.protocol) {
        (Method::Connect, Some(protocol)) => (Method::Get, Some(protocol.into())),
        (Method::Connect, None) => return Err(Refusal::Connect),
        (method, _) => (method, None),
    };
    let (mut headers, content_length) = end_to_end(fields(), count)?;
    join_cookies(&mut headers, fields());
    let head = RequestHead {
        method,
        authority,
        target,
        version,
        headers,
        upgrade,
    };
    Ok((head, content_length))
}

fn request_authority<'a>(
    named: Option<&[u8]>,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<String, Refusal> {
    let mut hosts = fields.filter(|(name, _)| *name == b"host");
    let host = hosts.next().map(|(_, value)| value);
    if hosts.next().is_some() {
        return Err(Refusal::AuthorityMismatch);
    }
    let authority = match (named, host) {
        (Some(named), Some(host)) if !named.eq_ignore_ascii_case(host) => {
            return Err(Refusal::AuthorityMismatch);
        }
        (Some(named), _) => named,
        (None, Some(host)) => host,
        (None, None) => return Err(Refusal::NoAuthority),
    };
    if !is_valid_authority(authority) {
        return Err(Refusal::Authority);
    }
    String::from_utf8(authority.to_vec()).map_err(|_| Refusal::Authority)
}

fn request_target(path: &str) -> Result<String, Refusal> {
    let plausible = path.bytes().all(|byte| byte.is_ascii_graphic());
    if plausible && (path.starts_with('/') || path == "*") {
        Ok(path.to_owned())
    } else {
        Err(Refusal::Path)
    }
}

/// Every end-to-end field of so many fields, and Content-Length apart. Host and cookies are the
/// caller's to add.
///
/// # Errors
/// [`Refusal`], for fields that an HTTP/1.1 peer could misread.
pub fn end_to_end<'a>(
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    count: usize,
) -> Result<(Headers, Option<u64>), Refusal> {
    let mut headers = Headers::with_capacity(count, count * 32);
    let mut content_length = None;
    for (name, value) in fields {
        match HeaderId::of(name) {
            HeaderId::Host | HeaderId::Cookie | HeaderId::Expect => {}
            HeaderId::ContentLength => {
                let length = digits(value).ok_or(Refusal::ContentLength)?;
                if content_length.replace(length).is_some() {
                    return Err(Refusal::ContentLength);
                }
            }
            HeaderId::Connection
            | HeaderId::KeepAlive
            | HeaderId::ProxyConnection
            | HeaderId::TransferEncoding
            | HeaderId::Upgrade => return Err(Refusal::ConnectionField),
            id if id.is_hop_by_hop() => {}
            HeaderId::Other if is_disguised(name) => return Err(Refusal::ConnectionField),
            _ => headers.append(name, value),
        }
    }
    Ok((headers, content_length))
}

fn digits(value: &[u8]) -> Option<u64> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value)
        .ok()
        .filter(|_| is_number)?
        .parse()
        .ok()
}

/// RFC 9113 section 8.2.3, RFC 9114 section 4.2.1: crumbs become one field again before they leave.
fn join_cookies<'a>(headers: &mut Headers, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    let crumbs = fields.filter(|(name, _)| *name == b"cookie");
    // No memory is taken where there is none.
    let crumbs: Vec<&[u8]> = crumbs.map(|(_, value)| value).collect();
    if !crumbs.is_empty() {
        headers.append_known(HeaderId::Cookie, &crumbs.join(&b"; "[..]));
    }
}

/// Received trailers without what belongs to framing or a connection.
pub fn trailers<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in fields {
        let id = HeaderId::of(name);
        let is_framing =
            matches!(id, HeaderId::ContentLength | HeaderId::Host) || is_disguised(name);
        if !is_framing && !id.is_hop_by_hop() {
            headers.append(name, value);
        }
    }
    headers
}

/// Fields to send, all but those that belong to a connection or to framing: which, name, value.
pub fn to_send(headers: &Headers) -> impl Iterator<Item = (HeaderId, &[u8], &[u8])> {
    headers.iter().filter(|(id, _, _)| {
        let is_framing = matches!(id, HeaderId::ContentLength | HeaderId::Host);
        !is_framing && !id.is_hop_by_hop()
    })
}

/// Whether a field is kept out of the tables that compression shares (RFC 7541 section 7.1.3, RFC
/// 9204 section 7.1.3).
#[must_use]
pub const fn is_sensitive(id: HeaderId) -> bool {
    matches!(
        id,
        HeaderId::Authorization | HeaderId::Cookie | HeaderId::SetCookie | HeaderId::XApiKey
    )
}

/// The Content-Length to send along with a response's head, if any.
#[must_use]
pub fn response_length(
    status: u16,
    headers: &Headers,
    body: &Body,
    answers_head: bool,
) -> Option<u64> {
    match body {
        Body::Empty if answers_head || status == 304 => {
            headers.get_str(HeaderId::ContentLength)?.parse().ok()
        }
        Body::Empty => None,
        body => body.length(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)]) -> Result<(RequestHead, Option<u64>), Refusal> {
        let pseudo = Pseudo {
            method: b"GET",
            authority: Some(b"a.example"),
            path: "/x?y",
            protocol: None,
        };
        let fields = || fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
        request(Version::Http3, pseudo, fields, 8)
    }

    #[test]
    fn a_request_becomes_our_shape() {
        let read = read(&[
            ("cookie", "a=1"),
            ("x-a", "1"),
            ("cookie", "b=2"),
            ("host", "A.example"),
            ("te", "trailers"),
            ("content-length", "5"),
        ]);
        let (head, length) = read.expect("served");
        let fields: Vec<_> = head.headers.iter().map(|(_, n, v)| (n, v)).collect();
        assert_eq!(fields, [(&b"x-a"[..], &b"1"[..]), (b"cookie", b"a=1; b=2")]);
        assert_eq!((length, head.version), (Some(5), Version::Http3));
    }

    #[test]
    fn what_an_http1_peer_could_misread_is_refused() {
        for (fields, refusal) in [
            (
                &[("host", "b.example")][..],
                Some(Refusal::AuthorityMismatch),
            ),
            (
                &[("host", "a.example"), ("host", "a.example")],
                Some(Refusal::AuthorityMismatch),
            ),
            (
                &[("transfer-encoding", "chunked")],
                Some(Refusal::ConnectionField),
            ),
            (
                &[("transfer_encoding", "chunked")],
                Some(Refusal::ConnectionField),
            ),
            (&[("connection", "x")], Some(Refusal::ConnectionField)),
            (&[("x-a", " a")], Some(Refusal::PaddedValue)),
            (&[("content-length", "+5")], Some(Refusal::ContentLength)),
            (
                &[("content-length", "5"), ("content-length", "5")],
                Some(Refusal::ContentLength),
            ),
            (&[("x-a", "a"); 9], Some(Refusal::TooManyFields)),
            (&[("x-a", "a"); 8], None),
        ] {
            assert_eq!(read(fields).err(), refusal, "{fields:?}");
        }
    }
}
