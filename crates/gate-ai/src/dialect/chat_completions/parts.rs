//! Pieces of messages that requests and responses share.

use crate::conversation::{Citation, Content, Part, Source, Text};
use crate::json::object::{Object, Raw, list, text, unsigned};
use crate::{DialectError, Losses};
use std::borrow::Cow;

/// Reads `content`: a string or a list of parts.
pub(super) fn message_parts<'a>(
    raw: Raw<'a>,
    parts: &mut Vec<Part<'a>>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    if raw.get().starts_with('"') {
        parts.push(text_content(text(raw, "content")?).into());
        return Ok(());
    }
    for item in list(raw, "content")? {
        let object = Object::of(item, "content")?;
        let kind = object
            .text("type")
            .ok_or(DialectError::Missing { field: "type" })?;
        let content = match kind.as_ref() {
            "text" => object.text("text").map(text_content),
            "refusal" => object.text("refusal").map(Content::Refusal),
            "image_url" => image(&object)?,
            "input_audio" => audio(&object)?,
            "file" => file(&object)?,
            // Mistral's form of thinking.
            "thinking" => thinking(&object)?,
            _ => None,
        };
        match content {
            Some(content) => parts.push(Part {
                content,
                cache: object.get("cache_control").map(|raw| raw.get().into()),
            }),
            None => losses.add(format!("content.{kind}")),
        }
    }
    Ok(())
}

pub(super) fn text_content(text: Text<'_>) -> Content<'_> {
    Content::Text {
        text,
        citations: Vec::new(),
    }
}

/// Reads a part with an image.
pub(in crate::dialect) fn image<'a>(
    object: &Object<'a>,
) -> Result<Option<Content<'a>>, DialectError> {
    let Some(raw) = object.get("image_url") else {
        return Ok(None);
    };
    // Mistral and others take the address without an object around it.
    if raw.get().starts_with('"') {
        let source = source(text(raw, "image_url")?);
        let detail = None;
        return Ok(Some(Content::Image { source, detail }));
    }
    let inner = Object::of(raw, "image_url")?;
    Ok(inner.text("url").map(|url| Content::Image {
        source: source(url),
        detail: inner.text("detail"),
    }))
}

fn audio<'a>(object: &Object<'a>) -> Result<Option<Content<'a>>, DialectError> {
    let Some(raw) = object.get("input_audio") else {
        return Ok(None);
    };
    let inner = Object::of(raw, "input_audio")?;
    Ok(inner.text("data").map(|data| Content::Audio {
        data,
        format: inner.text("format").unwrap_or_default(),
    }))
}

fn file<'a>(object: &Object<'a>) -> Result<Option<Content<'a>>, DialectError> {
    let Some(raw) = object.get("file") else {
        return Ok(None);
    };
    let inner = Object::of(raw, "file")?;
    let source = match (inner.text("file_data"), inner.text("file_id")) {
        (Some(data), _) => source(data),
        (None, Some(id)) => Source::File(id),
        (None, None) => return Ok(None),
    };
    let title = inner.text("filename");
    Ok(Some(Content::Document { source, title }))
}

fn thinking<'a>(object: &Object<'a>) -> Result<Option<Content<'a>>, DialectError> {
    let Some(raw) = object.get("thinking") else {
        return Ok(None);
    };
    Ok(Some(Content::Reasoning {
        text: joined_texts(raw)?,
        signature: object.text("signature"),
    }))
}

