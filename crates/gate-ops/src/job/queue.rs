//! How a queue is served: in what order, how much at a time, and what teams are worth in it.

use super::pace::Pacing;
use std::collections::BTreeMap;

/// How a queue is served.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Queues of higher ones go first.
    pub priority: i32,
    /// Items under way at most.
    pub most: u32,
    /// What teams are worth beside each other; 1 where a team is not named.
    pub weights: BTreeMap<String, f64>,
    /// How it makes room for interactive traffic.
    pub pacing: Pacing,
}

impl Default for Queue {
    /// 64 items under way, all teams alike.
    fn default() -> Self {
        Queue {
            priority: 0,
            most: 64,
            weights: BTreeMap::new(),
            pacing: Pacing::default(),
        }
    }
}

impl Queue {
    /// What a team is worth.
    pub(super) fn weight(&self, team: &str) -> f64 {
        self.weights.get(team).copied().unwrap_or(1.0)
    }
}
