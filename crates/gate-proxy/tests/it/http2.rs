//! HTTP/2 on both sides: prior knowledge and ALPN, trailers, many streams at once, cancellation.

use crate::certificates::{self, Authority};
use crate::peers::{Http2Upstream, answer, ask, client, connect, head, read, request, run};
use crate::support::{Gateway, Upstream, eventually, ok, plain};
use bytes::Bytes;
use gate_net::io::Io;
use http::{HeaderMap, HeaderValue, Request};
use rustls::pki_types::ServerName;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const HTTP2: &str = "protocol: http2";

#[test]
fn a_client_by_prior_knowledge_reaches_an_http1_upstream() {
    let upstream = Upstream::http(|head, body| {
        let line = head.lines().next().unwrap();
        ok(&format!("{line} {}", String::from_utf8_lossy(body)))
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    run(async {
        let mut sender = connect(gateway.address()).await;
        for n in 0..3 {
            let (head, body) = ask(&mut sender, request("POST", "/a?b=%41"), Some(b"body")).await;
            assert_eq!(head.status(), 200, "{n}");
            assert_eq!(body, b"POST /a?b=%41 HTTP/1.1 body");
            assert!(head.headers().get("connection").is_none());
        }
        let (head, body) = ask(&mut sender, request("GET", "/%00"), None).await;
        assert_eq!(head.status(), 400);
        assert!(String::from_utf8_lossy(&body).contains("invalid_path"));
    });
    assert!(
        upstream
            .last_seen()
            .to_lowercase()
            .contains("host: h2.test")
    );
    assert_eq!(upstream.accepted(), 1);
}

#[test]
fn tls_with_alpn_speaks_http2_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("root");
    std::fs::write(folder.path().join("root.pem"), &authority.pem).unwrap();
    authority.sign(&["h2.test"]).write(folder.path(), "a");
    let tls = certificates::server(&authority.sign(&["up.test"]), None, &["h2"]);
    let upstream = Http2Upstream::start(Some(tls), |request, mut respond| async move {
        assert_eq!(request.version(), http::Version::HTTP_2);
        let scheme = request.uri().scheme_str().unwrap_or_default().to_owned();
        let path = request.uri().path().to_owned();
        answer(&mut respond, 200, format!("{scheme} {path}"));
    });
    let settings = "protocol: http2\ntls: { authorities: root.pem, server_name: up.test }";
    let yaml = plain(upstream.address, settings).replace(
        "address: '127.0.0.1:0'",
        "address: '127.0.0.1:0', tls: { certificates: [{ chain: a.pem, key: a.key }] }",
    );
    let gateway = Gateway::start_in(folder.path(), &yaml).unwrap();
    run(async {
        let stream = tokio::net::TcpStream::connect(gateway.address())
            .await
            .unwrap();
        let config = Arc::new(certificates::client(&authority, &["h2"]));
        let name = ServerName::try_from("h2.test").unwrap();
        let io = Io::tcp(stream, gateway.address())
            .connect_tls(config, name)
            .await
            .unwrap();
        let mut sender = client(io).await;
        let (head, body) = ask(&mut sender, request("GET", "/secure"), None).await;
        assert_eq!(
            (head.status().as_u16(), body),
            (200, b"https /secure".to_vec())
        );
    });
}

#[test]
fn trailers_pass_both_ways() {
    let upstream = Http2Upstream::start(None, |request, mut respond| async move {
        let (body, trailers) = read(&mut request.into_body()).await.unwrap();
        let given = trailers.expect("the caller's trailers");
        let mut stream = head(&mut respond, 200);
        let _ = stream.send_data(Bytes::from(body), false);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-back", given["x-sum"].clone());
        let _ = stream.send_trailers(trailers);
    });
    let gateway = Gateway::start(&plain(upstream.address, HTTP2));
    run(async {
        let mut sender = connect(gateway.address()).await;
        let (response, mut send) = sender.send_request(request("POST", "/"), false).unwrap();
        send.send_data(Bytes::from_static(b"data"), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("42"));
        send.send_trailers(trailers).unwrap();
        let mut body = response.await.unwrap().into_body();
        let (bytes, trailers) = read(&mut body).await.unwrap();
        assert_eq!(bytes, b"data");
        assert_eq!(trailers.unwrap()["x-back"], "42");
    });
}

#[test]
fn streams_run_beside_each_other_on_one_connection() {
    const STREAMS: usize = 100;
    let arrived = Arc::new(AtomicUsize::new(0));
    let all = Arc::new(tokio::sync::Notify::new());
    let counted = arrived.clone();
    let upstream = Http2Upstream::start(None, move |request, mut respond| {
        let (arrived, all) = (counted.clone(), all.clone());
        async move {
            let released = all.notified();
            // Nobody is answered before everybody has arrived.
            if arrived.fetch_add(1, Ordering::SeqCst) + 1 == STREAMS {
                all.notify_waiters();
            } else {
                released.await;
            }
            answer(&mut respond, 200, request.uri().path().to_owned());
        }
    });
    let gateway = Gateway::start(&plain(upstream.address, HTTP2));
    run(async {
        let sender = connect(gateway.address()).await;
        let asking = (0..STREAMS).map(|n| {
            let mut sender = sender.clone();
            tokio::task::spawn_local(async move {
                ask(&mut sender, request("GET", &format!("/{n}")), None)
                    .await
                    .1
            })
        });
        for (n, answer) in asking.collect::<Vec<_>>().into_iter().enumerate() {
            assert_eq!(answer.await.unwrap(), format!("/{n}").into_bytes());
        }
    });
    assert_eq!(arrived.load(Ordering::SeqCst), STREAMS);
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_cancelled_stream_cancels_the_upstream_within_100_ms() {
    let (told, mut heard) = tokio::sync::mpsc::channel(64);
    let upstream = Http2Upstream::start(None, move |request, mut respond| {
        let told = told.clone();
        async move {
            let _ = told.try_send("asked");
            if request.uri().path() == "/half" {
                let mut stream = head(&mut respond, 200);
                let _ = stream.send_data(Bytes::from_static(b"some"), false);
                let _ = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
            } else {
                let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            }
            let _ = told.try_send("gone");
        }
    });
    let gateway = Gateway::start(&plain(upstream.address, HTTP2));
    run(async {
        let mut sender = connect(gateway.address()).await;
        for path in ["/before", "/half"] {
            let (response, mut send) = sender.send_request(request("GET", path), true).unwrap();
            assert_eq!(heard.recv().await, Some("asked"));
            if path == "/half" {
                let mut body = response.await.unwrap().into_body();
                assert_eq!(body.data().await.unwrap().unwrap(), "some");
            }
            let left = Instant::now();
            send.send_reset(h2::Reason::CANCEL);
            assert_eq!(heard.recv().await, Some("gone"), "{path}");
            assert!(
                left.elapsed() < Duration::from_millis(100),
                "{:?}",
                left.elapsed()
            );
        }
        // The connection lives on.
        let _ = sender.send_request(request("GET", "/after"), true).unwrap();
        assert_eq!(heard.recv().await, Some("asked"));
    });
    eventually("the records are made", || {
        gateway.metrics().contains("outcome=\"client_closed\"} 3")
    });
}

#[test]
fn a_reset_upstream_stream_is_a_fault_or_a_cut() {
    let go_on = Arc::new(tokio::sync::Notify::new());
    let released = go_on.clone();
    let upstream = Http2Upstream::start(None, move |request, mut respond| {
        let released = released.clone();
        async move {
            if request.uri().path() == "/half" {
                let mut stream = head(&mut respond, 200);
                let _ = stream.send_data(Bytes::from_static(b"some"), false);
                released.notified().await;
                stream.send_reset(h2::Reason::INTERNAL_ERROR);
            } else {
                respond.send_reset(h2::Reason::INTERNAL_ERROR);
            }
        }
    });
    let settings = "protocol: http2\nretry: { attempts: 0 }";
    let gateway = Gateway::start(&plain(upstream.address, settings));
    run(async {
        let mut sender = connect(gateway.address()).await;
        let (head, body) = ask(&mut sender, request("GET", "/"), None).await;
        assert_eq!(head.status(), 502);
        assert!(String::from_utf8_lossy(&body).contains("upstream_reset"));
        let (response, _) = sender.send_request(request("GET", "/half"), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "some");
        go_on.notify_one();
        assert!(read(&mut body).await.unwrap_err().is_reset());
    });
    eventually("the cut is recorded", || {
        gateway.metrics().contains("outcome=\"cut\"} 1")
    });
}

/// A problem document says the status that the head says.
pub(crate) fn agree(status: http::StatusCode, body: &[u8], code: &str) {
    let problem: serde_json::Value = serde_json::from_slice(body).expect("a problem");
    assert_eq!(problem["status"], status.as_u16(), "{problem}");
    assert_eq!(problem["code"], code, "{problem}");
}

/// Requests that are refused before there is a route, with the status and the code.
pub(crate) fn refused() -> Vec<(Request<()>, u16, &'static str)> {
    let mut many = request("GET", "/");
    for n in 0..200 {
        let name = http::HeaderName::try_from(format!("x-{n}")).unwrap();
        many.headers_mut()
            .insert(name, HeaderValue::from_static("1"));
    }
    let mut disguised = request("GET", "/");
    disguised
        .headers_mut()
        .insert("content_length", HeaderValue::from_static("1"));
    let connect = Request::builder().method("CONNECT").uri("a.test:443");
    vec![
        (many, 431, "head_too_large"),
        (disguised, 400, "malformed_request"),
        (connect.body(()).unwrap(), 405, "method_not_allowed"),
    ]
}

#[test]
fn a_refusal_says_the_same_in_status_and_body() {
    let upstream = Upstream::http(|_, _| ok("x"));
    let gateway = Gateway::start(&plain(upstream.address, ""));
    run(async {
        for (request, status, code) in refused() {
            let mut sender = connect(gateway.address()).await;
            let (head, body) = ask(&mut sender, request, None).await;
            assert_eq!(head.status(), status);
            agree(head.status(), &body, code);
        }
    });
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(9000));
    let many = format!(
        "GET / HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "x: 1\r\n".repeat(200)
    );
    for (text, code) in [
        (&*long, "target_too_long"),
        (&*many, "head_too_large"),
        (
            "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n",
            "method_not_allowed",
        ),
        ("GET / HTTP/4.0\r\nhost: a\r\n\r\n", "version_unsupported"),
        ("GET / HTTP/0.9\r\nhost: a\r\n\r\n", "malformed_request"),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
            "transfer_coding_unknown",
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nexpect: tea\r\n\r\n",
            "malformed_request",
        ),
    ] {
        let answer = gateway.send(text);
        let status = http::StatusCode::from_u16(answer.status).unwrap();
        agree(status, &answer.body, code);
    }
}

