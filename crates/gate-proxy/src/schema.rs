//! The JSON Schema of a whole configuration, with every component that this binary knows.
//!
//! Resource types describe themselves; what they leave open (a policy's settings, a provider's) is
//! filled in from the registries here. `cargo xtask gen` writes this value to
//! `docs/reference/schema.json`, which is what the gateway carries (`gate_api::schema`) and what
//! `tidegate schema`, `explain`, the console and Terraform read; a test fails where it is not this.

use gate_ai::provider::registry::{self, PROVIDERS};
use gate_flow::PolicyReference;
use gate_model::resources::Resources;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The schema (JSON Schema 2020-12) of a configuration whose policies are these.
///
/// # Panics
/// Never for types of this crate's version: a test builds the schema.
#[must_use]
pub fn configuration(policies: &[PolicyReference]) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let steps = policies.iter().map(|policy| {
        let settings = (policy.schema)(&mut generator).to_value();
        let about = first_line(policy.doc);
        (policy.name, about, settings)
    });
    let steps: Vec<_> = steps.collect();
    let providers = PROVIDERS
        .iter()
        .map(|kind| (kind, registry::schema(kind, &mut generator).to_value()));
    let providers: Vec<_> = providers.collect();
    let mut root = generator.into_root_schema_for::<Resources>().to_value();
    root["title"] = "Tidegate configuration".into();
    let when = json!({
        "description": "A CEL expression over the request; the policy acts only where it is true.",
        "type": ["string", "null"],
    });
    let choices = steps
        .into_iter()
        .map(|(name, about, settings)| tagged(name, about, &settings, Some(("when", &when))));
    let policy = json!({
        "description": "One policy with its settings, and when it applies.",
        "oneOf": choices.collect::<Vec<_>>(),
    });
    let choices = providers
        .iter()
        .map(|(kind, settings)| tagged(kind.name, "", settings, None));
    let provider = json!({
        "description": "An account at an AI vendor, or a server of one's own.",
        "oneOf": choices.collect::<Vec<_>>(),
    });
    let reference = |name: &str| json!({ "$ref": format!("#/$defs/{name}") });
    root["properties"]["providers"]["additionalProperties"] = reference("Provider");
    let definitions = root["$defs"]
        .as_object_mut()
        .expect("a configuration has types with names");
    for kind in ["Api", "Route"] {
        definitions[kind]["properties"]["policies"]["items"] = reference("Policy");
    }
    definitions.insert("Policy".into(), policy);
    definitions.insert("Provider".into(), provider);
    definitions.remove("Component");
    definitions.sort_keys();
    root
}

/// An object with `name`, and perhaps one more field, and nothing else.
fn tagged(name: &str, about: &str, settings: &Value, more: Option<(&str, &Value)>) -> Value {
    let mut properties = Map::new();
    let mut settings = settings.clone();
    if let Some(settings) = settings.as_object_mut()
        && !about.is_empty()
    {
        settings.insert("description".into(), about.into());
    }
    properties.insert(name.to_owned(), settings);
    if let Some((name, schema)) = more {
        properties.insert(name.to_owned(), schema.clone());
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": [name],
        "additionalProperties": false,
    })
}

fn first_line(doc: &str) -> &str {
    doc.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_open_and_every_reference_leads_somewhere() {
        fn walk(root: &Value, value: &Value) {
            if let Some(name) = value["$ref"].as_str() {
                let pointer = name.strip_prefix('#').expect("references are local");
                assert!(root.pointer(pointer).is_some(), "{name} leads nowhere");
            }
            match value {
                Value::Object(fields) => fields.values().for_each(|inner| walk(root, inner)),
                Value::Array(items) => items.iter().for_each(|inner| walk(root, inner)),
                _ => {}
            }
        }
        let schema = configuration(&[]);
        walk(&schema, &schema);
        assert!(schema["$defs"]["Provider"]["oneOf"][0]["properties"]["anthropic"].is_object());
        assert!(!schema.to_string().contains("Component"));
    }
}
