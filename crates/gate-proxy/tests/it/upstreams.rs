//! Balancing, retries, health, hedging, limits and timeouts, through traffic.

use crate::routing::Rows;
use crate::support::{Gateway, Upstream, eventually, ok, plain, read_answer, read_request};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn several(endpoints: &[SocketAddr], more: &str) -> String {
    let list: Vec<String> = endpoints
        .iter()
        .map(|address| format!("'{address}'"))
        .collect();
    format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         upstreams:\n  up:\n    endpoints: [{}]\n{}\n\
         routes: {{ all: {{ target: {{ upstream: up }} }} }}\n",
        list.join(", "),
        more.lines()
            .map(|line| format!("    {line}\n"))
            .collect::<String>()
    )
}

/// An address on which nobody listens.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

#[test]
fn weights_are_followed_by_round_robin() {
    let (a, b) = (
        Upstream::http(|_, _| ok("a")),
        Upstream::http(|_, _| ok("b")),
    );
    let more = format!(
        "balance: {{ round_robin: {{}} }}\nweights: {{ '{}': 3 }}",
        a.address
    );
    let gateway = Gateway::start(&several(&[a.address, b.address], &more));
    let answers: String = (0..40)
        .map(|_| gateway.get("/").text().to_owned())
        .collect();
    assert_eq!(answers.matches('a').count(), 30);
    assert_eq!(answers.matches('b').count(), 10);
}

#[test]
fn a_ring_sends_one_key_to_one_endpoint() {
    let servers: Vec<_> = ["a", "b", "c"]
        .map(|name| Upstream::http(move |_, _| ok(name)))
        .into();
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    let gateway = Gateway::start(&several(
        &addresses,
        "balance: { ring_hash: { by: { header: x-user } } }",
    ));
    let ask = |user: u32| {
        gateway
            .send(&format!(
                "GET / HTTP/1.1\r\nhost: h\r\nx-user: {user}\r\n\r\n"
            ))
            .text()
            .to_owned()
    };
    let first: Vec<String> = (0..30).map(ask).collect();
    let second: Vec<String> = (0..30).map(ask).collect();
    assert_eq!(first, second);
    assert!(
        ["a", "b", "c"]
            .iter()
            .all(|name| first.iter().any(|answer| answer == name)),
        "{first:?}"
    );
}

#[test]
fn a_refused_connection_is_tried_elsewhere_even_for_a_post() {
    let live = Upstream::http(|_, body| ok(&String::from_utf8_lossy(body)));
    let gateway = Gateway::start(&several(
        &[nobody(), live.address],
        "balance: { round_robin: {} }",
    ));
    for _ in 0..6 {
        let answer = gateway.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
        assert_eq!((answer.status, answer.text()), (200, "abc"));
    }
}

#[test]
fn a_reset_is_retried_for_get_and_not_for_post() {
    let seen = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = seen.clone();
    let upstream = Upstream::raw(move |mut stream, number| {
        let (head, _) = read_request(&mut stream);
        if head.is_empty() {
            return;
        }
        count.fetch_add(1, Ordering::SeqCst);
        if number % 2 == 1 {
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\nsecond",
            );
        }
    });
    let gateway = Gateway::start(&plain(upstream.address, ""));
    assert_eq!(gateway.get("/").text(), "second");
    assert_eq!(seen.load(Ordering::SeqCst), 2);
    let answer = gateway.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx");
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("upstream_reset"));
    assert_eq!(seen.load(Ordering::SeqCst), 3, "a POST is sent once");
}

#[test]
fn an_unavailable_answer_is_retried_on_another_endpoint() {
    let bad = Upstream::http(|_, _| {
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".into()
    });
    let good = Upstream::http(|_, _| ok("good"));
    let gateway = Gateway::start(&several(
        &[bad.address, good.address],
        "outlier: { failures: 0 }",
    ));
    // Which endpoint is asked first is drawn by lot.
    eventually("the other endpoint is asked first", || {
        assert_eq!(gateway.get("/").text(), "good");
        bad.accepted() > 0
    });
}

#[test]
fn failing_endpoints_are_ejected_and_come_back() {
    let broken = Arc::new(AtomicBool::new(true));
    let state = broken.clone();
    let flaky = Upstream::http(move |_, _| match state.load(Ordering::SeqCst) {
        true => "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n".into(),
        false => ok("flaky"),
    });
    let good = Upstream::http(|_, _| ok("good"));
    let more = "outlier: { failures: 2, ejection: 300ms }\nretry: { attempts: 0 }\nbalance: { round_robin: {} }";
    let gateway = Gateway::start(&several(&[flaky.address, good.address], more));
    let statuses: Vec<u16> = (0..20).map(|_| gateway.get("/").status).collect();
    assert_eq!(
        statuses.iter().filter(|&&status| status == 502).count(),
        2,
        "{statuses:?}"
    );
    broken.store(false, Ordering::SeqCst);
    eventually("the endpoint is used again", || {
        gateway.get("/").text() == "flaky"
    });
}

