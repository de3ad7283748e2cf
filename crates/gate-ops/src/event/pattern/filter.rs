//! What says of most keys that no bucket has them, in less memory than the buckets take.

use rustc_hash::FxHashMap;

/// One bit of many for each key. Keys that are gone leave their bits until the next
/// [`Filter::of`], which comes before the bits are of no use.
#[derive(Default)]
pub(super) struct Filter {
    /// A power of two, or nothing.
    words: Vec<u64>,
    added: usize,
}

impl Filter {
    pub(super) fn of(buckets: &FxHashMap<u64, Vec<u32>>) -> Self {
        let words = (buckets.len() / 2).next_power_of_two().max(4);
        let mut filter = Filter {
            words: vec![0; words],
            added: 0,
        };
        buckets.keys().for_each(|key| filter.add(*key));
        filter
    }

    /// More than a key for four bits, counting those that are gone.
    pub(super) fn is_crowded(&self) -> bool {
        self.added > self.words.len() * 16
    }

    pub(super) fn add(&mut self, key: u64) {
        self.added += 1;
        if let Some((word, bit)) = self.place(key) {
            self.words[word] |= bit;
        }
    }

    #[inline]
    pub(super) fn may_have(&self, key: u64) -> bool {
        self.place(key)
            .is_some_and(|(word, bit)| self.words[word] & bit != 0)
    }

    #[inline]
    fn place(&self, key: u64) -> Option<(usize, u64)> {
        let last = self.words.len().checked_sub(1)?;
        // The upper half, which the map's own places do not come from; the lowest bit is always set.
        Some(((key >> 38) as usize & last, 1 << (key >> 32 & 63)))
    }
}
