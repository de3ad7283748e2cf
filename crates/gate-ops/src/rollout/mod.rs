//! A rollout: a revision that is tried beside the one in force, step by step, and what decides
//! about it.
//!
//! [`Rollout`] is all of its state. It serialises, so that any instance can go on where another
//! stopped, and it needs nothing but the counts of all instances ([`Report`]) and the time. The test
//! is in `label.rs`, counts become strata in `counts.rs`, strata a verdict in `verdict.rs`;
//! `touched.rs` says which routes a change is about. Who carries decisions out is not known here.

mod counts;
mod label;
mod touched;
mod verdict;
mod words;

pub use counts::Report;
pub use label::{LABELS, Mixture, SIZES, Stratum, below, less_than, worse};
pub use touched::touched;
pub use verdict::{Assessment, EVERYTHING, Line, Pair};

use counts::Marks;
pub use gate_model::resources::ANSWERS;
use gate_model::resources::{Rollout as Strategy, Undecided};
use serde::{Deserialize, Serialize};
use verdict::Scales;

/// Evidence against the candidate with which no share grows, as its logarithm: ten to one.
const DOUBT: f64 = std::f64::consts::LN_10;
/// Most events that are kept.
const EVENTS_MAX: usize = 100;

/// What a rollout does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Copies of requests are compared; the candidate serves nobody.
    Shadow,
    /// The candidate serves a share, which grows by the evidence.
    Running,
    /// The same, and the share stays. Evidence against it still takes it back.
    Held,
    /// The candidate has become the revision in force.
    Promoted,
    /// It has been taken back.
    RolledBack,
}

impl Phase {
    /// The word used in the store, the API and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Shadow => "shadow",
            Phase::Running => "running",
            Phase::Held => "held",
            Phase::Promoted => "promoted",
            Phase::RolledBack => "rolled_back",
        }
    }

    /// Whether it is over.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Phase::Promoted | Phase::RolledBack)
    }
}

/// What has been decided and is to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The share has changed.
    Step,
    /// The share stays until somebody decides.
    Hold,
    /// The candidate becomes the revision in force.
    Promote,
    /// The candidate is taken back.
    RollBack,
}

/// What a person may order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Make the candidate the revision in force, whatever the evidence.
    Promote,
    /// Take it back.
    RollBack,
    /// Leave the share as it is.
    Hold,
    /// Go on by the evidence.
    Resume,
}

/// Something that happened to a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in UNIX milliseconds.
    pub at_ms: u64,
    /// The phase since.
    pub phase: Phase,
    /// The step since, from 0.
    pub step: u32,
    /// Why, in a sentence.
    pub reason: String,
}

/// A rollout, as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// How it is rolled out.
    pub strategy: Strategy,
    /// Routes that the change is about; at least one.
    pub slices: Vec<String>,
    /// Instances that take part, as far as was known when it began.
    pub instances: usize,
    /// What it does.
    pub phase: Phase,
    /// The step, from 0.
    pub step: u32,
    /// When it began, in UNIX milliseconds.
    pub started_ms: u64,
    /// When the step began, in UNIX milliseconds.
    pub step_since_ms: u64,
    /// Why it is as it is, in a sentence.
    pub reason: String,
    /// What happened so far, in order; the oldest are forgotten first.
    pub events: Vec<Event>,
    marks: Vec<Marks>,
}

