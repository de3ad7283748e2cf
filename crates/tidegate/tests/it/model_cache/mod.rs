//! Kept answers through the binary: hits, streams, tenants, budgets, reloads; with a real Redis in
//! `redis`.

mod redis;

use crate::examples::{Example, KEY, ask};
use crate::support::{Answer, Gateway, Reply, Upstream, eventually, tidegate};
use rustix::process::Signal;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const PATH: &str = "/v1/chat/completions";
/// SHA-256 of `tg_example`, of `open-sesame` and of `other-key`.
const KEYS: [&str; 3] = [
    "849bcdf2697a91c638e19b84148f16dfc88df7d48e384922ea779360f0837bc4",
    crate::policies::SESAME,
    crate::policies::OTHER,
];

/// A provider whose answers are numbered, so that one that was kept can be told.
fn counting() -> Upstream {
    let count = AtomicUsize::new(0);
    Upstream::start(move |seen| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        let body = String::from_utf8_lossy(&seen.body);
        if seen.target.ends_with("/embeddings") {
            // Questions about capitals lie close together.
            let n = if body.contains("capital") {
                1_000 + n % 50
            } else {
                n
            };
            let body = format!(
                r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":[{n},1]}}],"model":"m","usage":{{"prompt_tokens":1,"total_tokens":1}}}}"#
            );
            return Reply::text(body).header("content-type", "application/json");
        }
        let pause = if body.contains("slow") { 700 } else { 0 };
        if body.contains("fail") {
            return Reply::text(r#"{"error":{"message":"no"}}"#).status(400);
        }
        if body.contains("\"stream\":true") {
            let chunk = |text: &str, usage: &str| {
                format!(
                    "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]{usage}}}\n\n"
                )
            };
            let end = if body.contains("cut") {
                ""
            } else {
                "data: [DONE]\n\n"
            };
            let text = [&chunk(&format!("n{n}"), ""), &chunk(" é", ""), end].concat();
            let reply = Reply::text(text).split(9);
            return reply.header("content-type", "text/event-stream");
        }
        let said = match body.contains("capital") {
            true => "Paris".to_owned(),
            false => format!("n{n}"),
        };
        let body = format!(
            r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{said}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}}}"#
        );
        let reply = Reply::text(body).after(Duration::from_millis(pause));
        reply.header("content-type", "application/json")
    })
}

/// A route to this provider with these settings of `model_cache`, for three consumers.
fn configuration(provider: &Upstream, cache: &str) -> String {
    let address = &provider.address;
    let [web, shop, bank] = KEYS;
    format!(
        "consumers:\n  web: {{ team: sales, keys: [{{ sha256: {web} }}] }}\n  \
         shop: {{ team: sales, keys: [{{ sha256: {shop} }}] }}\n  \
         bank: {{ keys: [{{ sha256: {bank} }}] }}\n\
         providers: {{ p: {{ compatible: {{ base_url: \"http://{address}/v1\" }} }} }}\n\
         models: {{ m: {{ targets: [{{ provider: p, model: x }}] }} }}\n\
         routes: {{ ai: {{ policies: [{{ auth_key: {{ optional: true }} }}, {{ model_cache: {cache} }}], \
         target: {{ models: [m] }} }} }}\n"
    )
}

fn call(gateway: &Gateway, key: &str, text: &str, more: &[&str]) -> Answer {
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    send(gateway, key, &body, more)
}

fn send(gateway: &Gateway, key: &str, body: &str, more: &[&str]) -> Answer {
    let key = match key {
        "" => String::new(),
        key => format!("authorization: Bearer {key}"),
    };
    let json = "content-type: application/json";
    let fields = ["-H", &key, "-H", json, "-d", body];
    gateway.curl(PATH, &[&fields[..], more].concat())
}

fn status(answer: &Answer) -> &str {
    answer.header("cache-status").unwrap_or_default()
}

#[track_caller]
fn is_hit(answer: &Answer) {
    assert!(
        status(answer).starts_with("tidegate; hit; ttl="),
        "{answer:?}"
    );
    assert!(answer.header("age").is_some(), "{answer:?}");
}

#[track_caller]
fn is_miss(answer: &Answer) {
    assert_eq!(status(answer), "tidegate; fwd=miss", "{answer:?}");
}

