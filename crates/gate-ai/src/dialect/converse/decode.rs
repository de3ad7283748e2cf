//! Converse requests into the neutral form. The model and the wish for a stream are in the path.

use super::{blocks, fields};
use crate::conversation::{
    Effort, Format, Message, Part, Reasoning, Request, Role, ServiceTier, Tool, ToolChoice,
};
use crate::json::object::{Object, Raw, boolean, list, number, text, texts, unsigned};
use crate::{DialectError, Losses};
use serde_json::value::RawValue;
use std::borrow::Cow;

pub(super) fn request<'a>(
    body: &'a [u8],
    losses: &mut Losses,
) -> Result<Request<'a>, DialectError> {
    let object = Object::parse(body)?;
    let mut request = Request::default();
    if let Some(raw) = object.get("system") {
        request.messages.extend(message(Role::System, raw, losses)?);
    }
    let turns = object.get("messages").map(|raw| list(raw, "messages"));
    for item in turns.transpose()?.unwrap_or_default() {
        turn(item, &mut request, losses)?;
    }
    for (name, raw) in object.iter() {
        match name {
            "system" | "messages" => {}
            "inferenceConfig" => inference(raw, &mut request, losses)?,
            "toolConfig" => tools(raw, &mut request, losses)?,
            "outputConfig" => output(raw, &mut request, losses)?,
            "additionalModelRequestFields" => fields::read(raw, &mut request, losses)?,
            "serviceTier" => match Object::of(raw, "serviceTier")?.text("type").as_deref() {
                Some("default") => request.service_tier = Some(ServiceTier::Standard),
                Some("flex") => request.service_tier = Some(ServiceTier::Flex),
                Some("priority") => request.service_tier = Some(ServiceTier::Priority),
                _ => losses.add("serviceTier"),
            },
            // Labels of the call in the vendor's own logs; checked, because they are written as
            // they are.
            "requestMetadata" => {
                for (_, raw) in Object::of(raw, "requestMetadata")?.iter() {
                    text(raw, "requestMetadata")?;
                }
                request.metadata = Some(raw.get().into());
            }
            _ => losses.add(name.to_owned()),
        }
    }
    Ok(request)
}

fn message<'a>(
    role: Role,
    content: Raw<'a>,
    losses: &mut Losses,
) -> Result<Option<Message<'a>>, DialectError> {
    let mut parts = Vec::new();
    blocks::read(content, &mut parts, losses)?;
    Ok((!parts.is_empty()).then_some(Message { role, parts }))
}

fn turn<'a>(
    item: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
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
    request.messages.extend(message(role, content, losses)?);
    for (name, _) in object.iter() {
        if !matches!(name, "role" | "content") {
            losses.add(format!("messages.{name}"));
        }
    }
    Ok(())
}

fn inference(
    raw: Raw<'_>,
    request: &mut Request<'_>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for (name, raw) in Object::of(raw, "inferenceConfig")?.iter() {
        match name {
            "maxTokens" => request.max_tokens = Some(unsigned(raw, "maxTokens")?),
            "temperature" => request.temperature = Some(number(raw, "temperature")?),
            "topP" => request.top_p = Some(number(raw, "topP")?),
            "stopSequences" => {
                let stops = texts(raw, "stopSequences")?;
                request.stop = stops
                    .into_iter()
                    .map(|stop| Cow::Owned(stop.into_owned()))
                    .collect();
            }
            _ => losses.add(format!("inferenceConfig.{name}")),
        }
    }
    Ok(())
}

fn tools<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let config = Object::of(raw, "toolConfig")?;
    let listed = config.get("tools").map(|raw| list(raw, "tools"));
    for item in listed.transpose()?.unwrap_or_default() {
        for (kind, value) in Object::of(item, "tools")?.iter() {
            match (kind, request.tools.last_mut()) {
                ("toolSpec", _) => request.tools.push(tool(value, losses)?),
                ("cachePoint", Some(tool)) => tool.cache = Some(blocks::cache_mark(value)?),
                _ => losses.add(format!("tools.{kind}")),
            }
        }
    }
    if let Some(raw) = config.get("toolChoice") {
        let choice = Object::of(raw, "toolChoice")?;
        let named = choice
            .get("tool")
            .and_then(|raw| Object::of(raw, "tool").ok());
        request.tool_choice = match named.and_then(|tool| tool.text("name")) {
            Some(name) => Some(ToolChoice::Tool(name)),
            None if choice.get("any").is_some() => Some(ToolChoice::Required),
            None if choice.get("auto").is_some() => Some(ToolChoice::Auto),
            None => {
                let expected = "an object with auto, any or tool";
                return Err(DialectError::wrong_type("toolChoice", expected));
            }
        };
    }
    Ok(())
}

fn tool<'a>(raw: Raw<'a>, losses: &mut Losses) -> Result<Tool<'a>, DialectError> {
    let object = Object::of(raw, "toolSpec")?;
    let mut tool = Tool {
        name: object
            .text("name")
            .ok_or(DialectError::Missing { field: "name" })?,
        description: None,
        schema: None,
        strict: None,
        cache: None,
    };
    for (name, raw) in object.iter() {
        match name {
            "name" => {}
            "description" => tool.description = Some(text(raw, "description")?),
            "inputSchema" => {
                let schema = Object::of(raw, "inputSchema")?.get("json");
                tool.schema = schema.map(|raw| raw.get().into());
            }
            "strict" => tool.strict = Some(boolean(raw, "strict")?),
            _ => losses.add(format!("toolSpec.{name}")),
        }
    }
    Ok(tool)
}

fn output<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for (name, raw) in Object::of(raw, "outputConfig")?.iter() {
        match name {
            "textFormat" => request.format = Some(format(raw)?),
            "effort" => {
                let effort = Effort::from_name(&text(raw, "effort")?);
                if effort.is_none() {
                    losses.add("outputConfig.effort");
                }
                request.reasoning.get_or_insert(Reasoning::Adaptive(effort));
            }
            _ => losses.add(format!("outputConfig.{name}")),
        }
    }
    Ok(())
}

fn format<'a>(raw: Raw<'a>) -> Result<Format<'a>, DialectError> {
    let wrong = || DialectError::wrong_type("outputConfig.textFormat", "a JSON schema");
    let within = |object: &Object<'a>, field| Object::of(object.get(field)?, field).ok();
    let format = Object::of(raw, "textFormat")?;
    let schema = within(&format, "structure")
        .and_then(|structure| within(&structure, "jsonSchema"))
        .ok_or_else(wrong)?;
    let text = schema.text("schema").ok_or_else(wrong)?;
    // It becomes a value elsewhere, so that it has to be one.
    serde_json::from_str::<&RawValue>(&text).map_err(|_| wrong())?;
    Ok(Format::JsonSchema {
        name: schema.text("name"),
        description: schema.text("description"),
        schema: text,
        strict: Some(true),
    })
}

/// Whether a part holds anything of a tool, which Bedrock takes only beside a list of tools.
pub(super) fn is_of_tool(part: &Part<'_>) -> bool {
    use crate::conversation::Content::{ToolCall, ToolResult};
    matches!(part.content, ToolCall { .. } | ToolResult { .. })
}
