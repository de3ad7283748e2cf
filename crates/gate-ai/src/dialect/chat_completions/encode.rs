//! The neutral form into Chat Completions requests.

use crate::conversation::{
    Content, Effort, Format, Message, Part, Reasoning, Request, Role, ServiceTier, Source, Tool,
    ToolChoice,
};
use crate::dialect::turns::{Piece, pieces};
use crate::json::write::Writer;
use crate::{Losses, TranslateOptions};

pub(super) fn request(
    request: &Request<'_>,
    options: &TranslateOptions,
    losses: &mut Losses,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let mut w = Writer::new(&mut out);
    w.open().member("model", &request.model);
    w.key("messages").open_list();
    for message in &request.messages {
        write_message(&mut w, message, options, losses);
    }
    w.close_list();
    write_tools(&mut w, request, losses);
    write_format(&mut w, request.format.as_ref());
    write_reasoning(&mut w, request.reasoning, losses);
    if let Some(limit) = request.max_tokens {
        let key = if options.legacy_max_tokens {
            "max_tokens"
        } else {
            "max_completion_tokens"
        };
        w.key(key).unsigned(limit);
    }
    write_sampling(&mut w, request, losses);
    if request.stream {
        w.key("stream").boolean(true);
        // Usage is needed in any case; the caller's wish is met by the stream's encoder.
        w.key("stream_options")
            .open()
            .key("include_usage")
            .boolean(true)
            .close();
    }
    w.member_if("user", request.user.as_deref());
    match request.service_tier {
        Some(ServiceTier::Auto) => {
            w.member("service_tier", "auto");
        }
        Some(ServiceTier::Standard) => {
            w.member("service_tier", "default");
        }
        Some(ServiceTier::Flex) => {
            w.member("service_tier", "flex");
        }
        Some(ServiceTier::Priority) => {
            w.member("service_tier", "priority");
        }
        None => {}
    }
    write_kept(&mut w, request, losses);
    w.close();
    out
}

/// What belongs to the vendor's own store and caches.
fn write_kept(w: &mut Writer<'_>, request: &Request<'_>, losses: &mut Losses) {
    if let Some(store) = request.store {
        w.key("store").boolean(store);
    }
    if let Some(metadata) = &request.metadata {
        w.key("metadata").raw(metadata);
    }
    w.member_if("prompt_cache_key", request.prompt_cache_key.as_deref());
    w.member_if(
        "prompt_cache_retention",
        request.prompt_cache_retention.as_deref(),
    );
    if let Some(options) = &request.prompt_cache_options {
        w.key("prompt_cache_options").raw(options);
    }
    if let Some(routing) = &request.routing {
        w.key("provider").raw(routing);
    }
    if let Some(moderation) = &request.moderation {
        w.key("moderation").raw(moderation);
    }
    w.member_if("verbosity", request.verbosity.as_deref());
    if request.cache.is_some() {
        losses.add("cache_control");
    }
    if request.reasoning_summary.is_some() {
        losses.add("reasoning.summary");
    }
}

fn write_sampling(w: &mut Writer<'_>, request: &Request<'_>, losses: &mut Losses) {
    w.number_if("temperature", request.temperature);
    w.number_if("top_p", request.top_p);
    w.number_if("frequency_penalty", request.frequency_penalty);
    w.number_if("presence_penalty", request.presence_penalty);
    if let Some(seed) = &request.seed {
        w.key("seed").raw(seed);
    }
    if let Some(candidates) = request.candidates {
        w.key("n").unsigned(candidates);
    }
    if let Some(alternatives) = request.logprobs {
        w.key("logprobs")
            .boolean(true)
            .key("top_logprobs")
            .unsigned(alternatives);
    }
    if request.top_k.is_some() {
        losses.add("top_k");
    }
    if !request.stop.is_empty() {
        if request.stop.len() > 4 {
            losses.add("stop_sequences");
        }
        w.key("stop").open_list();
        for stop in request.stop.iter().take(4) {
            w.text(stop);
        }
        w.close_list();
    }
}

