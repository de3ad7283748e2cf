//! Whole Responses answers to and from the neutral form.

use super::items::output_item;
use super::read_error_object;
use super::write::{
    Envelope, item_id, report_stop, tokens_json, write_annotations, write_call, write_message,
    write_reasoning, write_refusal, write_text,
};
use crate::conversation::{Content, Part, Response, Stop};
use crate::dialect::Codec;
use crate::json::object::{Object, list};
use crate::json::write::Writer;
use crate::{DialectError, Losses, TranslateOptions, Usage};

/// Members that repeat the request, or say what nobody asks for again.
const ECHOES: &[&str] = &[
    "background",
    "completed_at",
    "conversation",
    "frequency_penalty",
    "image",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "presence_penalty",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

pub(super) fn decode<'a>(
    body: &'a [u8],
    losses: &mut Losses,
) -> Result<Response<'a>, DialectError> {
    let object = Object::parse(body)?;
    if object.get("error").is_some() {
        // A provider's error under a status of success.
        let error = read_error_object(&object);
        return Err(DialectError::Structure {
            reason: error
                .message
                .unwrap_or_else(|| "an error without a message".into()),
        });
    }
    let mut response = Response {
        id: object.text("id").unwrap_or_default(),
        model: object.text("model").unwrap_or_default(),
        created: created_of(&object),
        parts: Vec::new(),
        stop: Stop::EndTurn,
        stop_sequence: None,
        usage: None,
        logprobs: Vec::new(),
        service_tier: object.text("service_tier"),
    };
    let output = object.get("output");
    for raw in list(
        output.ok_or(DialectError::Missing { field: "output" })?,
        "output",
    )? {
        let item = Object::of(raw, "output")?;
        let Response {
            parts, logprobs, ..
        } = &mut response;
        output_item(&item, "output", parts, logprobs, losses)?;
    }
    for (name, raw) in object.iter() {
        match name {
            "id" | "object" | "model" | "created_at" | "service_tier" | "output" | "status"
            | "incomplete_details" | "error" => {}
            "usage" => {
                let mut usage = Usage::default();
                let read = super::Responses.read_usage(raw.get().as_bytes(), 0, &mut usage);
                response.usage = read.map(|_| usage);
            }
            "provider" => losses.add("provider.name"),
            "moderation" => losses.add("moderation.results"),
            _ if ECHOES.contains(&name) => {}
            _ => losses.add(name.to_owned()),
        }
    }
    let calls = |part: &Part<'_>| matches!(part.content, Content::ToolCall { .. });
    response.stop = stop_of(&object, response.parts.iter().any(calls), losses);
    Ok(response)
}

/// Some servers give the second as a fraction.
pub(super) fn created_of(object: &Object<'_>) -> Option<u64> {
    let seconds: f64 = object.get("created_at")?.get().parse().ok()?;
    Some(seconds as u64)
}

pub(super) fn stop_of(object: &Object<'_>, calls: bool, losses: &mut Losses) -> Stop {
    let details = object.get("incomplete_details");
    let details = details.and_then(|raw| Object::of(raw, "incomplete_details").ok());
    let reason = details.and_then(|details| details.text("reason"));
    match (object.text("status").as_deref(), reason.as_deref()) {
        (Some("incomplete"), Some("content_filter")) => Stop::Refusal,
        (Some("incomplete"), _) => Stop::MaxTokens,
        // It goes on in the background, at the vendor, where only its own clients can ask for it.
        (Some("queued" | "in_progress" | "cancelled"), _) => {
            losses.add("status");
            Stop::Pause
        }
        _ if calls => Stop::ToolCall,
        _ => Stop::EndTurn,
    }
}

pub(super) fn encode(
    response: &Response<'_>,
    model: &str,
    options: &TranslateOptions,
    losses: &mut Losses,
) -> Vec<u8> {
    report_stop(response.stop, losses);
    let mut out = Vec::with_capacity(2048);
    let envelope = Envelope {
        id: &response.id,
        model,
        created: response.created.unwrap_or(options.now_unix_s),
        service_tier: response.service_tier.as_deref(),
        stop: Some(response.stop),
        usage: response.usage.as_ref(),
    };
    envelope.write(&mut Writer::new(&mut out), |w| {
        w.open_list();
        write_output(w, response, losses);
        w.close_list();
    });
    out
}

fn write_output(w: &mut Writer<'_>, response: &Response<'_>, losses: &mut Losses) {
    let id = &response.id;
    let mut tokens = tokens_json(&response.logprobs);
    let is_spoken =
        |part: &Part<'_>| matches!(part.content, Content::Text { .. } | Content::Refusal(_));
    let said =
        |part: &&Part<'_>| !matches!(&part.content, Content::Text { text, .. } if text.is_empty());
    let parts: Vec<&Part<'_>> = response.parts.iter().filter(said).collect();
    let runs = parts.chunk_by(|a, b| is_spoken(a) && is_spoken(b));
    for (place, run) in runs.enumerate() {
        match &run[0].content {
            Content::Text { .. } | Content::Refusal(_) => {
                let parts = spoken(run, std::mem::take(&mut tokens), losses);
                write_message(w, &item_id("msg", id, place), "completed", &parts);
            }
            Content::ToolCall {
                id: call,
                name,
                arguments,
            } => {
                let id = item_id("fc", id, place);
                write_call(w, &id, "completed", (call, name), arguments);
            }
            Content::Reasoning { text, signature } => {
                let id = item_id("rs", id, place);
                write_reasoning(w, Some(&id), text, signature.as_deref());
            }
            Content::RedactedReasoning(data) => {
                write_reasoning(w, Some(&item_id("rs", id, place)), "", Some(data));
            }
            _ => losses.add("content.misplaced"),
        }
    }
}

/// The parts of one message; the likelihoods go with its first text.
fn spoken(run: &[&Part<'_>], mut tokens: String, losses: &mut Losses) -> String {
    let mut out = Vec::new();
    let mut w = Writer::new(&mut out);
    for part in run {
        match &part.content {
            Content::Text { text, citations } => {
                let mut annotations = Vec::new();
                write_annotations(&mut Writer::new(&mut annotations), text, citations, losses);
                let annotations = String::from_utf8(annotations).unwrap_or_default();
                let annotations = annotations.trim_start_matches('[').trim_end_matches(']');
                write_text(&mut w, text, annotations, &std::mem::take(&mut tokens));
            }
            Content::Refusal(text) => write_refusal(&mut w, text),
            _ => {}
        }
    }
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::json::object::Object;

    #[test]
    fn fractions_of_a_second_are_cut_off() {
        let object = Object::parse(br#"{"created_at":1787150055.9}"#).unwrap();
        assert_eq!(super::created_of(&object), Some(1_787_150_055));
    }
}
