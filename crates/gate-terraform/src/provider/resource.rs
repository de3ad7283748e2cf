//! What happens to one resource: validated, planned, applied, read, imported, upgraded.

use crate::control::{Edit, Refused, Session, Told, Unchecked};
use crate::convert::{self, check, same};
use crate::plugin::messages::{AttributePath, Diagnostic, Selector};
use crate::schema::{ENVIRONMENT, Kind, NAME, Shape};
use crate::value::Value;
use gate_api::ClientError;
use gate_api::types::{Finding, Severity};
use gate_kit::order::Gather;
use gate_model::document::Path;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// What is wrong with a configuration, as far as it is known.
pub(super) fn validate(kind: &Kind, config: &Value, keeps_secrets: bool) -> Vec<Diagnostic> {
    let mut found = check::shape(&kind.object, config, keeps_secrets);
    if let Value::Text(name) = config.get(NAME)
        && name.is_empty()
    {
        found.push(check::error(
            &[step(NAME)],
            "A name is missing",
            "It is empty.",
        ));
    }
    if found.is_empty() && config.is_known() {
        let name = config.get(NAME).as_text().unwrap_or_default();
        let document = convert::to_document(kind, &convert::kept(&kind.object, config));
        found = check::parse(kind, name, &document);
    }
    found
}

fn step(name: &str) -> Selector {
    Selector::Attribute(name.to_owned())
}