fn write_tools(w: &mut Writer<'_>, request: &Request<'_>, losses: &mut Losses) {
    if request.tools.is_empty() {
        return;
    }
    w.key("tools").open_list();
    for tool in &request.tools {
        write_tool(w, tool, losses);
    }
    w.close_list();
    match &request.tool_choice {
        None => {}
        Some(ToolChoice::Auto) => {
            w.member("tool_choice", "auto");
        }
        Some(ToolChoice::None) => {
            w.member("tool_choice", "none");
        }
        Some(ToolChoice::Required) => {
            w.member("tool_choice", "required");
        }
        Some(ToolChoice::Tool(name)) => {
            w.key("tool_choice").open().member("type", "function");
            w.key("function")
                .open()
                .member("name", name)
                .close()
                .close();
        }
        Some(ToolChoice::Allowed { names, required }) => {
            let mode = if *required { "required" } else { "auto" };
            w.key("tool_choice").open().member("type", "allowed_tools");
            w.key("allowed_tools").open().member("mode", mode);
            w.key("tools").open_list();
            for name in names {
                w.open().member("type", "function").key("function");
                w.open().member("name", name).close().close();
            }
            w.close_list().close().close();
        }
    }
    if let Some(parallel) = request.parallel_tool_calls {
        w.key("parallel_tool_calls").boolean(parallel);
    }
}

fn write_tool(w: &mut Writer<'_>, tool: &Tool<'_>, losses: &mut Losses) {
    w.open().member("type", "function").key("function").open();
    w.member("name", &tool.name);
    w.member_if("description", tool.description.as_deref());
    if let Some(schema) = &tool.schema {
        w.key("parameters").raw(schema);
    }
    if let Some(strict) = tool.strict {
        w.key("strict").boolean(strict);
    }
    w.close().close();
    if tool.cache.is_some() {
        losses.add("cache_control");
    }
}

fn write_format(w: &mut Writer<'_>, format: Option<&Format<'_>>) {
    match format {
        None => {}
        Some(Format::JsonObject) => {
            w.key("response_format")
                .open()
                .member("type", "json_object")
                .close();
        }
        Some(Format::JsonSchema {
            name,
            description,
            schema,
            strict,
        }) => {
            w.key("response_format")
                .open()
                .member("type", "json_schema");
            // A name is required here and absent elsewhere.
            w.key("json_schema")
                .open()
                .member("name", name.as_deref().unwrap_or("response"));
            w.member_if("description", description.as_deref());
            w.key("schema").raw(schema);
            w.key("strict").boolean(strict.unwrap_or(true));
            w.close().close();
        }
    }
}

fn write_reasoning(w: &mut Writer<'_>, reasoning: Option<Reasoning>, losses: &mut Losses) {
    let effort = match reasoning {
        // Not thinking is what models without the parameter do; older ones refuse "none".
        None | Some(Reasoning::Off | Reasoning::Adaptive(None)) => return,
        Some(Reasoning::Adaptive(Some(effort))) => effort,
        Some(Reasoning::Budget(tokens)) => {
            losses.add("reasoning.budget_tokens");
            Effort::of_budget(tokens)
        }
    };
    w.member("reasoning_effort", effort.as_str());
}

fn write_message(
    w: &mut Writer<'_>,
    message: &Message<'_>,
    options: &TranslateOptions,
    losses: &mut Losses,
) {
    if message.parts.is_empty() {
        // Whatever it said was lost and reported; nothing said is no message here.
        return;
    }
    if message.parts.iter().any(|part| part.cache.is_some()) {
        losses.add("cache_control");
    }
    match message.role {
        Role::System => write_spoken(
            w,
            "system",
            &message.parts.iter().collect::<Vec<_>>(),
            losses,
        ),
        Role::User => write_user(w, &message.parts, losses),
        Role::Assistant => write_assistant(w, &message.parts, options, losses),
    }
}

/// Tool results become messages of their own; what is said around them stays in order.
fn write_user(w: &mut Writer<'_>, parts: &[Part<'_>], losses: &mut Losses) {
    let fits = |content: &Content<'_>| matches!(content, Content::Text { .. });
    for piece in pieces(parts, fits, losses) {
        match piece {
            Piece::Said(parts) => write_spoken(w, "user", &parts, losses),
            Piece::Result { id, parts } => {
                w.open().member("role", "tool");
                w.member("tool_call_id", id).key("content");
                write_content(w, &parts, losses);
                w.close();
            }
        }
    }
}

