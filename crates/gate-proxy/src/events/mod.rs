//! Types of events: which versions they have, and whether an event keeps to its own.
//!
//! Compiled with the revision; the target `events` asks ([`crate::target::events`]). How an event is
//! written is `gate_contract::cloud`; `keep.rs` brings events of workers into the journal.

mod keep;

use crate::compile::Work;
use aws_lc_rs::digest::{SHA256, digest};
use gate_contract::cloud::{CloudEvent, Data, write_structured};
use gate_contract::schema::{Failure, Schema};
use gate_flow::PublishedEvent;
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::{EventType, OWN_EVENTS, ScheduleTarget, UnnamedVersion};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

pub(crate) use keep::Keeper;

/// Most types of events.
const TYPES_MAX: usize = 2_000;
/// Most versions of one type.
const VERSIONS_MAX: usize = 100;
/// Most schedules.
const SCHEDULES_MAX: usize = 1_000;
/// Most bytes of a type, a key or a consumer's name in the journal.
pub const WORD_MAX: usize = 1 << 10;
/// Most bytes of what an event is known by within its environment.
const KEY_MAX: usize = WORD_MAX - 256;
/// What stands behind the environment in a key: no part of an event has it.
const END: char = '\t';
/// What sources of the gateway's own events begin with: nobody else publishes from there.
pub const OWN_SOURCES: &str = "urn:tidegate:";
/// Most failures that are told of an event.
const FAILURES_MAX: usize = 16;

/// Every type of events, compiled.
#[derive(Default)]
pub struct EventTypes(HashMap<String, Registered>);

struct Registered {
    /// `dataschema` and schema of each version, the lowest first.
    versions: Vec<(String, Arc<Schema>)>,
    unnamed: UnnamedVersion,
}

/// Why an event is not of its type.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its type is none of those that are registered.
    Unregistered,
    /// Its type has no such version; the sentence says which there are.
    Version(String),
    /// Its data is not what the version says.
    Data(Vec<Failure>),
}

impl EventTypes {
    /// Whether an event keeps to what is registered for its type. One whose type is not registered
    /// does, unless only registered types count.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, event: &CloudEvent, registered_only: bool) -> Result<(), Refusal> {
        let Some(registered) = self.0.get(&event.kind) else {
            return match registered_only {
                true => Err(Refusal::Unregistered),
                false => Ok(()),
            };
        };
        let versions = &registered.versions;
        let found = match (&event.schema, registered.unnamed) {
            _ if versions.is_empty() => return Ok(()),
            (Some(uri), _) => versions.iter().find(|(known, _)| known == uri),
            (None, UnnamedVersion::Oldest) => versions.first(),
            (None, UnnamedVersion::Newest) => versions.last(),
            (None, UnnamedVersion::Refuse) => None,
        };
        let Some((_, schema)) = found else {
            let known: Vec<&str> = versions.iter().map(|(uri, _)| &**uri).collect();
            let problem = match event.schema {
                Some(_) => "is none of the versions of this type",
                None => "is missing",
            };
            let known = known.join(", ");
            return Err(Refusal::Version(format!(
                "`dataschema` {problem}: {known}."
            )));
        };
        let value = match &event.data {
            Data::None => Value::Null,
            Data::Json(text) => serde_json::from_str(text)
                .map_err(|_| Refusal::Data(vec![Failure::of_body("is nested too deep")]))?,
            Data::Bytes(_) => {
                return Err(Refusal::Data(vec![Failure::of_body("is no JSON")]));
            }
        };
        let mut failures = Vec::new();
        schema.check(&value, "", FAILURES_MAX, &mut failures);
        match failures.is_empty() {
            true => Ok(()),
            false => Err(Refusal::Data(failures)),
        }
    }
}

