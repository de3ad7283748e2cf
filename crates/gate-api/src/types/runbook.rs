//! Runbooks, their runs, and actions in force.

use gate_model::resources::GatewayAction;
use gate_model::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A runbook of the configuration in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct RunbookState {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// Its steps, by name.
    pub steps: Vec<String>,
    /// What starts it besides people, in words.
    pub triggers: Vec<String>,
    /// Whether somebody has to agree to a run.
    pub needs_approval: bool,
    /// The run that is under way, or else the last one.
    pub last: Option<RunSummary>,
}

/// A run in short.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct RunSummary {
    /// Its id.
    pub id: String,
    /// Its runbook.
    pub runbook: String,
    /// What it awaits (`awaits_precondition`, `awaits_approval`, `awaits_step`, `awaits_answer`,
    /// `awaits_postcondition`, `awaits_undo`), or how it ended (`done`, `not_needed`, `failed`,
    /// `unknown`, `cancelled`).
    pub state: String,
    /// Whether it has ended.
    pub is_over: bool,
    /// What started it, in words.
    pub cause: String,
    /// The incident that started it.
    pub incident: Option<String>,
    /// Whether it only says what it would do.
    pub dry_run: bool,
    /// When it began.
    pub began: String,
    /// When it ended.
    pub ended: Option<String>,
}

/// A run with all that is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct RunDetail {
    /// In short.
    pub run: RunSummary,
    /// Its key.
    pub key: String,
    /// Its steps, by name.
    pub steps: Vec<String>,
    /// How many of them are done.
    pub done: u64,
    /// The question that it awaits an answer to.
    pub question: Option<String>,
    /// What may be answered.
    pub answers: Vec<String>,
    /// Actions that it began and that were not undone by it.
    pub actions: Vec<String>,
    /// What was seen and done.
    pub lines: Vec<RunLine>,
    /// Lines that found no place.
    pub lines_left_out: u64,
}

/// Something that was seen or done in a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct RunLine {
    /// When.
    pub at: String,
    /// Of what: `start`, `precondition`, `approval`, the name of a step, `postcondition`, `undo`, `end`.
    pub of: String,
    /// What.
    pub text: String,
}

/// Starts a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunInput {
    /// Of the same runbook, a key starts one run, ever; a random one when left out.
    pub key: Option<String>,
    /// Says what it would do, and does nothing.
    pub dry_run: bool,
    /// Why.
    pub reason: String,
}

/// Answers the question of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerInput {
    /// One of its answers.
    pub answer: String,
}

/// An action in force.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct ActState {
    /// What it is undone by.
    pub id: String,
    /// What is done.
    pub action: GatewayAction,
    /// The same in words.
    pub text: String,
    /// Since when.
    pub since: String,
    /// When it undoes itself.
    pub until: String,
    /// Who began it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The run that began it.
    pub run: Option<String>,
}

/// Begins an action.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActInput {
    /// What is done.
    pub action: GatewayAction,
    /// For how long; then it undoes itself. From 1s to 24h.
    #[serde(rename = "for")]
    pub lasts: Period,
    /// Why.
    pub reason: String,
}
