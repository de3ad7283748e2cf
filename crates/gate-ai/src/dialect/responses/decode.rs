//! Responses requests into the neutral form.

use super::items;
use crate::conversation::{
    Effort, Format, Message, Reasoning, Request, Role, ServiceTier, Tool, ToolChoice,
};
use crate::json::object::{Object, Raw, boolean, list, number, text, texts, unsigned};
use crate::{DialectError, Losses};

pub(super) fn request<'a>(
    body: &'a [u8],
    losses: &mut Losses,
) -> Result<Request<'a>, DialectError> {
    let object = Object::parse(body)?;
    refuse_stored(&object)?;
    let required = |field| object.get(field).ok_or(DialectError::Missing { field });
    let mut request = Request {
        model: text(required("model")?, "model")?,
        ..Request::default()
    };
    if let Some(raw) = object.get("instructions") {
        request.messages.push(Message {
            role: Role::System,
            parts: vec![items::plain(text(raw, "instructions")?).into()],
        });
    }
    items::input(required("input")?, &mut request.messages, losses)?;
    for (name, raw) in object.iter() {
        match name {
            "model" | "instructions" | "input" => {}
            "tools" => tools(raw, &mut request, losses)?,
            "tool_choice" => request.tool_choice = tool_choice(raw, losses)?,
            "parallel_tool_calls" => {
                request.parallel_tool_calls = Some(boolean(raw, "parallel_tool_calls")?);
            }
            "text" => text_options(raw, &mut request, losses)?,
            "reasoning" => reasoning(raw, &mut request, losses)?,
            "include" => include(raw, &mut request, losses)?,
            "max_output_tokens" => {
                request.max_tokens = Some(unsigned(raw, "max_output_tokens")?);
            }
            "temperature" => request.temperature = Some(number(raw, "temperature")?),
            "top_p" => request.top_p = Some(number(raw, "top_p")?),
            "top_logprobs" => match unsigned(raw, "top_logprobs")? {
                0 => {}
                wanted => request.logprobs = Some(wanted),
            },
            "stream" => request.stream = boolean(raw, "stream")?,
            "user" | "safety_identifier" => request.user = Some(text(raw, "user")?),
            _ => kept(name, raw, &mut request, losses)?,
        }
    }
    Ok(request)
}

/// What was said before is stored at the vendor, where no other model can read it.
fn refuse_stored(object: &Object<'_>) -> Result<(), DialectError> {
    for field in ["previous_response_id", "conversation", "prompt"] {
        if object.get(field).is_some() {
            return Err(DialectError::Untranslatable {
                field,
                reason: "what it refers to is stored at OpenAI; send the conversation in \"input\"",
            });
        }
    }
    Ok(())
}

/// What belongs to the vendor's own store, caches and ways of running.
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
        "service_tier" => match text(raw, "service_tier")?.as_ref() {
            "auto" => request.service_tier = Some(ServiceTier::Auto),
            "default" => request.service_tier = Some(ServiceTier::Standard),
            "flex" => request.service_tier = Some(ServiceTier::Flex),
            "priority" | "fast" => request.service_tier = Some(ServiceTier::Priority),
            other => losses.add(format!("service_tier.{other}")),
        },
        "background" if raw.get() == "false" => {}
        "truncation" if raw.get() == "\"disabled\"" => {}
        // Padding against guesses by length, of which there is none to begin with.
        "stream_options" => {
            for (name, raw) in Object::of(raw, "stream_options")?.iter() {
                if raw.get() != "false" {
                    losses.add(format!("stream_options.{name}"));
                }
            }
        }
        _ => losses.add(name.to_owned()),
    }
    Ok(())
}

fn include<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for wanted in texts(raw, "include")? {
        match wanted.as_ref() {
            // Signatures come in any case.
            "reasoning.encrypted_content" => {}
            "message.output_text.logprobs" => {
                request.logprobs.get_or_insert(0);
            }
            other => losses.add(format!("include.{other}")),
        }
    }
    Ok(())
}

