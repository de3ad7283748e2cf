//! Heads as written, as tables, and read back by our own reader.

use super::super::{Limits, parse_request, parse_response};
use super::*;
use proptest::prelude::*;

fn request(method: Method, fields: &[(&str, &str)]) -> RequestHead {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.append(name.as_bytes(), value.as_bytes());
    }
    RequestHead {
        method,
        authority: "a:1".into(),
        target: "/p?q".into(),
        version: Version::Http11,
        headers,
        upgrade: None,
    }
}

fn written(head: &RequestHead, framing: OutgoingFraming<'_>, keep_alive: bool) -> (String, Sent) {
    let mut out = Vec::new();
    let sent = encode_request_head(&mut out, head, framing, keep_alive).unwrap();
    (String::from_utf8(out).unwrap(), sent)
}

#[test]
fn request_framing_and_connection() {
    use OutgoingFraming as F;
    let te = [("TE", "trailers")];
    for (method, fields, framing, keep_alive, tail) in [
        (Method::Get, &[][..], F::None, true, ""),
        (Method::Post, &[], F::None, true, "content-length: 0\r\n"),
        (
            Method::Post,
            &[],
            F::Length(12),
            true,
            "content-length: 12\r\n",
        ),
        (
            Method::Get,
            &[],
            F::Length(0),
            true,
            "content-length: 0\r\n",
        ),
        (
            Method::Post,
            &[],
            F::Chunked,
            true,
            "transfer-encoding: chunked\r\n",
        ),
        (
            Method::Post,
            &[],
            F::UntilClose,
            false,
            "transfer-encoding: chunked\r\nconnection: close\r\n",
        ),
        (Method::Get, &[], F::None, false, "connection: close\r\n"),
        (
            Method::Get,
            &te,
            F::None,
            true,
            "te: trailers\r\nconnection: te\r\n",
        ),
        (
            Method::Get,
            &te,
            F::None,
            false,
            "te: trailers\r\nconnection: close, te\r\n",
        ),
        (
            Method::Get,
            &[],
            F::Upgrade("websocket"),
            true,
            "upgrade: websocket\r\nconnection: upgrade\r\n",
        ),
    ] {
        let (text, _) = written(&request(method.clone(), fields), framing, keep_alive);
        assert_eq!(
            text,
            format!("{method} /p?q HTTP/1.1\r\nhost: a:1\r\n{tail}\r\n")
        );
    }
    let (text, sent) = written(&request(Method::Connect, &[]), F::Chunked, true);
    assert_eq!(text, "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n");
    assert_eq!(sent.framing, BodyFraming::None);
}

#[test]
fn fields_of_one_hop_never_leave() {
    let head = request(
        Method::Get,
        &[
            ("Connection", "x"),
            ("Keep-Alive", "x"),
            ("Transfer-Encoding", "x"),
            ("Content-Length", "9"),
            ("Host", "b"),
            ("X-Kept", "1"),
            ("Upgrade", "x"),
            ("TE", "gzip"),
            ("Proxy-Authorization", "x"),
        ],
    );
    let (text, _) = written(&head, OutgoingFraming::None, true);
    assert_eq!(text, "GET /p?q HTTP/1.1\r\nhost: a:1\r\nX-Kept: 1\r\n\r\n");
}

#[test]
fn a_line_is_never_split() {
    for (target, authority) in [
        ("/a b", "a"),
        ("/\r\nX: y", "a"),
        ("", "a"),
        ("/", "a\r\nX: y"),
        ("/\u{e9}", "a"),
    ] {
        let mut head = request(Method::Get, &[]);
        (head.target, head.authority) = (target.into(), authority.into());
        let result = encode_request_head(&mut Vec::new(), &head, OutgoingFraming::None, true);
        assert_eq!(result, Err(EncodeError), "{target:?} {authority:?}");
    }
    let framing = OutgoingFraming::Upgrade("a\r\nX: y");
    let head = request(Method::Get, &[]);
    assert_eq!(
        encode_request_head(&mut Vec::new(), &head, framing, true),
        Err(EncodeError)
    );
}

