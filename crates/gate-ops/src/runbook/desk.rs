//! Runs that are under way, and actions in force.

use super::run::Run;
use super::words::Cause;
use gate_model::resources::{GatewayAction, Runbook};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most runs under way at a time.
pub const RUNS_MAX: usize = 50;
/// Most actions in force at a time.
pub const ACTS_MAX: usize = 100;
/// Most runbooks whose last end is remembered.
const ENDS_MAX: usize = 1_000;

/// An action in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// What it is undone by.
    pub id: String,
    /// What is done.
    pub what: GatewayAction,
    /// Since when, in UNIX milliseconds.
    pub since_ms: u64,
    /// Until when; then it has undone itself.
    pub until_ms: u64,
    /// Who began it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The run that began it; none where a person did.
    #[serde(default)]
    pub run: Option<String>,
    /// What is needed to undo it, where that is not in `what`: a revision.
    #[serde(default)]
    pub from: Option<u64>,
}

/// What all gateways of an environment agree on about runs and actions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Desk {
    /// Runs that have not ended, the oldest first.
    pub runs: Vec<Run>,
    /// Actions in force, the oldest first.
    pub acts: Vec<Act>,
    /// How many runs there were.
    pub opened: u64,
    /// How many actions were begun by hand.
    pub acted: u64,
    /// When a run of a runbook ended last, in UNIX milliseconds.
    pub ended: BTreeMap<String, u64>,
    /// What events have said last, so that one is not taken for two.
    pub heard: BTreeMap<String, String>,
}

/// Why a run does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// One of the same runbook is under way.
    UnderWay(String),
    /// The same trigger and key started this one.
    Again(String),
    /// Too short a while ago one ended, for a trigger.
    Pause,
    /// There are [`RUNS_MAX`].
    Full,
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::UnderWay(id) => write!(f, "run `{id}` of this runbook is under way"),
            StartError::Again(id) => write!(f, "run `{id}` was started with this key"),
            StartError::Pause => f.write_str("a run of it has ended a short while ago"),
            StartError::Full => write!(f, "{RUNS_MAX} runs are under way"),
        }
    }
}

impl std::error::Error for StartError {}

impl Desk {
    /// Starts a run. One that only says what it would do disturbs nobody and waits for nobody. That
    /// the key is new among runs that have ended is for whoever stores them to see.
    ///
    /// # Errors
    /// Why it does not start.
    pub fn start(
        &mut self,
        environment: &str,
        (name, book): (&str, &Runbook),
        (cause, key): (Cause, String),
        is_dry: bool,
        now_ms: u64,
    ) -> Result<&Run, StartError> {
        let of_it = || self.runs.iter().filter(|run| run.runbook == name);
        if let Some(run) = of_it().find(|run| run.key == key) {
            return Err(StartError::Again(run.id.clone()));
        }
        if !is_dry {
            if let Some(run) = of_it().find(|run| !run.is_dry) {
                return Err(StartError::UnderWay(run.id.clone()));
            }
            let pause_ms = u64::try_from(book.pause.duration().as_millis()).unwrap_or(u64::MAX);
            let is_fresh = |ended: &u64| now_ms < ended.saturating_add(pause_ms);
            if !cause.is_a_person() && self.ended.get(name).is_some_and(is_fresh) {
                return Err(StartError::Pause);
            }
        }
        if self.runs.len() >= RUNS_MAX {
            return Err(StartError::Full);
        }
        self.opened += 1;
        let id = format!("run-{environment}-{}", self.opened);
        let run = Run::new(id, (name, book), (cause, key), is_dry, now_ms);
        self.runs.push(run);
        Ok(&self.runs[self.runs.len() - 1])
    }

    /// A run that is under way.
    pub fn run(&mut self, id: &str) -> Option<&mut Run> {
        self.runs.iter_mut().find(|run| run.id == id)
    }

    /// Takes the runs that have ended off the desk.
    pub fn sweep(&mut self, now_ms: u64) -> Vec<Run> {
        let (over, open) = std::mem::take(&mut self.runs)
            .into_iter()
            .partition(|run| run.state.is_over());
        self.runs = open;
        let over: Vec<Run> = over;
        for run in over.iter().filter(|run| !run.is_dry) {
            if self.ended.len() >= ENDS_MAX && !self.ended.contains_key(&run.runbook) {
                let oldest = self.ended.iter().min_by_key(|(_, at)| **at);
                let oldest = oldest.map(|(name, _)| name.clone()).unwrap_or_default();
                self.ended.remove(&oldest);
            }
            self.ended.insert(run.runbook.clone(), now_ms);
        }
        over
    }

    /// Puts an action in force. The same id again changes nothing.
    ///
    /// # Errors
    /// When there are [`ACTS_MAX`].
    pub fn act(&mut self, act: Act) -> Result<(), String> {
        if self.acts.iter().any(|known| known.id == act.id) {
            return Ok(());
        }
        if self.acts.len() >= ACTS_MAX {
            return Err(format!("{ACTS_MAX} actions are in force already"));
        }
        self.acts.push(act);
        Ok(())
    }

    /// Takes an action out of force.
    pub fn undo(&mut self, id: &str) -> Option<Act> {
        let place = self.acts.iter().position(|act| act.id == id)?;
        Some(self.acts.remove(place))
    }

    /// Actions whose time is over.
    #[must_use]
    pub fn late(&self, now_ms: u64) -> Vec<String> {
        let late = self.acts.iter().filter(|act| act.until_ms <= now_ms);
        late.map(|act| act.id.clone()).collect()
    }
}
