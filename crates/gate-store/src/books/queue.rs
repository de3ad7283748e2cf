//! What calls leave for the writer: reservations that are open, and what ended.
//!
//! A busy gateway ends thousands of calls a second that differ in nothing a reader asks for; those of
//! one second are summed as they end, where they share what they have in common. The writer, which
//! compares what it says, sums what is left ([`crate::ledger`]).

use super::hold::{Call, Settlement};
use crate::ledger::{BATCH, Charge, Entry, ExchangeId};
use rustc_hash::FxHasher;
use slab::Slab;
use std::hash::Hasher as _;
use std::sync::Arc;

/// Places in which an entry is looked for that a call can be added to; a power of two.
const PLACES: usize = 64;
/// Reservations for which room is kept.
const ROOM: usize = 1024;

/// A reservation that is open, by its place in [`Queue::open`] and a number that no other has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub(super) place: usize,
    pub(super) number: u64,
}

pub(super) struct Queue {
    /// Reservations of calls that have not ended.
    pub(super) open: Slab<(u64, Call)>,
    /// Those that came since the writer looked last.
    pub(super) young: Vec<Open>,
    opened: u64,
    pub(super) entries: Vec<Entry>,
    /// Where the last entry stands whose facts fall on a place.
    places: [u32; PLACES],
    /// Calls that ended for nothing whose reservation may have been written.
    pub(super) cancelled: Vec<ExchangeId>,
    /// Calls that ever ended.
    pub(super) pushed: u64,
    /// Somebody waits for a slice.
    pub(super) demand: bool,
    pub(super) closed: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            open: Slab::new(),
            young: Vec::new(),
            opened: 0,
            entries: Vec::new(),
            places: [0; PLACES],
            cancelled: Vec::new(),
            pushed: 0,
            demand: false,
            closed: false,
        }
    }
}

impl Queue {
    /// Takes in a reservation.
    pub(super) fn open(&mut self, call: Call) -> usize {
        self.opened += 1;
        let number = self.opened;
        let place = self.open.insert((number, call));
        self.young.push(Open { place, number });
        place
    }

    /// Takes out a reservation whose call has ended.
    pub(super) fn close(&mut self, place: usize) -> Option<Call> {
        Some(self.open.try_remove(place)?.1)
    }

    /// Gives memory of many calls back once there are none.
    pub(super) fn shrink(&mut self) {
        if self.open.is_empty() && self.open.capacity() > ROOM {
            self.open = Slab::new();
        }
    }

    /// Takes in a call that has ended, of which what is charged stands in the parts.
    pub(super) fn end(&mut self, call: &Call, settlement: &Settlement, at_ms: i64) {
        self.pushed += 1;
        let (tokens, estimated) = (settlement.tokens, i64::from(settlement.estimated));
        // Whoever called an item before may have died with it open.
        let is_item = call.exchange.is_item();
        let is_held = call.is_noted || (is_item && !call.parts.is_empty());
        let held = is_held.then(|| call.exchange.clone());
        let mut hasher = FxHasher::default();
        hasher.write_usize(Arc::as_ptr(&call.facts).addr());
        let place = usize::try_from(hasher.finish() >> 32).unwrap_or(0) % PLACES;
        let place = &mut self.places[place];
        if let Some(entry) = self.entries.get_mut(*place as usize)
            && !is_item
            && is_alike(entry, call, settlement, at_ms)
        {
            let charged = call.parts.iter().map(|(_, _, amount)| *amount);
            entry.add(&tokens, estimated, settlement.cost, 1, charged);
            entry.held.extend(held);
            return;
        }
        *place = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.entries.push(Entry {
            exchange: call.exchange.clone(),
            at_ms,
            facts: call.facts.clone(),
            outcome: settlement.outcome,
            tokens,
            estimated,
            cost: settlement.cost,
            charges: call.parts.iter().map(Call::charge).collect(),
            calls: 1,
            held: held.into_iter().collect(),
        });
    }
}

/// Whether a call can be added to an entry, by addresses where texts may be long: what misses is only
/// an entry of its own.
fn is_alike(entry: &Entry, call: &Call, settlement: &Settlement, at_ms: i64) -> bool {
    let same = |one: &Charge, (account, period, _): &super::Taken| {
        one.period == *period && Arc::ptr_eq(&one.budget, account.name())
    };
    Arc::ptr_eq(&entry.facts, &call.facts)
        && entry.at_ms.div_euclid(1000) == at_ms.div_euclid(1000)
        && entry.cost.is_some() == settlement.cost.is_some()
        && entry.outcome == settlement.outcome
        && entry.outcome != BATCH
        && !entry.exchange.is_item()
        && entry.charges.len() == call.parts.len()
        && entry
            .charges
            .iter()
            .zip(&call.parts)
            .all(|(one, part)| same(one, part))
}
