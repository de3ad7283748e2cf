//! Events by where they happened: counts per combination of a revision, an arm, a route, an endpoint
//! and what else an exchange has, for whoever asks where an excess of bad ones is.
//!
//! Each worker has a table of its own under a lock that only [`Cells::take`] contends for, which swaps
//! the table for the one it took before: a few instructions. Tables are bounded; what finds no place
//! counts for its route with all else being "other".

use crate::{Arm, Record};
use gate_kit::counter::{SHARDS, shard};
use gate_kit::random;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

/// Most cells of one worker between two readings, besides those for "other".
pub const CELLS_MAX: usize = 4_096;

/// What a place consists of, in the order of [`Place::values`].
pub const DIMENSIONS: [&str; 10] = [
    "revision", "arm", "route", "provider", "model", "endpoint", "consumer", "listener", "status",
    "tool",
];

/// Where an exchange happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Revision that served it.
    pub revision: u64,
    /// Arm of a rollout, if any.
    pub arm: Option<Arm>,
    /// Route.
    pub route: Arc<str>,
    /// Provider that was called last.
    pub provider: Option<Arc<str>>,
    /// Model that was asked for, where a provider was called for it.
    pub model: Option<Arc<str>>,
    /// Endpoint that was tried last.
    pub endpoint: Option<Arc<str>>,
    /// Consumer.
    pub consumer: Option<Arc<str>>,
    /// Listener.
    pub listener: Option<Arc<str>>,
    /// Status that was answered; 0 for none.
    pub status: u16,
    /// Tool that was called, where it is one that the server is known to have.
    pub tool: Option<Box<str>>,
    /// Whether all but the route stands for whatever found no place.
    pub is_other: bool,
}

/// What stands for values that found no place.
const OTHER: &str = "(other)";

impl Place {
    /// The place of all that found none on this route.
    #[must_use]
    pub fn other(route: Arc<str>) -> Self {
        Self {
            revision: 0,
            arm: None,
            route,
            provider: None,
            model: None,
            endpoint: None,
            consumer: None,
            listener: None,
            status: 0,
            tool: None,
            is_other: true,
        }
    }

    fn of(seen: &Seen<'_>) -> Self {
        Self {
            revision: seen.record.revision,
            arm: seen.record.arm,
            route: seen.record.route.clone().unwrap_or_default(),
            provider: seen.provider.cloned(),
            model: seen.model.cloned(),
            endpoint: seen.endpoint.cloned(),
            consumer: seen.record.consumer.clone(),
            listener: seen.record.listener.clone(),
            status: seen.record.status,
            tool: seen.tool.map(Into::into),
            is_other: false,
        }
    }

    fn is(&self, seen: &Seen<'_>) -> bool {
        let record = seen.record;
        let same = |own: &Option<Arc<str>>, other: Option<&Arc<str>>| match (own, other) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other) || own == other,
            (None, None) => true,
            _ => false,
        };
        self.revision == record.revision
            && self.status == record.status
            && self.arm == record.arm
            && !self.is_other
            && (record.route.as_ref()).is_some_and(|route| *route == self.route)
            && same(&self.endpoint, seen.endpoint)
            && same(&self.consumer, record.consumer.as_ref())
            && same(&self.listener, record.listener.as_ref())
            && same(&self.provider, seen.provider)
            && same(&self.model, seen.model)
            && self.tool.as_deref() == seen.tool
    }

    /// Its values in the order of [`DIMENSIONS`], empty where there is none.
    #[must_use]
    pub fn values(&self) -> [String; DIMENSIONS.len()] {
        if self.is_other {
            let mut values = std::array::from_fn(|_| OTHER.to_owned());
            values[2] = self.route.to_string();
            return values;
        }
        let text = |value: &Option<Arc<str>>| value.as_deref().unwrap_or_default().to_owned();
        [
            self.revision.to_string(),
            self.arm
                .map_or_else(String::new, |arm| arm.as_str().to_owned()),
            self.route.to_string(),
            text(&self.provider),
            text(&self.model),
            text(&self.endpoint),
            text(&self.consumer),
            text(&self.listener),
            match self.status {
                0 => String::new(),
                status => status.to_string(),
            },
            self.tool.as_deref().unwrap_or_default().to_owned(),
        ]
    }
}

/// What of a record makes its place, borrowed.
struct Seen<'a> {
    record: &'a Record,
    provider: Option<&'a Arc<str>>,
    model: Option<&'a Arc<str>>,
    endpoint: Option<&'a Arc<str>>,
    tool: Option<&'a str>,
}

impl<'a> Seen<'a> {
    fn of(record: &'a Record) -> Self {
        let ai = record.ai.as_deref();
        let provider = ai.and_then(|ai| ai.provider.as_ref());
        let rpc = record.rpc.as_deref().filter(|rpc| rpc.tool_is_known);
        Self {
            record,
            provider,
            // A name that anybody may invent is no place.
            model: provider.and(ai).map(|ai| &ai.model),
            endpoint: record.attempts.last().map(|attempt| &attempt.endpoint),
            tool: rpc.and_then(|rpc| rpc.tool.as_deref()),
        }
    }

