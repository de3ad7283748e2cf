//! Writes: many edits, one revision, and nobody's change lost.
//!
//! Each edit names what it saw. Before a revision is made, all of its edits are compared with what
//! the server has; the revision is then bound to that generation of the environment (`If-Match`), so
//! that a change in between is noticed and looked at anew. An edit that refers to what another one
//! is still to make waits for it: Terraform's order follows expressions, not names.

use super::Control;
use super::gather::Gather;
use super::round::Round;
use super::session::Settings;
use crate::schema::Kind;
use gate_api::types::Finding;
use serde_json::Value as Json;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long an edit waits for others that it depends on, from the last that succeeded.
const PATIENCE: Duration = Duration::from_secs(3);

/// A change of one resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// Its kind.
    pub kind: &'static Kind,
    /// Its name.
    pub name: String,
    /// What was there when the change was planned; `None` for a new one.
    pub before: Option<Json>,
    /// What shall be there; `None` to remove it.
    pub after: Option<Json>,
}

/// Why an edit was not made.
#[derive(Debug, Clone, PartialEq)]
pub enum Refused {
    /// What the server says about the resource, or about others that need it.
    Findings(Vec<Finding>),
    /// The resource is not as it was when the change was planned.
    Conflict(String),
    /// Anything else, as a sentence.
    Failed(String),
}

/// What became of an edit in one round.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Done,
    Refused(Refused),
    /// It cannot be made yet.
    Later(Refused),
}

/// The writer of one environment.
pub(super) struct Writer {
    environment: String,
    gather: Gather<Edit, Outcome>,
    /// How many revisions were made.
    progress: Mutex<u64>,
    progressed: Condvar,
}

impl Writer {
    pub(super) fn new(environment: &str) -> Self {
        Self {
            environment: environment.to_owned(),
            gather: Gather::default(),
            progress: Mutex::new(0),
            progressed: Condvar::new(),
        }
    }

    /// Makes an edit, together with others that come at the same time.
    pub(super) fn write(
        &self,
        control: &dyn Control,
        settings: &Settings,
        edit: &Edit,
    ) -> Result<(), Refused> {
        let work = |edits: Vec<Edit>| {
            let round = Round {
                control,
                settings,
                environment: &self.environment,
                edits,
            };
            let outcomes = round.run();
            if outcomes
                .iter()
                .any(|outcome| matches!(outcome, Outcome::Done))
            {
                *self.progress.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                self.progressed.notify_all();
            }
            outcomes
        };
        let failed = || Outcome::Refused(Refused::Failed("the write was interrupted".into()));
        loop {
            let seen = *self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            match self.gather.submit(edit.clone(), work, failed) {
                Outcome::Done => return Ok(()),
                Outcome::Refused(refused) => return Err(refused),
                Outcome::Later(refused) if !self.has_progressed(seen) => return Err(refused),
                Outcome::Later(_) => {}
            }
        }
    }

    /// Waits until a revision was made since `seen`.
    fn has_progressed(&self, seen: u64) -> bool {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .progressed
            .wait_timeout_while(progress, PATIENCE, |progress| *progress == seen);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}
