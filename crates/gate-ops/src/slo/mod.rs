//! Objectives: what was promised, how much of it is left, and when somebody must know.
//!
//! A [`Monitor`] is all of one objective's state on one node: counts in rings (`ring.rs`) with
//! their windows (`window.rs`), the rules that page (`burn.rs`) and the fast signal that only opens
//! a suspicion (`suspicion.rs`). It is told counts and the time, once a second, and answers with
//! what changed. Latencies beside the verdicts are kept by
//! `gate_kit::durations`, the rules for other monitors in
//! `export.rs`. Who counts, who is told and where state is stored are not known here.

mod burn;
mod definition;
mod export;
mod fleet;
mod gate;
mod loosen;
pub mod openslo;
mod resource;
mod ring;
mod suspicion;
#[cfg(test)]
mod tests;
mod transport;
mod window;

pub use burn::{PAIRS_MAX, Pair, Policy, Severity, burns, has_vanished, lower_bound};
pub use definition::{Definition, Good, Scope};
pub use export::{Metrics, prometheus, sloth};
pub use fleet::{Crowded, Fleet, NODES_MAX};
pub use gate::{Candidate, Freeze, Full, Gate, HELD_MAX, Override, Passage, Promise, Purpose};
pub use loosen::loosened;
pub use resource::{check, definition, resource};
pub use ring::{Count, Rings, TIERS};
pub use suspicion::{PATIENCE_S, STALE_S, Scales, Suspicion, Turn};
pub use transport::Malformed;
pub use window::{Calendar, Counts, Span, Sum, Unfit, WINDOWS_MAX, fit, zone_of};

use burn::{PRESENT_S, USUAL_S};
use gate_kit::order::Order;
use serde::{Deserialize, Serialize};

/// A promise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// Its name.
    pub name: String,
    /// Share of events that are to be good, between 0 and 1 and neither.
    pub target: f64,
    /// Over which time.
    pub span: Span,
    /// When to alert.
    pub policy: Policy,
}

impl Objective {
    /// An objective with the usual rules.
    #[must_use]
    pub fn new(name: &str, target: f64, span: Span) -> Self {
        Self {
            name: name.to_owned(),
            target,
            span,
            policy: Policy::default(),
        }
    }

    /// Share of events that may be bad.
    #[must_use]
    pub fn allowed(&self) -> f64 {
        1.0 - self.target
    }

    /// The ratio of bad events at which a pair's windows count as burning.
    #[must_use]
    pub fn limit(&self, pair: &Pair) -> f64 {
        pair.factor(self.span.seconds()) * self.allowed()
    }

    /// What is wrong with it.
    ///
    /// # Errors
    /// The first thing that is, in a sentence.
    pub fn check(&self) -> Result<(), Unfit> {
        let unfit = |text: String| Err(Unfit(text));
        if !(self.target > 0.0 && self.target < 1.0) {
            return unfit(format!("the target {} is not between 0 and 1", self.target));
        }
        let policy = &self.policy;
        if policy.pairs.len() > PAIRS_MAX {
            return unfit(format!("more than {PAIRS_MAX} pairs of windows"));
        }
        let are_sane = policy.deviations.is_finite() && policy.expected_min.is_finite();
        if !are_sane || policy.deviations < 0.0 || policy.expected_min < 0.0 {
            return unfit("`deviations` and `expected_min` are 0 or more".into());
        }
        for pair in &policy.pairs {
            if pair.short_s >= pair.long_s || pair.budget.is_nan() || pair.budget <= 0.0 {
                return unfit(format!(
                    "windows of {} and {} s with {} of the budget: the short one must be shorter, the share above 0",
                    pair.long_s, pair.short_s, pair.budget
                ));
            }
        }
        Ok(())
    }
}

/// What is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alerts {
    /// A pair of windows that pages.
    pub page: bool,
    /// A pair of windows that asks for a ticket.
    pub ticket: bool,
    /// Events that were to be expected do not come.
    pub vanished: bool,
}

/// Something that changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Burn alerts of that severity are on, or off.
    Burn {
        /// What they ask for.
        severity: Severity,
        /// Whether they are on.
        on: bool,
    },
    /// Expected events do not come, or come again.
    Vanished {
        /// Whether they are missing.
        on: bool,
    },
    /// The suspicion opened or closed. It never pages.
    Suspicion(Turn),
}

