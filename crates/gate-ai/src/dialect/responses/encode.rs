//! The neutral form into Responses requests.

use super::write::{write_annotations, write_reasoning};
use crate::conversation::{
    Content, Format, Message, Part, Reasoning, Request, Role, ServiceTier, Source, ToolChoice,
};
use crate::dialect::chat_completions::address;
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
    w.key("input").open_list();
    for message in &request.messages {
        write_turn(&mut w, message, options, losses);
    }
    w.close_list();
    write_tools(&mut w, request);
    write_text_options(&mut w, request);
    write_thinking(&mut w, request, losses);
    if let Some(limit) = request.max_tokens {
        w.key("max_output_tokens").unsigned(limit);
    }
    w.number_if("temperature", request.temperature);
    w.number_if("top_p", request.top_p);
    if let Some(alternatives) = request.logprobs.filter(|wanted| *wanted > 0) {
        w.key("top_logprobs").unsigned(alternatives);
    }
    if request.stream {
        w.key("stream").boolean(true);
    }
    w.member_if("user", request.user.as_deref());
    w.member_if("service_tier", request.service_tier.map(tier));
    write_kept(&mut w, request);
    w.close();
    report_unsayable(request, losses);
    out
}

fn tier(tier: ServiceTier) -> &'static str {
    match tier {
        ServiceTier::Auto => "auto",
        ServiceTier::Standard => "default",
        ServiceTier::Flex => "flex",
        ServiceTier::Priority => "priority",
    }
}

/// What belongs to the vendor's own store and caches.
fn write_kept(w: &mut Writer<'_>, request: &Request<'_>) {
    // Stored is the default here and nowhere else.
    w.key("store").boolean(request.store.unwrap_or(false));
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
}

fn report_unsayable(request: &Request<'_>, losses: &mut Losses) {
    let marked = |part: &Part<'_>| part.cache.is_some();
    let marks = request.cache.is_some()
        || request.tools.iter().any(|tool| tool.cache.is_some())
        || request.messages.iter().any(|m| m.parts.iter().any(marked));
    for (field, lost) in [
        ("top_k", request.top_k.is_some()),
        ("seed", request.seed.is_some()),
        ("stop_sequences", !request.stop.is_empty()),
        ("n", request.candidates.is_some_and(|n| n != 1)),
        (
            "frequency_penalty",
            request.frequency_penalty.is_some_and(|p| p != 0.0),
        ),
        (
            "presence_penalty",
            request.presence_penalty.is_some_and(|p| p != 0.0),
        ),
        ("cache_control", marks),
    ] {
        if lost {
            losses.add(field);
        }
    }
}

