//! What is seen of interactive traffic: how much is under way beside our items, what waits, and what
//! providers have left.

use super::lane::models;
use gate_api::types::TargetHealth;
use gate_ops::job::pace::Seen;
use gate_proxy::process::Process;
use std::collections::BTreeMap;

/// Most targets whose limits are remembered.
const TARGETS_MAX: usize = 10_000;

/// What is remembered between looks.
#[derive(Default)]
pub(super) struct Eyes {
    /// Items that were told to come later since the last look, by lane.
    refused: BTreeMap<String, u32>,
    /// The most that a target was ever seen to have left: about its limit.
    most: BTreeMap<(String, &'static str), u64>,
}

impl Eyes {
    /// An item was told to come later.
    pub(super) fn refused(&mut self, lane: &str) {
        let count = self.refused.entry(lane.to_owned()).or_default();
        *count = count.saturating_add(1);
    }

    /// What is seen now of lanes, of which `ours` are under way.
    pub(super) fn look(
        &mut self,
        process: &Process,
        ours: &BTreeMap<String, u32>,
    ) -> BTreeMap<String, Seen> {
        let mut refused = std::mem::take(&mut self.refused);
        if ours.is_empty() {
            return BTreeMap::new();
        }
        let all: u32 = ours.values().fold(0, |sum, own| sum.saturating_add(*own));
        let targets: Vec<TargetHealth> = match ours.keys().any(|lane| models(lane).is_some()) {
            true => process
                .headroom()
                .into_iter()
                .flat_map(|one| one.targets)
                .collect(),
            false => Vec::new(),
        };
        let mut seen = BTreeMap::new();
        for (lane, own) in ours {
            let mut one = match models(lane) {
                Some(models) => self.of_models(&models, *own, &targets),
                None => Seen {
                    interactive: narrow(process.in_flight()).saturating_sub(all),
                    ..Seen::default()
                },
            };
            one.refused = refused.remove(lane).unwrap_or(0);
            seen.insert(lane.clone(), one);
        }
        seen
    }

    fn of_models(&mut self, models: &[&str], own: u32, targets: &[TargetHealth]) -> Seen {
        let mut seen = Seen::default();
        let is_used = |name: &String| models.contains(&name.as_str());
        let used_by = |target: &&TargetHealth| target.used_by.iter().any(is_used);
        let targets: Vec<&TargetHealth> = targets.iter().filter(used_by).collect();
        let in_flight = targets.iter().map(|target| narrow(target.in_flight.into()));
        let in_flight = in_flight.fold(0_u32, u32::saturating_add);
        seen.interactive = in_flight.saturating_sub(own);
        // Items wait behind everybody else, so that what waits beyond them is interactive.
        seen.waiting = targets
            .iter()
            .filter_map(|target| target.waiting)
            .sum::<u32>();
        seen.waiting = seen.waiting.saturating_sub(own);
        let places = targets.iter().map(|target| target.limit);
        let places = places.reduce(|sum, limit| Some(sum?.saturating_add(limit?)));
        seen.places = places.flatten();
        seen.rests = !targets.is_empty() && targets.iter().all(|one| one.resting_until.is_some());
        for target in targets {
            for lane in &target.headroom {
                let key = format!("{}/{}", target.model, lane.credential);
                let left = [("calls", lane.requests_left), ("tokens", lane.tokens_left)];
                for (what, left) in left {
                    let Some(left) = left else { continue };
                    let share = self.share(&key, what, left);
                    if seen.left.is_none_or(|known| share < known) {
                        seen.left = Some(share);
                        seen.calls_left = lane.requests_left.map(|left| left as f64);
                    }
                }
            }
        }
        seen
    }

    /// What share is left of the most that was ever left.
    fn share(&mut self, target: &str, what: &'static str, left: u64) -> f64 {
        if self.most.len() >= TARGETS_MAX {
            self.most.clear();
        }
        let most = self.most.entry((target.to_owned(), what)).or_default();
        *most = (*most).max(left);
        match *most {
            0 => 0.0,
            most => left as f64 / most as f64,
        }
    }
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
