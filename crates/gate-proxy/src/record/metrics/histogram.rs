//! Histograms with fixed buckets: an array of counts and an exact sum, nothing else.
//!
//! Values are integers (nanoseconds, bytes, tokens), so that a sum never loses precision; they
//! become seconds only when written. The bounds live beside the kind of value, not in each
//! histogram, so that a series costs little memory. How they are written: [`super::exposition`].

use gate_kit::durations::Durations;

/// Most finite buckets of any scale; one more count holds what exceeds them all.
pub(super) const BUCKETS_MAX: usize = 16;

const MS: u64 = 1_000_000;

/// Upper bounds of a kind of histogram, in the unit that is observed.
pub(super) struct Scale {
    /// Ascending, at most [`BUCKETS_MAX`].
    pub(super) bounds: &'static [u64],
    /// How many observed units make one exposed unit (1e9 for nanoseconds shown as seconds).
    pub(super) per_unit: u64,
    /// For each length of a value in bits, how many bounds lie below every such value: where the
    /// search for its bucket starts, so that it takes a step or two.
    first: [u8; 65],
}

impl Scale {
    const fn new(bounds: &'static [u64], per_unit: u64) -> Self {
        let mut first = [0; 65];
        let mut bits = 1;
        while bits <= 64 {
            let mut below = 0;
            while below < bounds.len() && bounds[below] < 1 << (bits - 1) {
                below += 1;
            }
            first[bits] = below as u8;
            bits += 1;
        }
        Self {
            bounds,
            per_unit,
            first,
        }
    }
}

/// Durations in nanoseconds, exposed as seconds: 1 ms to 60 s, with resolution where gateways live.
pub(super) static DURATION: Scale = Scale::new(
    &[
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
    1_000 * MS,
);

/// Body sizes in bytes, by powers of four.
pub(super) static SIZE: Scale = Scale::new(
    &[
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
    1,
);

/// Tokens, with the bounds that OpenTelemetry advises for `gen_ai.client.token.usage`.
pub(super) static TOKENS: Scale = Scale::new(
    &[
        1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
        67_108_864,
    ],
    1,
);

/// Durations of model calls, with the bounds that OpenTelemetry advises for
/// `gen_ai.client.operation.duration`.
pub(super) static OPERATION: Scale = Scale::new(
    &[
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
    1_000 * MS,
);

/// Times to a first token, with the bounds that OpenTelemetry advises for
/// `gen_ai.server.time_to_first_token`.
pub(super) static FIRST_TOKEN: Scale = Scale::new(
    &[
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
    1_000 * MS,
);

/// Counts by bucket and the sum of what was observed.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    counts: [u64; BUCKETS_MAX + 1],
    sum: u128,
}

impl Histogram {
    /// Counts one value, in the scale's observed unit.
    pub(super) fn observe(&mut self, scale: &Scale, value: u64) {
        let bits = 64 - value.leading_zeros() as usize;
        let mut bucket = usize::from(scale.first[bits]);
        while scale.bounds.get(bucket).is_some_and(|&bound| bound < value) {
            bucket += 1;
        }
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

/// A histogram of durations in both forms: buckets for the text formats, and the finer exponential ones
/// for Prometheus's native histograms and OTLP.
#[derive(Debug, Clone, Default)]
pub(super) struct Timed {
    pub(super) classic: Histogram,
    pub(super) native: Durations,
}

impl Timed {
    /// Counts a duration.
    pub(super) fn observe(&mut self, scale: &Scale, nanos: u64) {
        self.classic.observe(scale, nanos);
        self.native.record(nanos);
    }

    /// Adds another of the same scale.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.classic.absorb(&other.classic);
        self.native.merge(&other.native);
    }

    /// How many durations were counted.
    pub(super) fn count(&self) -> u64 {
        self.classic.count()
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
    fn every_value_lands_in_the_first_bucket_that_holds_it() {
        for scale in [&DURATION, &SIZE, &TOKENS, &OPERATION, &FIRST_TOKEN] {
            let powers = (0..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]);
            let near = scale
                .bounds
                .iter()
                .flat_map(|&bound| [bound - 1, bound, bound + 1]);
            for value in powers.chain(near) {
                let mut histogram = Histogram::default();
                histogram.observe(scale, value);
                let right = scale.bounds.iter().filter(|&&bound| bound < value).count();
                assert_eq!(histogram.counts[right], 1, "{value}");
            }
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
