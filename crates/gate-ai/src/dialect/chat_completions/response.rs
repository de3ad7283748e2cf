//! Whole Chat Completions responses to and from the neutral form.

use super::parts::{citations, message_parts, reasoning_parts, tool_calls};
use super::{read_error_object, write_usage};
use crate::conversation::{Citation, Content, Part, Response, Stop, TokenLogprob};
use crate::dialect::{Codec, logprobs};
use crate::json::object::{Object, Raw, list, text};
use crate::json::write::Writer;
use crate::{DialectError, Losses, TranslateOptions, Usage};

pub(super) fn decode<'a>(
    body: &'a [u8],
    losses: &mut Losses,
) -> Result<Response<'a>, DialectError> {
    let object = Object::parse(body)?;
    if object.get("choices").is_none() && object.get("error").is_some() {
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
        created: None,
        parts: Vec::new(),
        stop: Stop::EndTurn,
        stop_sequence: None,
        usage: None,
        logprobs: Vec::new(),
        service_tier: None,
    };
    for (name, raw) in object.iter() {
        match name {
            "service_tier" => response.service_tier = Some(text(raw, "service_tier")?),
            "id" | "model" | "object" => {}
            "created" => response.created = raw.get().parse().ok(),
            "choices" => {
                let choices = list(raw, "choices")?;
                if choices.len() > 1 {
                    losses.add("choices");
                }
                let first = choices
                    .first()
                    .ok_or(DialectError::Missing { field: "choices" })?;
                choice(&Object::of(first, "choices")?, &mut response, losses)?;
            }
            "usage" => {
                let mut usage = Usage::default();
                let read = super::ChatCompletions.read_usage(raw.get().as_bytes(), 0, &mut usage);
                response.usage = read.map(|_| usage);
            }
            "metadata" => losses.add("metadata.labels"),
            "provider" => losses.add("provider.name"),
            "moderation" => losses.add("moderation.results"),
            _ => losses.add(name.to_owned()),
        }
    }
    object
        .get("choices")
        .ok_or(DialectError::Missing { field: "choices" })?;
    Ok(response)
}

fn choice<'a>(
    choice: &Object<'a>,
    response: &mut Response<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for (name, raw) in choice.iter() {
        match name {
            "index" | "native_finish_reason" => {}
            "message" => message(&Object::of(raw, "message")?, response, losses)?,
            "finish_reason" => response.stop = stop_of(&text(raw, "finish_reason")?),
            "logprobs" => response.logprobs = logprobs_of(raw, losses)?,
            _ => losses.add(format!("choices.{name}")),
        }
    }
    let calls = |part: &Part<'_>| matches!(part.content, Content::ToolCall { .. });
    // Some servers say "stop" though they call.
    if response.stop == Stop::EndTurn && response.parts.iter().any(calls) {
        response.stop = Stop::ToolCall;
    }
    Ok(())
}

/// The likelihoods of one choice; compatible servers have other forms of them.
pub(super) fn logprobs_of<'a>(
    raw: Raw<'a>,
    losses: &mut Losses,
) -> Result<Vec<TokenLogprob<'a>>, DialectError> {
    let object = Object::of(raw, "logprobs")?;
    let empty = |raw: Raw<'_>| raw.get() == "[]";
    if object
        .iter()
        .any(|(name, raw)| name != "content" && !empty(raw))
    {
        losses.add("choices.logprobs");
    }
    object.get("content").map_or(Ok(Vec::new()), logprobs::read)
}

fn message<'a>(
    message: &Object<'a>,
    response: &mut Response<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let mut parts = reasoning_parts(message, losses)?;
    let (mut cited, mut calls) = (Vec::new(), Vec::new());
    for (name, raw) in message.iter() {
        match name {
            "role" | "reasoning_content" | "reasoning" | "reasoning_details" => {}
            "content" => message_parts(raw, &mut parts, losses)?,
            "refusal" => parts.push(Content::Refusal(text(raw, "refusal")?).into()),
            "tool_calls" => tool_calls(raw, &mut calls, losses)?,
            "annotations" => cited = citations(raw, losses)?,
            "function_call" => {
                let call = Object::of(raw, "function_call")?;
                let Some(name) = call.text("name").filter(|name| !name.is_empty()) else {
                    losses.add("tool_calls.nameless");
                    continue;
                };
                let content = Content::ToolCall {
                    id: format!("call_{name}").into(),
                    arguments: call.text("arguments").unwrap_or_default(),
                    name,
                };
                calls.push(content.into());
            }
            _ => losses.add(format!("messages.{name}")),
        }
    }
    // Annotations point into the text as a whole; they go with its last piece.
    let last_text = parts
        .iter_mut()
        .rev()
        .find_map(|part| match &mut part.content {
            Content::Text { citations, .. } => Some(citations),
            _ => None,
        });
    match last_text {
        Some(citations) => *citations = cited,
        None if cited.is_empty() => {}
        None => losses.add("messages.annotations"),
    }
    parts.append(&mut calls);
    response.parts = parts;
    Ok(())
}

pub(super) fn stop_of(reason: &str) -> Stop {
    match reason {
        "length" => Stop::MaxTokens,
        "tool_calls" | "function_call" => Stop::ToolCall,
        "content_filter" => Stop::Refusal,
        _ => Stop::EndTurn,
    }
}

