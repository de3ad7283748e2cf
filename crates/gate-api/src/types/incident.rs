//! Incidents, their postmortems and what is to be done after them.

use super::GameDay;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where an incident is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncidentLife {
    /// Something burns.
    #[default]
    Detected,
    /// How bad it is has been judged.
    Triaged,
    /// Something was done and it burns no more as it did.
    Mitigated,
    /// It has been quiet since.
    Resolved,
    /// What is to be learnt has been written down.
    Reviewed,
}

impl IncidentLife {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Detected => "detected",
            Self::Triaged => "triaged",
            Self::Mitigated => "mitigated",
            Self::Resolved => "resolved",
            Self::Reviewed => "reviewed",
        }
    }
}

/// Parts that people take.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum IncidentRole {
    /// Decides.
    #[default]
    Commander,
    /// Speaks to those outside.
    Communications,
    /// Acts.
    Operations,
}

impl IncidentRole {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Commander => "commander",
            Self::Communications => "communications",
            Self::Operations => "operations",
        }
    }
}

/// Whether a hypothesis has held so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HypothesisStanding {
    /// Nobody knows.
    #[default]
    Open,
    /// Somebody found that it explains the facts.
    Supported,
    /// Somebody found that it does not.
    Refuted,
}

/// An incident, as a list shows it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct IncidentSummary {
    /// Its identity.
    pub id: String,
    /// Where it is in its life.
    pub life: IncidentLife,
    /// How bad it is, from 1, the worst, to 4; absent before that is known.
    pub severity: Option<u8>,
    /// What is known of it, in a sentence.
    pub headline: String,
    /// What opened it: `suspicion`, `rollback`, `page`, `experiment`.
    pub opening: String,
    /// The experiment that made it; absent for a real one.
    pub experiment: Option<String>,
    /// When it began.
    #[schemars(extend("format" = "date-time"))]
    pub began: String,
    /// When it was opened.
    #[schemars(extend("format" = "date-time"))]
    pub opened: String,
    /// When it was over.
    #[schemars(extend("format" = "date-time"))]
    pub recovered: Option<String>,
    /// Objectives that burn.
    pub objectives: Vec<String>,
    /// Routes that it is about.
    pub routes: Vec<String>,
    /// Revisions that it is about.
    pub revisions: Vec<String>,
    /// How many signals joined.
    pub signals: u64,
    /// Exchanges since it began.
    pub total: u64,
    /// Those of them that failed.
    pub bad: u64,
    /// Consumers that had one of these.
    pub consumers: u64,
    /// Share of the error budget that was spent, from 0 to 1.
    pub budget_spent: f64,
    /// What failed exchanges cost, in US dollars as decimal text.
    pub cost: String,
}

/// All that is known of an incident.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct IncidentDetail {
    /// The row.
    pub incident: IncidentSummary,
    /// Whether it outlives the gateway's process.
    pub is_durable: bool,
    /// What is so, in the order of time.
    pub facts: Vec<IncidentFact>,
    /// Facts that found no place.
    pub facts_left_out: u64,
    /// What could be so.
    pub hypotheses: Vec<IncidentHypothesis>,
    /// Who has which role.
    pub roles: BTreeMap<String, String>,
    /// Words to the public, in order.
    pub updates: Vec<IncidentUpdate>,
    /// Exchanges by second.
    pub series: Vec<IncidentSecond>,
    /// Earlier incidents that were alike, the most alike first.
    pub similar: Vec<SimilarIncident>,
    /// `draft` or `published`, where somebody began a postmortem.
    pub postmortem: Option<String>,
    /// What was noticed, where an experiment makes it.
    pub game_day: Option<GameDay>,
}

/// Something that is so.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct IncidentFact {
    /// Its number in the incident.
    pub id: u32,
    /// When it was so.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// What kind of fact: `revision`, `onset`, `first_bad`, `evidence`, `signal`, `impact`, `action`,
    /// `failover`, `recovery`, `experiment`, `life`.
    pub kind: String,
    /// In words.
    pub text: String,
    /// The path, below `/api`, of what shows it.
    pub link: String,
    /// Logarithm of the evidence, of a fact about evidence.
    pub log_evidence: Option<f64>,
}

