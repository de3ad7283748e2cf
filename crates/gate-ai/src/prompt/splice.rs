//! Messages in front of a request's own, in the words of its dialect.
//!
//! A request is taken apart into its members and put together again: those that nothing is done to
//! keep their bytes, and their order.

use crate::json::object::Object;
use crate::json::write::Writer;
use crate::{Dialect, DialectError};
use gate_model::resources::{PromptParameters, PromptRole};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What a request's own `prompt` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The prompt's name.
    pub id: Option<String>,
    /// Its version: a number or a label.
    pub version: Option<String>,
    /// Values of variables, as texts.
    pub variables: Vec<(String, String)>,
}

/// What is put into a request.
#[derive(Debug, Clone, Default)]
pub struct PutIn<'p> {
    /// Messages in front of its own.
    pub messages: Vec<(PromptRole, String)>,
    /// The model, in dialects that name it in the body.
    pub model: Option<&'p str>,
    /// Settings that it says nothing of.
    pub parameters: PromptParameters,
}

/// What a request says of prompts: the member `prompt`, where it is an object.
///
/// # Errors
/// [`DialectError`] when the request is no JSON object, or `prompt` is not as it should be.
pub fn asked(body: &[u8]) -> Result<Option<Asked>, DialectError> {
    let object = Object::parse(body)?;
    let Some(raw) = object
        .get("prompt")
        .filter(|raw| raw.get().starts_with('{'))
    else {
        return Ok(None);
    };
    let mut asked = Asked::default();
    for (name, raw) in Object::of(raw, "prompt")?.iter() {
        match name {
            "id" => asked.id = Some(scalar(raw)?),
            "version" => asked.version = Some(scalar(raw)?),
            "variables" => {
                for (name, raw) in Object::of(raw, "prompt.variables")?.iter() {
                    asked.variables.push((name.to_owned(), value(raw)?));
                }
            }
            _ => {
                return Err(DialectError::Structure {
                    reason: "`prompt` has `id`, `version` and `variables`".to_owned(),
                });
            }
        }
    }
    Ok(Some(asked))
}

/// A string, a number or a flag, as text.
fn scalar(raw: &RawValue) -> Result<String, DialectError> {
    match raw.get().as_bytes().first() {
        Some(b'"') => Ok(crate::json::object::text(raw, "prompt")?.into_owned()),
        Some(b'0'..=b'9' | b'-' | b't' | b'f') => Ok(raw.get().to_owned()),
        _ => Err(DialectError::wrong_type(
            "prompt",
            "made of texts, numbers and flags",
        )),
    }
}

/// The value of a variable; OpenAI also has texts as content parts.
fn value(raw: &RawValue) -> Result<String, DialectError> {
    if !raw.get().starts_with('{') {
        return scalar(raw);
    }
    let part = Object::of(raw, "prompt.variables")?;
    match part.text("type").as_deref() {
        Some("input_text") => Ok(part.text("text").unwrap_or_default().into_owned()),
        _ => Err(DialectError::wrong_type(
            "prompt.variables",
            "made of texts, numbers and flags",
        )),
    }
}

/// The members of a request.
struct Members<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Members<'a> {
    fn of(body: &'a [u8]) -> Result<Self, DialectError> {
        let members = Object::parse(body)?.into_members();
        let kept = |(name, raw): (Cow<'a, str>, &'a RawValue)| (name, Cow::Borrowed(raw.get()));
        Ok(Self(members.into_iter().map(kept).collect()))
    }

    /// A member's raw value, absent when it is null.
    fn get(&self, names: &[&str]) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| names.contains(&&**name));
        found.map(|(_, raw)| &**raw).filter(|raw| *raw != "null")
    }

    /// Sets the first of these that is there; adds it under the first name otherwise.
    fn set(&mut self, names: &[&'static str], raw: String) {
        let known = self.0.iter_mut().find(|(name, _)| names.contains(&&**name));
        match known {
            Some((_, value)) => *value = raw.into(),
            None => self.0.push((names[0].into(), raw.into())),
        }
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }

    fn write(&self) -> Vec<u8> {
        let length: usize = self.0.iter().map(|(n, raw)| n.len() + raw.len() + 8).sum();
        let mut out = Vec::with_capacity(length + 2);
        let mut w = Writer::new(&mut out);
        w.open();
        for (name, raw) in &self.0 {
            w.named(name).raw(raw);
        }
        w.close();
        out
    }
}