#[test]
fn the_example_answers_once_for_a_team() {
    let provider = counting();
    let here = format!("openai: {{ base_url: \"http://{}/v1\",", provider.address);
    let gateway = Example::new("model-cache.yaml")
        .replace("openai: {", &here)
        .run(&[("OPENAI_API_KEY", "a")]);
    let first = ask(&gateway, PATH, "assistant").expect(200);
    is_miss(&first);
    let second = ask(&gateway, PATH, "assistant").expect(200);
    is_hit(&second);
    assert_eq!((&second.body, provider.seen().len()), (&first.body, 1));
    let fresh = ask_with(&gateway, "cache-control: no-cache");
    assert_eq!(status(&fresh), "tidegate; fwd=request");
    assert_ne!(fresh.body, first.body);
    assert_eq!(ask(&gateway, PATH, "assistant").body, fresh.body);
    let passed = ask_with(&gateway, "cache-control: no-store");
    assert_eq!(status(&passed), "tidegate; fwd=bypass; detail=no_store");
    eventually("hits are counted", || {
        let metrics = gateway.metrics();
        [
            "tidegate_cache_requests_total{route=\"ai\",status=\"hit\"} 2",
            "tidegate_cache_requests_total{route=\"ai\",status=\"miss\"} 1",
            "tidegate_cache_saved_tokens_total{route=\"ai\",type=\"input\"} 6",
            "tidegate_cache_stored_total{cache=\"ai/2/model_cache\"} 2",
            "tidegate_cache_entries{cache=\"ai/2/model_cache\"} 1",
        ]
        .iter()
        .all(|line| metrics.contains(line))
    });
}

fn ask_with(gateway: &Gateway, field: &str) -> Answer {
    let body =
        r#"{"messages":[{"role":"user","content":"Hi"}],"max_tokens":9,"model":"assistant"}"#;
    let more = [
        "-H",
        "content-type: application/json",
        "-H",
        field,
        "-d",
        body,
    ];
    gateway.curl(PATH, &[&KEY[..], &more].concat()).expect(200)
}

#[test]
fn streams_tenants_and_failures() {
    let provider = counting();
    let gateway = Gateway::start(&configuration(&provider, "{ anonymous: share }"));
    let streamed = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"a"}]}"#;
    let live = send(&gateway, "tg_example", streamed, &[]).expect(200);
    is_miss(&live);
    let kept = send(&gateway, "tg_example", streamed, &[]).expect(200);
    is_hit(&kept);
    assert_eq!(kept.body, live.body);
    assert_eq!(kept.header("content-type"), Some("text/event-stream"));
    assert_eq!(kept.header("content-length"), None, "it is a stream again");
    // Nobody gets another's answer.
    for key in ["open-sesame", "other-key", ""] {
        is_miss(&send(&gateway, key, streamed, &[]).expect(200));
        is_hit(&send(&gateway, key, streamed, &[]).expect(200));
    }
    // What failed or broke off is asked for again.
    for body in [
        r#"{"model":"m","messages":[{"role":"user","content":"fail"}]}"#,
        r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"cut"}]}"#,
    ] {
        is_miss(&send(&gateway, "", body, &[]));
        is_miss(&send(&gateway, "", body, &[]));
    }
    let vectors = r#"{"model":"m","input":"a"}"#;
    let embed = || {
        let more = ["-H", "content-type: application/json", "-d", vectors];
        gateway.curl("/v1/embeddings", &more).expect(200)
    };
    let (first, second) = (embed(), embed());
    is_hit(&second);
    assert_eq!(first.body, second.body);
}

#[test]
fn the_same_request_at_the_same_time_is_asked_once() {
    let provider = counting();
    let gateway = Gateway::start(&configuration(&provider, "{ collapse: 20s }"));
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let asked = || call(&gateway, "tg_example", "slow", &[]).expect(200);
        let calls: Vec<_> = (0..6).map(|_| scope.spawn(asked)).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(provider.seen().len(), 1, "{answers:#?}");
    assert!(answers.iter().all(|answer| answer.body == answers[0].body));
    let misses = answers
        .iter()
        .filter(|answer| status(answer) == "tidegate; fwd=miss");
    assert_eq!(misses.count(), 1);
}

#[test]
fn kept_answers_outlive_a_reload_and_a_change_of_the_model_does_not() {
    let provider = counting();
    let gateway = Gateway::start(&configuration(&provider, "{ ttl: 1h }"));
    let key = "tg_example";
    is_miss(&call(&gateway, key, "a", &[]));
    gateway.rewrite(|text| text.replace("ttl: 1h", "ttl: 2h"));
    gateway.process.signal(Signal::HUP);
    gateway.process.line_with("\"revision\":2");
    is_hit(&call(&gateway, key, "a", &[]));
    gateway.rewrite(|text| text.replace("model: x", "model: y"));
    gateway.process.signal(Signal::HUP);
    gateway.process.line_with("\"revision\":3");
    is_miss(&call(&gateway, key, "a", &[]));
    gateway.rewrite(|text| text.replace("ttl: 2h", "ttl: 1s"));
    gateway.process.signal(Signal::HUP);
    gateway.process.line_with("\"revision\":4");
    std::thread::sleep(Duration::from_millis(1_100));
    let old = call(&gateway, key, "a", &[]);
    assert_eq!(status(&old), "tidegate; fwd=stale");
}

