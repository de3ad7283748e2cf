//! Whole generateContent responses to and from the neutral form.

use super::calls::CallIds;
use super::encode::write_call;
use super::grounding::{self, Cited, Sources};
use super::signature::{Placed, for_caller};
use super::{logprobs, parts};
use super::{read_error_object, usage};
use crate::conversation::{Content, Part, Response, Stop, Text};
use crate::json::object::{Object, Raw, list};
use crate::json::write::Writer;
use crate::{DialectError, Losses, TranslateOptions, Usage};

pub(super) fn decode<'a>(
    body: &'a [u8],
    losses: &mut Losses,
) -> Result<Response<'a>, DialectError> {
    let object = Object::parse(body)?.camel()?;
    if object.get("error").is_some() {
        // A provider's error under a status of success.
        let message = read_error_object(&object).message;
        return Err(DialectError::Structure {
            reason: message.unwrap_or_else(|| "an error without a message".into()),
        });
    }
    let id = object.text("responseId").unwrap_or_default();
    let mut ids = CallIds::of_response(&id);
    let mut response = Response {
        id,
        model: object.text("modelVersion").unwrap_or_default(),
        created: object.text("createTime").and_then(|time| unix_s(&time)),
        parts: Vec::new(),
        stop: Stop::EndTurn,
        stop_sequence: None,
        usage: None,
        logprobs: Vec::new(),
        service_tier: None,
    };
    for (name, raw) in object.iter() {
        match name {
            "responseId" | "modelVersion" | "createTime" => {}
            "candidates" => candidates(raw, &mut ids, &mut response, losses)?,
            "promptFeedback" => {
                if is_blocked(raw, losses)? {
                    response.stop = Stop::Refusal;
                }
            }
            "usageMetadata" => {
                let mut counts = Usage::default();
                let read = usage::read(raw.get().as_bytes(), 0, &mut counts);
                response.usage = read.map(|_| counts);
            }
            _ => losses.add(name.to_owned()),
        }
    }
    if object.get("candidates").is_none() && object.get("promptFeedback").is_none() {
        return Err(DialectError::Missing {
            field: "candidates",
        });
    }
    Ok(response)
}

/// Whether the prompt itself was refused.
pub(super) fn is_blocked(raw: Raw<'_>, losses: &mut Losses) -> Result<bool, DialectError> {
    let feedback = Object::of(raw, "promptFeedback")?.camel()?;
    for (name, _) in feedback.iter() {
        if name != "blockReason" {
            losses.add(format!("promptFeedback.{name}"));
        }
    }
    Ok(feedback.get("blockReason").is_some())
}

fn candidates<'a>(
    raw: Raw<'a>,
    ids: &mut CallIds,
    response: &mut Response<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let candidates = list(raw, "candidates")?;
    if candidates.len() > 1 {
        losses.add("candidates");
    }
    let Some(first) = candidates.first() else {
        return Ok(());
    };
    let candidate = Object::of(first, "candidates")?.camel()?;
    let mut sources = Sources::default();
    for (name, raw) in candidate.iter() {
        match name {
            "index" => {}
            "logprobsResult" => response.logprobs = logprobs::read(raw, losses)?,
            "content" => {
                if let Some(raw) = Object::of(raw, "content")?.get("parts") {
                    parts::read(raw, ids, &mut response.parts, losses)?;
                }
            }
            "finishReason" => response.stop = stop_of(raw, losses),
            "groundingMetadata" => sources.read_grounding(raw, losses)?,
            "citationMetadata" => sources.read_citations(raw, losses)?,
            _ => losses.add(format!("candidates.{name}")),
        }
    }
    cite(sources, &mut response.parts, losses);
    let calls = |part: &Part<'_>| matches!(part.content, Content::ToolCall { .. });
    if response.stop == Stop::EndTurn && response.parts.iter().any(calls) {
        response.stop = Stop::ToolCall;
    }
    Ok(())
}

/// Pages belong to the answer as a whole; they go with its last text.
fn cite<'a>(sources: Sources<'a>, parts: &mut [Part<'a>], losses: &mut Losses) {
    let last = parts
        .iter_mut()
        .rev()
        .find_map(|part| match &mut part.content {
            Content::Text { text, citations } => Some((text, citations)),
            _ => None,
        });
    match last {
        Some((text, citations)) => *citations = sources.citations(Some(text), losses),
        None if sources.is_empty() => {}
        None => losses.add("groundingMetadata.groundingChunks"),
    }
}

/// The reason to stop, by its name or, for clients that ask for it, its number.
pub(super) fn stop_of(raw: Raw<'_>, losses: &mut Losses) -> Stop {
    match raw.get().trim_matches('"') {
        "STOP" | "FINISH_REASON_UNSPECIFIED" | "1" | "0" => Stop::EndTurn,
        "MAX_TOKENS" | "2" => Stop::MaxTokens,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "3"
        | "4" => Stop::Refusal,
        other => {
            losses.add(format!("finishReason.{other}"));
            Stop::EndTurn
        }
    }
}

