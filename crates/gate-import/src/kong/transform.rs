//! Plugins that change messages or answer themselves: transformers, `redirect`, `request-termination`.

use super::plugins::Plugins;
use crate::draft::Draft;
use crate::note::Outcome;
use crate::read::{Said, text};
use gate_model::document::Node;
use serde_json::{Map, Value, json};

/// Changes of headers and of the query.
pub(super) fn transformed(draft: &mut Draft, config: &Node, side: &str) -> Vec<Value> {
    let (mut changes, mut query) = (Map::new(), Map::new());
    for (how, parts) in config.entries() {
        for (part, values) in parts.entries() {
            let values = values.texts();
            if values.is_empty() {
                continue;
            }
            let ours = match (&*how.text, &*part.text) {
                ("remove", "headers" | "querystring") => "remove",
                ("add", "headers") => "default",
                ("append", "headers" | "querystring") => "add",
                ("replace", "headers" | "querystring") => "set",
                _ => {
                    let why = "there is no change like it";
                    draft.notes.add(
                        part.span.line,
                        format!("{}.{}", how.text, part.text),
                        Outcome::Dropped,
                        why,
                    );
                    continue;
                }
            };
            if ours == "set" {
                let why = "the value is set also where there was none";
                draft.notes.add(
                    part.span.line,
                    format!("replace.{}", part.text),
                    Outcome::Changed,
                    why,
                );
            }
            let to = if part.text == "headers" {
                &mut changes
            } else {
                &mut query
            };
            for value in values {
                put(draft, part.span.line, ours, &value, to);
            }
        }
    }
    let mut policies = Vec::new();
    if !changes.is_empty() {
        policies.push(json!({ "headers": { side: changes } }));
    }
    if !query.is_empty() {
        policies.push(json!({ "rewrite": { "query": query } }));
    }
    policies
}

fn put(draft: &mut Draft, line: u32, ours: &str, value: &str, to: &mut Map<String, Value>) {
    if ours == "remove" {
        let list = to.entry("remove").or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(json!(value));
        }
        return;
    }
    let Some((name, value)) = value.split_once(':') else {
        return;
    };
    if value.contains("$(") {
        let why = "its template is not understood";
        return draft
            .notes
            .add(line, format!("{name}: …"), Outcome::Dropped, why);
    }
    let map = to.entry(ours).or_insert_with(|| json!({}));
    if let Some(map) = map.as_object_mut() {
        map.insert(
            name.trim().to_owned(),
            json!(value.trim().replace("${", "$${")),
        );
    }
}

/// An answer that sends callers elsewhere.
pub(super) fn redirect(draft: &mut Draft, config: &Node, to: &mut Plugins) -> Option<Value> {
    let location = text(config, "location")?;
    let status = config
        .get("status_code")
        .and_then(Said::count)
        .unwrap_or(301);
    if config.get("keep_incoming_path").is_some_and(Said::is_true) {
        let why = "callers are sent to the address as it is written";
        draft.notes.add(
            config.line(),
            "redirect.keep_incoming_path",
            Outcome::Changed,
            why,
        );
    }
    to.target = Some(json!({ "fixed": { "status": status, "headers": { "location": location } } }));
    None
}

/// An answer in place of the service's.
pub(super) fn termination(config: &Node) -> Value {
    let status = config
        .get("status_code")
        .and_then(Said::count)
        .filter(|s| (200..600).contains(s));
    let mut fixed = json!({ "status": status.unwrap_or(503) });
    let kind = text(config, "content_type");
    let (body, default) = match (text(config, "body"), text(config, "message")) {
        (Some(body), _) => (body, "application/json; charset=utf-8"),
        (None, Some(message)) => (
            json!({ "message": message }).to_string(),
            "application/json; charset=utf-8",
        ),
        (None, None) => return json!({ "fixed": fixed }),
    };
    fixed["headers"] = json!({ "content-type": kind.unwrap_or_else(|| default.to_owned()) });
    fixed["body"] = json!(body);
    json!({ "fixed": fixed })
}
