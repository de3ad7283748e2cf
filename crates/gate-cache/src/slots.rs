//! Slots of a shelf, by number, and queues that run through them.
//!
//! Numbers instead of pointers: half their size, and nothing moves when more slots come. Slots come
//! in blocks, so that growing costs the same however many there are.

/// The number of no slot.
const NONE: u32 = u32::MAX;
/// Slots of a block.
const BLOCK: usize = 256;

/// What is known of an entry.
#[derive(Debug)]
pub(crate) struct Slot<K, V> {
    pub(crate) key: K,
    /// None in a slot that is free.
    pub(crate) value: Option<V>,
    pub(crate) weight: u32,
    before: u32,
    /// The next in its queue, or the next free one.
    behind: u32,
    pub(crate) hits: u8,
    pub(crate) is_main: bool,
}

impl<K, V> Slot<K, V> {
    pub(crate) fn new(key: K, value: V, weight: u32, is_main: bool) -> Self {
        Self {
            key,
            value: Some(value),
            weight,
            before: NONE,
            behind: NONE,
            hits: 0,
            is_main,
        }
    }
}

/// Slots by number.
#[derive(Debug)]
pub(crate) struct Slots<K, V> {
    blocks: Vec<Vec<Slot<K, V>>>,
    /// The first free one.
    free: u32,
}

impl<K, V> Default for Slots<K, V> {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            free: NONE,
        }
    }
}

impl<K, V> Slots<K, V> {
    pub(crate) fn at(&self, at: u32) -> &Slot<K, V> {
        &self.blocks[at as usize / BLOCK][at as usize % BLOCK]
    }

    pub(crate) fn at_mut(&mut self, at: u32) -> &mut Slot<K, V> {
        &mut self.blocks[at as usize / BLOCK][at as usize % BLOCK]
    }

    /// One more than the largest number.
    pub(crate) fn end(&self) -> u32 {
        let last = self.blocks.last().map_or(0, Vec::len);
        (self.blocks.len().saturating_sub(1) * BLOCK + last) as u32
    }

    /// Takes a slot for an entry.
    pub(crate) fn add(&mut self, slot: Slot<K, V>) -> u32 {
        if self.free != NONE {
            let at = self.free;
            self.free = self.at(at).behind;
            *self.at_mut(at) = slot;
            return at;
        }
        let at = self.end();
        assert!(at < NONE, "a shelf has fewer entries than numbers");
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        if let Some(block) = self.blocks.last_mut() {
            block.push(slot);
        }
        at
    }

    /// Frees a slot that is in no queue, and gives what it held.
    pub(crate) fn free(&mut self, at: u32) -> Option<V> {
        let free = self.free;
        let slot = self.at_mut(at);
        let value = slot.value.take();
        if value.is_some() {
            slot.behind = free;
            self.free = at;
        }
        value
    }
}

/// A queue through slots, the oldest in front.
#[derive(Debug)]
pub(crate) struct Queue {
    first: u32,
    last: u32,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            first: NONE,
            last: NONE,
        }
    }
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.first == NONE
    }

    pub(crate) fn front(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    pub(crate) fn push_back<K, V>(&mut self, slots: &mut Slots<K, V>, at: u32) {
        let slot = slots.at_mut(at);
        (slot.before, slot.behind) = (self.last, NONE);
        match self.last {
            NONE => self.first = at,
            last => slots.at_mut(last).behind = at,
        }
        self.last = at;
    }

    /// Takes a slot of this queue out of it.
    pub(crate) fn unlink<K, V>(&mut self, slots: &mut Slots<K, V>, at: u32) {
        let (before, behind) = (slots.at(at).before, slots.at(at).behind);
        match before {
            NONE => self.first = behind,
            before => slots.at_mut(before).behind = behind,
        }
        match behind {
            NONE => self.last = before,
            behind => slots.at_mut(behind).before = before,
        }
    }

    /// How many there are, one by one: for checks.
    pub(crate) fn count<K, V>(&self, slots: &Slots<K, V>) -> usize {
        let next = |at: &u32| Some(slots.at(*at).behind).filter(|at| *at != NONE);
        std::iter::successors(self.front(), next).count()
    }
}
