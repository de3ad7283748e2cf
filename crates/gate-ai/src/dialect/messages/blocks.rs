//! Content blocks, which requests and responses share.

use crate::conversation::{Citation, Content, Part, Source, Text};
use crate::json::object::{Object, Raw, list, text};
use crate::json::write::Writer;
use crate::{DialectError, Losses};
use serde_json::value::RawValue;

/// Reads `content`: a string or a list of blocks.
pub(super) fn read<'a>(
    raw: Raw<'a>,
    parts: &mut Vec<Part<'a>>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    if raw.get().starts_with('"') {
        let text = text(raw, "content")?;
        let citations = Vec::new();
        parts.push(Content::Text { text, citations }.into());
        return Ok(());
    }
    for item in list(raw, "content")? {
        let block = Object::of(item, "content")?;
        if let Some(content) = read_block(&block, losses)? {
            parts.push(Part {
                content,
                cache: block.get("cache_control").map(|raw| raw.get().into()),
            });
        }
    }
    Ok(())
}

fn read_block<'a>(
    block: &Object<'a>,
    losses: &mut Losses,
) -> Result<Option<Content<'a>>, DialectError> {
    let kind = block
        .text("type")
        .ok_or(DialectError::Missing { field: "type" })?;
    let content = match kind.as_ref() {
        "text" => Some(Content::Text {
            text: block.text("text").unwrap_or_default(),
            citations: match block.get("citations") {
                Some(raw) => read_citations(raw, losses)?,
                None => Vec::new(),
            },
        }),
        "image" => source(block)?.map(|source| Content::Image {
            source,
            detail: None,
        }),
        "document" => {
            for field in ["citations", "context"] {
                if block.get(field).is_some() {
                    losses.add(format!("content.document.{field}"));
                }
            }
            let title = block.text("title");
            source(block)?.map(|source| Content::Document { source, title })
        }
        "thinking" => Some(Content::Reasoning {
            text: block.text("thinking").unwrap_or_default(),
            signature: block.text("signature").filter(|text| !text.is_empty()),
        }),
        "redacted_thinking" => block.text("data").map(Content::RedactedReasoning),
        "tool_use" => Some(tool_use(block)?),
        "tool_result" => Some(tool_result(block, losses)?),
        _ => None,
    };
    if content.is_none() {
        losses.add(format!("content.{kind}"));
    }
    Ok(content)
}

fn tool_use<'a>(block: &Object<'a>) -> Result<Content<'a>, DialectError> {
    let member = |field| block.text(field).ok_or(DialectError::Missing { field });
    Ok(Content::ToolCall {
        id: member("id")?,
        name: member("name")?,
        arguments: block.get("input").map_or("{}", RawValue::get).into(),
    })
}

fn tool_result<'a>(block: &Object<'a>, losses: &mut Losses) -> Result<Content<'a>, DialectError> {
    let mut parts = Vec::new();
    if let Some(raw) = block.get("content") {
        read(raw, &mut parts, losses)?;
    }
    Ok(Content::ToolResult {
        id: block.text("tool_use_id").ok_or(DialectError::Missing {
            field: "tool_use_id",
        })?,
        parts,
        is_error: block
            .get("is_error")
            .is_some_and(|flag| flag.get() == "true"),
    })
}

fn source<'a>(block: &Object<'a>) -> Result<Option<Source<'a>>, DialectError> {
    let raw = block
        .get("source")
        .ok_or(DialectError::Missing { field: "source" })?;
    let source = Object::of(raw, "source")?;
    Ok(match source.text("type").as_deref() {
        Some("base64") => source.text("data").map(|data| Source::Base64 {
            media_type: source.text("media_type").unwrap_or_default(),
            data,
        }),
        Some("url") => source.text("url").map(Source::Url),
        Some("file") => source.text("file_id").map(Source::File),
        Some("text") => source.text("data").map(Source::Text),
        _ => None,
    })
}

/// Reads a list of citations; those of documents have no neutral place.
fn read_citations<'a>(
    raw: Raw<'a>,
    losses: &mut Losses,
) -> Result<Vec<Citation<'a>>, DialectError> {
    let mut citations = Vec::new();
    for item in list(raw, "citations")? {
        let object = Object::of(item, "citations")?;
        match citation(&object) {
            Some(citation) => citations.push(citation),
            None => losses.add("content.text.citations.document"),
        }
    }
    Ok(citations)
}

pub(super) fn citation<'a>(object: &Object<'a>) -> Option<Citation<'a>> {
    if object.text("type").as_deref() != Some("web_search_result_location") {
        return None;
    }
    Some(Citation {
        url: object.text("url")?,
        title: object.text("title"),
        cited_text: object.text("cited_text"),
        reference: object.text("encrypted_index"),
        span: None,
    })
}

pub(super) fn write_citation(w: &mut Writer<'_>, citation: &Citation<'_>) {
    w.open().member("type", "web_search_result_location");
    w.member("url", &citation.url).key("title");
    match &citation.title {
        Some(title) => w.text(title),
        None => w.null(),
    };
    w.member(
        "cited_text",
        citation.cited_text.as_deref().unwrap_or_default(),
    );
    // Only Anthropic can make one; SDKs require the member.
    w.member(
        "encrypted_index",
        citation.reference.as_deref().unwrap_or_default(),
    );
    w.close();
}

/// An id in the letters that Anthropic allows.
pub(in crate::dialect) fn tool_id(id: &str) -> Text<'_> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !id.is_empty() && id.chars().all(allowed) {
        return id.into();
    }
    let clean: String = id
        .chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect();
    format!("call_{clean}").into()
}

/// A call's arguments, which have to be an object here.
pub(in crate::dialect) fn tool_input<'a>(
    name: &str,
    arguments: &'a str,
) -> Result<&'a str, DialectError> {
    let trimmed = arguments.trim_ascii();
    if trimmed.is_empty() {
        return Ok("{}");
    }
    let valid = serde_json::from_str::<&RawValue>(trimmed).is_ok();
    if !valid || !trimmed.starts_with('{') {
        return Err(DialectError::Arguments {
            tool: name.chars().take(64).collect::<String>().into(),
        });
    }
    Ok(trimmed)
}
