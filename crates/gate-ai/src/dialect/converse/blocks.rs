//! Content blocks, which requests and responses share: an object with one member, named for its
//! kind.

use super::media;
use crate::conversation::{Citation, Content, Part, Source, Text};
use crate::json::object::{Object, Raw, list, text};
use crate::{DialectError, Losses};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::borrow::Cow;

/// Reads a list of blocks. A mark of the cache belongs to the block before it.
pub(super) fn read<'a>(
    raw: Raw<'a>,
    parts: &mut Vec<Part<'a>>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for item in list(raw, "content")? {
        let block = Object::of(item, "content")?;
        for (kind, value) in block.iter() {
            match kind {
                // Some recorded answers have it beside the block's one member.
                "type" => {}
                "cachePoint" => match parts.last_mut() {
                    Some(part) => part.cache = Some(cache_mark(value)?),
                    None => losses.add("content.cachePoint"),
                },
                _ => parts.extend(read_block(kind, value, losses)?.map(Part::from)),
            }
        }
    }
    Ok(())
}

/// A cache mark in the neutral form, which is Anthropic's.
pub(super) fn cache_mark<'a>(raw: Raw<'a>) -> Result<Text<'a>, DialectError> {
    let ttl = Object::of(raw, "cachePoint")?.text("ttl");
    Ok(match ttl.as_deref() {
        Some("1h") => r#"{"type":"ephemeral","ttl":"1h"}"#.into(),
        Some("5m") => r#"{"type":"ephemeral","ttl":"5m"}"#.into(),
        _ => r#"{"type":"ephemeral"}"#.into(),
    })
}

fn read_block<'a>(
    kind: &str,
    value: Raw<'a>,
    losses: &mut Losses,
) -> Result<Option<Content<'a>>, DialectError> {
    let object = || Object::of(value, "content");
    let content = match kind {
        "text" => Some(plain(text(value, "text")?)),
        "image" => image(&object()?, losses)?,
        "document" => document(&object()?, losses)?,
        "audio" => audio(&object()?, losses)?,
        "toolUse" => tool_use(&object()?, losses)?,
        "toolResult" => tool_result(&object()?, losses)?,
        "reasoningContent" => reasoning(&object()?, losses)?,
        "citationsContent" => Some(cited(&object()?, losses)?),
        "guardContent" => guarded(&object()?, losses)?,
        _ => {
            losses.add(format!("content.{kind}"));
            None
        }
    };
    Ok(content)
}

fn plain(text: Text<'_>) -> Content<'_> {
    Content::Text {
        text,
        citations: Vec::new(),
    }
}

fn member<'a>(object: &Object<'a>, field: &'static str) -> Result<Object<'a>, DialectError> {
    let raw = object.get(field).ok_or(DialectError::Missing { field })?;
    Object::of(raw, field)
}

/// Bytes that stand in the message, or an object of S3, which only Bedrock can fetch.
fn source<'a>(
    block: &Object<'a>,
    kind: &'static str,
    media_type: Text<'a>,
    losses: &mut Losses,
) -> Result<Option<Source<'a>>, DialectError> {
    let source = member(block, "source")?;
    if let Some(data) = source.text("bytes") {
        return Ok(Some(Source::Base64 { media_type, data }));
    }
    if let Some(raw) = source.get("s3Location") {
        let location = Object::of(raw, "s3Location")?;
        if location.get("bucketOwner").is_some() {
            losses.add(format!("content.{kind}.s3Location.bucketOwner"));
        }
        return Ok(location.text("uri").map(Source::File));
    }
    if let Some(text) = source.text("text") {
        return Ok(Some(Source::Text(text)));
    }
    if let Some(raw) = source.get("content") {
        let mut joined = String::new();
        for item in list(raw, "content")? {
            let piece = Object::of(item, "content")?.text("text");
            joined.push_str(piece.as_deref().unwrap_or_default());
        }
        losses.add("content.document.content");
        return Ok(Some(Source::Text(joined.into())));
    }
    Ok(None)
}

fn image<'a>(block: &Object<'a>, losses: &mut Losses) -> Result<Option<Content<'a>>, DialectError> {
    let media_type = media::image_type(&block.text("format").unwrap_or_default());
    let source = source(block, "image", media_type, losses)?;
    if source.is_none() {
        losses.add("content.image");
    }
    Ok(source.map(|source| Content::Image {
        source,
        detail: None,
    }))
}

fn document<'a>(
    block: &Object<'a>,
    losses: &mut Losses,
) -> Result<Option<Content<'a>>, DialectError> {
    for field in ["citations", "context"] {
        if block.get(field).is_some() {
            losses.add(format!("content.document.{field}"));
        }
    }
    let format = block.text("format").unwrap_or("txt".into());
    let source = source(block, "document", media::document_type(&format), losses)?;
    if source.is_none() {
        losses.add("content.document");
    }
    let title = block.text("name");
    Ok(source.map(|source| Content::Document { source, title }))
}

