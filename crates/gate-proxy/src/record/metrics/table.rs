//! Bounded tables of counts: rows by name, and counts by a small key.
//!
//! Both stop growing at a limit and put the rest in one place, so that no configuration and no
//! traffic can make a page of metrics endless.

use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Most combinations counted under one name (methods with statuses, results, models' targets).
pub(super) const KEYS_MAX: usize = 256;
/// The name that holds what did not fit.
pub(super) const OTHER: &str = "_other";
/// The name for exchanges without one (no route matched, no upstream was called).
pub(super) const NONE: &str = "_none";

/// Rows that are remembered by the address of their name.
const RECENT: usize = 64;

/// Rows by name, at most `most` of them.
#[derive(Debug)]
pub(super) struct Table<T> {
    index: FxHashMap<Arc<str>, usize>,
    rows: Vec<(Arc<str>, T)>,
    /// Positions of rows by where their name lies in memory: names are shared with the snapshot,
    /// so that a row is mostly found without hashing, which took 240 of a record's 925
    /// instructions (callgrind).
    recent: [u32; RECENT],
    most: usize,
    /// How often a name did not fit.
    pub(super) folded: u64,
}

impl<T: Default> Table<T> {
    pub(super) fn new(most: usize) -> Self {
        let fixed = [OTHER, NONE].map(Arc::<str>::from);
        let positions = fixed.iter().cloned().zip(0..);
        Self {
            index: positions.collect(),
            rows: fixed.into_iter().map(|name| (name, T::default())).collect(),
            recent: [0; RECENT],
            most,
            folded: 0,
        }
    }

    /// The row of a name, made when there is room.
    #[inline]
    pub(super) fn row(&mut self, name: &Arc<str>) -> &mut T {
        let slot = (name.as_ptr() as usize >> 4) % RECENT;
        let mut position = self.recent[slot] as usize;
        // The row holds its name, so an equal address is the same text.
        if !Arc::ptr_eq(&self.rows[position].0, name) {
            position = self.find(name);
            self.recent[slot] = position as u32;
        }
        &mut self.rows[position].1
    }

    fn find(&mut self, name: &Arc<str>) -> usize {
        match self.index.get(&**name) {
            Some(&position) => {
                // After a reload the same name lies elsewhere; the fixed rows keep theirs.
                if position > 1 {
                    self.rows[position].0 = name.clone();
                }
                position
            }
            None if self.rows.len() < self.most => {
                self.index.insert(name.clone(), self.rows.len());
                self.rows.push((name.clone(), T::default()));
                self.rows.len() - 1
            }
            None => {
                self.folded += 1;
                0
            }
        }
    }

    /// The row of a name, where there is one.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        Some(&self.rows[*self.index.get(name)?].1)
    }

    /// The row of a name, or of [`NONE`].
    pub(super) fn row_or_none(&mut self, name: Option<&Arc<str>>) -> &mut T {
        match name {
            Some(name) => self.row(name),
            None => &mut self.rows[1].1,
        }
    }

    /// Adds another table, row by row.
    pub(super) fn absorb(&mut self, other: &Self, absorb: impl Fn(&mut T, &T)) {
        self.folded += other.folded;
        for (name, row) in &other.rows {
            absorb(self.row(name), row);
        }
    }

    /// Every row, by name.
    pub(super) fn sorted(&self) -> Vec<(&str, &T)> {
        let mut rows: Vec<_> = self.rows.iter().map(|(name, row)| (&**name, row)).collect();
        rows.sort_unstable_by_key(|(name, _)| *name);
        rows
    }
}

/// Counts by a small key; a list, because there are few and the frequent ones come first in time.
#[derive(Debug, Clone)]
pub(super) struct Counts<K>(Vec<(K, u64)>, u64);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Vec::new(), 0)
    }
}

impl<K: Copy + PartialEq> Counts<K> {
    pub(super) fn add(&mut self, key: K, n: u64) {
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| *known == key) {
            *count += n;
        } else if self.0.len() < KEYS_MAX {
            self.0.push((key, n));
        } else {
            self.1 += n;
        }
    }

    pub(super) fn absorb(&mut self, other: &Self) {
        other.0.iter().for_each(|&(key, n)| self.add(key, n));
        self.1 += other.1;
    }

    /// Every key with its count.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(K, u64)> {
        self.0.iter()
    }

    /// What was counted under keys that did not fit.
    pub(super) fn other(&self) -> u64 {
        self.1
    }
}
