//! Counts of jobs and batches: what became of items, calls that were made again, what runs and waits.
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// Items of jobs that have not ended which neither ended nor are under way.
    pub waiting: u64,
    /// Jobs that have not ended, by what they await.
    pub open: BTreeMap<&'static str, u64>,
    /// Jobs that ended, by how.
    pub ended: BTreeMap<&'static str, u64>,
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
            (count.in_flight, count.waiting) = (0, 0);
            count.open.values_mut().for_each(|number| *number = 0);
        }
    }
}

/// The families of jobs; nothing where this process never ran any.
pub fn page(page: &mut Exposition, counts: &[(String, Arc<JobCounts>)]) {
    let mut all: BTreeMap<String, JobCount> = BTreeMap::new();
    for (_, counts) in counts {
        let queues = counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(
            queues
                .iter()
                .map(|(name, count)| (name.clone(), count.clone())),
        );
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
    let help = "Items of jobs that have not ended which neither ended nor are under way, as the gateway \
        that leads them knows it.";
    page.family("tidegate_job_items_waiting", Kind::Gauge, "", help);
    for (queue, count) in &all {
        page.sample(&[("queue", queue)], count.waiting);
    }
    let help = "Jobs that have not ended, by queue and by what they await, as the gateway that leads \
        them knows it.";
    page.family("tidegate_jobs_open", Kind::Gauge, "", help);
    for (queue, count) in &all {
        for (state, number) in &count.open {
            page.sample(&[("queue", queue), ("state", state)], *number);
        }
    }
    let help = "Jobs that ended, by queue and by how.";
    page.family("tidegate_jobs_ended", Kind::Counter, "", help);
    for (queue, count) in &all {
        for (state, number) in &count.ended {
            page.sample(&[("queue", queue), ("state", state)], *number);
        }
    }
}

/// API, what it awaits or how it ended, and who runs it.
type BatchKind = (&'static str, &'static str, &'static str);

/// Batches that this process leads through, and what became of them.
#[derive(Debug, Default)]
pub struct BatchCounts(Mutex<[BTreeMap<BatchKind, u64>; 2]>);

impl BatchCounts {
    /// Says anew which batches have not ended: their API, what they await, and who runs them (`gateway`
    /// or `provider`).
    pub fn open(&self, batches: impl Iterator<Item = BatchKind>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts[0].values_mut().for_each(|number| *number = 0);
        for kind in batches {
            *counts[0].entry(kind).or_default() += 1;
        }
    }

    /// A batch has ended.
    pub fn ended(&self, kind: BatchKind) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts[1].entry(kind).or_default() += 1;
    }
}

/// The families of batches; nothing where this process never led any.
pub fn batches(page: &mut Exposition, counts: &[(String, Arc<BatchCounts>)]) {
    let families = [
        (
            "tidegate_batches_open",
            Kind::Gauge,
            "Batches that have not ended, by API, by what they await, and by who runs them (the gateway \
             or a provider).",
        ),
        (
            "tidegate_batches_ended",
            Kind::Counter,
            "Batches that ended, by API, by how, and by who ran them (the gateway or a provider).",
        ),
    ];
    for (at, (name, kind, help)) in families.into_iter().enumerate() {
        let mut is_told = false;
        for (_, counts) in counts {
            let counts = counts.0.lock().unwrap_or_else(PoisonError::into_inner);
            for ((api, state, by), number) in &counts[at] {
                if !std::mem::replace(&mut is_told, true) {
                    page.family(name, kind, "", help);
                }
                page.sample(&[("api", api), ("state", state), ("by", by)], *number);
            }
        }
    }
}

/// All families, as the reference shows them.
pub fn example(exposition: &mut Exposition) {
    let counts = JobCounts::default();
    counts.of("default", |count| {
        count.open.insert("running", 0);
        count.ended.insert("succeeded", 0);
    });
    page(exposition, &[(String::new(), Arc::new(counts))]);
    let counts = BatchCounts::default();
    counts.open([("openai", "in_progress", "gateway")].into_iter());
    counts.ended(("openai", "completed", "gateway"));
    batches(exposition, &[(String::new(), Arc::new(counts))]);
}
