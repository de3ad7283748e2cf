//! Choices that a setting offers beside the usual one, each by what it does to traffic.

use crate::replay::rows::hash;
use crate::support::{Gateway, Upstream, eventually, ok, plain, read_request};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Three endpoints that say their names.
fn three(more: &str) -> String {
    let servers = ["a", "b", "c"].map(|name| Upstream::http(move |_, _| ok(name)));
    let endpoints = servers.map(|server| format!("'{}'", server.address));
    plain(SocketAddr::from(([127, 0, 0, 1], 1)), more)
        .replace("'127.0.0.1:1'", &endpoints.join(", "))
}

/// The same value goes to the same endpoint, and values go to all of them.
fn stays(gateway: &Gateway, field: impl Fn(u32) -> String) {
    let ask = |who: u32| {
        let request = format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n\r\n", field(who));
        let answer = gateway.send(&request);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text().to_owned()
    };
    let first: Vec<String> = (0..30).map(ask).collect();
    let second: Vec<String> = (0..30).map(ask).collect();
    assert_eq!(first, second);
    let named = |name: &&str| first.iter().any(|answer| answer == name);
    assert!(["a", "b", "c"].iter().all(named), "{first:?}");
}

#[test]
fn a_ring_may_look_at_a_cookie_or_the_consumer() {
    let gateway = Gateway::start(&three(
        "balance: { ring_hash: { by: { cookie: session } } }",
    ));
    stays(&gateway, |who| {
        format!("cookie: theme=dark; session=s{who}; n={who}")
    });
    let consumers: String = (0..30)
        .map(|who| {
            let sha = hash(&format!("key-{who}"));
            let sha: String = sha.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("  c{who}: {{ keys: [{{ sha256: {sha} }}] }}\n")
        })
        .collect();
    let yaml = three("balance: { ring_hash: { by: { consumer: {} } } }")
        .replace("{ all: {", "{ all: { policies: [{ auth_key: {} }],");
    let gateway = Gateway::start(&format!("{yaml}consumers:\n{consumers}"));
    stays(&gateway, |who| format!("authorization: Bearer key-{who}"));
}

#[test]
fn an_endpoint_that_nobody_listens_at_is_out_until_somebody_does() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let check = "health: { tcp: { interval: 50ms, timeout: 1s, rise: 1, fall: 2 } }";
    let gateway = Gateway::start(&plain(address, check));
    eventually("it is taken out", || {
        gateway.get("/").text().contains("no_endpoint")
    });
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                // A check connects and says nothing.
                let (head, _) = read_request(&mut stream);
                if !head.is_empty() {
                    let _ = stream.write_all(ok("back").as_bytes());
                }
            });
        }
    });
    eventually("it is put back", || gateway.get("/").status == 200);
}

#[test]
fn an_endpoint_that_comes_back_takes_up_its_share_slowly() {
    let healthy = Arc::new(AtomicBool::new(false));
    let state = healthy.clone();
    let cold = Upstream::http(move |head, _| {
        match head.starts_with("GET /healthz") && !state.load(Ordering::SeqCst) {
            true => "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".into(),
            false => ok("cold"),
        }
    });
    let warm = Upstream::http(|_, _| ok("warm"));
    let more = "balance: { round_robin: {} }\nslow_start: 1h\n\
                health: { http: { path: /healthz, interval: 50ms, timeout: 1s, rise: 1, fall: 1 } }";
    let both = format!("'{}', '{}'", cold.address, warm.address);
    let yaml = plain(cold.address, more).replace(&format!("'{}'", cold.address), &both);
    let gateway = Gateway::start(&yaml);
    let served = |count: usize| {
        let answers = (0..count).map(|_| gateway.get("/").text().to_owned());
        answers.filter(|answer| answer == "cold").count()
    };
    eventually("it is taken out", || served(20) == 0);
    healthy.store(true, Ordering::SeqCst);
    eventually("it is put back", || served(20) > 0);
    // A tenth of its turns at first, where half of all are its own in the end.
    let share = served(400);
    assert!((1..=60).contains(&share), "{share} of 400");
}

#[test]
fn slashes_may_be_left_as_they_are() {
    let upstream = Upstream::http(|head, _| ok(head.split(' ').nth(1).unwrap_or_default()));
    let seen = |paths: &str, path: &str| {
        let listener = format!("main: {{ {paths}");
        let yaml = plain(upstream.address, "").replace("main: {", &listener);
        Gateway::start(&yaml).get(path).text().to_owned()
    };
    assert_eq!(seen("", "/a//b/../c"), "/a/c");
    let kept = "paths: { merge_slashes: false },";
    assert_eq!(seen(kept, "/a//b/../c"), "/a//c");
}

#[test]
fn rows_may_be_text_and_only_some_of_what_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::http(|_, _| ok("four"));
    let log = "access_log: { to: { file: { path: access.log } }, format: text, sample: 0 % }";
    let rows = || -> Vec<String> {
        let text = std::fs::read_to_string(folder.path().join("access.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    let with = |log: &str| {
        let yaml = plain(upstream.address, "");
        yaml.replace("workers: 1", &format!("workers: 1, {log}"))
            .replace("{ all: {", "{ all: { match: { path: /shop },")
    };
    let gateway = Gateway::start_in(folder.path(), &with(log)).unwrap();
    for _ in 0..20 {
        assert_eq!(gateway.get("/shop").status, 200);
    }
    let gone = "GET /gone HTTP/1.1\r\nhost: a\r\nuser-agent: one \"two\"\r\n\r\n";
    assert_eq!(gateway.send(gone).status, 404);
    eventually("the fault is written", || !rows().is_empty());
    gateway.reload(&with(&log.replace("0 %", "100 %"))).unwrap();
    assert_eq!(gateway.get("/shop").status, 200);
    eventually("what succeeds is written", || rows().len() == 2);
    let rows = rows();
    assert!(rows[0].starts_with("127.0.0.1 - - ["), "{rows:?}");
    let (_, fault) = rows[0].split_once("] ").unwrap();
    assert!(
        fault.starts_with("\"GET /gone HTTP/1.1\" 404 "),
        "nothing that succeeded, and the fault: {rows:?}"
    );
    assert!(
        !fault.contains("one \"two\""),
        "quotes are escaped: {fault}"
    );
    let (_, served) = rows[1].split_once("] ").unwrap();
    assert_eq!(served, "\"GET /shop HTTP/1.1\" 200 4 \"-\" \"-\"");
}
