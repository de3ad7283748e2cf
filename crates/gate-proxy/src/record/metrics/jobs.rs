//! Counts of jobs: what became of items, calls that were made again, what runs and waits.
//!
//! Whoever runs jobs counts; nothing here is on the path of a request.

use super::exposition::{Exposition, Kind};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most queues that are told apart; others count as one.
const QUEUES_MAX: usize = 1_000;
/// What those are called.
const OTHER: &str = "other";

/// What became of the items of one queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobCount {
    /// Items that succeeded.
    pub succeeded: u64,
    /// Items that failed for good.
    pub failed: u64,
    /// Tries that failed and were followed by another.
    pub retries: u64,
    /// Calls that were made again because the gateway that made them ended.
    pub repeats: u64,
    /// Items under way.
    pub in_flight: u64,
    /// Jobs that have not ended.
    pub jobs: u64,
}

/// What became of jobs that this process ran, by queue.
#[derive(Debug, Default)]
pub struct JobCounts(Mutex<BTreeMap<String, JobCount>>);

impl JobCounts {
    /// Changes the counts of a queue.
    pub fn of(&self, queue: &str, change: impl FnOnce(&mut JobCount)) {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = queues.contains_key(queue) || queues.len() < QUEUES_MAX;
        let name = if is_known { queue } else { OTHER };
        change(queues.entry(name.to_owned()).or_default());
    }

    /// Says anew what runs and waits: in every queue, nothing.
    pub fn clear_gauges(&self) {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for count in queues.values_mut() {
            (count.in_flight, count.jobs) = (0, 0);
        }
    }
}

/// The families of jobs; nothing where this process never ran any.
pub fn page(page: &mut Exposition, counts: &[(String, Arc<JobCounts>)]) {
    let mut all: BTreeMap<String, JobCount> = BTreeMap::new();
    for (_, counts) in counts {
        let queues = counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(queues.iter().map(|(name, count)| (name.clone(), *count)));
    }
    if all.is_empty() {
        return;
    }
    let help = "Items of jobs that ended, by queue and by how.";
    page.family("tidegate_job_items", Kind::Counter, "", help);
    for (queue, count) in &all {
        for (outcome, number) in [("succeeded", count.succeeded), ("failed", count.failed)] {
            page.sample(&[("queue", queue), ("outcome", outcome)], number);
        }
    }
    let help = "Calls for items of jobs that were made again: after a failure (retry), or because the \
        gateway that made them ended (repeat).";
    page.family("tidegate_job_calls_again", Kind::Counter, "", help);
    for (queue, count) in &all {
        for (why, number) in [("retry", count.retries), ("repeat", count.repeats)] {
            page.sample(&[("queue", queue), ("reason", why)], number);
        }
    }
    let help = "Items of jobs under way in this process.";
    page.family("tidegate_job_items_in_flight", Kind::Gauge, "", help);
    for (queue, count) in &all {
        page.sample(&[("queue", queue)], count.in_flight);
    }
    let help = "Jobs that have not ended, as the gateway that leads them knows it.";
    page.family("tidegate_jobs_open", Kind::Gauge, "", help);
    for (queue, count) in &all {
        page.sample(&[("queue", queue)], count.jobs);
    }
}

/// All families, as the reference shows them.
pub fn example(exposition: &mut Exposition) {
    let counts = JobCounts::default();
    counts.of("default", |_| {});
    page(exposition, &[(String::new(), Arc::new(counts))]);
}
