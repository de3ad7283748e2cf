//! Tools and the choice among them.
//!
//! Reference: <https://ai.google.dev/api/caching#Tool>. Only functions of the caller have a neutral
//! place; what Google runs itself is a loss under the name of its member.

use super::parts::items;
use super::schema::json_schema;
use crate::conversation::{Request, Tool, ToolChoice};
use crate::json::object::{Object, Raw, text, texts};
use crate::json::write::Writer;
use crate::{DialectError, Losses};

pub(super) fn read<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for item in items(raw, "tools")? {
        for (name, raw) in Object::of(item, "tools")?.camel()?.iter() {
            if name != "functionDeclarations" {
                losses.add(format!("tools.{name}"));
                continue;
            }
            for declaration in items(raw, "functionDeclarations")? {
                let object = Object::of(declaration, "functionDeclarations")?.camel()?;
                request.tools.push(tool(&object, losses)?);
            }
        }
    }
    Ok(())
}

fn tool<'a>(object: &Object<'a>, losses: &mut Losses) -> Result<Tool<'a>, DialectError> {
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
            "parametersJsonSchema" => tool.schema = Some(raw.get().into()),
            "parameters" if object.get("parametersJsonSchema").is_some() => {}
            "parameters" => tool.schema = Some(json_schema(raw, "parameters")?.into()),
            _ => losses.add(format!("tools.functionDeclarations.{name}")),
        }
    }
    Ok(tool)
}

pub(super) fn read_config<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for (name, raw) in Object::of(raw, "toolConfig")?.camel()?.iter() {
        match name {
            "functionCallingConfig" => calling(raw, request, losses)?,
            _ => losses.add(format!("toolConfig.{name}")),
        }
    }
    Ok(())
}

fn calling<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let config = Object::of(raw, "functionCallingConfig")?.camel()?;
    let mut allowed = match config.get("allowedFunctionNames") {
        Some(raw) => texts(raw, "allowedFunctionNames")?,
        None => Vec::new(),
    };
    let mode = config.text("mode").unwrap_or_default().to_ascii_uppercase();
    request.tool_choice = match mode.as_str() {
        "" | "MODE_UNSPECIFIED" => None,
        "AUTO" => Some(ToolChoice::Auto),
        "VALIDATED" => {
            losses.add("toolConfig.functionCallingConfig.mode.VALIDATED");
            Some(ToolChoice::Auto)
        }
        "NONE" => Some(ToolChoice::None),
        "ANY" if allowed.len() == 1 => Some(ToolChoice::Tool(allowed.remove(0))),
        "ANY" => Some(ToolChoice::Required),
        _ => {
            return Err(DialectError::wrong_type(
                "mode",
                "AUTO, ANY, NONE or VALIDATED",
            ));
        }
    };
    let required = match &request.tool_choice {
        Some(ToolChoice::Required) => Some(true),
        Some(ToolChoice::Auto) => Some(false),
        _ => None,
    };
    if let (Some(required), false) = (required, allowed.is_empty()) {
        let names = allowed;
        request.tool_choice = Some(ToolChoice::Allowed { names, required });
    }
    for (name, _) in config.iter() {
        if !matches!(name, "mode" | "allowedFunctionNames") {
            losses.add(format!("toolConfig.functionCallingConfig.{name}"));
        }
    }
    Ok(())
}

/// Writes `tools` and `toolConfig`.
pub(super) fn write(w: &mut Writer<'_>, request: &Request<'_>, losses: &mut Losses) {
    if request.tools.is_empty() {
        return;
    }
    w.key("tools").open_list().open();
    w.key("functionDeclarations").open_list();
    for tool in &request.tools {
        w.open().member("name", &tool.name);
        w.member_if("description", tool.description.as_deref());
        if let Some(schema) = &tool.schema {
            w.key("parametersJsonSchema").raw(schema);
        }
        w.close();
        if tool.cache.is_some() {
            losses.add("cache_control");
        }
    }
    w.close_list().close().close_list();
    if request.parallel_tool_calls == Some(false) {
        losses.add("parallel_tool_calls");
    }
    let strict = request.tools.iter().any(|tool| tool.strict == Some(true));
    let (mode, only) = match &request.tool_choice {
        None if !strict => return,
        // Arguments follow the schema in this mode, as they do where a call is required.
        None | Some(ToolChoice::Auto) if strict => ("VALIDATED", &[][..]),
        None | Some(ToolChoice::Auto) => ("AUTO", &[][..]),
        Some(ToolChoice::None) => ("NONE", &[][..]),
        Some(ToolChoice::Required) => ("ANY", &[][..]),
        Some(ToolChoice::Tool(name)) => ("ANY", std::slice::from_ref(name)),
        Some(ToolChoice::Allowed { names, required }) => (
            if *required { "ANY" } else { "VALIDATED" },
            names.as_slice(),
        ),
    };
    w.key("toolConfig").open();
    w.key("functionCallingConfig").open().member("mode", mode);
    if !only.is_empty() {
        w.key("allowedFunctionNames").open_list();
        for name in only {
            w.text(name);
        }
        w.close_list();
    }
    w.close().close();
}
