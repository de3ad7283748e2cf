//! The neutral form into Cohere's requests.

use super::parts;
use crate::Losses;
use crate::conversation::{
    Content, Effort, Format, Message, Part, Reasoning, Request, Role, Source, ToolChoice,
};
use crate::dialect::chat_completions::address;
use crate::dialect::turns::{Piece, pieces};
use crate::json::write::Writer;

/// Most stop texts that Cohere takes.
const STOPS_MAX: usize = 5;

pub(super) fn request(request: &Request<'_>, losses: &mut Losses) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let mut w = Writer::new(&mut out);
    w.open().member("model", &request.model);
    w.key("messages").open_list();
    let mut documents = Vec::new();
    for message in &request.messages {
        write_message(&mut w, message, &mut documents, losses);
    }
    w.close_list();
    if !documents.is_empty() {
        w.key("documents").open_list();
        for document in documents {
            write_document(&mut w, document);
        }
        w.close_list();
    }
    write_tools(&mut w, request, losses);
    write_format(&mut w, request.format.as_ref());
    write_thinking(&mut w, request.reasoning);
    if let Some(limit) = request.max_tokens {
        w.key("max_tokens").unsigned(limit);
    }
    write_sampling(&mut w, request, losses);
    if request.stream {
        w.key("stream").boolean(true);
    }
    w.close();
    report(request, losses);
    out
}

/// What Cohere has no place for.
fn report(request: &Request<'_>, losses: &mut Losses) {
    let marked = |parts: &[Part<'_>]| parts.iter().any(|part| part.cache.is_some());
    let cache = request.cache.is_some()
        || request.messages.iter().any(|m| marked(&m.parts))
        || request.tools.iter().any(|tool| tool.cache.is_some());
    for (field, lost) in [
        ("cache_control", cache),
        ("n", request.candidates.is_some_and(|n| n != 1)),
        ("user", request.user.is_some()),
        ("service_tier", request.service_tier.is_some()),
        ("store", request.store == Some(true)),
        ("metadata", request.metadata.is_some()),
        ("verbosity", request.verbosity.is_some()),
        ("prompt_cache_key", request.prompt_cache_key.is_some()),
        (
            "prompt_cache_retention",
            request.prompt_cache_retention.is_some(),
        ),
        (
            "prompt_cache_options",
            request.prompt_cache_options.is_some(),
        ),
        ("provider", request.routing.is_some()),
        ("moderation", request.moderation.is_some()),
        ("reasoning.summary", request.reasoning_summary.is_some()),
        (
            "parallel_tool_calls",
            request.parallel_tool_calls == Some(false),
        ),
        ("top_logprobs", request.logprobs.is_some_and(|n| n > 0)),
        ("stop_sequences", request.stop.len() > STOPS_MAX),
    ] {
        if lost {
            losses.add(field);
        }
    }
}

fn write_message<'p>(
    w: &mut Writer<'_>,
    message: &'p Message<'_>,
    documents: &mut Vec<(&'p str, Option<&'p str>)>,
    losses: &mut Losses,
) {
    match message.role {
        Role::System => {
            let is_text = |part: &&Part<'_>| matches!(part.content, Content::Text { .. });
            let texts: Vec<_> = message.parts.iter().filter(is_text).collect();
            if texts.len() < message.parts.len() {
                losses.add("messages.system.content");
            }
            write_said(w, "system", &texts, losses);
        }
        Role::Assistant => {
            let parts: Vec<_> = message.parts.iter().collect();
            if !parts.is_empty() {
                w.open();
                parts::write_assistant(w, &parts, true, losses);
                w.close();
            }
        }
        Role::User => {
            let fits = |content: &Content<'_>| {
                let source = match content {
                    Content::Document { source, .. } => source,
                    other => return matches!(other, Content::Text { .. }),
                };
                matches!(source, Source::Text(_))
            };
            for piece in pieces(&message.parts, fits, losses) {
                match piece {
                    Piece::Result { id, parts } => write_result(w, id, &parts),
                    Piece::Said(parts) => {
                        let said = sayable(parts, documents, losses);
                        write_said(w, "user", &said, losses);
                    }
                }
            }
        }
    }
}

fn write_result(w: &mut Writer<'_>, id: &str, parts: &[&Part<'_>]) {
    w.open().member("role", "tool").member("tool_call_id", id);
    w.key("content").open_list();
    for part in parts {
        match &part.content {
            Content::Text { text, .. } => {
                w.open().member("type", "text").member("text", text).close();
            }
            Content::Document {
                source: Source::Text(text),
                title,
            } => {
                w.open().member("type", "document").key("document");
                write_document(w, (text, title.as_deref()));
                w.close();
            }
            _ => {}
        }
    }
    w.close_list().close();
}

/// What a user's message can hold. Documents go to their own place.
fn sayable<'p, 'a>(
    parts: Vec<&'p Part<'a>>,
    documents: &mut Vec<(&'p str, Option<&'p str>)>,
    losses: &mut Losses,
) -> Vec<&'p Part<'a>> {
    let mut said = Vec::with_capacity(parts.len());
    for part in parts {
        let lost = match &part.content {
            Content::Text { .. } | Content::Refusal(_) => None,
            Content::Image { source, .. } => match source {
                Source::Base64 { .. } | Source::Url(_) => None,
                Source::File(_) | Source::Text(_) => Some("content.image.file"),
            },
            Content::Document { source, title } => match source {
                Source::Text(text) => {
                    documents.push((text, title.as_deref()));
                    continue;
                }
                Source::Base64 { .. } => Some("content.document.media_type"),
                Source::Url(_) => Some("content.document.url"),
                Source::File(_) => Some("content.document.file"),
            },
            Content::Audio { .. } => Some("content.audio"),
            // No dialect's user says these.
            _ => Some("content.misplaced"),
        };
        match lost {
            Some(field) => losses.add(field),
            None => said.push(part),
        }
    }
    said
}

