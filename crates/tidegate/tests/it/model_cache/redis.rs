//! Kept answers in a real Redis or Valkey server: shared, stalled, gone, and over TLS.

use super::{call, configuration, counting, is_miss, send, status};
use crate::support::gateway::Running;
use crate::support::{Gateway, eventually};
use rustix::process::Signal;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

/// A Redis server of the test's own, on ports that were free a moment ago.
struct Redis {
    process: Running,
    address: String,
    /// The address where it speaks TLS, with the certificate beside it.
    secure: String,
    folder: tempfile::TempDir,
}

/// A port that is free a moment later, too.
fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

impl Redis {
    fn start() -> Option<Self> {
        let names = ["valkey-server", "redis-server"];
        let is_here = |name: &&str| Command::new(name).arg("--version").output().is_ok();
        let Some(program) = names.into_iter().find(is_here) else {
            eprintln!("skipped: 1 check: neither valkey-server nor redis-server is installed");
            return None;
        };
        let (port, secure) = (free_port(), free_port());
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("redis.pem"), made.cert.pem()).unwrap();
        std::fs::write(file("redis.key"), made.signing_key.serialize_pem()).unwrap();
        let mut command = Command::new(program);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--requirepass", "of-the-test"]);
        command.arg("--dir").arg(folder.path());
        command.args([
            "--tls-port",
            &secure.to_string(),
            "--tls-auth-clients",
            "no",
        ]);
        command.arg("--tls-cert-file").arg(file("redis.pem"));
        command.arg("--tls-key-file").arg(file("redis.key"));
        let process = Running::start(&mut command);
        process.line_with("Ready to accept connections");
        Some(Self {
            process,
            address: format!("127.0.0.1:{port}"),
            secure: format!("localhost:{secure}"),
            folder,
        })
    }
}

#[test]
fn gateways_share_a_redis_and_do_without_it() {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    let provider = counting();
    let settings = format!(
        "{{ redis: {{ address: \"{}\", password: {{ env: REDIS }}, database: 3, timeout: 200ms }} }}",
        redis.address
    );
    let text = configuration(&provider, &settings);
    let start = || Gateway::with(&text, "", &[("REDIS", "of-the-test")]);
    let (one, other) = (start(), start());
    let key = "tg_example";
    is_miss(&call(&one, key, "a", &[]));
    eventually("the other gateway has it", || {
        status(&call(&other, key, "a", &[])).contains("; hit")
    });
    is_miss(&call(&other, "other-key", "a", &[]));
    let streamed = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"a"}]}"#;
    let live = send(&one, key, streamed, &[]);
    eventually("the stream is kept", || {
        let kept = send(&other, key, streamed, &[]);
        status(&kept).contains("; hit") && kept.body == live.body
    });

    // One that stalls costs the first call its timeout, and later ones nothing.
    redis.process.signal(Signal::STOP);
    let failed = "tidegate; fwd=miss; detail=store";
    assert_eq!(status(&call(&one, key, "a", &[]).expect(200)), failed);
    let begun = Instant::now();
    let mut at_once = 0;
    for _ in 0..10 {
        let before = Instant::now();
        assert_eq!(status(&call(&one, key, "a", &[]).expect(200)), failed);
        at_once += usize::from(before.elapsed() < Duration::from_millis(200));
    }
    assert!(at_once >= 5, "{at_once} of 10 in {:?}", begun.elapsed());
    redis.process.signal(Signal::CONT);
    eventually("it is asked again", || {
        status(&call(&one, key, "a", &[])).contains("; hit")
    });

    // One that is gone, likewise.
    redis.process.child.kill().unwrap();
    redis.process.ended();
    assert_eq!(status(&call(&one, key, "a", &[]).expect(200)), failed);
    assert_eq!(status(&call(&one, key, "b", &[]).expect(200)), failed);
    assert!(
        !one.metrics()
            .contains("tidegate_cache_store_errors_total{cache=\"ai/1/model_cache\"} 0")
    );
    assert!(
        one.process
            .lines()
            .iter()
            .all(|line| !line.contains("of-the-test"))
    );
}

#[test]
fn gateways_share_what_they_learn_about_similar_questions() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let provider = counting();
    let settings = format!(
        "{{ redis: {{ address: \"{}\", password: {{ env: REDIS }}, timeout: 5s }}, semantic: {{ error: 20% }} }}",
        redis.address
    );
    let text = configuration(&provider, &settings);
    let start = || Gateway::with(&text, "", &[("REDIS", "of-the-test")]);
    let (one, other) = (start(), start());
    let question = |n: usize| format!("what is the capital of france{}", " ".repeat(n));
    let similar = "; detail=similar";
    let mut asked = 0;
    eventually("one gateway has learnt that one answer serves all", || {
        asked += 1;
        status(&call(&one, "tg_example", &question(asked), &[])).contains(similar)
    });
    // The other one has asked nothing yet.
    let mut given = 0;
    for n in asked + 1..asked + 20 {
        let answer = call(&other, "tg_example", &question(n), &[]);
        given += usize::from(status(&answer).contains(similar));
    }
    assert!(given > 0, "nothing of what was learnt has come over");
}

#[test]
fn a_redis_is_spoken_to_over_tls_and_only_to_the_right_one() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let provider = counting();
    let start = |authorities: &str| {
        let settings = format!(
            "{{ redis: {{ address: \"{}\", tls: true{authorities}, password: {{ env: REDIS }}, timeout: 5s }} }}",
            redis.secure
        );
        let text = configuration(&provider, &settings);
        Gateway::with(&text, "", &[("REDIS", "of-the-test")])
    };
    let file = redis.folder.path().join("redis.pem");
    let gateway = start(&format!(", authorities: \"{}\"", file.display()));
    is_miss(&call(&gateway, "tg_example", "a", &[]));
    eventually("it is kept", || {
        status(&call(&gateway, "tg_example", "a", &[])).contains("; hit")
    });
    let strict = start("");
    let answer = call(&strict, "tg_example", "a", &[]).expect(200);
    assert_eq!(status(&answer), "tidegate; fwd=miss; detail=store");
}
