//! Calls to models in another dialect than the provider's: what is asked and what is said arrive,
//! whole and streamed, with tools and usage, however the provider's bytes are cut.

use crate::cassettes::{self, Caller, Cassette, Provider, Reply, document};
use crate::models::{pieces, random_cuts};
use crate::support::{Gateway, eventually};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

fn json_reply(body: &Value) -> Reply {
    Reply {
        status: 200,
        headers: "content-type: application/json\r\nset-cookie: provider=1\r\n".into(),
        pieces: vec![body.to_string().into_bytes()],
    }
}

fn sent(provider: &Provider) -> Value {
    serde_json::from_slice(&provider.last().body).unwrap()
}

fn chat_request() -> Value {
    json!({
        "model": "assistant",
        "max_tokens": 50,
        "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "Weather in Genève?" }
        ],
        "tools": [{ "type": "function", "function": { "name": "weather", "description": "d",
            "parameters": { "type": "object", "properties": { "city": { "type": "string" } } } } }]
    })
}

fn anthropic_answer() -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
        "content": [
            { "type": "text", "text": "Let me look." },
            { "type": "tool_use", "id": "toolu_1", "name": "weather", "input": { "city": "Genève" } }
        ],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": { "input_tokens": 20, "cache_read_input_tokens": 5, "output_tokens": 9 }
    })
}

#[test]
fn a_chat_caller_uses_tools_of_an_anthropic_model() {
    let provider = Provider::with(json_reply(&anthropic_answer()));
    let gateway = Gateway::start(&document("anthropic", provider.address, &["assistant"]));
    let mut caller = Caller::new(&gateway);
    caller.headers = "authorization: Bearer of-the-caller\r\n".into();
    let request = chat_request();
    let answer = caller.post(CHAT, &request.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.header("set-cookie"),
        None,
        "cookies are the provider's with us"
    );
    let said: Value = serde_json::from_slice(&answer.body).unwrap();
    let choice = &said["choices"][0];
    assert_eq!(said["model"], "assistant");
    assert_eq!(choice["finish_reason"], "tool_calls", "{said}");
    assert_eq!(choice["message"]["content"], "Let me look.");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(
        (&call["id"], &call["function"]["name"]),
        (&json!("toolu_1"), &json!("weather"))
    );
    let arguments: Value =
        serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({ "city": "Genève" }));
    assert_eq!(said["usage"]["prompt_tokens"], 25, "{said}");
    assert_eq!(said["usage"]["completion_tokens"], 9);
    assert_eq!(said["usage"]["prompt_tokens_details"]["cached_tokens"], 5);
    let seen = provider.last().head;
    assert!(seen.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{seen}");
    assert!(
        seen.contains("x-api-key: secret-of-KEY") && seen.contains("anthropic-version: 2023-06-01"),
        "{seen}"
    );
    assert!(!seen.contains("of-the-caller"), "{seen}");
    let sent = sent(&provider);
    assert_eq!(
        (&sent["model"], &sent["max_tokens"]),
        (&json!("provider-model"), &json!(50))
    );
    assert!(sent["system"].to_string().contains("Be brief."), "{sent}");
    assert_eq!(sent["tools"][0]["name"], "weather");
    assert_eq!(
        sent["tools"][0]["input_schema"]["properties"]["city"]["type"],
        "string"
    );
    eventually("the record is made", || {
        gateway
            .metrics()
            .lines()
            .any(|l| l.starts_with("tidegate_ai_translated") && l.ends_with(" 1"))
    });
}

fn messages_request() -> Value {
    json!({
        "model": "assistant", "max_tokens": 50, "system": "Be brief.", "frobnicate": true,
        "messages": [
            { "role": "user", "content": "Weather?" },
            { "role": "assistant", "content": [{ "type": "tool_use", "id": "t0", "name": "weather", "input": { "city": "Rome" } }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t0", "content": "sunny" }] }
        ],
        "tools": [{ "name": "weather", "input_schema": { "type": "object" } }]
    })
}

#[test]
fn a_messages_caller_uses_tools_of_an_openai_model() {
    let provider = Provider::with(json_reply(&json!({
        "id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-x",
        "choices": [{ "index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": null,
            "tool_calls": [{ "id": "call_1", "type": "function",
                "function": { "name": "weather", "arguments": "{\"city\":\"Paris\"}" } }] } }],
        "usage": { "prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34,
            "prompt_tokens_details": { "cached_tokens": 10 } }
    })));
    let gateway = Gateway::start(&document("openai", provider.address, &["assistant"]));
    let request = messages_request();
    let answer = Caller::new(&gateway).post(MESSAGES, &request.to_string());
    let said: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer.status, 200, "{said}");
    assert_eq!(
        (&said["type"], &said["model"]),
        (&json!("message"), &json!("assistant"))
    );
    assert_eq!(said["stop_reason"], "tool_use", "{said}");
    assert_eq!(
        said["content"][0]["input"],
        json!({ "city": "Paris" }),
        "{said}"
    );
    assert_eq!(said["usage"]["input_tokens"], 20, "{said}");
    assert_eq!(said["usage"]["cache_read_input_tokens"], 10);
    assert_eq!(said["usage"]["output_tokens"], 4);
    let losses = answer.header("x-tidegate-losses").unwrap_or_default();
    assert!(
        losses.contains("frobnicate"),
        "what is lost is said: {losses}"
    );
    let seen = provider.last().head;
    assert!(
        seen.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
        "{seen}"
    );
    assert!(
        seen.contains("authorization: Bearer secret-of-KEY"),
        "{seen}"
    );
    let sent = sent(&provider);
    let roles: Vec<_> = sent["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| &m["role"])
        .collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool"], "{sent}");
    assert_eq!(sent["messages"][3]["tool_call_id"], "t0");
    assert_eq!(sent["tools"][0]["function"]["name"], "weather");
}

#[test]
fn an_error_is_translated_too() {
    let provider = Provider::refusing(
        429,
        "retry-after: 7\r\n",
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"Slow down."}}"#,
    );
    let gateway = Gateway::start(&document("anthropic", provider.address, &["assistant"]));
    let request =
        r#"{"model":"assistant","max_tokens":1,"messages":[{"role":"user","content":"x"}]}"#;
    let answer = Caller::new(&gateway).post(CHAT, request);
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (429, Some("7"))
    );
    let said: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(said["error"]["message"], "Slow down.", "{said}");
    assert!(said.get("type").is_none(), "{said}");
}

