//! The neutral form into Messages requests.

use super::blocks::{tool_id, tool_input, write_citation};
use crate::conversation::{
    Content, Effort, Format, Message, Part, Reasoning, Request, Role, ServiceTier, Source, Tool,
    ToolChoice,
};
use crate::json::write::Writer;
use crate::{DialectError, Losses, TranslateOptions};

/// Least tokens that thinking may be given:
/// <https://docs.claude.com/en/docs/build-with-claude/extended-thinking>.
const THINKING_MIN: u64 = 1_024;

pub(super) fn request(
    request: &Request<'_>,
    options: &TranslateOptions,
    losses: &mut Losses,
) -> Result<Vec<u8>, DialectError> {
    let mut out = Vec::with_capacity(1024);
    let thinking = Thinking::plan(request, options, losses);
    let mut w = Writer::new(&mut out);
    w.open().member("model", &request.model);
    w.key("max_tokens").unsigned(thinking.max_tokens);
    write_system(&mut w, request, losses);
    w.key("messages").open_list();
    write_messages(&mut w, &request.messages, losses)?;
    w.close_list();
    write_tools(&mut w, request, losses);
    write_thinking(&mut w, &thinking, request.format.as_ref(), losses);
    write_sampling(&mut w, request, thinking.is_on(), losses);
    if request.stream {
        w.key("stream").boolean(true);
    }
    if let Some(user) = &request.user {
        w.key("metadata").open().member("user_id", user).close();
    }
    match request.service_tier {
        Some(ServiceTier::Auto) => {
            w.member("service_tier", "auto");
        }
        Some(ServiceTier::Standard) => {
            w.member("service_tier", "standard_only");
        }
        Some(ServiceTier::Flex | ServiceTier::Priority) => losses.add("service_tier"),
        None => {}
    }
    if let Some(cache) = &request.cache {
        w.key("cache_control").raw(cache);
    }
    w.close();
    Ok(out)
}

/// What becomes of the wish to think under Anthropic's rules.
pub(in crate::dialect) struct Thinking {
    /// The limit of tokens that goes with it.
    pub(in crate::dialect) max_tokens: u64,
    budget: Option<u64>,
    adaptive: bool,
    /// How hard a model that decides itself is to think.
    pub(in crate::dialect) effort: Option<Effort>,
}

impl Thinking {
    /// Whether the model will think.
    pub(in crate::dialect) fn is_on(&self) -> bool {
        self.budget.is_some() || self.adaptive
    }

    /// Decides for one request.
    pub(in crate::dialect) fn plan(
        request: &Request<'_>,
        options: &TranslateOptions,
        losses: &mut Losses,
    ) -> Self {
        let explicit = request.max_tokens;
        let mut plan = Self {
            max_tokens: explicit.unwrap_or(options.default_max_tokens),
            budget: None,
            adaptive: false,
            effort: None,
        };
        let wish = match request.reasoning {
            None | Some(Reasoning::Off) => return plan,
            Some(Reasoning::Budget(tokens)) => tokens,
            Some(Reasoning::Adaptive(effort)) if options.adaptive_thinking => {
                plan.adaptive = true;
                plan.effort = effort;
                return plan;
            }
            Some(Reasoning::Adaptive(effort)) => effort.unwrap_or(Effort::Medium).budget(),
        };
        let forced = matches!(
            request.tool_choice,
            Some(
                ToolChoice::Required
                    | ToolChoice::Tool(_)
                    | ToolChoice::Allowed { required: true, .. }
            )
        );
        if forced {
            losses.add("reasoning.tool_choice");
        } else if lacks_thoughts(&request.messages) {
            losses.add("reasoning.history");
        } else if explicit.is_some_and(|limit| limit <= THINKING_MIN) {
            losses.add("reasoning.max_tokens");
        } else {
            let wish = wish.max(THINKING_MIN);
            match explicit {
                // A quarter is left for the answer.
                Some(limit) => plan.budget = Some(wish.min(limit / 4 * 3).max(THINKING_MIN)),
                None => {
                    plan.budget = Some(wish);
                    plan.max_tokens = plan.max_tokens.saturating_add(wish);
                }
            }
        }
        plan
    }
}

impl Thinking {
    /// Writes the member `thinking`, if there is one.
    pub(in crate::dialect) fn write(&self, w: &mut Writer<'_>) {
        if self.adaptive {
            w.key("thinking").open().member("type", "adaptive").close();
        } else if let Some(budget) = self.budget {
            w.key("thinking").open().member("type", "enabled");
            w.key("budget_tokens").unsigned(budget).close();
        }
    }
}

