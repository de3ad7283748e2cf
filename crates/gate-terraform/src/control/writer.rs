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
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an edit waits for others that it depends on, from the last that succeeded.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often an edit joins another round because it just missed one.
const RESUBMITTED_MAX: u32 = 50;

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
    gather: Gather<Edit, (u64, Outcome)>,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

/// Edits that cannot be made yet. Every round tries them again beside what is new, because a
/// revision may need two of them at once.
#[derive(Default)]
struct Waiting {
    next: u64,
    edits: BTreeMap<u64, Edit>,
    done: BTreeMap<u64, Outcome>,
    /// How many rounds there were.
    rounds: u64,
    /// When a revision was made last.
    progress: Option<Instant>,
}

impl Writer {
    pub(super) fn new(environment: &str) -> Self {
        Self {
            environment: environment.to_owned(),
            gather: Gather::default(),
            waiting: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an edit, together with others that come at the same time.
    pub(super) fn write(
        &self,
        control: &dyn Control,
        settings: &Settings,
        edit: &Edit,
    ) -> Result<(), Refused> {
        let work = |edits: Vec<Edit>| self.round(control, settings, edits);
        let failed = || {
            let words = "the write was interrupted".to_owned();
            (0, Outcome::Refused(Refused::Failed(words)))
        };
        let mut refused = Refused::Failed("others write all the time".to_owned());
        for _ in 0..RESUBMITTED_MAX {
            let (round, outcome) = self.gather.submit(edit.clone(), work, failed);
            match outcome {
                Outcome::Done => return Ok(()),
                Outcome::Refused(refused) => return Err(refused),
                Outcome::Later(why) => refused = why,
            }
            let mut waiting = self.lock();
            // A round since then may have made what this one waits for, or wait for this one.
            if waiting.rounds == round {
                let id = waiting.next;
                waiting.next += 1;
                waiting.edits.insert(id, edit.clone());
                return self.wait(waiting, id, refused);
            }
        }
        Err(refused)
    }

    /// Waits until an edit was made or refused in a later round.
    fn wait(
        &self,
        mut waiting: MutexGuard<'_, Waiting>,
        id: u64,
        refused: Refused,
    ) -> Result<(), Refused> {
        let began = Instant::now();
        loop {
            match waiting.done.remove(&id) {
                Some(Outcome::Done) => return Ok(()),
                Some(Outcome::Refused(refused) | Outcome::Later(refused)) => return Err(refused),
                None => {}
            }
            let since = waiting
                .progress
                .map_or(began, |progress| progress.max(began));
            let Some(left) = PATIENCE.checked_sub(since.elapsed()) else {
                waiting.edits.remove(&id);
                return Err(refused);
            };
            let woken = self.changed.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Makes what can be made of new edits and of those that wait.
    fn round(
        &self,
        control: &dyn Control,
        settings: &Settings,
        new: Vec<Edit>,
    ) -> Vec<(u64, Outcome)> {
        let (waited, old): (Vec<u64>, Vec<Edit>) = self.lock().edits.clone().into_iter().unzip();
        let edits: Vec<Edit> = new.iter().cloned().chain(old).collect();
        let mut outcomes: Vec<Option<Outcome>> = vec![None; edits.len()];
        let mut progress = None;
        // Again as long as something was made, because others may have waited for that.
        loop {
            let open = |at: &usize| matches!(outcomes[*at], None | Some(Outcome::Later(_)));
            let open: Vec<usize> = (0..edits.len()).filter(open).collect();
            if open.is_empty() {
                break;
            }
            let round = Round {
                control,
                settings,
                environment: &self.environment,
                edits: open.iter().map(|&at| edits[at].clone()).collect(),
            };
            let made = round.run();
            let any = made.iter().any(|outcome| matches!(outcome, Outcome::Done));
            for (at, outcome) in open.into_iter().zip(made) {
                outcomes[at] = Some(outcome);
            }
            if !any {
                break;
            }
            progress = Some(Instant::now());
        }
        let mut waiting = self.lock();
        waiting.rounds += 1;
        waiting.progress = progress.or(waiting.progress);
        let rounds = waiting.rounds;
        let mut outcomes = outcomes.into_iter().flatten();
        let of_new = outcomes.by_ref().take(new.len());
        let of_new = of_new.map(|outcome| (rounds, outcome)).collect();
        for (id, outcome) in waited.into_iter().zip(outcomes) {
            // Whoever lost patience meanwhile is gone.
            if !matches!(outcome, Outcome::Later(_)) && waiting.edits.remove(&id).is_some() {
                waiting.done.insert(id, outcome);
            }
        }
        drop(waiting);
        self.changed.notify_all();
        of_new
    }
}
