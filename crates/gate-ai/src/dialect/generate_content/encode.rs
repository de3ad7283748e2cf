//! The neutral form into generateContent requests.

use super::signature::{NO_SIGNATURE, Placed, for_google};
use super::{settings, tools};
use crate::conversation::{Content, Message, Part, Request, Role, Source};
use crate::json::object::Raw;
use crate::json::write::Writer;
use crate::{DialectError, Losses};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashMap;

pub(super) fn request(request: &Request<'_>, losses: &mut Losses) -> Result<Vec<u8>, DialectError> {
    let mut out = Vec::with_capacity(1024);
    let mut w = Writer::new(&mut out);
    w.open();
    write_system(&mut w, request, losses);
    w.key("contents").open_list();
    Turns::new(request).write(&mut w, losses)?;
    w.close_list();
    tools::write(&mut w, request, losses);
    settings::write(&mut w, request, losses);
    report_untold(request, losses);
    w.close();
    Ok(out)
}

/// Members of a request that have no place here.
fn report_untold(request: &Request<'_>, losses: &mut Losses) {
    for (field, lost) in [
        ("user", request.user.is_some()),
        ("service_tier", request.service_tier.is_some()),
        ("cache_control", request.cache.is_some()),
        ("store", request.store == Some(true)),
        ("metadata", request.metadata.is_some()),
        ("verbosity", request.verbosity.is_some()),
        ("prompt_cache_key", request.prompt_cache_key.is_some()),
        (
            "prompt_cache_retention",
            request.prompt_cache_retention.is_some(),
        ),
        ("reasoning.summary", request.reasoning_summary.is_some()),
    ] {
        if lost {
            losses.add(field);
        }
    }
}

/// Instructions have one place here, in front of everything.
fn write_system(w: &mut Writer<'_>, request: &Request<'_>, losses: &mut Losses) {
    let is_system = |message: &&Message<'_>| message.role == Role::System;
    let leading = request.messages.iter().take_while(is_system).count();
    let mut instructions = Vec::new();
    for (i, message) in request
        .messages
        .iter()
        .enumerate()
        .filter(|(_, m)| is_system(m))
    {
        if i >= leading {
            losses.add("messages.system");
        }
        for part in &message.parts {
            if part.cache.is_some() {
                losses.add("cache_control");
            }
            match &part.content {
                Content::Text { text, .. } if text.is_empty() => {}
                Content::Text { text, .. } => instructions.push(text),
                _ => losses.add("messages.system.content"),
            }
        }
    }
    if instructions.is_empty() {
        return;
    }
    w.key("systemInstruction").open().key("parts").open_list();
    for text in instructions {
        w.open().member("text", text).close();
    }
    w.close_list().close();
}

/// The turns of a conversation.
struct Turns<'r> {
    request: &'r Request<'r>,
    /// The names of the calls so far, which their results repeat here.
    names: HashMap<&'r str, &'r str>,
    /// Models before Gemini 3 take images of tools beside the result only, and no placeholder.
    is_older: bool,
}

impl<'r> Turns<'r> {
    fn new(request: &'r Request<'_>) -> Self {
        Self {
            request,
            names: HashMap::new(),
            is_older: settings::takes_budgets(&request.model),
        }
    }

    /// Neighbours of one role become one turn: results of parallel calls have to be together.
    fn write(&mut self, w: &mut Writer<'_>, losses: &mut Losses) -> Result<(), DialectError> {
        let spoken: Vec<&'r Message<'r>> = self
            .request
            .messages
            .iter()
            .filter(|message| message.role != Role::System)
            .collect();
        // Each turn's speaker, and its parts without the brackets around them.
        let mut turns: Vec<(Role, Vec<u8>)> = Vec::new();
        for run in spoken.chunk_by(|a, b| a.role == b.role) {
            let parts: Vec<&'r Part<'r>> = run.iter().flat_map(|m| &m.parts).collect();
            if parts.iter().any(|part| part.cache.is_some()) {
                losses.add("cache_control");
            }
            let mut said = Vec::new();
            let role = run[0].role;
            self.write_parts(&mut Writer::new(&mut said), &parts, role, losses)?;
            match turns.last_mut() {
                // Whatever it said was lost and reported.
                _ if said.is_empty() => {}
                Some((last, parts)) if *last == role => {
                    parts.push(b',');
                    parts.append(&mut said);
                }
                _ => turns.push((role, said)),
            }
        }
        for (role, parts) in turns {
            let name = match role {
                Role::Assistant => "model",
                _ => "user",
            };
            let parts = String::from_utf8_lossy(&parts);
            w.open().member("role", name);
            w.key("parts").raw(&format!("[{parts}]")).close();
        }
        Ok(())
    }

    fn write_parts(
        &mut self,
        w: &mut Writer<'_>,
        parts: &[&'r Part<'r>],
        role: Role,
        losses: &mut Losses,
    ) -> Result<(), DialectError> {
        let placed = Placed::of(parts);
        let mut called = false;
        for (index, part) in parts.iter().enumerate() {
            match &part.content {
                Content::RedactedReasoning(_) if placed.is_taken(index) => {}
                Content::RedactedReasoning(data) => match for_google(data) {
                    Some(own) => {
                        w.open().member("text", "");
                        w.member("thoughtSignature", own).close();
                    }
                    None => losses.add("content.reasoning.signature"),
                },
                Content::ToolCall {
                    id,
                    name,
                    arguments,
                } => {
                    self.names.insert(id, name);
                    let given = placed.on(parts, index);
                    let own = given.and_then(for_google);
                    if given.is_some() && own.is_none() {
                        losses.add("content.reasoning.signature");
                    }
                    // The first call of a turn has to be signed, and no other.
                    let stand_in = (role == Role::Assistant && !called && !self.is_older)
                        .then_some(NO_SIGNATURE);
                    called = true;
                    write_call(w, id, name, arguments, own.or(stand_in))?;
                }
                Content::ToolResult {
                    id,
                    parts,
                    is_error,
                } => {
                    self.write_result(w, id, parts, *is_error, losses);
                }
                content => write_content(w, content, losses),
            }
        }
        Ok(())
    }

