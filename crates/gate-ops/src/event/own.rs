//! The gateway's own events: their types, the schemas of their data, and how they become CloudEvents.
//!
//! Each type has one struct; the schema that subscribers rely on follows from it and is committed in
//! the reference, so that a change shows. A change that breaks readers is a further version. Who
//! notices what happens, and that it is published once, is not known here.

use super::cloud::{CloudEvent, Data};
use jiff::Timestamp;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A type of the gateway's own events.
#[derive(Debug, Clone, Copy)]
pub struct OwnType {
    /// What stands in `type`.
    pub kind: &'static str,
    /// The version of its data.
    pub version: u32,
    /// What happened, as a sentence.
    pub summary: &'static str,
    /// The schema of its data.
    pub schema: fn() -> Value,
}

impl OwnType {
    /// What stands in `dataschema`.
    #[must_use]
    pub fn dataschema(&self) -> String {
        format!("urn:tidegate:event:{}:{}", self.kind, self.version)
    }
}

/// Data of an event of the gateway.
pub trait Own: Serialize {
    /// Its type.
    const TYPE: OwnType;
}

macro_rules! own_types {
    ($($name:ident = $kind:literal, $version:literal, $summary:literal;)+) => {
        $(impl Own for $name {
            const TYPE: OwnType = OwnType {
                kind: $kind,
                version: $version,
                summary: $summary,
                schema: schema::<$name>,
            };
        })+

        /// Every type of the gateway's own events.
        pub const TYPES: &[OwnType] = &[$($name::TYPE),+];
    };
}

own_types! {
    RevisionApplied = "tidegate.revision.applied", 1, "An environment has another revision in force.";
    RevisionRolledBack = "tidegate.revision.rolled_back", 1, "An environment went back: by a person, a rollout, or because nobody confirmed.";
    RolloutChanged = "tidegate.rollout.changed", 1, "A rollout began, was held, was promoted or was rolled back.";
    IncidentOpened = "tidegate.incident.opened", 1, "An incident was opened.";
    IncidentResolved = "tidegate.incident.resolved", 1, "An incident is over.";
    AlertRaised = "tidegate.alert.raised", 1, "An alert is on.";
    AlertCleared = "tidegate.alert.cleared", 1, "An alert is no longer on.";
    BudgetThreshold = "tidegate.budget.threshold", 1, "A budget has crossed one of its thresholds.";
    KeyExpiring = "tidegate.key.expiring", 1, "A consumer's key ends soon.";
    CertificateExpiring = "tidegate.certificate.expiring", 1, "A certificate ends soon.";
    EndpointEjected = "tidegate.endpoint.ejected", 1, "A gateway leaves an address of an upstream out, because it fails.";
    EndpointReturned = "tidegate.endpoint.returned", 1, "A gateway calls an address of an upstream again.";
    BreakerOpened = "tidegate.breaker.opened", 1, "A gateway passes over one of a provider's models, because it fails.";
    BreakerClosed = "tidegate.breaker.closed", 1, "A gateway calls one of a provider's models again.";
    JobDone = "tidegate.job.done", 1, "A job has come to its end.";
    DriftFound = "tidegate.drift.found", 1, "A gateway does not run what its file or its environment says, for ten seconds or more.";
    DriftMended = "tidegate.drift.mended", 1, "A gateway runs again what its file or its environment says.";
}

/// A revision came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RevisionApplied {
    /// The environment.
    pub environment: String,
    /// The environment's generation, which grows with each change.
    pub generation: u64,
    /// The revision in force since.
    pub revision: u64,
    /// SHA-256 of what it holds, in hexadecimal.
    pub digest: String,
    /// Who did it.
    pub actor: String,
    /// Why: `apply`, `edit`, `promote`, `rotate`.
    pub cause: String,
    /// What its author said.
    pub message: String,
}

/// An environment went back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RevisionRolledBack {
    /// The environment.
    pub environment: String,
    /// The environment's generation, which grows with each change.
    pub generation: u64,
    /// The revision in force since: a new one that holds what an older one held.
    pub revision: u64,
    /// SHA-256 of what it holds, in hexadecimal.
    pub digest: String,
    /// Who did it.
    pub actor: String,
    /// Why: `rollback`, `auto_rollback`, `revert`.
    pub cause: String,
    /// What was said of it.
    pub message: String,
}

