//! HTTP/3 from a client that is not ours: messages both ways, as they pass and as they are recorded.
//! What ends connections is in `http3_ends.rs`, who breaks the rules in `http3_hostile.rs`.

use crate::certificates::Authority;
use crate::http2::{agree, refused};
use crate::peers::{Http2Upstream, head as head2, read as read2, run};
use crate::peers3::{self, End, GET, ask, connect, dial, endpoint, head, raw, request};
use crate::support::{Gateway, Upstream, ok, plain, read_request};
use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue};
use std::io::Write;
use std::net::SocketAddr;

/// A gateway that speaks HTTP/3 as `a.test`, and who signed that.
pub(crate) struct Secure {
    pub(crate) gateway: Gateway,
    pub(crate) authority: Authority,
    pub(crate) folder: tempfile::TempDir,
}

const TLS: &str = "tls: { certificates: [{ chain: a.pem, key: a.key }] }, http3: {}";

/// A document whose listener speaks HTTP/3; `more` is added to the listener.
pub(crate) fn document(upstream: SocketAddr, settings: &str, more: &str) -> String {
    let listener = format!("address: '127.0.0.1:0', {TLS}{more}");
    plain(upstream, settings).replace("address: '127.0.0.1:0'", &listener)
}

impl Secure {
    pub(crate) fn start(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("root");
        authority.sign(&["a.test"]).write(folder.path(), "a");
        let gateway = Gateway::start_in(folder.path(), yaml).unwrap_or_else(|e| panic!("{e}"));
        Self {
            gateway,
            authority,
            folder,
        }
    }

    pub(crate) fn plain(upstream: SocketAddr, more: &str) -> Self {
        Self::start(&document(upstream, "", more))
    }
}

#[test]
fn requests_and_answers_pass_and_are_recorded_as_http3() {
    let upstream = Upstream::http(|head, body| {
        let line = head.lines().next().unwrap();
        ok(&format!("{line} {}", String::from_utf8_lossy(body)))
    });
    let secure = Secure::plain(upstream.address, "");
    let gateway = &secure.gateway;
    run(async {
        let endpoint = endpoint(&secure.authority);
        let (mut sender, _connection) = connect(&endpoint, gateway.address()).await;
        let (head, body) = ask(&mut sender, request("GET", "/plain"), None).await;
        assert_eq!(
            (head.status().as_u16(), &*body),
            (200, &b"GET /plain HTTP/1.1 "[..])
        );
        assert!(head.headers().get("alt-svc").is_none(), "it knows");
        assert!(head.headers().get("connection").is_none());
        assert!(head.headers().contains_key("date"));
        let mut post = request("POST", "/a?b=%41");
        let headers = post.headers_mut();
        headers.append("cookie", HeaderValue::from_static("a=1"));
        headers.append("cookie", HeaderValue::from_static("b=2"));
        headers.insert("content-length", HeaderValue::from_static("4"));
        let (_, body) = ask(&mut sender, post, Some(Bytes::from_static(b"body"))).await;
        assert_eq!(body, b"POST /a?b=%41 HTTP/1.1 body");
        let (head, body) = ask(&mut sender, request("HEAD", "/"), None).await;
        assert_eq!((head.status().as_u16(), body.len()), (200, 0));
        let (head, body) = ask(&mut sender, request("GET", "/%00"), None).await;
        assert_eq!(head.status(), 400);
        assert!(String::from_utf8_lossy(&body).contains("invalid_path"));
    });
    let seen = upstream.seen.lock().unwrap()[1].to_lowercase();
    for wanted in [
        "host: a.test\r\n",
        "cookie: a=1; b=2\r\n",
        "x-forwarded-proto: https\r\n",
    ] {
        assert!(seen.contains(wanted), "{wanted} in {seen}");
    }
    assert_eq!(upstream.accepted(), 1);
    let metrics = gateway.metrics();
    assert!(metrics.contains("version=\"3\""), "{metrics}");
}

#[test]
fn answers_over_tcp_tell_of_http3() {
    let upstream = Upstream::http(|head, _| {
        if head.starts_with("GET /own") {
            "HTTP/1.1 200 OK\r\nalt-svc: clear\r\ncontent-length: 0\r\n\r\n".to_owned()
        } else {
            ok("")
        }
    });
    let secure = Secure::plain(upstream.address, "");
    let port = secure.gateway.address().port();
    let ask = |path: &str| {
        let config = crate::certificates::client(&secure.authority, &["http/1.1"]);
        let address = secure.gateway.address();
        let mut stream = crate::certificates::connect(address, config, "a.test").unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: a.test\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let answer = crate::support::read_answer(&mut stream);
        answer.header("alt-svc").map(str::to_owned)
    };
    assert_eq!(ask("/"), Some(format!("h3=\":{port}\"; ma=86400")));
    assert_eq!(ask("/own"), Some("clear".to_owned()));
    let other = "http3: { advertised_port: 443, advertised_for: 1h }";
    let yaml = document(upstream.address, "", "").replace("http3: {}", other);
    secure.gateway.reload(&yaml).unwrap();
    assert_eq!(ask("/"), Some("h3=\":443\"; ma=3600".to_owned()));
}

