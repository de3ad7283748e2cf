//! Where a transaction keeps what arrived: one arena of bytes, and places in it.
//!
//! Values never move or change once stored, so that what is derived from one (which bytes occur in
//! it, its transformations, which rules can match it) is kept beside its slot and computed once.

use crate::prefilter::mask_of;
use crate::transform::{Chain, ChainId, Transformation};
use crate::variables::{SCALARS, SETS, Scalar, Set};
use smallvec::SmallVec;

/// A place in the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    start: u32,
    length: u32,
}

/// Number of a stored value.
pub(crate) type SlotId = u32;

/// No slot.
pub(crate) const NOWHERE: SlotId = u32::MAX;

/// A stored value and what is known of it.
#[derive(Debug, Clone, Copy)]
struct Slot {
    span: Span,
    /// Classes of the bytes that occur; 0 if unknown, or if the value is empty.
    mask: u64,
    /// First of its kept transformations.
    kept: u32,
}

/// A kept transformation of a slot.
#[derive(Debug, Clone, Copy)]
struct Kept {
    chain: ChainId,
    span: Span,
    next: u32,
}

/// A member of a collection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) key: SlotId,
    pub(crate) value: SlotId,
}

/// The arena and its index.
#[derive(Debug)]
pub(crate) struct Store {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    kept: Vec<Kept>,
    sets: [SmallVec<[Entry; 4]>; SETS],
    scalars: [SlotId; SCALARS],
    scratch: Vec<u8>,
}

/// Most bytes the arena holds; beyond, values are cut. Far above what the limits on bodies let in.
const ARENA_MAX: usize = 256 * 1024 * 1024;

/// Most bytes that a transformation may make of a value that was shorter: codings that lengthen can stand
/// behind one another, and each may double.
const GROWN_MAX: usize = 1024 * 1024;

impl Store {
    pub(crate) fn new() -> Store {
        let mut store = Store {
            bytes: Vec::with_capacity(4096),
            slots: Vec::with_capacity(96),
            kept: Vec::new(),
            sets: Default::default(),
            scalars: [0; SCALARS],
            scratch: Vec::new(),
        };
        // Variables that are not set are empty, all in one slot; a document without a root has none.
        store.slot(b"");
        store.scalars[Scalar::XmlText as usize] = NOWHERE;
        store
    }

    /// Keeps bytes.
    pub(crate) fn span(&mut self, bytes: &[u8]) -> Span {
        let room = ARENA_MAX - self.bytes.len().min(ARENA_MAX);
        let bytes = &bytes[..bytes.len().min(room)];
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        Span {
            start,
            length: bytes.len() as u32,
        }
    }

    /// The bytes at a place.
    pub(crate) fn at(&self, span: Span) -> &[u8] {
        &self.bytes[span.start as usize..(span.start + span.length) as usize]
    }

    /// Keeps a value.
    pub(crate) fn slot(&mut self, bytes: &[u8]) -> SlotId {
        let span = self.span(bytes);
        self.slots.push(Slot {
            span,
            mask: 0,
            kept: u32::MAX,
        });
        self.slots.len() as u32 - 1
    }

    /// How many values are kept.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// A value as it arrived.
    pub(crate) fn value(&self, slot: SlotId) -> &[u8] {
        self.at(self.slots[slot as usize].span)
    }

    /// Where a value is.
    pub(crate) fn span_of(&self, slot: SlotId) -> Span {
        self.slots[slot as usize].span
    }

    /// Sets a variable with one value.
    pub(crate) fn set(&mut self, scalar: Scalar, bytes: &[u8]) -> SlotId {
        let slot = self.slot(bytes);
        self.scalars[scalar as usize] = slot;
        slot
    }

    /// Lets a variable have the value of another.
    pub(crate) fn share(&mut self, scalar: Scalar, slot: SlotId) {
        self.scalars[scalar as usize] = slot;
    }

    /// A variable's slot, or [`NOWHERE`].
    pub(crate) fn scalar(&self, scalar: Scalar) -> SlotId {
        self.scalars[scalar as usize]
    }

    /// A variable's value.
    pub(crate) fn get(&self, scalar: Scalar) -> Option<&[u8]> {
        let slot = self.scalar(scalar);
        (slot != NOWHERE).then(|| self.value(slot))
    }

    /// Adds a member to a collection.
    pub(crate) fn add(&mut self, set: Set, key: &[u8], value: &[u8]) -> Entry {
        let entry = Entry {
            key: self.slot(key),
            value: self.slot(value),
        };
        self.sets[set as usize].push(entry);
        entry
    }

    /// Adds a member that is kept already.
    pub(crate) fn add_entry(&mut self, set: Set, entry: Entry) {
        self.sets[set as usize].push(entry);
    }

    /// The members of a collection.
    pub(crate) fn entries(&self, set: Set) -> &[Entry] {
        &self.sets[set as usize]
    }

    /// The first member with this key, compared without case.
    pub(crate) fn first(&self, set: Set, key: &[u8]) -> Option<&[u8]> {
        let found = self.entries(set).iter();
        let mut found = found.filter(|entry| self.value(entry.key).eq_ignore_ascii_case(key));
        found.next().map(|entry| self.value(entry.value))
    }

    /// Classes of the bytes that occur in a value.
    pub(crate) fn mask(&mut self, slot: SlotId) -> u64 {
        let Slot { span, mask, .. } = self.slots[slot as usize];
        if mask != 0 {
            return mask;
        }
        let mask = mask_of(self.at(span));
        self.slots[slot as usize].mask = mask;
        mask
    }

    /// A value after a chain of transformations.
    pub(crate) fn transformed(&mut self, slot: SlotId, id: ChainId, chains: &[Chain]) -> Span {
        let Slot { span, mut kept, .. } = self.slots[slot as usize];
        if id == ChainId::NONE || span.length == 0 && !chains[id.index()].fills_empty {
            return span;
        }
        while let Some(found) = self.kept.get(kept as usize) {
            if found.chain == id {
                return found.span;
            }
            kept = found.next;
        }
        let chain = &chains[id.index()];
        let mask = self.mask(slot);
        let result = if chain.triggers & mask == 0 {
            span
        } else {
            let before = self.transformed(slot, chain.before, chains);
            self.apply(chain.last, before)
        };
        let next = self.slots[slot as usize].kept;
        self.kept.push(Kept {
            chain: id,
            span: result,
            next,
        });
        self.slots[slot as usize].kept = self.kept.len() as u32 - 1;
        result
    }

    /// One transformation; the place stays where nothing changes.
    pub(crate) fn apply(&mut self, transformation: Transformation, span: Span) -> Span {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        transformation.run(self.at(span), &mut scratch);
        scratch.truncate(GROWN_MAX.max(span.length as usize));
        let result = if scratch == self.at(span) {
            span
        } else {
            self.span(&scratch)
        };
        self.scratch = scratch;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::Chains;

    #[test]
    fn values_keep_their_transformations() {
        let mut chains = Chains::default();
        let id = chains
            .chain(&[Transformation::UrlDecodeUni, Transformation::Lowercase])
            .expect("a few");
        let mut store = Store::new();
        let slot = store.slot(b"A%41b");
        let first = store.transformed(slot, id, chains.all());
        assert_eq!(store.at(first), b"aab");
        let length = store.bytes.len();
        assert_eq!(store.transformed(slot, id, chains.all()), first);
        assert_eq!(store.bytes.len(), length);
        let plain = store.slot(b"plain");
        let same = store.transformed(plain, id, chains.all());
        assert_eq!(store.at(same), b"plain");
        assert_eq!(same, store.slots[plain as usize].span);
    }
}
