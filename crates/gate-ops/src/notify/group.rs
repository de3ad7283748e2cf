//! Groups of alerts, and what keeps alerts out of messages.

use super::{ALERTS_MAX, Alert, Labels, Policy};
use gate_kit::order::{Gather, Order};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a label must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matcher {
    /// The label.
    pub label: String,
    /// Its value; a label that is missing is empty.
    pub value: String,
    /// Whether it must not be that.
    pub is_not: bool,
}

impl Matcher {
    /// Whether the labels are like that.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.label).map_or("", String::as_str);
        (value == self.value) != self.is_not
    }
}

fn all(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels))
}

/// While an alert of one kind is on, those of another are not said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inhibition {
    /// What hides.
    pub source: Vec<Matcher>,
    /// What is hidden.
    pub target: Vec<Matcher>,
    /// Labels that both must share.
    pub equal: Vec<String>,
}

impl Inhibition {
    /// Whether an alert is hidden by one of those that are on. None hides itself.
    #[must_use]
    pub fn hides(&self, labels: &Labels, on: &[Labels]) -> bool {
        all(&self.target, labels)
            && on.iter().any(|other| {
                other != labels
                    && all(&self.source, other)
                    && self.equal.iter().all(|label| other.get(label) == labels.get(label))
                    // Two that hide one another would both be unheard.
                    && !(all(&self.source, labels) && all(&self.target, other))
            })
    }
}

/// Alerts that are not said for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// What it is ended by.
    #[serde(default)]
    pub id: String,
    /// Which: all must hold.
    pub matchers: Vec<Matcher>,
    /// Until when, in UNIX milliseconds.
    pub until_ms: u64,
    /// Who said so.
    pub by: String,
    /// Why.
    pub reason: String,
}

pub(super) fn is_silent(silences: &[Silence], labels: &Labels, now_ms: u64) -> bool {
    let mut current = silences.iter().filter(|silence| silence.until_ms > now_ms);
    current.any(|silence| all(&silence.matchers, labels))
}

/// A text for labels that no others have: each part with its length before it.
pub(super) fn thread(labels: &Labels) -> String {
    let part =
        |(key, value): (&String, &String)| format!("{}:{key}={}:{value};", key.len(), value.len());
    labels.iter().map(part).collect()
}

/// Alerts that are said together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) labels: Labels,
    /// By the text of their labels.
    pub(super) alerts: BTreeMap<String, Alert>,
    left_out: u64,
    /// When it is looked at next.
    pub(super) next_ms: u64,
    /// Which alerts were said last, and whether they were on.
    said: BTreeMap<String, bool>,
    pub(super) said_ms: u64,
    /// Since when somebody is waited for, at a step of the escalation.
    waits_since_ms: Option<u64>,
    pub(super) step: usize,
    pub(super) is_acknowledged: bool,
}

impl Group {
    pub(super) fn new(labels: Labels, next_ms: u64) -> Self {
        Self {
            labels,
            alerts: BTreeMap::new(),
            left_out: 0,
            next_ms,
            said: BTreeMap::new(),
            said_ms: 0,
            waits_since_ms: None,
            step: 0,
            is_acknowledged: false,
        }
    }

    pub(super) fn take(&mut self, alert: Alert, now_ms: u64, policy: &Policy) {
        let key = thread(&alert.labels);
        let known = self.alerts.get(&key);
        let is_new = known.is_none_or(|known| known.is_on != alert.is_on);
        if known.is_none() && (!alert.is_on || self.alerts.len() >= ALERTS_MAX) {
            self.left_out += u64::from(alert.is_on);
            return;
        }
        if is_new {
            if alert.is_on {
                self.is_acknowledged = false;
            }
            // A group that was said waits for company again.
            if !self.said.is_empty() {
                self.next_ms = self
                    .next_ms
                    .min(now_ms.max(self.said_ms + policy.interval_ms));
            }
        }
        self.alerts.insert(key, alert);
    }

