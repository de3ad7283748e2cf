//! A naive reader of Cohere's Chat, beside those in `oracle.rs`.

use crate::oracle::{Said, push, usage_of};
use gate_ai::Dialect;
use serde_json::{Value, json};

/// Reads an answer of Cohere's the way a client does.
pub(crate) fn said(answer: &Value) -> Said {
    let message = &answer["message"];
    let mut said = Said::default();
    for part in message["content"].as_array().into_iter().flatten() {
        said.text
            .push_str(part["text"].as_str().unwrap_or_default());
        let thought = part["thinking"].as_str();
        said.thinking.push_str(thought.unwrap_or_default());
    }
    said.text
        .push_str(message["tool_plan"].as_str().unwrap_or_default());
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let arguments = text(&call["function"]["arguments"]);
        let arguments = serde_json::from_str(&arguments).unwrap_or_default();
        said.calls.push((
            text(&call["id"]),
            text(&call["function"]["name"]),
            arguments,
        ));
    }
    said.stop = match answer["finish_reason"].as_str().unwrap_or("COMPLETE") {
        "MAX_TOKENS" => "length",
        "TOOL_CALL" => "tool",
        _ => "end",
    }
    .into();
    said.usage = usage_of(Dialect::CohereChat, &answer["usage"]);
    said
}

/// Puts a stream together the way a client does.
pub(crate) fn assembled(events: &[Value]) -> Value {
    let mut message = json!({ "content": [], "tool_calls": [], "tool_plan": "" });
    let (mut stop, mut usage) = (Value::Null, Value::Null);
    for event in events {
        let said = &event["delta"]["message"];
        let index = event["index"].as_u64().unwrap_or(0) as usize;
        match event["type"].as_str().unwrap() {
            "content-start" => {
                let content = message["content"].as_array_mut().unwrap();
                assert_eq!(content.len(), index);
                content.push(said["content"].clone());
            }
            "content-delta" => {
                for key in ["text", "thinking"] {
                    let piece = &said["content"][key];
                    if piece.is_string() {
                        push(&mut message["content"][index][key], piece);
                    }
                }
            }
            "tool-plan-delta" => push(&mut message["tool_plan"], &said["tool_plan"]),
            "tool-call-start" => {
                let calls = message["tool_calls"].as_array_mut().unwrap();
                assert_eq!(calls.len(), index);
                calls.push(said["tool_calls"].clone());
            }
            "tool-call-delta" => push(
                &mut message["tool_calls"][index]["function"]["arguments"],
                &said["tool_calls"]["function"]["arguments"],
            ),
            "message-end" => {
                stop = event["delta"]["finish_reason"].clone();
                usage = event["delta"]["usage"].clone();
            }
            _ => {}
        }
    }
    json!({ "message": message, "finish_reason": stop, "usage": usage })
}

/// The order that Cohere's own client relies on.
pub(crate) fn check_shape(name: &str, out: &[u8], events: &[Value]) {
    assert!(out.ends_with(b"data: [DONE]\n\n"), "{name}");
    assert_eq!(events[0]["type"], "message-start", "{name}");
    assert_eq!(events.last().unwrap()["type"], "message-end", "{name}");
    let count = |kind| events.iter().filter(|event| event["type"] == kind).count();
    for (start, end) in [
        ("content-start", "content-end"),
        ("tool-call-start", "tool-call-end"),
    ] {
        assert_eq!(count(start), count(end), "{name}");
    }
}
