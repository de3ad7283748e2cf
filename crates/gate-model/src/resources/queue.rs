//! Queues of jobs: who shares them, how much of them runs at a time, and what they leave to others.

use crate::units::Percent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A queue of jobs. Teams that have work in it share what runs at a time by their weights; jobs of a
/// team go by their priority, then in the order of submission. A job that names no queue is in
/// `default`, which is there without being configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    /// Queues with a higher one go first, as long as they have something to do.
    pub priority: i32,
    /// Items under way at a time, over all jobs of the queue, from 1 to 1,024.
    pub concurrency: u32,
    /// What teams are worth beside each other, from 1 to 1,000; 1 for those that are not named.
    pub weights: BTreeMap<String, u32>,
    /// How it makes room for interactive calls.
    pub pacing: QueuePacing,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            priority: 0,
            concurrency: 64,
            weights: BTreeMap::new(),
            pacing: QueuePacing::default(),
        }
    }
}

/// How a queue makes room for interactive calls. Items begin with few at a time and become more while
/// nobody complains; a refusal, or an interactive call that waits, halves them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueuePacing {
    /// Items under way at the beginning.
    pub first: u32,
    /// Share of providers' own limits that items leave alone, where providers say what is left.
    pub reserve: Percent,
}

impl Default for QueuePacing {
    fn default() -> Self {
        Self {
            first: 4,
            reserve: Percent::from_percents(20),
        }
    }
}
