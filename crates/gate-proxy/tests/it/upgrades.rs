//! Long-lived and large exchanges: WebSockets, server-sent events, big bodies with back-pressure,
//! and what is said before the answer.

use crate::support::{Answer, Gateway, Upstream, ok, plain, read_answer, read_head, read_request};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

/// A WebSocket server that gives back what it gets, as the `chat` protocol.
#[allow(clippy::result_large_err, reason = "the library's signature")]
fn echo() -> Upstream {
    Upstream::raw(|stream, _| {
        let choose = |request: &Request, mut response: Response| {
            assert_eq!(request.uri().path(), "/chat");
            let chat = "chat".parse().unwrap();
            response
                .headers_mut()
                .insert("sec-websocket-protocol", chat);
            Ok(response)
        };
        let mut socket = tungstenite::accept_hdr(stream, choose).unwrap();
        loop {
            match socket.read() {
                Ok(message) if message.is_text() || message.is_binary() => {
                    socket.send(message).unwrap();
                }
                // Pings are answered and closes confirmed by the library as it reads.
                Ok(_) => {}
                Err(_) => return,
            }
        }
    })
}

fn join(gateway: &Gateway) -> WebSocket<TcpStream> {
    let request = http::Request::builder()
        .uri("ws://ws.test/chat")
        .header("host", "ws.test")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", "chat, other")
        .body(())
        .unwrap();
    let (socket, response) = tungstenite::client(request, gateway.connect()).unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    assert_eq!(
        response.headers()["sec-websocket-accept"],
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    socket
}

#[test]
fn websocket_messages_pings_and_closes_pass_both_ways() {
    let upstream = echo();
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let mut socket = join(&gateway);
    for n in 0..50 {
        let message = Message::text(format!("message {n}"));
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    let ping = tungstenite::Bytes::from_static(b"are you there");
    socket.send(Message::Ping(ping.clone())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(ping));
    let big: Vec<u8> = (0..8_000_000u32).map(|n| (n % 251) as u8).collect();
    socket.send(Message::binary(big.clone())).unwrap();
    assert!(
        socket.read().unwrap() == Message::binary(big),
        "8 MB come back as they went"
    );
    let close = CloseFrame {
        code: CloseCode::Normal,
        reason: "bye".into(),
    };
    socket.close(Some(close.clone())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Close(Some(close)));
    let ended = socket.read().unwrap_err();
    assert!(
        matches!(ended, tungstenite::Error::ConnectionClosed),
        "{ended}"
    );
}

#[test]
fn an_upgrade_that_is_refused_is_an_ordinary_answer() {
    let upstream = Upstream::http(|_, _| {
        "HTTP/1.1 426 Upgrade Required\r\nupgrade: other\r\ncontent-length: 2\r\n\r\nno".into()
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let mut stream = gateway.connect();
    for _ in 0..2 {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: k\r\n\r\n")
            .unwrap();
        let answer = read_answer(&mut stream);
        assert_eq!((answer.status, answer.text()), (426, "no"));
    }
}

#[test]
fn a_gone_websocket_caller_ends_the_upstreams_side() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let upstream = Upstream::raw(move |stream, _| {
        let mut socket = tungstenite::accept(stream).unwrap();
        sender.send("joined").unwrap();
        while socket.read().is_ok() {}
        sender.send("gone").unwrap();
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let mut stream = gateway.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        .unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101"));
    let patience = Duration::from_secs(5);
    assert_eq!(receiver.recv_timeout(patience), Ok("joined"));
    let left = Instant::now();
    drop(stream);
    assert_eq!(receiver.recv_timeout(patience), Ok("gone"));
    assert!(
        left.elapsed() < Duration::from_millis(100),
        "{:?}",
        left.elapsed()
    );
}

#[test]
fn server_sent_events_arrive_one_by_one() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::raw(move |mut stream, _| {
        read_request(&mut stream);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            .unwrap();
        for n in 0..20 {
            let event = format!("data: {n}\n\n");
            write!(stream, "{:x}\r\n{event}\r\n", event.len()).unwrap();
            // The next event is made only when this one has arrived.
            wait.lock().unwrap().recv().unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let mut stream = gateway.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    let head = read_head(&mut stream);
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    for n in 0..20 {
        let expected = format!("data: {n}\n\n");
        let mut bytes = Vec::new();
        let mut block = [0; 256];
        while !bytes.ends_with(format!("{expected}\r\n").as_bytes()) {
            let read = stream.read(&mut block).unwrap();
            assert!(read > 0, "ended at event {n}");
            bytes.extend_from_slice(&block[..read]);
        }
        go_on.send(()).unwrap();
    }
    let mut end = [0; 5];
    stream.read_exact(&mut end).unwrap();
    assert_eq!(&end, b"0\r\n\r\n");
}

const BIG: usize = 64 * 1024 * 1024;

/// What the kernel may hold in the socket buffers of two connections, and the gateway in its own.
const HELD_MAX: usize = 24 * 1024 * 1024;

/// Waits until a counter has stopped growing.
fn settled(counter: &AtomicUsize) -> usize {
    let mut last = counter.load(Ordering::SeqCst);
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_millis(300) || last == 0 {
        std::thread::sleep(Duration::from_millis(10));
        let now = counter.load(Ordering::SeqCst);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

#[test]
fn a_download_waits_for_its_reader() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let upstream = Upstream::raw(move |mut stream, _| {
        read_request(&mut stream);
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {BIG}\r\n\r\n").unwrap();
        let block = vec![b'd'; 65_536];
        while count.load(Ordering::SeqCst) < BIG && stream.write_all(&block).is_ok() {
            count.fetch_add(block.len(), Ordering::SeqCst);
        }
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let mut stream = gateway.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    let held = settled(&sent);
    assert!(
        held < HELD_MAX,
        "{held} bytes were taken from the upstream for nobody"
    );
    let answer = read_answer(&mut stream);
    assert!(answer.complete && answer.body.len() == BIG);
    assert!(answer.body.iter().all(|&byte| byte == b'd'));
}

#[test]
fn an_upload_waits_for_its_reader() {
    let reads = Arc::new(AtomicBool::new(false));
    let may_read = reads.clone();
    let upstream = Upstream::raw(move |mut stream, _| {
        let head = read_head(&mut stream);
        assert!(
            head.to_lowercase()
                .contains(&format!("content-length: {BIG}")),
            "{head}"
        );
        while !may_read.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut block = vec![0; 65_536];
        let (mut left, mut sum) = (BIG, 0u64);
        while left > 0 {
            let read = stream.read(&mut block).unwrap();
            assert!(read > 0, "{left} bytes are missing");
            sum += block[..read]
                .iter()
                .map(|&byte| u64::from(byte))
                .sum::<u64>();
            left -= read;
        }
        stream.write_all(ok(&sum.to_string()).as_bytes()).unwrap();
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    let mut stream = gateway.connect();
    let mut writer = stream.try_clone().unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let writing = std::thread::spawn(move || {
        write!(
            writer,
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {BIG}\r\n\r\n"
        )
        .unwrap();
        let block = vec![3; 65_536];
        for _ in 0..BIG / block.len() {
            writer.write_all(&block).unwrap();
            count.fetch_add(block.len(), Ordering::SeqCst);
        }
    });
    let held = settled(&sent);
    assert!(
        held < HELD_MAX,
        "{held} bytes were taken from the caller for nobody"
    );
    reads.store(true, Ordering::SeqCst);
    let answer = read_answer(&mut stream);
    assert_eq!(answer.text(), (BIG * 3).to_string());
    writing.join().unwrap();
}

#[test]
fn continue_is_said_once_and_only_where_the_body_is_wanted() {
    let upstream = Upstream::http(|_, body| ok(&String::from_utf8_lossy(body)));
    let yaml = plain(upstream.address, "").replace(
        "address: '127.0.0.1:0'",
        "address: '127.0.0.1:0', limits: { body: 1KiB }",
    );
    let gateway = Gateway::start(&yaml);
    let ask = |stream: &mut TcpStream, path: &str, length: usize| {
        write!(stream, "POST {path} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n").unwrap();
    };
    let mut stream = gateway.connect();
    for _ in 0..2 {
        ask(&mut stream, "/", 4);
        assert_eq!(read_head(&mut stream), "HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"body").unwrap();
        assert_eq!(read_answer(&mut stream).text(), "body");
    }
    // What will not be read is not asked for: the final answer comes at once.
    let mut stream = gateway.connect();
    ask(&mut stream, "/", 2000);
    let refused: Answer = read_answer(&mut stream);
    assert_eq!(
        (refused.status, refused.header("connection")),
        (413, Some("close"))
    );
    let mut stream = gateway.connect();
    ask(&mut stream, "/%00", 4);
    assert_eq!(read_answer(&mut stream).status, 400);
}

#[test]
fn interim_answers_reach_http2_callers_too() {
    let upstream = Upstream::raw(|mut stream, _| {
        read_request(&mut stream);
        stream
            .write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate")
            .unwrap();
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    crate::peers::run(async {
        let mut sender = crate::peers::connect(gateway.address()).await;
        let request = crate::peers::request("GET", "/");
        let (mut response, _) = sender.send_request(request, true).unwrap();
        let hints = std::future::poll_fn(|cx| response.poll_informational(cx)).await;
        let hints = hints.expect("hints come first").unwrap();
        assert_eq!(hints.status(), 103);
        assert_eq!(hints.headers()["link"], "</a.css>");
        let mut body = response.await.unwrap().into_body();
        assert_eq!(crate::peers::read(&mut body).await.unwrap().0, b"late");
    });
}