/// A JSON value written by `write`.
fn json(write: impl FnOnce(&mut Writer<'_>)) -> String {
    let mut out = Vec::new();
    write(&mut Writer::new(&mut out));
    String::from_utf8(out).expect("JSON of texts is text")
}

/// The request with messages in front of its own, without its member `prompt` where that is an
/// object.
///
/// # Errors
/// [`DialectError`] when the request is not of the dialect where something is put in.
pub fn put_in(dialect: Dialect, body: &[u8], what: &PutIn<'_>) -> Result<Vec<u8>, DialectError> {
    let mut members = Members::of(body)?;
    if members
        .get(&["prompt"])
        .is_some_and(|raw| raw.starts_with('{'))
    {
        members.remove("prompt");
    }
    let (system, turns): (Vec<_>, Vec<_>) = what
        .messages
        .iter()
        .partition(|(role, _)| *role == PromptRole::System);
    let system: Vec<&str> = system.iter().map(|(_, text)| text.as_str()).collect();
    match dialect {
        Dialect::ChatCompletions | Dialect::CohereChat => {
            let all: Vec<String> = what.messages.iter().map(openai_message).collect();
            let raw = members.get(&["messages"]);
            let raw = in_front(&all, raw, "messages")?;
            members.set(&["messages"], raw);
        }
        Dialect::Responses => {
            let mut all: Vec<String> = what.messages.iter().map(openai_message).collect();
            let raw = match members.get(&["input"]) {
                Some(text) if text.starts_with('"') => {
                    all.push(format!("{{\"role\":\"user\",\"content\":{text}}}"));
                    None
                }
                raw => raw,
            };
            let raw = in_front(&all, raw, "input")?;
            members.set(&["input"], raw);
        }
        Dialect::Messages => {
            if !system.is_empty() {
                let raw = anthropic_system(&system, members.get(&["system"]))?;
                members.set(&["system"], raw);
            }
            let all: Vec<String> = turns.iter().map(|turn| openai_message(turn)).collect();
            let raw = in_front(&all, members.get(&["messages"]), "messages")?;
            members.set(&["messages"], raw);
        }
        Dialect::Converse => {
            let texts: Vec<String> = system.iter().map(|text| text_part(text)).collect();
            if !texts.is_empty() {
                let raw = in_front(&texts, members.get(&["system"]), "system")?;
                members.set(&["system"], raw);
            }
            let all: Vec<String> = turns.iter().map(|turn| converse_message(turn)).collect();
            let raw = in_front(&all, members.get(&["messages"]), "messages")?;
            members.set(&["messages"], raw);
        }
        Dialect::GenerateContent => google(&mut members, &system, &turns)?,
    }
    settings(dialect, &mut members, &what.parameters)?;
    if let Some(model) = what.model.filter(|_| !dialect.in_path()) {
        members.set(&["model"], json(|w| _ = w.text(model)));
    }
    Ok(members.write())
}

/// A list with these items in front.
fn in_front(
    items: &[String],
    list: Option<&str>,
    field: &'static str,
) -> Result<String, DialectError> {
    let list = list.unwrap_or("[]");
    let inner = list
        .strip_prefix('[')
        .and_then(|list| list.strip_suffix(']'))
        .ok_or(DialectError::wrong_type(field, "a list"))?;
    let mut out = format!("[{}", items.join(","));
    if !items.is_empty() && !inner.trim().is_empty() {
        out.push(',');
    }
    out.push_str(inner);
    out.push(']');
    Ok(out)
}

const fn role(role: PromptRole) -> &'static str {
    match role {
        PromptRole::System => "system",
        PromptRole::User => "user",
        PromptRole::Assistant => "assistant",
    }
}

fn openai_message((speaker, text): &(PromptRole, String)) -> String {
    json(|w| {
        w.open().member("role", role(*speaker));
        w.member("content", text).close();
    })
}

fn text_part(text: &str) -> String {
    json(|w| _ = w.open().member("text", text).close())
}

fn converse_message((speaker, text): &(PromptRole, String)) -> String {
    json(|w| {
        w.open().member("role", role(*speaker));
        w.key("content").open_list().raw(&text_part(text));
        w.close_list().close();
    })
}