/// The texts of a list of text parts, joined.
pub(super) fn joined_texts(raw: Raw<'_>) -> Result<Text<'_>, DialectError> {
    if raw.get().starts_with('"') {
        return text(raw, "thinking");
    }
    let mut joined = Text::default();
    for item in list(raw, "thinking")? {
        joined += Object::of(item, "thinking")?
            .text("text")
            .unwrap_or_default();
    }
    Ok(joined)
}

/// An address, which may hold the bytes themselves (RFC 2397).
pub(in crate::dialect) fn source(url: Text<'_>) -> Source<'_> {
    let split = |url: &str| {
        let rest = url.strip_prefix("data:")?;
        let (media_type, data) = rest.split_once(";base64,")?;
        let start = "data:".len();
        Some((start..start + media_type.len(), url.len() - data.len()))
    };
    match (split(&url), url) {
        (None, url) => Source::Url(url),
        (Some((media, data)), Cow::Borrowed(url)) => Source::Base64 {
            media_type: Cow::Borrowed(&url[media]),
            data: Cow::Borrowed(&url[data..]),
        },
        (Some((media, data)), Cow::Owned(url)) => Source::Base64 {
            media_type: Cow::Owned(url[media].to_owned()),
            data: Cow::Owned(url[data..].to_owned()),
        },
    }
}

/// Reads `tool_calls`.
pub(in crate::dialect) fn tool_calls<'a>(
    raw: Raw<'a>,
    calls: &mut Vec<Part<'a>>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for item in list(raw, "tool_calls")? {
        let object = Object::of(item, "tool_calls")?;
        let Some(function) = object.get("function") else {
            losses.add("tool_calls.custom");
            continue;
        };
        let function = Object::of(function, "function")?;
        // Snowflake's lists hold calls of nothing.
        let Some(name) = function.text("name").filter(|name| !name.is_empty()) else {
            losses.add("tool_calls.nameless");
            continue;
        };
        // Some servers give no ids; the position is as good.
        let id = object
            .text("id")
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| format!("call_{}", calls.len()).into());
        let arguments = match function.get("arguments") {
            // Some servers send the object itself.
            Some(raw) if !raw.get().starts_with('"') => raw.get().into(),
            Some(raw) => text(raw, "arguments")?,
            None => Text::default(),
        };
        calls.push(
            Content::ToolCall {
                id,
                name,
                arguments,
            }
            .into(),
        );
    }
    Ok(())
}

/// Reads thinking from whichever of its three places carries most: details have signatures.
pub(super) fn reasoning_parts<'a>(
    message: &Object<'a>,
    losses: &mut Losses,
) -> Result<Vec<Part<'a>>, DialectError> {
    let mut parts = Vec::new();
    if let Some(raw) = message.get("reasoning_details") {
        for item in list(raw, "reasoning_details")? {
            if let Some(content) = reasoning_detail(&Object::of(item, "reasoning_details")?) {
                parts.push(content.into());
            } else {
                losses.add("reasoning_details");
            }
        }
    }
    if parts.is_empty() {
        let plain = message
            .text("reasoning_content")
            .or_else(|| message.text("reasoning"))
            .filter(|text| !text.is_empty());
        parts.extend(plain.map(|text| {
            let signature = None;
            Part::from(Content::Reasoning { text, signature })
        }));
    }
    Ok(parts)
}

pub(super) fn reasoning_detail<'a>(detail: &Object<'a>) -> Option<Content<'a>> {
    Some(match detail.text("type").as_deref()? {
        "reasoning.text" => Content::Reasoning {
            text: detail.text("text").unwrap_or_default(),
            signature: detail.text("signature"),
        },
        "reasoning.summary" => Content::Reasoning {
            text: detail.text("summary")?,
            signature: None,
        },
        "reasoning.encrypted" => Content::RedactedReasoning(detail.text("data")?),
        _ => return None,
    })
}

/// Reads `annotations`; those that are no web pages have no neutral place.
pub(super) fn citations<'a>(
    raw: Raw<'a>,
    losses: &mut Losses,
) -> Result<Vec<Citation<'a>>, DialectError> {
    let mut citations = Vec::new();
    for item in list(raw, "annotations")? {
        let object = Object::of(item, "annotations")?;
        let url_citation = object.get("url_citation");
        let inner = url_citation.and_then(|raw| Object::of(raw, "url_citation").ok());
        match inner.as_ref().and_then(|inner| inner.text("url")) {
            Some(url) => citations.push(Citation {
                url,
                title: inner.as_ref().and_then(|inner| inner.text("title")),
                cited_text: inner.as_ref().and_then(|inner| inner.text("content")),
                reference: None,
                span: inner.as_ref().and_then(span),
            }),
            None => losses.add("annotations.file"),
        }
    }
    Ok(citations)
}

/// Where in the text a citation stands.
pub(in crate::dialect) fn span(citation: &Object<'_>) -> Option<(u64, u64)> {
    let offset = |key| citation.get(key).and_then(|raw| unsigned(raw, key).ok());
    offset("start_index").zip(offset("end_index"))
}