fn write_said(w: &mut Writer<'_>, role: &str, parts: &[&Part<'_>], losses: &mut Losses) {
    let Some(first) = parts.first() else { return };
    w.open().member("role", role).key("content");
    match (&first.content, parts.len()) {
        (Content::Text { text, .. }, 1) => {
            w.text(text);
        }
        _ => {
            w.open_list();
            parts
                .iter()
                .for_each(|part| write_part(w, &part.content, losses));
            w.close_list();
        }
    }
    w.close();
}

fn write_part(w: &mut Writer<'_>, content: &Content<'_>, losses: &mut Losses) {
    match content {
        Content::Text { text, .. } | Content::Refusal(text) => {
            w.open().member("type", "text").member("text", text).close();
        }
        Content::Image { source, detail } => {
            let Some(url) = address(source) else {
                losses.add("content.image.file");
                return;
            };
            w.open().member("type", "image_url").key("image_url").open();
            w.member("url", &url).member_if("detail", detail.as_deref());
            w.close().close();
        }
        _ => losses.add("content.misplaced"),
    }
}

fn write_document(w: &mut Writer<'_>, (text, title): (&str, Option<&str>)) {
    w.open().key("data").open();
    w.member_if("title", title).member("text", text);
    w.close().close();
}

fn write_tools(w: &mut Writer<'_>, request: &Request<'_>, losses: &mut Losses) {
    if request.tools.is_empty() {
        return;
    }
    w.key("tools").open_list();
    for tool in &request.tools {
        w.open().member("type", "function").key("function").open();
        w.member("name", &tool.name);
        w.member_if("description", tool.description.as_deref());
        let schema = tool.schema.as_deref();
        w.key("parameters")
            .raw(schema.unwrap_or(r#"{"type":"object","properties":{}}"#));
        w.close().close();
    }
    w.close_list();
    // All tools are strict here, or none.
    let strict = |tool: &crate::conversation::Tool<'_>| tool.strict == Some(true);
    if request.tools.iter().all(strict) {
        w.key("strict_tools").boolean(true);
    } else if request.tools.iter().any(strict) {
        losses.add("tools.strict");
    }
    match &request.tool_choice {
        None | Some(ToolChoice::Auto) => {}
        Some(ToolChoice::None) => {
            w.member("tool_choice", "NONE");
        }
        Some(ToolChoice::Required) => {
            w.member("tool_choice", "REQUIRED");
        }
        Some(ToolChoice::Tool(_)) => {
            losses.add("tool_choice.tool");
            w.member("tool_choice", "REQUIRED");
        }
        Some(ToolChoice::Allowed { required, .. }) => {
            losses.add("tool_choice.allowed");
            if *required {
                w.member("tool_choice", "REQUIRED");
            }
        }
    }
}

fn write_format(w: &mut Writer<'_>, format: Option<&Format<'_>>) {
    let Some(format) = format else { return };
    w.key("response_format")
        .open()
        .member("type", "json_object");
    if let Format::JsonSchema { schema, .. } = format {
        w.key("json_schema").raw(schema);
    }
    w.close();
}

fn write_thinking(w: &mut Writer<'_>, reasoning: Option<Reasoning>) {
    let budget = match reasoning {
        None => return,
        Some(Reasoning::Off) => {
            w.key("thinking").open().member("type", "disabled").close();
            return;
        }
        Some(Reasoning::Adaptive(effort)) => effort.map(Effort::budget),
        Some(Reasoning::Budget(tokens)) => Some(tokens),
    };
    w.key("thinking").open().member("type", "enabled");
    if let Some(budget) = budget {
        w.key("token_budget").unsigned(budget);
    }
    w.close();
}

fn write_sampling(w: &mut Writer<'_>, request: &Request<'_>, losses: &mut Losses) {
    w.number_if("temperature", request.temperature);
    for (key, field, value, least, most) in [
        ("p", "top_p", request.top_p, 0.01, 0.99),
        ("k", "top_k", request.top_k, 0.0, 500.0),
        (
            "frequency_penalty",
            "frequency_penalty",
            request.frequency_penalty,
            0.0,
            1.0,
        ),
        (
            "presence_penalty",
            "presence_penalty",
            request.presence_penalty,
            0.0,
            1.0,
        ),
    ] {
        if value.is_some_and(|value| !(least..=most).contains(&value)) {
            losses.add(field);
        }
        w.number_if(key, value.map(|value| value.clamp(least, most)));
    }
    if let Some(seed) = &request.seed {
        w.key("seed").raw(seed);
    }
    if request.logprobs.is_some() {
        w.key("logprobs").boolean(true);
    }
    if !request.stop.is_empty() {
        w.key("stop_sequences").open_list();
        for stop in request.stop.iter().take(STOPS_MAX) {
            w.text(stop);
        }
        w.close_list();
    }
}