fn text_options<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for (name, raw) in Object::of(raw, "text")?.iter() {
        match name {
            "format" => request.format = format(raw)?,
            "verbosity" => request.verbosity = Some(text(raw, "text.verbosity")?),
            _ => losses.add(format!("text.{name}")),
        }
    }
    Ok(())
}

fn format<'a>(raw: Raw<'a>) -> Result<Option<Format<'a>>, DialectError> {
    let object = Object::of(raw, "text.format")?;
    Ok(match object.text("type").as_deref() {
        Some("json_object") => Some(Format::JsonObject),
        Some("json_schema") => Some(Format::JsonSchema {
            name: object.text("name"),
            description: object.text("description"),
            schema: object
                .get("schema")
                .ok_or(DialectError::Missing { field: "schema" })?
                .get()
                .into(),
            strict: object.get("strict").map(|flag| flag.get() == "true"),
        }),
        Some("text") | None => None,
        Some(_) => {
            return Err(DialectError::wrong_type(
                "text.format",
                "of type text, json_object or json_schema",
            ));
        }
    })
}

fn reasoning<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for (name, raw) in Object::of(raw, "reasoning")?.iter() {
        match name {
            "effort" => {
                let name = text(raw, "reasoning.effort")?;
                request.reasoning = match Effort::from_name(&name) {
                    Some(effort) => Some(Reasoning::Adaptive(Some(effort))),
                    None if name == "none" => Some(Reasoning::Off),
                    None => {
                        losses.add("reasoning.effort.unknown");
                        None
                    }
                };
            }
            "summary" | "generate_summary" => {
                request.reasoning_summary = Some(text(raw, "reasoning.summary")?);
            }
            _ => losses.add(format!("reasoning.{name}")),
        }
    }
    Ok(())
}

fn tools<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for item in list(raw, "tools")? {
        let object = Object::of(item, "tools")?;
        let kind = object.text("type").unwrap_or_default();
        if kind != "function" {
            losses.add(format!("tools.{kind}"));
            continue;
        }
        let name = object.get("name");
        let name = name.ok_or(DialectError::Missing { field: "name" })?;
        let mut tool = Tool {
            name: text(name, "name")?,
            description: None,
            schema: None,
            strict: None,
            cache: None,
        };
        for (name, raw) in object.iter() {
            match name {
                "type" | "name" => {}
                "description" => tool.description = Some(text(raw, "description")?),
                "parameters" => tool.schema = Some(raw.get().into()),
                "strict" => tool.strict = Some(boolean(raw, "strict")?),
                _ => losses.add(format!("tools.function.{name}")),
            }
        }
        request.tools.push(tool);
    }
    Ok(())
}

fn tool_choice<'a>(
    raw: Raw<'a>,
    losses: &mut Losses,
) -> Result<Option<ToolChoice<'a>>, DialectError> {
    if raw.get().starts_with('"') {
        return Ok(Some(match text(raw, "tool_choice")?.as_ref() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            _ => {
                return Err(DialectError::wrong_type(
                    "tool_choice",
                    "auto, none, required or an object",
                ));
            }
        }));
    }
    let choice = Object::of(raw, "tool_choice")?;
    let kind = choice.text("type").unwrap_or_default();
    match (kind.as_ref(), choice.text("name")) {
        ("function", Some(name)) => return Ok(Some(ToolChoice::Tool(name))),
        ("allowed_tools", _) => {}
        _ => {
            losses.add(format!("tool_choice.{kind}"));
            return Ok(None);
        }
    }
    let mut names = Vec::new();
    let tools = choice.get("tools");
    for item in list(
        tools.ok_or(DialectError::Missing { field: "tools" })?,
        "tools",
    )? {
        let tool = Object::of(item, "tools")?;
        match (tool.text("type").as_deref(), tool.text("name")) {
            (Some("function"), Some(name)) => names.push(name),
            (kind, _) => losses.add(format!("tool_choice.{}", kind.unwrap_or_default())),
        }
    }
    let required = choice.text("mode").as_deref() == Some("required");
    Ok(Some(ToolChoice::Allowed { names, required }))
}