/// A rollout has another state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RolloutChanged {
    /// The environment.
    pub environment: String,
    /// The rollout.
    pub rollout: String,
    /// The revision that is tried.
    pub candidate: u64,
    /// The revision that it is compared with.
    pub control: Option<u64>,
    /// `running`, `held`, `promoted`, `rolled_back`.
    pub state: String,
}

/// An incident was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IncidentOpened {
    /// The environment.
    pub environment: String,
    /// The incident.
    pub incident: String,
    /// Routes that it touches, as far as is known.
    pub routes: Vec<String>,
    /// When it was opened (RFC 3339).
    pub opened: String,
}

/// An incident is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IncidentResolved {
    /// The environment.
    pub environment: String,
    /// The incident.
    pub incident: String,
    /// Routes that it touched, as far as is known.
    pub routes: Vec<String>,
    /// When it was opened (RFC 3339).
    pub opened: String,
}

/// An alert is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertRaised {
    /// The environment.
    pub environment: String,
    /// What tells it from others.
    pub labels: BTreeMap<String, String>,
    /// In words.
    pub text: String,
    /// Since when (RFC 3339).
    pub since: String,
}

/// An alert is no longer on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertCleared {
    /// The environment.
    pub environment: String,
    /// What tells it from others.
    pub labels: BTreeMap<String, String>,
    /// In words.
    pub text: String,
    /// Since when it was on (RFC 3339).
    pub since: String,
}

/// A budget has crossed a threshold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BudgetThreshold {
    /// The budget.
    pub budget: String,
    /// When its period began (RFC 3339).
    pub period: String,
    /// What was crossed: millionths of a millionth of a dollar, or tokens, as the budget
    /// counts.
    pub threshold: i64,
    /// What is settled, in the same unit.
    pub settled: i64,
    /// What was charged besides for calls of gateways that died, in the same unit.
    pub unsettled: i64,
}

/// A key ends soon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyExpiring {
    /// The consumer and the key's name, as `shop/main`.
    pub key: String,
    /// When it ends (RFC 3339, or a day).
    pub ends: String,
}

/// A certificate ends soon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CertificateExpiring {
    /// Which one.
    pub certificate: String,
    /// When it ends (RFC 3339, or a day).
    pub ends: String,
}

/// An address is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EndpointEjected {
    /// The gateway that leaves it out; others decide for themselves.
    pub gateway: String,
    /// The upstream.
    pub upstream: String,
    /// The address.
    pub address: String,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// An address is called again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EndpointReturned {
    /// The gateway that calls it again.
    pub gateway: String,
    /// The upstream.
    pub upstream: String,
    /// The address.
    pub address: String,
}

/// A provider's model is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BreakerOpened {
    /// The gateway that passes it over; others decide for themselves.
    pub gateway: String,
    /// The provider.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// A provider's model is called again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BreakerClosed {
    /// The gateway that calls it again.
    pub gateway: String,
    /// The provider.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
}

/// A job has come to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct JobDone {
    /// The job.
    pub job: String,
    /// What people call it; empty where they do not.
    pub name: String,
    /// The queue that it was in.
    pub queue: String,
    /// How it ended: `succeeded`, `failed`, `cancelled`, `expired`.
    pub state: String,
    /// Items of it.
    pub items: u64,
    /// How many of them failed.
    pub failed: u64,
}

/// A gateway does not run what it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DriftFound {
    /// The gateway.
    pub gateway: String,
    /// The environment that it follows; `file` where it follows none.
    pub environment: String,
    /// What says what it should run: `file` (its own) or `revision` (its environment's).
    pub of: String,
    /// SHA-256 of what it should run, in hexadecimal: of the file's bytes, or of what the revision
    /// holds. Empty where the file cannot be read.
    pub wanted: String,
    /// The same of what it runs instead; empty where nothing was ever in force.
    pub running: String,
    /// The number of the revision that it should run; none for files.
    pub revision: Option<u64>,
    /// Why it does not run it, for people; 4 KiB at most.
    pub reason: String,
    /// Since when (RFC 3339).
    pub since: String,
}

