//! Exact counts of events over time, at six resolutions. Their stored form is in `transport.rs`.
//!
//! A [`Rings`] holds what one node counted for one objective. Slots take 4, 8 or 16 bytes, as large
//! as what they have held needs: 10,000 objectives must fit into 200 MiB. Sums over windows are not
//! kept here; see `window.rs`. Nothing here asks a clock.

use serde::{Deserialize, Serialize};

/// Events of an objective.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// All of them.
    pub total: u64,
    /// Those that broke the promise; at most `total`.
    pub bad: u64,
}

impl Count {
    /// `bad` of `total` events; never more bad ones than there were.
    #[must_use]
    pub fn new(total: u64, bad: u64) -> Self {
        Self {
            total,
            bad: bad.min(total),
        }
    }

    /// Those that kept the promise.
    #[must_use]
    pub const fn good(self) -> u64 {
        self.total.saturating_sub(self.bad)
    }

    /// Share of bad events; none without events.
    #[must_use]
    pub fn ratio(self) -> Option<f64> {
        (self.total > 0).then(|| self.bad as f64 / self.total as f64)
    }

    pub(super) fn add(&mut self, other: Count) {
        self.total = self.total.saturating_add(other.total);
        self.bad = self.bad.saturating_add(other.bad);
    }

    pub(super) fn take(&mut self, other: Count) {
        self.total = self.total.saturating_sub(other.total);
        self.bad = self.bad.saturating_sub(other.bad);
    }

    /// The greater of both: two readings of a count that only grows.
    fn later(self, other: Count) -> Count {
        Count {
            total: self.total.max(other.total),
            bad: self.bad.max(other.bad),
        }
    }

    pub(super) const fn is_empty(self) -> bool {
        self.total == 0
    }
}

/// Seconds per slot and slots of each ring, the finest first.
pub const TIERS: [(u64, usize); 6] = [
    (1, 120),
    (10, 360),
    (60, 360),
    (600, 432),
    (3600, 768),
    (86_400, 400),
];

/// The place of the hours in [`TIERS`].
const HOURS: usize = 4;

/// Slots of one ring, as wide as needed. Nothing is allocated before the first event.
#[derive(Debug, Clone, Default)]
enum Slots {
    #[default]
    Empty,
    Narrow(Box<[[u16; 2]]>),
    Middle(Box<[[u32; 2]]>),
    Wide(Box<[[u64; 2]]>),
}

impl Slots {
    fn get(&self, index: usize) -> Count {
        let [total, bad] = match self {
            Slots::Empty => [0, 0],
            Slots::Narrow(slots) => slots[index].map(u64::from),
            Slots::Middle(slots) => slots[index].map(u64::from),
            Slots::Wide(slots) => slots[index],
        };
        Count { total, bad }
    }

    fn set(&mut self, index: usize, count: Count, length: usize) {
        loop {
            match self {
                Slots::Empty if count.is_empty() => return,
                Slots::Narrow(slots) => {
                    if let (Ok(total), Ok(bad)) = (count.total.try_into(), count.bad.try_into()) {
                        slots[index] = [total, bad];
                        return;
                    }
                }
                Slots::Middle(slots) => {
                    if let (Ok(total), Ok(bad)) = (count.total.try_into(), count.bad.try_into()) {
                        slots[index] = [total, bad];
                        return;
                    }
                }
                Slots::Wide(slots) => {
                    slots[index] = [count.total, count.bad];
                    return;
                }
                Slots::Empty => {}
            }
            self.widen(length);
        }
    }

    fn widen(&mut self, length: usize) {
        *self = match std::mem::take(self) {
            Slots::Empty => Slots::Narrow(vec![[0; 2]; length].into()),
            Slots::Narrow(slots) => {
                Slots::Middle(slots.iter().map(|slot| slot.map(u32::from)).collect())
            }
            Slots::Middle(slots) => {
                Slots::Wide(slots.iter().map(|slot| slot.map(u64::from)).collect())
            }
            wide @ Slots::Wide(_) => wide,
        };
    }

    fn bytes(&self) -> usize {
        match self {
            Slots::Empty => 0,
            Slots::Narrow(slots) => slots.len() * 4,
            Slots::Middle(slots) => slots.len() * 8,
            Slots::Wide(slots) => slots.len() * 16,
        }
    }
}

/// One resolution: the slot that is being filled, and those before it.
#[derive(Debug, Clone, Default)]
pub(super) struct Ring {
    /// Number of the open slot: UNIX seconds divided by its length.
    pub(super) number: u64,
    pub(super) open: Count,
    slots: Slots,
}

impl Ring {
    /// The slot that is so many older than the open one; `age` is from 1 to `length`.
    pub(super) fn closed(&self, age: u64, length: usize) -> Count {
        match self.number.checked_sub(age) {
            Some(number) => self.slots.get(place(number, length)),
            None => Count::default(),
        }
    }

    pub(super) fn set_closed(&mut self, age: u64, count: Count, length: usize) {
        if let Some(number) = self.number.checked_sub(age) {
            self.slots.set(place(number, length), count, length);
        }
    }

    /// Closes the open slot and opens the next one.
    pub(super) fn roll(&mut self, length: usize) {
        let open = std::mem::take(&mut self.open);
        self.slots.set(place(self.number, length), open, length);
        self.number += 1;
    }

