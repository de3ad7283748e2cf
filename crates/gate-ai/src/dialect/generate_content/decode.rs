//! generateContent requests into the neutral form.

use super::calls::CallIds;
use super::parts::{self, items};
use super::{settings, tools};
use crate::conversation::{Message, Part, Request, Role, ServiceTier, Text};
use crate::json::object::{Object, Raw, text};
use crate::{DialectError, Losses};

pub(super) fn request<'a>(
    body: &'a [u8],
    losses: &mut Losses,
) -> Result<Request<'a>, DialectError> {
    let object = Object::parse(body)?.camel()?;
    let mut request = Request::default();
    if let Some(raw) = object.get("systemInstruction") {
        let parts = turn(&Object::of(raw, "systemInstruction")?, losses)?;
        request.messages.push(Message {
            role: Role::System,
            parts,
        });
    }
    let contents = object
        .get("contents")
        .ok_or(DialectError::Missing { field: "contents" })?;
    messages(contents, &mut request, losses)?;
    for (name, raw) in object.iter() {
        match name {
            // The path names the model; here it only repeats it.
            "contents" | "systemInstruction" | "model" => {}
            "tools" => tools::read(raw, &mut request, losses)?,
            "toolConfig" => tools::read_config(raw, &mut request, losses)?,
            "generationConfig" => settings::read(raw, &mut request, losses)?,
            "serviceTier" => match text(raw, "serviceTier")?.to_ascii_lowercase().as_str() {
                "standard" => request.service_tier = Some(ServiceTier::Standard),
                "flex" => request.service_tier = Some(ServiceTier::Flex),
                "priority" => request.service_tier = Some(ServiceTier::Priority),
                _ => losses.add("serviceTier"),
            },
            _ => losses.add(name.to_owned()),
        }
    }
    Ok(request)
}

/// The parts of an instruction, which calls nothing.
fn turn<'a>(object: &Object<'a>, losses: &mut Losses) -> Result<Vec<Part<'a>>, DialectError> {
    let mut found = Vec::new();
    if let Some(raw) = object.get("parts") {
        parts::read(raw, &mut CallIds::of_request(), &mut found, losses)?;
    }
    Ok(found)
}

fn messages<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let mut ids = CallIds::of_request();
    for item in items(raw, "contents")? {
        let object = Object::of(item, "contents")?.camel()?;
        let mut message = Message {
            role: Role::User,
            parts: Vec::new(),
        };
        for (name, raw) in object.iter() {
            match name {
                "role" => message.role = role(&text(raw, "role")?)?,
                "parts" => parts::read(raw, &mut ids, &mut message.parts, losses)?,
                _ => losses.add(format!("contents.{name}")),
            }
        }
        request.messages.push(message);
    }
    Ok(())
}

fn role(name: &Text<'_>) -> Result<Role, DialectError> {
    match name.as_ref() {
        // The older API had a role of its own for results of functions.
        "user" | "function" | "" => Ok(Role::User),
        "model" => Ok(Role::Assistant),
        _ => Err(DialectError::wrong_type("role", "user or model")),
    }
}