/// What an event is known by in the journal: its source and id, or their hash where they are long or
/// begin as keys of the store's own events do.
#[must_use]
pub fn key(source: &str, id: &str) -> String {
    // A source has no space in it, and neither has a control character.
    let plain = format!("{source} {id}");
    if plain.len() <= KEY_MAX && !plain.starts_with('@') {
        return plain;
    }
    let mut key = String::from("sha256 ");
    for byte in digest(&SHA256, plain.as_bytes()).as_ref() {
        // Writing to a string does not fail.
        let _ = write!(key, "{byte:02x}");
    }
    key
}

/// What another gateway's own event is known by, which this consumer handed on: gateways that know nothing
/// of one another may name environments alike, so that the source and id alone may be this gateway's too.
#[must_use]
pub fn handed_on_key(source: &str, id: &str, consumer: &str) -> String {
    key(&format!("{consumer}>{source}"), id)
}

/// A key as an event of an environment has it: the same source and id in another environment are
/// another event, and nobody there sees it ([`environment_of`]).
#[must_use]
pub fn key_in(environment: &str, key: &str) -> String {
    format!("{environment}{END}{key}")
}

/// The environment whose event is known by this key; none for an event of the whole store: one from a
/// gateway that follows no environment, or from before environments were told apart.
#[must_use]
pub fn environment_of(key: &str) -> Option<&str> {
    Some(key.split_once(END)?.0)
}

/// An event as the journal takes it, without its environment.
#[must_use]
pub fn published(event: &CloudEvent, consumer: &str) -> PublishedEvent {
    let mut payload = Vec::new();
    write_structured(event, &mut payload);
    PublishedEvent {
        key: key(&event.source, &event.id).into(),
        kind: event.kind.as_str().into(),
        consumer: consumer.into(),
        payload: payload.into(),
    }
}

/// Compiles every type of events, and checks schedules; what is wrong goes into the findings.
pub(crate) fn compile(work: &mut Work<'_>) -> Arc<EventTypes> {
    let resources = work.resources;
    let mut types = EventTypes::default();
    let path = Path::root().key("event_types");
    if resources.event_types.len() > TYPES_MAX {
        let message = format!("at most {TYPES_MAX} types of events are kept apart");
        work.report(Finding::error("too_many", path.clone(), message));
    }
    for (kind, of) in &resources.event_types {
        let path = path.key(kind);
        if kind.starts_with(OWN_EVENTS) || kind.is_empty() || kind.len() > WORD_MAX {
            let message = format!(
                "a type has 1 to {WORD_MAX} bytes, and `{OWN_EVENTS}` is for the gateway's own"
            );
            work.report(Finding::error("invalid_event_type", path.clone(), message));
        }
        let registered = registered(work, kind, of, &path.key("versions"));
        types.0.insert(kind.clone(), registered);
    }
    schedules(work, &types);
    Arc::new(types)
}

fn registered(work: &mut Work<'_>, kind: &str, of: &EventType, path: &Path) -> Registered {
    if of.versions.len() > VERSIONS_MAX {
        let message = format!("a type of events has at most {VERSIONS_MAX} versions");
        work.report(Finding::error("too_many", path.clone(), message));
    }
    for name in of.versions.keys() {
        let is_plain = |number: u32| number > 0 && number.to_string() == *name;
        if !name.parse().is_ok_and(is_plain) {
            let message = format!("`{name}` is no version: versions are 1, 2, 3 ...");
            work.report(Finding::error(
                "invalid_event_type",
                path.key(name),
                message,
            ));
        }
    }
    let mut versions: Vec<(String, Arc<Schema>)> = Vec::new();
    for (number, version) in of.numbered() {
        let path = path.key(number.to_string());
        let uri = version.uri(kind, number);
        let probe = CloudEvent {
            id: "1".into(),
            source: "/".into(),
            kind: "probe".into(),
            schema: Some(uri.clone()),
            ..CloudEvent::default()
        };
        if probe.check().is_err() || versions.iter().any(|(known, _)| *known == uri) {
            let message = "`dataschema` is an absolute URI that no other version has";
            let path = path.key("dataschema");
            work.report(Finding::error("invalid_event_type", path, message));
        }
        match gate_contract::event::compile(&version.schema) {
            Ok(schema) => versions.push((uri, schema)),
            Err(problem) => {
                let finding = Finding::error("invalid_schema", path.key("schema"), problem);
                work.report(finding.expected("JSON Schema 2020-12 that refers to itself only"));
            }
        }
    }
    Registered {
        versions,
        unnamed: of.unnamed,
    }
}

