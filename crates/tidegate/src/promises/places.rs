//! Where exchanges were good and bad in the last hour, for attribution: a sum per objective and place,
//! the last two minutes in slots of ten seconds and what was before in slots of ten minutes; with what
//! other gateways of the store saw ([`super::shared`]).

use super::shared::{self, Others, count};
use gate_flow::{CellCounts, DIMENSIONS, Place};
use gate_ops::attribution::{Attribution, Cells, Settings, attribute};
use std::collections::HashMap;
use std::sync::Arc;

/// Most places, of all objectives together; what is further counts for its route with all else being
/// "other".
const PLACES_MAX: usize = 20_000;
/// Seconds of a fine slot, and how many there are.
pub(super) const FINE: (u64, usize) = (10, 12);
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
pub(super) type Slot = (u32, u32);

/// By objective and place.
pub(super) type Sums = HashMap<Arc<str>, HashMap<Place, Slots>>;

#[derive(Debug, Clone, Default)]
pub(super) struct Slots {
    fine: [Slot; FINE.1],
    coarse: [Slot; COARSE.1],
}

impl Slots {
    /// The last two minutes.
    pub(super) fn late(&self) -> Slot {
        sum(&self.fine)
    }

    /// What was before them.
    pub(super) fn before(&self) -> Slot {
        sum(&self.coarse)
    }

    /// The slots of the last two minutes by their numbers, of which `fine` is the newest.
    pub(super) fn numbered(&self, fine: u64) -> impl Iterator<Item = (u64, Slot)> {
        let ages = 0..FINE.1 as u64;
        let numbers = ages.filter_map(move |age| fine.checked_sub(age));
        numbers.map(|number| (number, self.fine[(number % FINE.1 as u64) as usize]))
    }
}

pub(super) fn add(to: &mut Slot, from: Slot) {
    to.0 = to.0.saturating_add(from.0);
    to.1 = to.1.saturating_add(from.1);
}

fn sum(slots: &[Slot]) -> Slot {
    let mut sum = (0, 0);
    slots.iter().for_each(|slot| add(&mut sum, *slot));
    sum
}

/// Sums by objective and place.
#[derive(Debug, Default)]
pub(super) struct Places {
    sums: Sums,
    count: usize,
    fine: u64,
    /// What other gateways tell.
    others: Others,
    /// Whether something failed that was not told to others.
    untold: bool,
}

impl Places {
    /// Adds what was counted since this was called last.
    pub(super) fn add(&mut self, counted: Vec<CellCounts>, now_s: u64) {
        self.advance(now_s);
        let place = (self.fine % FINE.1 as u64) as usize;
        for one in counted {
            self.untold |= one.bad > 0;
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
            self.others.forget(self.fine);
            self.count = self.sums.values().map(HashMap::len).sum();
        }
    }

    /// What is to be told to other gateways; none where nothing failed of late. `anew` tells it also
    /// where nothing has failed since the last time.
    pub(super) fn told(&mut self, anew: bool) -> Option<Vec<u8>> {
        if !self.untold && !anew {
            return None;
        }
        self.untold = false;
        shared::told(&self.sums, self.fine)
    }

    /// Hears what another gateway tells.
    pub(super) fn hear(&mut self, gateway: &str, places: &[u8]) {
        if !self.others.hear(gateway, places) {
            tracing::warn!(gateway, "where it saw exchanges fail is left out");
        }
    }

    /// Where most failed of late on all gateways together, by the objective that saw most of it.
    pub(super) fn worst(&self) -> Option<Attribution> {
        let own = self.sums.keys().map(|name| &**name);
        let mut names: Vec<&str> = own.chain(self.others.objectives()).collect();
        names.sort_unstable();
        names.dedup();
        let bad = |name: &str| {
            let own = self.sums.get(name).into_iter().flatten();
            let own: u64 = own.map(|(_, slots)| u64::from(slots.late().1)).sum();
            let others = self.others.of(name, self.fine, FINE.1);
            own + others.map(|seen| u64::from(seen.now.1)).sum::<u64>()
        };
        let worst = names.into_iter().map(|name| (bad(name), name));
        let (bad, name) = worst.max_by_key(|(bad, _)| *bad)?;
        (bad > 0).then(|| self.attribute(name, Since::Minutes, false))
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
        let mut take = |values: &[String], now: Slot, before: Slot| {
            let values: Vec<&str> = DIMENSIONS
                .iter()
                .zip(values)
                .filter(|(name, _)| is_asked(name))
                .map(|(_, value)| value.as_str())
                .collect();
            if before.0 > 0 {
                cells.before(&values, count(before));
            }
            if now.0 > 0 {
                cells.now(&values, count(now));
            }
        };
        for (place, slots) in self.sums.get(objective).into_iter().flatten() {
            let (mut now, mut before) = (Slot::default(), slots.before());
            for (number, slot) in slots.numbered(self.fine) {
                let is_now = number + newest as u64 > self.fine;
                add(if is_now { &mut now } else { &mut before }, slot);
            }
            take(&place.values(), now, before);
        }
        for seen in self.others.of(objective, self.fine, newest) {
            take(seen.values, seen.now, seen.before);
        }
        attribute(&cells, &Settings::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_ops::slo::Count;

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

    /// Two gateways of one store: the one that is asked sees little of it.
    #[test]
    fn what_another_gateway_saw_counts_as_well() {
        let (mut asked, mut other) = (Places::default(), Places::default());
        let begin = 1_800_000_000;
        for second in 0..600 {
            let bad = if second >= 595 { 40 } else { 0 };
            let good = |endpoint: &str| counted(at(endpoint, 7), 50, 0);
            asked.add(vec![good("a"), good("b")], begin + second);
            other.add(
                vec![good("a"), counted(at("c", 8), 50, bad)],
                begin + second,
            );
        }
        assert!(asked.attribute("o", Since::Now, false).answers.is_empty());
        assert!(asked.worst().is_none());
        assert!(asked.told(true).is_none(), "nothing failed here");
        let told = other.told(false).expect("something failed");
        assert!(other.told(false).is_none(), "that was told");
        asked.hear("other", &told);
        let here = asked.attribute("o", Since::Now, false);
        let there = other.attribute("o", Since::Now, false);
        let cause = |found: &Attribution| found.answers[0].causes.clone();
        assert_eq!(cause(&here), cause(&there));
        assert_eq!(here.answers[0].count.bad, 5 * 40, "{}", here.answers[0]);
        assert_eq!(asked.worst().expect("it failed").count.bad, 5 * 40);
        // Later words take the place of earlier ones, and what is long ago is forgotten.
        asked.hear("other", &told);
        assert_eq!(asked.worst().expect("it failed").count.bad, 5 * 40);
        asked.hear("other", b"{\"fine\":1");
        asked.add(Vec::new(), begin + 600 + 130);
        assert!(asked.worst().is_none());
    }

    #[test]
    fn what_is_told_is_bounded_and_loses_nothing() {
        let (mut one, mut other) = (Places::default(), Places::default());
        let many = |number: u64| counted(at(&"x".repeat(600), number), 3, 1);
        one.add((0..3_000).map(many).collect(), 1_800_000_000);
        let told = one.told(false).expect("something failed");
        assert!(told.len() <= gate_store::control::PLACES_BYTES_MAX);
        other.add(Vec::new(), 1_800_000_001);
        other.hear("one", &told);
        let found = other.attribute("o", Since::Minutes, false);
        assert_eq!(found.count, Count::new(9_000, 3_000));
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