/// How much of the promise is left.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Events of the objective's window, exactly.
    pub count: Count,
    /// Share of the window's error budget that is left: 1 untouched, 0 spent, below 0 overspent.
    /// None without events: nothing was promised to anybody, and nothing kept.
    pub left: Option<f64>,
    /// How many times as fast as allowed it burnt in the last hour; none without events.
    pub burn: Option<f64>,
}

/// Places of windows in the list that the counts were made with.
const MINUTE: usize = 0;
const PRESENT: usize = 1;
const USUAL: usize = 2;
const HOUR: usize = 3;

#[derive(Debug, Clone, Copy)]
struct Rule {
    long: u8,
    short: u8,
    limit: f64,
    severity: Severity,
}

/// One objective on one node.
#[derive(Debug, Clone)]
pub struct Monitor {
    counts: Counts,
    rules: Box<[Rule]>,
    /// The window of the budget; none when it is the calendar's.
    budget: Option<u8>,
    allowed: f64,
    policy: std::sync::Arc<Policy>,
    scales: std::sync::Arc<Scales>,
    suspicion: Suspicion,
    alerts: Alerts,
    /// What other nodes counted and the fast signal has not weighed.
    heard: Count,
}

/// A monitor's state over a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Counts, as [`Counts::encode`] writes them.
    pub counts: Vec<u8>,
    /// What is on.
    pub alerts: Alerts,
    /// The fast signal.
    pub suspicion: Suspicion,
}

impl Monitor {
    /// Begins to watch.
    ///
    /// # Errors
    /// What is wrong with the objective.
    pub fn new(objective: &Objective) -> Result<Self, Unfit> {
        objective.check()?;
        let mut windows = vec![60, PRESENT_S, USUAL_S, 3600];
        let mut place = |seconds: u64| {
            let known = windows.iter().position(|known| *known == seconds);
            known.unwrap_or_else(|| {
                windows.push(seconds);
                windows.len() - 1
            }) as u8
        };
        let rule = |pair: &Pair| Rule {
            long: place(pair.long_s),
            short: place(pair.short_s),
            limit: objective.limit(pair),
            severity: pair.severity,
        };
        let rules = objective.policy.pairs.iter().map(rule).collect();
        let (budget, calendar) = match &objective.span {
            Span::Rolling(seconds) => (Some(place(*seconds)), None),
            Span::Calendar(calendar, zone) => (None, Some((*calendar, zone.as_str()))),
        };
        Ok(Self {
            counts: Counts::new(&windows, calendar)?,
            rules,
            budget,
            allowed: objective.allowed(),
            policy: std::sync::Arc::new(objective.policy.clone()),
            scales: std::sync::Arc::new(Scales::new(objective.allowed())),
            suspicion: Suspicion::default(),
            alerts: Alerts::default(),
            heard: Count::default(),
        })
    }

    /// Shares what monitors of the same policy and target have in common, which is memory.
    pub fn share(&mut self, other: &Monitor) {
        if self.policy == other.policy {
            self.policy = other.policy.clone();
        }
        if self.scales == other.scales {
            self.scales = other.scales.clone();
        }
    }

    /// Counts events of the second `at_s` (UNIX). Of several nodes, each second's counts may come in
    /// any order and late; windows count them where they belong.
    pub fn record(&mut self, at_s: u64, count: Count) {
        self.counts.record(at_s, count);
    }

    /// Decides, once a second: everything before `now_s` has been counted, as far as is known.
    /// Returns what changed; usually nothing.
    pub fn evaluate(&mut self, now_s: u64) -> Vec<Change> {
        self.counts.advance(now_s);
        let mut changes = Vec::new();
        let minute = self.counts.rolling(MINUTE).whole;
        let mut second = self.counts.last_second();
        second.add(std::mem::take(&mut self.heard));
        let turn = self.suspicion.second(&self.scales, now_s, second, minute);
        changes.extend(turn.map(Change::Suspicion));
        let now = self.judge();
        let was = std::mem::replace(&mut self.alerts, now);
        let mut burn = |was: bool, on: bool, severity| {
            if was != on {
                changes.push(Change::Burn { severity, on });
            }
        };
        burn(was.page, now.page, Severity::Page);
        burn(was.ticket, now.ticket, Severity::Ticket);
        if was.vanished != now.vanished {
            changes.push(Change::Vanished { on: now.vanished });
        }
        changes
    }

