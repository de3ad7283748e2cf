//! One job on the board: which of its items may start, and what became of those that did.

use super::share::{Charge, Mean};
use super::words::{Bits, Link, Note, NoteKind, Outcome, Progress, Spec, State, WAITING_MAX};
use gate_kit::order::Gather;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How far back the speed of a job is looked at: samples, one a second.
const SAMPLES: usize = 60;

/// An item under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running {
    pub(super) attempt: u32,
    pub(super) began_ms: u64,
    /// What its team is charged for it; nothing once it was answered, which takes up no place any more.
    pub(super) charge: Option<Charge>,
}

/// What items wait for that wait for items of other jobs.
#[derive(Debug, Default)]
struct Gates {
    /// Parents that each item still waits for.
    left: Vec<u8>,
    /// Which items of each parent are known to have ended, by its place in `after`.
    known: BTreeMap<usize, Bits>,
    /// Items that may start.
    ready: BTreeSet<u32>,
    started: Bits,
}

/// What changed since it was asked last.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) started: Vec<u32>,
    pub(super) ended: Vec<(u32, bool)>,
    pub(super) notes: Vec<Note>,
    pub(super) is_dirty: bool,
}

/// A job.
#[derive(Debug)]
pub(super) struct One {
    pub(super) spec: Spec,
    pub(super) progress: Progress,
    /// Items that were started and have not ended.
    pub(super) running: BTreeMap<u32, Running>,
    /// How many of them have not been answered.
    pub(super) calling: usize,
    /// How long items take from their start to their answer.
    pub(super) mean: Mean,
    pub(super) news: News,
    /// Items to be called again as the same try.
    repeats: VecDeque<(u32, u32)>,
    gates: Option<Gates>,
    /// Places in `after` of parents that have not succeeded yet, of those that are waited for whole.
    blocked: BTreeSet<usize>,
    samples: VecDeque<(u64, u32)>,
}

impl One {
    /// A job as it was stored; `open` are items that had started and not ended.
    pub(super) fn new(spec: Spec, progress: Progress, open: &[u32], started: Bits) -> Self {
        let blocked = spec.after.iter().enumerate();
        let blocked = blocked.filter(|(_, after)| after.link == Link::Whole);
        let parents = spec.after.iter().filter(|after| after.link == Link::Each);
        let parents = u8::try_from(parents.count()).unwrap_or(u8::MAX);
        let gates = spec.is_each().then(|| Gates {
            left: vec![parents; spec.count as usize],
            started,
            ..Gates::default()
        });
        let mut one = One {
            blocked: blocked.map(|(at, _)| at).into_set(),
            running: BTreeMap::new(),
            calling: 0,
            mean: Mean::default(),
            news: News::default(),
            repeats: VecDeque::new(),
            gates,
            samples: VecDeque::new(),
            progress,
            spec,
        };
        one.resume(open);
        one
    }

    /// Has what was under way be called again, and writes that down.
    fn resume(&mut self, open: &[u32]) {
        let tries = std::mem::take(&mut self.progress.tries);
        for &index in open {
            if self.progress.waiting.contains_key(&index) {
                continue;
            }
            let attempt = tries.get(&index).copied().unwrap_or(0);
            self.repeats.push_back((index, attempt));
            self.progress.repeats += 1;
            self.news.notes.push(Note {
                index,
                attempt,
                kind: NoteKind::Repeat,
                reason: "the gateway that called it ended".into(),
            });
        }
        self.news.is_dirty |= !open.is_empty();
    }

    /// Whether an item could start now.
    pub(super) fn can_start(&self, now_ms: u64) -> bool {
        if self.progress.state != State::Running || self.is_full() {
            return false;
        }
        !self.repeats.is_empty() || self.due(now_ms).is_some() || self.fresh().is_some()
    }

    /// Whether as many run as may.
    fn is_full(&self) -> bool {
        match (self.spec.sequential, self.spec.most) {
            // What comes next takes what was answered, once that is kept.
            (true, _) => !self.running.is_empty(),
            (false, 0) => false,
            (false, most) => self.calling >= most as usize,
        }
    }

    /// An item whose time has come to be tried again.
    fn due(&self, now_ms: u64) -> Option<u32> {
        let mut waiting = self.progress.waiting.iter();
        let due = waiting.find(|(_, (_, at))| *at <= now_ms);
        due.map(|(index, _)| *index)
    }

