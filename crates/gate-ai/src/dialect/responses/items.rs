//! Items of a conversation, which requests, whole answers and streams share.
//!
//! Items are flat: thoughts, messages and calls of one turn stand beside each other. The neutral
//! form has turns, because other dialects want a turn's calls in one message.

use crate::conversation::{Citation, Content, Message, Part, Role, Source, Text, TokenLogprob};
use crate::dialect::chat_completions::{source_of, span_of};
use crate::dialect::logprobs;
use crate::json::object::{Object, Raw, list, text};
use crate::{DialectError, Losses};

/// Between the pieces of a summary.
pub(super) const SEAM: &str = "\n\n";

/// A text that cites nothing.
pub(super) fn plain(text: Text<'_>) -> Content<'_> {
    Content::Text {
        text,
        citations: Vec::new(),
    }
}

/// Reads `input`: a text or a list of items.
pub(super) fn input<'a>(
    raw: Raw<'a>,
    messages: &mut Vec<Message<'a>>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    if raw.get().starts_with('"') {
        messages.push(Message {
            role: Role::User,
            parts: vec![plain(text(raw, "input")?).into()],
        });
        return Ok(());
    }
    for item in list(raw, "input")? {
        let item = Object::of(item, "input")?;
        match item.text("type").as_deref() {
            Some("message") => message(&item, messages, losses)?,
            None if item.get("role").is_some() => message(&item, messages, losses)?,
            Some("function_call_output") => messages.push(Message {
                role: Role::User,
                parts: vec![call_output(&item, losses)?.into()],
            }),
            Some("item_reference") | None => {
                return Err(DialectError::Untranslatable {
                    field: "input",
                    reason: "an item it refers to is stored at OpenAI; send the item itself",
                });
            }
            Some(_) => {
                let mut parts = Vec::new();
                output_item(&item, "input", &mut parts, &mut Vec::new(), losses)?;
                append(messages, parts);
            }
        }
    }
    Ok(())
}

/// Adds what the model said to its turn. A text behind a text is a message of its own, unless calls
/// stand before it: what answers calls has to follow the message that makes them.
fn append<'a>(messages: &mut Vec<Message<'a>>, mut parts: Vec<Part<'a>>) {
    let is_text = |part: &Part<'_>| matches!(part.content, Content::Text { .. });
    let is_call = |part: &Part<'_>| matches!(part.content, Content::ToolCall { .. });
    if parts.is_empty() {
        return;
    }
    match messages.last_mut() {
        Some(last)
            if last.role == Role::Assistant
                && (!parts.iter().any(is_text)
                    || !last.parts.iter().any(is_text)
                    || last.parts.iter().any(is_call)) =>
        {
            last.parts.append(&mut parts);
        }
        _ => messages.push(Message {
            role: Role::Assistant,
            parts,
        }),
    }
}

fn message<'a>(
    item: &Object<'a>,
    messages: &mut Vec<Message<'a>>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let role = match item.text("role").as_deref() {
        Some("user") => Role::User,
        Some("system" | "developer") => Role::System,
        Some("assistant") => Role::Assistant,
        _ => {
            return Err(DialectError::wrong_type(
                "role",
                "user, system, developer or assistant",
            ));
        }
    };
    let mut parts = Vec::new();
    spoken(item, &mut parts, &mut Vec::new(), losses)?;
    if role == Role::Assistant {
        append(messages, parts);
    } else {
        messages.push(Message { role, parts });
    }
    Ok(())
}

/// The parts of a message.
fn spoken<'a>(
    item: &Object<'a>,
    parts: &mut Vec<Part<'a>>,
    tokens: &mut Vec<TokenLogprob<'a>>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for (name, raw) in item.iter() {
        match name {
            "type" | "role" | "id" | "status" => {}
            "content" if raw.get().starts_with('"') => {
                parts.push(plain(text(raw, "content")?).into());
            }
            "content" => {
                for raw in list(raw, "content")? {
                    let part = Object::of(raw, "content")?;
                    parts.extend(content(&part, tokens, losses)?);
                }
            }
            _ => losses.add(format!("messages.{name}")),
        }
    }
    Ok(())
}

/// One part of a message or of a tool's answer.
pub(super) fn content<'a>(
    part: &Object<'a>,
    tokens: &mut Vec<TokenLogprob<'a>>,
    losses: &mut Losses,
) -> Result<Option<Part<'a>>, DialectError> {
    let kind = part
        .text("type")
        .ok_or(DialectError::Missing { field: "type" })?;
    let content = match kind.as_ref() {
        "input_text" | "text" => part.text("text").map(plain),
        "output_text" => {
            if let Some(raw) = part.get("logprobs") {
                tokens.append(&mut logprobs::read(raw)?);
            }
            Some(Content::Text {
                text: part.text("text").unwrap_or_default(),
                citations: match part.get("annotations") {
                    Some(raw) => citations(raw, losses)?,
                    None => Vec::new(),
                },
            })
        }
        "refusal" => part.text("refusal").map(Content::Refusal),
        "input_image" => image(part),
        "input_file" => file(part),
        _ => None,
    };
    let Some(content) = content else {
        losses.add(format!("content.{kind}"));
        return Ok(None);
    };
    // Its modes and times are OpenAI's; what remains is that a prefix ends here.
    let mark = part.get("prompt_cache_breakpoint");
    let cache = mark.map(|_| Text::Borrowed(r#"{"type":"ephemeral"}"#));
    Ok(Some(Part { content, cache }))
}

fn image<'a>(part: &Object<'a>) -> Option<Content<'a>> {
    let source = match (part.text("image_url"), part.text("file_id")) {
        (Some(url), _) => source_of(url),
        (None, Some(id)) => Source::File(id),
        (None, None) => return None,
    };
    let detail = part.text("detail");
    Some(Content::Image { source, detail })
}

