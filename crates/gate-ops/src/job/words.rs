//! The words of jobs: what is asked for, and where it stands.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most items of a job whose input is a file of lines.
pub const ITEMS_MAX: u32 = 1_000_000;
/// Most items of a job whose input is a template, and of one whose items depend on items.
pub const TEMPLATED_MAX: u32 = 10_000;
/// Most jobs that a job depends on.
pub const PARENTS_MAX: usize = 20;
/// Most items of a job that wait to be tried again; while there are as many, no new ones start.
pub const WAITING_MAX: usize = 1_000;
/// Most tries of an item.
const ATTEMPTS_MAX: u32 = 10;

/// What a job waits for: all of another job, or item by item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// All of it has succeeded.
    #[default]
    Whole,
    /// Item N waits for item N.
    Each,
}

/// A job that another depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// Its id.
    pub job: String,
    /// How.
    #[serde(default)]
    pub link: Link,
}

/// When an item that failed is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Tries of an item altogether, from 1 to 10.
    pub attempts: u32,
    /// The pause before the second try, in milliseconds; it doubles each time, up to a minute.
    pub pause_ms: u64,
    /// Reasons that are worth another try; empty: every one that may pass by itself.
    #[serde(default)]
    pub reasons: Vec<String>,
}

impl Default for Retry {
    /// Three tries, the second after a second.
    fn default() -> Self {
        Retry {
            attempts: 3,
            pause_ms: 1_000,
            reasons: Vec::new(),
        }
    }
}

/// What is asked for, as far as the order of things needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Its id.
    pub id: String,
    /// Its place in the order of submission.
    pub number: u64,
    /// Its queue.
    pub queue: String,
    /// Who shares the queue with others.
    pub team: String,
    /// Within its team's share: higher ones first.
    #[serde(default)]
    pub priority: i32,
    /// Its items.
    pub count: u32,
    /// What it waits for.
    #[serde(default)]
    pub after: Vec<After>,
    /// Whether its items run one after the other, each when the one before has succeeded.
    #[serde(default)]
    pub sequential: bool,
    /// What becomes of failures.
    #[serde(default)]
    pub retry: Retry,
    /// How long a try may take, in milliseconds.
    pub timeout_ms: u64,
    /// Items of it that run at a time, at most; the queue's bound when 0.
    #[serde(default)]
    pub most: u32,
    /// Items that may fail without the job having failed.
    #[serde(default)]
    pub failures: u32,
    /// Where it competes with interactive traffic: models, or everything. What has the same is paced
    /// together.
    #[serde(default)]
    pub lane: String,
    /// When it was submitted, in UNIX milliseconds.
    pub submitted_ms: u64,
    /// When it is given up, in UNIX milliseconds; never when `None`.
    #[serde(default)]
    pub until_ms: Option<u64>,
}

/// Why a job cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(pub String);

impl Spec {
    /// Whether it can be run at all. `templated` says that its input is a template, and `parents` how
    /// many items each job has that it depends on, in their order; `None` for one that is not there.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, templated: bool, parents: &[Option<u32>]) -> Result<(), Problem> {
        let most = if templated { TEMPLATED_MAX } else { ITEMS_MAX };
        let no = |problem: String| Err(Problem(problem));
        if self.count == 0 || self.count > most {
            return no(format!(
                "a job of this kind has 1 to {most} items, not {}",
                self.count
            ));
        }
        if self.after.len() > PARENTS_MAX {
            return no(format!("a job depends on {PARENTS_MAX} others at most"));
        }
        if self.retry.attempts == 0 || self.retry.attempts > ATTEMPTS_MAX {
            return no(format!("an item is tried 1 to {ATTEMPTS_MAX} times"));
        }
        if self.timeout_ms == 0 {
            return no("an item needs time".into());
        }
        for (after, parent) in self.after.iter().zip(parents) {
            let Some(count) = parent else {
                return no(format!("there is no job `{}` to wait for", after.job));
            };
            if after.link == Link::Whole {
                continue;
            }
            if self.count > TEMPLATED_MAX {
                return no(format!(
                    "items wait for items in jobs of up to {TEMPLATED_MAX}"
                ));
            }
            if *count != self.count {
                let id = &after.job;
                return no(format!(
                    "`{id}` has {count} items and this one {}",
                    self.count
                ));
            }
        }
        Ok(())
    }

    /// The pause before the try after so many, in milliseconds.
    #[must_use]
    pub fn pause_ms(&self, tried: u32) -> u64 {
        let doubled = self
            .retry
            .pause_ms
            .saturating_mul(1 << tried.saturating_sub(1).min(20));
        doubled.min(60_000)
    }

    /// Whether each item waits for something of its own.
    pub(super) fn is_each(&self) -> bool {
        self.after.iter().any(|after| after.link == Link::Each)
    }
}

