//! Types of events that callers publish, with the schemas of their data.

use crate::units::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What the types of the gateway's own events begin with: nobody else publishes them.
pub const OWN_EVENTS: &str = "tidegate.";

/// A type of events that callers publish, by what stands in their attribute `type`.
///
/// The data of events is held against the schema of their version before they are taken. An event
/// names its version in `dataschema`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventType {
    /// What happened, for people.
    pub summary: String,
    /// Versions of its data by number: `1`, `2` ... What breaks those who read a version is another
    /// version; `plan` says so. Without any, all data is taken.
    pub versions: BTreeMap<String, EventVersion>,
    /// Which version events follow that name none.
    pub unnamed: UnnamedVersion,
}

/// A version of a type of events.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventVersion {
    /// What events of this version have in `dataschema`, an absolute URI. When left out,
    /// `urn:tidegate:event:TYPE:NUMBER`.
    #[serde(default)]
    pub dataschema: Option<String>,
    /// The schema of the data: JSON Schema 2020-12 that refers to nothing outside of itself.
    pub schema: Map<String, Value>,
}

/// Which version events follow that name none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnnamedVersion {
    /// The lowest, so that who never named one keeps what they began with.
    #[default]
    Oldest,
    /// The highest.
    Newest,
    /// None: such events are refused.
    Refuse,
}

impl EventType {
    /// Its versions by number, the lowest first; what is no number is left out.
    #[must_use]
    pub fn numbered(&self) -> BTreeMap<u32, &EventVersion> {
        let number = |(name, version): (&String, _)| Some((name.parse().ok()?, version));
        self.versions.iter().filter_map(number).collect()
    }
}

impl EventVersion {
    /// What events of this version have in `dataschema`.
    #[must_use]
    pub fn uri(&self, kind: &str, number: u32) -> String {
        match &self.dataschema {
            Some(uri) => uri.clone(),
            None => format!("urn:tidegate:event:{kind}:{number}"),
        }
    }
}

/// Where callers publish events: CloudEvents 1.0 by POST, in binary, structured (JSON) or batch
/// (JSON) mode. It answers once they are safe in the journal of `gateway.store`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventIntake {
    /// Types that may be published here, whole or with `*` at the end; all when empty, but never
    /// those of the gateway itself (`tidegate.*`), except by `gateways`.
    pub types: Vec<String>,
    /// Sources that may be published here, whole or with `*` at the end; all when empty.
    pub sources: Vec<String>,
    /// Consumers that are other gateways: these alone may hand on what a gateway publishes of itself
    /// (types `tidegate.*`, sources `urn:tidegate:*`).
    pub gateways: Vec<String>,
    /// Whether only types of `event_types` are taken.
    pub registered_only: bool,
    /// Most bytes of one event, at most 1 MiB.
    pub event: ByteSize,
    /// Most events of a batch, at most 1,000.
    pub batch_events: u32,
    /// Most bytes of a batch, at most 8 MiB.
    pub batch: ByteSize,
}

impl EventIntake {
    /// Most bytes of one event.
    pub const EVENT_MAX: u64 = 1 << 20;
    /// Most events of a batch.
    pub const BATCH_EVENTS_MAX: u32 = 1_000;
    /// Most bytes of a batch.
    pub const BATCH_MAX: u64 = 8 << 20;
}

impl Default for EventIntake {
    fn default() -> Self {
        Self {
            types: Vec::new(),
            sources: Vec::new(),
            gateways: Vec::new(),
            registered_only: false,
            event: ByteSize::from_bytes(Self::EVENT_MAX),
            batch_events: Self::BATCH_EVENTS_MAX,
            batch: ByteSize::from_bytes(Self::BATCH_MAX),
        }
    }
}
