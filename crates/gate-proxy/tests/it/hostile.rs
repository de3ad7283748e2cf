//! Callers and upstreams that mean harm: slow peers, lying messages, resets, and crowds of idle
//! connections.

use crate::support::{
    Answer, Gateway, PATIENCE, Upstream, connect, eventually, ok, plain, read_answer, read_head,
    read_request,
};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Adds limits to the listener of a document.
fn with_limits(yaml: &str, limits: &str) -> String {
    let limited = format!("'127.0.0.1:0', limits: {{ {limits} }}");
    yaml.replace("'127.0.0.1:0'", &limited)
}

/// Waits for the gateway to give up on a caller and returns how long that took and what it said.
fn given_up(mut stream: TcpStream) -> (Duration, Answer) {
    let started = Instant::now();
    let answer = read_answer(&mut stream);
    assert_eq!(
        stream.read(&mut [0; 1]).unwrap_or(0),
        0,
        "the connection ends"
    );
    (started.elapsed(), answer)
}

#[test]
fn slow_callers_are_cut_at_the_limits() {
    let upstream = Upstream::http(|_, body| ok(&body.len().to_string()));
    let limits = "head_time: 300ms, body_time: 300ms, idle: 300ms";
    let gateway = Gateway::start(&with_limits(&plain(upstream.address, ""), limits));
    let drip = |start: &'static [u8], drop: &'static [u8]| {
        let mut writer = gateway.connect();
        let reader = writer.try_clone().unwrap();
        writer.write_all(start).unwrap();
        // Each drop comes long before the limit, so only a limit on the whole ends this.
        let dripping = std::thread::spawn(move || {
            let began = Instant::now();
            while began.elapsed() < PATIENCE && writer.write_all(drop).is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let result = given_up(reader);
        dripping.join().unwrap();
        result
    };
    let most = Duration::from_millis(2000);
    let (took, answer) = drip(b"GET / HTTP/1.1\r\nhost: a\r\n", b"x: 1\r\n");
    assert!(answer.status == 408 && took < most, "{took:?} {answer:?}");
    let (took, answer) = drip(
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n",
        b"x",
    );
    assert!(answer.status == 408 && took < most, "{took:?} {answer:?}");
    let (took, answer) = drip(
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
        b"1\r\nx\r\n",
    );
    assert!(answer.status == 408 && took < most, "{took:?} {answer:?}");
    // Idle connections end without a word.
    let mut idle = gateway.connect();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    assert_eq!(read_answer(&mut idle).status, 200);
    let (took, answer) = given_up(idle);
    assert!(answer.status == 0 && took < most, "{took:?} {answer:?}");
    let (took, _) = given_up(gateway.connect());
    assert!(took < most, "a connection that says nothing: {took:?}");
    eventually("nothing is left", || {
        gateway.process.shared().connections_of(0) == 0
    });
}

#[test]
fn a_caller_that_stops_reading_is_cut_and_its_upstream_let_go() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let upstream = Upstream::raw(move |mut stream, _| {
        read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n");
        let block = vec![b'x'; 65_536];
        while stream.write_all(&block).is_ok() {}
        let _ = sender.send(());
    });
    let yaml = with_limits(&plain(upstream.address, ""), "write_time: 300ms");
    let gateway = Gateway::start(&yaml);
    let mut stream = gateway.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    receiver
        .recv_timeout(PATIENCE)
        .expect("the upstream is let go");
    eventually("the record is made", || {
        gateway.metrics().contains("outcome=\"client_closed\"} 1")
    });
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < 1_000_000_000);
}

