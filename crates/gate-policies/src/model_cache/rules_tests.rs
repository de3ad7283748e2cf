//! The policy's settings on exchanges: what passes by, for how long, how much, and where.

use super::tests::{Bench, CHAT, MODELS, chat, said, whole};
use super::*;
use crate::testing::{Harness, VerdictExt};
use gate_flow::{CacheStatus, Services};

const SHARE: &str = "anonymous: share";

#[test]
fn requests_that_want_another_answer_each_time_pass_by() {
    for (yaml, more, reason) in [
        (SHARE, "\"temperature\":0.7", "temperature"),
        (SHARE, "\"temperature\":0", ""),
        (
            "anonymous: share\ntemperature_max: 0.7",
            "\"temperature\":0.7",
            "",
        ),
        (SHARE, "\"tools\":[{\"type\":\"function\"}]", "tools"),
        (
            "anonymous: share\ntools: true",
            "\"tools\":[{\"type\":\"function\"}]",
            "",
        ),
        (SHARE, "\"a\":1,\"a\":1", "unreadable"),
    ] {
        let bench = Bench::new(yaml);
        let body = chat("a").replace("]}", &format!("],{more}}}"));
        let came = bench.ask(bench.exchange(CHAT, None, &body), || whole("ok"));
        assert_eq!(came.facts.reason, reason, "{yaml} {more}");
        let expected = if reason.is_empty() {
            CacheStatus::Hit
        } else {
            CacheStatus::Bypass
        };
        let again = bench.ask(bench.exchange(CHAT, None, &body), || whole("ok"));
        assert_eq!(again.status(), expected, "{yaml} {more}");
    }
    let bench = Bench::new(SHARE);
    for (head, body, reason) in [
        (
            "POST /v1/responses",
            r#"{"model":"m","input":"a","background":true}"#,
            "state",
        ),
        (
            "POST /v1/responses",
            r#"{"model":"m","input":"a","conversation":"c"}"#,
            "state",
        ),
        (
            "POST /v1/chat/completions",
            r#"{"model":"unknown","messages":[]}"#,
            "model",
        ),
    ] {
        let came = bench.ask(bench.exchange(head, None, body), || whole("ok"));
        assert_eq!(came.facts.reason, reason, "{body}");
    }
}

#[test]
fn other_operations_are_kept_where_repeating_them_is_the_same() {
    let bench = Bench::new(SHARE);
    for (head, body, expected) in [
        (
            "POST /v1/embeddings",
            r#"{"model":"e","input":"a"}"#,
            CacheStatus::Hit,
        ),
        (
            "POST /v1/moderations",
            r#"{"model":"m","input":"a"}"#,
            CacheStatus::Hit,
        ),
        (
            "POST /v1/images/generations",
            r#"{"model":"m","prompt":"a"}"#,
            CacheStatus::Bypass,
        ),
        ("GET /v1/models", "", CacheStatus::Bypass),
    ] {
        let ask = || bench.ask(bench.exchange(head, None, body), || whole("ok"));
        ask();
        assert_eq!(ask().status(), expected, "{head}");
    }
}

#[test]
fn callers_decide_with_cache_control() {
    let bench = Bench::new(SHARE);
    let ask = |control: &str, answer: &str| {
        let head = format!("{CHAT}\ncache-control: {control}");
        bench.ask(bench.exchange(&head, None, &chat("a")), || whole(answer))
    };
    assert_eq!(ask("no-store", "first").facts.reason, "no_store");
    assert_eq!(ask("max-age=60", "second").status(), CacheStatus::Miss);
    assert_eq!(ask("no-store", "third").facts.reason, "no_store");
    assert_eq!(ask("max-age=60", "").text(), said("second"));
    assert_eq!(ask("no-cache", "fourth").status(), CacheStatus::Refresh);
    assert_eq!(ask("max-age=60", "").text(), said("fourth"));
    bench.harness.hands.advance(Duration::from_secs(60));
    assert_eq!(ask("max-age=60", "fifth").status(), CacheStatus::Stale);
}

#[test]
fn an_answer_lives_as_long_as_it_may_and_outlives_a_reload() {
    let bench = Bench::new("anonymous: share\nttl: 10s");
    bench.chat("a");
    let reloaded = bench
        .harness
        .policy::<ModelCache>("anonymous: share\nttl: 20s");
    bench.harness.state.sweep();
    let bench = Bench {
        policy: reloaded,
        ..bench
    };
    bench.harness.hands.advance(Duration::from_secs(15));
    assert_eq!(bench.chat("a").status(), CacheStatus::Hit);
    bench.harness.hands.advance(Duration::from_secs(5));
    assert_eq!(bench.chat("a").status(), CacheStatus::Stale);
    assert_eq!(bench.chat("a").status(), CacheStatus::Hit);
}

#[test]
fn a_change_of_the_model_or_of_what_stands_behind_is_another_key() {
    let at = |models: &str| {
        let harness = Harness::new().resources(models);
        let found = harness.context(config::models).expect("valid");
        found["m"]
    };
    let same = at(MODELS);
    assert!(at(MODELS) == same);
    let policies =
        "r: { policies: [{ model_cache: {} }, { access: { allow: [\"10.0.0.0/8\"] } }], target";
    for changed in [
        MODELS.replace("model: x", "model: z"),
        MODELS.replace(
            "openai: {",
            "openai: { base_url: \"http://127.0.0.1:9/v1\",",
        ),
        MODELS.replace("r: { target", policies),
    ] {
        assert!(at(&changed) != same, "{changed}");
    }
}