fn write_tools(w: &mut Writer<'_>, request: &Request<'_>) {
    if request.tools.is_empty() {
        return;
    }
    w.key("tools").open_list();
    for tool in &request.tools {
        w.open()
            .member("type", "function")
            .member("name", &tool.name);
        w.member_if("description", tool.description.as_deref());
        let schema = tool.schema.as_deref();
        w.key("parameters")
            .raw(schema.unwrap_or(r#"{"type":"object","properties":{}}"#));
        // Strict is the default here and nowhere else.
        w.key("strict").boolean(tool.strict.unwrap_or(false));
        w.close();
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
            w.member("name", name).close();
        }
        Some(ToolChoice::Allowed { names, required }) => {
            let mode = if *required { "required" } else { "auto" };
            w.key("tool_choice").open().member("type", "allowed_tools");
            w.member("mode", mode).key("tools").open_list();
            for name in names {
                w.open().member("type", "function");
                w.member("name", name).close();
            }
            w.close_list().close();
        }
    }
    if let Some(parallel) = request.parallel_tool_calls {
        w.key("parallel_tool_calls").boolean(parallel);
    }
}

fn write_text_options(w: &mut Writer<'_>, request: &Request<'_>) {
    if request.format.is_none() && request.verbosity.is_none() {
        return;
    }
    w.key("text").open();
    match &request.format {
        None => {}
        Some(Format::JsonObject) => {
            w.key("format").open().member("type", "json_object").close();
        }
        Some(Format::JsonSchema {
            name,
            description,
            schema,
            strict,
        }) => {
            w.key("format").open().member("type", "json_schema");
            // A name is required here and absent elsewhere.
            w.member("name", name.as_deref().unwrap_or("response"));
            w.member_if("description", description.as_deref());
            w.key("schema").raw(schema);
            w.key("strict").boolean(strict.unwrap_or(true)).close();
        }
    }
    w.member_if("verbosity", request.verbosity.as_deref());
    w.close();
}

fn write_thinking(w: &mut Writer<'_>, request: &Request<'_>, losses: &mut Losses) {
    let effort = match request.reasoning {
        // Not thinking is what models without the parameter do; older ones refuse "none".
        None | Some(Reasoning::Off | Reasoning::Adaptive(None)) => None,
        Some(Reasoning::Adaptive(effort)) => effort,
        Some(Reasoning::Budget(tokens)) => {
            losses.add("reasoning.budget_tokens");
            Some(crate::conversation::Effort::of_budget(tokens))
        }
    };
    if effort.is_some() || request.reasoning_summary.is_some() {
        w.key("reasoning").open();
        w.member_if("effort", effort.map(|effort| effort.as_str()));
        w.member_if("summary", request.reasoning_summary.as_deref());
        w.close();
    }
    // What is not stored has to come sealed, or the model cannot think on.
    let sealed = effort.is_some() || request.messages.iter().any(has_sealed);
    if sealed || request.logprobs.is_some() {
        w.key("include").open_list();
        if sealed {
            w.text("reasoning.encrypted_content");
        }
        if request.logprobs.is_some() {
            w.text("message.output_text.logprobs");
        }
        w.close_list();
    }
}

fn has_sealed(message: &Message<'_>) -> bool {
    let mut parts = message.parts.iter();
    parts.any(|part| part.content.seal_for_others().is_some())
}

/// One turn as items: texts that stand beside each other are one message.
fn write_turn(
    w: &mut Writer<'_>,
    message: &Message<'_>,
    options: &TranslateOptions,
    losses: &mut Losses,
) {
    let mut spoken: Vec<&Part<'_>> = Vec::new();
    for part in &message.parts {
        let is_item = match &part.content {
            Content::ToolResult { .. } => message.role == Role::User,
            Content::ToolCall { .. }
            | Content::Reasoning { .. }
            | Content::RedactedReasoning(_) => message.role == Role::Assistant,
            _ => false,
        };
        if !is_item {
            spoken.push(part);
            continue;
        }
        write_message(w, message.role, &std::mem::take(&mut spoken), losses);
        write_item(w, &part.content, options, losses);
    }
    write_message(w, message.role, &spoken, losses);
}

fn write_item(
    w: &mut Writer<'_>,
    content: &Content<'_>,
    options: &TranslateOptions,
    losses: &mut Losses,
) {
    match content {
        Content::ToolCall {
            id,
            name,
            arguments,
        } => {
            w.open()
                .member("type", "function_call")
                .member("call_id", id);
            w.member("name", name).member("arguments", arguments);
            w.close();
        }
        Content::ToolResult {
            id,
            parts,
            is_error,
        } => {
            if *is_error {
                losses.add("content.tool_result.is_error");
            }
            w.open().member("type", "function_call_output");
            w.member("call_id", id).key("output");
            let parts: Vec<&Part<'_>> = parts.iter().collect();
            write_content(w, "input_text", &parts, losses);
            w.close();
        }
        // No vendor opens what another has sealed.
        content @ (Content::Reasoning {
            signature: Some(_), ..
        }
        | Content::RedactedReasoning(_))
            if content.seal_for_others().is_none() =>
        {
            losses.add("content.reasoning");
        }
        Content::Reasoning {
            signature: None, ..
        } if !options.keep_reasoning => losses.add("content.reasoning"),
        Content::Reasoning {
            text,
            signature: None,
        } => {
            w.open().member("type", "reasoning").key("summary");
            w.open_list().close_list().key("content").open_list();
            w.open().member("type", "reasoning_text");
            w.member("text", text).close().close_list().close();
        }
        Content::Reasoning { text, signature } => {
            write_reasoning(w, None, text, signature.as_deref());
        }
        Content::RedactedReasoning(data) => write_reasoning(w, None, "", Some(data)),
        _ => losses.add("content.misplaced"),
    }
}

fn write_message(w: &mut Writer<'_>, role: Role, parts: &[&Part<'_>], losses: &mut Losses) {
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
    let (role, kind) = match role {
        Role::System => ("system", "input_text"),
        Role::User => ("user", "input_text"),
        Role::Assistant => ("assistant", "output_text"),
    };
    w.open().member("type", "message").member("role", role);
    write_content(w.key("content"), kind, &sayable, losses);
    w.close();
}