    fn write_result(
        &self,
        w: &mut Writer<'_>,
        id: &str,
        parts: &[Part<'_>],
        is_error: bool,
        losses: &mut Losses,
    ) {
        let mut text = String::new();
        let mut others = Vec::new();
        for part in parts {
            match &part.content {
                Content::Text { text: piece, .. } | Content::Refusal(piece) => text += piece,
                other => others.push(other),
            }
        }
        let name = self.names.get(id).copied().unwrap_or("unknown");
        w.open().key("functionResponse").open();
        w.member("id", id).member("name", name).key("response");
        if is_error {
            w.open().member("error", &text).close();
        } else if is_object(&text) {
            w.raw(text.trim_ascii());
        } else {
            w.open().member("output", &text).close();
        }
        if !others.is_empty() && !self.is_older {
            let mut said = Vec::new();
            let mut inner = Writer::new(&mut said);
            others
                .drain(..)
                .for_each(|part| write_content(&mut inner, part, losses));
            if !said.is_empty() {
                let list = String::from_utf8_lossy(&said);
                w.key("parts").raw(&format!("[{list}]"));
            }
        }
        w.close().close();
        if !others.is_empty() {
            losses.add("content.tool_result.content");
            others
                .into_iter()
                .for_each(|part| write_content(w, part, losses));
        }
    }
}

fn is_object(text: &str) -> bool {
    let text = text.trim_ascii();
    text.starts_with('{') && serde_json::from_str::<Raw<'_>>(text).is_ok()
}

/// A part that calls a function; its arguments have to be an object here.
pub(super) fn write_call(
    w: &mut Writer<'_>,
    id: &str,
    name: &str,
    arguments: &str,
    signature: Option<&str>,
) -> Result<(), DialectError> {
    let trimmed = arguments.trim_ascii();
    if !trimmed.is_empty() && !is_object(trimmed) {
        return Err(DialectError::Arguments {
            tool: name.chars().take(64).collect::<String>().into(),
        });
    }
    w.open().key("functionCall").open();
    if !id.is_empty() {
        w.member("id", id);
    }
    w.member("name", name).key("args");
    w.raw(if trimmed.is_empty() { "{}" } else { trimmed });
    w.close();
    w.member_if("thoughtSignature", signature).close();
    Ok(())
}

/// A part that is no call, no result and no signature.
fn write_content(w: &mut Writer<'_>, content: &Content<'_>, losses: &mut Losses) {
    match content {
        Content::Text { text, citations } => {
            if !citations.is_empty() {
                losses.add("content.text.citations");
            }
            if !text.is_empty() {
                w.open().member("text", text).close();
            }
        }
        Content::Refusal(text) => {
            w.open().member("text", text).close();
        }
        Content::Image { source, detail } => {
            if detail.as_deref().is_some_and(|detail| detail != "auto") {
                losses.add("content.image.detail");
            }
            write_source(w, source, "image/jpeg", "content.image.file", losses);
        }
        Content::Document { source, title } => {
            if title.is_some() {
                losses.add("content.document.title");
            }
            write_source(
                w,
                source,
                "application/pdf",
                "content.document.file",
                losses,
            );
        }
        Content::Audio { data, format } => {
            let media_type = match format.as_ref() {
                "mp3" => "audio/mpeg".to_owned(),
                other => format!("audio/{other}"),
            };
            write_inline(w, &media_type, data);
        }
        Content::Reasoning { text, signature } => {
            let own = signature.as_deref().and_then(for_google);
            if signature.is_some() && own.is_none() {
                losses.add("content.reasoning.signature");
            }
            w.open().member("text", text).key("thought").boolean(true);
            w.member_if("thoughtSignature", own).close();
        }
        Content::RedactedReasoning(_) | Content::ToolCall { .. } | Content::ToolResult { .. } => {
            losses.add("content.misplaced");
        }
    }
}

fn write_inline(w: &mut Writer<'_>, media_type: &str, data: &str) {
    w.open().key("inlineData").open();
    w.member("mimeType", media_type).member("data", data);
    w.close().close();
}

fn write_source(
    w: &mut Writer<'_>,
    source: &Source<'_>,
    usual: &str,
    file: &'static str,
    losses: &mut Losses,
) {
    match source {
        Source::Base64 { media_type, data } => write_inline(w, media_type, data),
        Source::Text(text) => write_inline(w, "text/plain", &STANDARD.encode(text.as_bytes())),
        Source::Url(uri) => write_file(w, uri, usual),
        Source::File(uri) if uri.contains("://") => write_file(w, uri, usual),
        Source::File(_) => losses.add(file),
    }
}

fn write_file(w: &mut Writer<'_>, uri: &str, usual: &str) {
    w.open().key("fileData").open();
    w.member("mimeType", media_type(uri).unwrap_or(usual));
    w.member("fileUri", uri).close().close();
}

/// The type that an address ends in, which Vertex requires.
fn media_type(uri: &str) -> Option<&'static str> {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    let (_, ending) = path.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "md" => "text/markdown",
        _ => return None,
    })
}