#[test]
fn an_answer_that_is_too_large_passes_whole_and_is_not_kept() {
    let bench = Bench::new("anonymous: share\nsize: 16KiB\nentry: 1KiB");
    let long = "x".repeat(2_000);
    for _ in 0..2 {
        let came = bench.ask(bench.exchange(CHAT, None, &chat("a")), || whole(&long));
        assert_eq!(came.status(), CacheStatus::Miss);
    }
    for n in 0..200 {
        bench.chat(&n.to_string());
    }
    let counts = bench.harness.state.all::<CacheCounts>();
    let (name, counts) = &counts[0];
    assert_eq!(
        (name.as_str(), counts.oversized.sum()),
        ("r/0/model_cache", 2)
    );
    let bytes = counts.bytes.load(std::sync::atomic::Ordering::Relaxed);
    assert!(bytes > 1_000 && bytes <= 16 * 1024, "{bytes}");
    assert!(counts.evicted.sum() > 100);
}

#[test]
fn a_shared_store_serves_and_its_failure_is_a_miss_at_once() {
    let bench = Bench::new("anonymous: share\nredis: { address: \"cache.test:6379\" }");
    let services = bench.harness.services.clone();
    assert_eq!(bench.chat("a").status(), CacheStatus::Miss);
    assert_eq!(bench.chat("a").status(), CacheStatus::Hit);
    let key = services.kept.borrow().keys().next().cloned().unwrap();
    let key = String::from_utf8(key).unwrap();
    assert!(key.starts_with("tidegate:") && key.len() == 9 + 64, "{key}");
    services
        .kept
        .borrow_mut()
        .values_mut()
        .for_each(|value| value[0] = b'X');
    assert_eq!(
        bench.chat("a").status(),
        CacheStatus::Miss,
        "it is nothing we know"
    );
    services.kept_down.set(true);
    assert_eq!(bench.chat("a").status(), CacheStatus::Failed);
    let asked = services.questions.get();
    for _ in 0..5 {
        assert_eq!(bench.chat("b").status(), CacheStatus::Failed);
    }
    assert_eq!(services.questions.get(), asked, "it rests");
    services.kept_down.set(false);
    bench.harness.hands.advance(Duration::from_secs(64));
    assert_eq!(bench.chat("c").status(), CacheStatus::Miss);
    assert_eq!(bench.chat("c").status(), CacheStatus::Hit);
}

#[test]
fn the_same_request_waits_for_the_one_that_is_under_way() {
    for (answer, expected) in [(200, CacheStatus::Collapsed), (500, CacheStatus::Miss)] {
        let bench = Bench::new("anonymous: share\ncollapse: 5s");
        let mut first = bench.exchange(CHAT, None, &chat("a"));
        assert!(bench.harness.request(&bench.policy, &mut first).is_next());
        let (policy, services) = (bench.policy.clone(), bench.harness.services.clone());
        let answered = async move {
            services.sleep(Duration::from_secs(1)).await;
            let mut response = whole("ok");
            response.head.status = answer;
            assert!(policy.answer(&mut first, &mut response).is_none());
            response.body.collect(10_000).await.expect("whole");
        };
        assert!(bench.harness.services.spawn(Box::pin(answered)));
        let second = bench.chat("a");
        assert_eq!(second.status(), expected);
    }
    let bench = Bench::new("anonymous: share\ncollapse: 2s");
    let mut first = bench.exchange(CHAT, None, &chat("a"));
    assert!(bench.harness.request(&bench.policy, &mut first).is_next());
    assert_eq!(
        bench.chat("a").status(),
        CacheStatus::Miss,
        "no longer than that"
    );
    let waited = bench.harness.services.clock().now().since(first.moment);
    assert!((2..3).contains(&waited.as_secs()), "{waited:?}");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let harness = Harness::new().resources(MODELS);
    for (yaml, words) in [
        ("ttl: 0s", "keep nothing"),
        ("size: 1MiB\nentry: 100KiB", "1/16"),
        ("temperature_max: -1", "0 or more"),
        ("vary: [\"a b\"]", "a b"),
        ("redis: { address: here }", "no port"),
        ("redis: { address: \"a:1\", timeout: 0s }", "no server"),
        (
            "redis: { address: \"a:1\", password: { env: NOT_SET } }",
            "NOT_SET",
        ),
        (
            "redis: { address: \"a:1\", authorities: ca.pem }",
            "verify nothing",
        ),
        ("ttl: 1h\nunknown: 1", "unknown"),
    ] {
        let finding = harness.compile::<ModelCache>(yaml).err();
        let finding = finding.unwrap_or_else(|| panic!("accepted: {yaml}"));
        assert!(finding.message.contains(words), "{yaml}: {finding}");
    }
    let upstream = "upstreams: { u: { endpoints: ['127.0.0.1:9'] } }\nroutes: { r: { target: { upstream: u } } }";
    let harness = Harness::new().resources(upstream);
    let finding = harness.compile::<ModelCache>("{}").err().expect("refused");
    assert!(
        finding.message.contains("only routes to models"),
        "{finding}"
    );
}
