//! Which version of a prompt a route puts in, before and after.

use super::changes::Changes;
use super::lane::text;
use crate::record::recent::line::Line;
use gate_model::resources::Resources;
use serde_json::Value;

/// What a route's policy `prompt` puts in.
#[derive(Debug, PartialEq)]
enum Choice {
    /// There is no such policy.
    None,
    /// This version of this prompt, with its content.
    Pinned(String, u32, String),
    /// What callers ask for among these.
    Asked(Vec<String>),
}

/// The prompts of two routes whose policies can be compared.
#[derive(Debug)]
pub(super) struct Prompts {
    before: Choice,
    after: Choice,
    /// Settings besides the version are the same.
    same_settings: bool,
    /// Text of the policies, for names in them.
    names: Vec<String>,
}

/// What the prompt comes to for a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Prompted {
    /// The same.
    Same,
    /// Another version, or another text of the same version.
    Other(String, String),
    /// It depends on this.
    Unknown(String),
}

/// A side's resources, and the texts and kinds of its route's policies.
type OfRoute<'a> = (&'a Resources, &'a [(String, &'static str)]);

impl Prompts {
    /// The prompts of two routes; none where neither has one, where one has several, or where
    /// conditions differ.
    pub(super) fn of(before: OfRoute<'_>, after: OfRoute<'_>) -> Option<Self> {
        let (was, is) = (only(before.1)?, only(after.1)?);
        let when = |policy: &Value| policy.get("when").cloned();
        match (&was, &is) {
            (None, None) => return None,
            (Some(was), Some(is)) if when(was) != when(is) => return None,
            (Some(one), None) | (None, Some(one)) if when(one).is_some() => return None,
            _ => {}
        }
        let settings = |policy: &Option<Value>| {
            let mut settings = policy.as_ref()?.get("prompt")?.clone();
            for field in ["version", "label", "name"] {
                settings.as_object_mut()?.remove(field);
            }
            Some(settings)
        };
        let choices = (choice(before.0, &was)?, choice(after.0, &is)?);
        let mut names = Vec::new();
        for choice in [&choices.0, &choices.1] {
            match choice {
                Choice::None => {}
                Choice::Pinned(name, ..) => names.push(name.clone()),
                Choice::Asked(choose) => names.extend(choose.iter().cloned()),
            }
        }
        Some(Self {
            same_settings: settings(&was) == settings(&is) || was.is_none() || is.is_none(),
            before: choices.0,
            after: choices.1,
            names,
        })
    }

    /// Whether anything of them differs.
    pub(super) fn differ(&self, changes: &Changes) -> bool {
        !self.same_settings
            || self.before != self.after
            || self.names.iter().any(|name| changes.has("prompts", name))
    }

    /// What becomes of a row that passes on both sides.
    pub(super) fn judge(&self, line: &Line<'_>) -> Prompted {
        let shown = |name: &str, version: u32| format!("prompt {name} version {version}");
        let served = line.prompt.as_ref();
        let unknown = |why: &str| Prompted::Unknown(why.to_owned());
        match (&self.before, &self.after, served) {
            // Callers did without, and still may.
            (Choice::Asked(_), Choice::Asked(_) | Choice::None, None)
            | (Choice::None, Choice::Asked(_), None) => Prompted::Same,
            (_, Choice::Pinned(name, version, content), Some((was, number))) => {
                let (before, after) = (shown(was, *number), shown(name, *version));
                let same = match &self.before {
                    Choice::Pinned(_, _, known) => known == content,
                    _ => false,
                };
                match before == after {
                    false => Prompted::Other(before, after),
                    true if same && self.same_settings => Prompted::Same,
                    true if same => unknown("values of a prompt's variables"),
                    true => Prompted::Other(before, format!("{after}, another text")),
                }
            }
            (_, Choice::None, Some((was, number))) => {
                Prompted::Other(shown(was, *number), "no prompt".into())
            }
            (_, Choice::Asked(_), Some(_)) => unknown("which version of a prompt was asked for"),
            // No conversation, or one that was answered before it got there.
            (_, _, None) => unknown("whether a call is a conversation"),
        }
    }
}

/// The only policy `prompt` among these, as JSON; nothing where there are several.
fn only(texts: &[(String, &'static str)]) -> Option<Option<Value>> {
    let mut prompts = texts.iter().filter(|(_, kind)| *kind == "prompt");
    match (prompts.next(), prompts.next()) {
        (None, _) => Some(None),
        (Some((text, _)), None) => serde_json::from_str(text).ok().map(Some),
        _ => None,
    }
}

fn choice(resources: &Resources, policy: &Option<Value>) -> Option<Choice> {
    let Some(policy) = policy else {
        return Some(Choice::None);
    };
    let settings = policy.get("prompt")?;
    let Some(name) = settings.get("name").and_then(Value::as_str) else {
        let choose = settings.get("choose")?.as_array()?;
        let names = choose.iter().filter_map(Value::as_str).map(str::to_owned);
        return Some(Choice::Asked(names.collect()));
    };
    let prompt = resources.prompts.get(name)?;
    let number = match (settings.get("version"), settings.get("label")) {
        (Some(version), _) if !version.is_null() => u32::try_from(version.as_u64()?).ok()?,
        (_, Some(label)) if !label.is_null() => *prompt.labels.get(label.as_str()?)?,
        _ => prompt.current()?,
    };
    let content = text(prompt.version(number)?);
    Some(Choice::Pinned(name.to_owned(), number, content))
}
