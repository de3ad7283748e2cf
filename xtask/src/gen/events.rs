//! The reference page of the gateway's own events, and the schema of each as a file, from the table
//! in `gate-ops`.

use super::Output;
use super::reference::{FOLDER, NOTICE};
use serde_json::Value;
use std::fmt::Write;

/// The page and the schemas.
pub(super) fn pages(facts: &Value) -> Result<Vec<Output>, String> {
    let events = facts["events"].as_array().ok_or("no table of events")?;
    if events.is_empty() {
        return Err("the table of events is empty".into());
    }
    let mut page = format!(
        "{NOTICE}\n# The gateway's own events\n\nCloudEvents that a gateway with a store publishes by \
         itself. Each is in the journal once, whichever\ngateway saw it: `source` and `id` say what \
         happened. `dataschema` names the version of its data, and a\nchange that breaks readers is a \
         further version. [React to events](../guides/react-to-events.md) says\nhow to subscribe. \
         Whoever calls the gateway cannot publish types that begin with `tidegate.`.\n"
    );
    let mut outputs = Vec::new();
    for event in events {
        let text = |key: &str| {
            event[key]
                .as_str()
                .ok_or_else(|| format!("{key} of an event"))
        };
        let (kind, summary, dataschema) = (text("kind")?, text("summary")?, text("dataschema")?);
        let version = event["version"].as_u64().ok_or("version of an event")?;
        let file = format!("events/{kind}.{version}.json");
        let _ = write!(
            page,
            "\n## `{kind}`\n\n{summary} `dataschema` is `{dataschema}`, its [schema]({file}).\n\n\
             | `data` | Type | Meaning |\n|---|---|---|\n"
        );
        let schema = &event["schema"];
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let meaning = field["description"].as_str().unwrap_or_default();
            let meaning = meaning.replace('\n', " ").replace('|', "\\|");
            let _ = writeln!(
                page,
                "| `{name}` | {} | {meaning} |",
                kind_of(&field["type"])
            );
        }
        let json = serde_json::to_string_pretty(schema).map_err(|error| error.to_string())?;
        outputs.push((format!("{FOLDER}/{file}"), json + "\n"));
    }
    outputs.push((format!("{FOLDER}/events.md"), page));
    Ok(outputs)
}

/// The type of a field in words.
fn kind_of(kind: &Value) -> String {
    match kind {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds: Vec<_> = kinds.iter().filter_map(Value::as_str).collect();
            kinds.join(" or ")
        }
        _ => "any".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_event_has_a_part_and_a_schema() {
        let facts = json!({ "events": [{
            "kind": "tidegate.x", "version": 2, "summary": "It was.", "dataschema": "urn:x",
            "schema": { "properties": {
                "a": { "type": ["string", "null"], "description": "What|\nit is." }
            } },
        }] });
        let outputs = pages(&facts).unwrap();
        assert_eq!(outputs[0].0, "docs/reference/events/tidegate.x.2.json");
        let (path, page) = &outputs[1];
        assert_eq!(path, "docs/reference/events.md");
        assert!(
            page.contains("| `a` | string or null | What\\| it is. |"),
            "{page}"
        );
        assert!(pages(&json!({ "events": [] })).is_err());
    }
}
