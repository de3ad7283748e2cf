//! Runbooks, their runs, and actions.

use super::calls::{NONE, encode};
use super::{Client, ClientError};
use crate::types::{
    ActInput, ActState, AnswerInput, Page, ReasonInput, RunDetail, RunInput, RunSummary,
    RunbookState,
};

fn run(id: &str, rest: &str) -> String {
    format!("/api/v1/runbook-runs/{}{rest}", encode(id))
}

fn reason(text: &str) -> ReasonInput {
    ReasonInput {
        reason: text.to_owned(),
    }
}

impl Client {
    /// Runbooks, each with its last run.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn runbooks(&self) -> Result<Vec<RunbookState>, ClientError> {
        self.all("/api/v1/runbooks")
    }

    /// Starts a run.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn start_run(&self, runbook: &str, input: &RunInput) -> Result<RunDetail, ClientError> {
        let path = format!("/api/v1/runbooks/{}/runs", encode(runbook));
        self.call("POST", &path, &[], Some(input))
    }

    /// The newest runs, of this runbook or of all, at most `limit` (up to 1,000).
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn runbook_runs(
        &self,
        runbook: Option<&str>,
        limit: usize,
    ) -> Result<Vec<RunSummary>, ClientError> {
        let of = runbook.map_or_else(String::new, |name| format!("&runbook={}", encode(name)));
        let path = format!("/api/v1/runbook-runs?limit={limit}{of}");
        let page: Page<RunSummary> = self.call("GET", &path, &[], NONE)?;
        Ok(page.items)
    }

    /// A run.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn runbook_run(&self, id: &str) -> Result<RunDetail, ClientError> {
        self.call("GET", &run(id, ""), &[], NONE)
    }

    /// Agrees to a run.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn approve_run(&self, id: &str, why: &str) -> Result<RunDetail, ClientError> {
        self.call("POST", &run(id, "/approve"), &[], Some(&reason(why)))
    }

    /// Answers a run's question.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn answer_run(&self, id: &str, answer: &str) -> Result<RunDetail, ClientError> {
        let answer = answer.to_owned();
        self.call(
            "POST",
            &run(id, "/answer"),
            &[],
            Some(&AnswerInput { answer }),
        )
    }

    /// Ends a run.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn cancel_run(&self, id: &str, why: &str) -> Result<RunDetail, ClientError> {
        self.call("POST", &run(id, "/cancel"), &[], Some(&reason(why)))
    }

    /// Actions in force.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn actions(&self) -> Result<Vec<ActState>, ClientError> {
        self.all("/api/v1/actions")
    }

    /// Begins an action.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn act(&self, input: &ActInput) -> Result<ActState, ClientError> {
        self.call("POST", "/api/v1/actions", &[], Some(input))
    }

    /// Undoes an action; those that stay in force.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn undo_action(&self, id: &str, why: &str) -> Result<Vec<ActState>, ClientError> {
        let path = format!("/api/v1/actions/{}/undo", encode(id));
        let page: Page<ActState> = self.call("POST", &path, &[], Some(&reason(why)))?;
        Ok(page.items)
    }
}
