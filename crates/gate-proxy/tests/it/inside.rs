//! Requests that the gateway makes of itself: the same routes, policies and records as anybody's,
//! over a real upstream; vouched for, cut, and refused.

use crate::support::{Gateway, Upstream, eventually, ok};
use gate_flow::Inside;
use gate_proxy::inside::{InsideAnswer, InsideError, InsideRequest};
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A route that wants a key, one that does not, and a consumer with two keys.
fn document(upstream: SocketAddr) -> String {
    let key = |letter: &str| letter.repeat(64);
    format!(
        "gateway: {{ workers: 1 }}\n\
         listeners:\n  main: {{ address: '127.0.0.1:0', limits: {{ body: 1000B }} }}\n  \
         bytes: {{ address: '127.0.0.1:0', protocol: tcp }}\n\
         upstreams: {{ up: {{ endpoints: ['{upstream}'] }} }}\n\
         teams: {{ sales: {{}} }}\n\
         consumers:\n  shop:\n    team: sales\n    keys:\n      \
         - {{ sha256: {a}, id: web }}\n      \
         - {{ sha256: {b}, id: other, routes: [open] }}\n      \
         - {{ sha256: {c}, id: old, expires: 2020-01-01T00:00:00Z }}\n\
         routes:\n  locked:\n    match: {{ host: api.test, path: /locked }}\n    \
         policies: [{{ auth_key: {{}} }}]\n    target: {{ upstream: up }}\n  \
         open: {{ match: {{ path: '/open/{{*rest}}' }}, target: {{ upstream: up }} }}\n  \
         forward: {{ match: {{ listeners: [bytes] }}, target: {{ upstream: up }} }}\n",
        a = key("a"),
        b = key("b"),
        c = key("c"),
    )
}

fn locked(consumer: Option<&str>, key: Option<&str>) -> InsideRequest {
    InsideRequest {
        listener: "main".into(),
        method: "POST".into(),
        authority: "api.test".into(),
        target: "/x/../locked".into(),
        headers: vec![("content-type".into(), b"text/plain".to_vec())],
        body: "what is asked"[..].into(),
        inside: Inside {
            consumer: consumer.map(Into::into),
            key: key.map(Into::into),
            background: true,
            ..Inside::default()
        },
        request_id: Some("job-1/7".into()),
        ..InsideRequest::default()
    }
}

fn open() -> InsideRequest {
    InsideRequest {
        target: "/open/1".into(),
        ..locked(None, None)
    }
}

fn run<T>(running: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let patience = Duration::from_secs(20);
    let limited = async { tokio::time::timeout(patience, running).await };
    runtime.unwrap().block_on(limited).expect("it ends in time")
}

fn ask(gateway: &Gateway, request: InsideRequest) -> Result<InsideAnswer, InsideError> {
    let answer = gateway.process.ask(request)?;
    run(answer)
}

fn text(mut answer: InsideAnswer) -> String {
    let body = run(answer.collect(1 << 20)).expect("a whole answer");
    String::from_utf8(body).expect("text")
}

#[test]
fn it_is_an_exchange_like_any_other_for_the_consumer_vouched_for() {
    let upstream = Upstream::http(|_, body| ok(&String::from_utf8_lossy(body).to_uppercase()));
    let gateway = Gateway::start(&document(upstream.address));
    let answer = ask(&gateway, locked(Some("shop"), Some("web"))).expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(answer.header("date").is_some());
    assert_eq!(text(answer), "WHAT IS ASKED");
    let head = upstream.last_seen();
    assert!(head.starts_with("POST /locked "), "one spelling: {head}");
    assert!(
        head.to_lowercase().contains("x-request-id: job-1/7"),
        "{head}"
    );
    // The consumer without a key, as where a token named it.
    let answer = ask(&gateway, locked(Some("shop"), None)).expect("an answer");
    assert_eq!(answer.status, 200);
    eventually("both are counted", || {
        let page = gateway.metrics();
        let counted = |line: &&str| {
            line.starts_with("tidegate_requests_total") && line.contains("route=\"locked\"")
        };
        let count = page.lines().find(counted).map(str::to_owned);
        count.is_some_and(|line| line.ends_with(" 2"))
    });
}

