//! Data sources: an environment, a revision, one resource, the resources of a kind.

use crate::control::Session;
use crate::convert::check;
use crate::plugin::messages::{self as wire, Diagnostic, Schema, Selector};
use crate::schema::wire::{computed, optional, required, schema};
use crate::schema::{Catalogue, ENVIRONMENT, NAME};
use crate::value::Value;
use gate_api::ClientError;
use gate_api::types::{Environment, RevisionDocument};
use gate_kit::order::Gather;
use serde_json::json;
use std::collections::HashMap;

const RESOURCE: &str = "tidegate_resource";
const RESOURCES: &str = "tidegate_resources";
const REVISION: &str = "tidegate_revision";
const OF: &str = "tidegate_environment";

/// The schema of every data source.
pub(super) fn schemas() -> HashMap<String, Schema> {
    let all = [
        (REVISION, "A revision with its resources.", of_revision()),
        (
            OF,
            "An environment: which revision is in force there.",
            of_environment(),
        ),
        (RESOURCE, "One resource, whoever owns it.", of_resource()),
        (
            RESOURCES,
            "Every resource of a kind, whoever owns it.",
            of_resources(),
        ),
    ];
    let all = all.into_iter();
    all.map(|(name, about, of)| (name.to_owned(), schema(about, of)))
        .collect()
}

fn text(name: &str, about: &str) -> wire::Attribute {
    computed(name, json!("string"), about)
}

fn number(name: &str, about: &str) -> wire::Attribute {
    computed(name, json!("number"), about)
}

fn texts(name: &str, about: &str) -> wire::Attribute {
    computed(name, json!(["map", "string"]), about)
}

fn in_environment() -> wire::Attribute {
    optional(
        ENVIRONMENT,
        "The environment; the provider's when left out.",
    )
}

fn of_kind() -> wire::Attribute {
    required("kind", "The kind in documents, such as `routes`.")
}

fn of_revision() -> Vec<wire::Attribute> {
    let about = "Its number; that of the environment's current one when left out.";
    vec![
        wire::Attribute {
            optional: true,
            ..number("number", about)
        },
        in_environment(),
        text(
            "digest",
            "SHA-256 of its resources in canonical JSON, in hex.",
        ),
        number("parent", "The revision before it."),
        text("author", "Who made it."),
        text("message", "What its author said about it."),
        text("source_commit", "The commit that it was made from."),
        text("created", "When, in RFC 3339."),
        text(
            "document",
            "Its resources in JSON, by kind and name; for `jsondecode`.",
        ),
    ]
}

fn of_environment() -> Vec<wire::Attribute> {
    vec![
        wire::Attribute {
            computed: true,
            ..optional(NAME, "Its name; the provider's environment when left out.")
        },
        number("generation", "Grows with each change of the environment."),
        number("revision", "The revision in force."),
        number("stable", "The last revision that was confirmed."),
        texts("variables", "What `${vars.NAME}` stands for."),
        text(
            "promotes_to",
            "The environment that revisions are promoted to.",
        ),
        text("locked_by", "Who has locked it."),
    ]
}

fn of_resource() -> Vec<wire::Attribute> {
    vec![
        of_kind(),
        required(NAME, "Its name."),
        in_environment(),
        text("manager", "Who owns it."),
        text("json", "Its settings as written; for `jsondecode`."),
    ]
}

fn of_resources() -> Vec<wire::Attribute> {
    let json = texts("json", "Settings as written, by name; for `jsondecode`.");
    vec![of_kind(), in_environment(), json]
}

/// Reads a data source.
pub(super) fn read(name: &str, session: &Session, config: &Value) -> Result<Value, Diagnostic> {
    let mut state = config.clone();
    match name {
        REVISION => revision(session, &mut state)?,
        OF => {
            let found = environment(session, &chosen(session, config, NAME)?)?;
            of(&found, &mut state);
        }
        RESOURCE => resource(session, &mut state)?,
        RESOURCES => resources(session, &mut state)?,
        other => {
            return Err(check::error(
                &[],
                format!("There is no data source `{other}`"),
                "",
            ));
        }
    }
    Ok(state)
}

/// The environment that is meant.
fn chosen(session: &Session, config: &Value, attribute: &str) -> Result<String, Diagnostic> {
    let given = config.get(attribute).as_text().map(str::to_owned);
    let chosen = given.or_else(|| session.settings().environment.clone());
    chosen.ok_or_else(|| {
        let detail = format!("Set `{attribute}` here or `environment` in the provider block.");
        at(attribute, "No environment is named", detail)
    })
}