#[test]
fn active_checks_take_an_endpoint_out_and_back() {
    let healthy = Arc::new(AtomicBool::new(true));
    let state = healthy.clone();
    let server = Upstream::http(move |head, _| {
        if head.starts_with("GET /healthz") && !state.load(Ordering::SeqCst) {
            return "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".into();
        }
        ok("served")
    });
    let more =
        "health: { http: { path: /healthz, interval: 50ms, timeout: 1s, rise: 1, fall: 2 } }";
    let gateway = Gateway::start(&plain(server.address, more));
    assert_eq!(gateway.get("/").status, 200);
    healthy.store(false, Ordering::SeqCst);
    eventually("it is taken out", || gateway.get("/").status == 503);
    assert!(gateway.get("/").text().contains("no_endpoint"));
    healthy.store(true, Ordering::SeqCst);
    eventually("it is put back", || gateway.get("/").status == 200);
}

#[test]
fn a_hedge_wins_over_a_slow_endpoint() {
    let slow = Upstream::http(|_, _| {
        std::thread::sleep(Duration::from_secs(2));
        ok("slow")
    });
    let fast = Upstream::http(|_, _| ok("fast"));
    let more = "hedge: { after: 50ms }\nbalance: { round_robin: {} }";
    let gateway = Gateway::start(&several(&[slow.address, fast.address], more));
    let started = Instant::now();
    for _ in 0..4 {
        assert_eq!(gateway.get("/").text(), "fast");
    }
    assert!(
        started.elapsed() < Duration::from_millis(1500),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn concurrency_is_limited_per_upstream() {
    let upstream = Upstream::http(|_, _| {
        std::thread::sleep(Duration::from_millis(300));
        ok("done")
    });
    let gateway = Gateway::start(&plain(upstream.address, "concurrency: 2"));
    let mut streams: Vec<_> = (0..5).map(|_| gateway.connect()).collect();
    for stream in &mut streams {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
    }
    let statuses: Vec<u16> = streams
        .iter_mut()
        .map(|stream| read_answer(stream).status)
        .collect();
    assert_eq!(
        statuses.iter().filter(|&&status| status == 200).count(),
        2,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|&&status| status == 503).count(),
        3,
        "{statuses:?}"
    );
    assert_eq!(gateway.get("/").status, 200, "places are given back");
}

#[test]
fn a_full_pool_makes_requests_wait_for_a_connection() {
    let upstream = Upstream::http(|_, _| {
        std::thread::sleep(Duration::from_millis(50));
        ok("done")
    });
    let gateway = Gateway::start(&plain(upstream.address, "pool: { connections: 1 }"));
    let mut streams: Vec<_> = (0..4).map(|_| gateway.connect()).collect();
    for stream in &mut streams {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
    }
    assert!(
        streams
            .iter_mut()
            .all(|stream| read_answer(stream).status == 200)
    );
    assert_eq!(upstream.accepted(), 1);
}

#[test]
fn timeouts_end_silent_upstreams() {
    let silent = Upstream::raw(|mut stream, _| {
        read_request(&mut stream);
        std::thread::sleep(Duration::from_secs(3));
    });
    let more = "timeouts: { first_byte: 150ms }\nretry: { attempts: 0 }";
    let gateway = Gateway::start(&plain(silent.address, more));
    let started = Instant::now();
    let answer = gateway.get("/");
    assert_eq!(answer.status, 504);
    assert!(answer.text().contains("upstream_timeout"));
    assert!(started.elapsed() < Duration::from_secs(1));
    let stalled = Upstream::raw(|mut stream, _| {
        read_request(&mut stream);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome")
            .unwrap();
        std::thread::sleep(Duration::from_secs(3));
    });
    let gateway = Gateway::start(&plain(stalled.address, "timeouts: { idle: 150ms }"));
    let started = Instant::now();
    let answer = gateway.get("/");
    assert!(!answer.complete && answer.text() == "some", "{answer:?}");
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_closed_idle_connection_is_noticed_before_it_is_used() {
    let upstream = Upstream::raw(|mut stream, _| {
        read_request(&mut stream);
        stream.write_all(ok("once").as_bytes()).unwrap();
        // Closing without `connection: close` is what makes keep-alive races.
    });
    let gateway = Gateway::start(&plain(upstream.address, "retry: { attempts: 0 }"));
    for _ in 0..5 {
        let answer = gateway.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx");
        assert_eq!(answer.status, 200);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(upstream.accepted(), 5);
}

#[test]
fn both_tries_of_a_hedge_are_in_the_record_and_the_one_that_served_is_last() {
    let slow = Upstream::raw(|mut stream, _| {
        read_request(&mut stream);
        // Until the gateway lets go.
        read_request(&mut stream);
    });
    let fast = Upstream::http(|_, _| ok("fast"));
    let more = "hedge: { after: 50ms }\nbalance: { round_robin: {} }";
    let (gateway, rows) = Rows::of(&several(&[slow.address, fast.address], more));
    assert_eq!(gateway.get("/").text(), "fast");
    let row = rows.only();
    let tries = row["attempts"].as_array().unwrap();
    let of = |number: usize| (&tries[number]["endpoint"], &tries[number]["status"]);
    assert_eq!(tries.len(), 2, "{row}");
    assert_eq!(of(0), (&slow.address.to_string().into(), &0.into()));
    assert_eq!(of(1), (&fast.address.to_string().into(), &200.into()));
}

#[test]
fn a_hedged_try_that_fails_is_in_the_record_and_counts_against_its_endpoint() {
    let broken = Upstream::raw(|mut stream, _| {
        read_request(&mut stream);
        std::thread::sleep(Duration::from_millis(200));
    });
    let late = Upstream::http(|_, _| {
        std::thread::sleep(Duration::from_millis(600));
        ok("late")
    });
    let more = "hedge: { after: 50ms }\nbalance: { round_robin: {} }\nretry: { attempts: 0 }\n\
                outlier: { failures: 1, ejection: 1h }";
    let (gateway, rows) = Rows::of(&several(&[broken.address, late.address], more));
    assert_eq!(gateway.get("/").text(), "late");
    let row = rows.only();
    let tries = row["attempts"].as_array().unwrap();
    assert_eq!(tries.len(), 2, "{row}");
    assert_eq!(tries[0]["fault"], "upstream_reset", "{row}");
    assert_eq!(tries[1]["status"], 200, "{row}");
    for _ in 0..3 {
        assert_eq!(gateway.get("/").text(), "late");
    }
    assert_eq!(broken.accepted(), 1, "it is ejected");
}

fn busy(fields: &str) -> String {
    format!("HTTP/1.1 503 Service Unavailable\r\n{fields}content-length: 0\r\n\r\n")
}

#[test]
fn retries_end_where_their_budget_does() {
    let bad = Upstream::http(|_, _| busy(""));
    let more =
        "outlier: { failures: 0 }\nretry: { budget: 0 %, backoff: { base: 1ms, most: 1ms } }";
    let gateway = Gateway::start(&plain(bad.address, more));
    for _ in 0..30 {
        assert_eq!(gateway.get("/").status, 503);
    }
    // Ten are always allowed in ten seconds, and this takes less than twenty.
    let asked = bad.seen.lock().unwrap().len();
    assert!((40..=50).contains(&asked), "{asked}");
}

#[test]
fn an_endpoint_that_asks_for_patience_is_not_asked_sooner() {
    let more = "outlier: { failures: 0 }\nretry: { backoff: { base: 1ms, most: 5s } }";
    // Longer than a retry waits: the caller is told, in whichever form the endpoint said it.
    for asked in ["30", "Fri, 01 Jan 2100 00:00:00 GMT"] {
        let field = format!("retry-after: {asked}\r\n");
        let server = Upstream::http(move |_, _| busy(&field));
        let answer = Gateway::start(&plain(server.address, more)).get("/");
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some(asked))
        );
        assert_eq!(server.seen.lock().unwrap().len(), 1, "{asked}");
    }
    // Another endpoint has not asked for anything.
    let (server, good) = (
        Upstream::http(|_, _| busy("retry-after: 30\r\n")),
        Upstream::http(|_, _| ok("good")),
    );
    let most = more.replace("5s", "10ms");
    let gateway = Gateway::start(&several(&[server.address, good.address], &most));
    eventually("the busy one is asked first", || {
        assert_eq!(gateway.get("/").text(), "good");
        server.accepted() > 0
    });
    // A second is waited.
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let server = Upstream::http(move |_, _| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => busy("retry-after: 1\r\n"),
        _ => ok("again"),
    });
    let gateway = Gateway::start(&plain(server.address, more));
    let started = Instant::now();
    assert_eq!(gateway.get("/").text(), "again");
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[test]
fn connecting_and_the_whole_call_have_limits_of_their_own() {
    // A server that takes connections and never begins TLS.
    let mute = Upstream::raw(|mut stream, _| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let more = "timeouts: { connect: 100ms, first_byte: 1h }\nretry: { attempts: 0 }\n\
                tls: { server_name: up.test }";
    let answer = Gateway::start(&plain(mute.address, more)).get("/");
    assert!((502..=504).contains(&answer.status), "{answer:?}");
    // One that always says something, but never the last of it.
    let endless = Upstream::raw(|mut stream, _| {
        read_request(&mut stream);
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut write = stream.write_all(head);
        while write.is_ok() {
            std::thread::sleep(Duration::from_millis(20));
            write = stream.write_all(b"1\r\nx\r\n");
        }
    });
    let more = "timeouts: { total: 400ms, idle: 1h }\nretry: { attempts: 0 }";
    let gateway = Gateway::start(&plain(endless.address, more));
    let answer = gateway.get("/");
    assert!(
        !answer.complete && answer.text().starts_with('x'),
        "{answer:?}"
    );
    // And one that says nothing within it, tries included.
    let silent = Upstream::raw(|mut stream, _| {
        read_request(&mut stream);
        read_request(&mut stream);
    });
    let more = "timeouts: { total: 300ms, first_byte: 1h }";
    let answer = Gateway::start(&plain(silent.address, more)).get("/");
    assert_eq!(answer.status, 504, "{answer:?}");
}