pub(super) fn reason_of(stop: Stop, losses: &mut Losses) -> &'static str {
    match stop {
        Stop::EndTurn => "stop",
        Stop::StopSequence => {
            losses.add("stop_sequence");
            "stop"
        }
        Stop::Pause => {
            losses.add("stop_reason.pause");
            "stop"
        }
        Stop::MaxTokens | Stop::ContextWindow => "length",
        Stop::ToolCall => "tool_calls",
        Stop::Refusal => "content_filter",
    }
}

pub(super) fn encode(
    response: &Response<'_>,
    model: &str,
    options: &TranslateOptions,
    losses: &mut Losses,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let mut w = Writer::new(&mut out);
    w.open()
        .member("id", &response.id)
        .member("object", "chat.completion");
    w.key("created")
        .unsigned(response.created.unwrap_or(options.now_unix_s));
    w.member("model", model);
    w.key("choices").open_list().open();
    w.key("index").unsigned(0);
    write_message(&mut w, &response.parts, losses);
    write_logprobs(&mut w, &response.logprobs);
    w.member("finish_reason", reason_of(response.stop, losses));
    w.close().close_list();
    w.member_if("service_tier", response.service_tier.as_deref());
    if let Some(usage) = &response.usage {
        write_usage(w.key("usage"), usage);
    }
    w.close();
    out
}

fn write_logprobs(w: &mut Writer<'_>, tokens: &[TokenLogprob<'_>]) {
    w.key("logprobs");
    if tokens.is_empty() {
        w.null();
        return;
    }
    logprobs::write(w.open().key("content"), tokens);
    w.key("refusal").null().close();
}

fn write_message(w: &mut Writer<'_>, parts: &[Part<'_>], losses: &mut Losses) {
    let mut text: Option<String> = None;
    let mut refusal: Option<&str> = None;
    let (mut calls, mut thoughts, mut cited) = (Vec::new(), Vec::new(), Vec::new());
    let mut characters = 0;
    for part in parts {
        match &part.content {
            Content::Text {
                text: piece,
                citations,
            } => {
                let end = characters + piece.chars().count();
                cited.extend(
                    citations
                        .iter()
                        .map(|citation| (citation, (characters, end))),
                );
                characters = end;
                text.get_or_insert_default().push_str(piece);
            }
            Content::Refusal(piece) => refusal = Some(piece),
            Content::ToolCall {
                id,
                name,
                arguments,
            } => calls.push((id, name, arguments)),
            thought @ (Content::Reasoning { .. } | Content::RedactedReasoning(_)) => {
                thoughts.push(thought);
            }
            _ => losses.add("content.misplaced"),
        }
    }
    w.key("message")
        .open()
        .member("role", "assistant")
        .key("content");
    match &text {
        Some(text) => w.text(text),
        None => w.null(),
    };
    w.key("refusal");
    match refusal {
        Some(refusal) => w.text(refusal),
        None => w.null(),
    };
    write_thoughts(w, &thoughts);
    if !cited.is_empty() {
        w.key("annotations").open_list();
        for (citation, place) in cited {
            write_citation(w, citation, place);
        }
        w.close_list();
    }
    if !calls.is_empty() {
        w.key("tool_calls").open_list();
        for (id, name, arguments) in calls {
            w.open().member("id", id).member("type", "function");
            w.key("function")
                .open()
                .member("name", name)
                .member("arguments", arguments);
            w.close().close();
        }
        w.close_list();
    }
    w.close();
}

/// One annotation of the piece of text in `place`; offsets count characters of the whole text.
pub(super) fn write_citation(w: &mut Writer<'_>, citation: &Citation<'_>, place: (usize, usize)) {
    let begin = place.0 as u64;
    let (start, end) = match citation.span {
        Some((start, end)) => (begin.saturating_add(start), begin.saturating_add(end)),
        None => (begin, place.1 as u64),
    };
    w.open()
        .member("type", "url_citation")
        .key("url_citation")
        .open();
    w.member("url", &citation.url);
    w.member("title", citation.title.as_deref().unwrap_or_default());
    // OpenRouter's place for the passage.
    w.member_if("content", citation.cited_text.as_deref());
    w.key("start_index")
        .unsigned(start)
        .key("end_index")
        .unsigned(end);
    w.close().close();
}

/// Thinking as `reasoning_content`, and as `reasoning_details` where there are signatures.
pub(super) fn write_thoughts(w: &mut Writer<'_>, thoughts: &[&Content<'_>]) {
    let mut plain = String::new();
    let mut signed = false;
    for thought in thoughts {
        match thought {
            Content::Reasoning { text, signature } => {
                plain.push_str(text);
                signed |= signature.is_some();
            }
            _ => signed = true,
        }
    }
    if !plain.is_empty() {
        w.member("reasoning_content", &plain);
    }
    if signed {
        w.key("reasoning_details").open_list();
        for (index, thought) in thoughts.iter().enumerate() {
            write_detail(w, thought, index as u64);
        }
        w.close_list();
    }
}

fn write_detail(w: &mut Writer<'_>, thought: &Content<'_>, index: u64) {
    w.open();
    match thought {
        Content::Reasoning { text, signature } => {
            w.member("type", "reasoning.text").member("text", text);
            w.member_if("signature", signature.as_deref());
        }
        Content::RedactedReasoning(data) => {
            w.member("type", "reasoning.encrypted").member("data", data);
        }
        _ => {}
    }
    w.key("index").unsigned(index).close();
}
