//! Heads between the `http` crate's types and ours, in both directions.
//!
//! `h2` has already refused upper-case names, misplaced pseudo headers and connection-specific
//! fields (RFC 9113 section 8.2); what it lets through and an HTTP/1.1 peer could read differently
//! is refused here.

use base64::Engine as _;
use gate_kit::http::multiplexed::{self, Pseudo, Refusal};
use gate_kit::http::{
    Body, HeaderId, Headers, Method, Request, RequestHead, ResponseHead, Scheme, Version,
};
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// A received request's head and its Content-Length.
pub(super) fn request_in(
    parts: &http::request::Parts,
    fields_max: usize,
) -> Result<(RequestHead, Option<u64>), Refusal> {
    let protocol = parts.extensions.get::<h2::ext::Protocol>();
    let pseudo = Pseudo {
        method: parts.method.as_str().as_bytes(),
        authority: parts.uri.authority().map(|a| a.as_str().as_bytes()),
        path: parts.uri.path_and_query().map_or("/", |path| path.as_str()),
        protocol: protocol.map(h2::ext::Protocol::as_str),
    };
    let fields = || fields_of(&parts.headers);
    let (mut head, content_length) =
        multiplexed::request(Version::Http2, pseudo, fields, fields_max)?;
    if head.upgrade.as_deref() == Some("websocket")
        && head.headers.get_named(WEBSOCKET_KEY).is_none()
    {
        // HTTP/2 has no such key, and an HTTP/1.1 upstream wants one (RFC 8441 section 5).
        let nonce = gate_kit::random::bits().to_ne_bytes();
        let nonce = [nonce, gate_kit::random::bits().to_ne_bytes()].concat();
        let key = base64::engine::general_purpose::STANDARD.encode(nonce);
        head.headers
            .append(WEBSOCKET_KEY.as_bytes(), key.as_bytes());
    }
    Ok((head, content_length))
}

const WEBSOCKET_KEY: &str = "sec-websocket-key";
const WEBSOCKET_ACCEPT: &str = "sec-websocket-accept";

fn fields_of(map: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    map.iter()
        .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}

/// A received response's head and its Content-Length. `upgrade` is the request's.
pub(super) fn response_in(
    parts: &http::response::Parts,
    request: &Outgoing,
) -> Result<(ResponseHead, Option<u64>), Refusal> {
    let (mut headers, content_length) =
        multiplexed::end_to_end(fields_of(&parts.headers), parts.headers.len())?;
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
    multiplexed::trailers(fields_of(map))
}

/// Fields to send: all but those that belong to a connection or to framing.
pub(super) fn headers_out(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len() + 2);
    for (id, name, value) in multiplexed::to_send(headers) {
        let (Ok(name), Ok(mut value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        else {
            debug_assert!(false, "Headers hold only valid fields");
            continue;
        };
        value.set_sensitive(multiplexed::is_sensitive(id));
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
        let length = multiplexed::response_length(status, &head.headers, body, answers_head);
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
