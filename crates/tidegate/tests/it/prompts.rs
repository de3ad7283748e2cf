//! The example of prompt templates, as it is written.

use crate::examples::Example;
use crate::support::{Reply, Upstream};
use serde_json::json;

const ANSWER: &str = r#"{"id":"a","object":"chat.completion","created":1,"model":"x","choices":[{"index":0,"message":{"role":"assistant","content":"y"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;

#[test]
fn a_route_pins_a_prompt_and_callers_choose_one() {
    let provider =
        Upstream::start(|_| Reply::text(ANSWER).header("content-type", "application/json"));
    let here = format!("openai: {{ base_url: \"http://{}/v1\",", provider.address);
    let gateway = Example::new("prompts.yaml")
        .replace("openai: {", &here)
        .run(&[("OPENAI_API_KEY", "a")]);
    let asked = |path: &str, more: &[&str], body: serde_json::Value| {
        let body = body.to_string();
        let json = ["-H", "content-type: application/json", "-d", &body];
        let status = gateway.curl(path, &[&json, more].concat()).status;
        let seen = provider.seen();
        let last = seen
            .last()
            .map(|seen| seen.body.clone())
            .unwrap_or_default();
        let last: serde_json::Value = serde_json::from_slice(&last).unwrap_or_default();
        (status, last)
    };
    let question = json!([{ "role": "user", "content": "It stands still." }]);
    let chat = json!({ "model": "assistant", "messages": question });
    let named = ["-H", "x-product: Tide Clock"];
    let (status, sent) = asked("/support/v1/chat/completions", &named, chat.clone());
    assert_eq!(status, 200);
    assert_eq!(
        sent["messages"][0]["content"],
        "You answer questions about the Tide Clock."
    );
    assert_eq!(sent["messages"][1], question[0]);
    assert_eq!(asked("/support/v1/chat/completions", &[], chat).0, 400);
    let prompt = json!({ "id": "support", "version": "next", "variables": { "product": "Buoy", "words": 9 } });
    let chosen = json!({ "model": "assistant", "input": "It stands still.", "prompt": prompt });
    let (status, sent) = asked("/v1/responses", &[], chosen);
    assert_eq!(status, 200);
    assert_eq!(
        sent["input"][0]["content"],
        "You answer questions about the Buoy in at most 9 words."
    );
    assert!(
        sent.get("prompt").is_none() && sent["temperature"] == 0.2,
        "{sent}"
    );
}
