//! Counts of deliveries to subscribers, by the gateway that delivers.
//!
//! The control side counts; nothing here is on the path of a request.

use super::exposition::{Exposition, Kind};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What became of the events of one subscriber.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubscriberFigures {
    /// Events that were delivered by this process.
    pub delivered: u64,
    /// Attempts of this process that failed, and were or are followed by another.
    pub failed: u64,
    /// Events that became dead letters in this process.
    pub dead: u64,
    /// Events that were passed over because they said the same again.
    pub repeated: u64,
    /// Events of the journal that it has not looked at.
    pub lag: u64,
    /// Events before it that are not settled.
    pub open: u64,
}

/// Counts by subscriber; empty in a process that does not deliver.
#[derive(Debug, Default)]
pub struct SubscriberCounts(Mutex<BTreeMap<String, SubscriberFigures>>);

impl SubscriberCounts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, SubscriberFigures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is counted of a subscriber.
    pub fn of(&self, subscriber: &str, change: impl FnOnce(&mut SubscriberFigures)) {
        let mut all = self.lock();
        match all.get_mut(subscriber) {
            Some(figures) => change(figures),
            None => change(all.entry(subscriber.to_owned()).or_default()),
        }
    }

    /// Forgets what is not counted here: subscribers that are configured no more, and where this process
    /// delivers no more, how far they are.
    pub fn keep(&self, is_known: impl Fn(&str) -> bool, delivers: bool) {
        let mut all = self.lock();
        all.retain(|name, _| is_known(name));
        if !delivers {
            for figures in all.values_mut() {
                (figures.lag, figures.open) = (0, 0);
            }
        }
    }
}

/// The families of subscribers; nothing where there are none.
pub fn page(page: &mut Exposition, counts: &[(String, Arc<SubscriberCounts>)]) {
    let Some((_, counts)) = counts.first() else {
        return;
    };
    let all = counts.lock();
    if all.is_empty() {
        return;
    }
    let name = "tidegate_subscriber_events";
    let help = "Events that were delivered to a subscriber, became dead letters of it, or were passed \
                over because they said the same again, by this process.";
    page.family(name, Kind::Counter, "", help);
    for (name, figures) in &*all {
        for (outcome, count) in [
            ("delivered", figures.delivered),
            ("dead", figures.dead),
            ("repeated", figures.repeated),
        ] {
            page.sample(&[("subscriber", name), ("outcome", outcome)], count);
        }
    }
    let families: [(_, _, _, fn(&SubscriberFigures) -> u64); 3] = [
        (
            "tidegate_subscriber_failures",
            Kind::Counter,
            "Attempts of this process to deliver an event that failed.",
            |figures| figures.failed,
        ),
        (
            "tidegate_subscriber_lag",
            Kind::Gauge,
            "Events of the journal that the subscriber has not looked at; of the gateway that delivers.",
            |figures| figures.lag,
        ),
        (
            "tidegate_subscriber_open",
            Kind::Gauge,
            "Events that wait for an attempt, their turn or their next attempt; of the gateway that \
             delivers.",
            |figures| figures.open,
        ),
    ];
    for (name, kind, help, figure) in families {
        page.family(name, kind, "", help);
        for (name, figures) in &*all {
            page.sample(&[("subscriber", name)], figure(figures));
        }
    }
}

/// Writes every family once: what the reference shows.
pub fn example(to: &mut Exposition) {
    let counts = SubscriberCounts::default();
    counts.of("orders", |figures| figures.delivered = 1);
    page(to, &[(String::new(), Arc::new(counts))]);
}
