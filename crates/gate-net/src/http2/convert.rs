//! Heads between the `http` crate's types and ours, in both directions.
//!
//! `h2` has already refused upper-case names, misplaced pseudo headers and connection-specific
//! fields (RFC 9113 section 8.2); what it lets through and an HTTP/1.1 peer could read differently
//! is refused here.

use crate::http1::is_disguised;
use base64::Engine as _;
use gate_kit::http::{
    Body, HeaderId, Headers, Method, Request, RequestHead, ResponseHead, Scheme, Version,
};
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Why a request over HTTP/2 is not served; answer it with [`Refusal::status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Neither `:authority` nor Host.
    #[error("the request names no authority")]
    NoAuthority,
    /// `:authority` and Host differ (RFC 9113 section 8.3.1).
    #[error("`:authority` and Host differ")]
    AuthorityMismatch,
    /// The authority is no host and port.
    #[error("the authority is malformed")]
    Authority,
    /// `:path` is empty or holds what no URI may.
    #[error("`:path` is malformed")]
    Path,
    /// A field that HTTP/2 forbids.
    #[error("a connection-specific field was sent")]
    ConnectionField,
    /// A value begins or ends with white space (RFC 9113 section 8.2.1).
    #[error("a field's value begins or ends with white space")]
    PaddedValue,
    /// Content-Length is no number.
    #[error("Content-Length is malformed")]
    ContentLength,
    /// More fields than allowed.
    #[error("the request has too many fields")]
    TooManyFields,
    /// A CONNECT without `:protocol`: this is no forward proxy.
    #[error("plain CONNECT is not offered")]
    Connect,
    /// The method is no token.
    #[error("the method is malformed")]
    Method,
}

impl Refusal {
    /// The status that says so.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Refusal::TooManyFields => 431,
            Refusal::Connect => 501,
            _ => 400,
        }
    }
}

/// A received request's head and its Content-Length.
pub(super) fn request_in(
    parts: &http::request::Parts,
    fields_max: usize,
) -> Result<(RequestHead, Option<u64>), Refusal> {
    if parts.headers.len() > fields_max {
        return Err(Refusal::TooManyFields);
    }
    // `h2` lets these through; HTTP/1.1 upstreams would drop the padding, which none may.
    let is_padded = |value: &HeaderValue| value.as_bytes().trim_ascii() != value.as_bytes();
    if parts.headers.values().any(is_padded) {
        return Err(Refusal::PaddedValue);
    }
    let authority = authority_of(parts)?;
    let target = target_of(&parts.uri)?;
    let method = Method::from_bytes(parts.method.as_str().as_bytes()).ok_or(Refusal::Method)?;
    let protocol = parts.extensions.get::<h2::ext::Protocol>();
    let (method, upgrade) = match (method, protocol) {
        (Method::Connect, Some(protocol)) => (Method::Get, Some(protocol.as_str().into())),
        (Method::Connect, None) => return Err(Refusal::Connect),
        (method, _) => (method, None),
    };
    let (mut headers, content_length) = headers_in(&parts.headers)?;
    join_cookies(&mut headers, &parts.headers);
    if upgrade.as_deref() == Some("websocket") && headers.get_named(WEBSOCKET_KEY).is_none() {
        // HTTP/2 has no such key, and an HTTP/1.1 upstream wants one (RFC 8441 section 5).
        let nonce = gate_kit::random::bits().to_ne_bytes();
        let nonce = [nonce, gate_kit::random::bits().to_ne_bytes()].concat();
        let key = base64::engine::general_purpose::STANDARD.encode(nonce);
        headers.append(WEBSOCKET_KEY.as_bytes(), key.as_bytes());
    }
    let head = RequestHead {
        method,
        authority,
        target,
        version: Version::Http2,
        headers,
        upgrade,
    };
    Ok((head, content_length))
}

const WEBSOCKET_KEY: &str = "sec-websocket-key";
const WEBSOCKET_ACCEPT: &str = "sec-websocket-accept";

fn authority_of(parts: &http::request::Parts) -> Result<String, Refusal> {
    let mut hosts = parts.headers.get_all(http::header::HOST).iter();
    let host = hosts.next().map(HeaderValue::as_bytes);
    if hosts.next().is_some() {
        return Err(Refusal::AuthorityMismatch);
    }
    let named = parts.uri.authority().map(|a| a.as_str().as_bytes());
    let authority = match (named, host) {
        (Some(named), Some(host)) if !named.eq_ignore_ascii_case(host) => {
            return Err(Refusal::AuthorityMismatch);
        }
        (Some(named), _) => named,
        (None, Some(host)) => host,
        (None, None) => return Err(Refusal::NoAuthority),
    };
    if !crate::http1::is_valid_authority(authority) {
        return Err(Refusal::Authority);
    }
    String::from_utf8(authority.to_vec()).map_err(|_| Refusal::Authority)
}

fn target_of(uri: &http::Uri) -> Result<String, Refusal> {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let plausible = target.bytes().all(|byte| byte.is_ascii_graphic());
    if plausible && (target.starts_with('/') || target == "*") {
        Ok(target.to_owned())
    } else {
        Err(Refusal::Path)
    }
}

/// Every end-to-end field, and Content-Length apart. Host and cookies are the caller's to add.
fn headers_in(map: &HeaderMap) -> Result<(Headers, Option<u64>), Refusal> {
    let mut headers = Headers::with_capacity(map.len(), map.len() * 32);
    let mut content_length = None;
    for (name, value) in map {
        match HeaderId::of(name.as_str().as_bytes()) {
            HeaderId::Host | HeaderId::Cookie | HeaderId::Expect => {}
            HeaderId::ContentLength => {
                let text = value.to_str().map_err(|_| Refusal::ContentLength)?;
                if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(Refusal::ContentLength);
                }
                content_length = Some(text.parse().map_err(|_| Refusal::ContentLength)?);
            }
            HeaderId::Connection
            | HeaderId::KeepAlive
            | HeaderId::ProxyConnection
            | HeaderId::TransferEncoding
            | HeaderId::Upgrade => return Err(Refusal::ConnectionField),
            id if id.is_hop_by_hop() => {}
            HeaderId::Other if is_disguised(name.as_str().as_bytes()) => {
                return Err(Refusal::ConnectionField);
            }
            _ => headers.append(name.as_str().as_bytes(), value.as_bytes()),
        }
    }
    Ok((headers, content_length))
}

/// RFC 9113 section 8.2.3: crumbs become one field again before they leave HTTP/2.
fn join_cookies(headers: &mut Headers, map: &HeaderMap) {
    let mut crumbs = map.get_all(http::header::COOKIE).iter().peekable();
    if crumbs.peek().is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = crumbs.map(HeaderValue::as_bytes).collect();
    headers.append_known(HeaderId::Cookie, &crumbs.join(&b"; "[..]));
}

/// A received response's head and its Content-Length. `upgrade` is the request's.
pub(super) fn response_in(
    parts: &http::response::Parts,
    request: &Outgoing,
) -> Result<(ResponseHead, Option<u64>), Refusal> {
    let (mut headers, content_length) = headers_in(&parts.headers)?;
    let mut status = parts.status.as_u16();
    if request.upgrade && status == 200 {
        status = 101;
        if let Some(key) = &request.websocket_key {
            headers.append(
                WEBSOCKET_ACCEPT.as_bytes(),
                websocket_accept(key).as_bytes(),
            );
        }
    }
    if let (Some(length), true) = (content_length, request.head || status == 304) {
        // No body carries it then, so the field must (RFC 9110 section 8.6).
        let mut digits = itoa::Buffer::new();
        headers.append_known(HeaderId::ContentLength, digits.format(length).as_bytes());
    }
    Ok((ResponseHead { status, headers }, content_length))
}

/// RFC 6455 section 4.2.2.
fn websocket_accept(key: &[u8]) -> String {
    let mut input = key.to_vec();
    input.extend_from_slice(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &input);
    base64::engine::general_purpose::STANDARD.encode(digest.as_ref())
}

pub(super) fn trailers_in(map: &HeaderMap) -> Headers {
    let mut headers = Headers::with_capacity(map.len(), map.len() * 32);
    for (name, value) in map {
        let id = HeaderId::of(name.as_str().as_bytes());
        let is_framing = matches!(id, HeaderId::ContentLength | HeaderId::Host)
            || is_disguised(name.as_str().as_bytes());
        if !is_framing && !id.is_hop_by_hop() {
            headers.append(name.as_str().as_bytes(), value.as_bytes());
        }
    }
    headers
}

/// Fields to send: all but those that belong to a connection or to framing.
pub(super) fn headers_out(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len() + 2);
    for (id, name, value) in headers.iter() {
        let is_framing = matches!(id, HeaderId::ContentLength | HeaderId::Host);
        if is_framing || id.is_hop_by_hop() {
            continue;
        }
        let (Ok(name), Ok(mut value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        else {
            debug_assert!(false, "Headers hold only valid fields");
            continue;
        };
        // Credentials stay out of HPACK's shared table (RFC 7541 section 7.1.3).
        value.set_sensitive(matches!(
            id,
            HeaderId::Authorization | HeaderId::Cookie | HeaderId::SetCookie | HeaderId::XApiKey
        ));
        map.append(name, value);
    }
    map
}

/// A response's head to send. `answers_head`: the request was a HEAD.
pub(super) fn response_out(
    head: &ResponseHead,
    body: &Body,
    answers_head: bool,
) -> http::Response<()> {
    let mut map = headers_out(&head.headers);
    let mut status = head.status;
    if status == 101 {
        status = 200;
        map.remove(WEBSOCKET_ACCEPT);
    } else {
        let told = || head.headers.get_str(HeaderId::ContentLength)?.parse().ok();
        let length = match body {
            Body::Empty if answers_head || status == 304 => told(),
            Body::Empty => None,
            body => body.length(),
        };
        insert_length(&mut map, length);
    }
    let mut response = http::Response::new(());
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = map;
    response
}

fn insert_length(map: &mut HeaderMap, length: Option<u64>) {
    if let Some(length) = length {
        map.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// What is remembered of a request that was sent, to read its response.
pub(super) struct Outgoing {
    pub(super) head: bool,
    pub(super) upgrade: bool,
    websocket_key: Option<Vec<u8>>,
}

impl Outgoing {
    pub(super) fn of(head: &RequestHead) -> Self {
        let upgrade = head.upgrade.is_some();
        let key = head.headers.get_named(WEBSOCKET_KEY).filter(|_| upgrade);
        Self {
            head: head.method == Method::Head,
            upgrade,
            websocket_key: key.map(<[u8]>::to_vec),
        }
    }
}

/// A request's head to send; `None` when its parts make no URI.
pub(super) fn request_out(request: &Request, scheme: Scheme) -> Option<http::Request<()>> {
    let head = &request.head;
    let mut map = headers_out(&head.headers);
    let mut out = http::Request::new(());
    match &head.upgrade {
        Some(protocol) => {
            *out.method_mut() = http::Method::CONNECT;
            let protocol = h2::ext::Protocol::from(&**protocol);
            out.extensions_mut().insert(protocol);
            map.remove(WEBSOCKET_KEY);
        }
        None => {
            *out.method_mut() = http::Method::from_bytes(head.method.as_str().as_bytes()).ok()?;
            if !request.body.is_empty() {
                insert_length(&mut map, request.body.length());
            }
        }
    }
    let kind = head.headers.get(HeaderId::ContentType).unwrap_or_default();
    if kind.starts_with(b"application/grpc") {
        // gRPC servers use it to recognise proxies that lose trailers.
        map.insert(http::header::TE, HeaderValue::from_static("trailers"));
    }
    *out.uri_mut() = http::Uri::builder()
        .scheme(scheme.as_str())
        .authority(head.authority.as_str())
        .path_and_query(head.target.as_str())
        .build()
        .ok()?;
    *out.version_mut() = http::Version::HTTP_2;
    *out.headers_mut() = map;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        build: impl FnOnce(http::request::Builder) -> http::request::Builder,
    ) -> Result<RequestHead, Refusal> {
        let request = build(http::Request::builder().uri("https://a.example/x?y"));
        let (parts, ()) = request
            .body(())
            .expect("test requests are valid")
            .into_parts();
        request_in(&parts, 8).map(|(head, _)| head)
    }

    #[test]
    fn a_request_becomes_our_shape() {
        let head = read(|r| {
            r.header("cookie", "a=1")
                .header("x-a", "1")
                .header("cookie", "b=2")
                .header("host", "A.example")
                .header("te", "trailers")
                .header("content-length", "5")
        });
        let head = head.expect("served");
        assert_eq!(
            (head.authority.as_str(), head.target.as_str()),
            ("a.example", "/x?y")
        );
        let fields: Vec<_> = head.headers.iter().map(|(_, n, v)| (n, v)).collect();
        assert_eq!(fields, [(&b"x-a"[..], &b"1"[..]), (b"cookie", b"a=1; b=2")]);
    }

    #[test]
    fn what_an_http1_peer_could_misread_is_refused() {
        let of = |name: &'static str, value: &'static str| read(|r| r.header(name, value)).err();
        assert_eq!(of("host", "b.example"), Some(Refusal::AuthorityMismatch));
        assert_eq!(
            of("transfer-encoding", "chunked"),
            Some(Refusal::ConnectionField)
        );
        for padded in [" a", "a ", "\ta", "a\t", " "] {
            assert_eq!(of("x-a", padded), Some(Refusal::PaddedValue), "{padded:?}");
        }
        assert_eq!(of("connection", "x"), Some(Refusal::ConnectionField));
        assert_eq!(of("content-length", "+5"), Some(Refusal::ContentLength));
        assert_eq!(of("content-length", ""), Some(Refusal::ContentLength));
        assert_eq!(of("x-fine", "1"), None);
        assert_eq!(read(|r| r.method("CONNECT")).err(), Some(Refusal::Connect));
        assert_eq!(
            read(|r| r.uri("https://u@a/")).err(),
            Some(Refusal::Authority)
        );
        assert_eq!(read(|r| r.uri("/")).err(), Some(Refusal::NoAuthority));
        let many = read(|r| (0..9).fold(r, |r, n| r.header(format!("x-{n}"), "1")));
        assert_eq!(many.err(), Some(Refusal::TooManyFields));
    }

    #[test]
    fn the_accept_value_is_the_standards_example() {
        assert_eq!(
            websocket_accept(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }
}