#[test]
fn limits_hold_at_their_edges() {
    let upstream = Upstream::http(|_, body| ok(&body.len().to_string()));
    let limits = "head: 1KiB, headers: 10, body: 1KiB";
    let gateway = Gateway::start(&with_limits(&plain(upstream.address, ""), limits));
    let head_of = |bytes: usize| {
        let frame = "GET / HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n".len();
        format!(
            "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
            "y".repeat(bytes - frame)
        )
    };
    assert_eq!(gateway.send(&head_of(1024)).status, 200);
    assert_eq!(gateway.send(&head_of(1025)).status, 431);
    let fields_of = |count: usize| {
        let fields: String = (1..count).map(|n| format!("x-{n}: 1\r\n")).collect();
        format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n")
    };
    assert_eq!(gateway.send(&fields_of(10)).status, 200);
    assert_eq!(gateway.send(&fields_of(11)).status, 431);
    let body_of = |bytes: usize| {
        format!(
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {bytes}\r\n\r\n{}",
            "b".repeat(bytes)
        )
    };
    assert_eq!(gateway.send(&body_of(1024)).text(), "1024");
    assert_eq!(gateway.send(&body_of(1025)).status, 413);
    let chunked_of = |bytes: usize| {
        format!(
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{bytes:x}\r\n{}\r\n0\r\n\r\n",
            "b".repeat(bytes)
        )
    };
    assert_eq!(gateway.send(&chunked_of(1024)).text(), "1024");
    assert_eq!(gateway.send(&chunked_of(1025)).status, 413);
}

#[test]
fn upstreams_that_lie_about_lengths_poison_nobody() {
    // More bytes than announced: they must not become the next caller's answer.
    let upstream = Upstream::raw(|mut stream, number| {
        loop {
            if read_request(&mut stream).0.is_empty() {
                return;
            }
            let forged = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged";
            let answer = format!("{}{forged}", ok(&format!("from {number}")));
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let mut stream = gateway.connect();
    for n in 0..5 {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
        assert_eq!(
            read_answer(&mut stream).text(),
            format!("from {n}"),
            "a connection each"
        );
    }
    // Answers nobody asked for, on an idle connection.
    let upstream = Upstream::raw(|mut stream, number| {
        read_request(&mut stream);
        stream
            .write_all(ok(&format!("from {number}")).as_bytes())
            .unwrap();
        stream.write_all(ok("unasked").as_bytes()).unwrap();
        let _ = stream.read(&mut [0; 1]);
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    for n in 0..3 {
        assert_eq!(gateway.get("/").text(), format!("from {n}"));
        // The connection is idle when they come; nobody can tell them apart any later.
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn resets_on_either_side_end_the_other() {
    // SO_LINGER 0 would need socket options that std lacks: closing with unread bytes resets too.
    let upstream = Upstream::raw(|mut stream, _| {
        let mut some = [0; 10];
        let _ = stream.read(&mut some);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    });
    let gateway = Gateway::start(&plain(upstream.address, "retry: { attempts: 0 }"));
    let answer = gateway.get("/");
    assert!(
        answer.status == 502 || (answer.status == 200 && !answer.complete),
        "{answer:?}"
    );
    let (sender, receiver) = std::sync::mpsc::channel();
    let upstream = Upstream::raw(move |mut stream, _| {
        let head = read_head(&mut stream);
        assert!(head.starts_with("POST"));
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        sender.send(bytes.len()).unwrap();
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let mut stream = gateway.connect();
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf")
        .unwrap();
    drop(stream);
    let arrived = receiver
        .recv_timeout(PATIENCE)
        .expect("the upstream hears of it");
    assert!(arrived < 100, "half a body is not made whole");
}

fn crowd(count: usize) {
    let upstream = Upstream::http(|_, _| ok("served"));
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let mut idle: Vec<TcpStream> = (0..count).map(|_| connect(gateway.address())).collect();
    eventually("all are accepted", || {
        gateway.process.shared().connections_of(0) == count
    });
    // Somebody new is served as if nobody were there, and so is everybody who wakes up.
    let started = Instant::now();
    assert_eq!(gateway.get("/").text(), "served");
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    for stream in idle.iter_mut().step_by(97) {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
        assert_eq!(read_answer(stream).text(), "served");
    }
    drop(idle);
    eventually("all are gone", || {
        gateway.process.shared().connections_of(0) == 0
    });
}

#[test]
fn two_thousand_idle_connections_are_no_burden() {
    crowd(2_000);
}