/// What a stream says: text, tool calls' arguments, and (input, output) tokens.
#[derive(Debug, Default, PartialEq)]
struct Said {
    text: String,
    arguments: String,
    tokens: (u64, u64),
    ended: bool,
}

fn events(stream: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stream).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.filter(|data| data.trim() != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

/// Reads either dialect; their members do not overlap.
fn said(stream: &[u8]) -> Said {
    let mut said = Said::default();
    let count = |value: &Value, keys: &[&str]| -> u64 {
        keys.iter().filter_map(|key| value[*key].as_u64()).sum()
    };
    for event in events(stream) {
        let choice = &event["choices"][0];
        let delta = &choice["delta"];
        said.text += delta["content"].as_str().unwrap_or_default();
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            said.arguments += call["function"]["arguments"].as_str().unwrap_or_default();
        }
        said.text += event["delta"]["text"].as_str().unwrap_or_default();
        said.arguments += event["delta"]["partial_json"].as_str().unwrap_or_default();
        for usage in [&event["usage"], &event["message"]["usage"]] {
            let input = [
                "prompt_tokens",
                "input_tokens",
                "cache_read_input_tokens",
                "cache_creation_input_tokens",
            ];
            let input = count(usage, &input);
            said.tokens.0 = if input > 0 { input } else { said.tokens.0 };
            let output = count(usage, &["completion_tokens", "output_tokens"]);
            said.tokens.1 = if output > 0 { output } else { said.tokens.1 };
        }
        said.ended |= choice["finish_reason"].is_string() || event["type"] == "message_stop";
    }
    // An empty object is what a call without arguments has in one dialect and not in the other.
    said.arguments = said.arguments.replace("{}", "");
    said
}

/// Recorded streams of one provider, read by a caller of the other dialect.
fn streams(folder: &str, kind: &str, path: &str) {
    let all = cassettes::of(folder);
    let small = |c: &&Cassette| c.stream && c.status == 200 && c.answer.len() < 6_000;
    let provider = Provider::start();
    let gateway = Gateway::start(&document(kind, provider.address, &["assistant"]));
    let mut caller = Caller::new(&gateway);
    let request = r#"{"model":"assistant","max_tokens":9,"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"x"}]}"#;
    gate_kit::random::seed(7);
    let mut played = 0;
    for cassette in all.iter().filter(small) {
        let recorded = said(&cassette.answer);
        let mut play = |cuts: &[usize]| {
            let mut reply = cassette.reply();
            reply.pieces = pieces(&cassette.answer, cuts);
            provider.set(reply);
            let answer = caller.post(path, request);
            assert!(
                answer.complete && answer.status == 200,
                "{}: {answer:?}",
                cassette.name
            );
            assert_eq!(
                answer.header("content-type"),
                Some("text/event-stream; charset=utf-8")
            );
            said(&answer.body)
        };
        let whole = play(&[]);
        assert!(whole.ended, "{}", cassette.name);
        assert_eq!(
            (&whole.text, &whole.arguments),
            (&recorded.text, &recorded.arguments),
            "{}",
            cassette.name
        );
        if recorded.tokens.0 > 0 {
            assert_eq!(whole.tokens, recorded.tokens, "{}", cassette.name);
        }
        for _ in 0..8 {
            let cuts = random_cuts(cassette.answer.len());
            assert_eq!(play(&cuts), whole, "{} cut at {cuts:?}", cassette.name);
        }
        if played == 0 {
            for at in 1..cassette.answer.len() {
                assert_eq!(play(&[at]), whole, "{} cut at {at}", cassette.name);
            }
        }
        played += 1;
    }
    eprintln!("{folder}: {played} streams translated");
    assert!(played > 5 || all.is_empty());
}

