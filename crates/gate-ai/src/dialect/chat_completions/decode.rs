//! Chat Completions requests into the neutral form.

use super::parts::{message_parts, reasoning_parts, tool_calls};
use crate::conversation::{
    Content, Effort, Format, Message, Part, Reasoning, Request, Role, ServiceTier, Text, Tool,
    ToolChoice,
};
use crate::json::object::{Object, Raw, boolean, list, number, text, texts, unsigned};
use crate::{DialectError, Losses};

pub(super) fn request<'a>(
    body: &'a [u8],
    losses: &mut Losses,
) -> Result<Request<'a>, DialectError> {
    let object = Object::parse(body)?;
    let mut request = Request {
        model: text(required(&object, "model")?, "model")?,
        messages: messages(required(&object, "messages")?, losses)?,
        ..Request::default()
    };
    let mut wants_logprobs = false;
    for (name, raw) in object.iter() {
        match name {
            "model" | "messages" => {}
            "tools" => tools(raw, &mut request, losses)?,
            "functions" => functions(raw, &mut request, losses)?,
            "tool_choice" | "function_call" => request.tool_choice = tool_choice(raw, losses)?,
            "parallel_tool_calls" => {
                request.parallel_tool_calls = Some(boolean(raw, "parallel_tool_calls")?);
            }
            "response_format" => request.format = format(raw)?,
            "reasoning_effort" => {
                request.reasoning = effort(&text(raw, "reasoning_effort")?, losses)
            }
            "thinking" => thinking(raw, &mut request, losses)?,
            // Alibaba's and vLLM's switch.
            "enable_thinking" => {
                request.reasoning = Some(switch(boolean(raw, "enable_thinking")?));
            }
            "reasoning" => reasoning(raw, &mut request, losses)?,
            "max_tokens" => {
                let limit = unsigned(raw, "max_tokens")?;
                request.max_tokens = Some(request.max_tokens.map_or(limit, |old| old.min(limit)));
            }
            "max_completion_tokens" => {
                let limit = unsigned(raw, "max_completion_tokens")?;
                request.max_tokens = Some(request.max_tokens.map_or(limit, |old| old.min(limit)));
            }
            "temperature" => request.temperature = Some(number(raw, "temperature")?),
            "top_p" => request.top_p = Some(number(raw, "top_p")?),
            "top_k" => request.top_k = Some(number(raw, "top_k")?),
            "frequency_penalty" => {
                request.frequency_penalty = Some(number(raw, "frequency_penalty")?);
            }
            "presence_penalty" => {
                request.presence_penalty = Some(number(raw, "presence_penalty")?);
            }
            "seed" => request.seed = Some(raw.get().into()),
            "n" => request.candidates = Some(unsigned(raw, "n")?),
            "logprobs" => wants_logprobs = boolean(raw, "logprobs")?,
            "top_logprobs" => request.logprobs = Some(unsigned(raw, "top_logprobs")?),
            "stop" => request.stop = texts(raw, "stop")?,
            "stream" => request.stream = boolean(raw, "stream")?,
            "stream_options" => {
                let options = Object::of(raw, "stream_options")?;
                request.include_usage = options
                    .get("include_usage")
                    .is_some_and(|flag| flag.get() == "true");
            }
            "user" | "safety_identifier" => request.user = Some(text(raw, "user")?),
            "service_tier" => match text(raw, "service_tier")?.as_ref() {
                "auto" => request.service_tier = Some(ServiceTier::Auto),
                "default" => request.service_tier = Some(ServiceTier::Standard),
                "flex" => request.service_tier = Some(ServiceTier::Flex),
                "priority" | "fast" => request.service_tier = Some(ServiceTier::Priority),
                other => losses.add(format!("service_tier.{other}")),
            },
            _ => kept(name, raw, &mut request, losses)?,
        }
    }
    if wants_logprobs {
        request.logprobs.get_or_insert(0);
    }
    Ok(request)
}

/// What belongs to the vendor's own store and caches.
fn kept<'a>(
    name: &str,
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    match name {
        "store" => request.store = Some(boolean(raw, "store")?),
        "metadata" => request.metadata = Some(raw.get().into()).filter(|json| json != "{}"),
        "prompt_cache_key" => request.prompt_cache_key = Some(text(raw, "prompt_cache_key")?),
        "prompt_cache_retention" => {
            request.prompt_cache_retention = Some(text(raw, "prompt_cache_retention")?);
        }
        "prompt_cache_options" => request.prompt_cache_options = Some(raw.get().into()),
        "provider" => request.routing = Some(raw.get().into()),
        "moderation" => request.moderation = Some(raw.get().into()),
        "verbosity" => request.verbosity = Some(text(raw, "verbosity")?),
        _ => losses.add(name.to_owned()),
    }
    Ok(())
}

