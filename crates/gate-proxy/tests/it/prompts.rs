//! Prompt templates through traffic: every dialect, pinned and chosen, over a reload, in the record.

use crate::cassettes::{Caller, Provider, Reply, document};
use crate::guarded::path;
use crate::support::Gateway;
use gate_ai::Dialect;
use serde_json::{Value, json};

const ANSWERED: &str = r#"{"id":"a","object":"chat.completion","created":1,"model":"x","choices":[{"index":0,"message":{"role":"assistant","content":"y"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;

fn prompts(content: &str) -> String {
    format!(
        "prompts:\n  support:\n    versions:\n      1: {{ messages: [{{ role: system, content: '{content}' }}, {{ role: assistant, content: Welcome }}], variables: {{ name: {{}} }} }}\n    labels: {{ production: 1 }}\n"
    )
}

fn start(provider: &Provider, policy: &str, content: &str) -> String {
    let text = document("compatible", provider.address, &["m"]);
    let policies = format!("policies: [{{ prompt: {policy} }}], target: {{ models:");
    text.replace("target: { models:", &policies) + &prompts(content)
}

fn answering() -> Provider {
    Provider::with(Reply {
        status: 200,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![ANSWERED.into()],
    })
}

#[rustfmt::skip]
fn request(dialect: Dialect, prompt: Option<Value>) -> String {
    let mut body = match dialect {
        Dialect::ChatCompletions | Dialect::CohereChat => json!({ "model": "m", "messages": [{ "role": "user", "content": "q" }] }),
        Dialect::Messages => json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "q" }] }),
        Dialect::Responses => json!({ "model": "m", "input": "q" }),
        Dialect::GenerateContent => json!({ "contents": [{ "parts": [{ "text": "q" }] }] }),
        Dialect::Converse => json!({ "messages": [{ "role": "user", "content": [{ "text": "q" }] }] }),
    };
    if let Some(prompt) = prompt {
        body["prompt"] = prompt;
    }
    body.to_string()
}

/// Role and text of the messages that reached the provider.
fn sent(provider: &Provider) -> Vec<(String, String)> {
    let body: Value = serde_json::from_slice(&provider.last().body).unwrap();
    assert!(body.get("prompt").is_none(), "{body}");
    let text = |content: &Value| match content {
        Value::String(text) => text.clone(),
        parts => parts[0]["text"].as_str().unwrap_or_default().to_owned(),
    };
    let messages = body["messages"].as_array().unwrap().iter();
    messages
        .map(|message| {
            (
                message["role"].as_str().unwrap().to_owned(),
                text(&message["content"]),
            )
        })
        .collect()
}

#[test]
fn every_dialect_gets_the_prompt_of_its_route() {
    let provider = answering();
    let pinned = "{ name: support, label: production, variables: { name: { header: x-name } } }";
    let chosen = "{ choose: [support] }";
    for policy in [pinned, chosen] {
        let gateway = Gateway::start(&start(&provider, policy, "Help {{name}}."));
        for dialect in Dialect::ALL {
            let mut caller = Caller::new(&gateway);
            let prompt = match policy == chosen {
                true => Some(
                    json!({ "id": "support", "version": "1", "variables": { "name": "Ann \"A\"" } }),
                ),
                false => {
                    caller.headers = "x-name: Ann \"A\"\r\n".into();
                    None
                }
            };
            let answer = caller.post(path(dialect, false), &request(dialect, prompt));
            assert_eq!(answer.status, 200, "{dialect:?}: {answer:?}");
            let expected = [
                ("system", "Help Ann \"A\"."),
                ("assistant", "Welcome"),
                ("user", "q"),
            ];
            let expected = expected.map(|(role, text)| (role.to_owned(), text.to_owned()));
            assert_eq!(sent(&provider), expected, "{dialect:?}");
        }
        let calls = provider.calls();
        let body = request(Dialect::ChatCompletions, Some(json!({ "id": "support" })));
        let answer = Caller::new(&gateway).post("/v1/chat/completions", &body);
        assert_eq!((answer.status, provider.calls()), (400, calls));
        assert!(
            answer.text().contains("needs the variable `name`"),
            "{}",
            answer.text()
        );
    }
}

#[test]
fn a_version_in_use_does_not_change() {
    let provider = answering();
    let policy = "{ name: support, version: 1, variables: { name: { value: you } } }";
    let gateway = Gateway::start(&start(&provider, policy, "One {{name}}"));
    let refused = gateway.reload(&start(&provider, policy, "Two {{name}}"));
    let refused = refused.expect_err("a version was changed").to_string();
    assert!(refused.contains("versions do not change"), "{refused}");
    gateway
        .reload(&start(&provider, policy, "One {{name}}"))
        .unwrap();
    Caller::new(&gateway).post(
        "/v1/chat/completions",
        &request(Dialect::ChatCompletions, None),
    );
    assert_eq!(sent(&provider)[0].1, "One you");
}

#[test]
fn mistakes_are_found_before_anything_runs() {
    let provider = answering();
    let policy = "{ name: support, version: 1 }";
    for (content, wrong, words) in [
        ("Hi {{nme}}", "", "no variable `nme`"),
        ("Hi {{name.first}}", "", "is no variable"),
        (
            "Hi {{name}}",
            "production: 1 -> production: 4",
            "no version `4`",
        ),
        (
            "Hi {{name}}",
            "name: {} -> name: { type: number, default: x }",
            "a number",
        ),
    ] {
        let mut text = start(&provider, policy, content);
        if let Some((from, to)) = wrong.split_once(" -> ") {
            text = text.replace(from, to);
        }
        let error = Gateway::try_start(&text)
            .err()
            .unwrap_or_else(|| panic!("started: {text}"));
        assert!(error.to_string().contains(words), "{error}");
    }
}
