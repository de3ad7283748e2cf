//! Histograms with fixed buckets: an array of counts and an exact sum, nothing else.
//!
//! Values are integers (nanoseconds, bytes, tokens), so that a sum never loses precision; they
//! become seconds only when written. The bounds live beside the kind of value, not in each
//! histogram, so that a series costs little memory. How they are written: [`super::exposition`].

/// Most finite buckets of any scale; one more count holds what exceeds them all.
pub(super) const BUCKETS_MAX: usize = 16;

const MS: u64 = 1_000_000;

/// Upper bounds of a kind of histogram, in the unit that is observed.
pub(super) struct Scale {
    /// Ascending, at most [`BUCKETS_MAX`].
    pub(super) bounds: &'static [u64],
    /// How many observed units make one exposed unit (1e9 for nanoseconds shown as seconds).
    pub(super) per_unit: u64,
}

/// Durations in nanoseconds, exposed as seconds: 1 ms to 60 s, with resolution where gateways live.
pub(super) static DURATION: Scale = Scale {
    bounds: &[
        MS,
        2 * MS + MS / 2,
        5 * MS,
        10 * MS,
        25 * MS,
        50 * MS,
        100 * MS,
        250 * MS,
        500 * MS,
        1_000 * MS,
        2_500 * MS,
        5_000 * MS,
        10_000 * MS,
        30_000 * MS,
        60_000 * MS,
    ],
    per_unit: 1_000 * MS,
};

/// Body sizes in bytes, by powers of four.
pub(super) static SIZE: Scale = Scale {
    bounds: &[
        256,
        1 << 10,
        4 << 10,
        16 << 10,
        64 << 10,
        256 << 10,
        1 << 20,
        4 << 20,
        16 << 20,
        64 << 20,
    ],
    per_unit: 1,
};

/// Tokens, with the bounds that OpenTelemetry advises for `gen_ai.client.token.usage`.
pub(super) static TOKENS: Scale = Scale {
    bounds: &[
        1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
        67_108_864,
    ],
    per_unit: 1,
};

/// Durations of model calls, with the bounds that OpenTelemetry advises for
/// `gen_ai.client.operation.duration`.
pub(super) static OPERATION: Scale = Scale {
    bounds: &[
        10 * MS,
        20 * MS,
        40 * MS,
        80 * MS,
        160 * MS,
        320 * MS,
        640 * MS,
        1_280 * MS,
        2_560 * MS,
        5_120 * MS,
        10_240 * MS,
        20_480 * MS,
        40_960 * MS,
        81_920 * MS,
    ],
    per_unit: 1_000 * MS,
};

/// Times to a first token, with the bounds that OpenTelemetry advises for
/// `gen_ai.server.time_to_first_token`.
pub(super) static FIRST_TOKEN: Scale = Scale {
    bounds: &[
        MS,
        5 * MS,
        10 * MS,
        20 * MS,
        40 * MS,
        60 * MS,
        80 * MS,
        100 * MS,
        250 * MS,
        500 * MS,
        750 * MS,
        1_000 * MS,
        2_500 * MS,
        5_000 * MS,
        7_500 * MS,
        10_000 * MS,
    ],
    per_unit: 1_000 * MS,
};

/// Counts by bucket and the sum of what was observed.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    counts: [u64; BUCKETS_MAX + 1],
    sum: u128,
}

impl Histogram {
    /// Counts one value, in the scale's observed unit.
    pub(super) fn observe(&mut self, scale: &Scale, value: u64) {
        // Comparing with every bound has no branch to mispredict and vectorises.
        let bucket: usize = scale
            .bounds
            .iter()
            .map(|&bound| usize::from(value > bound))
            .sum();
        self.counts[bucket] += 1;
        self.sum += u128::from(value);
    }

    /// Adds another histogram of the same scale.
    pub(super) fn absorb(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.sum += other.sum;
    }

    /// How many values were counted.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum, in the scale's observed unit.
    pub(super) fn sum(&self) -> u128 {
        self.sum
    }

    /// For each finite bound of the scale, how many values do not exceed it.
    pub(super) fn cumulative<'a>(
        &'a self,
        scale: &'a Scale,
    ) -> impl Iterator<Item = (u64, u64)> + 'a {
        let mut below = 0;
        scale
            .bounds
            .iter()
            .zip(&self.counts)
            .map(move |(&bound, count)| {
                below += count;
                (bound, below)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_counts_below_it_and_one_past_it_above() {
        for scale in [&DURATION, &SIZE, &TOKENS, &OPERATION, &FIRST_TOKEN] {
            assert!(scale.bounds.is_sorted() && scale.bounds.len() <= BUCKETS_MAX);
            let mut histogram = Histogram::default();
            histogram.observe(scale, scale.bounds[0]);
            histogram.observe(scale, scale.bounds[0] + 1);
            histogram.observe(scale, u64::MAX);
            let shown: Vec<_> = histogram
                .cumulative(scale)
                .map(|(_, n)| n)
                .take(2)
                .collect();
            assert_eq!((shown, histogram.count()), (vec![1, 2], 3));
            assert_eq!(histogram.cumulative(scale).last().map(|(_, n)| n), Some(2));
        }
    }

    #[test]
    fn sums_stay_exact_past_64_bits() {
        let mut histogram = Histogram::default();
        (0..3).for_each(|_| histogram.observe(&SIZE, u64::MAX));
        let mut sum = histogram.clone();
        sum.absorb(&histogram);
        assert_eq!((sum.sum(), sum.count()), (6 * u128::from(u64::MAX), 6));
    }
}
