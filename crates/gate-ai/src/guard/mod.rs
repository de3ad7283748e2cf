//! Guards: what must not pass between a caller and a model, found and dealt with in bytes.
//!
//! [`RuleSet`] says what to look for ([`Pattern`]s, words, expressions, sizes, scripts), where
//! ([`Point`]) and what to do about it ([`Action`]). A [`Guard`] applies it to one exchange's bodies,
//! [`GuardStream`] to a stream of events, both in the caller's dialect: edits are spliced into the
//! strings that hold text, tool arguments or tool results, and nothing else changes by a byte.
//! [`Vault`] remembers what was replaced by placeholders, so that the answer gets it back. A
//! [`Contract`] holds answers and tool calls against JSON Schemas.
//!
//! A text is cut where nothing that is looked for can cross (`cut.rs`); everything up to the last
//! cut is decided at once and only the rest is held back. Whole texts go through the same code, so
//! what is found never depends on how a stream was chunked. Time is linear in the text and memory
//! bounded by [`HOLD_MAX`] bytes per stream of text.
//!
//! Deliberately no part of this: sockets, clocks, asking anybody (`gate-policies/guard`).

mod body;
mod contract;
mod cut;
pub mod detect;
mod lane;
mod places;
mod rules;
mod scan;
mod schema;
mod session;
mod stream;
mod text;
mod vault;
mod words;

pub use body::{Side, can_read, can_read_answer, redacted, texts};
pub use contract::{Breach, Broken, Contract, ContractStream, Terms};
pub use detect::Pattern;
pub use lane::HOLD_MAX;
pub use rules::{Detector, Rule, RuleError, RuleSet};
pub use scan::{Script, scripts_of};
pub use schema::{Mismatch, SCHEMA_MAX, Schema, SchemaError};
pub use session::Guard;
pub use stream::GuardStream;
pub use vault::Vault;
pub use words::{Expression, Words};

/// Where on the way between a caller and a model something is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// What the caller says to the model: prompts, earlier turns, instructions.
    Request,
    /// What the model says to the caller.
    Response,
    /// Arguments of a tool call, in the answer or in an earlier turn of the request.
    ToolCall,
    /// What a tool answered, on its way to the model.
    ToolResult,
}

impl Point {
    /// Every point.
    pub const ALL: [Self; 4] = [
        Self::Request,
        Self::Response,
        Self::ToolCall,
        Self::ToolResult,
    ];

    /// The word used in configuration, records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
            Self::ToolCall => "tool_call",
            Self::ToolResult => "tool_result",
        }
    }
}

/// What is done about a finding, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// It is only noted.
    Observe,
    /// It is made illegible for good: letters and digits become `*`.
    Mask,
    /// It is replaced by a placeholder such as `[EMAIL_1]`; what the caller had sent is put back
    /// into the answer.
    Redact,
    /// The exchange is refused, or its answer cut off.
    Block,
}

impl Action {
    /// The word used in configuration, records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Mask => "mask",
            Self::Redact => "redact",
            Self::Block => "block",
        }
    }
}

/// How often a rule found something at a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Index of the rule in its set.
    pub rule: usize,
    /// Where.
    pub point: Point,
    /// How often.
    pub count: u32,
}

/// What was found in one body or stream. One entry per rule and point, so it is bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    entries: Vec<Finding>,
}

impl Findings {
    /// Everything found, in the order of first appearance.
    #[must_use]
    pub fn entries(&self) -> &[Finding] {
        &self.entries
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn add(&mut self, rule: usize, point: Point) {
        let known = |entry: &&mut Finding| entry.rule == rule && entry.point == point;
        match self.entries.iter_mut().find(known) {
            Some(entry) => entry.count = entry.count.saturating_add(1),
            None => self.entries.push(Finding {
                rule,
                point,
                count: 1,
            }),
        }
    }
}
