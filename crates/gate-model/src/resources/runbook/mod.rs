//! Runbooks: what is done when something is wrong, step by step, and what must be so before and after.

mod problems;

pub use problems::RunbookProblem;

use super::action::GatewayAction;
use crate::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Steps that are taken when something is wrong, by people or by the gateway itself.
///
/// A run looks at its precondition first, waits for its approval where it needs one, takes its steps in
/// order, and then asks the traffic whether that helped. Where a step fails, the postcondition does not
/// hold, or somebody cancels the run, the actions that it began are undone. Every run is kept with
/// what each step showed. A run goes on with the runbook as it was when the run began.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Runbook {
    /// What it is for, in a sentence for whoever is called at night.
    pub about: String,
    /// What starts it besides people. Nothing does when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<RunbookTrigger>,
    /// What must be so before anything is done; a run for which it is not so ends, because it is not
    /// needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precondition: Option<Check>,
    /// Who must agree before a step is taken; nobody when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// What is done, in order.
    pub steps: Vec<RunbookStep>,
    /// What must be so afterwards, in traffic that came after the last step. Required where a step
    /// acts on the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postcondition: Option<Check>,
    /// How long after the end of a run triggers start no other. People may.
    #[serde(default = "pause")]
    pub pause: Period,
}

fn pause() -> Period {
    Period::from_seconds(600)
}

/// What starts a runbook by itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RunbookTrigger {
    /// An incident that fits all that is named: once for each incident.
    Incident {
        /// It is about this route.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        route: Option<String>,
        /// It is about this objective.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        objective: Option<String>,
        /// What opened it: `suspicion`, `rollback`, `page`, or another word of incidents.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        opening: Option<String>,
        /// It is at least this bad; 1 is the worst, 4 the least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        severity: Option<u8>,
    },
    /// Something that the gateway knows has happened: once for each time it does.
    Event {
        /// What.
        name: RunbookEvent,
        /// Of this upstream, route or objective only; of any when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<String>,
    },
}

/// Things that happen.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RunbookEvent {
    /// An endpoint of an upstream was left out for failing.
    EndpointEjected,
    /// An endpoint of an upstream does not pass its health check any more.
    EndpointUnhealthy,
    /// A revision was taken back.
    RevisionRolledBack,
    /// An objective has spent half of its error budget.
    BudgetHalfSpent,
    /// An objective has spent its error budget.
    BudgetSpent,
}

impl RunbookEvent {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            RunbookEvent::EndpointEjected => "endpoint_ejected",
            RunbookEvent::EndpointUnhealthy => "endpoint_unhealthy",
            RunbookEvent::RevisionRolledBack => "revision_rolled_back",
            RunbookEvent::BudgetHalfSpent => "budget_half_spent",
            RunbookEvent::BudgetSpent => "budget_spent",
        }
    }
}

/// A question to real traffic: what was counted over a window, held against an expression.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Whose traffic; all of it when nothing is named.
    #[serde(default)]
    pub of: CheckOf,
    /// The window, from a second to 10 minutes. That of a postcondition begins behind the last step.
    #[serde(default = "over")]
    pub over: Period,
    /// Exchanges (tries, for an endpoint) that must have ended in it; with fewer there is no answer.
    #[serde(default = "least")]
    pub least: u64,
    /// What must hold, as a CEL expression over `total`, `bad`, `share` (of bad ones, from 0 to 1),
    /// `p50_ms`, `p99_ms`, `endpoints` and `available` (endpoints, and those that may be called) and
    /// `objectives` by name, each with `rate` (how many times as fast as allowed its budget burns),
    /// `spent` (share of its budget) and `is_on` (whether it alarms). Bad are exchanges with a status
    /// from 500 on or a fault that is not the caller's.
    pub holds: String,
    /// How long it may take until it holds over enough traffic; after that it does not hold.
    #[serde(default = "within")]
    pub within: Period,
}

fn over() -> Period {
    Period::from_seconds(30)
}

fn least() -> u64 {
    20
}

fn within() -> Period {
    Period::from_seconds(120)
}

/// Whose traffic a check looks at; at most one of these, and `endpoint` beside `upstream`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CheckOf {
    /// Exchanges of this route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Exchanges that this upstream was called for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Tries at this one of its endpoints, as its text there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Exchanges that this provider answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// Who must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Approval {
    /// Whether whoever started the run may agree to it.
    pub by_starter: bool,
    /// How long is waited; the run ends then.
    pub within: Period,
}

impl Default for Approval {
    fn default() -> Self {
        Self {
            by_starter: false,
            within: Period::from_seconds(3600),
        }
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunbookStep {
    /// What it is called in records.
    pub name: String,
    /// What is done.
    #[serde(rename = "do")]
    pub work: StepWork,
    /// Whether it may be done again where a gateway died in the middle of it. Checks, actions and
    /// questions may always; of a command that may not, nobody knows then what it has done, and the
    /// run ends.
    #[serde(default)]
    pub idempotent: bool,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StepWork {
    /// Asks the traffic; the run fails where it does not hold.
    Check(Check),
    /// Runs a program of this machine that `gateway.runbooks.commands` names. It gets no shell and no
    /// environment but `PATH=/usr/bin:/bin` and `TIDEGATE_RUN`, the run's id.
    Command {
        /// The program, as an absolute path.
        program: PathBuf,
        /// Its arguments.
        #[serde(default)]
        arguments: Vec<String>,
        /// How long it may take; it is killed then, and the step has failed. An hour at most.
        #[serde(default = "timeout")]
        timeout: Period,
    },
    /// Acts on the gateway, for a while.
    Act {
        /// What.
        action: GatewayAction,
        /// For how long; then it undoes itself. A day at most.
        #[serde(rename = "for")]
        lasts: Period,
    },
    /// Asks people, who are told by `notifications`.
    Ask {
        /// What.
        question: String,
        /// What may be answered.
        answers: Vec<String>,
        /// Answers with which the run goes on; with others it ends. All of them when left out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        goes_on: Vec<String>,
        /// How long is waited; the run fails then.
        #[serde(default = "an_hour")]
        within: Period,
    },
}

fn timeout() -> Period {
    Period::from_seconds(60)
}

fn an_hour() -> Period {
    Period::from_seconds(3600)
}

impl StepWork {
    /// Its word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            StepWork::Check(_) => "check",
            StepWork::Command { .. } => "command",
            StepWork::Act { .. } => "act",
            StepWork::Ask { .. } => "ask",
        }
    }
}

/// What runbooks may do on this machine; nothing of it when left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunbookSettings {
    /// Programs that steps may run, as absolute paths. A document of an environment cannot name them
    /// for itself: this stands in the gateway's own file.
    pub commands: Vec<RunbookCommand>,
}

/// A program that steps may run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunbookCommand {
    /// Its absolute path.
    pub program: PathBuf,
    /// What its arguments must begin with, each as a whole; anything when left out.
    #[serde(default)]
    pub arguments: Vec<String>,
}

impl RunbookSettings {
    /// Whether a program may be run with these arguments.
    #[must_use]
    pub fn allows(&self, program: &std::path::Path, arguments: &[String]) -> bool {
        let fits =
            |one: &RunbookCommand| one.program == program && arguments.starts_with(&one.arguments);
        program.is_absolute() && self.commands.iter().any(fits)
    }
}