/// A gateway runs what it should again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DriftMended {
    /// The gateway.
    pub gateway: String,
    /// The environment that it follows; `file` where it follows none.
    pub environment: String,
    /// What says what it should run: `file` (its own) or `revision` (its environment's).
    pub of: String,
    /// SHA-256 of what it did not run, in hexadecimal, as it was last told.
    pub wanted: String,
    /// Since when it did not (RFC 3339).
    pub since: String,
}

fn schema<T: JsonSchema>() -> Value {
    // What is written always has every member: that is what readers may rely on.
    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12().for_serialize());
    generator.root_schema_for::<T>().to_value()
}

/// An event of the gateway as a CloudEvent.
///
/// `source` is where it happened, below `urn:tidegate:`; with `id` it is the same whichever gateway
/// tells of it. `at_ms` is when, in UNIX milliseconds.
#[must_use]
pub fn event<T: Own>(
    source: &str,
    id: impl Into<String>,
    subject: &str,
    at_ms: i64,
    data: &T,
) -> CloudEvent {
    let json = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
    CloudEvent {
        id: id.into(),
        source: encoded(&format!("urn:tidegate:{source}")),
        kind: T::TYPE.kind.to_owned(),
        subject: (!subject.is_empty()).then(|| subject.to_owned()),
        time: time(at_ms),
        content_type: Some("application/json".to_owned()),
        schema: Some(T::TYPE.dataschema()),
        data: Data::Json(json.into()),
        ..CloudEvent::default()
    }
}

/// A time as RFC 3339 has it; none for what no calendar has.
#[must_use]
pub fn time(at_ms: i64) -> Option<String> {
    Timestamp::from_millisecond(at_ms)
        .ok()
        .map(|at| at.to_string())
}

/// A source without what a URI may not have.
#[must_use]
pub fn encoded(source: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(source.len());
    for byte in source.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => out.push(char::from(byte)),
            b'-' | b'.' | b'_' | b'~' | b':' | b'/' => out.push(char::from(byte)),
            byte => {
                // Writing to a string does not fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_contract::cloud::{Limits, read_structured, write_structured};

    #[test]
    fn types_are_told_apart_and_their_schemas_hold_of_their_data() {
        let mut seen = std::collections::HashSet::new();
        for own in TYPES {
            assert!(
                own.kind.starts_with("tidegate.") && seen.insert(own.kind),
                "{own:?}"
            );
            assert!(own.summary.ends_with('.'), "{own:?}");
            let schema = (own.schema)();
            let schema = gate_contract::event::compile(schema.as_object().unwrap());
            let schema = schema.unwrap_or_else(|problem| panic!("{}: {problem}", own.kind));
            assert!(
                !schema.holds(&serde_json::json!({})),
                "{} asks for nothing",
                own.kind
            );
        }
    }

    #[test]
    fn an_event_is_valid_and_keeps_to_its_schema_whatever_its_names() {
        let data = RolloutChanged {
            environment: "ein Haus mit ä".into(),
            rollout: "r1".into(),
            candidate: 2,
            control: None,
            state: "held".into(),
        };
        let source = format!("environment:{}", data.environment);
        let made = event(&source, "rollout/r1/3", "r1", 1_795_262_400_123, &data);
        assert_eq!(made.check(), Ok(()));
        assert_eq!(made.time.as_deref(), Some("2026-11-21T12:00:00.123Z"));
        let mut json = Vec::new();
        write_structured(&made, &mut json);
        let read = read_structured(&json, &Limits::default()).unwrap();
        assert_eq!(read, made);
        let Data::Json(text) = read.data else {
            panic!("it has data")
        };
        let schema = (RolloutChanged::TYPE.schema)();
        let schema = gate_contract::event::compile(schema.as_object().unwrap()).unwrap();
        assert!(schema.holds(&serde_json::from_str(&text).unwrap()));
    }
}
