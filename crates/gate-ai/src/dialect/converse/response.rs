//! Whole Converse answers to and from the neutral form.

use super::{blocks, encode, write_usage};
use crate::conversation::{Response, Stop, Text};
use crate::dialect::Codec;
use crate::json::object::{Object, Raw, text};
use crate::json::write::Writer;
use crate::{DialectError, Losses, Usage};

pub(super) fn decode<'a>(
    body: &'a [u8],
    losses: &mut Losses,
) -> Result<Response<'a>, DialectError> {
    let object = Object::parse(body)?;
    let mut response = Response {
        id: "".into(),
        model: "".into(),
        created: None,
        parts: Vec::new(),
        stop: Stop::EndTurn,
        stop_sequence: None,
        usage: None,
        logprobs: Vec::new(),
        service_tier: None,
    };
    let within = |object: &Object<'a>, field: &'static str| {
        let raw = object.get(field).ok_or(DialectError::Missing { field })?;
        Object::of(raw, field)
    };
    let message = within(&within(&object, "output")?, "message")?;
    if let Some(content) = message.get("content") {
        blocks::read(content, &mut response.parts, losses)?;
    }
    for (name, raw) in object.iter() {
        match name {
            "output" => {}
            "stopReason" => response.stop = stop_of(&text(raw, "stopReason")?, losses),
            "usage" => {
                let mut usage = Usage::default();
                let read = super::Converse.read_usage(raw.get().as_bytes(), 0, &mut usage);
                response.usage = read.map(|_| usage);
            }
            "additionalModelResponseFields" => {
                response.stop_sequence = stop_sequence(raw, losses)?;
            }
            "serviceTier" => {
                response.service_tier = Object::of(raw, "serviceTier")?.text("type");
            }
            _ => losses.add(name.to_owned()),
        }
    }
    Ok(response)
}

/// The stop text that came up, which a Claude says among its own fields.
pub(super) fn stop_sequence<'a>(
    raw: Raw<'a>,
    losses: &mut Losses,
) -> Result<Option<Text<'a>>, DialectError> {
    let fields = Object::of(raw, "additionalModelResponseFields")?;
    let mut found = None;
    for (name, raw) in fields.iter() {
        match name {
            "stop_sequence" => found = Some(text(raw, "stop_sequence")?),
            "delta" => {
                for (name, raw) in Object::of(raw, "delta")?.iter() {
                    match name {
                        "stop_sequence" => found = Some(text(raw, "stop_sequence")?),
                        _ => losses.add("additionalModelResponseFields"),
                    }
                }
            }
            _ => losses.add("additionalModelResponseFields"),
        }
    }
    Ok(found)
}

pub(super) fn stop_of(reason: &str, losses: &mut Losses) -> Stop {
    match reason {
        "max_tokens" => Stop::MaxTokens,
        "model_context_window_exceeded" => Stop::ContextWindow,
        "stop_sequence" => Stop::StopSequence,
        "tool_use" => Stop::ToolCall,
        "guardrail_intervened" | "content_filtered" => Stop::Refusal,
        "malformed_model_output" | "malformed_tool_use" => {
            losses.add("stop_reason.malformed");
            Stop::EndTurn
        }
        _ => Stop::EndTurn,
    }
}

pub(super) fn reason_of(stop: Stop, losses: &mut Losses) -> &'static str {
    match stop {
        Stop::EndTurn => "end_turn",
        Stop::MaxTokens => "max_tokens",
        Stop::ContextWindow => "model_context_window_exceeded",
        Stop::StopSequence => "stop_sequence",
        Stop::ToolCall => "tool_use",
        Stop::Refusal => "content_filtered",
        Stop::Pause => {
            losses.add("stop_reason.pause");
            "end_turn"
        }
    }
}

pub(super) fn encode(
    response: &Response<'_>,
    losses: &mut Losses,
) -> Result<Vec<u8>, DialectError> {
    let mut out = Vec::with_capacity(1024);
    let mut w = Writer::new(&mut out);
    w.open().key("output").open().key("message").open();
    w.member("role", "assistant").key("content").open_list();
    for part in &response.parts {
        encode::write_answer_part(&mut w, part, losses)?;
    }
    w.close_list().close().close();
    w.member("stopReason", reason_of(response.stop, losses));
    if let Some(stop) = &response.stop_sequence {
        w.key("additionalModelResponseFields").open();
        w.member("stop_sequence", stop).close();
    }
    // Both members are required; a provider that did not count gives zeros, and none but Bedrock
    // says how long it took.
    let usage = response.usage.unwrap_or_default();
    write_usage(w.key("usage"), &usage, losses);
    write_metrics(&mut w);
    if let Some(tier) = &response.service_tier {
        w.key("serviceTier").open().member("type", tier).close();
    }
    w.close();
    if !response.logprobs.is_empty() {
        losses.add("logprobs");
    }
    Ok(out)
}

/// The member that clients require and nobody but Bedrock can fill.
pub(super) fn write_metrics(w: &mut Writer<'_>) {
    w.key("metrics").open().key("latencyMs").unsigned(0).close();
}
