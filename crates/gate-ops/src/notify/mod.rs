//! Who is told what, when, and that they are: grouping, inhibition, silences, escalation, delivery.
//!
//! A [`Notifier`] is all of its state and serialises. It is told alerts and the time, and hands out
//! [`Delivery`]s. The rule that makes delivery at least once: whoever drives it stores the state after
//! [`Notifier::tick`] and before sending, and again after [`Notifier::settle`]. After a crash or a
//! takeover what was not settled is handed out again under the same idempotency key: a duplicate, at
//! most one for each crash, that the receiver can tell. `group.rs` groups, `escalate.rs` says who is on
//! call, `render.rs` writes the messages, `view.rs` shows what there is. No sockets here.

#[cfg(test)]
mod crash_tests;
mod escalate;
mod group;
mod render;
#[cfg(test)]
mod tests;
mod view;

pub use escalate::{Escalation, Rotation, Step};
pub use group::{Inhibition, Matcher, Silence};
pub use render::{Receiver, render};
pub use view::GroupView;

use gate_kit::order::Gather;
use group::{Group, is_silent};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most groups, alerts in a group, silences, and deliveries that wait.
pub const GROUPS_MAX: usize = 10_000;
/// Most alerts in a group; further ones are counted.
pub const ALERTS_MAX: usize = 1000;
/// Most silences.
pub const SILENCES_MAX: usize = 1000;
/// Most deliveries that wait; groups wait with theirs until there is room.
pub const WAITING_MAX: usize = 10_000;
/// Longest wait between two attempts.
const BACKOFF_MAX_MS: u64 = 300_000;
/// So long a delivery is tried.
const PATIENCE_MS: u64 = 24 * 3_600_000;
/// So long an attempt may take before it counts as failed.
const ATTEMPT_MS: u64 = 30_000;

/// Names and values.
pub type Labels = BTreeMap<String, String>;

/// Something that is on, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What tells it from others.
    pub labels: Labels,
    /// In words.
    pub text: String,
    /// Since when, in UNIX milliseconds.
    pub since_ms: u64,
    /// Whether it is on.
    pub is_on: bool,
}

/// How alerts become messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Labels whose values make a group.
    pub group_by: Vec<String>,
    /// How long a new group waits for company.
    pub wait_ms: u64,
    /// How long a group that changed waits for more.
    pub interval_ms: u64,
    /// How often a group that stays on is said again.
    pub repeat_ms: u64,
    /// What hides what.
    pub inhibitions: Vec<Inhibition>,
    /// Who is told.
    pub escalation: Escalation,
}

/// A message that has to arrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The same for every attempt, before and after a crash; no other message has it.
    pub key: String,
    /// Where to, by the name of a receiver.
    pub to: String,
    /// Values of the labels that make the group.
    pub group: Labels,
    /// The group's own name at receivers: the same over all its messages.
    pub thread: String,
    /// Alerts, those that are on first.
    pub alerts: Vec<Alert>,
    /// Alerts that found no place.
    pub left_out: u64,
    /// The step of escalation, from 0.
    pub step: usize,
    /// When it was made.
    pub made_ms: u64,
    attempts: u32,
    next_ms: u64,
}

impl Delivery {
    /// Whether anything in it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.alerts.iter().any(|alert| alert.is_on)
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// It may not have it.
    Failed,
}

/// All state of notifications.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notifier {
    policy: Policy,
    groups: BTreeMap<String, Group>,
    silences: Vec<Silence>,
    waiting: Vec<Delivery>,
    /// Numbers keys; stored with everything else, so none is given twice.
    made: u64,
    /// Alerts that found no group, and deliveries that were given up.
    lost: u64,
    /// First part of keys: the environment, so that two do not share them.
    name: String,
}

impl Notifier {
    /// Nothing is on. `name` tells this notifier's keys from those of others.
    #[must_use]
    pub fn new(name: &str, policy: Policy) -> Self {
        Self {
            policy,
            groups: BTreeMap::new(),
            silences: Vec::new(),
            waiting: Vec::new(),
            made: 0,
            lost: 0,
            name: name.to_owned(),
        }
    }

