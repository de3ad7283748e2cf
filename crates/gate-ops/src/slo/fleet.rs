//! Counts of several nodes for one objective: each node's latest reading, and their sum.
//!
//! A node's name is that of one life of it (another one after a restart), as with rollouts: its counts
//! only grow, so a later reading takes an earlier one's place whatever the order they come in, and one
//! that comes twice changes nothing. What a node counted stays after it is gone, for as long as windows
//! reach.

use super::ring::{Count, Rings, TIERS};
use std::collections::BTreeMap;

/// Most nodes of one objective.
pub const NODES_MAX: usize = 256;

/// More nodes than can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowded;

impl std::fmt::Display for Crowded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an objective is counted by at most {NODES_MAX} nodes")
    }
}

impl std::error::Error for Crowded {}

/// Each node's counts.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    nodes: BTreeMap<String, Rings>,
}

impl Fleet {
    /// Takes a reading of a node's counts. Readings may come late, twice and in any order.
    ///
    /// # Errors
    /// When it is of a further node than [`NODES_MAX`]; its counts are not in the sum then.
    pub fn absorb(&mut self, node: &str, reading: &Rings) -> Result<(), Crowded> {
        if let Some(known) = self.nodes.get_mut(node) {
            known.join(reading);
            return Ok(());
        }
        if self.nodes.len() >= NODES_MAX {
            return Err(Crowded);
        }
        self.nodes.insert(node.to_owned(), reading.clone());
        Ok(())
    }

    /// What a node has counted so far, of as long as rings reach; none of one that was not heard of.
    #[must_use]
    pub fn counted(&self, node: &str) -> Option<Count> {
        let reading = self.nodes.get(node)?;
        let (tier, reach) = (TIERS.len() - 1, TIERS[TIERS.len() - 1].1 as u64 + 1);
        Some(reading.sum(tier, reach))
    }

    /// Takes over what another has heard. Commutative, associative and idempotent, as long as neither
    /// is crowded.
    ///
    /// # Errors
    /// When not all nodes fit; those that did are in.
    pub fn merge(&mut self, other: &Fleet) -> Result<(), Crowded> {
        let mut result = Ok(());
        for (node, reading) in &other.nodes {
            result = result.and(self.absorb(node, reading));
        }
        result
    }

    /// What all nodes counted, to be restored into a monitor's windows
    /// ([`super::Counts::restore`]).
    #[must_use]
    pub fn sum(&self) -> Rings {
        let mut sum = Rings::default();
        self.nodes.values().for_each(|node| sum.add(node));
        sum
    }

    /// Forgets nodes that were last heard of before any window begins.
    pub fn sweep(&mut self, now_s: u64) {
        let (step, length) = TIERS[TIERS.len() - 1];
        let reach_s = step * (length as u64 + 1);
        self.nodes
            .retain(|_, node| node.now_s().saturating_add(reach_s) >= now_s);
    }

    /// Nodes that were heard of.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::Counts;
    use super::*;
    use gate_kit::random;

    /// A Monday, 2026-11-23 00:00 UTC.
    const START: u64 = 1_795_392_000;

    /// Nodes that count for a while, and readings of them at random times, in random order, some
    /// twice.
    fn readings(nodes: usize) -> (Count, Vec<(String, Rings)>) {
        let (mut all, mut readings) = (Count::default(), Vec::new());
        for number in 0..nodes {
            let (name, mut rings) = (format!("node{number}"), Rings::default());
            for second in 0..200 {
                let count = Count::new(1 + random::below(50) as u64, random::below(3) as u64);
                rings.record(START + second, count);
                all.add(count);
                if random::below(30) == 0 || second == 199 {
                    readings.push((name.clone(), rings.clone()));
                }
            }
        }
        for _ in 0..readings.len() / 3 {
            let again = readings[random::below(readings.len())].clone();
            readings.push(again);
        }
        for index in (1..readings.len()).rev() {
            readings.swap(index, random::below(index + 1));
        }
        (all, readings)
    }

    fn fleet(readings: &[(String, Rings)]) -> Fleet {
        let mut fleet = Fleet::default();
        for (node, reading) in readings {
            fleet.absorb(node, reading).unwrap();
        }
        fleet
    }

    #[test]
    fn readings_in_any_order_make_the_same_sum() {
        for seed in 0..30 {
            random::seed(seed);
            let (all, readings) = readings(1 + random::below(6));
            let (some, others) = readings.split_at(random::below(readings.len()));
            let mut one = fleet(some);
            one.merge(&fleet(others)).unwrap();
            one.merge(&fleet(some)).unwrap();
            let mut other = fleet(others);
            other.merge(&fleet(some)).unwrap();
            assert_eq!(one.sum().encode(), other.sum().encode(), "seed {seed}");
            let mut counts = Counts::new(&[3600], None).unwrap();
            counts.restore(one.sum());
            assert_eq!(counts.rolling(0).whole, all, "seed {seed}");
        }
    }

    #[test]
    fn the_number_of_nodes_is_bounded() {
        let mut rings = Rings::default();
        rings.record(START, Count::new(1, 0));
        let mut fleet = Fleet::default();
        for number in 0..NODES_MAX {
            fleet.absorb(&number.to_string(), &rings).unwrap();
        }
        assert_eq!(fleet.absorb("one more", &rings), Err(Crowded));
        assert_eq!(fleet.absorb("0", &rings), Ok(()));
        fleet.sweep(START + 401 * 86_400);
        assert_eq!(fleet.nodes().count(), NODES_MAX);
        fleet.sweep(START + 401 * 86_400 + 1);
        assert_eq!(fleet.nodes().count(), 0);
    }
}