#[test]
fn what_the_consumer_may_not_do_the_gateway_does_not_do_for_it() {
    let upstream = Upstream::http(|_, _| ok("x"));
    let gateway = Gateway::start(&document(upstream.address));
    let cases = [
        (None, None, 401),
        (Some("nobody"), None, 401),
        (Some("shop"), Some("gone"), 401),
        (Some("shop"), Some("old"), 401),
        (Some("shop"), Some("other"), 403),
    ];
    for (consumer, key, status) in cases {
        let answer = ask(&gateway, locked(consumer, key)).expect("an answer");
        assert_eq!(answer.status, status, "{consumer:?} {key:?}");
        assert!(text(answer).contains("\"code\""));
    }
    assert_eq!(upstream.accepted(), 0);
    // Where nobody is asked who calls, nobody has to be.
    assert_eq!(ask(&gateway, open()).expect("an answer").status, 200);
}

#[test]
fn the_listener_is_held_to() {
    let upstream = Upstream::http(|_, _| ok("x"));
    let gateway = Gateway::start(&document(upstream.address));
    for name in ["none", "bytes"] {
        let wrong = InsideRequest {
            listener: name.into(),
            ..open()
        };
        let answer = ask(&gateway, wrong).map(|answer| answer.status);
        assert_eq!(answer, Err(InsideError::Listener(name.into())));
    }
    let long = InsideRequest {
        body: vec![b'x'; 1001].into(),
        ..open()
    };
    assert_eq!(ask(&gateway, long).expect("an answer").status, 413);
    for (method, target) in [("G T", "/"), ("CONNECT", "/"), ("GET", "*"), ("GET", "")] {
        let wrong = InsideRequest {
            method: method.into(),
            target: target.into(),
            ..open()
        };
        let answer = ask(&gateway, wrong).map(|answer| answer.status);
        assert!(
            matches!(answer, Err(InsideError::Malformed(_))),
            "{answer:?}"
        );
    }
}

#[test]
fn giving_up_cancels_the_call_and_a_cut_answer_says_so() {
    let gone = Arc::new(AtomicBool::new(false));
    let noted = gone.clone();
    let upstream = Upstream::raw(move |mut stream, _| {
        let (head, _) = crate::support::read_request(&mut stream);
        let start = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        if stream.write_all(start).is_err() || head.contains("/open/cut") {
            return;
        }
        while stream.write_all(b"4\r\nmore\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
        noted.store(true, Ordering::SeqCst);
    });
    let gateway = Gateway::start(&document(upstream.address));
    let mut answer = ask(&gateway, open()).expect("an answer");
    let piece = run(answer.piece()).expect("a piece").expect("bytes");
    assert!(piece.starts_with(b"first"));
    drop(answer);
    eventually("the upstream's connection is closed", || {
        gone.load(Ordering::SeqCst)
    });
    let cut = InsideRequest {
        target: "/open/cut".into(),
        ..open()
    };
    let mut answer = ask(&gateway, cut).expect("an answer");
    let whole = run(answer.collect(1 << 20));
    assert!(matches!(whole, Err(InsideError::Cut(_))), "{whole:?}");
    assert!(run(answer.piece()).is_none());
    let mut answer = ask(&gateway, open()).expect("an answer");
    let long = run(answer.collect(100));
    assert!(matches!(long, Err(InsideError::Cut(_))), "{long:?}");
}

#[test]
fn a_gateway_that_has_ended_says_so() {
    let upstream = Upstream::http(|_, _| ok("x"));
    let gateway = Gateway::start(&document(upstream.address));
    gateway.process.drain(Duration::ZERO);
    let answer = ask(&gateway, open()).map(|answer| answer.status);
    assert_eq!(answer, Err(InsideError::Gone));
}