    /// A hash of all of it. Names that live as long as a snapshot count by where they lie: the same
    /// name elsewhere is another cell, which whoever reads adds up.
    fn hash(&self, seed: u64) -> u64 {
        let record = self.record;
        let lies = |name: Option<&Arc<str>>| {
            name.map_or(0, |name| {
                std::ptr::from_ref::<str>(name).cast::<u8>().addr() as u64
            })
        };
        let arm = record.arm.map_or(0, |arm| arm as u64 + 1);
        let mut hash = mix(seed ^ record.revision, u64::from(record.status) << 8 | arm);
        hash = mix(hash ^ lies(record.route.as_ref()), lies(self.endpoint));
        hash = mix(hash ^ lies(record.listener.as_ref()), lies(self.provider));
        for text in [
            record.consumer.as_deref(),
            self.model.map(|m| &**m),
            self.tool,
        ] {
            hash = text.map_or(hash, |text| mix_text(hash, text.as_bytes()));
        }
        hash
    }
}

/// Multiplies and folds: good enough for tables whose seed nobody outside knows.
fn mix(one: u64, other: u64) -> u64 {
    let product =
        u128::from(one ^ 0x9e37_79b9_7f4a_7c15) * u128::from(other ^ 0xd1b5_4a32_d192_ed03);
    (product as u64) ^ (product >> 64) as u64
}

fn mix_text(mut hash: u64, text: &[u8]) -> u64 {
    let (words, rest) = text.as_chunks::<8>();
    for word in words {
        hash = mix(hash ^ u64::from_le_bytes(*word), hash);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(hash ^ u64::from_le_bytes(last), text.len() as u64)
}

/// Passes on what is a hash already.
#[derive(Default)]
struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Events of a cell per objective of its route, the bad ones second.
type Counts = SmallVec<[(u32, u32); 4]>;

struct Cell {
    place: Place,
    names: Arc<[Arc<str>]>,
    counts: Counts,
}

impl Cell {
    fn new(place: Place, names: &Arc<[Arc<str>]>) -> Self {
        Self {
            place,
            names: names.clone(),
            counts: SmallVec::from_elem((0, 0), names.len()),
        }
    }

    fn add(&mut self, verdicts: &[(usize, bool)]) {
        for (index, is_bad) in verdicts {
            if let Some((total, bad)) = self.counts.get_mut(*index) {
                *total = total.saturating_add(1);
                *bad = bad.saturating_add(u32::from(*is_bad));
            }
        }
    }
}

type Table = HashMap<u64, Cell, BuildHasherDefault<Plain>>;

/// What was counted at a place since the last reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellCounts {
    /// Where. Several readings may be of the same place.
    pub place: Place,
    /// The objective.
    pub objective: Arc<str>,
    /// Events.
    pub total: u32,
    /// Bad ones.
    pub bad: u32,
}

/// The cells of a process.
pub struct Cells {
    seed: u64,
    tables: [Mutex<Table>; SHARDS],
    spare: Mutex<[Table; SHARDS]>,
}

impl Default for Cells {
    fn default() -> Self {
        Self {
            seed: random::bits(),
            tables: Default::default(),
            spare: Mutex::default(),
        }
    }
}

impl Cells {
    /// Counts what an exchange is for objectives, by their places in `names`.
    pub(super) fn add(&self, record: &Record, names: &Arc<[Arc<str>]>, verdicts: &[(usize, bool)]) {
        let seen = Seen::of(record);
        let hash = seen.hash(self.seed);
        let table = &self.tables[shard()];
        let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = table.len() >= CELLS_MAX;
        match table.get_mut(&hash) {
            Some(cell) if cell.place.is(&seen) && Arc::ptr_eq(&cell.names, names) => {
                cell.add(verdicts);
            }
            None if !is_full => {
                let mut cell = Cell::new(Place::of(&seen), names);
                cell.add(verdicts);
                table.insert(hash, cell);
            }
            _ => {
                let route = record.route.clone().unwrap_or_default();
                let hash = mix_text(self.seed, route.as_bytes()) ^ Arc::as_ptr(names).addr() as u64;
                let other = || Cell::new(Place::other(route), names);
                table.entry(hash).or_insert_with(other).add(verdicts);
            }
        }
    }

    /// Everything that was counted since this was called last. Never waits for a worker longer than
    /// that takes to count one exchange, nor lets one wait longer.
    #[must_use]
    pub fn take(&self) -> Vec<CellCounts> {
        let mut counted = Vec::new();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        for (table, spare) in self.tables.iter().zip(spare.iter_mut()) {
            std::mem::swap(
                &mut *table.lock().unwrap_or_else(PoisonError::into_inner),
                spare,
            );
            // What was of use before is likely to be of use again, until there is much of it.
            let is_crowded = spare.len() > CELLS_MAX / 2;
            spare.retain(|_, cell| {
                let mut is_used = false;
                for (index, (total, bad)) in cell.counts.iter_mut().enumerate() {
                    let (total, bad) = (std::mem::take(total), std::mem::take(bad));
                    if total > 0 {
                        is_used = true;
                        counted.push(CellCounts {
                            place: cell.place.clone(),
                            objective: cell.names[index].clone(),
                            total,
                            bad,
                        });
                    }
                }
                is_used && !is_crowded
            });
        }
        counted
    }
}

#[cfg(test)]
#[path = "cells_tests.rs"]
mod tests;