#[test]
fn response_framing_and_connection() {
    use BodyFraming as B;
    use OutgoingFraming as F;
    use Version::{Http10, Http11};
    let (get, head, connect) = (Method::Get, Method::Head, Method::Connect);
    for (status, method, version, framing, keep, tail, sent) in [
        (
            200,
            &get,
            Http11,
            F::Length(3),
            true,
            "content-length: 3\r\n",
            (B::Length(3), true),
        ),
        (
            200,
            &get,
            Http11,
            F::None,
            true,
            "content-length: 0\r\n",
            (B::None, true),
        ),
        (
            200,
            &get,
            Http11,
            F::Chunked,
            true,
            "transfer-encoding: chunked\r\n",
            (B::Chunked, true),
        ),
        (
            200,
            &get,
            Http11,
            F::Chunked,
            false,
            "transfer-encoding: chunked\r\nconnection: close\r\n",
            (B::Chunked, false),
        ),
        (
            200,
            &get,
            Http11,
            F::UntilClose,
            true,
            "connection: close\r\n",
            (B::UntilClose, false),
        ),
        (
            200,
            &get,
            Http10,
            F::Chunked,
            true,
            "connection: close\r\n",
            (B::UntilClose, false),
        ),
        (
            200,
            &get,
            Http10,
            F::Length(3),
            true,
            "content-length: 3\r\nconnection: keep-alive\r\n",
            (B::Length(3), true),
        ),
        (
            200,
            &get,
            Http10,
            F::Length(3),
            false,
            "content-length: 3\r\nconnection: close\r\n",
            (B::Length(3), false),
        ),
        (
            200,
            &head,
            Http11,
            F::Length(3),
            true,
            "content-length: 3\r\n",
            (B::None, true),
        ),
        (200, &head, Http11, F::Chunked, true, "", (B::None, true)),
        (200, &head, Http11, F::UntilClose, true, "", (B::None, true)),
        (
            304,
            &get,
            Http11,
            F::Length(3),
            true,
            "content-length: 3\r\n",
            (B::None, true),
        ),
        (304, &get, Http11, F::None, true, "", (B::None, true)),
        (204, &get, Http11, F::Length(3), true, "", (B::None, true)),
        (
            204,
            &get,
            Http11,
            F::Chunked,
            false,
            "connection: close\r\n",
            (B::None, false),
        ),
        (103, &get, Http11, F::None, false, "", (B::None, false)),
        (
            101,
            &get,
            Http11,
            F::Upgrade("websocket"),
            true,
            "upgrade: websocket\r\nconnection: upgrade\r\n",
            (B::Tunnel, false),
        ),
        (
            200,
            &connect,
            Http11,
            F::Length(3),
            true,
            "",
            (B::Tunnel, false),
        ),
        (
            407,
            &connect,
            Http11,
            F::Length(3),
            true,
            "content-length: 3\r\n",
            (B::Length(3), true),
        ),
    ] {
        let mut out = Vec::new();
        let response = ResponseHead {
            status,
            headers: Headers::new(),
        };
        let context = ResponseContext {
            version,
            keep_alive: keep,
            request_method: method,
        };
        let seen = encode_response_head(&mut out, &response, framing, context).unwrap();
        let expected = format!("HTTP/1.1 {status} {}\r\n{tail}\r\n", reason(status));
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{framing:?}");
        assert_eq!(
            (seen.framing, seen.keep_alive),
            sent,
            "{status} {framing:?}"
        );
    }
}

