//! Callers that cost more than they pay: floods of frames, slow readers and writers over HTTP/2,
//! and crowds of connections from one client. What they get is an end, never more memory.

#[path = "floods/memory.rs"]
mod memory;

pub(crate) use memory::resident;

use crate::raw2::{
    self, CONTINUATION, DATA, END_STREAM, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, block, frame, get, post,
};
use crate::support::{Gateway, Upstream, eventually, ok, plain, read_answer};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// More than socket buffers on both sides of a loopback connection ever hold.
const FLOOD_BYTES: usize = 96 << 20;

/// A gateway with these limits, in front of what counts the bytes of a body.
fn gateway(limits: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::http(|_, body| ok(&body.len().to_string()));
    (Gateway::start(&limited(&upstream, limits)), upstream)
}

/// The same in front of answers of so many bytes.
fn answering(bytes: usize, limits: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::http(move |_, _| ok(&"x".repeat(bytes)));
    (Gateway::start(&limited(&upstream, limits)), upstream)
}

fn limited(upstream: &Upstream, limits: &str) -> String {
    let listener = format!("'127.0.0.1:0', limits: {{ {limits} }}");
    plain(upstream.address, "").replace("'127.0.0.1:0'", &listener)
}

/// Asks for an answer of which one byte may come.
fn ask_for_a_byte(gateway: &Gateway) -> TcpStream {
    let mut stream = gateway.connect();
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]);
    let preface = &raw2::preface()[..24];
    stream
        .write_all(&[preface, &settings, &get(1)].concat())
        .unwrap();
    stream
}

/// How a flood ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The gateway closed the connection.
    Closed,
    /// The gateway reads no more until its own answers are read.
    Blocked,
    /// It took everything.
    Taken,
}

/// Writes a piece again and again, and reads nothing.
fn flood(stream: &mut TcpStream, piece: impl Fn(u32) -> Vec<u8>) -> End {
    stream
        .set_write_timeout(Some(Duration::from_secs(3)))
        .unwrap();
    let (mut sent, mut number) = (0, 0);
    while sent < FLOOD_BYTES {
        let mut batch = Vec::new();
        while batch.len() < 64 * 1024 {
            batch.extend(piece(number));
            number += 1;
        }
        match stream.write_all(&batch) {
            Ok(()) => sent += batch.len(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return End::Blocked;
            }
            Err(_) => return End::Closed,
        }
    }
    End::Taken
}

/// The floods, and whether a connection may outlive one.
fn floods() -> Vec<(&'static str, fn(u32) -> Vec<u8>)> {
    fn odd(number: u32) -> u32 {
        number.wrapping_mul(2) % 0x7fff_fff0 + 1
    }
    vec![
        ("rapid reset", |n| {
            [
                get(odd(n)),
                frame(RST_STREAM, 0, odd(n), &8_u32.to_be_bytes()),
            ]
            .concat()
        }),
        ("made you reset", |n| {
            // A window of zero is an error that makes the server reset the stream (CVE-2025-8671).
            [
                get(odd(n)),
                frame(WINDOW_UPDATE, 0, odd(n), &0_u32.to_be_bytes()),
            ]
            .concat()
        }),
        ("settings", |_| frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])),
        ("pings", |n| frame(PING, 0, 0, &u64::from(n).to_be_bytes())),
        ("continuations", |n| match n {
            0 => frame(HEADERS, 0, 1, &block(&[(":method", "GET")])),
            _ => frame(CONTINUATION, 0, 1, &block(&[("x", "y")])),
        }),
        ("empty continuations", |n| match n {
            0 => frame(HEADERS, 0, 1, &block(&[(":method", "GET")])),
            _ => frame(CONTINUATION, 0, 1, b""),
        }),
        ("streams without an end", |n| post(odd(n))),
        ("answers nobody reads", |n| get(odd(n))),
    ]
}

#[test]
fn floods_end_the_connection_or_wait_for_the_flooder() {
    let (gateway, _upstream) = gateway("idle: 20s");
    for (name, piece) in floods() {
        let mut stream = raw2::open(&gateway);
        let end = flood(&mut stream, piece);
        assert_ne!(end, End::Taken, "{name}: nothing stopped it");
        drop(stream);
        // Others are served meanwhile and afterwards.
        assert!(raw2::serves(&mut raw2::open(&gateway), 1), "{name}");
    }
    eventually("every connection is let go", || {
        gateway.process.shared().connections_of(0) == 0
    });
}

#[test]
fn frames_that_cost_nothing_are_read_and_kept_by_nobody() {
    let (gateway, _upstream) = gateway("idle: 20s");
    let mut stream = raw2::open(&gateway);
    let priority = frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 16]);
    for _ in 0..20_000 {
        stream.write_all(&priority).unwrap();
    }
    assert!(raw2::serves(&mut stream, 1));
    // Empty pieces of a body are bounded too.
    stream.write_all(&post(3)).unwrap();
    let empty = frame(DATA, 0, 3, b"");
    let mut cut = false;
    for _ in 0..200_000 {
        if stream.write_all(&empty).is_err() {
            cut = true;
            break;
        }
    }
    if !cut {
        stream.write_all(&frame(DATA, END_STREAM, 3, b"")).unwrap();
    }
    assert!(raw2::serves(&mut raw2::open(&gateway), 1));
}

