//! Counts of sizes in buckets that grow by a fifth: enough to set a mark near a quantile and to
//! count what lies beyond it.

use serde::{Deserialize, Serialize};

/// Buckets of one octave.
const PER_OCTAVE: u32 = 4;
/// Most buckets: one for zero, the rest for all of 64 bits.
const BUCKETS_MAX: usize = 1 + 64 * PER_OCTAVE as usize;

/// Counts of sizes by bucket. A bucket's upper edge is at most 25 % above its lower one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram(Vec<u64>);

/// The bucket of a size: 0 for zero, then four per octave, evenly spaced inside it.
#[must_use]
pub fn bucket(size: u64) -> usize {
    let Some(octave) = size.checked_ilog2() else {
        return 0;
    };
    // The two bits behind the leading one.
    let quarter = match octave {
        0 => 0,
        1 => (size & 1) << 1,
        _ => (size >> (octave - 2)) & 3,
    };
    1 + (octave * PER_OCTAVE) as usize + quarter as usize
}

/// The smallest size of a bucket.
#[must_use]
pub fn lower_edge(bucket: usize) -> u64 {
    let Some(index) = bucket.checked_sub(1) else {
        return 0;
    };
    let (octave, quarter) = (index as u32 / PER_OCTAVE, index as u64 % 4);
    let base = 1_u64.checked_shl(octave).unwrap_or(u64::MAX);
    base.saturating_add((base / 4).saturating_mul(quarter))
}

impl Histogram {
    /// Counts a size.
    pub fn add(&mut self, size: u64) {
        let bucket = bucket(size);
        if self.0.len() <= bucket {
            self.0.resize(bucket + 1, 0);
        }
        self.0[bucket] += 1;
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Histogram) {
        let length = self.0.len().max(other.0.len()).min(BUCKETS_MAX);
        self.0.resize(length, 0);
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// How many sizes were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// How many lie in buckets above this one.
    #[must_use]
    pub fn beyond(&self, bucket: usize) -> u64 {
        let above = self.0.iter().skip(bucket.saturating_add(1));
        above.fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The bucket in which this quantile (0 to 1) lies; `None` when nothing was counted.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<usize> {
        let total = self.total();
        let rank = (quantile.clamp(0.0, 1.0) * total as f64).ceil().max(1.0);
        let mut below = 0_u64;
        self.0.iter().position(|count| {
            below = below.saturating_add(*count);
            total > 0 && below as f64 >= rank
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_lies_between_the_edges_of_its_bucket() {
        let mut sizes: Vec<u64> = (0..5000).collect();
        sizes.extend((0..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]));
        sizes.push(u64::MAX);
        for size in sizes {
            let bucket = bucket(size);
            assert!(bucket < BUCKETS_MAX, "{size}");
            assert!(lower_edge(bucket) <= size, "{size} in {bucket}");
            let next = lower_edge(bucket + 1);
            // In the first two octaves some buckets hold no whole number.
            assert!(
                next > size || next == u64::MAX || size < 4,
                "{size} in {bucket}"
            );
        }
    }

    #[test]
    fn counts_beyond_a_quantile_are_its_share() {
        let mut all = Histogram::default();
        assert_eq!(
            (all.quantile(0.5), all.total(), all.beyond(3)),
            (None, 0, 0)
        );
        (0..10_000).for_each(|size| all.add(size));
        let mark = all.quantile(0.9).unwrap();
        assert!(
            (8000..=9000).contains(&lower_edge(mark)),
            "{}",
            lower_edge(mark)
        );
        let beyond = all.beyond(mark);
        assert_eq!(beyond, 10_000 - lower_edge(mark + 1).min(10_000));
        let mut twice = all.clone();
        twice.merge(&all);
        assert_eq!((twice.total(), twice.beyond(mark)), (20_000, 2 * beyond));
    }
}
