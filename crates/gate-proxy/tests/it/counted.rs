//! Token counts that no provider gives: by a vocabulary where there is one, else estimated and marked.

use crate::cassettes::{Caller, Provider, Reply};
use crate::money::{digest, open};
use crate::support::{Gateway, eventually};
use base64::Engine;
use gate_store::ledger::{UsageBy, UsageQuery};
use serde_json::{Value, json};

/// A vocabulary of single bytes, in which a text has as many tokens as bytes.
fn vocabulary() -> String {
    let line = |byte: u8| {
        let token = base64::engine::general_purpose::STANDARD.encode([byte]);
        format!("{token} {byte}\n")
    };
    (0..=255).map(line).collect()
}

const STORE: &str = "store: { engine: { sqlite: { path: ledger.db } } }";

/// A gateway with a budget of so many tokens, with or without a vocabulary.
fn start(provider: &Provider, limit: u64, exact: bool) -> (tempfile::TempDir, Gateway) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bytes.tiktoken"), vocabulary()).unwrap();
    let tokenizers = match exact {
        true => ", tokenizers: { o200k_base: bytes.tiktoken }",
        false => "",
    };
    let (address, key) = (provider.address, digest("secret"));
    let yaml = format!(
        "gateway: {{ workers: 1, {STORE}{tokenizers} }}\n\
         listeners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         providers: {{ p: {{ openai: {{ base_url: 'http://{address}/v1', credentials: [{{ env: KEY }}] }} }} }}\n\
         models: {{ m: {{ targets: [{{ provider: p, model: gpt-4o }}] }} }}\n\
         consumers: {{ shop: {{ keys: [{{ sha256: {key} }}] }} }}\n\
         budgets: {{ b: {{ of: {{ consumer: shop }}, limit: {{ tokens: {limit} }}, per: total }} }}\n\
         routes: {{ ai: {{ policies: [{{ auth_key: {{}} }}], target: {{ models: [m] }} }} }}\n"
    );
    let gateway = Gateway::start_in(folder.path(), &yaml).unwrap_or_else(|e| panic!("{e}"));
    (folder, gateway)
}

fn caller(gateway: &Gateway) -> Caller {
    let mut caller = Caller::new(gateway);
    caller.headers = "authorization: Bearer secret\r\n".into();
    caller
}

/// An answer that says nothing of usage.
fn silent() -> Provider {
    let answer = json!({ "id": "a", "object": "chat.completion", "created": 1, "model": "x",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": "y" }, "finish_reason": "stop" }] });
    Provider::with(Reply {
        status: 200,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![answer.to_string().into_bytes()],
    })
}

const REQUEST: &str =
    r#"{"model":"m","max_tokens":100,"messages":[{"role":"user","content":"hello you"}]}"#;
/// Nine bytes, four tokens of frame, and three that begin the answer.
const INPUT: u64 = 16;

#[test]
fn tokens_are_counted_where_no_provider_does() {
    let provider = silent();
    let turn = json!([{ "role": "user", "content": "hello you" }]);
    for exact in [true, false] {
        let (_folder, gateway) = start(&provider, 1000, exact);
        for (path, body, field) in [
            (
                "/v1/messages/count_tokens",
                json!({ "model": "m", "messages": turn }),
                "input_tokens",
            ),
            (
                "/v1beta/models/m:countTokens",
                json!({ "contents": [{ "parts": [{ "text": "hello you" }] }] }),
                "totalTokens",
            ),
            (
                "/v1beta/models/m:countTokens",
                json!({ "generateContentRequest": { "contents": [{ "parts": [{ "text": "hello you" }] }] } }),
                "totalTokens",
            ),
            (
                "/model/m/count-tokens",
                json!({ "input": { "converse": { "messages": [{ "role": "user", "content": [{ "text": "hello you" }] }] } } }),
                "inputTokens",
            ),
        ] {
            let answer = caller(&gateway).post(path, &body.to_string());
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            let said: Value = serde_json::from_slice(&answer.body).unwrap();
            let count = said[field]
                .as_u64()
                .unwrap_or_else(|| panic!("{path}: {said}"));
            let marked = answer.header("x-tidegate-estimated");
            match exact {
                true => assert_eq!((count, marked), (INPUT, None), "{path}"),
                false => assert!(
                    count > 3 && marked == Some("true"),
                    "{path}: {count} {marked:?}"
                ),
            }
        }
    }
    assert_eq!(provider.calls(), 0);
}

#[test]
fn a_tight_budget_is_counted_exactly_before_it_refuses() {
    let provider = silent();
    // The bytes of the request and what vendors may add are 2,100 and more; its tokens and the
    // answer's are less than 150.
    for (limit, exact, status) in [
        (150, false, 429),
        (150, true, 200),
        (120, true, 429),
        (9000, false, 200),
    ] {
        let (_folder, gateway) = start(&provider, limit, exact);
        let answer = caller(&gateway).post("/v1/chat/completions", REQUEST);
        assert_eq!(answer.status, status, "{limit} {exact}: {answer:?}");
    }
}

#[test]
fn a_call_without_usage_settles_at_the_count_of_its_request() {
    let provider = silent();
    let (folder, gateway) = start(&provider, 9000, true);
    assert_eq!(
        caller(&gateway)
            .post("/v1/chat/completions", REQUEST)
            .status,
        200
    );
    let query = UsageQuery {
        by: vec![UsageBy::Model],
        since_ms: 0,
        until_ms: i64::MAX,
        provider: String::new(),
        only: Vec::new(),
    };
    let rows = || open(folder.path()).usage(&query).unwrap();
    eventually("the call is settled", || {
        rows().first().is_some_and(|row| row.calls == 1)
    });
    let row = &rows()[0];
    assert_eq!(
        (row.input_tokens, row.estimated),
        (16, 1),
        "marked all the same"
    );
}

#[test]
fn vocabularies_that_are_none_are_found_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad"), "no vocabulary").unwrap();
    for (tokenizers, words) in [
        ("{ o200k_base: bad }", "line 1 is no token"),
        ("{ o200k_base: missing }", "missing"),
        ("{ o200k: bad }", "no encoding `o200k`"),
    ] {
        let yaml = format!(
            "gateway: {{ tokenizers: {tokenizers} }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n"
        );
        let error = Gateway::start_in(folder.path(), &yaml)
            .err()
            .expect("refused");
        assert!(error.to_string().contains(words), "{error}");
    }
}
