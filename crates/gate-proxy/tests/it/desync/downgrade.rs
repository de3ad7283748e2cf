//! HTTP/2 requests that would become two requests, or another one, when they are written as
//! HTTP/1.1 (PortSwigger, "HTTP/2: the sequel is always worse", 2021).

use crate::raw2::{self, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, block, frame};
use std::net::TcpStream;

/// One request in frames, with its name.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) frames: Vec<u8>,
}

type Fields<'a> = Vec<(&'a [u8], &'a [u8])>;

const SMUGGLED: &[u8] = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

fn plain<'a>() -> Fields<'a> {
    vec![
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/"),
        (b":authority", b"a"),
    ]
}

/// The plain request with one pseudo field of another value.
fn with<'a>(name: &'a [u8], value: &'a [u8]) -> Fields<'a> {
    let mut fields = plain();
    let known = fields
        .iter()
        .position(|(known, _)| *known == name)
        .expect("a pseudo field");
    fields[known].1 = value;
    fields
}

/// The plain request with one field more.
fn and<'a>(name: &'a [u8], value: &'a [u8]) -> Fields<'a> {
    let mut fields = plain();
    fields.push((name, value));
    fields
}

fn case(name: &str, fields: &Fields<'_>, body: &[u8]) -> Case {
    let head = frame(HEADERS, END_HEADERS, 1, &block(fields));
    let body = frame(DATA, END_STREAM, 1, body);
    let name = format!("h2: {}", name.escape_debug());
    Case {
        name,
        frames: [head, body].concat(),
    }
}

/// Every case.
pub(super) fn all() -> Vec<Case> {
    let mut all = injections();
    all.extend(lengths());
    all.extend(shapes());
    all.extend(trailers());
    all
}

/// Line ends, separators and other bytes where HTTP/1.1 gives them a meaning.
fn injections() -> Vec<Case> {
    let mut all = Vec::new();
    for odd in ["\r\n", "\n", "\r", "\0", "\u{b}", " ", "\t", "\u{7f}"] {
        for (name, tail) in [
            (":method", "GET / HTTP/1.1XHost: aXXGET /smuggled"),
            (":path", "/ HTTP/1.1XHost: aXXGET /smuggledX"),
            (":authority", "aXX: y"),
            (":scheme", "http://a/X"),
        ] {
            let value = tail.replace('X', odd);
            all.push(case(
                &format!("{name} {odd}"),
                &with(name.as_bytes(), value.as_bytes()),
                b"",
            ));
        }
        let value = format!("y{odd}transfer-encoding: chunked{odd}");
        all.push(case(
            &format!("value {odd}"),
            &and(b"x", value.as_bytes()),
            SMUGGLED,
        ));
        let name = format!("x: y{odd}transfer-encoding");
        all.push(case(
            &format!("name {odd}"),
            &and(name.as_bytes(), b"chunked"),
            SMUGGLED,
        ));
    }
    for name in [
        "X-Upper",
        "a:b",
        "a b",
        "",
        "\u{e9}",
        "a(",
        "transfer_encoding",
        "content_length",
    ] {
        all.push(case(
            &format!("name {name}"),
            &and(name.as_bytes(), b"1"),
            b"",
        ));
    }
    all
}

/// Lengths that say something else than the frames do.
fn lengths() -> Vec<Case> {
    let mut all = Vec::new();
    for value in [
        "0",
        "1",
        "6",
        "+5",
        "5,5",
        "-1",
        "0x5",
        " 5",
        "5 ",
        "",
        "five",
        "99999999999999999999",
    ] {
        let name = format!("content-length {value}");
        all.push(case(
            &name,
            &and(b"content-length", value.as_bytes()),
            b"abcde",
        ));
    }
    let mut twice = and(b"content-length", b"5");
    twice.push((b"content-length", b"0"));
    all.push(case("content-length twice", &twice, b"abcde"));
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("connection", "transfer-encoding"),
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("upgrade", "h2c"),
        ("te", "chunked"),
    ] {
        let fields = and(name.as_bytes(), value.as_bytes());
        all.push(case(&format!("{name} {value}"), &fields, SMUGGLED));
    }
    all
}

/// Pseudo fields that are missing, repeated, unknown or late.
fn shapes() -> Vec<Case> {
    let mut all = Vec::new();
    for missing in 0..3 {
        let mut fields = plain();
        let (name, _) = fields.remove(missing);
        all.push(case(
            &format!("no {}", String::from_utf8_lossy(name)),
            &fields,
            b"",
        ));
    }
    for (name, value) in [
        (":method", "GET"),
        (":path", "/smuggled"),
        (":authority", "b"),
        (":scheme", "https"),
        (":status", "200"),
        (":odd", "x"),
        ("host", "b"),
    ] {
        all.push(case(
            &format!("also {name}"),
            &and(name.as_bytes(), value.as_bytes()),
            b"",
        ));
    }
    let mut late = plain();
    late.rotate_left(1);
    late.insert(3, (b"x", b"y"));
    all.push(case("a pseudo field behind a field", &late, b""));
    for path in ["", "a", "//\\", "/#a", "/\u{e9}", "http://b/", "*a"] {
        all.push(case(
            &format!("path {path}"),
            &with(b":path", path.as_bytes()),
            b"",
        ));
    }
    for authority in ["", "a b", "u@a", "a/b", "a:b", "a, b", "a\\b"] {
        let fields = with(b":authority", authority.as_bytes());
        all.push(case(&format!("authority {authority}"), &fields, b""));
    }
    all.push(case("connect", &with(b":method", b"CONNECT"), b""));
    all
}

/// Trailers that HTTP/2 forbids.
fn trailers() -> Vec<Case> {
    let head = frame(HEADERS, END_HEADERS, 1, &block(&plain()));
    let body = frame(DATA, 0, 1, b"abcde");
    let forbidden = [
        (":path", "/smuggled"),
        ("X-Upper", "y"),
        ("x", "y\r\nz: 1"),
        ("connection", "close"),
    ];
    forbidden
        .iter()
        .map(|field| {
            let trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[*field]));
            Case {
                name: format!("h2: trailer {}", field.0),
                frames: [head.clone(), body.clone(), trailers].concat(),
            }
        })
        .collect()
}

/// Waits until the request has been answered or refused, whichever way.
pub(super) fn settled(stream: &mut TcpStream) {
    while let Some(got) = raw2::read(stream) {
        let of_it = got.stream == 1 && (got.kind == HEADERS || got.kind == RST_STREAM);
        if got.kind == GOAWAY || of_it {
            return;
        }
    }
}
