//! The policy on exchanges: which prompt a request gets, with which values.

use super::*;
use crate::testing::{Harness, VerdictExt};
use serde_json::{Value, json};

const PROMPTS: &str = r#"
models: { m: { targets: [] }, better: { targets: [] } }
routes: { r: { target: { models: [m] } } }
prompts:
  support:
    versions:
      1: { messages: [{ role: system, content: "One for {{product}}." }], variables: { product: {} } }
      2:
        messages:
          - { role: system, content: "You help with {{product}}, {{tone}}ly, in {{words}} words." }
          - { role: user, content: "{{product}}?" }
        variables: { product: { longest: 20 }, tone: { default: kind }, words: { type: number, default: "20" } }
        model: better
        parameters: { temperature: 0.2 }
    labels: { production: 2, old: 1 }
"#;

fn harness() -> Harness {
    Harness::new().resources(PROMPTS)
}

fn chat(more: &str) -> String {
    format!(r#"{{"model":"m",{more}"messages":[{{"role":"user","content":"q"}}]}}"#)
}

/// What becomes of a request: the body that goes on, or what its caller is told.
fn outcome(yaml: &str, head: &str, body: &str) -> Result<(Value, Exchange), String> {
    let harness = harness();
    let policy = harness.policy::<Prompt>(yaml);
    let mut exchange = harness.exchange(head);
    exchange.request.body = Body::from(Chunk::from(body.to_owned()));
    if let Some(fault) = harness.request(&policy, &mut exchange).refused() {
        assert_eq!(fault.code, FaultCode::InvalidBody);
        return Err(fault.message.into_owned());
    }
    let body = harness.block_on(exchange.request.body.collect(1 << 20));
    let body = body.unwrap_or_else(|error| panic!("{error}"));
    Ok((serde_json::from_slice(&body).unwrap(), exchange))
}

const CHAT: &str = "POST /v1/chat/completions\nX-Product: Gate {{tone}}";
const PINNED: &str =
    "name: support\nlabel: production\nvariables: { product: { header: X-Product } }";

#[test]
fn a_pinned_prompt_stands_in_front() {
    let (body, exchange) = outcome(PINNED, CHAT, &chat("")).unwrap();
    let messages = body["messages"].as_array().unwrap();
    assert_eq!(
        messages[0]["content"],
        "You help with Gate {{tone}}, kindly, in 20 words."
    );
    assert_eq!(
        messages[1],
        json!({ "role": "user", "content": "Gate {{tone}}?" })
    );
    assert_eq!(messages[2]["content"], "q");
    assert_eq!(
        (&body["model"], &body["temperature"]),
        (&json!("better"), &json!(0.2))
    );
    let facts = exchange.record.prompt.expect("noted");
    assert_eq!(
        (&*facts.name, facts.version, facts.label.as_deref()),
        ("support", 2, Some("production"))
    );
}

#[test]
fn values_come_from_the_route_the_request_or_the_default() {
    let given = |variables: &str| chat(&format!(r#""prompt":{{"variables":{variables}}},"#));
    let (body, _) = outcome(PINNED, CHAT, &given(r#"{"tone":"brief","words":5}"#)).unwrap();
    assert_eq!(
        body["messages"][0]["content"],
        "You help with Gate {{tone}}, briefly, in 5 words."
    );
    assert!(body.get("prompt").is_none());
    let metadata = "name: support\nversion: 1\nvariables: { product: { metadata: product } }";
    let (body, _) = outcome(metadata, CHAT, &chat(r#""metadata":{"product":"Tide"},"#)).unwrap();
    assert_eq!(body["messages"][0]["content"], "One for Tide.");
    for (yaml, head, body, words) in [
        (
            PINNED,
            "POST /v1/chat/completions",
            chat(""),
            "needs the variable `product`",
        ),
        (
            PINNED,
            CHAT,
            given(r#"{"words":"many"}"#),
            "has to be a number",
        ),
        (
            PINNED,
            CHAT,
            given(r#"{"colour":"red"}"#),
            "no variable `colour`",
        ),
        (
            PINNED,
            CHAT,
            given(r#"{"product":"mine"}"#),
            "sets the variable `product` itself",
        ),
        (
            PINNED,
            "POST /v1/messages\nX-Product: much longer than twenty",
            chat(""),
            "20 characters",
        ),
        (
            PINNED,
            CHAT,
            chat(r#""prompt":{"id":"other"},"#),
            "a prompt of its own",
        ),
        (PINNED, CHAT, "[]".into(), ""),
    ] {
        let told = outcome(yaml, head, &body)
            .err()
            .unwrap_or_else(|| panic!("passed: {body}"));
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn callers_choose_where_they_may() {
    let choose = "choose: [support]";
    let asks = |prompt: &str| chat(&format!(r#""prompt":{prompt},"#));
    for (prompt, version, label) in [
        (r#"{"id":"support","variables":{"product":"T"}}"#, 2, None),
        (
            r#"{"id":"support","version":"1","variables":{"product":"T"}}"#,
            1,
            None,
        ),
        (
            r#"{"id":"support","version":"old","variables":{"product":"T"}}"#,
            1,
            Some("old"),
        ),
    ] {
        let (_, exchange) = outcome(choose, CHAT, &asks(prompt)).unwrap();
        let facts = exchange.record.prompt.expect("noted");
        assert_eq!((facts.version, facts.label.as_deref()), (version, label));
    }
    let (body, exchange) = outcome(choose, CHAT, &chat("")).unwrap();
    assert_eq!(body.to_string(), chat(""));
    assert!(exchange.record.prompt.is_none());
    for prompt in [
        r#"{"id":"secret"}"#,
        r#"{"id":"support","version":"9"}"#,
        r#"{"variables":{}}"#,
    ] {
        assert!(outcome(choose, CHAT, &asks(prompt)).is_err(), "{prompt}");
    }
    // OpenAI's own prompts stay OpenAI's, a text prompt is no prompt of ours.
    let own = r#"{"model":"m","prompt":{"id":"pmpt_1","version":"2"},"input":"q"}"#;
    let (body, _) = outcome(choose, "POST /v1/responses", own).unwrap();
    assert_eq!(body.to_string(), own);
    let text = r#"{"model":"m","prompt":"a text"}"#;
    let (body, _) = outcome(PINNED, "POST /v1/completions", text).unwrap();
    assert_eq!(body.to_string(), text);
}

#[test]
fn a_model_in_the_path_is_replaced_there() {
    for (head, target) in [
        (
            "POST /v1beta/models/m:streamGenerateContent?alt=sse\nX-Product: T",
            "/v1beta/models/better:streamGenerateContent?alt=sse",
        ),
        (
            "POST /model/m/converse-stream\nX-Product: T",
            "/model/better/converse-stream",
        ),
    ] {
        let body = r#"{"contents":[],"messages":[]}"#;
        let (_, exchange) = outcome(PINNED, head, body).unwrap();
        assert_eq!(exchange.request.head.target, target);
        assert!(exchange.record.original_target.is_some());
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for (yaml, words) in [
        ("{}", "either `name` or `choose`"),
        ("name: support", "either `version` or `label`"),
        (
            "name: support\nversion: 1\nlabel: old",
            "either `version` or `label`",
        ),
        ("name: suport\nversion: 1", "did you mean `support`?"),
        (
            "name: support\nlabel: producton",
            "did you mean `production`?",
        ),
        ("name: support\nversion: 7", "no version 7"),
        (
            "name: support\nversion: 1\nvariables: { tone: { value: x } }",
            "no variable `tone`",
        ),
        (
            "name: support\nversion: 2\nvariables: { words: { value: x } }",
            "a number",
        ),
        ("choose: [support]\nversion: 1", "callers say"),
    ] {
        let finding = harness().compile::<Prompt>(yaml).err();
        let finding = finding.unwrap_or_else(|| panic!("accepted: {yaml}"));
        assert!(finding.message.contains(words), "{yaml}: {finding}");
    }
}
