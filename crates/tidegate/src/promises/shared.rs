//! Places as gateways tell them to one another over the store: those of objectives that failed in the
//! last two minutes, with all that is needed to compare them with the hour before.
//!
//! Slots of ten seconds are numbered by UNIX time, so that what two gateways counted at once is one
//! moment. What is told is bounded in places and bytes; what finds no room counts for its route.

use super::places::{FINE, Slot, Slots, Sums, add};
use gate_flow::{DIMENSIONS, Place};
use gate_kit::order::Order;
use gate_ops::slo::Count;
use gate_store::control::PLACES_BYTES_MAX;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Most places that a gateway tells.
const TOLD_MAX: usize = 1_000;
/// Most objectives that a gateway tells of, and most routes of each that are told of as a whole.
const OBJECTIVES_MAX: usize = 100;
const ROUTES_MAX: usize = 20;
/// Most gateways that are listened to.
const GATEWAYS_MAX: usize = 64;

/// What one gateway tells.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Told {
    /// The slot of ten seconds in which it was told.
    fine: u64,
    /// By objective.
    objectives: BTreeMap<String, Vec<ToldPlace>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ToldPlace {
    /// Values in the order of [`DIMENSIONS`].
    at: Vec<String>,
    /// Numbers of slots that are not empty, with events and bad ones.
    fine: Vec<(u64, u32, u32)>,
    /// What was before them.
    before: (u32, u32),
}

/// What others tell, by gateway.
#[derive(Debug, Default)]
pub(super) struct Others(HashMap<String, Told>);

/// A place with what was counted there in some last slots, and before them.
pub(super) struct Seen<'a> {
    /// Values in the order of [`DIMENSIONS`].
    pub(super) values: &'a [String],
    /// Of late.
    pub(super) now: Slot,
    /// Before.
    pub(super) before: Slot,
}

impl Others {
    /// Hears a gateway; whether it could be understood.
    pub(super) fn hear(&mut self, gateway: &str, bytes: &[u8]) -> bool {
        let Ok(told) = serde_json::from_slice::<Told>(bytes) else {
            return false;
        };
        let places = || told.objectives.values().flatten();
        let is_sound =
            |one: &ToldPlace| one.at.len() == DIMENSIONS.len() && one.fine.len() <= FINE.1;
        let most = TOLD_MAX + OBJECTIVES_MAX * ROUTES_MAX;
        if places().count() > most || !places().all(is_sound) {
            return false;
        }
        if self.0.len() >= GATEWAYS_MAX && !self.0.contains_key(gateway) {
            return false;
        }
        self.0.insert(gateway.to_owned(), told);
        true
    }

    /// Forgets gateways that have told nothing for so long that nothing of it is of late.
    pub(super) fn forget(&mut self, fine: u64) {
        self.0
            .retain(|_, told| told.fine.saturating_add(FINE.1 as u64) > fine);
    }

    /// What others saw of an objective: the newest slots, of which `fine` is the last, and before.
    pub(super) fn of<'a>(
        &'a self,
        objective: &str,
        fine: u64,
        newest: usize,
    ) -> impl Iterator<Item = Seen<'a>> {
        let told = self.0.values();
        let places = told.filter_map(move |told| told.objectives.get(objective));
        places.flatten().map(move |one| {
            let mut seen = Seen {
                values: &one.at,
                now: (0, 0),
                before: one.before,
            };
            for (slot, total, bad) in &one.fine {
                let is_now = slot.saturating_add(newest as u64) > fine;
                let sum = if is_now {
                    &mut seen.now
                } else {
                    &mut seen.before
                };
                add(sum, (*total, *bad));
            }
            seen
        })
    }

    /// The objective of which others saw most fail of late.
    pub(super) fn objectives(&self) -> impl Iterator<Item = &str> {
        let told = self.0.values();
        told.flat_map(|told| told.objectives.keys().map(String::as_str))
    }
}

/// What this gateway tells: objectives of which something failed of late, those with most failures
/// first. None where nothing did.
pub(super) fn told(sums: &Sums, fine: u64) -> Option<Vec<u8>> {
    let late = |places: &HashMap<Place, Slots>| places.values().map(|slots| slots.late().1).sum();
    let failing = sums
        .iter()
        .map(|(name, places)| (late(places), name, places));
    let mut failing: Vec<Failing<'_>> = failing.filter(|one| one.0 > 0).collect();
    failing.order_by_key(|(bad, name, _)| (std::cmp::Reverse(*bad), (*name).clone()));
    if failing.is_empty() {
        return None;
    }
    // Long names take much room; halving ends, at the latest, with none.
    let mut most = TOLD_MAX;
    while most > 0 {
        let bytes = serde_json::to_vec(&at_most(&failing, fine, most)).ok()?;
        if bytes.len() <= PLACES_BYTES_MAX {
            return Some(bytes);
        }
        most /= 2;
    }
    None
}

/// How much of an objective failed of late, its name, and its places.
type Failing<'a> = (u32, &'a Arc<str>, &'a HashMap<Place, Slots>);

/// Objectives with at most so many places by themselves, all together.
fn at_most(failing: &[Failing<'_>], fine: u64, most: usize) -> Told {
    let (mut objectives, mut room) = (BTreeMap::new(), most);
    for (_, name, places) in failing.iter().take(OBJECTIVES_MAX) {
        let mut all: Vec<(&Place, &Slots)> = places.iter().collect();
        all.order_by_key(|(_, slots)| {
            let (total, bad) = slots.late();
            std::cmp::Reverse((bad, total))
        });
        let (own, rest) = all.split_at(all.len().min(room));
        room -= own.len();
        let own = own.iter().map(|(place, slots)| row(place, &[*slots], fine));
        let mut rows: Vec<ToldPlace> = own.collect();
        let mut others: BTreeMap<&str, Vec<&Slots>> = BTreeMap::new();
        for (place, slots) in rest {
            others.entry(&place.route).or_default().push(*slots);
        }
        // Few routes have objectives; what is further is not told.
        let others = others.into_iter().take(ROUTES_MAX);
        rows.extend(others.map(|(route, slots)| row(&Place::other(route.into()), &slots, fine)));
        objectives.insert((*name).to_string(), rows);
    }
    Told { fine, objectives }
}

/// A place with the sum of these slots.
fn row(place: &Place, all: &[&Slots], fine: u64) -> ToldPlace {
    let (mut late, mut before) = (BTreeMap::<u64, Slot>::new(), Slot::default());
    for slots in all {
        for (number, slot) in slots.numbered(fine).filter(|(_, slot)| slot.0 > 0) {
            add(late.entry(number).or_default(), slot);
        }
        add(&mut before, slots.before());
    }
    let late = late.into_iter();
    ToldPlace {
        at: place.values().to_vec(),
        fine: late
            .map(|(number, slot)| (number, slot.0, slot.1))
            .collect(),
        before,
    }
}

/// A slot as a count.
pub(super) fn count(slot: Slot) -> Count {
    Count::new(u64::from(slot.0), u64::from(slot.1))
}