fn file<'a>(part: &Object<'a>) -> Option<Content<'a>> {
    let source = match (
        part.text("file_data"),
        part.text("file_url"),
        part.text("file_id"),
    ) {
        (Some(data), _, _) => match source_of(data) {
            // Some servers take the data without the address around it.
            Source::Url(data) => Source::Base64 {
                media_type: "application/pdf".into(),
                data,
            },
            source => source,
        },
        (None, Some(url), _) => Source::Url(url),
        (None, None, Some(id)) => Source::File(id),
        (None, None, None) => return None,
    };
    let title = part.text("filename");
    Some(Content::Document { source, title })
}

/// Reads annotations; those that are no web pages have no neutral place.
fn citations<'a>(raw: Raw<'a>, losses: &mut Losses) -> Result<Vec<Citation<'a>>, DialectError> {
    let mut citations = Vec::new();
    for item in list(raw, "annotations")? {
        citations.extend(citation(&Object::of(item, "annotations")?, losses));
    }
    Ok(citations)
}

pub(super) fn citation<'a>(object: &Object<'a>, losses: &mut Losses) -> Option<Citation<'a>> {
    let kind = object.text("type").unwrap_or_default();
    let url = object.text("url").filter(|_| kind == "url_citation");
    if url.is_none() {
        losses.add(format!("annotations.{kind}"));
    }
    Some(Citation {
        url: url?,
        title: object.text("title"),
        cited_text: None,
        reference: None,
        span: span_of(object),
    })
}

fn call_output<'a>(item: &Object<'a>, losses: &mut Losses) -> Result<Content<'a>, DialectError> {
    let mut parts = Vec::new();
    match item.get("output") {
        None => {}
        Some(raw) if raw.get().starts_with('"') => parts.push(plain(text(raw, "output")?).into()),
        Some(raw) => {
            for raw in list(raw, "output")? {
                let part = Object::of(raw, "output")?;
                parts.extend(content(&part, &mut Vec::new(), losses)?);
            }
        }
    }
    Ok(Content::ToolResult {
        id: item
            .text("call_id")
            .ok_or(DialectError::Missing { field: "call_id" })?,
        parts,
        is_error: false,
    })
}

/// One item that a model made. `side` is the member it stands in, for the names of losses.
pub(super) fn output_item<'a>(
    item: &Object<'a>,
    side: &str,
    parts: &mut Vec<Part<'a>>,
    tokens: &mut Vec<TokenLogprob<'a>>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let kind = item.text("type").unwrap_or_default();
    match kind.as_ref() {
        "message" => spoken(item, parts, tokens, losses)?,
        "reasoning" => parts.extend(reasoning(item)?.map(Part::from)),
        "function_call" => {
            let (id, name) = call(item, losses)?;
            parts.push(
                Content::ToolCall {
                    id,
                    name,
                    arguments: item.text("arguments").unwrap_or_default(),
                }
                .into(),
            );
        }
        _ => losses.add(format!("{side}.{kind}")),
    }
    Ok(())
}

/// The id and name of a call.
pub(super) fn call<'a>(
    item: &Object<'a>,
    losses: &mut Losses,
) -> Result<(Text<'a>, Text<'a>), DialectError> {
    for (field, loss) in [
        ("namespace", "function_call.namespace"),
        ("caller", "function_call.caller"),
    ] {
        if item.get(field).is_some() {
            losses.add(loss);
        }
    }
    let member = |field| item.text(field).ok_or(DialectError::Missing { field });
    Ok((member("call_id")?, member("name")?))
}

/// What a reasoning item says: its summary, else the thoughts themselves where a server shows them,
/// and what only the vendor can read as the signature. An item with none of these only points at
/// what the vendor stored.
pub(super) fn reasoning<'a>(item: &Object<'a>) -> Result<Option<Content<'a>>, DialectError> {
    let mut said = Text::default();
    for field in ["summary", "content"] {
        let Some(raw) = item.get(field).filter(|_| said.is_empty()) else {
            continue;
        };
        for raw in list(raw, field)? {
            let piece = Object::of(raw, field)?.text("text").unwrap_or_default();
            if !said.is_empty() {
                said += SEAM;
            }
            said += piece;
        }
    }
    let sealed = item.text("encrypted_content");
    let sealed = sealed.filter(|sealed| !sealed.is_empty());
    Ok(match (said.is_empty(), sealed) {
        (true, Some(sealed)) => Some(Content::RedactedReasoning(sealed)),
        (true, None) => None,
        (false, signature) => Some(Content::Reasoning {
            text: said,
            signature,
        }),
    })
}