fn anthropic_system(texts: &[&str], own: Option<&str>) -> Result<String, DialectError> {
    let text = texts.join("\n\n");
    Ok(match own {
        None => json(|w| _ = w.text(&text)),
        Some(own) if own.starts_with('"') => {
            let own: String = serde_json::from_str(own)
                .map_err(|_| DialectError::wrong_type("system", "a text or a list"))?;
            json(|w| _ = w.text(&format!("{text}\n\n{own}")))
        }
        Some(own) => {
            let part = json(|w| {
                w.open().member("type", "text");
                w.member("text", &text).close();
            });
            in_front(&[part], Some(own), "system")?
        }
    })
}

fn google(
    members: &mut Members<'_>,
    system: &[&str],
    turns: &[&(PromptRole, String)],
) -> Result<(), DialectError> {
    const SYSTEM: [&str; 2] = ["systemInstruction", "system_instruction"];
    let texts: Vec<String> = system.iter().map(|text| text_part(text)).collect();
    if !texts.is_empty() {
        let mut own = match members.get(&SYSTEM) {
            Some(raw) => Members::of(raw.as_bytes())?.owned(),
            None => Members(Vec::new()),
        };
        let raw = in_front(&texts, listed(own.get(&["parts"])).as_deref(), "parts")?;
        own.set(&["parts"], raw);
        let raw = String::from_utf8(own.write()).expect("JSON of texts is text");
        members.set(&SYSTEM, raw);
    }
    let turn = |(speaker, text): &&(PromptRole, String)| {
        let speaker = match speaker {
            PromptRole::Assistant => "model",
            _ => "user",
        };
        json(|w| {
            w.open().member("role", speaker);
            w.key("parts").open_list().raw(&text_part(text));
            w.close_list().close();
        })
    };
    let all: Vec<String> = turns.iter().map(turn).collect();
    let own = listed(members.get(&["contents"]));
    let raw = in_front(&all, own.as_deref(), "contents")?;
    members.set(&["contents"], raw);
    Ok(())
}

/// Google's servers take one element for a list of one.
fn listed(raw: Option<&str>) -> Option<Cow<'_, str>> {
    let raw = raw?;
    Some(match raw.starts_with('{') {
        true => format!("[{raw}]").into(),
        false => raw.into(),
    })
}

impl Members<'_> {
    fn owned(self) -> Members<'static> {
        let own = |(name, raw): (Cow<'_, str>, Cow<'_, str>)| {
            (name.into_owned().into(), raw.into_owned().into())
        };
        Members(self.0.into_iter().map(own).collect())
    }

    /// Adds a member where none of these is there.
    fn unless(&mut self, names: &[&'static str], raw: Option<String>) {
        if let Some(raw) = raw.filter(|_| self.get(names).is_none()) {
            self.set(names, raw);
        }
    }
}

fn settings(
    dialect: Dialect,
    members: &mut Members<'_>,
    wanted: &PromptParameters,
) -> Result<(), DialectError> {
    let number = |value: Option<f64>| value.map(|value| json(|w| _ = w.number(value)));
    let (temperature, top_p) = (number(wanted.temperature), number(wanted.top_p));
    let most = wanted.max_tokens.map(|most| most.to_string());
    if temperature.is_none() && top_p.is_none() && most.is_none() {
        return Ok(());
    }
    let nested: Option<(&[&'static str], &[&'static str], &[&'static str])> = match dialect {
        Dialect::GenerateContent => Some((
            &["generationConfig", "generation_config"],
            &["topP", "top_p"],
            &["maxOutputTokens", "max_output_tokens"],
        )),
        Dialect::Converse => Some((&["inferenceConfig"], &["topP"], &["maxTokens"])),
        _ => None,
    };
    if let Some((place, top_p_names, most_names)) = nested {
        let mut inner = match members.get(place) {
            Some(raw) => Members::of(raw.as_bytes())?.owned(),
            None => Members(Vec::new()),
        };
        inner.unless(&["temperature"], temperature);
        inner.unless(top_p_names, top_p);
        inner.unless(most_names, most);
        let raw = String::from_utf8(inner.write()).expect("JSON of texts is text");
        members.set(place, raw);
        return Ok(());
    }
    members.unless(&["temperature"], temperature);
    let name = match dialect {
        Dialect::CohereChat => "p",
        _ => "top_p",
    };
    members.unless(&[name], top_p);
    let names: &[&'static str] = match dialect {
        Dialect::Responses => &["max_output_tokens"],
        Dialect::ChatCompletions => &["max_completion_tokens", "max_tokens"],
        _ => &["max_tokens"],
    };
    members.unless(names, most);
    Ok(())
}

#[cfg(test)]
mod tests;
