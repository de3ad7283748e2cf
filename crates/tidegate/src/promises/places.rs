//! Where exchanges were good and bad in the last hour, for attribution: a sum per objective and place,
//! the last two minutes in slots of ten seconds and what was before in slots of ten minutes.

use gate_flow::{CellCounts, DIMENSIONS, Place};
use gate_ops::attribution::{Attribution, Cells, Settings, attribute};
use gate_ops::slo::Count;
use std::collections::HashMap;
use std::sync::Arc;

/// Most places, of all objectives together; what is further counts for its route with all else being
/// "other".
const PLACES_MAX: usize = 20_000;
/// Seconds of a fine slot, and how many there are.
const FINE: (u64, usize) = (10, 12);
/// Seconds of a coarse slot, and how many there are.
const COARSE: (u64, usize) = (600, 6);

/// What attribution asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// The last ten to twenty seconds: something has just begun.
    Now,
    /// The last two minutes.
    Minutes,
}

/// Events and bad ones.
type Slot = (u32, u32);

#[derive(Debug, Clone, Default)]
struct Slots {
    fine: [Slot; FINE.1],
    coarse: [Slot; COARSE.1],
}

fn add(to: &mut Slot, from: Slot) {
    to.0 = to.0.saturating_add(from.0);
    to.1 = to.1.saturating_add(from.1);
}

/// Sums by objective and place.
#[derive(Debug, Default)]
pub(super) struct Places {
    sums: HashMap<Arc<str>, HashMap<Place, Slots>>,
    count: usize,
    fine: u64,
}

impl Places {
    /// Adds what was counted since this was called last.
    pub(super) fn add(&mut self, counted: Vec<CellCounts>, now_s: u64) {
        self.advance(now_s);
        let place = (self.fine % FINE.1 as u64) as usize;
        for one in counted {
            let sums = self.sums.entry(one.objective).or_default();
            let is_full = self.count >= PLACES_MAX;
            let key = match is_full && !sums.contains_key(&one.place) {
                true => Place::other(one.place.route.clone()),
                false => one.place,
            };
            let count = &mut self.count;
            let slots = sums.entry(key).or_insert_with(|| {
                *count += 1;
                Slots::default()
            });
            add(&mut slots.fine[place], (one.total, one.bad));
        }
    }

    /// Goes on in time: fine slots that are over become a part of coarse ones.
    fn advance(&mut self, now_s: u64) {
        let now = now_s / FINE.0;
        if self.fine == 0 || now < self.fine {
            self.fine = now.max(self.fine);
            return;
        }
        while self.fine < now {
            // After a pause longer than everything is kept, the rest of the way changes nothing.
            let reach = (COARSE.0 / FINE.0) * COARSE.1 as u64 + FINE.1 as u64;
            self.fine = (self.fine + 1).max(now.saturating_sub(reach));
            let slot = (self.fine % FINE.1 as u64) as usize;
            let at_s = (self.fine.saturating_sub(FINE.1 as u64)) * FINE.0;
            let coarse = (at_s / COARSE.0 % COARSE.1 as u64) as usize;
            let begins = at_s.is_multiple_of(COARSE.0);
            for sums in self.sums.values_mut() {
                sums.retain(|_, slots| {
                    if begins {
                        slots.coarse[coarse] = Slot::default();
                    }
                    let over = std::mem::take(&mut slots.fine[slot]);
                    add(&mut slots.coarse[coarse], over);
                    slots
                        .fine
                        .iter()
                        .chain(&slots.coarse)
                        .any(|slot| slot.0 > 0)
                });
            }
            self.sums.retain(|_, sums| !sums.is_empty());
            self.count = self.sums.values().map(HashMap::len).sum();
        }
    }

