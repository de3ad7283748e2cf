//! Pieces of messages that requests and answers share.

use super::citations;
use crate::conversation::{Content, Part, Source, Text};
use crate::dialect::chat_completions::{image_of, tool_calls};
use crate::json::object::{Object, Raw, list, text};
use crate::json::write::Writer;
use crate::{DialectError, Losses};

/// Reads `content`: a string or a list of pieces.
pub(super) fn read<'a>(
    raw: Raw<'a>,
    parts: &mut Vec<Part<'a>>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    if raw.get().starts_with('"') {
        parts.push(text_of(text(raw, "content")?).into());
        return Ok(());
    }
    for item in list(raw, "content")? {
        let object = Object::of(item, "content")?;
        let kind = object.text("type").unwrap_or_default();
        let content = match kind.as_ref() {
            "text" => object.text("text").map(text_of),
            "thinking" => object.text("thinking").map(|text| Content::Reasoning {
                text,
                signature: None,
            }),
            "image_url" => image_of(&object)?,
            "document" => object.get("document").map(document).transpose()?,
            _ => None,
        };
        match content {
            Some(content) => parts.push(content.into()),
            None => losses.add(format!("content.{kind}")),
        }
    }
    Ok(())
}

fn text_of(text: Text<'_>) -> Content<'_> {
    let citations = Vec::new();
    Content::Text { text, citations }
}

/// Reads a document: its text, or its data. Data that are more than a title and a text are given as
/// they are.
pub(super) fn document<'a>(raw: Raw<'a>) -> Result<Content<'a>, DialectError> {
    let plain = |text, title| Content::Document {
        source: Source::Text(text),
        title,
    };
    if raw.get().starts_with('"') {
        return Ok(plain(text(raw, "document")?, None));
    }
    let object = Object::of(raw, "document")?;
    let data = object
        .get("data")
        .ok_or(DialectError::Missing { field: "data" })?;
    let id = object.text("id");
    if data.get().starts_with('"') {
        return Ok(plain(text(data, "data")?, id));
    }
    let members = Object::of(data, "data")?;
    let is_simple = members
        .iter()
        .all(|(name, _)| matches!(name, "text" | "title"));
    match members.text("text").filter(|_| is_simple) {
        Some(text) => Ok(plain(text, members.text("title").or(id))),
        None => Ok(plain(data.get().into(), id)),
    }
}

/// Reads what the model said: its content, its plan, its calls.
pub(super) fn assistant<'a>(
    message: &Object<'a>,
    losses: &mut Losses,
) -> Result<Vec<Part<'a>>, DialectError> {
    let (mut parts, mut calls) = (Vec::new(), Vec::new());
    for (name, raw) in message.iter() {
        match name {
            "role" | "tool_plan" | "citations" => {}
            "content" => read(raw, &mut parts, losses)?,
            "tool_calls" => tool_calls(raw, &mut calls, losses)?,
            _ => losses.add(format!("messages.{name}")),
        }
    }
    if let Some(raw) = message.get("citations") {
        citations::attach(raw, &mut parts, losses)?;
    }
    let plan = message.text("tool_plan").filter(|plan| !plan.is_empty());
    parts.extend(plan.map(|plan| text_of(plan).into()));
    for call in &mut calls {
        if let Content::ToolCall { arguments, .. } = &mut call.content
            && arguments == "null"
        {
            // A call without arguments; elsewhere they are an object.
            *arguments = "{}".into();
        }
    }
    parts.append(&mut calls);
    Ok(parts)
}

/// Writes the members of what the model says. In requests text that goes with calls is their plan;
/// answers have it in their content, where clients look for it.
pub(super) fn write_assistant(
    w: &mut Writer<'_>,
    parts: &[&Part<'_>],
    is_request: bool,
    losses: &mut Losses,
) {
    w.member("role", "assistant");
    let is_call = |part: &&&Part<'_>| matches!(part.content, Content::ToolCall { .. });
    let calls: Vec<_> = parts.iter().filter(is_call).collect();
    let planned = is_request && !calls.is_empty();
    let mut plan = String::new();
    let mut content = Vec::with_capacity(parts.len());
    for part in parts {
        match &part.content {
            Content::Text { text, .. } | Content::Refusal(text) if planned => plan.push_str(text),
            Content::ToolCall { .. } => {}
            Content::Text { text, .. } | Content::Refusal(text) if text.is_empty() => {}
            Content::Text { .. } | Content::Refusal(_) => content.push(&part.content),
            Content::Reasoning { signature, .. } => {
                if signature.is_some() {
                    losses.add("content.reasoning.signature");
                }
                content.push(&part.content);
            }
            Content::RedactedReasoning(_) => losses.add("content.reasoning.redacted"),
            _ => losses.add("content.misplaced"),
        }
    }
    if !plan.is_empty() {
        w.member("tool_plan", &plan);
    }
    if !calls.is_empty() {
        w.key("tool_calls").open_list();
        calls.iter().for_each(|part| write_call(w, &part.content));
        w.close_list();
    }
    if !content.is_empty() {
        write_content(w, &content, losses);
    }
}

fn write_call(w: &mut Writer<'_>, content: &Content<'_>) {
    if let Content::ToolCall {
        id,
        name,
        arguments,
    } = content
    {
        w.open().member("id", id).member("type", "function");
        w.key("function").open().member("name", name);
        w.member("arguments", arguments).close().close();
    }
}

/// Texts and thoughts in their order, and the citations of the texts.
fn write_content(w: &mut Writer<'_>, content: &[&Content<'_>], losses: &mut Losses) {
    w.key("content").open_list();
    let mut cited = false;
    for piece in content {
        match piece {
            Content::Text { text, citations } => {
                cited |= !citations.is_empty();
                w.open().member("type", "text").member("text", text).close();
            }
            Content::Refusal(text) => {
                w.open().member("type", "text").member("text", text).close();
            }
            Content::Reasoning { text, .. } => {
                w.open().member("type", "thinking");
                w.member("thinking", text).close();
            }
            _ => {}
        }
    }
    w.close_list();
    if !cited {
        return;
    }
    w.key("citations").open_list();
    for (index, piece) in content.iter().enumerate() {
        if let Content::Text { text, citations } = piece {
            let all = (0, text.chars().count() as u64);
            for citation in citations {
                citations::write(w, citation, index as u64, all, losses);
            }
        }
    }
    w.close_list();
}