fn required<'a>(object: &Object<'a>, field: &'static str) -> Result<Raw<'a>, DialectError> {
    object.get(field).ok_or(DialectError::Missing { field })
}

fn messages<'a>(raw: Raw<'a>, losses: &mut Losses) -> Result<Vec<Message<'a>>, DialectError> {
    let items = list(raw, "messages")?;
    let mut messages = Vec::with_capacity(items.len());
    for item in items {
        let object = Object::of(item, "messages")?;
        let role = text(required(&object, "role")?, "role")?;
        let message = match role.as_ref() {
            "system" | "developer" => plain(Role::System, &object, losses)?,
            "user" => plain(Role::User, &object, losses)?,
            "assistant" => assistant(&object, losses)?,
            "tool" | "function" => tool_result(&object, losses)?,
            _ => {
                return Err(DialectError::wrong_type(
                    "role",
                    "system, developer, user, assistant or tool",
                ));
            }
        };
        messages.push(message);
    }
    Ok(messages)
}

fn plain<'a>(
    role: Role,
    object: &Object<'a>,
    losses: &mut Losses,
) -> Result<Message<'a>, DialectError> {
    let mut parts = Vec::new();
    for (name, raw) in object.iter() {
        match name {
            "role" => {}
            "content" => message_parts(raw, &mut parts, losses)?,
            _ => losses.add(format!("messages.{name}")),
        }
    }
    Ok(Message { role, parts })
}

fn assistant<'a>(object: &Object<'a>, losses: &mut Losses) -> Result<Message<'a>, DialectError> {
    let mut parts = reasoning_parts(object, losses)?;
    let mut calls = Vec::new();
    for (name, raw) in object.iter() {
        match name {
            "role" | "reasoning_content" | "reasoning" | "reasoning_details" => {}
            "content" => message_parts(raw, &mut parts, losses)?,
            "refusal" => parts.push(Content::Refusal(text(raw, "refusal")?).into()),
            "tool_calls" => tool_calls(raw, &mut calls, losses)?,
            "function_call" => calls.push(function_call(raw)?.into()),
            _ => losses.add(format!("messages.{name}")),
        }
    }
    parts.append(&mut calls);
    Ok(Message {
        role: Role::Assistant,
        parts,
    })
}

/// A call in the form before tools. It has no id: calls and results are joined by the name.
fn function_call<'a>(raw: Raw<'a>) -> Result<Content<'a>, DialectError> {
    let call = Object::of(raw, "function_call")?;
    let name = text(required(&call, "name")?, "name")?;
    Ok(Content::ToolCall {
        id: format!("call_{name}").into(),
        arguments: call.text("arguments").unwrap_or_default(),
        name,
    })
}

fn tool_result<'a>(object: &Object<'a>, losses: &mut Losses) -> Result<Message<'a>, DialectError> {
    let mut parts = Vec::new();
    let (mut id, mut cache) = (None, None);
    for (name, raw) in object.iter() {
        match name {
            "role" => {}
            "content" => message_parts(raw, &mut parts, losses)?,
            "tool_call_id" => id = Some(text(raw, "tool_call_id")?),
            // Redundant beside the id; all there is in the form before tools.
            "name" if object.get("tool_call_id").is_some() => {}
            "name" => id = Some(format!("call_{}", text(raw, "name")?).into()),
            "cache_control" => cache = Some(raw.get().into()),
            _ => losses.add(format!("messages.{name}")),
        }
    }
    let id = id.ok_or(DialectError::Missing {
        field: "tool_call_id",
    })?;
    let content = Content::ToolResult {
        id,
        parts,
        is_error: false,
    };
    Ok(Message {
        role: Role::User,
        parts: vec![Part { content, cache }],
    })
}

fn tools<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for item in list(raw, "tools")? {
        let object = Object::of(item, "tools")?;
        match object.text("type").as_deref() {
            Some("function") | None => {
                let mut tool = tool(required(&object, "function")?, losses)?;
                for (name, raw) in object.iter() {
                    match name {
                        "type" | "function" => {}
                        "cache_control" => tool.cache = Some(raw.get().into()),
                        _ => losses.add(format!("tools.{name}")),
                    }
                }
                request.tools.push(tool);
            }
            Some(other) => losses.add(format!("tools.{other}")),
        }
    }
    Ok(())
}

fn functions<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    losses.add("functions");
    for item in list(raw, "functions")? {
        request.tools.push(tool(item, losses)?);
    }
    Ok(())
}