/// The loss that a piece is as a whole.
fn unsayable(content: &Content<'_>, losses: &Losses) -> Option<&'static str> {
    match content {
        Content::Audio { .. } => Some("content.audio"),
        Content::Image {
            source: Source::Text(_),
            ..
        } => Some("content.image.file"),
        Content::Image {
            source: Source::File(_),
            ..
        } if !losses.shares_files() => Some("content.image.file"),
        Content::Document {
            source: Source::File(_),
            ..
        } if !losses.shares_files() => Some("content.document.file"),
        Content::Reasoning { .. }
        | Content::RedactedReasoning(_)
        | Content::ToolCall { .. }
        | Content::ToolResult { .. } => Some("content.misplaced"),
        _ => None,
    }
}

/// One plain text is a string, anything else a list of parts.
fn write_content(w: &mut Writer<'_>, kind: &str, parts: &[&Part<'_>], losses: &mut Losses) {
    let single = match parts {
        [] => Some(""),
        [part] => match &part.content {
            Content::Text { text, citations } if citations.is_empty() => Some(text.as_ref()),
            _ => None,
        },
        _ => None,
    };
    if let Some(text) = single {
        w.text(text);
        return;
    }
    w.open_list();
    for part in parts {
        match unsayable(&part.content, losses) {
            Some(field) => losses.add(field),
            None => write_part(w, kind, &part.content, losses),
        }
    }
    w.close_list();
}

fn write_part(w: &mut Writer<'_>, kind: &str, content: &Content<'_>, losses: &mut Losses) {
    match content {
        Content::Text { text, citations } => {
            w.open().member("type", kind).member("text", text);
            if !citations.is_empty() && kind == "output_text" {
                write_annotations(w.key("annotations"), text, citations, losses);
            }
            w.close();
        }
        Content::Refusal(text) if kind == "output_text" => {
            w.open().member("type", "refusal").member("refusal", text);
            w.close();
        }
        Content::Refusal(text) => {
            w.open().member("type", kind).member("text", text).close();
        }
        Content::Image { source, detail } => {
            w.open().member("type", "input_image");
            match source {
                Source::File(id) => w.member("file_id", id),
                _ => w.member_if("image_url", address(source).as_deref()),
            };
            w.member_if("detail", detail.as_deref());
            w.close();
        }
        Content::Document { source, title } => {
            if let Source::Text(text) = source {
                losses.add("content.document.text");
                w.open().member("type", kind).member("text", text).close();
                return;
            }
            w.open().member("type", "input_file");
            match source {
                Source::File(id) => w.member("file_id", id),
                Source::Url(url) => w.member("file_url", url),
                // A name is required beside the data.
                _ => w
                    .member("filename", title.as_deref().unwrap_or("document.pdf"))
                    .member_if("file_data", address(source).as_deref()),
            };
            w.close();
        }
        // These are items or were reported.
        Content::Audio { .. }
        | Content::Reasoning { .. }
        | Content::RedactedReasoning(_)
        | Content::ToolCall { .. }
        | Content::ToolResult { .. } => losses.add("content.misplaced"),
    }
}
