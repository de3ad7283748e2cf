//! Messages requests into the neutral form.

use super::blocks;
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
    let required = |field| object.get(field).ok_or(DialectError::Missing { field });
    let mut request = Request {
        model: text(required("model")?, "model")?,
        ..Request::default()
    };
    if let Some(raw) = object.get("system") {
        request.messages.push(message(Role::System, raw, losses)?);
    }
    messages(required("messages")?, &mut request, losses)?;
    for (name, raw) in object.iter() {
        match name {
            "model" | "system" | "messages" => {}
            "max_tokens" => request.max_tokens = Some(unsigned(raw, "max_tokens")?),
            "temperature" => request.temperature = Some(number(raw, "temperature")?),
            "top_p" => request.top_p = Some(number(raw, "top_p")?),
            "top_k" => request.top_k = Some(number(raw, "top_k")?),
            "stop_sequences" => request.stop = texts(raw, "stop_sequences")?,
            "stream" => request.stream = boolean(raw, "stream")?,
            "tools" => tools(raw, &mut request, losses)?,
            "tool_choice" => tool_choice(raw, &mut request)?,
            "thinking" => thinking(raw, &mut request, losses)?,
            "output_config" => output_config(raw, &mut request, losses)?,
            "output_format" => request.format = format(raw)?,
            "metadata" => {
                for (name, raw) in Object::of(raw, "metadata")?.iter() {
                    match name {
                        "user_id" => request.user = Some(text(raw, "user_id")?),
                        _ => losses.add(format!("metadata.{name}")),
                    }
                }
            }
            "service_tier" => {
                request.service_tier = Some(match text(raw, "service_tier")?.as_ref() {
                    "standard_only" => ServiceTier::Standard,
                    _ => ServiceTier::Auto,
                });
            }
            "cache_control" => request.cache = Some(raw.get().into()),
            _ => losses.add(name.to_owned()),
        }
    }
    Ok(request)
}

fn message<'a>(
    role: Role,
    content: Raw<'a>,
    losses: &mut Losses,
) -> Result<Message<'a>, DialectError> {
    let mut parts = Vec::new();
    blocks::read(content, &mut parts, losses)?;
    Ok(Message { role, parts })
}

fn messages<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for item in list(raw, "messages")? {
        let object = Object::of(item, "messages")?;
        let role = match object.text("role").as_deref() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            _ => return Err(DialectError::wrong_type("role", "user or assistant")),
        };
        let content = object
            .get("content")
            .ok_or(DialectError::Missing { field: "content" })?;
        let message = message(role, content, losses)?;
        for (name, _) in object.iter() {
            if !matches!(name, "role" | "content") {
                losses.add(format!("messages.{name}"));
            }
        }
        request.messages.push(message);
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
        match object.text("type") {
            Some(kind) if kind != "custom" => {
                losses.add(format!("tools.{kind}"));
                continue;
            }
            _ => {}
        }
        let name = object
            .text("name")
            .ok_or(DialectError::Missing { field: "name" })?;
        let mut tool = Tool {
            name,
            description: None,
            schema: None,
            strict: None,
            cache: None,
        };
        for (name, raw) in object.iter() {
            match name {
                "type" | "name" => {}
                "description" => tool.description = Some(text(raw, "description")?),
                "input_schema" => tool.schema = Some(raw.get().into()),
                "strict" => tool.strict = Some(boolean(raw, "strict")?),
                "cache_control" => tool.cache = Some(raw.get().into()),
                _ => losses.add(format!("tools.{name}")),
            }
        }
        request.tools.push(tool);
    }
    Ok(())
}

fn tool_choice<'a>(raw: Raw<'a>, request: &mut Request<'a>) -> Result<(), DialectError> {
    let object = Object::of(raw, "tool_choice")?;
    let wrong = DialectError::wrong_type("tool_choice", "of type auto, any, tool or none");
    request.tool_choice = Some(match object.text("type").as_deref() {
        Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Required,
        Some("none") => ToolChoice::None,
        Some("tool") => ToolChoice::Tool(object.text("name").ok_or(wrong)?),
        _ => return Err(wrong),
    });
    if let Some(raw) = object.get("disable_parallel_tool_use") {
        request.parallel_tool_calls = Some(!boolean(raw, "disable_parallel_tool_use")?);
    }
    Ok(())
}

fn thinking<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let object = Object::of(raw, "thinking")?;
    if object.get("display").is_some() {
        losses.add("thinking.display");
    }
    match object.text("type").as_deref() {
        Some("disabled") => request.reasoning = Some(Reasoning::Off),
        Some("adaptive") => {
            // An effort beside it may have been read already.
            request.reasoning.get_or_insert(Reasoning::Adaptive(None));
        }
        Some("enabled") => {
            let budget = object.get("budget_tokens");
            let budget = budget.ok_or(DialectError::Missing {
                field: "budget_tokens",
            })?;
            request.reasoning = Some(Reasoning::Budget(unsigned(budget, "budget_tokens")?));
        }
        _ => losses.add("thinking.type"),
    }
    Ok(())
}

fn output_config<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for (name, raw) in Object::of(raw, "output_config")?.iter() {
        match name {
            "format" => request.format = format(raw)?,
            "effort" => {
                let effort = Effort::from_name(&text(raw, "effort")?);
                if effort.is_none() {
                    losses.add("output_config.effort");
                }
                // A budget of tokens says more than a level.
                if !matches!(
                    request.reasoning,
                    Some(Reasoning::Budget(_) | Reasoning::Off)
                ) {
                    request.reasoning = Some(Reasoning::Adaptive(effort));
                }
            }
            _ => losses.add(format!("output_config.{name}")),
        }
    }
    Ok(())
}

fn format<'a>(raw: Raw<'a>) -> Result<Option<Format<'a>>, DialectError> {
    let object = Object::of(raw, "output_config.format")?;
    let wrong = DialectError::wrong_type("output_config.format", "of type json_schema");
    match (object.text("type").as_deref(), object.get("schema")) {
        (Some("json_schema"), Some(schema)) => Ok(Some(Format::JsonSchema {
            name: None,
            description: None,
            schema: schema.get().into(),
            strict: None,
        })),
        _ => Err(wrong),
    }
}