fn at(attribute: &str, summary: &str, detail: impl std::fmt::Display) -> Diagnostic {
    check::error(
        &[Selector::Attribute(attribute.to_owned())],
        summary,
        detail,
    )
}

fn failed(what: &str) -> impl Fn(ClientError) -> Diagnostic + '_ {
    move |error| check::error(&[], format!("{what} cannot be read"), error)
}

fn environment(session: &Session, name: &str) -> Result<Environment, Diagnostic> {
    let what = format!("The environment `{name}`");
    session.control().environment(name).map_err(failed(&what))
}

fn of(found: &Environment, state: &mut Value) {
    let number = |number: Option<u64>| number.map_or(Value::Null, |n| Value::Number(n.into()));
    let text = |text: Option<&String>| text.map_or(Value::Null, Value::text);
    let variables = found.variables.iter();
    let variables = variables.map(|(name, value)| (name.clone(), Value::text(value)));
    state.set(NAME, Value::text(&found.name));
    state.set("generation", Value::Number(found.generation.into()));
    state.set("revision", number(found.revision));
    state.set("stable", number(found.stable));
    state.set("variables", Value::Map(variables.into_map()));
    state.set("promotes_to", text(found.promotes_to.as_ref()));
    state.set(
        "locked_by",
        text(found.lock.as_ref().map(|lock| &lock.holder)),
    );
}

fn revision(session: &Session, state: &mut Value) -> Result<(), Diagnostic> {
    let number = match state.get("number") {
        Value::Number(number) => number
            .as_u64()
            .ok_or_else(|| at("number", "Not the number of a revision", number))?,
        _ => {
            let name = chosen(session, state, ENVIRONMENT)?;
            environment(session, &name)?.revision.ok_or_else(|| {
                at(
                    ENVIRONMENT,
                    "The environment has no revision yet",
                    format_args!("`{name}` is empty."),
                )
            })?
        }
    };
    let found = session.control().revision(number);
    let RevisionDocument {
        revision, document, ..
    } = found.map_err(failed(&format!("Revision {number}")))?;
    let parent = revision
        .parent
        .map_or(Value::Null, |n| Value::Number(n.into()));
    state.set("number", Value::Number(number.into()));
    state.set("digest", Value::text(&revision.digest));
    state.set("parent", parent);
    state.set("author", Value::text(&revision.author));
    state.set("message", Value::text(&revision.message));
    let commit = revision.source_commit.map_or(Value::Null, Value::Text);
    state.set("source_commit", commit);
    state.set("created", Value::text(&revision.created));
    state.set("document", Value::text(document.canonical()));
    Ok(())
}

/// The kind that is meant.
fn kind(state: &Value) -> Result<String, Diagnostic> {
    let given = state.get("kind").as_text().unwrap_or_default();
    let mut kinds = Catalogue::get().iter().filter(|(_, kind)| kind.scoped);
    if kinds.any(|(_, kind)| kind.name == given) {
        return Ok(given.to_owned());
    }
    let kinds = Catalogue::get().iter().filter(|(_, kind)| kind.scoped);
    let kinds: Vec<_> = kinds.map(|(_, kind)| format!("`{}`", kind.name)).collect();
    let detail = format!("Expected one of {}.", kinds.join(", "));
    Err(at("kind", "There is no such kind", detail))
}

fn resource(session: &Session, state: &mut Value) -> Result<(), Diagnostic> {
    let (environment, kind) = (chosen(session, state, ENVIRONMENT)?, kind(state)?);
    let name = state.get(NAME).as_text().unwrap_or_default().to_owned();
    let what = format!("{kind}/{name}");
    let found = session
        .resource(&environment, &kind, &name)
        .map_err(failed(&what))?;
    let Some(found) = found else {
        let detail = format!("The environment `{environment}` has no {what}.");
        return Err(at(NAME, "There is no such resource", detail));
    };
    state.set("manager", Value::Text(found.manager));
    state.set("json", Value::Text(found.resource.to_string()));
    Ok(())
}

fn resources(session: &Session, state: &mut Value) -> Result<(), Diagnostic> {
    let (environment, kind) = (chosen(session, state, ENVIRONMENT)?, kind(state)?);
    let found = session
        .control()
        .resources(&environment, &kind)
        .map_err(failed(&kind))?;
    let found = found
        .into_iter()
        .map(|r| (r.name, Value::Text(r.resource.to_string())));
    state.set("json", Value::Map(found.into_map()));
    Ok(())
}
