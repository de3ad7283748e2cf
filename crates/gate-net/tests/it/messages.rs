//! Streams of requests: read by our codec as a server would, and generated, valid and hostile.

use gate_kit::http::{HeaderId, Headers, Method};
use gate_net::http1::{BodyDecoder, BodyFraming, Limits, ParseError, parse_request};
use proptest::prelude::*;

/// One request as its reader understood it; fields that belong to one hop are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) authority: String,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// How reading a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Every byte belonged to a complete message, or the connection was to be closed.
    Clean,
    /// The stream ended within a message.
    Truncated,
    /// A message was refused.
    Refused(ParseError),
}

/// Reads a whole stream; the last request may lack its body's rest, and then is not among them.
pub(crate) fn read_stream(bytes: &[u8]) -> (Vec<Seen>, Ending) {
    let mut seen = Vec::new();
    let mut rest = bytes.to_vec();
    while !rest.is_empty() {
        let parsed = match parse_request(&rest, &Limits::default()) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return (seen, Ending::Truncated),
            Err(error) => return (seen, Ending::Refused(error)),
        };
        rest.drain(..parsed.consumed);
        let mut decoder = BodyDecoder::new(parsed.framing);
        let decoded = match decoder.decode(&mut rest) {
            Ok(decoded) => decoded,
            Err(error) => return (seen, Ending::Refused(error)),
        };
        if !decoded.end {
            return (seen, Ending::Truncated);
        }
        let head = &parsed.head;
        seen.push(Seen {
            method: head.method.to_string(),
            target: head.target.clone(),
            authority: head.authority.clone(),
            fields: end_to_end(&head.headers),
            body: rest[..decoded.data].to_vec(),
        });
        rest.drain(..decoded.consumed);
        let leaves = head.method == Method::Connect || head.upgrade.is_some();
        if !parsed.keep_alive || leaves {
            return (seen, Ending::Clean);
        }
        assert!(matches!(
            parsed.framing,
            BodyFraming::None | BodyFraming::Length(_) | BodyFraming::Chunked
        ));
    }
    (seen, Ending::Clean)
}

/// Fields in one order for comparison; TE is left to this hop.
fn end_to_end(headers: &Headers) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<_> = headers
        .iter()
        .filter(|(id, ..)| *id != HeaderId::Te)
        .map(|(_, name, value)| (String::from_utf8_lossy(name).to_lowercase(), value.to_vec()))
        .collect();
    fields.sort();
    fields
}

/// Mostly `good`, sometimes one of `bad`.
fn mostly(
    good: &'static [&'static str],
    bad: &'static [&'static str],
) -> impl Strategy<Value = &'static str> {
    prop_oneof![
        40 => prop::sample::select(good),
        1 => prop::sample::select(bad),
    ]
}

fn line() -> impl Strategy<Value = String> {
    let good = &[
        "Accept: */*",
        "X-A: b",
        "x-a:c",
        "X-B:   spaced  \t",
        "X-C:",
        "Cookie: a=b; c=d",
        "TE: trailers",
        "X-Named: 1",
        "User-Agent: caf\u{e9}",
        "X-Colons: a:b:c",
        "Content-Type: text/plain",
        "Range: bytes=0-1",
        "Connection: keep-alive",
        "Connection: X-Named",
        "Keep-Alive: timeout=5",
        "x!#$%&'*+.^_`|~: y",
    ];
    let bad = &[
        "X : y",
        "X",
        ": y",
        " X: y",
        "\tX: y",
        "X: a\0b",
        "X: a\rb",
        "X: a\nb",
        "X\u{e9}: a",
        "X: \u{7f}",
        "Host: b",
        "Host:",
        "Content-Length: 3",
        "Content-Length: +3",
        "Content-Length: 3, 3",
        "Content-Length:",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: \u{b}chunked",
        "Content-Length: 0x3",
        "Content-Length: 18446744073709551619",
        "Transfer-Encoding:\tchunked",
        "Upgrade: a",
    ];
    mostly(good, bad).prop_map(str::to_owned)
}

fn body() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop_oneof![
        8 => prop::sample::select(&[
            ("", ""),
            ("Content-Length: 0\r\n", ""),
            ("Content-Length: 5\r\n", "hello"),
            ("content-length:005\r\n", "G / H"),
            ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
            ("Transfer-Encoding: Chunked\r\n", "A;x=y\r\n0123456789\r\n1\r\nz\r\n000\r\nX-T: 1\r\n\r\n"),
            ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ][..]),
        1 => prop::sample::select(&[
            ("Transfer-Encoding: chunked\r\n", "5 \r\nhello\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked\r\n", "5\nhello\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked\r\n", "5\r\nhelloX0\r\n\r\n"),
            ("Transfer-Encoding: chunked\r\n", "0x5\r\nhello\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked\r\n", "5;\n\r\nhello\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked\r\n", "0\r\nContent-Length: 5\r\n\r\n"),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
            ("Content-Length: 5\r\nContent-Length: 0\r\n", "hello"),
        ][..]),
    ]
}

/// One request of good and, sometimes, bad parts.
fn request() -> impl Strategy<Value = Vec<u8>> {
    (
        mostly(
            &["GET", "POST", "PUT", "PURGE", "OPTIONS", "HEAD"],
            &["G T", "", "GE\tT", "G\u{e9}", "\r\nGET"],
        ),
        mostly(
            &[
                "/",
                "/a/b?c=d",
                "/a%20b",
                "//a",
                "/?",
                "/a?b?c",
                "/%zz",
                "/[a]|{b}^\\",
                "/a?`",
                "http://b/x?y",
                "http://b",
                "/a:b@c;d,e",
            ],
            &[
                "",
                "a",
                "/a b",
                "/a#b",
                "/\u{e9}",
                "*",
                "/\0",
                "/\"",
                "/<>",
                "ftp://a/",
                "http://u@b/",
                "b:80",
                "/`",
            ],
        ),
        mostly(
            &["HTTP/1.1"],
            &[
                "HTTP/1.0",
                "HTTP/1.2",
                "http/1.1",
                "HTTP/1.1 ",
                "HTTP/2.0",
                "",
                "HTTP/1.10",
            ],
        ),
        mostly(
            &["Host: a\r\n", "host:a.example:80\r\n"],
            &["", "Host: a\r\nHost: a\r\n", "Host: a b\r\n", "Host:\r\n"],
        ),
        prop::collection::vec(
            (line(), mostly(&["\r\n"], &["\n", "\r", "\r\r\n", "\r\n "])),
            0..5,
        ),
        body(),
    )
        .prop_map(|(method, target, version, host, lines, (framing, body))| {
            let mut text = format!("{method} {target} {version}\r\n{host}");
            for (line, end) in lines {
                text.push_str(&line);
                text.push_str(end);
            }
            text.push_str(framing);
            text.push_str("\r\n");
            text.push_str(body);
            text.into_bytes()
        })
}

/// Some requests in a row, sometimes with one byte changed, inserted or removed.
pub(crate) fn stream() -> impl Strategy<Value = Vec<u8>> {
    let change = (0..3u8, any::<prop::sample::Index>(), any::<u8>());
    (
        prop::collection::vec(request(), 1..4),
        prop::option::weighted(0.3, change),
    )
        .prop_map(|(requests, change)| {
            let mut bytes = requests.concat();
            if let Some((kind, position, byte)) = change {
                let position = position.index(bytes.len());
                match kind {
                    0 => bytes[position] = byte,
                    1 => bytes.insert(position, byte),
                    _ => drop(bytes.remove(position)),
                }
            }
            bytes
        })
}
