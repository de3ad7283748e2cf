//! The parts of a turn, which requests and responses share, into the neutral form.

use super::calls::CallIds;
use super::signature;
use crate::conversation::{Content, Part, Source, Text};
use crate::json::object::{Object, Raw, list, text};
use crate::{DialectError, Losses};
use serde_json::value::RawValue;

/// Reads a list of parts, or a single one.
pub(super) fn read<'a>(
    raw: Raw<'a>,
    ids: &mut CallIds,
    parts: &mut Vec<Part<'a>>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for item in items(raw, "parts")? {
        read_part(&Object::of(item, "parts")?.camel()?, ids, parts, losses)?;
    }
    Ok(())
}

/// The items of a list; Google takes a single one without the list around it.
pub(super) fn items<'a>(raw: Raw<'a>, field: &'static str) -> Result<Vec<Raw<'a>>, DialectError> {
    if raw.get().starts_with('{') {
        return Ok(vec![raw]);
    }
    list(raw, field)
}

fn read_part<'a>(
    part: &Object<'a>,
    ids: &mut CallIds,
    parts: &mut Vec<Part<'a>>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let is_thought = part.get("thought").is_some_and(|flag| flag.get() == "true");
    let signature = signature_of(part);
    let (mut content, mut lost) = (None, false);
    for (name, raw) in part.iter() {
        let found = match name {
            "thought" | "thoughtSignature" => continue,
            "text" => Some(Content::Text {
                text: text(raw, "text")?,
                citations: Vec::new(),
            }),
            "inlineData" | "fileData" => media(name, raw, losses)?,
            "functionCall" => {
                let call_object = Object::of(raw, "functionCall")?.camel()?;
                Some(call(&call_object, ids, losses)?)
            }
            "functionResponse" => {
                let response = Object::of(raw, "functionResponse")?.camel()?;
                Some(result(&response, ids, losses)?)
            }
            _ => {
                losses.add(format!("content.{name}"));
                None
            }
        };
        lost |= found.is_none();
        // A part is of one kind; what stands beside it says more about it.
        content = content.or(found);
    }
    match (content, signature) {
        (Some(Content::Text { text, .. }), signature) if is_thought => {
            thought(text, signature, parts);
        }
        (Some(_), _) if is_thought => losses.add("content.thought"),
        (Some(call @ Content::ToolCall { .. }), signature) => {
            parts.extend(signature.map(|text| Part::from(Content::RedactedReasoning(text))));
            parts.push(call.into());
        }
        (Some(content), signature) => {
            let silent = matches!(&content, Content::Text { text, .. } if text.is_empty());
            if !(silent && signature.is_some()) {
                parts.push(content.into());
            }
            parts.extend(signature.map(|text| Part::from(Content::RedactedReasoning(text))));
        }
        // What it signed is lost, and reported.
        (None, _) if lost => {}
        (None, signature @ Some(_)) if is_thought => thought("".into(), signature, parts),
        (None, Some(signature)) => parts.push(Content::RedactedReasoning(signature).into()),
        (None, None) => {}
    }
    Ok(())
}

/// Adds a thought. A signature alone belongs to the thought before it: streams send it behind.
fn thought<'a>(text: Text<'a>, signature: Option<Text<'a>>, parts: &mut Vec<Part<'a>>) {
    let last = parts.last_mut().map(|part| &mut part.content);
    match (last, &signature) {
        (
            Some(Content::Reasoning {
                signature: none @ None,
                ..
            }),
            Some(_),
        ) if text.is_empty() => {
            *none = signature;
        }
        _ => parts.push(Content::Reasoning { text, signature }.into()),
    }
}

/// A part's signature, in the neutral form.
pub(super) fn signature_of<'a>(part: &Object<'a>) -> Option<Text<'a>> {
    part.text("thoughtSignature").and_then(signature::read)
}

/// Reads `inlineData` and `fileData`.
fn media<'a>(
    name: &str,
    raw: Raw<'a>,
    losses: &mut Losses,
) -> Result<Option<Content<'a>>, DialectError> {
    let object = Object::of(raw, "inlineData")?.camel()?;
    let is_inline = name == "inlineData";
    let media_type = object.text("mimeType").unwrap_or_default();
    let family = media_type.split('/').next().unwrap_or_default().to_owned();
    let content = if is_inline {
        let data = object
            .text("data")
            .ok_or(DialectError::Missing { field: "data" })?;
        inline(&family, media_type, signature::standard(data))
    } else {
        let uri = object
            .text("fileUri")
            .ok_or(DialectError::Missing { field: "fileUri" })?;
        file(&family, uri)
    };
    let content = content.map(|content| titled(content, object.text("displayName")));
    if content.is_none() {
        losses.add(format!("content.{name}.{family}"));
    }
    Ok(content)
}

