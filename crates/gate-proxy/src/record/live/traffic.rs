//! What went through in each of the last seconds, for whoever holds it against an expression.
//!
//! Like the window for people, but by seconds, and tries by endpoint. An exchange counts in the second
//! in which it ended. Memory is bounded by seconds and by names. Pure: time comes with each call.

use super::spread::Spread;
use super::window::{failed, micros};
use gate_flow::Record;
use gate_kit::order::Order;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Seconds that are kept: the longest window, and a little.
const SECONDS_MAX: u64 = 630;
/// Most names that are counted in a second; tries and exchanges of further ones count in all only.
const NAMES_MAX: usize = 300;

/// Whose traffic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TrafficOf {
    /// All of it.
    All,
    /// Exchanges of a route.
    Route(Arc<str>),
    /// Exchanges that an upstream was called for.
    Upstream(Arc<str>),
    /// Tries at an endpoint of an upstream.
    Endpoint(Arc<str>, Arc<str>),
    /// Exchanges that a provider answered.
    Provider(Arc<str>),
}

/// What traffic comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TrafficCount {
    /// Exchanges, or tries.
    pub total: u64,
    /// Those with a status from 500 on or a fault that is not the caller's.
    pub bad: u64,
    /// How long half of them took at most, in milliseconds.
    pub p50_ms: f64,
    /// How long 99 of 100 took at most.
    pub p99_ms: f64,
}

#[derive(Debug, Default)]
struct Cell {
    total: u64,
    bad: u64,
    latency: Spread,
}

impl Cell {
    fn add(&mut self, is_bad: bool, micros: u64) {
        self.total += 1;
        self.bad += u64::from(is_bad);
        self.latency.add(micros);
    }
}

/// The last seconds.
#[derive(Debug, Default)]
pub(super) struct Traffic(VecDeque<(u64, FxHashMap<TrafficOf, Cell>)>);

impl Traffic {
    /// Counts an exchange that has just ended.
    pub(super) fn add(&mut self, record: &Record, now_s: u64) {
        while self
            .0
            .front()
            .is_some_and(|(at, _)| at + SECONDS_MAX < now_s)
        {
            self.0.pop_front();
        }
        if self.0.back().is_none_or(|(at, _)| *at < now_s) {
            self.0.push_back((now_s, FxHashMap::default()));
        }
        let Some((_, cells)) = self.0.back_mut() else {
            return;
        };
        let mut count = |of: TrafficOf, is_bad: bool, took: u64| {
            if cells.len() < NAMES_MAX || cells.contains_key(&of) || of == TrafficOf::All {
                cells.entry(of).or_default().add(is_bad, took);
            }
        };
        let (is_bad, took) = (failed(record), micros(record.duration));
        count(TrafficOf::All, is_bad, took);
        if let Some(route) = &record.route {
            count(TrafficOf::Route(route.clone()), is_bad, took);
        }
        let ai = record.ai.as_deref();
        if let Some(provider) = ai.and_then(|ai| ai.provider.as_ref()) {
            count(TrafficOf::Provider(provider.clone()), is_bad, took);
        }
        let called = ai.is_none() && record.rpc.is_none() && !record.attempts.is_empty();
        let Some(upstream) = record.target.as_ref().filter(|_| called) else {
            return;
        };
        count(TrafficOf::Upstream(upstream.clone()), is_bad, took);
        for attempt in &record.attempts {
            let of = TrafficOf::Endpoint(upstream.clone(), attempt.endpoint.clone());
            let is_bad = attempt.fault.is_some() || attempt.status >= 500;
            count(of, is_bad, micros(attempt.duration));
        }
    }

    /// What these seconds come to.
    pub(super) fn count(&self, of: &TrafficOf, seconds: &Range<u64>) -> TrafficCount {
        let mut sum = Cell::default();
        for cell in self.within(seconds).filter_map(|cells| cells.get(of)) {
            sum.total += cell.total;
            sum.bad += cell.bad;
            sum.latency.absorb(&cell.latency);
        }
        let spread = sum.latency.milliseconds();
        TrafficCount {
            total: sum.total,
            bad: sum.bad,
            p50_ms: spread.p50,
            p99_ms: spread.p99,
        }
    }

    /// Tries by endpoint of an upstream, and bad ones of them.
    pub(super) fn endpoints(
        &self,
        upstream: &str,
        seconds: &Range<u64>,
    ) -> Vec<(Arc<str>, u64, u64)> {
        let mut sums: FxHashMap<Arc<str>, (u64, u64)> = FxHashMap::default();
        for cells in self.within(seconds) {
            for (of, cell) in cells {
                if let TrafficOf::Endpoint(of, endpoint) = of
                    && &**of == upstream
                {
                    let sum = sums.entry(endpoint.clone()).or_default();
                    *sum = (sum.0 + cell.total, sum.1 + cell.bad);
                }
            }
        }
        let mut all: Vec<_> = sums
            .into_iter()
            .map(|(name, (n, bad))| (name, n, bad))
            .collect();
        all.order();
        all
    }

    fn within(&self, seconds: &Range<u64>) -> impl Iterator<Item = &FxHashMap<TrafficOf, Cell>> {
        let found = self.0.iter().filter(|(at, _)| seconds.contains(at));
        found.map(|(_, cells)| cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_flow::Attempt;
    use std::time::Duration;

    fn record(status: u16, endpoint: &str) -> Record {
        Record {
            route: Some("orders".into()),
            target: Some("shop".into()),
            status,
            duration: Duration::from_millis(10),
            attempts: [Attempt {
                endpoint: endpoint.into(),
                status,
                fault: None,
                started: Duration::ZERO,
                duration: Duration::from_millis(8),
                reused: false,
            }]
            .into_iter()
            .collect(),
            ..Record::default()
        }
    }

    #[test]
    fn seconds_are_counted_apart_and_forgotten() {
        let mut traffic = Traffic::default();
        for second in 100..110 {
            traffic.add(&record(200, "a:1"), second);
            traffic.add(&record(503, "b:1"), second);
        }
        let of = TrafficOf::Route("orders".into());
        let count = traffic.count(&of, &(102..105));
        assert_eq!((count.total, count.bad), (6, 3));
        assert!((9.0..11.0).contains(&count.p99_ms), "{count:?}");
        let b = TrafficOf::Endpoint("shop".into(), "b:1".into());
        let count = traffic.count(&b, &(102..105));
        assert_eq!((count.total, count.bad), (3, 3));
        let endpoints = traffic.endpoints("shop", &(100..110));
        assert_eq!(endpoints, [("a:1".into(), 10, 0), ("b:1".into(), 10, 10)]);
        assert_eq!(
            traffic
                .count(&TrafficOf::Route("other".into()), &(0..999))
                .total,
            0
        );
        traffic.add(&record(200, "a:1"), 110 + SECONDS_MAX);
        assert_eq!(traffic.count(&TrafficOf::All, &(0..9999)).total, 1);
    }

    #[test]
    fn names_are_bounded() {
        let mut traffic = Traffic::default();
        for number in 0..2 * NAMES_MAX {
            traffic.add(&record(200, &format!("e{number}:1")), 5);
        }
        assert!(traffic.0[0].1.len() <= NAMES_MAX);
        assert_eq!(
            traffic.count(&TrafficOf::All, &(5..6)).total,
            2 * NAMES_MAX as u64
        );
    }
}