fn write_spoken(w: &mut Writer<'_>, role: &str, parts: &[&Part<'_>], losses: &mut Losses) {
    let mut sayable: Vec<&Part<'_>> = Vec::with_capacity(parts.len());
    for part in parts {
        match unsayable(&part.content, losses) {
            Some(field) => losses.add(field),
            None => sayable.push(part),
        }
    }
    // A message of which nothing is left is none.
    if sayable.is_empty() {
        return;
    }
    w.open().member("role", role).key("content");
    write_content(w, &sayable, losses);
    w.close();
}

/// The loss that a piece of what a user says is as a whole.
fn unsayable(content: &Content<'_>, losses: &Losses) -> Option<&'static str> {
    match content {
        Content::Image {
            source: Source::File(_) | Source::Text(_),
            ..
        } => Some("content.image.file"),
        Content::Document {
            source: Source::Url(_),
            ..
        } => Some("content.document.url"),
        Content::Document {
            source: Source::File(_),
            ..
        } if !losses.shares_files() => Some("content.document.file"),
        // No dialect's user says these.
        Content::Reasoning { .. }
        | Content::RedactedReasoning(_)
        | Content::ToolCall { .. }
        | Content::ToolResult { .. } => Some("content.misplaced"),
        _ => None,
    }
}

/// One text is a string, anything else a list of parts.
fn write_content(w: &mut Writer<'_>, parts: &[&Part<'_>], losses: &mut Losses) {
    match parts {
        [] => {
            w.text("");
        }
        [part] if matches!(part.content, Content::Text { .. }) => {
            if let Content::Text { text, .. } = &part.content {
                w.text(text);
            }
        }
        _ => {
            w.open_list();
            for part in parts {
                write_part(w, &part.content, losses);
            }
            w.close_list();
        }
    }
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
        Content::Document { source, title } => write_document(w, source, title.as_deref(), losses),
        Content::Audio { data, format } => {
            w.open()
                .member("type", "input_audio")
                .key("input_audio")
                .open();
            w.member("data", data).member("format", format);
            w.close().close();
        }
        // No dialect's user says these.
        Content::Reasoning { .. }
        | Content::RedactedReasoning(_)
        | Content::ToolCall { .. }
        | Content::ToolResult { .. } => losses.add("content.misplaced"),
    }
}

fn write_document(
    w: &mut Writer<'_>,
    source: &Source<'_>,
    title: Option<&str>,
    losses: &mut Losses,
) {
    match source {
        Source::Text(text) => {
            losses.add("content.document.text");
            w.open().member("type", "text").member("text", text).close();
        }
        Source::Base64 { .. } => {
            w.open().member("type", "file").key("file").open();
            // A name is required beside the data.
            w.member("filename", title.unwrap_or("document.pdf"));
            w.member_if("file_data", address(source).as_deref());
            w.close().close();
        }
        Source::File(id) if losses.shares_files() => {
            w.open().member("type", "file").key("file").open();
            w.member("file_id", id).close().close();
        }
        Source::Url(_) => losses.add("content.document.url"),
        Source::File(_) => losses.add("content.document.file"),
    }
}

/// The address of a source; its bytes as a data URL.
pub(in crate::dialect) fn address(source: &Source<'_>) -> Option<String> {
    match source {
        Source::Base64 { media_type, data } => Some(format!("data:{media_type};base64,{data}")),
        Source::Url(url) => Some(url.clone().into_owned()),
        Source::File(_) | Source::Text(_) => None,
    }
}

fn write_assistant(
    w: &mut Writer<'_>,
    parts: &[Part<'_>],
    options: &TranslateOptions,
    losses: &mut Losses,
) {
    let mut text = String::new();
    let mut calls = Vec::new();
    let mut thoughts = Vec::new();
    for part in parts {
        match &part.content {
            Content::Text {
                text: piece,
                citations,
            } => {
                text.push_str(piece);
                if !citations.is_empty() {
                    losses.add("content.text.citations");
                }
            }
            Content::Refusal(piece) => text.push_str(piece),
            Content::ToolCall {
                id,
                name,
                arguments,
            } => calls.push((id, name, arguments)),
            thought @ (Content::Reasoning { .. } | Content::RedactedReasoning(_)) => {
                if options.keep_reasoning {
                    thoughts.push(thought);
                } else {
                    losses.add("content.reasoning");
                }
            }
            _ => losses.add("content.misplaced"),
        }
    }
    w.open().member("role", "assistant").key("content");
    if text.is_empty() && !calls.is_empty() {
        w.null();
    } else {
        w.text(&text);
    }
    super::response::write_thoughts(w, &thoughts);
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
