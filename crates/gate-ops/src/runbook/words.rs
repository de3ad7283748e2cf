//! What a run consists of, and what is said about it.

use gate_model::resources::{Check, GatewayAction, RunbookStep};
use serde::{Deserialize, Serialize};

/// The line that says that a step was begun.
pub(super) const BEGUN: &str = "begun";

/// What started a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A person.
    Person {
        /// Who.
        who: String,
        /// Why.
        reason: String,
    },
    /// An incident.
    Incident {
        /// Which.
        id: String,
    },
    /// Something that happened.
    Event {
        /// What.
        name: String,
        /// To what.
        of: String,
    },
}

impl Cause {
    /// Whether a person started it.
    #[must_use]
    pub const fn is_a_person(&self) -> bool {
        matches!(self, Cause::Person { .. })
    }

    /// In a few words.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Cause::Person { who, reason } if reason.is_empty() => format!("by {who}"),
            Cause::Person { who, reason } => format!("by {who}: {reason}"),
            Cause::Incident { id } => format!("by incident {id}"),
            Cause::Event { name, of } => format!("by event {name} of {of}"),
        }
    }
}

/// What a run awaits, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// That its precondition holds.
    AwaitsPrecondition,
    /// That somebody agrees.
    AwaitsApproval,
    /// That the step at its place is done.
    AwaitsStep,
    /// That somebody answers the question at its place.
    AwaitsAnswer,
    /// That its postcondition holds.
    AwaitsPostcondition,
    /// That what it began is undone.
    AwaitsUndo,
    /// All of it was done, and its postcondition held.
    Done,
    /// Its precondition did not hold; nothing was done.
    NotNeeded,
    /// A step failed, nobody agreed, or its postcondition did not hold.
    Failed,
    /// Nobody knows what became of a step; people have to look.
    Unknown,
    /// Somebody ended it.
    Cancelled,
}

impl State {
    /// Whether nothing follows.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(
            self,
            State::Done | State::NotNeeded | State::Failed | State::Unknown | State::Cancelled
        )
    }

    /// The word used in the store and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            State::AwaitsPrecondition => "awaits_precondition",
            State::AwaitsApproval => "awaits_approval",
            State::AwaitsStep => "awaits_step",
            State::AwaitsAnswer => "awaits_answer",
            State::AwaitsPostcondition => "awaits_postcondition",
            State::AwaitsUndo => "awaits_undo",
            State::Done => "done",
            State::NotNeeded => "not_needed",
            State::Failed => "failed",
            State::Unknown => "unknown",
            State::Cancelled => "cancelled",
        }
    }
}

/// Something that was seen or done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When, in UNIX milliseconds.
    pub at_ms: u64,
    /// Of what: `start`, `precondition`, `approval`, the name of a step, `postcondition`, `undo`, `end`.
    pub of: String,
    /// What: the evidence.
    pub text: String,
}

/// A step that was begun and is not known to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Its place.
    pub place: usize,
    /// When, in UNIX milliseconds.
    pub at_ms: u64,
    /// Who does it: one life of a gateway.
    pub by: String,
    /// The how-manieth time.
    pub times: u32,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Order<'a> {
    /// Nothing but to wait.
    Wait,
    /// Look at the traffic, from this time on at the earliest, in UNIX milliseconds.
    Look {
        /// The check.
        check: &'a Check,
        /// Traffic before does not count.
        from_ms: u64,
    },
    /// [Begin](Run::begin) the step at the run's place, store that, and run this program.
    Command {
        /// The step.
        step: &'a RunbookStep,
    },
    /// Begin the step, put this in force for that long, and store both together.
    Act {
        /// The id of the action.
        id: String,
        /// What.
        action: &'a GatewayAction,
        /// For how long, in milliseconds.
        lasts_ms: u64,
    },
    /// Undo the action of this id.
    Undo(&'a str),
}

/// Why somebody may not do that to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub String);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}