/// A planned change.
pub(super) struct Plan {
    pub(super) planned: Value,
    pub(super) replaces: Vec<AttributePath>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// What a configuration makes of a resource. Without a session, nobody is asked.
pub(super) fn plan(
    kind: &Kind,
    session: Option<&Session>,
    prior: &Value,
    config: &Value,
    keeps_secrets: bool,
) -> Plan {
    let kept = convert::kept(&kind.object, config);
    let mut planned = same::planned(&kind.object, prior, &kept);
    if kind.scoped && config.get(ENVIRONMENT).is_null() {
        let default = session.map(|session| session.settings().environment.clone());
        let environment = match default {
            None => Value::Unknown,
            Some(None) => Value::Null,
            Some(Some(name)) => Value::Text(name),
        };
        planned.set(ENVIRONMENT, environment);
    }
    let mut diagnostics = Vec::new();
    if kind.scoped && planned.get(ENVIRONMENT).is_null() {
        diagnostics.push(no_environment());
    }
    let differs = |name: &&str| !prior.is_null() && prior.get(name) != planned.get(name);
    let identifying: &[&str] = if kind.scoped {
        &[NAME, ENVIRONMENT]
    } else {
        &[NAME]
    };
    let replaced = identifying.iter().copied().filter(differs);
    let replaces: Vec<_> = replaced.map(|name| check::path(&[step(name)])).collect();
    if planned != *prior && diagnostics.is_empty() && planned.is_known() {
        diagnostics = validate(kind, config, keeps_secrets);
        let errors = diagnostics.iter().any(|d| d.severity == 1);
        if let (Some(session), true, false) = (session, kind.scoped, errors) {
            ask(kind, session, &planned, &mut diagnostics);
            if !diagnostics.iter().any(|d| d.severity == 1) {
                if !replaces.is_empty() {
                    note(kind, session, prior, None);
                }
                note(
                    kind,
                    session,
                    &planned,
                    Some(convert::to_document(kind, &planned)),
                );
                diagnostics.extend(effect(session, identity(kind, &planned).0));
            }
        }
    }
    Plan {
        planned,
        replaces,
        diagnostics,
    }
}

/// What is told of a resource that goes. Nobody checks it: what refers to it goes before it.
pub(super) fn plan_removal(
    kind: &Kind,
    session: Option<&Session>,
    prior: &Value,
) -> Vec<Diagnostic> {
    match session {
        Some(session) if kind.scoped && !prior.is_null() => {
            note(kind, session, prior, None);
            let told = effect(session, identity(kind, prior).0);
            told.into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn note(kind: &Kind, session: &Session, state: &Value, document: Option<Json>) {
    let (environment, name) = identity(kind, state);
    session.planned(environment, &kind.name, name, document);
}

/// What the whole plan would have done to recent traffic, told with one of its resources.
fn effect(session: &Session, environment: &str) -> Option<Diagnostic> {
    Some(match session.effect(environment)? {
        Told::Effect(effect, count) => {
            let what = match count {
                1 => "What this change would have done to recent requests".to_owned(),
                count => format!("What these {count} changes would have done to recent requests"),
            };
            check::warning(&[], what, effect.shown(1))
        }
        Told::TooLate(after) => {
            let detail = format!(
                "The server has not answered within {after:?}. `tidegate plan` waits longer."
            );
            check::warning(&[], "The effect of this plan is not known", detail)
        }
    })
}

/// What the server says about a plan.
fn ask(kind: &Kind, session: &Session, planned: &Value, diagnostics: &mut Vec<Diagnostic>) {
    let (environment, name) = identity(kind, planned);
    let document = convert::to_document(kind, planned);
    match session.check(environment, &kind.name, name, document) {
        Ok(findings) => {
            let told = findings
                .iter()
                .filter_map(|finding| told(kind, name, finding));
            let known: Vec<_> = diagnostics.iter().map(|d| d.attribute.clone()).collect();
            let new = told.filter(|d| d.attribute.is_none() || !known.contains(&d.attribute));
            diagnostics.extend(new);
        }
        Err(Unchecked::Unreachable(why)) => {
            let what = "The server could not check this plan";
            diagnostics.push(check::warning(
                &[],
                what,
                format_args!("{why}. Applying needs it."),
            ));
        }
        Err(Unchecked::Refused(why)) => {
            diagnostics.push(check::error(&[], "The server refuses this plan", why));
        }
    }
}

/// A finding at its place; what is merely good to know is not told here.
fn told(kind: &Kind, name: &str, finding: &Finding) -> Option<Diagnostic> {
    let path: Path = finding.path.parse().unwrap_or_default();
    let own = Path::root().key(&kind.name).key(name);
    let (steps, place) = match path.segments().starts_with(own.segments()) {
        true => (check::steps(kind, &path), String::new()),
        false => (Vec::new(), format!("{path}: ")),
    };
    let summary = check::sentence(&finding.message, &finding.code);
    let said = check::said(finding.expected.as_deref(), finding.help.as_deref());
    let detail = format!("{place}{said}");
    match finding.severity {
        Severity::Error => Some(check::error(&steps, summary, detail)),
        Severity::Warning => Some(check::warning(&steps, summary, detail)),
        Severity::Info => None,
    }
}

fn no_environment() -> Diagnostic {
    let detail = "Set `environment` in the provider block (`environment = terraform.workspace`), \
                  in TIDEGATE_ENVIRONMENT or here.";
    check::error(&[step(ENVIRONMENT)], "No environment is named", detail)
}

fn identity<'a>(kind: &Kind, state: &'a Value) -> (&'a str, &'a str) {
    let name = state.get(NAME).as_text().unwrap_or_default();
    match kind.scoped {
        true => (state.get(ENVIRONMENT).as_text().unwrap_or_default(), name),
        false => (name, name),
    }
}

/// Makes, changes or removes a resource, and answers with its state.
pub(super) fn apply(
    kind: &'static Kind,
    session: &Session,
    prior: &Value,
    planned: &Value,
    config: &Value,
) -> Result<Value, Diagnostic> {
    let state = match planned.is_null() {
        true => Value::Null,
        false => resolved(planned, &convert::kept(&kind.object, config)),
    };
    let document = |value: &Value| (!value.is_null()).then(|| convert::to_document(kind, value));
    let named = if state.is_null() { prior } else { &state };
    let (environment, name) = identity(kind, named);
    if kind.scoped && environment.is_empty() {
        return Err(no_environment());
    }
    let written = match kind.scoped {
        false => session.write_environment(name, document(&state)),
        true => {
            let edit = Edit {
                kind,
                name: name.to_owned(),
                before: document(prior),
                after: document(&state),
            };
            session.write(environment, &edit)
        }
    };
    match written {
        Ok(()) => Ok(state),
        Err(refused) => Err(explained(kind, name, refused)),
    }
}

/// What was unknown when it was planned, from the configuration of today.
fn resolved(planned: &Value, today: &Value) -> Value {
    match (planned, today) {
        (Value::Unknown, today) => today.clone(),
        (Value::List(items), Value::List(now)) if items.len() == now.len() => {
            let pairs = items.iter().zip(now);
            Value::List(pairs.map(|(item, now)| resolved(item, now)).collect())
        }
        (Value::Map(entries), today) => {
            let entries = entries.iter();
            let resolved = entries.map(|(key, v)| (key.clone(), resolved(v, today.get(key))));
            Value::Map(resolved.into_map())
        }
        (planned, _) => planned.clone(),
    }
}

fn explained(kind: &Kind, name: &str, refused: Refused) -> Diagnostic {
    let what = format!("{}/{name} was not changed", kind.name);
    match refused {
        Refused::Conflict(words) | Refused::Failed(words) => check::error(&[], what, words),
        Refused::Findings(findings) => {
            let own = format!("{}.", kind.name);
            let first = findings.iter().find(|f| f.path.starts_with(&own));
            let path = first
                .and_then(|f| f.path.parse::<Path>().ok())
                .unwrap_or_default();
            let lines = findings.iter().map(|finding| {
                let said = check::said(finding.expected.as_deref(), finding.help.as_deref());
                let sentence = check::sentence(&finding.message, &finding.code);
                format!("{}: {sentence} {said}", finding.path)
                    .trim_end()
                    .to_owned()
            });
            let mut lines: Vec<_> = lines.collect();
            if findings
                .iter()
                .any(|finding| finding.code.contains("reference"))
            {
                lines.push(
                    "Terraform creates and removes in the order of references: write \
                     `tidegate_upstream.orders.name` rather than \"orders\", and give what is \
                     replaced `lifecycle { create_before_destroy = true }`."
                        .to_owned(),
                );
            }
            if findings
                .iter()
                .any(|finding| finding.code == "inert_listener")
            {
                lines.push(
                    "Here the order is the trouble: write the listener's name in the route as text, \
                     so that Terraform creates both at once and they become one revision."
                        .to_owned(),
                );
            }
            check::error(&check::steps(kind, &path), what, lines.join("\n"))
        }
    }
}

/// A resource as it is now, in the user's own spelling where that means the same.
pub(super) fn read(kind: &Kind, session: &Session, state: &Value) -> Result<Value, Diagnostic> {
    let (environment, name) = identity(kind, state);
    let failed = |error: ClientError| {
        let what = format!("{}/{name} cannot be read", kind.name);
        check::error(&[], what, error)
    };
    let document = match kind.scoped {
        true => {
            let found = session
                .resource(environment, &kind.name, name)
                .map_err(failed)?;
            found.map(|resource| resource.resource)
        }
        false => match session.control().environment(name) {
            Ok(found) => Some(serde_json::json!({
                "variables": found.variables,
                "promotes_to": found.promotes_to,
            })),
            Err(error) if crate::control::is_absent(&error) => None,
            Err(error) => return Err(failed(error)),
        },
    };
    let Some(document) = document else {
        return Ok(Value::Null);
    };
    let now = Value::Map(convert::from_document(kind, &document));
    let mut merged = same::merged(&kind.object, state, &now);
    for name in [NAME, ENVIRONMENT] {
        if !state.get(name).is_null() {
            merged.set(name, state.get(name).clone());
        }
    }
    Ok(merged)
}

/// The state that reading begins with: `NAME`, or `@ENVIRONMENT/NAME`.
pub(super) fn import(kind: &Kind, session: &Session, id: &str) -> Result<Value, Diagnostic> {
    let named = id.strip_prefix('@').and_then(|rest| rest.split_once('/'));
    let default = session.settings().environment.as_deref();
    let (environment, name) = match named {
        Some((environment, name)) if kind.scoped => (Some(environment), name),
        _ => (default, id),
    };
    let mut state = Value::Map(convert::from_document(kind, &Json::Null));
    state.set(NAME, Value::text(name));
    if kind.scoped {
        let environment = environment.ok_or_else(no_environment)?;
        state.set(ENVIRONMENT, Value::text(environment));
    }
    Ok(state)
}

/// State of any earlier version, by the names that are left: what is gone is dropped, what is new is
/// null, and the next refresh fills it in.
pub(super) fn upgrade(kind: &Kind, stored: &Json) -> Value {
    if !stored.is_object() {
        return Value::Null;
    }
    let text = |name: &str| match stored[name].as_str() {
        Some(text) => Value::text(text),
        None => Value::Null,
    };
    let mut state: BTreeMap<String, Value> = BTreeMap::from([(NAME.to_owned(), text(NAME))]);
    if kind.scoped {
        state.insert(ENVIRONMENT.to_owned(), text(ENVIRONMENT));
    }
    for attribute in &kind.object.attributes {
        let value = from_state(&attribute.shape, &stored[&attribute.name]);
        state.insert(attribute.name.clone(), value);
    }
    Value::Map(state)
}

/// A stored value by today's shape; null where it does not fit.
fn from_state(shape: &Shape, json: &Json) -> Value {
    match (shape, json) {
        (Shape::Text(_) | Shape::Json, Json::String(text)) => Value::text(text),
        (Shape::Number { .. }, Json::Number(number)) => Value::Number(number.clone()),
        (Shape::Bool, Json::Bool(truth)) => Value::Bool(*truth),
        (Shape::List(inner), Json::Array(items)) => {
            Value::List(items.iter().map(|item| from_state(inner, item)).collect())
        }
        (Shape::Map(inner), Json::Object(fields)) => {
            let fields = fields.iter();
            let entries = fields.map(|(key, json)| (key.clone(), from_state(inner, json)));
            Value::Map(entries.into_map())
        }
        (Shape::Object(object), Json::Object(_)) => {
            let attributes = object.attributes.iter();
            let fields = attributes.map(|a| (a.name.clone(), from_state(&a.shape, &json[&a.name])));
            Value::Map(fields.into_map())
        }
        _ => Value::Null,
    }
}
