//! The layout of a field's reference text: a title, paragraphs, facts and tables of two columns.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Field, alternatives, element, is_choice, is_tagged, resolve};

/// Descriptions are wrapped at this many columns.
const WIDTH: usize = 88;

/// The whole text about one field.
pub(super) fn render(root: &Value, field: Field<'_>, path: &str) -> String {
    let schema = field.schema;
    let title = if path.is_empty() {
        "the document"
    } else {
        path
    };
    let mut out = format!("{title}: {}\n", type_name(root, schema));
    if let Some(description) = description(root, field) {
        let _ = write!(out, "\n{}", wrap(&description));
    }
    let facts = facts(root, schema);
    if !facts.is_empty() {
        out.push('\n');
        for (name, value) in facts {
            let _ = writeln!(out, "{name}: {value}");
        }
    }
    write_rows(&mut out, "Values", values(root, schema));
    let (inner, heading) = match element(root, schema) {
        Some((element, _)) => (element, "Fields of each element"),
        None => (schema, "Fields"),
    };
    let heading = if is_choice(root, inner) {
        "Choices"
    } else {
        heading
    };
    write_rows(&mut out, heading, field_rows(root, inner));
    if element(root, schema).is_some() {
        write_rows(&mut out, "Values of each element", values(root, inner));
    }
    out
}

/// The description beside a reference says more about the field than that of the type; the type's
/// follows when it says how a quantity is written.
fn description(root: &Value, field: Field<'_>) -> Option<String> {
    let schema = field.schema;
    let own = field.about.or(schema["description"].as_str());
    let shapes = alternatives(root, schema);
    let form = shapes.iter().filter(|shape| shape["pattern"].is_string());
    let form = form
        .filter_map(|shape| shape["description"].as_str())
        .find(|form| own != Some(form));
    match (own, form) {
        (Some(own), Some(form)) => Some(format!("{own}\n\n{form}")),
        (Some(own), None) => Some(own.to_owned()),
        (None, _) => shapes
            .iter()
            .find_map(|shape| shape["description"].as_str())
            .map(str::to_owned),
    }
}

/// Default and constraints, in a fixed order.
fn facts(root: &Value, schema: &Value) -> Vec<(&'static str, String)> {
    const NAMES: [(&str, &str); 11] = [
        ("minimum", "At least"),
        ("exclusiveMinimum", "More than"),
        ("maximum", "At most"),
        ("exclusiveMaximum", "Less than"),
        ("minLength", "Characters at least"),
        ("maxLength", "Characters at most"),
        ("minItems", "Items at least"),
        ("maxItems", "Items at most"),
        ("multipleOf", "Multiple of"),
        ("pattern", "Pattern"),
        ("examples", "Examples"),
    ];
    let mut facts = Vec::new();
    match &schema["default"] {
        Value::Null => {}
        default => facts.push(("Default", plain(default))),
    }
    let views: Vec<_> = std::iter::once(schema)
        .chain(alternatives(root, schema).into_iter().take(2))
        .collect();
    for (word, name) in NAMES {
        let value = views
            .iter()
            .map(|view| &view[word])
            .find(|value| !value.is_null());
        match value {
            Some(Value::Array(examples)) => {
                facts.push((
                    name,
                    examples.iter().map(plain).collect::<Vec<_>>().join(", "),
                ));
            }
            Some(value) => facts.push((name, plain(value))),
            None => {}
        }
    }
    facts
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The fixed values of an enum, each with the first sentence of its description.
fn values(root: &Value, schema: &Value) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for alternative in alternatives(root, schema) {
        let text = first_sentence(alternative["description"].as_str().unwrap_or_default());
        if !alternative["const"].is_null() {
            rows.push((plain(&alternative["const"]), text));
            continue;
        }
        for value in alternative["enum"].as_array().into_iter().flatten() {
            rows.push((plain(value), String::new()));
        }
    }
    rows
}

fn field_rows(root: &Value, schema: &Value) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for alternative in alternatives(root, schema) {
        let choice = is_tagged(alternative) && is_choice(root, schema);
        for (name, field) in alternative["properties"].as_object().into_iter().flatten() {
            let required = alternative["required"]
                .as_array()
                .is_some_and(|names| names.iter().any(|required| required == name.as_str()));
            let mark = if required && !choice {
                ", required"
            } else {
                ""
            };
            let about = alternative["description"].as_str().filter(|_| choice);
            let about = description(
                root,
                Field {
                    schema: field,
                    about,
                },
            );
            let about = first_sentence(&about.unwrap_or_default());
            let kind = format!("({}{mark})", type_name(root, field));
            rows.push((
                name.clone(),
                format!("{about} {kind}").trim_start().to_owned(),
            ));
        }
    }
    rows
}

fn type_name(root: &Value, schema: &Value) -> String {
    if let Some((element, named)) = element(root, schema) {
        // One level only: elements of elements are explained at their own path.
        let inner = resolve(root, element);
        let name = reference_name(element).or_else(|| simple_type(inner));
        let name = name.unwrap_or_else(|| "any value".to_owned());
        return if named {
            format!("mapping of names to {name}")
        } else {
            format!("list of {name}")
        };
    }
    if is_choice(root, schema) {
        return "one of the choices".to_owned();
    }
    let shapes = alternatives(root, schema);
    if !values(root, schema).is_empty() {
        return "one of the values".to_owned();
    }
    let name = shapes.into_iter().find_map(simple_type);
    name.unwrap_or_else(|| "any value".to_owned())
}

fn reference_name(schema: &Value) -> Option<String> {
    schema["$ref"]
        .as_str()?
        .rsplit('/')
        .next()
        .map(str::to_owned)
}

fn simple_type(schema: &Value) -> Option<String> {
    let words = |kind: &str| match kind {
        "object" => Some("mapping"),
        "array" => Some("list"),
        "integer" => Some("whole number"),
        "number" => Some("number"),
        "boolean" => Some("true or false"),
        "string" => Some("text"),
        _ => None,
    };
    match &schema["type"] {
        Value::String(kind) => words(kind).map(str::to_owned),
        Value::Array(kinds) => {
            let names: Vec<_> = kinds
                .iter()
                .filter_map(Value::as_str)
                .filter_map(words)
                .collect();
            (!names.is_empty()).then(|| names.join(" or "))
        }
        _ => None,
    }
}

fn write_rows(out: &mut String, heading: &str, rows: Vec<(String, String)>) {
    if rows.is_empty() {
        return;
    }
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let _ = writeln!(out, "\n{heading}:");
    for (name, about) in rows {
        let line = format!("  {name:width$}  {about}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// Up to the first full stop that ends a sentence, on one line.
fn first_sentence(text: &str) -> String {
    let text = text.split("\n\n").next().unwrap_or(text).replace('\n', " ");
    match text.find(". ") {
        Some(end) => text[..=end].to_owned(),
        None => text,
    }
}

/// Paragraphs, wrapped at [`WIDTH`] columns; each line ends with a line feed.
fn wrap(text: &str) -> String {
    let mut out = String::new();
    for (position, paragraph) in text.split("\n\n").enumerate() {
        if position > 0 {
            out.push('\n');
        }
        let mut column = 0;
        for word in paragraph.split_whitespace() {
            let length = word.chars().count();
            if column > 0 && column + 1 + length > WIDTH {
                out.push('\n');
                column = 0;
            } else if column > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += length;
        }
        out.push('\n');
    }
    out
}