    fn is_on(&self) -> bool {
        self.alerts.values().any(|alert| alert.is_on)
    }

    /// Whether it is to be looked at, and the step of escalation that it is at.
    pub(super) fn due(&mut self, now_ms: u64, policy: &Policy) -> Option<usize> {
        if now_ms < self.next_ms {
            return None;
        }
        if let Some(since_ms) = self.waits_since_ms
            && !self.is_acknowledged
            && self.is_on()
        {
            let step = policy.escalation.step(now_ms.saturating_sub(since_ms));
            return Some(step.max(self.step));
        }
        Some(self.step)
    }

    /// What is said: alerts that are not hidden, and those that were said to be on and no longer are.
    pub(super) fn shown(&self, is_hidden: &impl Fn(&Labels) -> bool) -> (Vec<Alert>, u64) {
        let was_said = |key: &String| self.said.get(key) == Some(&true);
        let shown = self.alerts.iter().filter(|(key, alert)| match alert.is_on {
            true => !is_hidden(&alert.labels),
            false => was_said(key),
        });
        let mut alerts: Vec<Alert> = shown.map(|(_, alert)| alert.clone()).collect();
        alerts.order_by_key(|alert| !alert.is_on);
        (alerts, self.left_out)
    }

    /// Whether saying it says something: another set, a further step, or it was long ago.
    pub(super) fn is_news(
        &self,
        alerts: &[Alert],
        step: usize,
        now_ms: u64,
        policy: &Policy,
    ) -> bool {
        let set: BTreeMap<String, bool> = said(alerts);
        let is_other = set.iter().any(|(key, on)| self.said.get(key) != Some(on));
        let is_on = alerts.iter().any(|alert| alert.is_on);
        let is_long_ago = is_on && now_ms.saturating_sub(self.said_ms) >= policy.repeat_ms;
        is_other || step > self.step || is_long_ago
    }

    pub(super) fn sent(&mut self, alerts: &[Alert], step: usize, now_ms: u64, policy: &Policy) {
        let is_on = alerts.iter().any(|alert| alert.is_on);
        self.said = said(alerts);
        self.said_ms = now_ms;
        self.step = step;
        match is_on {
            true => {
                self.waits_since_ms.get_or_insert(now_ms);
            }
            false => (self.waits_since_ms, self.step) = (None, 0),
        }
        // What is over and was said to be is forgotten.
        self.alerts.retain(|_, alert| alert.is_on);
        self.said.retain(|_, on| *on);
        self.put_off(now_ms, policy);
    }

    /// Looks again when something may be due.
    pub(super) fn put_off(&mut self, now_ms: u64, policy: &Policy) {
        let repeat_ms = self.said_ms + policy.repeat_ms;
        let escalation_ms = self
            .waits_since_ms
            .filter(|_| !self.is_acknowledged)
            .and_then(|since_ms| {
                policy
                    .escalation
                    .after(self.step)
                    .map(|after_ms| since_ms + after_ms)
            });
        // At the interval at least: silences and inhibitions end without an alert saying so.
        let next_ms = [
            Some(repeat_ms),
            escalation_ms,
            Some(now_ms + policy.interval_ms),
        ];
        let later = next_ms
            .into_iter()
            .flatten()
            .filter(|at_ms| *at_ms > now_ms)
            .min();
        self.next_ms = later.unwrap_or(now_ms + policy.interval_ms.max(1000));
        let was_said = |key: &String| self.said.contains_key(key);
        self.alerts
            .retain(|key, alert| alert.is_on || was_said(key));
    }

    pub(super) fn is_over(&self) -> bool {
        self.alerts.is_empty()
    }
}

fn said(alerts: &[Alert]) -> BTreeMap<String, bool> {
    alerts
        .iter()
        .map(|alert| (thread(&alert.labels), alert.is_on))
        .into_map()
}