#[test]
fn limits_hold_for_streams_heads_and_bodies() {
    let upstream = Upstream::http(|_, body| ok(&body.len().to_string()));
    let yaml = plain(upstream.address, "").replace(
        "address: '127.0.0.1:0'",
        "address: '127.0.0.1:0', limits: { head: 2KiB, headers: 10, body: 1KiB, streams: 5 }",
    );
    let gateway = Gateway::start(&yaml);
    run(async {
        let mut sender = connect(gateway.address()).await;
        let (head, _) = ask(&mut sender, request("GET", "/"), None).await;
        assert_eq!(head.status(), 200);
        assert_eq!(sender.current_max_send_streams(), 5);
        let mut many = request("GET", "/");
        for n in 0..20 {
            let name = http::HeaderName::try_from(format!("x-{n}")).unwrap();
            many.headers_mut()
                .insert(name, HeaderValue::from_static("1"));
        }
        assert_eq!(ask(&mut sender, many, None).await.0.status(), 431);
        static BIG: [u8; 2000] = [b'x'; 2000];
        let mut announced = request("POST", "/");
        announced
            .headers_mut()
            .insert("content-length", HeaderValue::from_static("2000"));
        assert_eq!(
            ask(&mut sender, announced, Some(&BIG)).await.0.status(),
            413
        );
        assert_eq!(
            ask(&mut sender, request("POST", "/"), Some(&BIG))
                .await
                .0
                .status(),
            413
        );
        assert_eq!(
            ask(&mut sender, request("POST", "/"), Some(b"fits"))
                .await
                .1,
            b"4"
        );
    });
}

#[test]
fn a_drain_lets_streams_finish_and_says_goaway() {
    let (told, mut heard) = tokio::sync::mpsc::channel(64);
    let go_on = Arc::new(tokio::sync::Notify::new());
    let released = go_on.clone();
    let upstream = Http2Upstream::start(None, move |_, mut respond| {
        let (told, released) = (told.clone(), released.clone());
        async move {
            let _ = told.try_send(());
            released.notified().await;
            answer(&mut respond, 200, "late");
        }
    });
    let gateway = Rc::new(Gateway::start(&plain(upstream.address, HTTP2)));
    run(async {
        let mut sender = connect(gateway.address()).await;
        let (response, _) = sender.send_request(request("GET", "/"), true).unwrap();
        heard.recv().await.unwrap();
        let process = gateway.process.clone();
        let drain = std::thread::spawn(move || process.drain(Duration::from_secs(5)));
        // The GOAWAY refuses new streams while the old one goes on.
        while std::future::poll_fn(|cx| sender.poll_ready(cx))
            .await
            .is_ok()
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        go_on.notify_one();
        let mut body = response.await.unwrap().into_body();
        assert_eq!(read(&mut body).await.unwrap().0, b"late");
        drain.join().unwrap();
    });
}