    /// Where the excess of bad events of an objective is. `with_status` tells whether the status that
    /// was answered is a place, and not what makes an event bad.
    pub(super) fn attribute(
        &self,
        objective: &str,
        since: Since,
        with_status: bool,
    ) -> Attribution {
        let is_asked = |name: &&str| with_status || *name != "status";
        let names: Vec<&str> = DIMENSIONS.into_iter().filter(is_asked).collect();
        let mut cells = Cells::new(&names);
        let newest = match since {
            Since::Now => 2,
            Since::Minutes => FINE.1,
        };
        for (place, slots) in self.sums.get(objective).into_iter().flatten() {
            let values = place.values();
            let values: Vec<&str> = DIMENSIONS
                .iter()
                .zip(&values)
                .filter(|(name, _)| is_asked(name))
                .map(|(_, value)| value.as_str())
                .collect();
            let (mut now, mut before) = (Slot::default(), Slot::default());
            for age in 0..FINE.1 {
                let slot = (self.fine.wrapping_sub(age as u64) % FINE.1 as u64) as usize;
                let sum = if age < newest { &mut now } else { &mut before };
                add(sum, slots.fine[slot]);
            }
            slots.coarse.iter().for_each(|slot| add(&mut before, *slot));
            let count = |slot: Slot| Count::new(u64::from(slot.0), u64::from(slot.1));
            if before.0 > 0 {
                cells.before(&values, count(before));
            }
            if now.0 > 0 {
                cells.now(&values, count(now));
            }
        }
        attribute(&cells, &Settings::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(endpoint: &str, revision: u64) -> Place {
        Place {
            revision,
            endpoint: Some(endpoint.into()),
            is_other: false,
            ..Place::other("orders".into())
        }
    }

    fn counted(place: Place, total: u32, bad: u32) -> CellCounts {
        CellCounts {
            place,
            objective: "o".into(),
            total,
            bad,
        }
    }

    #[test]
    fn the_endpoint_that_fails_is_named() {
        let mut places = Places::default();
        let begin = 1_800_000_000;
        for second in 0..1200 {
            let fails = second >= 1190;
            let bad = if fails {
                50
            } else {
                u32::from(second % 100 == 0)
            };
            let counts = vec![counted(at("a", 7), 50, 0), counted(at("b", 7), 50, bad)];
            places.add(counts, begin + second);
        }
        let found = places.attribute("o", Since::Now, false);
        let first = &found.answers[0];
        assert!(
            first
                .causes
                .iter()
                .any(|cause| cause.get("endpoint").is_some_and(|e| e == "b")),
            "{first}"
        );
        assert!(first.explained > 0.9, "{first}");
        assert!(
            places
                .attribute("other", Since::Now, false)
                .answers
                .is_empty()
        );
    }

    #[test]
    fn what_is_an_hour_ago_is_forgotten_and_nothing_before() {
        let mut places = Places::default();
        let begin = 1_800_000_000;
        places.add(vec![counted(at("a", 7), 10, 1)], begin);
        let sum = |places: &Places| {
            let slots = places.sums.get("o").and_then(|sums| sums.get(&at("a", 7)));
            let all = slots.map_or_else(Vec::new, |slots| {
                [&slots.fine[..], &slots.coarse[..]].concat()
            });
            all.iter()
                .fold((0, 0), |sum, slot| (sum.0 + slot.0, sum.1 + slot.1))
        };
        for second in [1, 15, 119, 121, 1800, 3000] {
            places.add(Vec::new(), begin + second);
            assert_eq!(sum(&places), (10, 1), "{second}");
        }
        places.add(Vec::new(), begin + 4500);
        assert_eq!((places.count, places.sums.len()), (0, 0));
    }

    #[test]
    fn places_are_bounded_and_nothing_is_lost() {
        let mut places = Places::default();
        let counts = (0..PLACES_MAX as u64 + 500).map(|number| counted(at("a", number), 1, 1));
        places.add(counts.collect(), 1_800_000_000);
        assert_eq!(places.count, PLACES_MAX + 1);
        let found = places.attribute("o", Since::Minutes, false);
        assert_eq!(
            found.count,
            Count::new(PLACES_MAX as u64 + 500, PLACES_MAX as u64 + 500)
        );
    }
}