    fn judge(&self) -> Alerts {
        let mut alerts = Alerts::default();
        for rule in &self.rules {
            let long = self.counts.rolling(usize::from(rule.long));
            // Most windows hold nothing bad; the rest of the rule is not asked then.
            if long.bad <= 0.0 {
                continue;
            }
            let short = self.counts.rolling(usize::from(rule.short));
            if burns(&self.policy, long, short, rule.limit) {
                match rule.severity {
                    Severity::Page => alerts.page = true,
                    Severity::Ticket => alerts.ticket = true,
                }
            }
        }
        let present = self.counts.rolling(PRESENT);
        alerts.vanished = has_vanished(&self.policy, present, self.counts.rolling(USUAL));
        alerts
    }

    /// What is on.
    #[must_use]
    pub const fn alerts(&self) -> Alerts {
        self.alerts
    }

    /// The fast signal.
    #[must_use]
    pub const fn suspicion(&self) -> &Suspicion {
        &self.suspicion
    }

    /// Goes on with the fast signal of an earlier life.
    pub fn resume(&mut self, suspicion: Suspicion) {
        self.suspicion = suspicion;
    }

    /// How much of the promise is left.
    #[must_use]
    pub fn budget(&self) -> Budget {
        let count = match self.budget {
            Some(index) => self.counts.rolling(usize::from(index)).whole,
            None => self.counts.period().unwrap_or_default().1,
        };
        let burnt = |ratio: Option<f64>| ratio.map(|ratio| ratio / self.allowed);
        Budget {
            count,
            left: burnt(count.ratio()).map(|burnt| 1.0 - burnt),
            burn: burnt(self.counts.rolling(HOUR).ratio()),
        }
    }

    /// The counts, to be sent to whoever adds up the nodes.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes other counts in the place of these: the sum of several nodes. `heard` is what is new in
    /// them besides what was recorded here; the fast signal weighs it with the next second.
    pub fn replace(&mut self, counts: Rings, heard: Count) {
        self.counts.restore(counts);
        self.heard.add(heard);
    }

    /// Goes on from another monitor of the same objective under other rules: its counts, what is on
    /// and its suspicion.
    pub fn take_over(&mut self, other: &Monitor) {
        self.counts.restore(other.counts.rings().clone());
        self.alerts = other.alerts;
        self.suspicion = other.suspicion;
    }

    /// How many times as fast as allowed it burns in each window that a rule reads, in seconds and
    /// ascending; without windows that hold nothing.
    #[must_use]
    pub fn burns(&self) -> Vec<(u64, f64)> {
        let windows = self.policy.pairs.iter().zip(&self.rules);
        let windows =
            windows.flat_map(|(pair, rule)| [(pair.long_s, rule.long), (pair.short_s, rule.short)]);
        let burn = |(seconds, place): (u64, u8)| {
            let ratio = self.counts.rolling(usize::from(place)).ratio()?;
            Some((seconds, ratio / self.allowed))
        };
        let mut burns: Vec<_> = windows.filter_map(burn).collect();
        burns.order_by_key(|(seconds, _)| *seconds);
        burns.dedup_by_key(|(seconds, _)| *seconds);
        burns
    }

    /// What to store.
    #[must_use]
    pub fn save(&self) -> Saved {
        Saved {
            counts: self.counts.encode(),
            alerts: self.alerts,
            suspicion: self.suspicion,
        }
    }

    /// Goes on from what was stored.
    ///
    /// # Errors
    /// When its counts cannot be read; nothing has changed then.
    pub fn restore(&mut self, saved: &Saved) -> Result<(), Malformed> {
        self.counts.decode(&saved.counts)?;
        self.alerts = saved.alerts;
        self.suspicion = saved.suspicion;
        Ok(())
    }

    /// Bytes that it takes, without what it shares.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.counts.heap_bytes() + self.rules.len() * size_of::<Rule>()
    }
}
