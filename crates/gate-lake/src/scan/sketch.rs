//! Quantiles of numbers in bounded room.
//!
//! Numbers below 128 are counted each for itself; above, every doubling is cut into 64 equal parts, so
//! that the middle of a part is at most [`SKETCH_ERROR`] from any number in it. A sketch is at most
//! 3,776 counts, and takes room for those between its least and greatest number alone.

/// Largest relative error of a quantile.
pub const SKETCH_ERROR: f64 = 1.0 / 128.0;
const PARTS: u32 = 6;
/// Room that one takes beside its counts, about.
const SELF_BYTES: usize = 64;

/// Numbers that were counted. Negative ones count as zero.
#[derive(Debug, Clone, Default)]
pub struct Sketch {
    offset: usize,
    counts: Vec<u64>,
    count: u64,
    least: i64,
    most: i64,
}

impl Sketch {
    /// Counts a number.
    #[inline]
    pub fn record(&mut self, number: i64) {
        let number = number.max(0);
        if self.count == 0 {
            (self.least, self.most) = (number, number);
        }
        self.least = self.least.min(number);
        self.most = self.most.max(number);
        self.count += 1;
        let part = part(number as u64);
        match part
            .checked_sub(self.offset)
            .and_then(|place| self.counts.get_mut(place))
        {
            Some(count) => *count += 1,
            None => self.widen(part, 1),
        }
    }

    /// Counts what another has counted.
    pub fn add(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            (self.least, self.most) = (other.least, other.most);
        }
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
        self.count += other.count;
        for (place, count) in other.counts.iter().enumerate().filter(|(_, it)| **it > 0) {
            self.widen(place + other.offset, *count);
        }
    }

    #[cold]
    fn widen(&mut self, part: usize, by: u64) {
        if self.counts.is_empty() {
            self.offset = part;
        }
        if part < self.offset {
            let missing = self.offset - part;
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.offset = part;
        }
        if part - self.offset >= self.counts.len() {
            self.counts.resize(part - self.offset + 1, 0);
        }
        self.counts[part - self.offset] += by;
    }

    /// The number below or at which that share of them is, at most [`SKETCH_ERROR`] beside it.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<i64> {
        if self.count == 0 {
            return None;
        }
        let rank = (share.clamp(0.0, 1.0) * self.count as f64).ceil() as u64;
        let rank = rank.clamp(1, self.count);
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Some(middle(place + self.offset).clamp(self.least, self.most));
            }
        }
        Some(self.most)
    }

    /// How many bytes it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        SELF_BYTES + self.counts.capacity() * size_of::<u64>()
    }
}

/// The part that a number is counted in.
fn part(number: u64) -> usize {
    let power = 63 - (number | 1).leading_zeros();
    if power <= PARTS {
        return number as usize;
    }
    let shift = power - PARTS;
    ((shift as usize) << PARTS) + (number >> shift) as usize
}

/// The number in the middle of a part.
fn middle(part: usize) -> i64 {
    if part < 2 << PARTS {
        return part as i64;
    }
    let shift = (part >> PARTS) - 1;
    let low = ((part & ((1 << PARTS) - 1)) | (1 << PARTS)) as u128;
    let low = low << shift;
    i64::try_from(low + ((1_u128 << shift) >> 1)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_as_near_as_promised() {
        let mut sketch = Sketch::default();
        let mut numbers: Vec<i64> = (0..10_000_i64).map(|i| i * i * 37 + 3).collect();
        numbers.iter().for_each(|number| sketch.record(*number));
        numbers.sort_unstable();
        for share in [0.0, 0.01, 0.5, 0.9, 0.99, 1.0] {
            let rank = ((share * 10_000.0_f64).ceil() as usize).max(1);
            let (exact, found) = (numbers[rank - 1], sketch.quantile(share).unwrap());
            let error = (found - exact).abs() as f64;
            assert!(
                error <= exact as f64 * SKETCH_ERROR,
                "{share}: {found} for {exact}"
            );
        }
        assert_eq!(Sketch::default().quantile(0.5), None);
    }

    #[test]
    fn sketches_that_are_added_are_the_sketch_of_all() {
        let numbers: Vec<i64> = (0..5_000_i64).map(|i| (i * 7_919) % 100_003).collect();
        let of = |numbers: &[i64]| {
            let mut sketch = Sketch::default();
            numbers.iter().for_each(|number| sketch.record(*number));
            sketch
        };
        let all = of(&numbers);
        for cut in [0, 1, 700, 5_000] {
            let (left, right) = numbers.split_at(cut);
            for (one, other) in [(left, right), (right, left)] {
                let mut sum = of(one);
                sum.add(&of(other));
                for share in [0.0, 0.01, 0.5, 0.99, 1.0] {
                    assert_eq!(sum.quantile(share), all.quantile(share), "{cut} {share}");
                }
            }
        }
    }

    #[test]
    fn every_number_is_in_the_part_whose_middle_is_near() {
        for power in 0..63 {
            for number in [1_u64 << power, (1 << power) + 1, (1 << power) * 3 / 2] {
                let middle = middle(part(number)) as f64;
                assert!((middle - number as f64).abs() <= number as f64 * SKETCH_ERROR);
            }
        }
        let mut sketch = Sketch::default();
        [i64::MAX, 0, -5]
            .iter()
            .for_each(|number| sketch.record(*number));
        assert_eq!(sketch.quantile(0.1), Some(0));
        assert!(sketch.bytes() < 40_000);
    }
}
