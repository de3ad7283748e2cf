//! What the API asks about runbooks, their runs, and actions.

use gate_api::problem::Problem;
use gate_api::types::{ActInput, ActState, RunDetail, RunInput, RunSummary, RunbookState};

/// Who asks for something, as the audit log names it.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Who.
    pub actor: &'a str,
    /// In which role.
    pub role: &'a str,
}

/// What somebody does about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunChange {
    /// Agrees to it, and why.
    Approve(String),
    /// Answers its question.
    Answer(String),
    /// Ends it, and why.
    Cancel(String),
}

/// The runbooks of the environment that a process follows. What it changes is written down in the audit
/// log with the change.
pub trait RunbookBook: Send + Sync {
    /// The environment; `file` where a file rules.
    fn environment(&self) -> &str;

    /// Runbooks by name, each with its last run.
    ///
    /// # Errors
    /// The problem to answer with.
    fn runbooks(&self) -> Result<Vec<RunbookState>, Problem>;

    /// Runs of a runbook (empty: of all), the newest first, those before the one with this number, and
    /// their numbers.
    ///
    /// # Errors
    /// The problem to answer with.
    fn runs(
        &self,
        runbook: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, RunSummary)>, Problem>;

    /// A run.
    ///
    /// # Errors
    /// The problem to answer with.
    fn run(&self, id: &str) -> Result<RunDetail, Problem>;

    /// Starts one.
    ///
    /// # Errors
    /// The problem to answer with.
    fn start(&self, name: &str, input: &RunInput, by: Asker<'_>) -> Result<RunDetail, Problem>;

    /// Does something about one.
    ///
    /// # Errors
    /// The problem to answer with.
    fn change(&self, id: &str, change: &RunChange, by: Asker<'_>) -> Result<RunDetail, Problem>;

    /// Actions in force.
    ///
    /// # Errors
    /// The problem to answer with.
    fn actions(&self) -> Result<Vec<ActState>, Problem>;

    /// Begins an action.
    ///
    /// # Errors
    /// The problem to answer with.
    fn act(&self, input: &ActInput, by: Asker<'_>) -> Result<ActState, Problem>;

    /// Undoes an action; those that stay in force.
    ///
    /// # Errors
    /// The problem to answer with.
    fn undo(&self, id: &str, reason: &str, by: Asker<'_>) -> Result<Vec<ActState>, Problem>;
}
