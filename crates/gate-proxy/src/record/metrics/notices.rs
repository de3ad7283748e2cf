//! Counts of notifications: attempts by receiver, what waits and what was lost.
//!
//! The control side counts; nothing here is on the path of a request.

use super::exposition::{Exposition, Kind};
use gate_kit::counter::Counter;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Most receivers that are told apart; others count as one.
const RECEIVERS_MAX: usize = 1_000;
/// What those are called.
const OTHER: &str = "other";

/// What became of notifications of this process.
#[derive(Debug, Default)]
pub struct NoticeCounts {
    /// Attempts that arrived and that failed, by receiver.
    attempts: Mutex<BTreeMap<String, (u64, u64)>>,
    dropped: Counter,
    unrouted: Counter,
    waiting: AtomicU64,
    lost: AtomicU64,
    /// Whether there is anybody to be told.
    is_used: AtomicBool,
}

impl NoticeCounts {
    /// An attempt to send ended.
    pub fn attempted(&self, receiver: &str, has_arrived: bool) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = attempts.contains_key(receiver) || attempts.len() < RECEIVERS_MAX;
        let name = if is_known { receiver } else { OTHER };
        let own = attempts.entry(name.to_owned()).or_default();
        match has_arrived {
            true => own.0 += 1,
            false => own.1 += 1,
        }
    }

    /// An alert found no room in this process; it comes again while it is on.
    pub fn dropped(&self) {
        self.dropped.add(1);
    }

    /// So many alerts fit no notification.
    pub fn unrouted(&self, count: u64) {
        self.unrouted.add(count);
    }

    /// What waits and what was lost, as the gateway that leads knows it.
    pub fn now(&self, waiting: u64, lost: u64) {
        self.waiting.store(waiting, Ordering::Relaxed);
        self.lost.store(lost, Ordering::Relaxed);
        self.is_used.store(true, Ordering::Relaxed);
    }
}

/// The families of notifications; nothing where nobody is to be told.
pub fn page(page: &mut Exposition, counts: &[(String, Arc<NoticeCounts>)]) {
    let used = |one: &&(String, Arc<NoticeCounts>)| one.1.is_used.load(Ordering::Relaxed);
    let Some((_, counts)) = counts.iter().find(used) else {
        return;
    };
    let help = "Attempts to send a message, by receiver and by whether it arrived.";
    page.family("tidegate_notification_attempts", Kind::Counter, "", help);
    let attempts = counts
        .attempts
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    for (receiver, (arrived, failed)) in &*attempts {
        for (outcome, count) in [("arrived", arrived), ("failed", failed)] {
            page.sample(&[("receiver", receiver), ("outcome", outcome)], count);
        }
    }
    let help = "Alerts that fit no notification.";
    page.family("tidegate_notification_unrouted", Kind::Counter, "", help);
    page.sample(&[], counts.unrouted.sum());
    let help = "Alerts that found no room in this process; they come again while they are on.";
    page.family("tidegate_notification_dropped", Kind::Counter, "", help);
    page.sample(&[], counts.dropped.sum());
    let help = "Messages that have not arrived, as the gateway that leads knows it.";
    page.family("tidegate_notification_waiting", Kind::Gauge, "", help);
    page.sample(&[], counts.waiting.load(Ordering::Relaxed));
    let help = "Alerts and messages that were given up, as the gateway that leads knows it.";
    page.family("tidegate_notification_lost", Kind::Gauge, "", help);
    page.sample(&[], counts.lost.load(Ordering::Relaxed));
}

/// Writes every family once: what the reference shows.
pub fn example(to: &mut Exposition) {
    let counts = NoticeCounts::default();
    counts.attempted("pager", true);
    counts.now(0, 0);
    page(to, &[(String::new(), Arc::new(counts))]);
}
