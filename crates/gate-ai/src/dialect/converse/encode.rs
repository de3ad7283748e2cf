//! The neutral form into Converse requests.

use super::decode::is_of_tool;
use super::fields::{Family, Plan};
use super::{blocks, media};
use crate::conversation::{
    Citation, Content, Format, Message, Part, Request, Role, ServiceTier, Source, Tool, ToolChoice,
};
use crate::dialect::messages::{tool_id, tool_input};
use crate::json::object::{Object, text};
use crate::json::write::Writer;
use crate::{DialectError, Losses, TranslateOptions};

/// What writing a conversation has to remember.
struct State<'l> {
    losses: &'l mut Losses,
    /// Names of documents so far, which have to differ.
    names: Vec<String>,
    /// Whether the model takes marks of the cache.
    caches: bool,
}

pub(super) fn request(
    request: &Request<'_>,
    options: &TranslateOptions,
    losses: &mut Losses,
) -> Result<Vec<u8>, DialectError> {
    let mut out = Vec::with_capacity(1024);
    let plan = Plan::of(request, options, losses);
    let mut state = State {
        losses,
        names: Vec::new(),
        caches: Family::of(&request.model).caches(),
    };
    let mut w = Writer::new(&mut out);
    w.open();
    write_messages(&mut w, request, &mut state)?;
    write_system(&mut w, request, &mut state);
    write_inference(&mut w, request, &plan, state.losses);
    write_tools(&mut w, request, &mut state);
    write_output(&mut w, request, &plan, state.losses);
    plan.write(&mut w, request.top_k, state.losses);
    let tier = match request.service_tier {
        Some(ServiceTier::Standard) => Some("default"),
        Some(ServiceTier::Flex) => Some("flex"),
        Some(ServiceTier::Priority) => Some("priority"),
        // What the account has bought is what is used anyway.
        Some(ServiceTier::Auto) | None => None,
    };
    if let Some(tier) = tier {
        w.key("serviceTier").open().member("type", tier).close();
    }
    write_labels(&mut w, request, state.losses);
    w.close();
    note_unsayable(request, state.losses);
    Ok(out)
}

/// Labels, where all of them have the letters that Bedrock allows (`RequestMetadataKeyString`).
fn write_labels(w: &mut Writer<'_>, request: &Request<'_>, losses: &mut Losses) {
    let Some(labels) = &request.metadata else {
        return;
    };
    let allowed = |text: &str| {
        let plain = |c: char| {
            c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || ":_@$#=/+,-.".contains(c)
        };
        text.len() <= 256 && text.chars().all(plain)
    };
    let fits = Object::parse(labels.as_bytes()).is_ok_and(|object| {
        let all = object.iter().all(|(name, raw)| {
            let value = text(raw, "metadata");
            allowed(name) && value.is_ok_and(|value| allowed(&value))
        });
        all && object.iter().count() <= 16
    });
    match fits {
        true => {
            w.key("requestMetadata").raw(labels);
        }
        false => losses.add("metadata"),
    }
}

