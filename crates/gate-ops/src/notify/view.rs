//! What a notifier holds, for people.

use super::{Alert, Delivery, Labels, Notifier, Silence};

/// Alerts that are said together, as they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// Its name at receivers, by which it is acknowledged.
    pub thread: String,
    /// Values of the labels that make it.
    pub labels: Labels,
    /// Its alerts that are on, or whose end was not said yet.
    pub alerts: Vec<Alert>,
    /// When it was last said, in UNIX milliseconds; 0 when it was not.
    pub said_ms: u64,
    /// The step of the escalation, from 0.
    pub step: usize,
    /// Whether somebody has it in hand.
    pub is_acknowledged: bool,
}

impl Notifier {
    /// Groups with something on, by their threads.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupView> {
        let view = |(thread, group): (&String, &super::Group)| GroupView {
            thread: thread.clone(),
            labels: group.labels.clone(),
            alerts: group.alerts.values().cloned().collect(),
            said_ms: group.said_ms,
            step: group.step,
            is_acknowledged: group.is_acknowledged,
        };
        self.groups.iter().map(view).collect()
    }

    /// Silences, those that have passed included until others come.
    #[must_use]
    pub fn silences(&self) -> &[Silence] {
        &self.silences
    }

    /// Deliveries that have not arrived, as far as is known; the oldest first.
    #[must_use]
    pub fn deliveries(&self) -> &[Delivery] {
        &self.waiting
    }

    /// Whether nothing is on and nothing waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.groups.is_empty() && self.waiting.is_empty()
    }
}

impl Delivery {
    /// How often it was tried.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// When it is tried next, in UNIX milliseconds.
    #[must_use]
    pub fn next_ms(&self) -> u64 {
        self.next_ms
    }
}