    /// When the next item's time comes to be tried again.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        self.progress.waiting.values().map(|(_, at)| *at).min()
    }

    /// An item that has never started.
    fn fresh(&self) -> Option<u32> {
        let waits = self.progress.waiting.len();
        // One after the other: the one before has to have succeeded, so that nothing waits.
        if waits >= WAITING_MAX || self.spec.sequential && waits > 0 {
            return None;
        }
        match &self.gates {
            Some(gates) => gates.ready.first().copied(),
            None => (self.progress.started < self.spec.count).then_some(self.progress.started),
        }
    }

    /// Starts an item, for which its team is charged; `None` when none can.
    pub(super) fn start(
        &mut self,
        now_ms: u64,
        charge: impl FnOnce() -> Charge,
    ) -> Option<(u32, u32)> {
        if !self.can_start(now_ms) {
            return None;
        }
        let (index, attempt) = if let Some(again) = self.repeats.pop_front() {
            again
        } else if let Some(index) = self.due(now_ms) {
            let (attempt, _) = self.progress.waiting.remove(&index)?;
            (index, attempt)
        } else {
            let index = self.fresh()?;
            if let Some(gates) = &mut self.gates {
                gates.ready.remove(&index);
                gates.started.set(index);
            }
            self.progress.started += 1;
            self.news.started.push(index);
            (index, 0)
        };
        if attempt > 0 {
            self.progress.tries.insert(index, attempt);
        }
        self.progress.began_ms.get_or_insert(now_ms);
        let running = Running {
            attempt,
            began_ms: now_ms,
            charge: Some(charge()),
        };
        self.running.insert(index, running);
        self.calling += 1;
        self.news.is_dirty = true;
        Some((index, attempt))
    }

    /// An item was answered, after so long: what its team is charged. Nothing where that is known.
    pub(super) fn answered(&mut self, index: u32, took_ms: f64) -> Option<Charge> {
        let charge = self.running.get_mut(&index)?.charge.take()?;
        self.calling -= 1;
        self.mean.add(took_ms);
        Some(charge)
    }

    /// Takes in how an item's try ended. Says whether the item has ended for good, and how.
    pub(super) fn ended(&mut self, index: u32, outcome: &Outcome, now_ms: u64) -> Option<bool> {
        let running = self.running.remove(&index)?;
        self.progress.tries.remove(&index);
        self.news.is_dirty = true;
        let attempt = running.attempt;
        if !matches!(outcome, Outcome::Refused { .. }) {
            self.progress.awaits = None;
        }
        match outcome {
            Outcome::Refused { wait_ms, awaits } => {
                if awaits.is_some() {
                    self.progress.awaits.clone_from(awaits);
                }
                let due = now_ms.saturating_add(*wait_ms);
                self.progress.waiting.insert(index, (attempt, due));
                return None;
            }
            Outcome::Succeeded => self.close(index, true),
            Outcome::Failed {
                reason,
                may_pass,
                wait_ms,
            } => {
                let listed = &self.spec.retry.reasons;
                let worth = *may_pass && listed.is_empty() || listed.contains(reason);
                let again = worth
                    && attempt + 1 < self.spec.retry.attempts
                    && self.progress.state != State::Cancelling;
                let kind = if again {
                    NoteKind::Retry
                } else {
                    NoteKind::Failure
                };
                self.news.notes.push(Note {
                    index,
                    attempt,
                    kind,
                    reason: reason.clone(),
                });
                if again {
                    let pause = self.spec.pause_ms(attempt + 1).max(wait_ms.unwrap_or(0));
                    let due = now_ms.saturating_add(pause);
                    self.progress.waiting.insert(index, (attempt + 1, due));
                    self.progress.retries += 1;
                    return None;
                }
                self.close(index, false);
            }
        }
        Some(matches!(outcome, Outcome::Succeeded))
    }

    fn close(&mut self, index: u32, well: bool) {
        match well {
            true => self.progress.succeeded += 1,
            false => self.progress.failed += 1,
        }
        self.news.ended.push((index, well));
        self.news.is_dirty = true;
    }

    /// Ends an item that will never start, because what it depends on failed.
    fn fail_unstarted(&mut self, index: u32, parent: &str) -> bool {
        let Some(gates) = &mut self.gates else {
            return false;
        };
        if !gates.started.set(index) {
            return false;
        }
        gates.ready.remove(&index);
        self.progress.started += 1;
        self.news.started.push(index);
        self.news.notes.push(Note {
            index,
            attempt: 0,
            kind: NoteKind::Failure,
            reason: format!("parent_failed: {parent}"),
        });
        self.close(index, false);
        true
    }

    /// An item of the parent at this place of `after` has ended. The items of this job that failed by it.
    pub(super) fn parent_item(&mut self, at: usize, index: u32, well: bool) -> Option<u32> {
        let parent = self.spec.after.get(at)?.job.clone();
        let gates = self.gates.as_mut()?;
        if !gates.known.entry(at).or_default().set(index) {
            return None;
        }
        if !well {
            return self.fail_unstarted(index, &parent).then_some(index);
        }
        let left = gates.left.get_mut(index as usize)?;
        *left = left.saturating_sub(1);
        if *left == 0 && !gates.started.has(index) {
            gates.ready.insert(index);
        }
        None
    }

    /// The parent at this place of `after` is over. The items of this job that failed by it.
    pub(super) fn parent_over(&mut self, at: usize, state: State) -> Vec<u32> {
        let Some(after) = self.spec.after.get(at).cloned() else {
            return Vec::new();
        };
        match after.link {
            Link::Whole if state == State::Succeeded => {
                self.blocked.remove(&at);
                Vec::new()
            }
            Link::Whole => {
                self.progress.reason =
                    format!("`{}`, which it depends on, {}", after.job, state.as_str());
                self.progress.state = State::Cancelling;
                self.progress.ends_as = Some(State::Failed);
                self.news.is_dirty = true;
                Vec::new()
            }
            Link::Each => {
                let all = 0..self.spec.count;
                all.filter_map(|index| self.parent_item(at, index, false))
                    .collect()
            }
        }
    }

    /// Gives it up at its time, ends it when nothing is left to do, begins it when nothing blocks it.
    /// Whether it is over now and was not.
    pub(super) fn settle(&mut self, now_ms: u64) -> bool {
        let before = self.progress.state;
        if before.is_over() {
            return false;
        }
        let is_late = self.spec.until_ms.is_some_and(|until| until <= now_ms);
        let is_done = self.progress.ended() >= self.spec.count;
        if is_late && !is_done && before != State::Cancelling {
            self.progress.state = State::Cancelling;
            self.progress.ends_as = Some(State::Expired);
            self.progress.reason = "its time was over".into();
        }
        if self.progress.state == State::Waiting && self.blocked.is_empty() {
            self.progress.state = State::Running;
        }
        let stuck = self.spec.sequential && self.progress.failed > 0 && self.running.is_empty();
        if is_done || stuck {
            let is_good = self.progress.failed <= self.spec.failures && is_done;
            self.progress.state = if is_good {
                State::Succeeded
            } else {
                State::Failed
            };
            if !is_good && self.progress.reason.is_empty() {
                self.progress.reason = format!("{} items failed", self.progress.failed);
            }
        } else if self.progress.state == State::Cancelling && self.running.is_empty() {
            self.progress.state = self.progress.ends_as.unwrap_or(State::Cancelled);
        }
        let state = self.progress.state;
        self.news.is_dirty |= state != before;
        if state.is_over() {
            self.progress.ended_ms = Some(now_ms);
            self.progress.estimate_ms = None;
            self.progress.awaits = None;
            self.progress.waiting.clear();
        }
        state.is_over()
    }

    /// Stops starting items, or goes on.
    pub(super) fn pause(&mut self, pause: bool) {
        match (self.progress.state, pause) {
            (State::Waiting | State::Running, true) => self.progress.state = State::Paused,
            (State::Paused, false) => self.progress.state = State::Waiting,
            _ => return,
        }
        self.samples.clear();
        self.progress.estimate_ms = None;
        self.news.is_dirty = true;
    }

    /// Starts no more items, and ends it when those under way have.
    pub(super) fn cancel(&mut self) {
        if !self.progress.state.is_over() && self.progress.state != State::Cancelling {
            self.progress.state = State::Cancelling;
            self.progress.ends_as = Some(State::Cancelled);
            self.progress.reason = "it was cancelled".into();
            self.news.is_dirty = true;
        }
    }

    /// Says anew when it is likely to end, from the speed of the last minute, or of the time in which
    /// something ended last where that is longer. Nothing is said where nothing has ended yet.
    pub(super) fn estimate(&mut self, now_ms: u64) {
        let ended = self.progress.ended();
        if self.progress.state != State::Running {
            self.samples.clear();
            return;
        }
        let last = self.samples.back();
        let is_new = last.is_none_or(|(at, _)| now_ms.saturating_sub(*at) >= 1_000);
        if is_new {
            self.samples.push_back((now_ms, ended));
            if self.samples.len() > SAMPLES {
                // While nothing ends, the beginning stays, so that a job that stalls ends ever later.
                let stalls = self.samples.get(1).is_some_and(|(_, then)| *then == ended);
                self.samples.remove(usize::from(stalls));
            }
        }
        let Some(&(from_ms, before)) = self.samples.front() else {
            return;
        };
        let (done, time) = (ended.saturating_sub(before), now_ms.saturating_sub(from_ms));
        if done == 0 || time == 0 {
            // What was said before says nothing about now.
            self.progress.estimate_ms = None;
            return;
        }
        let left = u64::from(self.spec.count.saturating_sub(ended));
        let estimate = now_ms + left.saturating_mul(time) / u64::from(done);
        self.progress.estimate_ms = Some(estimate);
    }
}