/// Whether the turn to go on with called tools and its signed thoughts are not there: Anthropic
/// refuses to think on in that case.
fn lacks_thoughts(messages: &[Message<'_>]) -> bool {
    let last = messages
        .iter()
        .rev()
        .find(|message| message.role == Role::Assistant);
    last.is_some_and(|message| {
        let has = |wanted: fn(&Content<'_>) -> bool| {
            message.parts.iter().any(|part| wanted(&part.content))
        };
        has(|content| matches!(content, Content::ToolCall { .. })) && !has(can_hand_back)
    })
}

/// Thoughts go back only as the vendor signed them.
fn can_hand_back(content: &Content<'_>) -> bool {
    content.seal_for_others().is_some()
}

fn write_thinking(
    w: &mut Writer<'_>,
    thinking: &Thinking,
    format: Option<&Format<'_>>,
    losses: &mut Losses,
) {
    thinking.write(w);
    let schema = match format {
        Some(Format::JsonSchema { schema, .. }) => Some(schema),
        Some(Format::JsonObject) => {
            losses.add("response_format.json_object");
            None
        }
        None => None,
    };
    if schema.is_none() && thinking.effort.is_none() {
        return;
    }
    w.key("output_config").open();
    w.member_if("effort", thinking.effort.map(Effort::as_str));
    if let Some(schema) = schema {
        w.key("format")
            .open()
            .member("type", "json_schema")
            .key("schema")
            .raw(schema)
            .close();
    }
    w.close();
}

fn write_sampling(w: &mut Writer<'_>, request: &Request<'_>, thinking: bool, losses: &mut Losses) {
    match request.temperature {
        Some(temperature) if thinking && temperature != 1.0 => losses.add("temperature.thinking"),
        Some(temperature) if temperature > 1.0 => {
            losses.add("temperature");
            w.number_if("temperature", Some(1.0));
        }
        temperature => {
            w.number_if("temperature", temperature);
        }
    }
    match request.top_p {
        Some(top_p) if thinking && top_p < 0.95 => losses.add("top_p.thinking"),
        // Claude 4 and later take one of the two only.
        Some(_) if request.temperature.is_some() => losses.add("top_p.temperature"),
        top_p => {
            w.number_if("top_p", top_p);
        }
    }
    match request.top_k {
        Some(_) if thinking => losses.add("top_k.thinking"),
        top_k => {
            w.number_if("top_k", top_k);
        }
    }
    if !request.stop.is_empty() {
        w.key("stop_sequences").open_list();
        for stop in &request.stop {
            w.text(stop);
        }
        w.close_list();
    }
    for (field, lost) in [
        (
            "frequency_penalty",
            request.frequency_penalty.is_some_and(|p| p != 0.0),
        ),
        (
            "presence_penalty",
            request.presence_penalty.is_some_and(|p| p != 0.0),
        ),
        ("seed", request.seed.is_some()),
        ("n", request.candidates.is_some_and(|n| n != 1)),
        ("logprobs", request.logprobs.is_some()),
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
    ] {
        if lost {
            losses.add(field);
        }
    }
}

fn write_tools(w: &mut Writer<'_>, request: &Request<'_>, losses: &mut Losses) {
    if request.tools.is_empty() {
        return;
    }
    w.key("tools").open_list();
    for tool in &request.tools {
        write_tool(w, tool);
    }
    w.close_list();
    let parallel = request.parallel_tool_calls;
    let choice = match (&request.tool_choice, parallel) {
        (None, None) => return,
        (Some(choice), _) => choice,
        (None, Some(_)) => &ToolChoice::Auto,
    };
    w.key("tool_choice").open();
    match choice {
        ToolChoice::Auto => w.member("type", "auto"),
        ToolChoice::None => w.member("type", "none"),
        ToolChoice::Required => w.member("type", "any"),
        ToolChoice::Tool(name) => w.member("type", "tool").member("name", name),
        ToolChoice::Allowed { required, .. } => {
            losses.add("tool_choice.allowed");
            w.member("type", if *required { "any" } else { "auto" })
        }
    };
    // Where no tool is called there is nothing to run in parallel, and the member is refused.
    if let (Some(parallel), true) = (parallel, *choice != ToolChoice::None) {
        w.key("disable_parallel_tool_use").boolean(!parallel);
    }
    w.close();
}

fn write_tool(w: &mut Writer<'_>, tool: &Tool<'_>) {
    w.open().member("name", &tool.name);
    w.member_if("description", tool.description.as_deref());
    let schema = tool.schema.as_deref();
    w.key("input_schema")
        .raw(schema.unwrap_or(r#"{"type":"object","properties":{}}"#));
    if let Some(strict) = tool.strict {
        w.key("strict").boolean(strict);
    }
    write_cache(w, tool.cache.as_deref());
    w.close();
}

fn write_cache(w: &mut Writer<'_>, cache: Option<&str>) {
    if let Some(cache) = cache {
        w.key("cache_control").raw(cache);
    }
}

/// Instructions have one place here, in front of everything.
fn write_system(w: &mut Writer<'_>, request: &Request<'_>, losses: &mut Losses) {
    let is_system = |message: &&Message<'_>| message.role == Role::System;
    if !request.messages.iter().any(|message| is_system(&message)) {
        return;
    }
    let leading = request.messages.iter().take_while(is_system).count();
    if request.messages[leading..]
        .iter()
        .any(|message| is_system(&message))
    {
        losses.add("messages.system");
    }
    w.key("system").open_list();
    for part in request
        .messages
        .iter()
        .filter(is_system)
        .flat_map(|message| &message.parts)
    {
        match &part.content {
            Content::Text { text, .. } if text.is_empty() => {}
            Content::Text { text, .. } => {
                w.open().member("type", "text").member("text", text);
                write_cache(w, part.cache.as_deref());
                w.close();
            }
            _ => losses.add("messages.system.content"),
        }
    }
    w.close_list();
}

/// Neighbours of one role become one message: results of parallel calls have to be together.
fn write_messages(
    w: &mut Writer<'_>,
    messages: &[Message<'_>],
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let spoken: Vec<&Message<'_>> = messages
        .iter()
        .filter(|message| message.role != Role::System)
        .collect();
    for run in spoken.chunk_by(|a, b| a.role == b.role) {
        let is_said = |part: &&Part<'_>| {
            // Empty texts are refused.
            !matches!(&part.content, Content::Text { text, .. } if text.is_empty())
        };
        let parts: Vec<_> = run.iter().flat_map(|m| &m.parts).filter(is_said).collect();
        if parts.is_empty() {
            continue;
        }
        let role = if run[0].role == Role::User {
            "user"
        } else {
            "assistant"
        };
        w.open().member("role", role).key("content").open_list();
        for part in parts {
            write_part(w, part, losses)?;
        }
        w.close_list().close();
    }
    Ok(())
}

fn write_part(
    w: &mut Writer<'_>,
    part: &Part<'_>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    if let Some(field) = unsayable(&part.content) {
        losses.add(field);
        return Ok(());
    }
    w.open();
    write_content(w, &part.content, losses)?;
    write_cache(w, part.cache.as_deref());
    w.close();
    Ok(())
}

/// The loss that a piece is as a whole.
fn unsayable(content: &Content<'_>) -> Option<&'static str> {
    match content {
        Content::Audio { .. } => Some("content.audio"),
        Content::Reasoning { .. } | Content::RedactedReasoning(_) if !can_hand_back(content) => {
            Some("content.reasoning")
        }
        Content::Image {
            source: Source::File(_) | Source::Text(_),
            ..
        } => Some("content.image.file"),
        Content::Document {
            source: Source::File(_),
            ..
        } => Some("content.document.file"),
        _ => None,
    }
}

/// The members of one block.
pub(super) fn write_content(
    w: &mut Writer<'_>,
    content: &Content<'_>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    match content {
        Content::Text { text, citations } => {
            w.member("type", "text").member("text", text);
            if !citations.is_empty() {
                w.key("citations").open_list();
                for citation in citations {
                    write_citation(w, citation);
                }
                w.close_list();
            }
        }
        Content::Refusal(text) => {
            w.member("type", "text").member("text", text);
        }
        Content::Image { source, detail } => {
            if detail.as_deref().is_some_and(|detail| detail != "auto") {
                losses.add("content.image.detail");
            }
            write_source(w.member("type", "image"), source);
        }
        Content::Document { source, title } => {
            write_source(w.member("type", "document"), source);
            w.member_if("title", title.as_deref());
        }
        Content::Reasoning { text, signature } => {
            w.member("type", "thinking").member("thinking", text);
            w.member("signature", signature.as_deref().unwrap_or_default());
        }
        Content::RedactedReasoning(data) => {
            w.member("type", "redacted_thinking").member("data", data);
        }
        Content::ToolCall {
            id,
            name,
            arguments,
        } => {
            w.member("type", "tool_use")
                .member("id", &tool_id(id))
                .member("name", name);
            w.key("input").raw(tool_input(name, arguments)?);
        }
        Content::ToolResult {
            id,
            parts,
            is_error,
        } => {
            w.member("type", "tool_result")
                .member("tool_use_id", &tool_id(id));
            w.key("content").open_list();
            for part in parts {
                write_part(w, part, losses)?;
            }
            w.close_list();
            if *is_error {
                w.key("is_error").boolean(true);
            }
        }
        Content::Audio { .. } => losses.add("content.audio"),
    }
    Ok(())
}

fn write_source(w: &mut Writer<'_>, source: &Source<'_>) {
    w.key("source").open();
    match source {
        Source::Base64 { media_type, data } => w
            .member("type", "base64")
            .member("media_type", media_type)
            .member("data", data),
        Source::Url(url) => w.member("type", "url").member("url", url),
        Source::File(id) => w.member("type", "file").member("file_id", id),
        Source::Text(text) => w
            .member("type", "text")
            .member("media_type", "text/plain")
            .member("data", text),
    };
    w.close();
}