fn audio<'a>(block: &Object<'a>, losses: &mut Losses) -> Result<Option<Content<'a>>, DialectError> {
    let data = member(block, "source")?.text("bytes");
    let format = block.text("format").unwrap_or_default();
    match data {
        Some(data) if matches!(&*format, "wav" | "mp3") => {
            Ok(Some(Content::Audio { data, format }))
        }
        _ => {
            losses.add("content.audio.format");
            Ok(None)
        }
    }
}

fn tool_use<'a>(
    block: &Object<'a>,
    losses: &mut Losses,
) -> Result<Option<Content<'a>>, DialectError> {
    if is_server_tool(block, losses) {
        return Ok(None);
    }
    let required = |field| block.text(field).ok_or(DialectError::Missing { field });
    Ok(Some(Content::ToolCall {
        id: required("toolUseId")?,
        name: required("name")?,
        arguments: block.get("input").map_or("{}", |raw| raw.get()).into(),
    }))
}

/// Whether a call ran at Bedrock, which no other vendor can go on with.
pub(super) fn is_server_tool(block: &Object<'_>, losses: &mut Losses) -> bool {
    let server = block.text("type").as_deref() == Some("server_tool_use");
    if server {
        losses.add("content.toolUse.server_tool_use");
    }
    server
}

fn tool_result<'a>(
    block: &Object<'a>,
    losses: &mut Losses,
) -> Result<Option<Content<'a>>, DialectError> {
    if block.get("type").is_some() {
        losses.add("content.toolResult.type");
        return Ok(None);
    }
    let mut parts: Vec<Part<'a>> = Vec::new();
    let items = block.get("content").map(|raw| list(raw, "content"));
    for item in items.transpose()?.unwrap_or_default() {
        for (kind, value) in Object::of(item, "content")?.iter() {
            match kind {
                "json" => parts.push(plain(value.get().into()).into()),
                "type" => {}
                _ => parts.extend(read_block(kind, value, losses)?.map(Part::from)),
            }
        }
    }
    Ok(Some(Content::ToolResult {
        id: block
            .text("toolUseId")
            .ok_or(DialectError::Missing { field: "toolUseId" })?,
        parts,
        is_error: block.text("status").as_deref() == Some("error"),
    }))
}

fn reasoning<'a>(
    block: &Object<'a>,
    losses: &mut Losses,
) -> Result<Option<Content<'a>>, DialectError> {
    if let Some(data) = block.text("redactedContent") {
        let data = redacted(&data);
        if data.is_none() {
            losses.add("content.redactedContent");
        }
        return Ok(data.map(Content::RedactedReasoning));
    }
    let thought = member(block, "reasoningText")?;
    Ok(Some(Content::Reasoning {
        text: thought.text("text").unwrap_or_default(),
        signature: thought.text("signature").filter(|text| !text.is_empty()),
    }))
}

/// What only the vendor can read: Bedrock wraps the vendor's text in base64 once more.
pub(super) fn redacted<'a>(data: &str) -> Option<Text<'a>> {
    let bytes = BASE64.decode(data).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// The other way.
pub(super) fn redacted_content(data: &str) -> String {
    BASE64.encode(data)
}

fn cited<'a>(block: &Object<'a>, losses: &mut Losses) -> Result<Content<'a>, DialectError> {
    let mut said: Text<'a> = "".into();
    let pieces = block.get("content").map(|raw| list(raw, "content"));
    for item in pieces.transpose()?.unwrap_or_default() {
        if let Some(piece) = Object::of(item, "content")?.text("text") {
            if said.is_empty() {
                said = piece;
            } else {
                said.to_mut().push_str(&piece);
            }
        }
    }
    let mut citations = Vec::new();
    let listed = block.get("citations").map(|raw| list(raw, "citations"));
    for item in listed.transpose()?.unwrap_or_default() {
        citations.extend(citation(&Object::of(item, "citations")?, losses));
    }
    Ok(Content::Text {
        text: said,
        citations,
    })
}

/// A citation of a page; those of documents and searches have no neutral place.
pub(super) fn citation<'a>(object: &Object<'a>, losses: &mut Losses) -> Option<Citation<'a>> {
    let inner = |object: &Object<'a>, field| Object::of(object.get(field)?, field).ok();
    let web = inner(object, "location").and_then(|location| inner(&location, "web"));
    let Some(url) = web.and_then(|web| web.text("url")) else {
        losses.add("content.text.citations.document");
        return None;
    };
    let passage = object
        .get("sourceContent")
        .and_then(|raw| list(raw, "sourceContent").ok())
        .and_then(|pieces| pieces.first().copied())
        .and_then(|raw| Object::of(raw, "sourceContent").ok());
    Some(Citation {
        url,
        title: object.text("title"),
        cited_text: passage.and_then(|passage| passage.text("text")),
        reference: None,
        span: None,
    })
}

/// What a guardrail is to look at is said all the same; the mark is Bedrock's.
fn guarded<'a>(
    block: &Object<'a>,
    losses: &mut Losses,
) -> Result<Option<Content<'a>>, DialectError> {
    losses.add("content.guardContent");
    if block.get("image").is_some() {
        return image(&member(block, "image")?, losses);
    }
    let text = member(block, "text")?.text("text");
    Ok(text.map(plain))
}
