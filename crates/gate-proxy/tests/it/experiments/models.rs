//! The same for calls to models.

use super::{sample, struck};
use crate::cassettes::{Caller, Provider, Reply};
use crate::support::{Answer, Gateway, eventually};
use serde_json::Value;
use std::time::{Duration, Instant};

const CHAT: &str = "/v1/chat/completions";

fn request(model: &str, stream: bool) -> String {
    format!(
        r#"{{"model":"{model}","stream":{stream},"messages":[{{"role":"user","content":"x"}}]}}"#
    )
}

const ANSWER: &str = r#"{"id":"a","object":"chat.completion","created":1,"model":"second","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}"#;

fn chunk(delta: &str, more: &str) -> String {
    format!(
        "data: {{\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"p\",\
         \"choices\":[{{\"index\":0,\"delta\":{delta}{more}}}]}}\n\n"
    )
}

fn events() -> Vec<String> {
    vec![
        chunk(r#"{"role":"assistant","content":"one"}"#, ""),
        chunk(r#"{"content":" two"}"#, ""),
        chunk(r#"{"content":" three"}"#, ""),
        chunk("{}", r#","finish_reason":"stop""#),
        "data: [DONE]\n\n".to_owned(),
    ]
}

fn whole() -> Provider {
    Provider::with(Reply {
        status: 200,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![ANSWER.into()],
    })
}

fn streaming() -> Provider {
    Provider::with(Reply {
        status: 200,
        headers: "content-type: text/event-stream\r\n".into(),
        pieces: events().into_iter().map(String::into_bytes).collect(),
    })
}

/// The model `m` of the provider `one`, with `two` behind it; `only` of `one` alone.
fn document(one: &Provider, two: &Provider, inject: &str, more: &str) -> String {
    let kind = |provider: &Provider| {
        format!(
            "openai: {{ base_url: 'http://{}/v1', credentials: [{{ env: K }}] }}",
            provider.address
        )
    };
    format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         providers:\n  one: {{ {} }}\n  two: {{ {} }}\n\
         models:\n  m: {{ targets: [{{ provider: one, model: p }}], fallback: [{{ provider: two, model: p }}] }}\n\
         \x20 only: {{ targets: [{{ provider: one, model: p }}] }}\n\
         \x20 other: {{ targets: [{{ provider: two, model: p }}] }}\n\
         routes: {{ ai: {{ target: {{ models: [m, only, other] }} }} }}\n\
         experiments: {{ x: {{ inject: {inject}, scope: {{ provider: one }}, for: 1h{more} }} }}\n",
        kind(one),
        kind(two)
    )
}

fn ask(gateway: &Gateway, model: &str, stream: bool) -> Answer {
    Caller::new(gateway).post(CHAT, &request(model, stream))
}

#[test]
fn a_storm_of_429_is_weathered_by_the_fallback() {
    let (one, two) = (whole(), whole());
    let inject = "{ refuse: { retry_after: 30s } }";
    let gateway = Gateway::start(&document(&one, &two, inject, ""));
    for _ in 0..3 {
        let answer = ask(&gateway, "m", false);
        assert_eq!((answer.status, answer.text()), (200, ANSWER));
    }
    assert_eq!((one.calls(), two.calls()), (0, 3));
    assert!(struck(&gateway) >= 1);
    gateway.process.shared().experiments.stop("x").unwrap();
}

#[test]
fn who_has_nobody_else_is_told_to_wait() {
    let (one, two) = (whole(), whole());
    let inject = "{ refuse: { retry_after: 30s, code: slow_down } }";
    let gateway = Gateway::start(&document(&one, &two, inject, ""));
    let answer = ask(&gateway, "only", false);
    assert_eq!(answer.status, 429, "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("30"));
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["error"]["code"], "slow_down");
    assert!(!answer.text().contains("experiment"));
    assert_eq!(one.calls(), 0);
    assert_eq!(ask(&gateway, "other", false).status, 200);
}

#[test]
fn a_stream_is_cut() {
    let (one, two) = (streaming(), streaming());
    let gateway = Gateway::start(&document(&one, &two, "{ cut_stream: { after: 2 } }", ""));
    let answer = ask(&gateway, "only", true);
    assert_eq!(answer.status, 200);
    let text = answer.text();
    assert!(text.contains("two") && !text.contains("three"), "{text}");
    assert!(
        !text.contains("[DONE]") && !text.contains("experiment"),
        "{text}"
    );
    let other = ask(&gateway, "other", true);
    assert!(other.complete && other.text().contains("three"));
    assert_eq!(struck(&gateway), 1);
    // What is no stream cannot be cut.
    one.set(Reply {
        status: 200,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![ANSWER.into()],
    });
    assert_eq!(ask(&gateway, "only", false).text(), ANSWER);
    assert_eq!(struck(&gateway), 1);
}

#[test]
fn a_stream_that_is_cut_before_its_first_token_is_asked_of_another() {
    let (one, two) = (streaming(), streaming());
    let gateway = Gateway::start(&document(&one, &two, "{ cut_stream: {} }", ""));
    let answer = ask(&gateway, "m", true);
    assert!(answer.complete && answer.text().contains("three"));
    assert_eq!((one.calls(), two.calls()), (1, 1));
}

#[test]
fn a_stream_stalls_and_goes_on() {
    let (one, two) = (streaming(), streaming());
    let inject = "{ stall: { after: 1, for: 300ms } }";
    let gateway = Gateway::start(&document(&one, &two, inject, ""));
    let started = Instant::now();
    let answer = ask(&gateway, "only", true);
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert!(answer.complete);
    assert_eq!(answer.text(), events().concat());
    eventually("it is over", || {
        sample(&gateway, "tidegate_experiment_active") == 0
    });
}

#[test]
fn a_stall_beyond_the_time_limit_is_one() {
    let (one, two) = (streaming(), streaming());
    let inject = "{ stall: { after: 1, for: 1h } }";
    let text = document(&one, &two, inject, "");
    let text = text.replace("only: {", "only: { idle: 200ms,");
    let gateway = Gateway::start(&text);
    let answer = ask(&gateway, "only", true);
    assert!(answer.text().contains("one") && !answer.text().contains("two"));
    assert!(!answer.text().contains("[DONE]"));
}

#[test]
fn an_event_cannot_be_read() {
    let (one, two) = (streaming(), streaming());
    let inject = "{ malformed_chunk: { after: 1 } }";
    let gateway = Gateway::start(&document(&one, &two, inject, ""));
    let answer = ask(&gateway, "only", true);
    let text = answer.text();
    let unread = text
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]" && serde_json::from_str::<Value>(data).is_err());
    assert_eq!(unread.count(), 1, "{text}");
    assert_eq!(struck(&gateway), 1);
    assert!(ask(&gateway, "other", true).text().contains("three"));
}

#[test]
fn usage_is_wrong() {
    let (one, two) = (whole(), whole());
    let gateway = Gateway::start(&document(&one, &two, "{ wrong_usage: { factor: 10 } }", ""));
    let usage = |model: &str| {
        let body: Value = serde_json::from_slice(&ask(&gateway, model, false).body).unwrap();
        assert_eq!(body["choices"][0]["message"]["content"], "hello");
        body["usage"]["prompt_tokens"].as_u64()
    };
    assert_eq!((usage("only"), usage("other")), (Some(110), Some(11)));
    // The gateway counts what the provider says.
    eventually("the record is made", || {
        let page = gateway.metrics();
        page.lines().any(|line| {
            line.starts_with("gen_ai_client_token_usage_sum")
                && line.contains("tidegate_model=\"only\"")
                && line.contains("gen_ai_token_type=\"input\"")
                && line.contains("} 110")
        })
    });
}

#[test]
fn what_befalls_any_service_befalls_providers() {
    let (one, two) = (whole(), whole());
    for inject in [
        "{ reset: {} }",
        "{ abort: { status: 500 } }",
        "{ truncate: { after: 5B } }",
    ] {
        let gateway = Gateway::start(&document(&one, &two, inject, ""));
        let answer = ask(&gateway, "m", false);
        assert_eq!((answer.status, answer.text()), (200, ANSWER), "{inject}");
        assert!(struck(&gateway) >= 1);
    }
}