pub(super) fn reason_of(stop: Stop, losses: &mut Losses) -> &'static str {
    match stop {
        Stop::EndTurn | Stop::ToolCall => "STOP",
        Stop::StopSequence => {
            losses.add("stop_sequence");
            "STOP"
        }
        Stop::Pause => {
            losses.add("stop_reason.pause");
            "STOP"
        }
        Stop::MaxTokens | Stop::ContextWindow => "MAX_TOKENS",
        Stop::Refusal => "SAFETY",
    }
}

/// What an answer ends with, as at Google, that has a call whose arguments are no object; one that
/// was cut says so.
pub(super) fn malformed(reason: &'static str, losses: &mut Losses) -> &'static str {
    losses.add("content.tool_call.arguments");
    match reason {
        "STOP" => "MALFORMED_FUNCTION_CALL",
        cut => cut,
    }
}

pub(super) fn encode(
    response: &Response<'_>,
    model: &str,
    _options: &TranslateOptions,
    losses: &mut Losses,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let mut w = Writer::new(&mut out);
    let mut reason = reason_of(response.stop, losses);
    w.open().key("candidates").open_list().open();
    w.key("content").open().key("parts").open_list();
    let mut cited = Vec::new();
    if !write_parts(&mut w, &response.parts, &mut cited, losses) {
        reason = malformed(reason, losses);
    }
    w.close_list().member("role", "model").close();
    w.member("finishReason", reason).key("index").unsigned(0);
    grounding::write(&mut w, &cited);
    if !response.logprobs.is_empty() {
        logprobs::write(w.key("logprobsResult"), &response.logprobs);
    }
    if response.service_tier.is_some() {
        losses.add("service_tier");
    }
    w.close().close_list();
    if let Some(counts) = &response.usage {
        usage::write(w.key("usageMetadata"), counts);
    }
    w.member("modelVersion", model)
        .member("responseId", &response.id)
        .close();
    out
}

/// Writes the parts of an answer; false when a call's arguments could not be.
fn write_parts(
    w: &mut Writer<'_>,
    parts: &[Part<'_>],
    cited: &mut Vec<Cited>,
    losses: &mut Losses,
) -> bool {
    let parts: Vec<&Part<'_>> = parts.iter().collect();
    let placed = Placed::of(&parts);
    let (mut bytes, mut whole) = (0, true);
    for (index, part) in parts.iter().enumerate() {
        match &part.content {
            Content::Text { text, citations } => {
                for citation in citations {
                    cited.push(Cited::new(citation, text, bytes, losses));
                }
                bytes += text.len();
                if !text.is_empty() {
                    w.open().member("text", text).close();
                }
            }
            Content::Refusal(text) => {
                bytes += text.len();
                w.open().member("text", text).close();
            }
            Content::Reasoning { text, signature } => {
                w.open().member("text", text).key("thought").boolean(true);
                let signature = signature.as_deref().map(for_caller);
                w.member_if("thoughtSignature", signature.as_deref())
                    .close();
            }
            Content::RedactedReasoning(_) if placed.is_taken(index) => {}
            Content::RedactedReasoning(data) => write_signature(w, &for_caller(data)),
            Content::ToolCall {
                id,
                name,
                arguments,
            } => {
                let signature = placed.on(&parts, index).map(for_caller);
                whole &= write_call(w, id, name, arguments, signature.as_deref()).is_ok();
            }
            _ => losses.add("content.misplaced"),
        }
    }
    whole
}

/// A part that is a signature alone.
pub(super) fn write_signature(w: &mut Writer<'_>, signature: &Text<'_>) {
    w.open().member("text", "");
    w.member("thoughtSignature", signature).close();
}

/// Seconds since 1970 of a time in UTC (RFC 3339), by the days-from-civil algorithm.
pub(super) fn unix_s(time: &str) -> Option<u64> {
    let digits = |range: std::ops::Range<usize>| -> Option<u64> {
        let part = time.get(range)?;
        part.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| part.parse().ok())?
    };
    if !time.ends_with('Z') || time.len() < 20 {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let (hour, minute, second) = (digits(11..13)?, digits(14..16)?, digits(17..19)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years begin in March, so that the leap day is their last.
    let shifted = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_around_leap_days() {
        for (time, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-28T23:59:59.123Z", Some(951_782_399)),
            ("2000-03-01T00:00:00Z", Some(951_868_800)),
            ("2025-12-19T23:45:33.943266Z", Some(1_766_187_933)),
            ("2025-13-19T23:45:33Z", None),
            ("2025-12-19", None),
            ("1969-12-31T23:59:59Z", None),
        ] {
            assert_eq!(unix_s(time), seconds, "{time}");
        }
    }
}