/// Something that could be so.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct IncidentHypothesis {
    /// Its number in the incident, from 1.
    pub number: u64,
    /// In a sentence.
    pub text: String,
    /// Where it would be: any of these places.
    pub cell: Vec<BTreeMap<String, String>>,
    /// Share of the excess of failures that it would explain, from 0 to 1.
    pub explained: f64,
    /// Whether it has held.
    pub standing: HypothesisStanding,
    /// Numbers of the facts that speak about it.
    pub facts: Vec<u32>,
}

/// A word to the public.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct IncidentUpdate {
    /// When.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// Where the incident was.
    pub life: IncidentLife,
    /// The word.
    pub text: String,
}

/// Exchanges of one second.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct IncidentSecond {
    /// Its beginning.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// All.
    pub total: u64,
    /// Those that failed.
    pub bad: u64,
}

/// An earlier incident that was alike.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct SimilarIncident {
    /// Its identity.
    pub id: String,
    /// What both had, of what either had; from 0 to 1.
    pub share: f64,
    /// What both had.
    pub common: Vec<String>,
}

/// What becomes of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IncidentLifeInput {
    /// Where it is from now on; as it is when left out.
    pub life: Option<IncidentLife>,
    /// How bad it is, from 1, the worst, to 4.
    pub severity: Option<u8>,
    /// As whom this is said.
    pub role: IncidentRole,
}

/// Who takes a role.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IncidentRoleInput {
    /// The role.
    pub role: IncidentRole,
    /// Who has it from now on.
    pub who: String,
}

/// A text about an incident.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IncidentTextInput {
    /// The text.
    pub text: String,
    /// As whom this is said.
    #[serde(default)]
    pub role: IncidentRole,
}

/// Something that could be so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HypothesisInput {
    /// In a sentence.
    pub text: String,
    /// Numbers of the facts that speak about it; at least one.
    pub facts: Vec<u32>,
}

/// Whether a hypothesis has held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StandingInput {
    /// Whether.
    pub standing: HypothesisStanding,
}

/// Where an action item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionItemState {
    /// To be done.
    #[default]
    Open,
    /// Done.
    Done,
    /// Will not be done.
    Dropped,
}

impl ActionItemState {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Dropped => "dropped",
        }
    }
}

/// What people add to the facts of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PostmortemInput {
    /// In a few sentences, for somebody who was not there.
    pub overview: String,
    /// What made it possible, made it worse, or kept it from being worse.
    pub contributing: Vec<String>,
    /// What went well.
    pub well: Vec<String>,
    /// What did not.
    pub badly: Vec<String>,
    /// What is to be done.
    pub actions: Vec<ActionInput>,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionInput {
    /// What.
    pub text: String,
    /// The team that does it: never a person.
    pub team: String,
    /// Where it is.
    #[serde(default)]
    pub state: ActionItemState,
    /// Until which day, such as `2026-12-01`.
    #[serde(default)]
    pub due: Option<String>,
}

/// A postmortem.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Postmortem {
    /// Its incident.
    pub incident: String,
    /// `draft` or `published`.
    pub state: String,
    /// What people added.
    pub narrative: PostmortemInput,
    /// The text, in Markdown; what was published where it was.
    pub markdown: String,
    /// The same as a page that prints, with its curves.
    pub html: String,
    /// What must be written differently before it is published.
    pub objections: Vec<PostmortemObjection>,
}

/// Something that must be written differently.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct PostmortemObjection {
    /// Line of the text, from 1.
    pub line: u64,
    /// The words.
    pub words: String,
    /// What to write instead.
    pub advice: String,
}

/// Something to be done after an incident, which is followed until it is closed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ActionItem {
    /// The incident.
    pub incident: String,
    /// Its number there, from 1.
    pub number: u64,
    /// What.
    pub text: String,
    /// The team that does it.
    pub team: String,
    /// Where it is.
    pub state: ActionItemState,
    /// Until which day.
    pub due: Option<String>,
}

/// Where an action item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionItemInput {
    /// Where.
    pub state: ActionItemState,
}

/// The public status page as this gateway serves it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct StatusPreview {
    /// The heading.
    pub title: String,
    /// The page.
    pub html: String,
    /// Whether a route serves it.
    pub is_served: bool,
}