    /// Takes an alert: one that is new, goes on, or is over.
    pub fn hear(&mut self, alert: Alert, now_ms: u64) {
        let group: Labels = alert
            .labels
            .iter()
            .filter(|(key, _)| self.policy.group_by.contains(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .into_map();
        let thread = group::thread(&group);
        if !self.groups.contains_key(&thread) {
            if !alert.is_on {
                return;
            }
            if self.groups.len() >= GROUPS_MAX {
                self.lost += 1;
                return;
            }
            let due_ms = now_ms + self.policy.wait_ms;
            self.groups
                .insert(thread.clone(), Group::new(group, due_ms));
        }
        let own = self.groups.get_mut(&thread).expect("put in above");
        own.take(alert, now_ms, &self.policy);
    }

    /// Hides alerts for a while.
    ///
    /// # Errors
    /// When there are [`SILENCES_MAX`]; or it matches everything, which is not what anybody means.
    pub fn silence(&mut self, silence: Silence, now_ms: u64) -> Result<(), &'static str> {
        self.silences.retain(|held| held.until_ms > now_ms);
        if silence.matchers.is_empty() {
            return Err("a silence names at least one label");
        }
        if self.silences.len() >= SILENCES_MAX {
            return Err("there are too many silences");
        }
        self.silences.push(silence);
        Ok(())
    }

    /// Ends a silence by its id. Says whether there was one.
    pub fn end_silence(&mut self, id: &str) -> bool {
        let before = self.silences.len();
        self.silences.retain(|held| held.id != id);
        self.silences.len() < before
    }

    /// Goes on under another policy: its next look at each group is at the soonest of what was due
    /// and what is due now. Says whether it is another one.
    pub fn follow(&mut self, policy: Policy, now_ms: u64) -> bool {
        if self.policy == policy {
            return false;
        }
        self.policy = policy;
        for group in self.groups.values_mut() {
            group.next_ms = group.next_ms.min(now_ms + self.policy.interval_ms);
        }
        true
    }

    /// Makes one delivery by itself, outside of any group: a message to try a receiver with.
    pub fn say(&mut self, to: &str, alert: Alert, now_ms: u64) {
        self.made += 1;
        self.waiting.push(Delivery {
            key: format!("{}-{}", self.name, self.made),
            to: to.to_owned(),
            group: alert.labels.clone(),
            thread: group::thread(&alert.labels),
            alerts: vec![alert],
            left_out: 0,
            step: 0,
            made_ms: now_ms,
            attempts: 0,
            next_ms: now_ms,
        });
    }

    /// Somebody has a group in hand: it is not escalated further until something new joins it. Says
    /// whether there is such a group.
    pub fn acknowledge(&mut self, thread: &str) -> bool {
        let group = self.groups.get_mut(thread);
        let is_there = group.is_some();
        if let Some(group) = group {
            group.is_acknowledged = true;
        }
        is_there
    }

    /// Makes deliveries of what is due. Store the state afterwards, before sending anything.
    pub fn tick(&mut self, now_ms: u64) {
        let on: Vec<Labels> = self
            .groups
            .values()
            .flat_map(|group| group.alerts.values())
            .filter(|alert| alert.is_on && !is_silent(&self.silences, &alert.labels, now_ms))
            .map(|alert| alert.labels.clone())
            .collect();
        let is_hidden = |labels: &Labels| {
            is_silent(&self.silences, labels, now_ms)
                || self
                    .policy
                    .inhibitions
                    .iter()
                    .any(|rule| rule.hides(labels, &on))
        };
        for (thread, group) in &mut self.groups {
            if self.waiting.len() >= WAITING_MAX {
                break;
            }
            let Some(step) = group.due(now_ms, &self.policy) else {
                continue;
            };
            let (alerts, left_out) = group.shown(&is_hidden);
            if alerts.is_empty() || !group.is_news(&alerts, step, now_ms, &self.policy) {
                group.put_off(now_ms, &self.policy);
                continue;
            }
            let receivers = self.policy.escalation.receivers(step, now_ms);
            for to in receivers {
                self.made += 1;
                self.waiting.push(Delivery {
                    key: format!("{}-{}", self.name, self.made),
                    to,
                    group: group.labels.clone(),
                    thread: thread.clone(),
                    alerts: alerts.clone(),
                    left_out,
                    step,
                    made_ms: now_ms,
                    attempts: 0,
                    next_ms: now_ms,
                });
            }
            group.sent(&alerts, step, now_ms, &self.policy);
        }
        self.groups.retain(|_, group| !group.is_over());
        let before = self.waiting.len();
        self.waiting
            .retain(|one| now_ms.saturating_sub(one.made_ms) <= PATIENCE_MS);
        self.lost += (before - self.waiting.len()) as u64;
    }

    /// Deliveries to attempt now. Each is not handed out again before [`Notifier::settle`] is told how
    /// it went, or the attempt has taken too long. Of a thread and receiver only the oldest, so that
    /// messages arrive in order.
    pub fn take(&mut self, now_ms: u64) -> Vec<Delivery> {
        let mut seen = std::collections::BTreeSet::new();
        let mut taken = Vec::new();
        for delivery in &mut self.waiting {
            let is_first = seen.insert((delivery.to.clone(), delivery.thread.clone()));
            if is_first && delivery.next_ms <= now_ms {
                delivery.attempts += 1;
                delivery.next_ms = now_ms + ATTEMPT_MS;
                taken.push(delivery.clone());
            }
        }
        taken
    }

    /// Says how an attempt ended. Store the state afterwards.
    pub fn settle(&mut self, key: &str, outcome: Outcome, now_ms: u64) {
        match outcome {
            Outcome::Delivered => self.waiting.retain(|one| one.key != key),
            Outcome::Failed => {
                if let Some(one) = self.waiting.iter_mut().find(|one| one.key == key) {
                    let backoff_ms = 1000_u64 << one.attempts.min(20);
                    one.next_ms = now_ms + backoff_ms.min(BACKOFF_MAX_MS);
                }
            }
        }
    }

    /// What a process does that goes on where another stopped: nobody is attempting anything.
    pub fn take_over(&mut self, now_ms: u64) {
        for delivery in &mut self.waiting {
            delivery.next_ms = delivery.next_ms.min(now_ms);
        }
    }

    /// Whether [`Notifier::tick`] has a group to look at, or a delivery to give up.
    #[must_use]
    pub fn groups_due(&self, now_ms: u64) -> bool {
        let is_old = |one: &Delivery| now_ms.saturating_sub(one.made_ms) > PATIENCE_MS;
        self.groups.values().any(|group| group.next_ms <= now_ms) || self.waiting.iter().any(is_old)
    }

    /// When [`Notifier::tick`] or [`Notifier::take`] next have something to do, at the latest.
    #[must_use]
    pub fn next_ms(&self) -> Option<u64> {
        let groups = self.groups.values().map(|group| group.next_ms);
        let waiting = self.waiting.iter().map(|one| one.next_ms);
        groups.chain(waiting).min()
    }

    /// Alerts that found no group, and deliveries that were given up after a day.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Deliveries that have not arrived, as far as is known.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}