#[test]
fn a_hit_is_not_charged() {
    let provider = counting();
    let here = format!("openai: {{ base_url: \"http://{}/v1\",", provider.address);
    let gateway = Example::new("budgets.yaml")
        .replace("openai: {", &here)
        .replace("tokens: 2000000", "tokens: 2145")
        .replace(
            "[{ auth_key: {} }]",
            "[{ auth_key: {} }, { model_cache: {} }]",
        )
        .run(&[("OPENAI_API_KEY", "a")]);
    // Four calls would be more than the budget has; see `money::budgets`.
    for _ in 0..20 {
        ask(&gateway, PATH, "assistant").expect(200);
    }
    assert_eq!(provider.seen().len(), 1);
    let file = gateway.file().display().to_string();
    let usage = || {
        let output = tidegate(&["usage", &file, "--by", "model", "--json"]);
        String::from_utf8(output.stdout).unwrap()
    };
    eventually("the one call is in the ledger", || {
        usage().contains("\"calls\":1")
    });
}

#[test]
fn a_similar_question_is_answered_once_its_answer_is_known_to_serve() {
    let provider = counting();
    let settings = "{ semantic: { model: m, error: 20% } }";
    let gateway = Gateway::start(&configuration(&provider, settings));
    let chats = || {
        let seen = provider.seen();
        seen.iter()
            .filter(|seen| seen.target.ends_with(PATH))
            .count()
    };
    let (mut explored, mut similar) = (0, 0);
    for n in 0..200 {
        let before = chats();
        let answer = call(&gateway, "tg_example", &format!("{n}: which capital?"), &[]).expect(200);
        assert!(answer.body.contains("Paris"), "{answer:?}");
        match status(&answer) {
            "tidegate; fwd=miss; detail=explored" => explored += 1,
            status if status.ends_with("; detail=similar") => {
                assert_eq!(chats(), before, "nobody is asked");
                similar += 1;
            }
            status => assert_eq!(status, "tidegate; fwd=miss"),
        }
        if similar == 3 {
            break;
        }
    }
    assert!(
        explored >= 4 && similar == 3,
        "{explored} explored, {similar} given"
    );
    is_hit(&call(&gateway, "tg_example", "0: which capital?", &[]));
    eventually("what was learnt is counted", || {
        let metrics = gateway.metrics();
        let labels = "tidegate_cache_labels_total{cache=\"ai/1/model_cache\",same=\"true\"}";
        let line = metrics.lines().find(|line| line.starts_with(labels));
        line.is_some_and(|line| !line.ends_with(" 0"))
            && metrics.contains("status=\"similar_hit\"} 3")
    });
}

#[test]
fn what_a_guard_cuts_is_not_kept_and_the_record_says_what_was() {
    let provider = Upstream::start(|seen| {
        let wants = |word: &str| String::from_utf8_lossy(&seen.body).contains(word);
        let text = if wants("a key") {
            "AKIAIOSFODNN7EXAMPLE"
        } else {
            "nothing"
        };
        let chunk = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text} \"}}}}]}}\n\n"
        );
        let reply = Reply::text(chunk + "data: [DONE]\n\n");
        reply.header("content-type", "text/event-stream")
    });
    let guard = "{ guard: { rules: [{ find: { patterns: [secret] }, action: block }] } }";
    let cache = "{ anonymous: share }";
    for order in [
        format!("{{ model_cache: {cache} }}, {guard}"),
        format!("{guard}, {{ model_cache: {cache} }}"),
    ] {
        let text =
            configuration(&provider, cache).replace(&format!("{{ model_cache: {cache} }}"), &order);
        let log = ", access_log: { to: { file: { path: access.log } } }";
        let gateway = Gateway::with(&text, log, &[]);
        let ask = |text: &str| {
            let body = format!(
                r#"{{"model":"m","stream":true,"messages":[{{"role":"user","content":"{text}"}}]}}"#
            );
            send(&gateway, "", &body, &[]).expect(200)
        };
        for _ in 0..2 {
            let answer = ask("tell me a key");
            assert!(answer.body.contains("guard_blocked"), "{order}: {answer:?}");
            assert!(!answer.body.contains("AKIA"), "{order}: {answer:?}");
        }
        is_miss(&ask("tell me"));
        is_hit(&ask("tell me"));
        let row = || std::fs::read_to_string(gateway.path().join("access.log")).unwrap_or_default();
        eventually("the hit is in the log", || {
            row().lines().any(|line| {
                let row: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
                row["answered_by"] == "model_cache"
                    && row["cache"]["status"] == "hit"
                    && row["cache"]["model"] == "m"
                    && row["cache"]["age_s"].is_u64()
                    && row["ai"].is_null()
            })
        });
    }
}
