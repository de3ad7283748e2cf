//! Sorting and ordered maps by one copy of the code for the whole program.
//!
//! The standard library's stable sort is 4.9 KB of code for every type it is used with, and collecting
//! into a `BTreeMap` or `BTreeSet` sorts as well. Where a list is short or looked at once (answers of the
//! admin API, configurations that are read, reports), these do the same in some 200 bytes a type. What
//! runs for every request keeps the standard library's.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Stable sorting, as `slice::sort_by` and its kin do.
pub trait Order<T> {
    /// Puts items in the order that `compare` gives; equal ones stay as they were.
    fn order_by(&mut self, compare: impl Fn(&T, &T) -> Ordering);

    /// Puts items in the order of their keys, which are made anew for each comparison.
    fn order_by_key<K: Ord>(&mut self, key: impl Fn(&T) -> K) {
        self.order_by(|one, other| key(one).cmp(&key(other)));
    }

    /// Puts items in their own order.
    fn order(&mut self)
    where
        T: Ord,
    {
        self.order_by(T::cmp);
    }
}

impl<T> Order<T> for [T] {
    fn order_by(&mut self, compare: impl Fn(&T, &T) -> Ordering) {
        let mut places = places(self.len(), &|one, other| compare(&self[one], &self[other]));
        // Each cycle of the permutation is followed once; a place that holds its own number is done.
        for start in 0..places.len() {
            let mut at = start;
            loop {
                let from = std::mem::replace(&mut places[at], at);
                if from == start {
                    break;
                }
                self.swap(at, from);
                at = from;
            }
        }
    }
}

/// For each place of the sorted list, the place in the unsorted one that belongs there. Not inlined, and
/// with nothing of the items' type in it: this is the one copy.
#[inline(never)]
fn places(len: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..len).collect();
    places.sort_by(|&one, &other| compare(one, other));
    places
}

/// Collecting into ordered maps and sets, item by item.
pub trait Gather: Iterator + Sized {
    /// The map of these pairs; of pairs with the same key the last one counts.
    fn into_map<K: Ord, V>(self) -> BTreeMap<K, V>
    where
        Self: Iterator<Item = (K, V)>,
    {
        let mut map = BTreeMap::new();
        map.extend(self);
        map
    }

    /// The set of these items.
    fn into_set(self) -> BTreeSet<Self::Item>
    where
        Self::Item: Ord,
    {
        let mut set = BTreeSet::new();
        set.extend(self);
        set
    }
}

impl<I: Iterator> Gather for I {}

#[cfg(test)]
mod tests {
    use super::{Gather, Order};

    /// Lists of every length and of few different keys come out as the standard library's do.
    #[test]
    fn items_are_ordered_as_by_the_standard_library() {
        let mut seeded = fastrand::Rng::with_seed(7);
        for len in 0..200 {
            let list: Vec<(u8, String)> = (0..len)
                .map(|at| (seeded.u8(..20), at.to_string()))
                .collect();
            let (mut ours, mut theirs) = (list.clone(), list.clone());
            ours.order_by_key(|(key, _)| *key);
            theirs.sort_by_key(|(key, _)| *key);
            assert_eq!(ours, theirs);
            ours.order_by(|one, other| other.1.cmp(&one.1));
            theirs.sort_by(|one, other| other.1.cmp(&one.1));
            assert_eq!(ours, theirs);
            ours.order();
            theirs.sort();
            assert_eq!(ours, theirs);
            assert_eq!(
                list.clone().into_iter().into_map(),
                list.iter().cloned().collect()
            );
            assert_eq!(
                list.clone().into_iter().into_set(),
                list.into_iter().collect()
            );
        }
    }
}
