//! Whole Messages responses to and from the neutral form.

use super::{blocks, encode, write_usage};
use crate::conversation::{Content, Response, Stop};
use crate::dialect::Codec;
use crate::json::object::{Object, text};
use crate::json::write::Writer;
use crate::{DialectError, Losses, Usage};

pub(super) fn decode<'a>(
    body: &'a [u8],
    losses: &mut Losses,
) -> Result<Response<'a>, DialectError> {
    let object = Object::parse(body)?;
    let mut response = Response {
        id: object.text("id").unwrap_or_default(),
        model: object.text("model").unwrap_or_default(),
        created: None,
        parts: Vec::new(),
        stop: Stop::EndTurn,
        stop_sequence: None,
        usage: None,
        logprobs: Vec::new(),
        service_tier: None,
    };
    let content = object
        .get("content")
        .ok_or(DialectError::Missing { field: "content" })?;
    blocks::read(content, &mut response.parts, losses)?;
    for (name, raw) in object.iter() {
        match name {
            "id" | "model" | "type" | "role" | "content" => {}
            "stop_reason" => response.stop = stop_of(&text(raw, "stop_reason")?),
            "stop_sequence" => response.stop_sequence = Some(text(raw, "stop_sequence")?),
            "usage" => {
                let mut usage = Usage::default();
                let read = super::Messages.read_usage(raw.get().as_bytes(), 0, &mut usage);
                response.usage = read.map(|_| usage);
            }
            _ => losses.add(name.to_owned()),
        }
    }
    Ok(response)
}

pub(super) fn stop_of(reason: &str) -> Stop {
    match reason {
        "max_tokens" => Stop::MaxTokens,
        "model_context_window_exceeded" => Stop::ContextWindow,
        "stop_sequence" => Stop::StopSequence,
        "tool_use" => Stop::ToolCall,
        "refusal" => Stop::Refusal,
        "pause_turn" => Stop::Pause,
        _ => Stop::EndTurn,
    }
}

pub(super) fn reason_of(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn => "end_turn",
        Stop::MaxTokens => "max_tokens",
        Stop::ContextWindow => "model_context_window_exceeded",
        Stop::StopSequence => "stop_sequence",
        Stop::ToolCall => "tool_use",
        Stop::Refusal => "refusal",
        Stop::Pause => "pause_turn",
    }
}

pub(super) fn encode(
    response: &Response<'_>,
    model: &str,
    losses: &mut Losses,
) -> Result<Vec<u8>, DialectError> {
    let mut out = Vec::with_capacity(1024);
    let mut w = Writer::new(&mut out);
    w.open()
        .member("id", &response.id)
        .member("type", "message");
    w.member("role", "assistant").member("model", model);
    w.key("content").open_list();
    for part in &response.parts {
        match &part.content {
            Content::Text { text, .. } if text.is_empty() => continue,
            _ => {}
        }
        w.open();
        encode::write_content(&mut w, &part.content, losses)?;
        w.close();
    }
    w.close_list();
    if !response.logprobs.is_empty() {
        losses.add("logprobs");
    }
    if response.service_tier.is_some() {
        losses.add("service_tier");
    }
    w.member("stop_reason", reason_of(response.stop))
        .key("stop_sequence");
    match &response.stop_sequence {
        Some(stop) => w.text(stop),
        None => w.null(),
    };
    // The member is required; a provider that did not count gives zeros.
    write_usage(w.key("usage"), &response.usage.unwrap_or_default());
    w.close();
    Ok(out)
}
