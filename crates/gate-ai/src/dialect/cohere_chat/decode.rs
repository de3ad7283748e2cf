//! Cohere's requests into the neutral form.

use super::parts;
use crate::conversation::{
    Content, Format, Message, Part, Reasoning, Request, Role, Tool, ToolChoice,
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
    for item in list(required("messages")?, "messages")? {
        let message = message(&Object::of(item, "messages")?, losses)?;
        request.messages.push(message);
    }
    for (name, raw) in object.iter() {
        match name {
            "model" | "messages" | "strict_tools" => {}
            "tools" => {
                let strict = object.get("strict_tools");
                let strict = strict.map(|raw| boolean(raw, "strict_tools")).transpose()?;
                tools(raw, strict.filter(|strict| *strict), &mut request, losses)?;
            }
            "tool_choice" => request.tool_choice = Some(tool_choice(raw)?),
            "documents" => documents(raw, &mut request)?,
            "response_format" => request.format = format(raw, losses)?,
            "thinking" => request.reasoning = Some(thinking(raw)?),
            "max_tokens" => request.max_tokens = Some(unsigned(raw, "max_tokens")?),
            "temperature" => request.temperature = Some(number(raw, "temperature")?),
            "p" => request.top_p = Some(number(raw, "p")?),
            "k" => request.top_k = Some(number(raw, "k")?),
            "seed" => request.seed = Some(raw.get().into()),
            "frequency_penalty" => {
                request.frequency_penalty = Some(number(raw, "frequency_penalty")?);
            }
            "presence_penalty" => {
                request.presence_penalty = Some(number(raw, "presence_penalty")?);
            }
            "stop_sequences" => request.stop = texts(raw, "stop_sequences")?,
            "logprobs" => request.logprobs = boolean(raw, "logprobs")?.then_some(0),
            "stream" => request.stream = boolean(raw, "stream")?,
            _ => losses.add(name.to_owned()),
        }
    }
    Ok(request)
}

fn message<'a>(object: &Object<'a>, losses: &mut Losses) -> Result<Message<'a>, DialectError> {
    let role = match object.text("role").as_deref() {
        Some("user") => Role::User,
        Some("system") => Role::System,
        Some("assistant") => {
            return Ok(Message {
                role: Role::Assistant,
                parts: parts::assistant(object, losses)?,
            });
        }
        Some("tool") => return tool_result(object, losses),
        _ => {
            return Err(DialectError::wrong_type(
                "role",
                "system, user, assistant or tool",
            ));
        }
    };
    let mut message = Message {
        role,
        parts: Vec::new(),
    };
    for (name, raw) in object.iter() {
        match name {
            "role" => {}
            "content" => parts::read(raw, &mut message.parts, losses)?,
            _ => losses.add(format!("messages.{name}")),
        }
    }
    Ok(message)
}

fn tool_result<'a>(object: &Object<'a>, losses: &mut Losses) -> Result<Message<'a>, DialectError> {
    let (mut id, mut parts) = (None, Vec::new());
    for (name, raw) in object.iter() {
        match name {
            "role" => {}
            "tool_call_id" => id = Some(text(raw, "tool_call_id")?),
            "content" => parts::read(raw, &mut parts, losses)?,
            _ => losses.add(format!("messages.{name}")),
        }
    }
    let id = id.ok_or(DialectError::Missing {
        field: "tool_call_id",
    })?;
    let result = Content::ToolResult {
        id,
        parts,
        is_error: false,
    };
    Ok(Message {
        role: Role::User,
        parts: vec![result.into()],
    })
}

fn tools<'a>(
    raw: Raw<'a>,
    strict: Option<bool>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for item in list(raw, "tools")? {
        let object = Object::of(item, "tools")?;
        let function = object
            .get("function")
            .ok_or(DialectError::Missing { field: "function" })?;
        let function = Object::of(function, "function")?;
        for (name, _) in function.iter() {
            if !matches!(name, "name" | "description" | "parameters") {
                losses.add(format!("tools.function.{name}"));
            }
        }
        request.tools.push(Tool {
            name: function
                .text("name")
                .ok_or(DialectError::Missing { field: "name" })?,
            description: function.text("description"),
            schema: function.get("parameters").map(|raw| raw.get().into()),
            strict,
            cache: None,
        });
    }
    Ok(())
}

fn tool_choice(raw: Raw<'_>) -> Result<ToolChoice<'_>, DialectError> {
    match text(raw, "tool_choice")?.as_ref() {
        "REQUIRED" => Ok(ToolChoice::Required),
        "NONE" => Ok(ToolChoice::None),
        _ => Err(DialectError::wrong_type("tool_choice", "REQUIRED or NONE")),
    }
}

/// What the answer is to rest on belongs to what the user last asked.
fn documents<'a>(raw: Raw<'a>, request: &mut Request<'a>) -> Result<(), DialectError> {
    let mut found: Vec<Part<'a>> = Vec::new();
    for item in list(raw, "documents")? {
        found.push(parts::document(item)?.into());
    }
    let is_asked = |message: &&mut Message<'a>| {
        let answers = |part: &Part<'_>| matches!(part.content, Content::ToolResult { .. });
        message.role == Role::User && !message.parts.iter().any(answers)
    };
    match request.messages.iter_mut().rev().find(is_asked) {
        Some(message) => {
            found.append(&mut message.parts);
            message.parts = found;
        }
        None => request.messages.push(Message {
            role: Role::User,
            parts: found,
        }),
    }
    Ok(())
}

fn format<'a>(raw: Raw<'a>, losses: &mut Losses) -> Result<Option<Format<'a>>, DialectError> {
    let object = Object::of(raw, "response_format")?;
    let schema = object.get("json_schema").or_else(|| object.get("schema"));
    for (name, _) in object.iter() {
        if !matches!(name, "type" | "json_schema" | "schema") {
            losses.add(format!("response_format.{name}"));
        }
    }
    Ok(match object.text("type").as_deref() {
        Some("json_object") => Some(match schema {
            Some(schema) => Format::JsonSchema {
                name: None,
                description: None,
                schema: schema.get().into(),
                strict: None,
            },
            None => Format::JsonObject,
        }),
        _ => None,
    })
}

fn thinking(raw: Raw<'_>) -> Result<Reasoning, DialectError> {
    let object = Object::of(raw, "thinking")?;
    if object.text("type").as_deref() == Some("disabled") {
        return Ok(Reasoning::Off);
    }
    Ok(match object.get("token_budget") {
        Some(raw) => Reasoning::Budget(unsigned(raw, "token_budget")?),
        None => Reasoning::Adaptive(None),
    })
}