/// Why a rollout cannot begin, or an order cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl Rollout {
    /// Begins a rollout. `slices` are the routes that the change is about, at most
    /// [`gate_flow::SLICES_MAX`] by name, `instances` those that follow the environment.
    ///
    /// # Errors
    /// What is wrong with the strategy.
    pub fn new(
        strategy: Strategy,
        slices: Vec<String>,
        instances: usize,
        now_ms: u64,
    ) -> Result<Self, Refused> {
        if let Some((field, problem)) = strategy.problems().into_iter().next() {
            return Err(Refused(format!("{field}: {problem}")));
        }
        let phase = match strategy.shadow {
            Some(_) => Phase::Shadow,
            None => Phase::Running,
        };
        let mut rollout = Self {
            strategy,
            slices,
            instances: instances.max(1),
            phase,
            step: 0,
            started_ms: now_ms,
            step_since_ms: now_ms,
            reason: String::new(),
            events: Vec::new(),
            marks: Vec::new(),
        };
        let begun = words::begun(&rollout);
        rollout.enter(phase, now_ms, begun);
        Ok(rollout)
    }

    /// Share of the exchanges that the candidate serves now, from 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        match self.phase {
            Phase::Shadow | Phase::RolledBack => 0.0,
            Phase::Promoted => 1.0,
            Phase::Running | Phase::Held => self.share_of(self.step),
        }
    }

    fn share_of(&self, step: u32) -> f64 {
        let shares = self.strategy.shares();
        shares.get(step as usize).copied().unwrap_or(1.0)
    }

    /// Weighs the counts of all instances and decides. At most one thing happens at a time; call it
    /// about once a second.
    pub fn observe(&mut self, reports: &[Report], now_ms: u64) -> Option<Decision> {
        match self.phase {
            Phase::Promoted | Phase::RolledBack => None,
            Phase::Shadow => self.compare(reports, now_ms),
            Phase::Running | Phase::Held => self.weigh_and_decide(reports, now_ms),
        }
    }

    /// What the counts say, for display.
    #[must_use]
    pub fn assess(&self, reports: &[Report]) -> Assessment {
        let mut found = self.weigh(reports, &mut self.marks.clone());
        found.lines.extend(verdict::compared(reports));
        found
    }

    /// Follows an order of `who`.
    ///
    /// # Errors
    /// When the rollout is over, or already does that.
    pub fn order(&mut self, order: Order, who: &str, now_ms: u64) -> Result<Decision, Refused> {
        let refused = |text: &str| Err(Refused(text.to_owned()));
        if self.phase.is_over() {
            return refused("the rollout is over");
        }
        let (phase, decision) = match order {
            Order::Promote => (Phase::Promoted, Decision::Promote),
            Order::RollBack => (Phase::RolledBack, Decision::RollBack),
            Order::Hold if self.phase == Phase::Held => return refused("it is held already"),
            Order::Hold => (Phase::Held, Decision::Hold),
            Order::Resume if self.phase != Phase::Held => return refused("it is not held"),
            Order::Resume => (Phase::Running, Decision::Step),
        };
        self.step_since_ms = now_ms;
        self.enter(phase, now_ms, words::ordered(order, who));
        Ok(decision)
    }

    fn weigh(&self, reports: &[Report], marks: &mut Vec<Marks>) -> Assessment {
        let scales = Scales {
            strategy: &self.strategy,
            shares: &self.strategy.shares(),
            slices: self.slices.len(),
            instances: self.instances,
            step: self.step,
        };
        scales.weigh(reports, marks)
    }

    fn weigh_and_decide(&mut self, reports: &[Report], now_ms: u64) -> Option<Decision> {
        let mut marks = std::mem::take(&mut self.marks);
        let found = self.weigh(reports, &mut marks);
        self.marks = marks;
        if found.against >= -self.strategy.false_rollback.fraction().ln() {
            return Some(self.take_back(now_ms, words::worse(self, &found)));
        }
        if self.phase == Phase::Held {
            return None;
        }
        let elapsed = now_ms.saturating_sub(self.step_since_ms);
        if elapsed < self.strategy.least_ms(self.step) {
            return None;
        }
        let is_doubted = found.against >= DOUBT;
        if found.open.is_empty() && !is_doubted {
            let reason = words::shown(self);
            return Some(self.go_on(1, now_ms, reason));
        }
        if elapsed < millis(self.strategy.step_patience) {
            self.reason = words::waiting(self, &found, is_doubted);
            return None;
        }
        let undecided = words::undecided(self, &found, is_doubted);
        match self.strategy.undecided {
            Undecided::RollBack => Some(self.take_back(now_ms, undecided)),
            Undecided::Promote if !is_doubted => {
                Some(self.go_on(self.strategy.leap(), now_ms, undecided))
            }
            Undecided::Promote | Undecided::Hold => {
                self.enter(Phase::Held, now_ms, undecided);
                Some(Decision::Hold)
            }
        }
    }

    /// Compares answers before the first step.
    fn compare(&mut self, reports: &[Report], now_ms: u64) -> Option<Decision> {
        let Some(shadow) = &self.strategy.shadow else {
            return Some(self.begin_steps(now_ms, String::new()));
        };
        let rows = reports.iter().flat_map(|report| &report.rows);
        let answers = rows.filter(|row| row.signal == ANSWERS);
        let seen = answers.fold(Pair::default(), |sum, row| Pair {
            total: sum.total + row.candidate.total,
            bad: sum.bad + row.candidate.bad,
        });
        let allowed = shadow.differing.fraction() * shadow.copies as f64;
        if seen.bad as f64 > allowed && seen.total <= shadow.copies
            || seen.total >= shadow.copies
                && seen.bad as f64 > shadow.differing.fraction() * seen.total as f64
        {
            return Some(self.take_back(now_ms, words::differs(seen)));
        }
        if seen.total >= shadow.copies {
            let reason = words::agrees(seen, &verdict::compared(reports));
            return Some(self.begin_steps(now_ms, reason));
        }
        let elapsed = now_ms.saturating_sub(self.step_since_ms);
        if elapsed < millis(self.strategy.step_patience) {
            self.reason = words::comparing(seen, shadow.copies);
            return None;
        }
        let undecided = words::too_few(seen, shadow.copies);
        match self.strategy.undecided {
            Undecided::RollBack => Some(self.take_back(now_ms, undecided)),
            Undecided::Promote => Some(self.begin_steps(now_ms, undecided)),
            // Nobody is served by the candidate; it goes on comparing until somebody decides.
            Undecided::Hold => {
                self.reason = undecided;
                None
            }
        }
    }

    fn begin_steps(&mut self, now_ms: u64, reason: String) -> Decision {
        self.step_since_ms = now_ms;
        self.enter(Phase::Running, now_ms, reason);
        Decision::Step
    }

    fn take_back(&mut self, now_ms: u64, reason: String) -> Decision {
        self.enter(Phase::RolledBack, now_ms, reason);
        Decision::RollBack
    }

    /// Gives the candidate the share of so many steps further, or all of it behind the last one.
    fn go_on(&mut self, steps: u32, now_ms: u64, reason: String) -> Decision {
        let last = u32::try_from(self.strategy.shares().len().saturating_sub(1)).unwrap_or(0);
        if self.step >= last {
            self.enter(Phase::Promoted, now_ms, reason);
            return Decision::Promote;
        }
        self.step = self.step.saturating_add(steps).min(last);
        self.step_since_ms = now_ms;
        match self.strategy.ramp {
            // The events are those that somebody wants to read.
            Some(_) => self.reason = reason,
            None => self.enter(Phase::Running, now_ms, reason),
        }
        Decision::Step
    }

    fn enter(&mut self, phase: Phase, at_ms: u64, reason: String) {
        self.phase = phase;
        self.reason.clone_from(&reason);
        if self.events.len() >= EVENTS_MAX {
            self.events.remove(0);
        }
        self.events.push(Event {
            at_ms,
            phase,
            step: self.step,
            reason,
        });
    }
}

fn millis(period: gate_model::units::Period) -> u64 {
    period.microseconds() / 1000
}
