//! Conversations in OpenTelemetry's form, for who records what was said.
//!
//! `gen_ai.input.messages` and `gen_ai.output.messages` are lists of messages with a role and parts
//! (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/>). Media are named, not kept.

use crate::conversation::{Block, Content, Message, Part, Role, Stop, StreamEvent};
use crate::json::write::Writer;
use crate::{Dialect, DialectError, read_request, read_response, read_stream};

/// The messages of a request.
///
/// # Errors
/// [`DialectError`] when the body does not follow the dialect.
pub fn input_messages(dialect: Dialect, body: &[u8]) -> Result<String, DialectError> {
    let request = read_request(dialect, body)?;
    Ok(list(|w| {
        for message in &request.messages {
            let Message { role, parts } = message;
            let is_result = |part: &Part<'_>| matches!(part.content, Content::ToolResult { .. });
            let role = match role {
                Role::System => "system",
                Role::User if parts.iter().any(is_result) => "tool",
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            said(w, role, parts, None);
        }
    }))
}

/// The message of a whole answer.
///
/// # Errors
/// [`DialectError`] when the body does not follow the dialect.
pub fn output_messages(dialect: Dialect, body: &[u8]) -> Result<String, DialectError> {
    let response = read_response(dialect, body)?;
    let stop = response.stop;
    Ok(list(|w| said(w, "assistant", &response.parts, Some(stop))))
}

/// The message of a streamed answer.
///
/// # Errors
/// [`DialectError`] when the stream does not follow the dialect.
pub fn streamed_messages(dialect: Dialect, stream: &[u8]) -> Result<String, DialectError> {
    let mut parts: Vec<(u32, Part<'static>)> = Vec::new();
    let mut stop = None;
    read_stream(dialect, stream, |event| match event {
        StreamEvent::BlockStart { index, block } => {
            let content = match block {
                Block::Text | Block::Refusal => Content::Text {
                    text: "".into(),
                    citations: Vec::new(),
                },
                Block::Reasoning | Block::RedactedReasoning(_) => Content::Reasoning {
                    text: "".into(),
                    signature: None,
                },
                Block::ToolCall { id, name } => Content::ToolCall {
                    id: id.into_owned().into(),
                    name: name.into_owned().into(),
                    arguments: "".into(),
                },
            };
            parts.push((index, content.into()));
        }
        StreamEvent::Text { index, text: more }
        | StreamEvent::Reasoning { index, text: more }
        | StreamEvent::Arguments { index, json: more } => {
            let part = parts.iter_mut().rfind(|(at, _)| *at == index);
            if let Some(
                Content::Text { text, .. }
                | Content::Reasoning { text, .. }
                | Content::ToolCall {
                    arguments: text, ..
                },
            ) = part.map(|(_, part)| &mut part.content)
            {
                text.to_mut().push_str(&more);
            }
        }
        StreamEvent::Finish { stop: why, .. } => stop = Some(why),
        _ => {}
    })?;
    let parts: Vec<Part<'static>> = parts.into_iter().map(|(_, part)| part).collect();
    Ok(list(|w| said(w, "assistant", &parts, stop)))
}

fn list(write: impl FnOnce(&mut Writer<'_>)) -> String {
    let mut out = Vec::new();
    let mut w = Writer::new(&mut out);
    w.open_list();
    write(&mut w);
    w.close_list();
    String::from_utf8(out).expect("JSON of texts is text")
}

fn said(w: &mut Writer<'_>, role: &str, parts: &[Part<'_>], stop: Option<Stop>) {
    w.open().member("role", role);
    w.key("parts").open_list();
    parts.iter().for_each(|part| part_of(w, &part.content));
    w.close_list();
    if let Some(stop) = stop {
        let reason = match stop {
            Stop::EndTurn | Stop::StopSequence | Stop::Pause => "stop",
            Stop::MaxTokens | Stop::ContextWindow => "length",
            Stop::ToolCall => "tool_call",
            Stop::Refusal => "content_filter",
        };
        w.member("finish_reason", reason);
    }
    w.close();
}

fn part_of(w: &mut Writer<'_>, content: &Content<'_>) {
    w.open();
    match content {
        Content::Text { text, .. } | Content::Refusal(text) => {
            w.member("type", "text").member("content", text);
        }
        Content::Reasoning { text, .. } => {
            w.member("type", "reasoning").member("content", text);
        }
        Content::RedactedReasoning(_) => {
            w.member("type", "reasoning").member("content", "");
        }
        Content::ToolCall {
            id,
            name,
            arguments,
        } => {
            w.member("type", "tool_call").member("id", id);
            w.member("name", name).key("arguments");
            match serde_json::from_str::<serde::de::IgnoredAny>(arguments) {
                Ok(_) => w.raw(arguments),
                Err(_) => w.text(arguments),
            };
        }
        Content::ToolResult { id, parts, .. } => {
            w.member("type", "tool_call_response").member("id", id);
            let text = |part: &Part<'_>| match &part.content {
                Content::Text { text, .. } => text.to_string(),
                _ => String::new(),
            };
            let texts: Vec<String> = parts.iter().map(text).collect();
            w.member("response", &texts.join("\n"));
        }
        Content::Image { .. } => _ = w.member("type", "image"),
        Content::Document { .. } => _ = w.member("type", "document"),
        Content::Audio { .. } => _ = w.member("type", "audio"),
    }
    w.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_has_roles_and_parts() {
        let body = r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"q"},
            {"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}}]},
            {"role":"tool","tool_call_id":"c","content":"r"}]}"#;
        let made = input_messages(Dialect::ChatCompletions, body.as_bytes()).unwrap();
        assert_eq!(
            made,
            r#"[{"role":"system","parts":[{"type":"text","content":"s"}]},{"role":"user","parts":[{"type":"text","content":"q"}]},{"role":"assistant","parts":[{"type":"tool_call","id":"c","name":"f","arguments":{"a": 1}}]},{"role":"tool","parts":[{"type":"tool_call_response","id":"c","response":"r"}]}]"#
        );
        let chunk = |delta: &str, finish: &str| {
            format!(
                "data: {{\"id\":\"x\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
            )
        };
        let stream = [
            chunk(r#"{"role":"assistant","content":"a"}"#, "null"),
            chunk(r#"{"content":"b"}"#, "null"),
            chunk("{}", "\"length\""),
            "data: [DONE]\n\n".to_owned(),
        ];
        let made = streamed_messages(Dialect::ChatCompletions, stream.concat().as_bytes());
        assert_eq!(
            made.unwrap(),
            r#"[{"role":"assistant","parts":[{"type":"text","content":"ab"}],"finish_reason":"length"}]"#
        );
    }
}