fn tool<'a>(raw: Raw<'a>, losses: &mut Losses) -> Result<Tool<'a>, DialectError> {
    let function = Object::of(raw, "function")?;
    let mut tool = Tool {
        name: text(required(&function, "name")?, "name")?,
        description: None,
        schema: None,
        strict: None,
        cache: None,
    };
    for (name, raw) in function.iter() {
        match name {
            "name" => {}
            "description" => tool.description = Some(text(raw, "description")?),
            "parameters" => tool.schema = Some(raw.get().into()),
            "strict" => tool.strict = Some(boolean(raw, "strict")?),
            _ => losses.add(format!("tools.function.{name}")),
        }
    }
    Ok(tool)
}

fn tool_choice<'a>(
    raw: Raw<'a>,
    losses: &mut Losses,
) -> Result<Option<ToolChoice<'a>>, DialectError> {
    if raw.get().starts_with('"') {
        return Ok(Some(match text(raw, "tool_choice")?.as_ref() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            // Mistral's word for it is "any".
            "required" | "any" => ToolChoice::Required,
            _ => {
                return Err(DialectError::wrong_type(
                    "tool_choice",
                    "auto, none, required or a function",
                ));
            }
        }));
    }
    let choice = Object::of(raw, "tool_choice")?;
    // The form before tools has the name without a function around it.
    let name = match choice.get("function") {
        Some(function) => Object::of(function, "function")?.text("name"),
        None => choice.text("name"),
    };
    if let Some(raw) = choice.get("allowed_tools") {
        return allowed(raw, losses).map(Some);
    }
    if name.is_none() {
        losses.add("tool_choice.custom");
    }
    Ok(name.map(ToolChoice::Tool))
}

fn allowed<'a>(raw: Raw<'a>, losses: &mut Losses) -> Result<ToolChoice<'a>, DialectError> {
    let object = Object::of(raw, "allowed_tools")?;
    let mut names = Vec::new();
    for item in list(required(&object, "tools")?, "tools")? {
        let tool = Object::of(item, "tools")?;
        let function = tool.get("function");
        let function = function.and_then(|raw| Object::of(raw, "function").ok());
        match function.and_then(|function| function.text("name")) {
            Some(name) => names.push(name),
            None => losses.add("tool_choice.custom"),
        }
    }
    let required = object.text("mode").as_deref() == Some("required");
    Ok(ToolChoice::Allowed { names, required })
}

fn format<'a>(raw: Raw<'a>) -> Result<Option<Format<'a>>, DialectError> {
    let object = Object::of(raw, "response_format")?;
    Ok(match object.text("type").as_deref() {
        Some("json_object") => Some(Format::JsonObject),
        Some("json_schema") => {
            let inner = Object::of(required(&object, "json_schema")?, "json_schema")?;
            Some(match inner.get("schema") {
                Some(schema) => Format::JsonSchema {
                    name: inner.text("name"),
                    description: inner.text("description"),
                    schema: schema.get().into(),
                    strict: inner.get("strict").map(|flag| flag.get() == "true"),
                },
                None => Format::JsonObject,
            })
        }
        Some("text") | None => None,
        Some(_) => {
            return Err(DialectError::wrong_type(
                "response_format",
                "text, json_object or json_schema",
            ));
        }
    })
}

fn effort(name: &Text<'_>, losses: &mut Losses) -> Option<Reasoning> {
    if name == "none" {
        return Some(Reasoning::Off);
    }
    let effort = Effort::from_name(name);
    if effort.is_none() {
        losses.add("reasoning_effort");
    }
    effort.map(|effort| Reasoning::Adaptive(Some(effort)))
}

/// OpenRouter's object with `effort`, `max_tokens` or `enabled`.
fn reasoning<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for (name, raw) in Object::of(raw, "reasoning")?.iter() {
        match name {
            "effort" => request.reasoning = effort(&text(raw, "effort")?, losses),
            "max_tokens" => {
                request.reasoning = Some(Reasoning::Budget(unsigned(raw, "max_tokens")?));
            }
            "summary" => request.reasoning_summary = Some(text(raw, "reasoning.summary")?),
            "enabled" if raw.get() == "false" => request.reasoning = Some(Reasoning::Off),
            "enabled" => {
                request.reasoning.get_or_insert(Reasoning::Adaptive(None));
            }
            _ => losses.add(format!("reasoning.{name}")),
        }
    }
    Ok(())
}

fn switch(on: bool) -> Reasoning {
    if on {
        Reasoning::Adaptive(None)
    } else {
        Reasoning::Off
    }
}

/// DeepSeek's and Z.AI's object with a `type` of enabled or disabled.
fn thinking<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for (name, raw) in Object::of(raw, "thinking")?.iter() {
        match name {
            // A level beside it says more than the switch.
            "type" if request.reasoning.is_some() => {}
            "type" => request.reasoning = Some(switch(text(raw, "thinking.type")? != "disabled")),
            _ => losses.add(format!("thinking.{name}")),
        }
    }
    Ok(())
}