fn note_unsayable(request: &Request<'_>, losses: &mut Losses) {
    let penalty = |value: Option<f64>| value.is_some_and(|value| value != 0.0);
    for (field, lost) in [
        ("frequency_penalty", penalty(request.frequency_penalty)),
        ("presence_penalty", penalty(request.presence_penalty)),
        ("seed", request.seed.is_some()),
        ("n", request.candidates.is_some_and(|n| n != 1)),
        ("logprobs", request.logprobs.is_some()),
        ("user", request.user.is_some()),
        (
            "parallel_tool_calls",
            request.parallel_tool_calls == Some(false),
        ),
        ("store", request.store == Some(true)),
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
fn write_system(w: &mut Writer<'_>, request: &Request<'_>, state: &mut State<'_>) {
    let is_system = |message: &&Message<'_>| message.role == Role::System;
    let leading = request.messages.iter().take_while(is_system).count();
    if request.messages[leading..]
        .iter()
        .any(|message| is_system(&message))
    {
        state.losses.add("messages.system");
    }
    let parts = request.messages.iter().filter(is_system);
    let mut parts = parts.flat_map(|message| &message.parts).peekable();
    if parts.peek().is_none() {
        return;
    }
    w.key("system").open_list();
    for part in parts {
        match &part.content {
            Content::Text { text, .. } if text.is_empty() => {}
            Content::Text { text, .. } => {
                w.open().member("text", text).close();
                write_cache(w, part.cache.as_deref(), state);
            }
            _ => state.losses.add("messages.system.content"),
        }
    }
    w.close_list();
}

/// Neighbours of one role become one message: roles have to alternate.
fn write_messages(
    w: &mut Writer<'_>,
    request: &Request<'_>,
    state: &mut State<'_>,
) -> Result<(), DialectError> {
    let spoken: Vec<&Message<'_>> = request
        .messages
        .iter()
        .filter(|message| message.role != Role::System)
        .collect();
    w.key("messages").open_list();
    let runs = spoken.chunk_by(|a, b| a.role == b.role);
    let last = runs.clone().count();
    for (i, run) in runs.enumerate() {
        // Empty texts are refused.
        let is_said = |part: &&Part<'_>| !matches!(&part.content, Content::Text { text, .. } if text.is_empty());
        let parts: Vec<_> = run.iter().flat_map(|m| &m.parts).filter(is_said).collect();
        if parts.is_empty() {
            continue;
        }
        let role = match run[0].role {
            Role::Assistant => "assistant",
            _ => "user",
        };
        w.open().member("role", role).key("content").open_list();
        for part in parts {
            write_part(w, part, state)?;
        }
        if i + 1 == last {
            // A mark for the whole prompt stands at its end.
            write_cache(w, request.cache.as_deref(), state);
        }
        w.close_list().close();
    }
    w.close_list();
    Ok(())
}

/// A mark of the cache is a block of its own here.
fn write_cache(w: &mut Writer<'_>, cache: Option<&str>, state: &mut State<'_>) {
    let Some(cache) = cache else { return };
    if !state.caches {
        state.losses.add("cache_control");
        return;
    }
    let mark = Object::parse(cache.as_bytes()).ok();
    let ttl = mark.and_then(|mark| mark.text("ttl").map(|ttl| ttl.into_owned()));
    w.open().key("cachePoint").open().member("type", "default");
    w.member_if(
        "ttl",
        ttl.as_deref().filter(|ttl| matches!(*ttl, "5m" | "1h")),
    );
    w.close().close();
}

fn write_part(
    w: &mut Writer<'_>,
    part: &Part<'_>,
    state: &mut State<'_>,
) -> Result<(), DialectError> {
    match unsayable(&part.content) {
        Some(field) => state.losses.add(field),
        None => {
            w.open();
            write_content(w, &part.content, state)?;
            w.close();
        }
    }
    write_cache(w, part.cache.as_deref(), state);
    Ok(())
}

/// The loss that a piece is as a whole.
fn unsayable(content: &Content<'_>) -> Option<&'static str> {
    match content {
        Content::Image { source, .. } => match source {
            Source::Base64 { media_type, .. } => media::image_format(media_type)
                .is_none()
                .then_some("content.image.media_type"),
            Source::Url(uri) | Source::File(uri) if is_s3(uri) => None,
            Source::Url(_) => Some("content.image.url"),
            Source::File(_) | Source::Text(_) => Some("content.image.file"),
        },
        Content::Document { source, .. } => match source {
            Source::Base64 { media_type, .. } => media::document_format(media_type)
                .is_none()
                .then_some("content.document.media_type"),
            Source::Text(_) => None,
            Source::Url(uri) | Source::File(uri) if is_s3(uri) => None,
            Source::Url(_) => Some("content.document.url"),
            Source::File(_) => Some("content.document.file"),
        },
        // No vendor opens what another has sealed.
        Content::Reasoning { .. } | Content::RedactedReasoning(_) => {
            let sealed = content.seal_for_others().is_some();
            (!sealed).then_some("content.reasoning")
        }
        _ => None,
    }
}

fn is_s3(uri: &str) -> bool {
    uri.starts_with("s3://")
}

/// The one member of a block.
fn write_content(
    w: &mut Writer<'_>,
    content: &Content<'_>,
    state: &mut State<'_>,
) -> Result<(), DialectError> {
    match content {
        Content::Text { text, citations } => write_text(w, text, citations),
        Content::Refusal(text) => {
            w.member("text", text);
        }
        Content::Image { source, detail } => {
            if detail.as_deref().is_some_and(|detail| detail != "auto") {
                state.losses.add("content.image.detail");
            }
            write_image(w, source);
        }
        Content::Document { source, title } => {
            let (name, same) = media::document_name(title.as_deref(), &mut state.names);
            if !same {
                state.losses.add("content.document.title");
            }
            write_document(w, source, &name);
        }
        Content::Audio { data, format } => {
            w.key("audio").open().member("format", format);
            w.key("source").open().member("bytes", data).close().close();
        }
        Content::Reasoning { text, signature } => {
            w.key("reasoningContent").open().key("reasoningText").open();
            w.member("text", text)
                .member_if("signature", signature.as_deref());
            w.close().close();
        }
        Content::RedactedReasoning(data) => {
            let data = blocks::redacted_content(data);
            w.key("reasoningContent")
                .open()
                .member("redactedContent", &data)
                .close();
        }
        Content::ToolCall {
            id,
            name,
            arguments,
        } => {
            w.key("toolUse").open().member("toolUseId", &tool_id(id));
            w.member("name", name)
                .key("input")
                .raw(tool_input(name, arguments)?)
                .close();
        }
        Content::ToolResult {
            id,
            parts,
            is_error,
        } => {
            w.key("toolResult").open().member("toolUseId", &tool_id(id));
            w.key("content").open_list();
            for part in parts {
                write_part(w, part, state)?;
            }
            w.close_list();
            if *is_error {
                w.member("status", "error");
            }
            w.close();
        }
    }
    Ok(())
}

fn write_text(w: &mut Writer<'_>, text: &str, citations: &[Citation<'_>]) {
    if citations.is_empty() {
        w.member("text", text);
        return;
    }
    w.key("citationsContent").open().key("content").open_list();
    w.open().member("text", text).close().close_list();
    w.key("citations").open_list();
    for citation in citations {
        w.open();
        write_citation(w, citation);
        w.close();
    }
    w.close_list().close();
}

/// The members of one citation.
pub(super) fn write_citation(w: &mut Writer<'_>, citation: &Citation<'_>) {
    w.member_if("title", citation.title.as_deref());
    w.key("sourceContent").open_list();
    if let Some(text) = &citation.cited_text {
        w.open().member("text", text).close();
    }
    w.close_list();
    w.key("location").open().key("web").open();
    w.member("url", &citation.url).close().close();
}

fn write_image(w: &mut Writer<'_>, source: &Source<'_>) {
    let format = match source {
        Source::Base64 { media_type, .. } => media::image_format(media_type),
        Source::Url(uri) | Source::File(uri) => {
            let extension = uri.rsplit_once('.').map(|(_, extension)| extension);
            extension.and_then(|extension| media::image_format(&format!("image/{extension}")))
        }
        Source::Text(_) => None,
    };
    w.key("image")
        .open()
        .member("format", format.unwrap_or("png"));
    write_source(w, source);
    w.close();
}

fn write_document(w: &mut Writer<'_>, source: &Source<'_>, name: &str) {
    let format = match source {
        Source::Base64 { media_type, .. } => media::document_format(media_type),
        Source::Text(_) => Some("txt"),
        Source::Url(uri) | Source::File(uri) => {
            let extension = uri.rsplit_once('.').map(|(_, extension)| extension);
            extension.and_then(|extension| media::document_format(&media::document_type(extension)))
        }
    };
    w.key("document").open();
    w.member("format", format.unwrap_or("pdf"))
        .member("name", name);
    write_source(w, source);
    w.close();
}

fn write_source(w: &mut Writer<'_>, source: &Source<'_>) {
    w.key("source").open();
    match source {
        Source::Base64 { data, .. } => w.member("bytes", data),
        Source::Text(text) => w.member("text", text),
        Source::Url(uri) | Source::File(uri) => {
            w.key("s3Location").open().member("uri", uri).close()
        }
    };
    w.close();
}

fn write_inference(w: &mut Writer<'_>, request: &Request<'_>, plan: &Plan, losses: &mut Losses) {
    let temperature = match request.temperature {
        Some(temperature) if plan.claude_thinks() && temperature != 1.0 => {
            losses.add("temperature.thinking");
            None
        }
        Some(temperature) if temperature > 1.0 => {
            losses.add("temperature");
            Some(1.0)
        }
        temperature => temperature,
    };
    let top_p = match request.top_p {
        Some(top_p) if plan.claude_thinks() && top_p < 0.95 => {
            losses.add("top_p.thinking");
            None
        }
        // Claude 4 and later take one of the two only.
        Some(_) if plan.is_claude() && request.temperature.is_some() => {
            losses.add("top_p.temperature");
            None
        }
        top_p => top_p,
    };
    let empty = plan.max_tokens.is_none() && temperature.is_none() && top_p.is_none();
    if empty && request.stop.is_empty() {
        return;
    }
    w.key("inferenceConfig").open();
    if let Some(limit) = plan.max_tokens {
        w.key("maxTokens").unsigned(limit);
    }
    w.number_if("temperature", temperature)
        .number_if("topP", top_p);
    if !request.stop.is_empty() {
        w.key("stopSequences").open_list();
        for stop in &request.stop {
            w.text(stop);
        }
        w.close_list();
    }
    w.close();
}

fn write_tools(w: &mut Writer<'_>, request: &Request<'_>, state: &mut State<'_>) {
    let parts = || request.messages.iter().flat_map(|message| &message.parts);
    let history = parts().any(is_of_tool);
    let forbidden = request.tool_choice == Some(ToolChoice::None);
    if forbidden && history {
        state.losses.add("tool_choice.none");
    }
    if (request.tools.is_empty() || forbidden) && !history {
        return;
    }
    w.key("toolConfig").open().key("tools").open_list();
    let allowed = |tool: &&Tool<'_>| match &request.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) => names.contains(&tool.name),
        _ => true,
    };
    // Tools that may not be called are left out: Converse cannot allow some of them only.
    for tool in request.tools.iter().filter(allowed) {
        write_tool(w, tool);
        write_cache(w, tool.cache.as_deref(), state);
    }
    if request.tools.is_empty() {
        // Calls in the conversation are taken only beside a list of tools.
        let mut named: Vec<&str> = Vec::new();
        for part in parts() {
            if let Content::ToolCall { name, .. } = &part.content
                && !named.contains(&&**name)
            {
                named.push(name);
            }
        }
        for name in named {
            let schema = Some(r#"{"type":"object"}"#);
            write_spec(w, name, None, schema, None);
        }
    }
    w.close_list();
    match &request.tool_choice {
        _ if request.tools.is_empty() => {}
        None | Some(ToolChoice::None) => {}
        Some(
            ToolChoice::Auto
            | ToolChoice::Allowed {
                required: false, ..
            },
        ) => {
            w.key("toolChoice")
                .open()
                .key("auto")
                .open()
                .close()
                .close();
        }
        Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => {
            w.key("toolChoice").open().key("any").open().close().close();
        }
        Some(ToolChoice::Tool(name)) => {
            w.key("toolChoice").open().key("tool").open();
            w.member("name", name).close().close();
        }
    }
    w.close();
}

fn write_tool(w: &mut Writer<'_>, tool: &Tool<'_>) {
    let description = tool.description.as_deref().filter(|text| !text.is_empty());
    write_spec(
        w,
        &tool.name,
        description,
        tool.schema.as_deref(),
        tool.strict,
    );
}

fn write_spec(
    w: &mut Writer<'_>,
    name: &str,
    description: Option<&str>,
    schema: Option<&str>,
    strict: Option<bool>,
) {
    w.open().key("toolSpec").open().member("name", name);
    w.member_if("description", description);
    w.key("inputSchema").open().key("json");
    w.raw(schema.unwrap_or(r#"{"type":"object","properties":{}}"#))
        .close();
    if let Some(strict) = strict {
        w.key("strict").boolean(strict);
    }
    w.close().close();
}

fn write_output(w: &mut Writer<'_>, request: &Request<'_>, plan: &Plan, losses: &mut Losses) {
    if matches!(request.format, Some(Format::JsonObject)) {
        losses.add("response_format.json_object");
    }
    let has_schema = matches!(request.format, Some(Format::JsonSchema { .. }));
    let effort = plan.claude_effort();
    if !has_schema && effort.is_none() {
        return;
    }
    w.key("outputConfig").open();
    if let Some(Format::JsonSchema {
        schema,
        name,
        description,
        ..
    }) = &request.format
    {
        w.key("textFormat").open().member("type", "json_schema");
        w.key("structure").open().key("jsonSchema").open();
        w.member("schema", schema)
            .member_if("name", name.as_deref());
        w.member_if("description", description.as_deref());
        w.close().close().close();
    }
    w.member_if("effort", effort.map(|effort| effort.as_str()));
    w.close();
}

/// One block of an answer.
pub(super) fn write_answer_part(
    w: &mut Writer<'_>,
    part: &Part<'_>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let mut state = State {
        losses,
        names: Vec::new(),
        caches: true,
    };
    match &part.content {
        Content::Text { text, .. } if text.is_empty() => Ok(()),
        // Callers see thinking whatever its seal; only handing it back needs the vendor's own.
        Content::Reasoning { .. } | Content::RedactedReasoning(_) => {
            w.open();
            write_content(w, &part.content, &mut state)?;
            w.close();
            Ok(())
        }
        _ => write_part(w, part, &mut state),
    }
}