/// What a job awaits, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Other jobs.
    Waiting,
    /// Its items.
    Running,
    /// Somebody who lets it go on. Items under way end.
    Paused,
    /// The end of items under way, after it was cancelled.
    Cancelling,
    /// It ended, and no more items failed than may.
    Succeeded,
    /// Too many items failed, or a job that it depends on did.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
    /// Its time was over before its items were.
    Expired,
}

impl State {
    /// Whether it has ended.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(
            self,
            State::Succeeded | State::Failed | State::Cancelled | State::Expired
        )
    }

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Running => "running",
            State::Paused => "paused",
            State::Cancelling => "cancelling",
            State::Succeeded => "succeeded",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
            State::Expired => "expired",
        }
    }
}

/// How an item's try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It answered as it should.
    Succeeded,
    /// It did not.
    Failed {
        /// Why, in a word: `timeout`, `overloaded`, `status_500` ...
        reason: String,
        /// Whether another try may go better.
        may_pass: bool,
        /// How long the other side asked to wait, in milliseconds.
        wait_ms: Option<u64>,
    },
    /// It was not tried: there was no room for it. It starts again later and none of its tries is used
    /// up.
    Refused {
        /// How long to wait, in milliseconds.
        wait_ms: u64,
        /// What a person may want to know of it; nothing of what passes in a moment.
        awaits: Option<Awaits>,
    },
}

/// What items of a job wait for that were refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaits {
    /// Why they were refused.
    pub reason: String,
    /// Until when that lasts, in UNIX milliseconds, where it is known.
    pub until_ms: Option<u64>,
}

/// What is written down about an item besides that it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The item.
    pub index: u32,
    /// Which try, from 0.
    pub attempt: u32,
    /// What happened.
    pub kind: NoteKind,
    /// Why.
    pub reason: String,
}

/// What may happen to an item besides ending well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteKind {
    /// A try failed, and another follows.
    Retry,
    /// It failed for good.
    Failure,
    /// It was under way when who ran it ended, and is called again as the same try.
    Repeat,
}

impl NoteKind {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            NoteKind::Retry => "retry",
            NoteKind::Failure => "failure",
            NoteKind::Repeat => "repeat",
        }
    }
}

/// Where a job stands, as it is stored beside the marks of its items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// What it awaits, or how it ended.
    pub state: State,
    /// Items that were started at least once.
    #[serde(default)]
    pub started: u32,
    /// Items that succeeded.
    #[serde(default)]
    pub succeeded: u32,
    /// Items that failed for good.
    #[serde(default)]
    pub failed: u32,
    /// Tries that failed and were followed by another.
    #[serde(default)]
    pub retries: u32,
    /// Calls that were made again because who made them ended meanwhile.
    #[serde(default)]
    pub repeats: u32,
    /// Items that wait to be tried again: which try, and when in UNIX milliseconds.
    #[serde(default)]
    pub waiting: BTreeMap<u32, (u32, u64)>,
    /// Items under way that are not at their first try.
    #[serde(default)]
    pub tries: BTreeMap<u32, u32>,
    /// When its first item started, in UNIX milliseconds.
    #[serde(default)]
    pub began_ms: Option<u64>,
    /// When it ended, in UNIX milliseconds.
    #[serde(default)]
    pub ended_ms: Option<u64>,
    /// When it is likely to end, in UNIX milliseconds; `None` while that is not known.
    #[serde(default)]
    pub estimate_ms: Option<u64>,
    /// Why it ended as it did, or what it awaits.
    #[serde(default)]
    pub reason: String,
    /// How it ends once nothing of it is under way, where that is decided.
    #[serde(default)]
    pub ends_as: Option<State>,
    /// What its items wait for, if the one that was answered last was refused.
    #[serde(default)]
    pub awaits: Option<Awaits>,
}

impl Default for Progress {
    fn default() -> Self {
        Progress {
            state: State::Waiting,
            started: 0,
            succeeded: 0,
            failed: 0,
            retries: 0,
            repeats: 0,
            waiting: BTreeMap::new(),
            tries: BTreeMap::new(),
            began_ms: None,
            ended_ms: None,
            estimate_ms: None,
            reason: String::new(),
            ends_as: None,
            awaits: None,
        }
    }
}

impl Progress {
    /// Items that have ended.
    #[must_use]
    pub const fn ended(&self) -> u32 {
        self.succeeded.saturating_add(self.failed)
    }
}

/// Marks of items: a bit for each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bits(Vec<u8>);

impl Bits {
    /// Marks as they are stored: item 0 is the lowest bit of the first byte.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Self {
        Bits(bytes)
    }

    /// Whether an item is marked.
    #[must_use]
    pub fn has(&self, index: u32) -> bool {
        let byte = self.0.get(index as usize / 8).copied().unwrap_or(0);
        byte & (1 << (index % 8)) != 0
    }

    /// Marks an item; whether it was not yet.
    pub fn set(&mut self, index: u32) -> bool {
        let at = index as usize / 8;
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        let is_new = !self.has(index);
        self.0[at] |= 1 << (index % 8);
        is_new
    }
}
