//! Weighted fair shares: who has had the least of what its weight is worth goes first.
//!
//! Each team has a virtual time, which grows by the time that its items take over its weight; the one
//! whose time is lowest goes next (fair queueing; Demers, Keshav and Shenker, SIGCOMM 1989). So long items
//! count for more than short ones. What has been spent is kept apart from what items under way are expected
//! to take: the expectation decides who goes next, and only what was spent says where a team begins that
//! had nothing to do, which is at the lowest of those that had. Nobody saves up for later, and nobody pays
//! for what others were wrongly expected to take.

use gate_kit::order::Gather;
use std::collections::{BTreeMap, BTreeSet};

/// Smallest weight: what is less counts as this.
const WEIGHT_MIN: f64 = 0.001;
/// What one item says about how long the next takes.
const MEAN_PART: f64 = 0.1;

/// The shares of a queue.
#[derive(Debug, Clone, Default)]
pub struct Share {
    teams: BTreeMap<String, Team>,
    mean: Mean,
}

#[derive(Debug, Clone, Default)]
struct Team {
    /// What was spent, over its weight, in milliseconds.
    spent: f64,
    /// What its items under way are expected to take beyond, over its weight.
    expected: f64,
    active: bool,
}

/// What an item under way costs its team.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Charge {
    weight: f64,
    spent_ms: f64,
    expected_ms: f64,
}

/// How long items take, the latest counting most.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mean(Option<f64>);

impl Mean {
    pub(super) fn add(&mut self, took_ms: f64) {
        let mean = self.0.get_or_insert(took_ms);
        *mean += (took_ms - *mean) * MEAN_PART;
    }

    /// In milliseconds; nothing before the first.
    pub(super) const fn get(self) -> Option<f64> {
        self.0
    }
}

impl Share {
    /// Says which teams have something to do, or under way.
    pub fn set_active<'a>(&mut self, active: impl Iterator<Item = &'a str>) {
        let mut active: BTreeSet<&str> = active.into_set();
        let stays = |(name, team): &(&String, &Team)| team.active && active.contains(name.as_str());
        let lowest = self.teams.iter().filter(stays).map(|(_, team)| team.spent);
        let lowest = lowest.min_by(f64::total_cmp);
        // Where nobody goes on, all begin alike. What somebody owes is kept until the rest have caught up.
        self.teams.retain(|name, team| match lowest {
            Some(lowest) => active.contains(name.as_str()) || team.spent > lowest,
            None => false,
        });
        let lowest = lowest.unwrap_or(0.0);
        for (name, team) in &mut self.teams {
            let is_active = active.remove(name.as_str());
            if is_active && !team.active {
                team.spent = team.spent.max(lowest);
            }
            team.active = is_active;
        }
        for name in active {
            let team = Team {
                spent: lowest,
                expected: 0.0,
                active: true,
            };
            self.teams.insert(name.to_owned(), team);
        }
    }

    /// Of these teams, the one that goes next.
    #[must_use]
    pub fn next<'a>(&self, of: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let time = |name: &str| {
            let team = self.teams.get(name);
            team.map_or(0.0, |team| team.spent + team.expected)
        };
        of.map(|name| (time(name), name))
            .min_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(other.1)))
            .map(|(_, name)| name)
    }

    /// How long an item takes of which nothing is known, in milliseconds: as long as others of the queue.
    #[must_use]
    pub const fn usual_ms(&self) -> Option<f64> {
        self.mean.get()
    }

    /// An item of a team starts, which is expected to take so long.
    #[must_use]
    pub fn start(&mut self, team: &str, expected_ms: f64, weight: f64) -> Charge {
        let weight = weight.max(WEIGHT_MIN);
        if let Some(team) = self.teams.get_mut(team) {
            team.expected += expected_ms / weight;
        }
        Charge {
            weight,
            spent_ms: 0.0,
            expected_ms,
        }
    }

    /// An item has been under way for so long, in milliseconds.
    pub fn spend(&mut self, team: &str, charge: &mut Charge, spent_ms: f64) {
        let more = spent_ms - charge.spent_ms;
        let less = charge.expected_ms.min(more.max(0.0));
        charge.spent_ms = spent_ms;
        charge.expected_ms -= less;
        if let Some(team) = self.teams.get_mut(team) {
            team.spent += more / charge.weight;
            team.expected -= less / charge.weight;
        }
    }

    /// An item has taken so long, in milliseconds.
    pub fn end(&mut self, team: &str, mut charge: Charge, took_ms: f64) {
        self.spend(team, &mut charge, took_ms);
        if let Some(team) = self.teams.get_mut(team) {
            team.expected -= charge.expected_ms / charge.weight;
        }
        self.mean.add(took_ms);
    }
}
