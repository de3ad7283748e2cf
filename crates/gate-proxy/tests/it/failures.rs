//! What a failure of a target leads to, by its class.

use crate::cassettes::{Caller, Provider, Reply};
use crate::routing::{answering, answering_with, chosen, document, gateway, reply, request};
use crate::support::{Gateway, eventually};
use std::time::{Duration, Instant};

const CHAT: &str = "/v1/chat/completions";

fn refusal(status: u16, headers: &str, body: &str) -> Reply {
    Reply {
        status,
        headers: format!("content-type: application/json\r\n{headers}"),
        pieces: vec![body.into()],
    }
}

/// A provider that refuses one of two keys.
fn refusing_one_key(status: u16, body: &'static str) -> crate::support::Upstream {
    crate::support::Upstream::http(move |head, _| {
        if head.contains("secret-of-BAD") {
            return format!(
                "HTTP/1.1 {status} No\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
        let body = String::from_utf8(reply("good", "").pieces.concat()).unwrap();
        crate::support::ok(&body)
    })
}

#[test]
fn a_bad_key_benches_one_credential_and_not_its_provider() {
    for (status, body) in [
        (
            401,
            r#"{"error":{"code":"invalid_api_key","message":"no"}}"#,
        ),
        (
            429,
            r#"{"error":{"code":"insufficient_quota","message":"no"}}"#,
        ),
        (
            429,
            r#"{"error":{"type":"rate_limit_exceeded","message":"no"}}"#,
        ),
    ] {
        let provider = refusing_one_key(status, body);
        let gateway = Gateway::start(&document(
            &[provider.address],
            "[{ env: BAD }, { env: GOOD }]",
            "targets: [{ provider: p0, model: a }]",
        ));
        let mut caller = Caller::new(&gateway);
        for _ in 0..6 {
            assert_eq!(caller.post(CHAT, &request("x")).status, 200);
        }
        let seen = provider.seen.lock().unwrap();
        let bad = seen.iter().filter(|head| head.contains("secret-of-BAD"));
        assert_eq!(
            bad.count(),
            1,
            "{status} {body}: asked once, then passed over"
        );
        assert_eq!(seen.len(), 7);
    }
}

#[test]
fn words_of_the_caller_in_a_refusal_bench_nothing() {
    for words in [
        "my api key",
        "insufficient balance",
        "you exceeded your current quota",
    ] {
        let body = format!(
            r#"{{"error":{{"type":"invalid_request_error","code":"invalid_value","message":"Invalid value: '{words}'."}}}}"#
        );
        let provider = Provider::refusing(400, "", &body);
        let model = "targets: [{ provider: p0, model: a }]\nretry: { attempts: 0 }";
        let credentials = "[{ env: FIRST }, { env: SECOND }]";
        let gateway = Gateway::start(&document(&[provider.address], credentials, model));
        let answer = Caller::new(&gateway).post(CHAT, &request(words));
        assert_eq!((answer.status, answer.text()), (400, &*body));
        assert_eq!(provider.calls(), 1, "{words}: no other credential is asked");
        assert_eq!(Caller::new(&gateway).post(CHAT, &request("x")).status, 400);
        assert_eq!(provider.calls(), 2, "{words}");
    }
}

#[test]
fn what_was_learnt_survives_a_reload() {
    let provider = refusing_one_key(401, r#"{"error":{"code":"invalid_api_key"}}"#);
    let text = document(
        &[provider.address],
        "[{ env: BAD }, { env: GOOD }]",
        "targets: [{ provider: p0, model: a }]",
    );
    let gateway = Gateway::start(&text);
    let mut caller = Caller::new(&gateway);
    for _ in 0..2 {
        assert_eq!(caller.post(CHAT, &request("x")).status, 200);
    }
    gateway
        .reload(&text.replace("model: a", "model: a, weight: 2"))
        .unwrap();
    for _ in 0..4 {
        assert_eq!(caller.post(CHAT, &request("x")).status, 200);
    }
    let seen = provider.seen.lock().unwrap();
    let bad = seen.iter().filter(|head| head.contains("secret-of-BAD"));
    assert_eq!(bad.count(), 1);
}

#[test]
fn a_target_out_of_headroom_is_passed_over_until_its_reset() {
    let start = |reset: &str| {
        let fields =
            format!("x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: {reset}\r\n");
        let (full, other) = (answering_with("full", &fields), answering("other"));
        let gateway = gateway(
            &[full.address, other.address],
            "strategy: { priority: {} }\n\
             targets: [{ provider: p0, model: a }, { provider: p1, model: b }]",
        );
        let mut caller = Caller::new(&gateway);
        assert_eq!(chosen(&caller.post(CHAT, &request("x"))), "full");
        (gateway, caller, full, other)
    };
    let (_gateway, mut caller, ..) = start("1h");
    for _ in 0..3 {
        assert_eq!(chosen(&caller.post(CHAT, &request("x"))), "other");
    }
    let (_gateway, mut caller, ..) = start("300ms");
    eventually("its time is over", || {
        chosen(&caller.post(CHAT, &request("x"))) == "full"
    });
}

#[test]
fn a_storm_of_429_reaches_each_provider_once_per_rest() {
    let body = r#"{"error":{"type":"rate_limit_exceeded","message":"slow"}}"#;
    let storm = Provider::with(refusal(429, "retry-after: 30\r\n", body));
    let other = answering("other");
    let gateway = gateway(
        &[storm.address, other.address],
        "strategy: { priority: {} }\n\
         targets: [{ provider: p0, model: a }, { provider: p1, model: b }]",
    );
    let mut caller = Caller::new(&gateway);
    for _ in 0..50 {
        assert_eq!(chosen(&caller.post(CHAT, &request("x"))), "other");
    }
    assert_eq!(storm.calls(), 1);
    let metrics = gateway.metrics();
    assert!(metrics.contains("tidegate_ai_benched_total"), "{metrics}");
}

#[test]
fn a_call_too_long_goes_to_a_longer_context_only() {
    let body = r#"{"error":{"code":"context_length_exceeded","message":"long"}}"#;
    let short = Provider::with(refusal(400, "", body));
    let (shorter, long) = (answering("shorter"), answering("long"));
    let gateway = gateway(
        &[short.address, shorter.address, long.address],
        "strategy: { priority: {} }\n\
         targets:\n\
         \x20 - { provider: p0, model: a, context: 8000 }\n\
         \x20 - { provider: p1, model: b, context: 4000 }\n\
         \x20 - { provider: p2, model: c, context: 100000 }",
    );
    let answer = Caller::new(&gateway).post(CHAT, &request("x"));
    assert_eq!(chosen(&answer), "long");
    assert_eq!(shorter.calls(), 0);
}

#[test]
fn a_filtered_call_falls_back_only_where_configured() {
    let body = r#"{"error":{"code":"content_filter","message":"no"}}"#;
    for (setting, status) in [("answer", 400), ("fall_back", 200)] {
        let (filter, other) = (Provider::with(refusal(400, "", body)), answering("other"));
        let gateway = gateway(
            &[filter.address, other.address],
            &format!(
                "strategy: {{ priority: {{}} }}\ncontent_filter: {setting}\n\
                 targets: [{{ provider: p0, model: a }}, {{ provider: p1, model: b }}]"
            ),
        );
        let answer = Caller::new(&gateway).post(CHAT, &request("x"));
        assert_eq!(answer.status, status, "{setting}");
    }
}

#[test]
fn a_failure_that_passes_is_tried_again_after_the_time_asked_for() {
    let body = r#"{"error":{"type":"overloaded_error","message":"busy"}}"#;
    let provider = Provider::with(refusal(529, "retry-after-ms: 150\r\n", body));
    let reply_slot = provider.reply.clone();
    let gateway = gateway(&[provider.address], "targets: [{ provider: p0, model: a }]");
    let started = Instant::now();
    let heal = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(60));
        *reply_slot.lock().unwrap() = reply("healed", "");
    });
    let answer = Caller::new(&gateway).post(CHAT, &request("x"));
    assert_eq!(chosen(&answer), "healed");
    assert!(started.elapsed() >= Duration::from_millis(150));
    assert_eq!(provider.calls(), 2);
    heal.join().unwrap();
}