#[test]
fn recorded_anthropic_streams_reach_chat_callers() {
    streams("anthropic/messages", "anthropic", CHAT);
}

#[test]
fn recorded_openai_streams_reach_messages_callers() {
    streams("openai/chat_completions", "openai", MESSAGES);
}

/// A gateway whose model refuses what would be lost; its first target speaks Messages, its second,
/// where there is one, the caller's own dialect.
fn strict(first: &Provider, second: Option<&Provider>) -> Gateway {
    let fallback = second.map_or(String::new(), |second| {
        format!(
            "  own: {{ openai: {{ base_url: 'http://{}/v1' }} }}\n",
            second.address
        )
    });
    let target = second.map_or("", |_| ", fallback: [{ provider: own, model: own }]");
    Gateway::start(&format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         providers:\n  claude: {{ anthropic: {{ base_url: 'http://{}/v1' }} }}\n{fallback}\
         models: {{ m: {{ lossy: refuse, targets: [{{ provider: claude, model: c }}]{target} }} }}\n\
         routes: {{ ai: {{ target: {{ models: [m] }} }} }}\n",
        first.address
    ))
}

const LOSSY: &str =
    r#"{"model":"m","seed":7,"logit_bias":{"1":1},"messages":[{"role":"user","content":"x"}]}"#;

#[test]
fn a_strict_model_refuses_what_would_be_lost_before_anything_is_sent() {
    let provider = Provider::with(json_reply(&anthropic_answer()));
    let gateway = strict(&provider, None);
    let answer = Caller::new(&gateway).post(CHAT, LOSSY);
    assert_eq!((answer.status, provider.calls()), (400, 0));
    let said: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(said["error"]["code"], "lossy_translation", "{said}");
    let message = said["error"]["message"].as_str().unwrap();
    for field in ["`seed`", "`logit_bias`"] {
        assert!(message.contains(field), "{message}");
    }
    // Without them it goes through.
    let whole = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
    let answer = Caller::new(&gateway).post(CHAT, whole);
    assert_eq!((answer.status, provider.calls()), (200, 1));
}

#[test]
fn a_strict_model_goes_on_to_a_target_that_can_say_it() {
    let claude = Provider::with(json_reply(&anthropic_answer()));
    let own = Provider::with(Reply {
        status: 200,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![r#"{"id":"a","choices":[]}"#.into()],
    });
    let gateway = strict(&claude, Some(&own));
    let answer = Caller::new(&gateway).post(CHAT, LOSSY);
    assert_eq!((answer.status, claude.calls(), own.calls()), (200, 0, 1));
    assert!(answer.header("x-tidegate-losses").is_none());
}

#[test]
fn a_stored_conversation_is_refused_by_another_dialect() {
    let provider = Provider::with(json_reply(&anthropic_answer()));
    let gateway = Gateway::start(&document("anthropic", provider.address, &["assistant"]));
    let request = r#"{"model":"assistant","input":"x","previous_response_id":"resp_1"}"#;
    let answer = Caller::new(&gateway).post("/v1/responses", request);
    assert_eq!((answer.status, provider.calls()), (400, 0));
    assert!(answer.text().contains("previous_response_id"), "{answer:?}");
}

#[test]
fn what_a_stream_loses_is_in_the_record() {
    let stream = "data: {\"type\":\"message_start\",\"message\":{\"id\":\"a\"}}\n\n\
                  data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"server_tool_use\"}}\n\n\
                  data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n\
                  data: {\"type\":\"message_stop\"}\n\n";
    let provider = Provider::with(Reply {
        status: 200,
        headers: "content-type: text/event-stream\r\n".into(),
        pieces: vec![stream.into()],
    });
    let gateway = Gateway::start(&document("anthropic", provider.address, &["assistant"]));
    let request = r#"{"model":"assistant","stream":true,"input":"x","truncation":"auto"}"#;
    let answer = Caller::new(&gateway).post("/v1/responses", request);
    assert_eq!(answer.header("x-tidegate-losses"), Some("truncation"));
    assert!(
        answer.text().contains("event: response.completed"),
        "{answer:?}"
    );
    crate::support::eventually("both losses are counted", || {
        let metrics = gateway.metrics();
        let counted = |line: &&str| line.starts_with("tidegate_ai_losses_total");
        metrics
            .lines()
            .filter(counted)
            .any(|line| line.ends_with(" 2"))
    });
}

#[test]
fn a_stream_that_a_provider_does_not_stream_is_one_for_its_caller() {
    let provider = Provider::with(Reply {
        status: 200,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![anthropic_answer().to_string().into_bytes()],
    });
    let gateway = Gateway::start(&document("anthropic", provider.address, &["m"]));
    let mut request = chat_request();
    request["model"] = "m".into();
    request["stream"] = true.into();
    let answer = Caller::new(&gateway).post(CHAT, &request.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    let text = answer.text();
    assert!(
        text.starts_with("data: {") && text.ends_with("data: [DONE]\n\n"),
        "{text}"
    );
}
