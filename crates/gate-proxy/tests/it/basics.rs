//! What every request relies on: forwarding, framing, keep-alive, routing, interim responses,
//! upgrades, reload and drain.

use crate::support::{
    Gateway, Upstream, connect, eventually, ok, plain, read_answer, read_head, read_request,
};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

#[test]
fn a_request_goes_through_and_its_connections_are_kept() {
    let upstream = Upstream::http(|head, body| {
        ok(&format!(
            "{} {}",
            head.lines().next().unwrap(),
            String::from_utf8_lossy(body)
        ))
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let mut stream = gateway.connect();
    for n in 0..3 {
        let body = format!("body {n}");
        let request = format!(
            "POST /a/{n}?q=%41 HTTP/1.1\r\nHost: shop.example\r\nX-Custom: Kept\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let answer = read_answer(&mut stream);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.text(), format!("POST /a/{n}?q=%41 HTTP/1.1 {body}"));
    }
    assert_eq!(
        upstream.accepted(),
        1,
        "one upstream connection carries all three"
    );
    let page = gateway.metrics();
    assert!(
        page.contains("\ntidegate_upstream_connections_open 1\n"),
        "{page}"
    );
    let seen = upstream.last_seen();
    assert!(
        seen.contains("host: shop.example") || seen.contains("Host: shop.example"),
        "{seen}"
    );
    assert!(seen.contains("X-Custom: Kept"), "spelling survives: {seen}");
    assert!(seen.contains("x-forwarded-for: 127.0.0.1"), "{seen}");
}

#[test]
fn every_answer_is_dated_once() {
    const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    let upstream = Upstream::http(|head, _| match head.contains("/dated") {
        true => format!("HTTP/1.1 200 OK\r\nDate: {OLD}\r\ncontent-length: 0\r\n\r\n"),
        false => ok("x"),
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let dates = |request: &str| {
        let head = gateway.send(request).head;
        let named = head
            .lines()
            .filter(|l| l.to_ascii_lowercase().starts_with("date: "));
        named.map(|line| line[6..].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(dates("GET /dated HTTP/1.1\r\nhost: a\r\n\r\n"), [OLD]);
    for request in [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    ] {
        let dates = dates(request);
        assert_eq!(dates.len(), 1, "{request}");
        assert!(
            dates[0].ends_with(" GMT") && !dates[0].contains("1994"),
            "{dates:?}"
        );
    }
}

#[test]
fn hop_by_hop_fields_and_forged_forwarding_fields_stay_here() {
    let upstream = Upstream::http(|_, _| {
        "HTTP/1.1 200 OK\r\nconnection: x-secret\r\nx-secret: 1\r\nkeep-alive: timeout=5\r\ncontent-length: 0\r\n\r\n".into()
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let answer = gateway.send(
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: x-hop\r\nx-hop: 1\r\nte: gzip\r\nproxy-authorization: x\r\n\
         x-forwarded-for: 6.6.6.6\r\nx-real-ip: 6.6.6.6\r\nforwarded: for=6.6.6.6\r\n\r\n",
    );
    assert_eq!(answer.status, 200);
    assert!(answer.header("x-secret").is_none() && answer.header("keep-alive").is_none());
    let seen = upstream.last_seen();
    for gone in ["x-hop", "te:", "proxy-authorization", "6.6.6.6"] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::http(|head, _| ok(head.split(' ').nth(1).unwrap()));
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let mut stream = gateway.connect();
    let requests: String = (0..5)
        .map(|n| format!("GET /{n} HTTP/1.1\r\nhost: a\r\n\r\n"))
        .collect();
    stream.write_all(requests.as_bytes()).unwrap();
    for n in 0..5 {
        assert_eq!(read_answer(&mut stream).text(), format!("/{n}"));
    }
}

#[test]
fn a_head_request_keeps_the_length_it_describes() {
    let upstream = Upstream::http(|head, _| match head.starts_with("HEAD") {
        true => "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n".into(),
        false => ok("x"),
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let mut stream = gateway.connect();
    stream
        .write_all(b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    let head = read_head(&mut stream);
    assert!(head.contains("content-length: 1234"), "{head}");
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    assert_eq!(
        read_answer(&mut stream).text(),
        "x",
        "no body bytes were made up in between"
    );
}

#[test]
fn chunks_and_trailers_pass_both_ways() {
    let upstream = Upstream::http(|_, body| {
        let text = String::from_utf8_lossy(body);
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n{:x}\r\n{text}\r\n0\r\nx-sum: 7\r\n\r\n",
            text.len()
        )
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let answer = gateway.send(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab\n\r\n2\r\nc\n\r\n0\r\nx-end: 1\r\n\r\n",
    );
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "ab\nc\n[trailer x-end: 1][trailer x-sum: 7]");
}

#[test]
fn early_hints_reach_the_caller_before_the_answer() {
    let upstream = Upstream::raw(|mut stream, _| {
        read_request(&mut stream);
        stream
            .write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n")
            .unwrap();
        std::thread::sleep(Duration::from_millis(150));
        stream.write_all(ok("late").as_bytes()).unwrap();
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let mut stream = gateway.connect();
    let started = Instant::now();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    let hints = read_head(&mut stream);
    assert!(
        hints.starts_with("HTTP/1.1 103") && hints.contains("link: </a.css>"),
        "{hints}"
    );
    assert!(
        started.elapsed() < Duration::from_millis(120),
        "hints waited for the answer"
    );
    assert_eq!(read_answer(&mut stream).text(), "late");
}

#[test]
fn expect_continue_is_met_when_the_body_is_wanted() {
    let upstream = Upstream::http(|head, body| {
        assert!(!head.to_lowercase().contains("expect:"));
        ok(&String::from_utf8_lossy(body))
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let mut stream = gateway.connect();
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n",
        )
        .unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 100 "));
    stream.write_all(b"body").unwrap();
    assert_eq!(read_answer(&mut stream).text(), "body");
}

#[test]
fn an_upgrade_becomes_a_tunnel() {
    let upstream = Upstream::raw(|mut stream, _| {
        let (head, _) = read_request(&mut stream);
        assert!(head.to_lowercase().contains("upgrade: websocket"), "{head}");
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\nhello")
            .unwrap();
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes).unwrap();
        bytes.reverse();
        stream.write_all(&bytes).unwrap();
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let mut stream = gateway.connect();
    stream
        .write_all(b"GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: k\r\n\r\n")
        .unwrap();
    let head = read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.to_lowercase().contains("upgrade: websocket"), "{head}");
    let mut bytes = [0; 5];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    stream.write_all(b"abcde").unwrap();
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"edcba");
    assert_eq!(
        stream.read(&mut bytes).unwrap(),
        0,
        "the upstream's end reaches the caller"
    );
}

#[test]
fn routes_fixed_replies_and_unknown_paths() {
    let upstream = Upstream::http(|head, _| ok(head.split(' ').nth(1).unwrap()));
    let gateway = Gateway::start(&format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         upstreams: {{ up: {{ endpoints: ['{}'] }} }}\n\
         routes:\n  api: {{ match: {{ path: '/api/{{*rest}}' }}, target: {{ upstream: up }} }}\n  \
         teapot: {{ match: {{ path: /teapot, methods: [GET] }}, target: {{ fixed: {{ status: 418, headers: {{ x-tea: green }}, body: short }} }} }}\n",
        upstream.address
    ));
    assert_eq!(
        gateway.get("/api//x/../%7Ey").text(),
        "/api/~y",
        "matched as forwarded"
    );
    let teapot = gateway.get("/teapot");
    assert_eq!(
        (teapot.status, teapot.text(), teapot.header("x-tea")),
        (418, "short", Some("green"))
    );
    let missing = gateway.get("/none");
    assert_eq!(
        (missing.status, missing.header("content-type")),
        (404, Some("application/problem+json"))
    );
    assert!(missing.text().contains("\"code\":\"route_not_found\""));
    let other = gateway.send("DELETE /teapot HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(other.status, 405);
    assert_eq!(gateway.get("/api/%00").status, 400);
    assert_eq!(gateway.get("/../etc/passwd").status, 400);
    let metrics = gateway.metrics();
    assert!(metrics.contains("route=\"teapot\""), "{metrics}");
}

#[test]
fn a_reload_swaps_routes_and_a_bad_one_changes_nothing() {
    let fixed = |status: u16| {
        format!(
            "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
             routes: {{ all: {{ target: {{ fixed: {{ status: {status} }} }} }} }}\n"
        )
    };
    let gateway = Gateway::start(&fixed(201));
    let mut kept = gateway.connect();
    kept.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    assert_eq!(read_answer(&mut kept).status, 201);
    assert_eq!(gateway.reload(&fixed(202)).unwrap(), 2);
    kept.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    assert_eq!(
        read_answer(&mut kept).status,
        202,
        "the same connection sees the new revision"
    );
    let error = gateway.reload(&fixed(99)).unwrap_err().to_string();
    assert!(
        error.contains("test.yaml:3:") && error.contains("99 is no final status"),
        "{error}"
    );
    assert_eq!(gateway.get("/").status, 202);
    assert_eq!(gateway.process.shared().snapshot.load().revision, 2);
}

#[test]
fn a_drain_finishes_what_is_in_flight_and_closes_what_is_idle() {
    let upstream = Upstream::http(|_, _| {
        std::thread::sleep(Duration::from_millis(300));
        ok("slow")
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let address = gateway.address();
    let mut idle = gateway.connect();
    let mut busy = gateway.connect();
    busy.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    eventually("the request reached the upstream", || {
        upstream.seen.lock().unwrap().len() == 1
    });
    let process = gateway.process.clone();
    let drain = std::thread::spawn(move || process.drain(Duration::from_secs(5)));
    assert_eq!(
        idle.read(&mut [0; 8]).unwrap(),
        0,
        "an idle connection is closed"
    );
    let answer = read_answer(&mut busy);
    assert_eq!(
        (answer.text(), answer.header("connection")),
        ("slow", Some("close"))
    );
    drain.join().unwrap();
    assert!(
        std::net::TcpStream::connect(address).is_err(),
        "nothing accepts any more"
    );
}

#[test]
fn a_caller_who_leaves_cancels_the_upstream_within_100_ms() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let upstream = Upstream::raw(move |mut stream, _| {
        read_request(&mut stream);
        sender.send("asked").unwrap();
        // The read ends when the gateway closes its side.
        let _ = stream.read(&mut [0; 1]);
        sender.send("gone").unwrap();
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let mut stream = connect(gateway.address());
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    assert_eq!(receiver.recv_timeout(Duration::from_secs(5)), Ok("asked"));
    let left = Instant::now();
    drop(stream);
    assert_eq!(receiver.recv_timeout(Duration::from_secs(5)), Ok("gone"));
    assert!(
        left.elapsed() < Duration::from_millis(100),
        "{:?}",
        left.elapsed()
    );
    eventually("the record is made", || {
        gateway.metrics().contains("client_closed")
    });
}