#[test]
fn a_long_wait_is_the_callers_to_decide() {
    let body = r#"{"error":{"type":"rate_limit_exceeded","message":"slow"}}"#;
    let provider = Provider::with(refusal(429, "retry-after: 9\r\n", body));
    let gateway = gateway(&[provider.address], "targets: [{ provider: p0, model: a }]");
    let started = Instant::now();
    let answer = Caller::new(&gateway).post(CHAT, &request("x"));
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (429, Some("9"))
    );
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(provider.calls(), 1);
}

#[test]
fn retries_stop_when_they_are_told_to() {
    let provider = Provider::with(refusal(500, "", "oops"));
    let gateway = gateway(
        &[provider.address],
        "targets: [{ provider: p0, model: a }]\nretry: { attempts: 3, backoff: { base: 1ms, most: 5ms } }",
    );
    let answer = Caller::new(&gateway).post(CHAT, &request("x"));
    assert_eq!(answer.status, 500);
    assert_eq!(provider.calls(), 4);
    eventually("retries are counted", || {
        gateway.metrics().contains("tidegate_ai_retries_total")
    });
}

#[test]
fn an_error_that_comes_whole_with_200_is_an_error() {
    let slow = r#"{"error":{"code":429,"message":"Rate limited upstream"}}"#;
    let broken = Provider::with(refusal(200, "", slow));
    let good = Provider::with(reply("good", ""));
    let two = gateway(
        &[broken.address, good.address],
        "targets: [{ provider: p0, model: a }]\nfallback: [{ provider: p1, model: b }]",
    );
    let answer = Caller::new(&two).post(CHAT, &request("x"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text().contains("good"), "{answer:?}");
    // Told in the caller's words where they are others, and as it came where they are the same.
    let one = gateway(
        &[broken.address],
        "targets: [{ provider: p0, model: a }]\nretry: { attempts: 0 }",
    );
    let mut caller = Caller::new(&one);
    let answer = caller.post(
        "/v1/messages",
        &request("x").replacen('{', "{\"max_tokens\":9,", 1),
    );
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer.status, 429, "{answer:?}");
    assert_eq!(said["error"]["type"], "rate_limit_error", "{said}");
    assert_eq!(said["error"]["message"], "Rate limited upstream", "{said}");
    let answer = caller.post(CHAT, &request("x"));
    assert_eq!((answer.status, answer.text()), (200, slow));
}

#[test]
fn a_refusal_without_words_gets_some() {
    let wordless = Provider::with(refusal(500, "", "<html>oops</html>"));
    let gateway = gateway(
        &[wordless.address],
        "targets: [{ provider: p0, model: a }]\nretry: { attempts: 0 }",
    );
    let request = request("x").replacen('{', "{\"max_tokens\":9,", 1);
    let answer = Caller::new(&gateway).post("/v1/messages", &request);
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer.status, 500);
    assert_eq!(
        said["error"]["message"], "The provider answered with status 500.",
        "{said}"
    );
}