#[test]
fn a_connection_that_never_says_its_preface_is_closed() {
    let (gateway, _upstream) = gateway("head_time: 300ms, idle: 20s");
    let mut stream = gateway.connect();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n").unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    eventually("it is let go", || {
        gateway.process.shared().connections_of(0) == 0
    });
}

#[test]
fn a_slow_body_over_http2_is_cut_like_one_over_http1() {
    let (gateway, _upstream) = gateway("body_time: 300ms");
    let mut stream = raw2::open(&gateway);
    stream.write_all(&post(1)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        // Bounded by what an honest test could wait for.
        let began = Instant::now();
        while began.elapsed() < crate::support::PATIENCE
            && writer.write_all(&frame(DATA, 0, 1, b"x")).is_ok()
        {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let answered = std::iter::from_fn(|| raw2::read(&mut stream))
        .find(|got| got.stream == 1 && (got.kind == HEADERS || got.kind == RST_STREAM));
    assert!(answered.is_some(), "the request ends");
    drop(stream);
    eventually("its fault is counted", || {
        gateway.metrics().contains("request_timeout")
    });
    drop(gateway);
    dripping.join().unwrap();
}

#[test]
fn a_reader_that_opens_no_window_is_cut() {
    let (gateway, _upstream) = answering(1 << 20, "write_time: 300ms, idle: 20s");
    let mut stream = ask_for_a_byte(&gateway);
    let cut = std::iter::from_fn(|| raw2::read(&mut stream))
        .find(|got| got.stream == 1 && got.kind == RST_STREAM);
    assert!(cut.is_some(), "the stream is reset");
    eventually("the record is made", || {
        gateway.metrics().contains("outcome=\"client_closed\"} 1")
    });
    assert!(
        raw2::serves(&mut raw2::open(&gateway), 1),
        "others are served"
    );
}

#[test]
fn a_reader_that_opens_its_window_byte_by_byte_is_cut() {
    let (gateway, _upstream) = answering(1 << 20, "write_time: 500ms, idle: 20s");
    let mut stream = ask_for_a_byte(&gateway);
    let mut cut = false;
    while let Some(got) = raw2::read(&mut stream) {
        if got.stream == 1 && got.kind == DATA {
            // Always in time, and never enough.
            std::thread::sleep(Duration::from_millis(20));
            let more = frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes());
            stream.write_all(&more).unwrap();
        }
        if got.stream == 1 && got.kind == RST_STREAM {
            cut = true;
            break;
        }
    }
    assert!(cut, "the stream is reset");
}

#[test]
fn a_reader_of_a_byte_at_a_time_over_http1_is_cut() {
    let (gateway, _upstream) = answering(32 << 20, "write_time: 500ms, idle: 20s");
    let mut stream = gateway.connect();
    let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut byte = [0];
    eventually("its record is made", || {
        let _ = stream.read(&mut byte);
        gateway.metrics().contains("outcome=\"client_closed\"} 1")
    });
}

#[test]
fn one_client_has_so_many_connections_and_others_have_theirs() {
    let (gateway, _upstream) = gateway("client_connections: 3");
    let ask = |stream: &mut TcpStream| {
        let sent = stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        sent.map_or(0, |()| read_answer(stream).status)
    };
    let mut held: Vec<TcpStream> = (0..3).map(|_| gateway.connect()).collect();
    for stream in &mut held {
        assert_eq!(ask(stream), 200);
    }
    assert_eq!(ask(&mut gateway.connect()), 0, "the fourth is closed");
    // Another address of the loopback network is another client.
    let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let from: std::net::SocketAddr = "127.0.0.2:0".parse().unwrap();
    other.bind(&from.into()).unwrap();
    other.connect(&gateway.address().into()).unwrap();
    other
        .set_read_timeout(Some(crate::support::PATIENCE))
        .unwrap();
    assert_eq!(ask(&mut other.into()), 200);
    held.pop();
    eventually("a place is free again", || {
        ask(&mut gateway.connect()) == 200
    });
    assert!(gateway.metrics().contains("tidegate_clients_refused_total"));
}

#[test]
fn one_client_opens_connections_at_its_rate() {
    let (gateway, _upstream) = gateway("client_rate: 5/h");
    let served = (0..12)
        .filter(|_| {
            let mut stream = gateway.connect();
            let sent = stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
            sent.is_ok() && read_answer(&mut stream).status == 200
        })
        .count();
    assert_eq!(served, 5);
}

#[test]
fn proxies_that_are_trusted_are_not_held_to_a_clients_limit() {
    let upstream = Upstream::http(|_, body| ok(&body.len().to_string()));
    let yaml = limited(&upstream, "client_connections: 1");
    let yaml = yaml.replace("workers: 1", "workers: 1, trusted_proxies: [127.0.0.0/8]");
    let gateway = Gateway::start(&yaml);
    let mut held: Vec<TcpStream> = (0..5).map(|_| gateway.connect()).collect();
    for stream in &mut held {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
        assert_eq!(read_answer(stream).status, 200);
    }
}