#[test]
fn the_length_that_upstream_told_for_head_is_told_on() {
    let mut headers = Headers::new();
    headers.append(b"Content-Length", b"77");
    let response = ResponseHead {
        status: 200,
        headers,
    };
    for (method, framing, expected) in [
        (
            Method::Head,
            OutgoingFraming::None,
            "HTTP/1.1 200 OK\r\ncontent-length: 77\r\n\r\n",
        ),
        (
            Method::Get,
            OutgoingFraming::None,
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ),
    ] {
        let mut out = Vec::new();
        let context = ResponseContext {
            version: Version::Http11,
            keep_alive: true,
            request_method: &method,
        };
        encode_response_head(&mut out, &response, framing, context).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn chunk_framing() {
    for (length, line) in [
        (1, "1\r\n"),
        (255, "ff\r\n"),
        (4096, "1000\r\n"),
        (u64::MAX, "ffffffffffffffff\r\n"),
    ] {
        let mut out = Vec::new();
        encode_chunk_prefix(&mut out, length);
        assert_eq!(String::from_utf8(out).unwrap(), line);
    }
    let mut trailers = Headers::new();
    trailers.append(b"grpc-status", b"0");
    trailers.append(b"content-length", b"5");
    let mut out = Vec::new();
    encode_last_chunk(&mut out, Some(&trailers));
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "0\r\ngrpc-status: 0\r\n\r\n"
    );
}

/// Fields that nobody treats specially, with values that need no trimming.
fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec(
        (
            "x-[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,12}",
            "([!-~]([ -~]{0,20}[!-~])?)?",
        ),
        0..8,
    )
}

fn pairs(headers: &Headers) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    headers.iter().map(|(_, n, v)| (text(n), text(v))).collect()
}

fn with_fields(fields: &[(String, String)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.append(name.as_bytes(), value.as_bytes());
    }
    headers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_survive_the_round_trip(
        method in "(GET|POST|DELETE|[A-Z]{3,9})",
        target in "/[a-z0-9/._~%\\[\\]-]{0,30}(\\?[a-z=&{}`?-]{0,20})?",
        fields in fields(),
        length in prop::option::of(0..1u64 << 50),
        keep_alive: bool,
        rest in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        prop_assume!(method != "CONNECT");
        let mut head = request(Method::from_bytes(method.as_bytes()).unwrap(), &[]);
        (head.target, head.headers) = (target, with_fields(&fields));
        let framing = length.map_or(OutgoingFraming::Chunked, OutgoingFraming::Length);
        let mut out = Vec::new();
        let sent = encode_request_head(&mut out, &head, framing, keep_alive).unwrap();
        let length = out.len();
        out.extend_from_slice(&rest);
        let parsed = parse_request(&out, &Limits::default()).unwrap().unwrap();
        prop_assert_eq!(parsed.consumed, length);
        prop_assert_eq!((parsed.framing, parsed.keep_alive), (sent.framing, keep_alive));
        prop_assert_eq!(&parsed.head.method, &head.method);
        prop_assert_eq!(&parsed.head.target, &head.target);
        prop_assert_eq!(&parsed.head.authority, &head.authority);
        prop_assert_eq!(pairs(&parsed.head.headers), fields);
    }

    #[test]
    fn responses_survive_the_round_trip(
        status in 200..1000u16,
        fields in fields(),
        length in prop::option::of(0..1u64 << 50),
        keep_alive: bool,
    ) {
        let head = ResponseHead { status, headers: with_fields(&fields) };
        let framing = length.map_or(OutgoingFraming::Chunked, OutgoingFraming::Length);
        let context = ResponseContext { version: Version::Http11, keep_alive, request_method: &Method::Get };
        let mut out = Vec::new();
        let sent = encode_response_head(&mut out, &head, framing, context).unwrap();
        let mut parsed = parse_response(&out, &Method::Get, &Limits::default()).unwrap().unwrap();
        parsed.head.headers.remove(HeaderId::ContentLength);
        prop_assert_eq!(parsed.consumed, out.len());
        prop_assert_eq!((parsed.framing, parsed.keep_alive), (sent.framing, sent.keep_alive));
        prop_assert_eq!(parsed.head.status, status);
        prop_assert_eq!(pairs(&parsed.head.headers), fields);
    }
}