    /// Forgets everything and goes on at `number`.
    pub(super) fn restart(&mut self, number: u64) {
        *self = Ring {
            number,
            ..Ring::default()
        };
    }
}

fn place(number: u64, length: usize) -> usize {
    (number % length as u64) as usize
}

/// What one node counted for one objective.
#[derive(Debug, Clone, Default)]
pub struct Rings {
    pub(super) rings: [Ring; TIERS.len()],
    pub(super) is_started: bool,
}

impl Rings {
    /// The latest second that [`Rings::advance`] was told, or zero.
    #[must_use]
    pub fn now_s(&self) -> u64 {
        self.rings[0].number
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.rings.iter().map(|ring| ring.slots.bytes()).sum()
    }

    /// Goes on to `now_s` (UNIX seconds); time that goes back changes nothing. `rolled` hears of
    /// each slot that is about to close: its ring, and the ring's number.
    pub(super) fn advance_with(
        &mut self,
        now_s: u64,
        mut rolled: impl FnMut(usize, Option<&Ring>),
    ) {
        let starts = !std::mem::replace(&mut self.is_started, true);
        for (tier, (step, length)) in TIERS.into_iter().enumerate() {
            let ring = &mut self.rings[tier];
            let number = now_s / step;
            if starts || number.saturating_sub(ring.number) > length as u64 + 1 {
                ring.restart(number);
                rolled(tier, None);
                continue;
            }
            while ring.number < number {
                rolled(tier, Some(ring));
                ring.roll(length);
            }
        }
    }

    /// Goes on to `now_s`.
    pub fn advance(&mut self, now_s: u64) {
        self.advance_with(now_s, |_, _| {});
    }

    /// Counts events of the second `at_s`, which may lie in the past: then they go where they
    /// belong, into every ring that reaches that far. `counted` hears the ring and the age of the
    /// slot, 0 for the open one.
    pub(super) fn record_with(
        &mut self,
        at_s: u64,
        count: Count,
        mut counted: impl FnMut(usize, u64),
    ) {
        for (tier, (step, length)) in TIERS.into_iter().enumerate() {
            let ring = &mut self.rings[tier];
            let age = ring.number.saturating_sub(at_s / step);
            if age == 0 {
                ring.open.add(count);
            } else if age <= length as u64 {
                let mut closed = ring.closed(age, length);
                closed.add(count);
                ring.set_closed(age, closed, length);
            } else {
                continue;
            }
            counted(tier, age);
        }
    }

    /// Counts events of the second `at_s`.
    pub fn record(&mut self, at_s: u64, count: Count) {
        if at_s > self.now_s() || !self.is_started {
            self.advance(at_s);
        }
        self.record_with(at_s, count, |_, _| {});
    }

    /// The sum of the last `slots` slots of a ring, the open one included.
    #[must_use]
    pub fn sum(&self, tier: usize, slots: u64) -> Count {
        let Some(((_, length), ring)) = TIERS.get(tier).zip(self.rings.get(tier)) else {
            return Count::default();
        };
        let mut sum = ring.open;
        for age in 1..slots.min(*length as u64 + 1) {
            sum.add(ring.closed(age, *length));
        }
        sum
    }

    /// Whole hours with their beginnings in UNIX seconds, the oldest first, from the first one that
    /// anything was counted in; at most 768.
    #[must_use]
    pub fn hours(&self) -> Vec<(u64, Count)> {
        let (step, length) = TIERS[HOURS];
        let ring = &self.rings[HOURS];
        let hour = |age: u64| {
            (
                ring.number.saturating_sub(age) * step,
                ring.closed(age, length),
            )
        };
        let hours = (1..=length as u64).rev().map(hour);
        hours.skip_while(|(_, count)| count.is_empty()).collect()
    }

    /// Adds what another node counted. Commutative and associative, not idempotent: each node's
    /// counts are added once.
    pub fn add(&mut self, other: &Rings) {
        self.combine(other, |mut own, other| {
            own.add(other);
            own
        });
    }

    /// Takes another reading of the same node's counts: of each slot the later one. Commutative,
    /// associative and idempotent.
    pub fn join(&mut self, other: &Rings) {
        self.combine(other, Count::later);
    }

    fn combine(&mut self, other: &Rings, how: impl Fn(Count, Count) -> Count) {
        if !other.is_started {
            return;
        }
        if !self.is_started {
            *self = other.clone();
            return;
        }
        for (tier, (_, length)) in TIERS.into_iter().enumerate() {
            let (own, other) = (&mut self.rings[tier], &other.rings[tier]);
            if other.number.saturating_sub(own.number) > length as u64 {
                own.restart(other.number);
            }
            while own.number < other.number {
                own.roll(length);
            }
            let apart = own.number - other.number;
            if apart == 0 {
                own.open = how(own.open, other.open);
            } else if apart <= length as u64 {
                own.set_closed(apart, how(own.closed(apart, length), other.open), length);
            }
            for age in apart + 1..=length as u64 {
                let theirs = other.closed(age - apart, length);
                own.set_closed(age, how(own.closed(age, length), theirs), length);
            }
        }
    }
}
