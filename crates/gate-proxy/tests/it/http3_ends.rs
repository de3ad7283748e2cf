//! Connections over HTTP/3 as they come and go: limits, new certificates, reloads, cancellation,
//! idleness and the end.

use crate::http3::{Secure, document};
use crate::peers::run;
use crate::peers3::{self, End, GET, ask, closed, connect, dial, endpoint, head, raw, request};
use crate::support::{Upstream, eventually, ok, read_request};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const NO_ERROR: u64 = 0x100;

#[test]
fn a_cancelled_request_cancels_the_upstream() {
    let (began, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (beginning, going) = (began.clone(), gone.clone());
    let upstream = Upstream::raw(move |mut stream, _| {
        let _ = read_request(&mut stream);
        beginning.fetch_add(1, Ordering::SeqCst);
        // Never answered; its end is the only thing that comes.
        if matches!(stream.read(&mut [0]), Ok(0) | Err(_)) {
            going.fetch_add(1, Ordering::SeqCst);
        }
    });
    let secure = Secure::plain(upstream.address, "");
    let until = async |count: &AtomicUsize, wanted| {
        while count.load(Ordering::SeqCst) < wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    run(async {
        let endpoint = endpoint(&secure.authority);
        let (mut sender, connection) = connect(&endpoint, secure.gateway.address()).await;
        let mut stream = sender.send_request(request("GET", "/")).await.unwrap();
        stream.finish().await.unwrap();
        until(&began, 1).await;
        stream.stop_sending(h3::error::Code::H3_REQUEST_CANCELLED);
        until(&gone, 1).await;
        // The same when the whole connection goes.
        let mut stream = sender.send_request(request("GET", "/")).await.unwrap();
        stream.finish().await.unwrap();
        until(&began, 2).await;
        connection.close(0_u32.into(), b"");
        until(&gone, 2).await;
    });
    eventually("both are recorded", || {
        let metrics = secure.gateway.metrics();
        metrics.contains("outcome=\"client_closed\"} 2")
    });
}

#[test]
fn limits_count_over_quic_as_over_tcp() {
    let upstream = Upstream::http(|_, _| ok("x"));
    let more = ", limits: { client_connections: 2 }";
    let secure = Secure::plain(upstream.address, more);
    run(async {
        let endpoint = endpoint(&secure.authority);
        let address = secure.gateway.address();
        let first = dial(&endpoint, address).await.unwrap();
        let second = dial(&endpoint, address).await.unwrap();
        let third = dial(&endpoint, address).await;
        let refused = matches!(third, Err(quinn::ConnectionError::ConnectionClosed(_)));
        assert!(refused, "{third:?}");
        first.close(0_u32.into(), b"");
        // The place is free once the gateway has heard of it.
        while dial(&endpoint, address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(second);
    });
    let metrics = secure.gateway.metrics();
    assert!(metrics.contains("tidegate_clients_refused_total"));
}

#[test]
fn new_certificate_files_serve_new_connections() {
    let upstream = Upstream::http(|_, _| ok("x"));
    let secure = Secure::plain(upstream.address, "");
    let presented = |connection: &quinn::Connection| {
        let chain = connection.peer_identity().unwrap();
        let chain = chain.downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>();
        chain.unwrap()[0].to_vec()
    };
    run(async {
        let endpoint = endpoint(&secure.authority);
        let address = secure.gateway.address();
        let before = dial(&endpoint, address).await.unwrap();
        let second = secure.authority.sign(&["a.test"]);
        second.write(secure.folder.path(), "a");
        assert!(secure.gateway.process.reload_certificates().is_empty());
        // Another client, because this one could resume its session and be shown nothing.
        let other = peers3::endpoint(&secure.authority);
        let after = dial(&other, address).await.unwrap();
        assert_eq!(presented(&after), second.der().to_vec());
        assert_ne!(presented(&before), presented(&after));
        assert!(
            matches!(raw(&before, &head(GET)).await, End::Answered(_)),
            "what is open stays"
        );
    });
}

#[test]
fn a_reload_switches_it_off_and_on() {
    let upstream = Upstream::http(|_, _| ok("x"));
    let secure = Secure::plain(upstream.address, "");
    let (on, address) = (document(upstream.address, "", ""), secure.gateway.address());
    let off = on.replace(", http3: {}", "");
    run(async {
        let endpoint = endpoint(&secure.authority);
        let (mut sender, connection) = connect(&endpoint, address).await;
        let (head, _) = ask(&mut sender, request("GET", "/"), None).await;
        assert_eq!(head.status(), 200);
        secure.gateway.reload(&off).unwrap();
        assert_eq!(closed(&connection).await, End::Closed(NO_ERROR));
        // It is on again, whether or not the old socket has been given up. Who comes while its last
        // packets leave is told to come again.
        secure.gateway.reload(&on).unwrap();
        while dial(&endpoint, address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (mut sender, _connection) = connect(&endpoint, address).await;
        let (head, _) = ask(&mut sender, request("GET", "/"), None).await;
        assert_eq!(head.status(), 200);
    });
}

#[test]
fn it_is_on_again_while_what_came_before_still_finishes() {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let began = Arc::new(AtomicBool::new(false));
    let beginning = began.clone();
    let upstream = Upstream::http(move |head, _| {
        if head.starts_with("GET /slow") {
            beginning.store(true, Ordering::SeqCst);
            wait.lock().unwrap().recv().unwrap();
        }
        ok("x")
    });
    let secure = Secure::plain(upstream.address, "");
    let (on, address) = (document(upstream.address, "", ""), secure.gateway.address());
    let off = on.replace(", http3: {}", "");
    run(async {
        let endpoint = endpoint(&secure.authority);
        let (mut sender, connection) = connect(&endpoint, address).await;
        let slow = async { ask(&mut sender, request("GET", "/slow"), None).await };
        let meanwhile = async {
            while !began.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            for _ in 0..3 {
                secure.gateway.reload(&off).unwrap();
                secure.gateway.reload(&on).unwrap();
            }
            let (mut sender, _connection) = connect(&endpoint, address).await;
            let (head, _) = ask(&mut sender, request("GET", "/"), None).await;
            assert_eq!(head.status(), 200);
            release.send(()).unwrap();
        };
        let ((head, _), ()) = tokio::join!(slow, meanwhile);
        assert_eq!(head.status(), 200, "what was open is answered");
        drop(sender);
        connection.close(0u32.into(), b"");
    });
}

#[test]
fn a_drain_finishes_what_is_open_and_refuses_more() {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let began = Arc::new(AtomicBool::new(false));
    let beginning = began.clone();
    let upstream = Upstream::raw(move |mut stream, _| {
        let _ = read_request(&mut stream);
        beginning.store(true, Ordering::SeqCst);
        let _ = wait.lock().unwrap().recv_timeout(crate::support::PATIENCE);
        let _ = stream.write_all(ok(&"x".repeat(100_000)).as_bytes());
    });
    let secure = Secure::plain(upstream.address, "");
    let process = secure.gateway.process.clone();
    run(async {
        let endpoint = endpoint(&secure.authority);
        let address = secure.gateway.address();
        let (mut sender, connection) = connect(&endpoint, address).await;
        let mut stream = sender.send_request(request("GET", "/")).await.unwrap();
        stream.finish().await.unwrap();
        while !began.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let draining = std::thread::spawn(move || process.drain(crate::support::PATIENCE));
        // Refused by GOAWAY at the client's end, or by the gateway on the way.
        loop {
            let refused = match sender.send_request(request("GET", "/")).await {
                Err(_) => true,
                Ok(mut more) => {
                    let _ = more.finish().await;
                    let waiting =
                        tokio::time::timeout(Duration::from_millis(50), more.recv_response());
                    matches!(waiting.await, Ok(Err(_)))
                }
            };
            if refused {
                break;
            }
        }
        assert!(
            dial(&endpoint, address).await.is_err(),
            "nobody connects any more"
        );
        release.send(()).unwrap();
        release.send(()).unwrap();
        assert_eq!(stream.recv_response().await.unwrap().status(), 200);
        assert_eq!(peers3::read(&mut stream).await.len(), 100_000);
        assert_eq!(closed(&connection).await, End::Closed(NO_ERROR));
        draining.join().unwrap();
    });
}

#[test]
fn an_idle_connection_is_told_to_go() {
    let upstream = Upstream::http(|_, _| ok("x"));
    let secure = Secure::plain(upstream.address, ", limits: { idle: 200ms }");
    run(async {
        let endpoint = endpoint(&secure.authority);
        let connection = dial(&endpoint, secure.gateway.address()).await.unwrap();
        assert_eq!(closed(&connection).await, End::Closed(NO_ERROR));
    });
}

#[test]
fn listeners_that_cannot_speak_it_are_refused() {
    let upstream = Upstream::http(|_, _| ok("x"));
    let secure = Secure::plain(upstream.address, "");
    let on = document(upstream.address, "", "");
    for (from, to, why) in [
        (
            "tls: { certificates: [{ chain: a.pem, key: a.key }] }, ",
            "",
            "needs `tls`",
        ),
        (
            "http3: {}",
            "http3: {}, proxy_protocol: required",
            "PROXY protocol",
        ),
        (
            "'127.0.0.1:0'",
            "'unix:/tmp/never-bound.sock'",
            "Unix socket",
        ),
    ] {
        let error = secure.gateway.reload(&on.replace(from, to)).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}
