//! Weighted fair shares: who has had the least of what its weight is worth goes first.
//!
//! Each team has a virtual time, which grows by the work that was done for it over its weight; the one
//! whose time is lowest goes next (start-time fair queueing; Goyal, Vin, Cheng, SIGCOMM 1996). Work is
//! the time that items take, so that long items count for more than short ones; it is estimated when an
//! item starts and corrected when it ends. A team that had nothing to do begins at the lowest time of
//! those that had: nobody saves up for later.

use std::collections::BTreeMap;

/// Most teams that are remembered; the idle ones are forgotten first.
const TEAMS_MAX: usize = 10_000;
/// Smallest weight: what is less counts as this.
const WEIGHT_MIN: f64 = 0.001;

/// The shares of a queue.
#[derive(Debug, Clone, Default)]
pub struct Share {
    teams: BTreeMap<String, Team>,
    /// The virtual time of whoever went last.
    now: f64,
}

#[derive(Debug, Clone)]
struct Team {
    time: f64,
    active: bool,
}

impl Share {
    /// Says which teams have something to do.
    pub fn set_active<'a>(&mut self, active: impl Iterator<Item = &'a str>) {
        self.teams.values_mut().for_each(|team| team.active = false);
        let now = self.now;
        let mut fresh = Vec::new();
        for name in active {
            match self.teams.get_mut(name) {
                Some(team) => {
                    team.active = true;
                }
                None => fresh.push(name.to_owned()),
            }
        }
        for name in fresh {
            let team = Team {
                time: now,
                active: true,
            };
            self.teams.insert(name, team);
        }
        // Time does not pass for who had nothing to do, nor is it saved.
        for team in self.teams.values_mut().filter(|team| !team.active) {
            team.time = team.time.max(now);
        }
        if self.teams.len() > TEAMS_MAX {
            self.teams.retain(|_, team| team.active);
        }
    }

    /// Of these teams, the one that goes next.
    #[must_use]
    pub fn next<'a>(&self, of: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let time = |name: &str| self.teams.get(name).map_or(self.now, |team| team.time);
        of.map(|name| (time(name), name))
            .min_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(other.1)))
            .map(|(_, name)| name)
    }

    /// Charges a team with the start of work.
    pub fn start(&mut self, name: &str, work_ms: f64, weight: f64) {
        if let Some(team) = self.teams.get_mut(name) {
            self.now = self.now.max(team.time);
            team.time += work_ms / weight.max(WEIGHT_MIN);
        }
    }

    /// Corrects the charge of work by what it took more (or less) than was charged.
    pub fn correct(&mut self, name: &str, more_ms: f64, weight: f64) {
        if let Some(team) = self.teams.get_mut(name) {
            team.time += more_ms / weight.max(WEIGHT_MIN);
        }
    }
}
