//! Upstreams and callers that misbehave.

use crate::support::{
    Gateway, Upstream, connect, eventually, ok, plain, read_answer, read_request,
};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// Sends a GET to an upstream that answers every request with these bytes and then closes.
fn answer_to(bytes: &'static [u8]) -> crate::support::Answer {
    let upstream = Upstream::raw(move |mut stream, _| {
        read_request(&mut stream);
        let _ = stream.write_all(bytes);
    });
    let gateway = Gateway::start(&plain(upstream.address, "retry: { attempts: 0 }"));
    gateway.get("/")
}

#[test]
fn answers_that_are_not_valid_become_502() {
    for bytes in [
        &b"garbage\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\nb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nhalf a hea",
        b"",
    ] {
        let answer = answer_to(bytes);
        assert_eq!(answer.status, 502, "{:?}", String::from_utf8_lossy(bytes));
        assert!(
            !answer.text().contains("127.0.0.1"),
            "internals stay inside: {}",
            answer.text()
        );
    }
}

#[test]
fn an_endless_head_is_cut_off() {
    let upstream = Upstream::raw(|mut stream, _| {
        read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        for n in 0..100_000 {
            if stream
                .write_all(format!("x-{n}: endless\r\n").as_bytes())
                .is_err()
            {
                return;
            }
        }
    });
    let gateway = Gateway::start(&plain(upstream.address, "retry: { attempts: 0 }"));
    assert_eq!(gateway.get("/").status, 502);
}

#[test]
fn a_body_that_ends_early_is_not_passed_off_as_whole() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirs\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirs\n\r\nxyz\r\n",
    ] {
        let answer = answer_to(bytes);
        assert_eq!(answer.status, 200);
        assert!(
            !answer.complete,
            "{:?} looked complete",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn a_refusing_upstream_is_502_and_names_itself_to_the_operator_only() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let gateway = Gateway::start(&plain(nobody, ""));
    let answer = gateway.get("/");
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("upstream_unreachable"));
    assert!(!answer.text().contains(&nobody.port().to_string()));
}

#[test]
fn ambiguous_requests_are_refused_and_never_forwarded() {
    let upstream = Upstream::http(|_, _| ok("forwarded"));
    let gateway = Gateway::start(&plain(upstream.address, ""));
    for request in [
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: a\nb\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let mut stream = gateway.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let answer = read_answer(&mut stream);
        assert!(
            (400..=501).contains(&answer.status),
            "{request:?}: {}",
            answer.status
        );
        assert_eq!(answer.header("connection"), Some("close"), "{request:?}");
        assert_eq!(
            stream.read(&mut [0; 1]).unwrap_or(0),
            0,
            "{request:?}: the connection ends"
        );
    }
    assert_eq!(upstream.accepted(), 0);
    assert!(gateway.metrics().contains("ambiguous_framing"));
}

#[test]
fn limits_have_their_own_answers() {
    let upstream = Upstream::http(|_, body| ok(&body.len().to_string()));
    let yaml = plain(upstream.address, "").replace(
        "address: '127.0.0.1:0'",
        "address: '127.0.0.1:0', limits: { head: 2KiB, headers: 10, body: 1KiB, head_time: 300ms }",
    );
    let gateway = Gateway::start(&yaml);
    let head = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "y".repeat(3000)
    );
    assert_eq!(gateway.send(&head).status, 431);
    let fields: String = (0..20).map(|n| format!("x-{n}: 1\r\n")).collect();
    assert_eq!(
        gateway
            .send(&format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"))
            .status,
        431
    );
    let announced = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2000\r\n\r\n{}",
        "b".repeat(2000)
    );
    assert_eq!(gateway.send(&announced).status, 413);
    let chunk = "b".repeat(1500);
    let chunked = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5dc\r\n{chunk}\r\n0\r\n\r\n"
    );
    assert_eq!(gateway.send(&chunked).status, 413);
    let mut slow = gateway.connect();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n").unwrap();
    let started = Instant::now();
    assert_eq!(read_answer(&mut slow).status, 408);
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_caller_that_does_not_read_is_cut_off() {
    let upstream = Upstream::raw(|mut stream, _| {
        read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n");
        let block = vec![b'x'; 65536];
        while stream.write_all(&block).is_ok() {}
    });
    let yaml = plain(upstream.address, "").replace(
        "address: '127.0.0.1:0'",
        "address: '127.0.0.1:0', limits: { write_time: 300ms }",
    );
    let gateway = Gateway::start(&yaml);
    let mut stream = connect(gateway.address());
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    eventually("the slow caller is cut off", || {
        gateway.metrics().contains("outcome=\"client_closed\"")
            || gateway.metrics().contains("client_closed")
    });
}

#[test]
fn connections_beyond_the_limit_are_closed() {
    let upstream = Upstream::http(|_, _| ok("x"));
    let yaml = plain(upstream.address, "").replace(
        "address: '127.0.0.1:0'",
        "address: '127.0.0.1:0', limits: { connections: 2 }",
    );
    let gateway = Gateway::start(&yaml);
    let mut held: Vec<_> = (0..2).map(|_| gateway.connect()).collect();
    for stream in &mut held {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
        assert_eq!(read_answer(stream).status, 200);
    }
    let mut third = gateway.connect();
    assert_eq!(third.read(&mut [0; 1]).unwrap_or(0), 0);
    drop(held);
    eventually("places are given back", || gateway.get("/").status == 200);
}