/// Checks every schedule: by itself, and its event against its type.
fn schedules(work: &mut Work<'_>, types: &EventTypes) {
    let resources = work.resources;
    let path = Path::root().key("schedules");
    if resources.schedules.len() > SCHEDULES_MAX {
        let message = format!("at most {SCHEDULES_MAX} schedules are kept");
        work.report(Finding::error("too_many", path.clone(), message));
    }
    for (name, schedule) in &resources.schedules {
        let path = path.key(name);
        if resources.gateway.store.is_none() {
            let message = "a schedule needs `gateway.store`, where its events are kept";
            work.report(store_missing(&path, message));
        }
        if let Err((field, message)) = (work.compiler.registry.schedule)(schedule) {
            work.report(Finding::error("invalid_schedule", path.key(field), message));
        }
        let ScheduleTarget::Event(scheduled) = &schedule.target;
        let path = path.key("target").key("event");
        let event = CloudEvent {
            id: "1".into(),
            source: format!("{OWN_SOURCES}schedule:{name}"),
            kind: scheduled.kind.clone(),
            subject: scheduled.subject.clone(),
            schema: scheduled.dataschema.clone(),
            data: match &scheduled.data {
                Some(data) => Data::Json(data.to_string().into()),
                None => Data::None,
            },
            ..CloudEvent::default()
        };
        if let Err(error) = event.check() {
            work.report(Finding::error(
                "invalid_schedule",
                path.clone(),
                error.to_string(),
            ));
        } else if scheduled.kind.starts_with(OWN_EVENTS) || scheduled.kind.len() > WORD_MAX {
            let message = format!("`{OWN_EVENTS}` is for the gateway's own events");
            work.report(Finding::error(
                "invalid_schedule",
                path.key("type"),
                message,
            ));
        }
        let (field, message) = match types.check(&event, false) {
            Ok(()) | Err(Refusal::Unregistered) => continue,
            Err(Refusal::Version(message)) => ("dataschema", message),
            Err(Refusal::Data(failures)) => {
                let told: Vec<String> = failures
                    .iter()
                    .map(|one| format!("`{}` {}", one.pointer, one.detail))
                    .collect();
                ("data", format!("breaks its schema: {}", told.join("; ")))
            }
        };
        work.report(Finding::error("invalid_schedule", path.key(field), message));
    }
}

/// The finding for what keeps events where there is no store.
pub(crate) fn store_missing(path: &Path, message: &'static str) -> Finding {
    Finding::error("store_missing", path.clone(), message)
        .help("add `gateway: { store: { engine: { sqlite: { path: ledger.db } } } }`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded_and_tell_events_apart() {
        assert_eq!(key("/shop", "1"), "/shop 1");
        let long = "x".repeat(5_000);
        assert_eq!(key("/shop", &long).len(), "sha256 ".len() + 64);
        assert_ne!(key("/shop", &long), key("/shop2", &long));
        assert!(key("@audit", "1").starts_with("sha256 "));
    }

    #[test]
    fn keys_say_their_environment() {
        let plain = key("/shop", "a b");
        assert_eq!(environment_of(&plain), None);
        let own = key_in("production", &plain);
        assert_eq!(environment_of(&own), Some("production"));
        assert_ne!(own, key_in("staging", &plain));
        let longest = key_in(&"e".repeat(255), &key("/shop", &"x".repeat(5_000)));
        assert!(longest.len() <= WORD_MAX, "{}", longest.len());
        let longest = key_in(&"e".repeat(255), &key("/", &"x".repeat(KEY_MAX - 2)));
        assert!(longest.len() <= WORD_MAX, "{}", longest.len());
    }
}
