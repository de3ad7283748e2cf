//! Whole answers to and from the neutral form.

use super::{parts, write_usage};
use crate::conversation::{Part, Response, Stop, TokenLogprob};
use crate::dialect::Codec;
use crate::json::object::{Object, Raw, list, number, text};
use crate::json::write::Writer;
use crate::{DialectError, Losses, Usage};

pub(super) fn decode<'a>(
    body: &'a [u8],
    losses: &mut Losses,
) -> Result<Response<'a>, DialectError> {
    let object = Object::parse(body)?;
    let message = object
        .get("message")
        .ok_or(DialectError::Missing { field: "message" })?;
    let mut response = Response {
        id: object.text("id").unwrap_or_default(),
        model: "".into(),
        created: None,
        parts: parts::assistant(&Object::of(message, "message")?, losses)?,
        stop: Stop::EndTurn,
        stop_sequence: None,
        usage: None,
        logprobs: Vec::new(),
        service_tier: None,
    };
    for (name, raw) in object.iter() {
        match name {
            "id" | "message" => {}
            "finish_reason" => {
                let reason = text(raw, "finish_reason")?;
                response.stop = stop_of(&reason).ok_or_else(|| DialectError::Structure {
                    reason: format!("the answer ended with {reason}"),
                })?;
            }
            "usage" => {
                let mut usage = Usage::default();
                let read = super::CohereChat.read_usage(raw.get().as_bytes(), 0, &mut usage);
                response.usage = read.map(|_| usage);
            }
            "logprobs" => {
                for item in list(raw, "logprobs")? {
                    response.logprobs.extend(logprob(item, losses)?);
                }
            }
            _ => losses.add(name.to_owned()),
        }
    }
    let is_call = |part: &Part<'_>| {
        use crate::conversation::Content::ToolCall;
        matches!(part.content, ToolCall { .. })
    };
    if response.stop == Stop::EndTurn && response.parts.iter().any(is_call) {
        response.stop = Stop::ToolCall;
    }
    Ok(response)
}

/// The likelihood of a piece of text that is one token; of longer ones nobody knows which letters
/// belong to which token.
pub(super) fn logprob<'a>(
    raw: Raw<'a>,
    losses: &mut Losses,
) -> Result<Option<TokenLogprob<'a>>, DialectError> {
    let object = Object::of(raw, "logprobs")?;
    let numbers = match object.get("logprobs") {
        Some(raw) => list(raw, "logprobs")?,
        None => Vec::new(),
    };
    let ([one], Some(token)) = (numbers.as_slice(), object.text("text")) else {
        losses.add("logprobs.chunk");
        return Ok(None);
    };
    Ok(Some(TokenLogprob {
        token,
        logprob: number(one, "logprobs")?,
        ..TokenLogprob::default()
    }))
}

/// Writes one piece of text's likelihoods. Only Cohere has its numbers of tokens, and nobody else's
/// alternatives have a place.
pub(super) fn write_logprobs(w: &mut Writer<'_>, tokens: &[TokenLogprob<'_>], losses: &mut Losses) {
    if tokens.iter().any(|token| !token.top.is_empty()) {
        losses.add("top_logprobs");
    }
    let text: String = tokens.iter().map(|token| token.token.as_ref()).collect();
    w.open().member("text", &text).key("token_ids").open_list();
    w.close_list().key("logprobs").open_list();
    for token in tokens {
        w.number(token.logprob);
    }
    w.close_list().close();
}

/// Why it ended; `None` where it failed.
pub(super) fn stop_of(reason: &str) -> Option<Stop> {
    Some(match reason {
        "ERROR" | "TIMEOUT" => return None,
        "MAX_TOKENS" => Stop::MaxTokens,
        "STOP_SEQUENCE" => Stop::StopSequence,
        "TOOL_CALL" => Stop::ToolCall,
        _ => Stop::EndTurn,
    })
}

pub(super) fn reason_of(
    stop: Stop,
    stop_sequence: Option<&str>,
    losses: &mut Losses,
) -> &'static str {
    if stop_sequence.is_some() {
        losses.add("stop_sequence");
    }
    match stop {
        Stop::EndTurn => "COMPLETE",
        Stop::MaxTokens | Stop::ContextWindow => "MAX_TOKENS",
        Stop::StopSequence => "STOP_SEQUENCE",
        Stop::ToolCall => "TOOL_CALL",
        Stop::Refusal => {
            losses.add("stop_reason.refusal");
            "COMPLETE"
        }
        Stop::Pause => {
            losses.add("stop_reason.pause");
            "COMPLETE"
        }
    }
}

pub(super) fn encode(response: &Response<'_>, losses: &mut Losses) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let mut w = Writer::new(&mut out);
    w.open().member("id", &response.id);
    let reason = reason_of(response.stop, response.stop_sequence.as_deref(), losses);
    w.member("finish_reason", reason);
    w.key("message").open();
    let said: Vec<_> = response.parts.iter().collect();
    parts::write_assistant(&mut w, &said, false, losses);
    w.close();
    if !response.logprobs.is_empty() {
        w.key("logprobs").open_list();
        for token in response.logprobs.chunks(1) {
            write_logprobs(&mut w, token, losses);
        }
        w.close_list();
    }
    if response.service_tier.is_some() {
        losses.add("service_tier");
    }
    if let Some(usage) = &response.usage {
        write_usage(w.key("usage"), usage);
    }
    w.close();
    out
}
