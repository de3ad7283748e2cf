//! Plans: what a document would change, what is wrong with it, and what it would do to traffic.

use gate_model::finding as model;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a document would change. Secrets are never in it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Plan {
    /// The revision that it was compared with.
    pub base: Option<u64>,
    /// The digest that the environment's resources would have.
    pub digest: String,
    /// What would change, by kind and name.
    pub changes: Vec<Change>,
    /// What is wrong or doubtful.
    pub findings: Vec<Finding>,
    /// What it would have done to the traffic that was recorded.
    pub effect: Option<Effect>,
    /// Whether it may be applied.
    pub verdict: Verdict,
}

impl Plan {
    /// Whether applying it would change anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// Whether a plan may be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing stands against it.
    Allowed,
    /// A finding of severity `error` stands against it.
    Forbidden,
}

/// What happens to one resource.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Change {
    /// Its kind, such as `routes`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What happens to it.
    pub action: Action,
    /// The fields that differ; for a new or removed resource, one with an empty path.
    pub fields: Vec<FieldChange>,
}

/// What happens to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is removed.
    Delete,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct FieldChange {
    /// Where, from the resource on: `match.path`, `policies[0].limit.rate`.
    pub path: String,
    /// What it was; absent where there was none, `"(hidden)"` where it may be a secret.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub before: Option<Value>,
    /// What it becomes; absent where it goes away, `"(hidden)"` where it may be a secret.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub after: Option<Value>,
}

/// A field that is there, also when it is null.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// One thing that is wrong or doubtful.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub struct Finding {
    /// Stable name of the kind of finding; each has a page in the docs.
    pub code: String,
    /// How grave it is.
    pub severity: Severity,
    /// The value that it is about, such as `routes.orders.match`; empty for the document itself.
    pub path: String,
    /// What was found, in one sentence.
    pub message: String,
    /// What would be right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Finding {
    /// An error about the value at `path`.
    #[must_use]
    pub fn error(code: &str, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            severity: Severity::Error,
            path: path.into(),
            message: message.into(),
            expected: None,
            help: None,
        }
    }

    /// The same as a warning.
    #[must_use]
    pub fn as_warning(self) -> Self {
        let severity = Severity::Warning;
        Self { severity, ..self }
    }

    /// Says what to do.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        let help = Some(help.into());
        Self { help, ..self }
    }
}

impl From<&model::Finding> for Finding {
    fn from(finding: &model::Finding) -> Self {
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        Self {
            code: finding.code.to_owned(),
            severity: match finding.severity {
                model::Severity::Error => Severity::Error,
                model::Severity::Warning => Severity::Warning,
            },
            path: finding.path.to_string(),
            message: finding.message.to_string(),
            expected: text(&finding.expected),
            help: text(&finding.help),
        }
    }
}

/// Several findings, as `lint` and `check` report them.
pub type Findings = Vec<Finding>;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The document is refused.
    Error,
    /// It is applied; a person should look.
    Warning,
    /// Good to know.
    Info,
}

/// What a document would have done to the traffic that was recorded.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Effect {
    /// How many records were replayed.
    pub records: u64,
    /// When the first of them was made.
    #[schemars(extend("format" = "date-time"))]
    pub from: Option<String>,
    /// When the last of them was made.
    #[schemars(extend("format" = "date-time"))]
    pub to: Option<String>,
    /// What would have come out differently.
    pub changed: Vec<EffectChange>,
    /// What cannot be told, because the records do not hold what the document reads.
    pub unknown: Unknown,
    /// How many would have come out the same in every respect.
    pub unchanged: u64,
}

/// One respect in which requests would have come out differently.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct EffectChange {
    /// The respect.
    pub what: What,
    /// How many records.
    pub count: u64,
    /// Their share of all that were replayed.
    pub share: f64,
    /// Up to five of them.
    pub examples: Vec<Example>,
    /// What all of them come to, where they can be summed up: their cost, as `$1.25`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What all of them would come to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// In what respect a request comes out differently.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Another route serves it, or none.
    Route,
    /// Another version serves it.
    Version,
    /// A policy answers differently.
    Verdict,
    /// Another provider serves it.
    Provider,
    /// It costs something else.
    Cost,
}

/// One request that comes out differently.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Example {
    /// The record.
    pub record: String,
    /// What was asked, such as `GET api.example.com/orders/7`.
    pub request: String,
    /// How it came out.
    pub before: String,
    /// How it would come out.
    pub after: String,
}

/// What cannot be told from the records.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Unknown {
    /// How many records.
    pub count: u64,
    /// Their share of all that were replayed.
    pub share: f64,
    /// What the document reads that the records do not hold.
    pub reads: Vec<String>,
}
