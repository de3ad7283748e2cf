//! Callers who send what is no request, in every dialect and operation: they are told what is wrong in
//! their own words, at once, and nothing of the gateway's is shaken by it.

use crate::cassettes::{Caller, Provider, Reply};
use crate::support::Gateway;
use serde_json::{Value, json};

/// Where each is asked for, and what a request has there.
fn requests() -> Vec<(&'static str, Value)> {
    let said = json!([{ "role": "user", "content": "x" }]);
    vec![
        (
            "/v1/chat/completions",
            json!({ "model": "m", "messages": said }),
        ),
        (
            "/v1/messages",
            json!({ "model": "m", "max_tokens": 9, "messages": said }),
        ),
        ("/v1/responses", json!({ "model": "m", "input": "x" })),
        (
            "/v1beta/models/m:generateContent",
            json!({ "contents": [{ "parts": [{ "text": "x" }] }] }),
        ),
        (
            "/model/m/converse",
            json!({ "messages": [{ "role": "user", "content": [{ "text": "x" }] }] }),
        ),
        ("/v2/chat", json!({ "model": "m", "messages": said })),
        ("/v1/embeddings", json!({ "model": "m", "input": "x" })),
        (
            "/v1/rerank",
            json!({ "model": "m", "query": "x", "documents": ["a"] }),
        ),
        (
            "/v1/images/generations",
            json!({ "model": "m", "prompt": "x" }),
        ),
        (
            "/v1/audio/speech",
            json!({ "model": "m", "input": "x", "voice": "a" }),
        ),
        ("/v1/moderations", json!({ "model": "m", "input": "x" })),
        (
            "/v1/messages/count_tokens",
            json!({ "model": "m", "messages": said }),
        ),
    ]
}

/// What is no JSON object, whatever the dialect.
fn nonsense(whole: &str) -> Vec<String> {
    vec![
        String::new(),
        "hello".into(),
        "[]".into(),
        "null".into(),
        "\0".into(),
        "{".repeat(100_000),
        whole[..whole.len() - 3].to_owned(),
        format!("{whole}}}"),
    ]
}

/// Requests in which one member is something else than it is said to be.
fn bent(request: &Value) -> Vec<String> {
    let values = [
        json!(null),
        json!(-1),
        json!("s"),
        json!({}),
        json!([null]),
        json!([[]]),
        json!([{}]),
        json!(1e308),
    ];
    let members = request.as_object().unwrap();
    let more = [
        "stream",
        "tools",
        "tool_choice",
        "response_format",
        "stream_options",
        "system",
        "generationConfig",
        "inferenceConfig",
        "toolConfig",
        "thinking",
        "instructions",
    ];
    let names = members.keys().map(String::as_str).chain(more);
    let mut all: Vec<String> = Vec::new();
    for name in names {
        for value in &values {
            let mut bent = request.clone();
            bent[name] = value.clone();
            all.push(bent.to_string());
        }
        let whole = request.to_string();
        // Deeper than any stack, and a number longer than any register.
        let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
        for value in [deep, "9".repeat(5_000)] {
            all.push(format!(
                "{},\"{name}\":{value}}}",
                &whole[..whole.len() - 1]
            ));
        }
    }
    all
}

/// The gateway's message in whatever words the path's callers look for it.
fn message(answer: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(answer).ok()?;
    let told = [&body["error"]["message"], &body["message"], &body["detail"]];
    let told = told.into_iter().find_map(Value::as_str)?;
    Some(told.to_owned())
}

/// One gateway before a provider of this kind.
fn gateway(kind: &str, provider: &Provider) -> Gateway {
    Gateway::start(&format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         providers: {{ p: {{ {kind}: {{ base_url: 'http://{}/v1', credentials: [{{ env: KEY }}] }} }} }}\n\
         models: {{ m: {{ targets: [{{ provider: p, model: x }}] }} }}\n\
         routes: {{ ai: {{ target: {{ models: [m] }} }} }}\n",
        provider.address
    ))
}

#[test]
fn what_is_no_request_is_told_so_in_every_dialect_and_operation() {
    // Native to some and translated for others.
    for kind in ["openai", "anthropic"] {
        let provider = Provider::with(Reply {
            status: 200,
            headers: "content-type: application/json\r\n".into(),
            pieces: vec![b"{}".to_vec()],
        });
        let gateway = gateway(kind, &provider);
        let mut caller = Caller::new(&gateway);
        for (path, request) in requests() {
            let before = provider.calls();
            let whole = request.to_string();
            for body in nonsense(&whole) {
                let answer = caller.post(path, &body);
                let shown: String = body.chars().take(60).collect();
                assert!(
                    (400..500).contains(&answer.status),
                    "{kind} {path} {shown}: {answer:?}"
                );
                let told = message(&answer.body).unwrap_or_default();
                assert!(!told.is_empty(), "{kind} {path} {shown}: {answer:?}");
            }
            assert_eq!(provider.calls(), before, "{kind} {path}: nothing is sent");
            for body in bent(&request) {
                let answer = caller.post(path, &body);
                let shown: String = body.chars().take(100).collect();
                // 502 is the stand-in's answer, which no dialect can read.
                let is_sound = answer.status < 500 || answer.status == 502;
                assert!(is_sound, "{kind} {path} {shown}: {answer:?}");
                if answer.status >= 400 {
                    let told = message(&answer.body).unwrap_or_default();
                    assert!(!told.is_empty(), "{kind} {path} {shown}: {answer:?}");
                }
            }
        }
        let metrics = gateway.metrics();
        assert!(
            !metrics
                .lines()
                .any(|line| line.starts_with("tidegate_panics_total") && !line.ends_with(" 0")),
            "{metrics}"
        );
    }
}