#[test]
fn large_bodies_flow_both_ways_at_the_readers_pace() {
    const SIZE: usize = 6 << 20;
    let upstream = Upstream::http(|_, body| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}",
            body.len(),
            String::from_utf8_lossy(body)
        )
    });
    let secure = Secure::plain(upstream.address, "");
    run(async {
        let endpoint = endpoint(&secure.authority);
        let (mut sender, _connection) = connect(&endpoint, secure.gateway.address()).await;
        let sent = Bytes::from("0123456789abcdef".repeat(SIZE / 16));
        let stream = sender.send_request(request("POST", "/")).await.unwrap();
        let (mut send, mut receive) = stream.split();
        let body = sent.clone();
        let sending = tokio::task::spawn_local(async move {
            for piece in 0..SIZE / 65_536 {
                send.send_data(body.slice(piece * 65_536..(piece + 1) * 65_536))
                    .await
                    .unwrap();
            }
            send.finish().await.unwrap();
        });
        assert_eq!(receive.recv_response().await.unwrap().status(), 200);
        let mut got = Vec::new();
        while let Some(mut data) = receive.recv_data().await.unwrap() {
            got.extend_from_slice(&data.copy_to_bytes(data.remaining()));
        }
        sending.await.unwrap();
        assert!(got == sent, "{} of {SIZE} bytes", got.len());
    });
}

#[test]
fn events_arrive_as_they_are_made() {
    let (more, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::raw(move |mut stream, _| {
        let _ = read_request(&mut stream);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        for n in 0..3 {
            stream
                .write_all(format!("9\r\ndata: {n}\n\n\r\n").as_bytes())
                .unwrap();
            let _ = wait.lock().unwrap().recv_timeout(crate::support::PATIENCE);
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    let secure = Secure::plain(upstream.address, "");
    run(async {
        let endpoint = endpoint(&secure.authority);
        let (mut sender, _connection) = connect(&endpoint, secure.gateway.address()).await;
        let mut stream = sender.send_request(request("GET", "/")).await.unwrap();
        stream.finish().await.unwrap();
        let head = stream.recv_response().await.unwrap();
        assert_eq!(head.headers()["content-type"], "text/event-stream");
        for n in 0..3 {
            // The next one is not written before this one has come.
            let mut data = stream.recv_data().await.unwrap().expect("an event");
            let event = data.copy_to_bytes(data.remaining());
            assert_eq!(event, format!("data: {n}\n\n"));
            more.send(()).unwrap();
        }
        assert!(stream.recv_data().await.unwrap().is_none());
    });
}

#[test]
fn trailers_pass_both_ways() {
    let upstream = Http2Upstream::start(None, |request, mut respond| async move {
        let (body, trailers) = read2(&mut request.into_body()).await.unwrap();
        let given = trailers.expect("the caller's trailers");
        let mut stream = head2(&mut respond, 200);
        let _ = stream.send_data(Bytes::from(body), false);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-back", given["x-sum"].clone());
        let _ = stream.send_trailers(trailers);
    });
    let secure = Secure::start(&document(upstream.address, "protocol: http2", ""));
    run(async {
        let endpoint = endpoint(&secure.authority);
        let (mut sender, _connection) = connect(&endpoint, secure.gateway.address()).await;
        let mut stream = sender.send_request(request("POST", "/")).await.unwrap();
        stream.send_data(Bytes::from_static(b"data")).await.unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("42"));
        stream.send_trailers(trailers).await.unwrap();
        stream.finish().await.unwrap();
        assert_eq!(stream.recv_response().await.unwrap().status(), 200);
        assert_eq!(peers3::read(&mut stream).await, b"data");
        let back = stream.recv_trailers().await.unwrap().expect("trailers");
        assert_eq!(back["x-back"], "42");
    });
}

#[test]
fn early_hints_come_before_the_answer() {
    let upstream = Upstream::http(|_, _| {
        format!(
            "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n{}",
            ok("late")
        )
    });
    let secure = Secure::plain(upstream.address, "");
    run(async {
        let endpoint = endpoint(&secure.authority);
        let connection = dial(&endpoint, secure.gateway.address()).await.unwrap();
        let End::Answered(answer) = raw(&connection, &head(GET)).await else {
            panic!("no answer");
        };
        // Two HEADERS frames and a DATA frame: the first has `:status` 103, entry 24.
        assert_eq!(answer[..1], [1]);
        assert_eq!(answer[4..5], [0xd8], "{answer:x?}");
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(text.ends_with("late"), "{text}");
    });
}

#[test]
fn policies_see_the_caller_and_its_protocol() {
    let upstream = Upstream::http(|_, _| ok("x"));
    let yaml = document(upstream.address, "", "").replace(
        "routes: { all: {",
        "routes: { all: { policies: [{ limit: { by: address, rate: 2/h } }],",
    );
    let secure = Secure::start(&yaml);
    run(async {
        let endpoint = endpoint(&secure.authority);
        let (mut sender, _connection) = connect(&endpoint, secure.gateway.address()).await;
        for expected in [200, 200, 429] {
            let (head, _) = ask(&mut sender, request("GET", "/"), None).await;
            assert_eq!(head.status(), expected);
        }
    });
}

#[test]
fn a_refusal_says_the_same_in_status_and_body() {
    let upstream = Upstream::http(|_, _| ok("x"));
    let secure = Secure::plain(upstream.address, "");
    run(async {
        let endpoint = endpoint(&secure.authority);
        // CONNECT, which this client writes in its own way, is in `http3_hostile.rs`.
        let refused = refused().into_iter();
        for (mut request, status, code) in refused.filter(|(_, status, _)| *status != 405) {
            *request.uri_mut() = "https://a.test/".parse().unwrap();
            let (mut sender, _connection) = connect(&endpoint, secure.gateway.address()).await;
            let (head, body) = ask(&mut sender, request, None).await;
            assert_eq!(head.status(), status);
            agree(head.status(), &body, code);
        }
    });
}