fn inline<'a>(family: &str, media_type: Text<'a>, data: Text<'a>) -> Option<Content<'a>> {
    Some(match family {
        "video" => return None,
        "audio" => Content::Audio {
            format: audio_format(&media_type).to_owned().into(),
            data,
        },
        "image" => Content::Image {
            source: Source::Base64 { media_type, data },
            detail: None,
        },
        // Text is text elsewhere, and no bytes in base64.
        "text" => match signature::bytes(&data).map(String::from_utf8) {
            Some(Ok(text)) => document(Source::Text(text.into())),
            _ => document(Source::Base64 { media_type, data }),
        },
        _ => document(Source::Base64 { media_type, data }),
    })
}

fn file<'a>(family: &str, uri: Text<'a>) -> Option<Content<'a>> {
    // What Google keeps is unknown elsewhere.
    if uri.starts_with("gs://") || uri.starts_with("https://generativelanguage.googleapis.com/") {
        return None;
    }
    let source = Source::Url(uri);
    match family {
        // Other dialects take both inline only, where they take them.
        "audio" | "video" => None,
        "image" => Some(Content::Image {
            source,
            detail: None,
        }),
        _ => Some(document(source)),
    }
}

fn document(source: Source<'_>) -> Content<'_> {
    Content::Document {
        source,
        title: None,
    }
}

fn titled<'a>(content: Content<'a>, name: Option<Text<'a>>) -> Content<'a> {
    match (content, name) {
        (Content::Document { source, .. }, title @ Some(_)) => Content::Document { source, title },
        (content, _) => content,
    }
}

/// OpenAI's name for a type of audio.
fn audio_format(media_type: &str) -> &str {
    match media_type.strip_prefix("audio/").unwrap_or_default() {
        "mpeg" | "mp3" | "mpga" => "mp3",
        "wav" | "x-wav" | "wave" | "vnd.wave" => "wav",
        other => other,
    }
}

fn call<'a>(
    call: &Object<'a>,
    ids: &mut CallIds,
    losses: &mut Losses,
) -> Result<Content<'a>, DialectError> {
    let name = call
        .text("name")
        .ok_or(DialectError::Missing { field: "name" })?;
    for (member, _) in call.iter() {
        if !matches!(member, "id" | "name" | "args") {
            losses.add(format!("content.functionCall.{member}"));
        }
    }
    Ok(Content::ToolCall {
        id: ids.call(call.text("id"), &name),
        arguments: call.get("args").map_or("{}", RawValue::get).into(),
        name,
    })
}

fn result<'a>(
    result: &Object<'a>,
    ids: &mut CallIds,
    losses: &mut Losses,
) -> Result<Content<'a>, DialectError> {
    let name = result.text("name").unwrap_or_default();
    let (mut parts, mut is_error) = (Vec::new(), false);
    for (member, raw) in result.iter() {
        match member {
            "id" | "name" => {}
            "response" => {
                let answer = Object::of(raw, "response")?;
                let (text, failed) = answer_text(&answer, raw);
                is_error = failed;
                let citations = Vec::new();
                parts.insert(0, Content::Text { text, citations }.into());
            }
            "parts" => {
                // Bytes and files only, which need no ids.
                for item in items(raw, "parts")? {
                    for (name, raw) in Object::of(item, "parts")?.camel()?.iter() {
                        match name {
                            "inlineData" | "fileData" => {
                                parts.extend(media(name, raw, losses)?.map(Part::from));
                            }
                            _ => losses.add(format!("content.functionResponse.parts.{name}")),
                        }
                    }
                }
            }
            _ => losses.add(format!("content.functionResponse.{member}")),
        }
    }
    Ok(Content::ToolResult {
        id: ids.result(result.text("id"), &name),
        parts,
        is_error,
    })
}

/// What a tool said: the text of `output` or `error` where there is nothing else, which Google
/// names for it (<https://ai.google.dev/api/caching#FunctionResponse>), else the object's JSON.
fn answer_text<'a>(answer: &Object<'a>, raw: Raw<'a>) -> (Text<'a>, bool) {
    if answer.iter().count() == 1 {
        if let Some(output) = answer.text("output") {
            return (output, false);
        }
        if let Some(error) = answer.text("error") {
            return (error, true);
        }
    }
    (raw.get().into(), false)
}
