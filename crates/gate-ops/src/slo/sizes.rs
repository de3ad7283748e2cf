//! Sizes (times, tokens, money) as a base-2 exponential histogram of scale 5.
//!
//! A bucket `i` holds values in `(2^(i/32), 2^((i+1)/32)]`, so the middle of a bucket is at most
//! 1.083 % from any value in it. The buckets are those of the OpenTelemetry protocol's exponential
//! histogram at scale 5 and of Prometheus's native histograms with schema 5; both ways lose nothing.
//! Verdicts of objectives never come from here: they are counted (`ring.rs`).

use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// Buckets per doubling, as a power of two: OpenTelemetry's scale and Prometheus's schema.
pub const SCALE: i32 = 5;
/// Largest relative error of a quantile: (g - 1) / (g + 1) with g = 2^(1/32).
pub const ERROR: f64 = 0.010_831;
const PER_DOUBLING: usize = 32;
/// Buckets that values of 64 bits can fall into.
const BUCKETS_MAX: usize = 64 * PER_DOUBLING;

/// Upper edges of the buckets within one doubling, from 1 to 2 exclusively, the first left out.
static EDGES: LazyLock<[f64; PER_DOUBLING - 1]> =
    LazyLock::new(|| std::array::from_fn(|i| f64::exp2((i + 1) as f64 / PER_DOUBLING as f64)));

/// The bucket of a value above zero.
#[must_use]
pub fn bucket(value: u64) -> i32 {
    let power = value.max(1).ilog2() as i32;
    // Exact powers of two end the bucket before; the rest is found among the edges.
    if value.max(1).is_power_of_two() {
        return power * PER_DOUBLING as i32 - 1;
    }
    let fraction = value as f64 / f64::exp2(f64::from(power));
    power * PER_DOUBLING as i32 + EDGES.partition_point(|edge| *edge < fraction) as i32
}

/// The lower (exclusive) edge of a bucket.
#[must_use]
pub fn edge(bucket: i32) -> f64 {
    f64::exp2(f64::from(bucket) / PER_DOUBLING as f64)
}

/// Sizes that were counted. Merging is commutative and associative.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// Bucket of the first element of `counts`.
    offset: i32,
    counts: Vec<u64>,
    zeros: u64,
    sum: u128,
    least: Option<u64>,
    most: u64,
}

/// The shape of OpenTelemetry's `ExponentialHistogramDataPoint`; values are never negative.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Otlp {
    /// Always [`SCALE`].
    pub scale: i32,
    /// Values that were zero.
    pub zero_count: u64,
    /// Bucket of the first of `bucket_counts`.
    pub offset: i32,
    /// Values by bucket.
    pub bucket_counts: Vec<u64>,
    /// All values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The least of them.
    pub min: Option<u64>,
    /// The greatest of them.
    pub max: Option<u64>,
}

/// The shape of Prometheus's native histogram with integer counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Native {
    /// Always [`SCALE`].
    pub schema: i32,
    /// Values at most this count as zero; 0.
    pub zero_threshold: f64,
    /// Values that were zero.
    pub zero_count: u64,
    /// Runs of buckets: empty ones before it (the first: its index), and its length.
    pub positive_spans: Vec<(i32, u32)>,
    /// The first bucket's count, then differences to the bucket before.
    pub positive_deltas: Vec<i64>,
    /// All values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

impl Sizes {
    /// Counts a value.
    pub fn record(&mut self, value: u64) {
        self.sum = self.sum.saturating_add(u128::from(value));
        self.least = Some(self.least.map_or(value, |least| least.min(value)));
        self.most = self.most.max(value);
        match value {
            0 => self.zeros += 1,
            value => *self.slot(bucket(value)) += 1,
        }
    }

    /// Adds what another counted.
    pub fn merge(&mut self, other: &Sizes) {
        for (bucket, count) in other.buckets() {
            *self.slot(bucket) += count;
        }
        self.zeros += other.zeros;
        self.sum = self.sum.saturating_add(other.sum);
        self.most = self.most.max(other.most);
        self.least = match (self.least, other.least) {
            (Some(own), Some(theirs)) => Some(own.min(theirs)),
            (own, theirs) => own.or(theirs),
        };
    }

    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.zeros + self.counts.iter().sum::<u64>()
    }

    /// Buckets that hold something, in order.
    pub fn buckets(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        let all = (self.offset..).zip(self.counts.iter().copied());
        all.filter(|(_, count)| *count > 0)
    }

    /// The value below or at which that share of the values is, at most [`ERROR`] beside it. None
    /// without values.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let all = self.count();
        if all == 0 {
            return None;
        }
        let rank = ((share.clamp(0.0, 1.0) * all as f64).ceil() as u64).clamp(1, all);
        let mut seen = self.zeros;
        if rank <= seen {
            return Some(0.0);
        }
        let found = self.buckets().find(|(_, count)| {
            seen += count;
            seen >= rank
        });
        // Between both edges where the relative error to either is the same.
        found.map(|(bucket, _)| {
            let (low, high) = (edge(bucket), edge(bucket + 1));
            let middle = 2.0 * low * high / (low + high);
            middle.clamp(self.least.unwrap_or(0) as f64, self.most as f64)
        })
    }

    /// As OpenTelemetry has it.
    #[must_use]
    pub fn otlp(&self) -> Otlp {
        Otlp {
            scale: SCALE,
            zero_count: self.zeros,
            offset: self.offset,
            bucket_counts: self.counts.clone(),
            count: self.count(),
            sum: self.sum as f64,
            min: self.least,
            max: self.least.map(|_| self.most),
        }
    }

    /// From what OpenTelemetry has. None when it has another scale, more buckets than values of 64
    /// bits can fill, or counts that do not add up.
    #[must_use]
    pub fn from_otlp(from: &Otlp) -> Option<Sizes> {
        let length = from.bucket_counts.len();
        let last = i64::from(from.offset) + length as i64;
        let fits = from.scale == SCALE && from.offset >= -1 && last <= BUCKETS_MAX as i64;
        let counted = from
            .bucket_counts
            .iter()
            .try_fold(from.zero_count, |sum, count| sum.checked_add(*count));
        (fits && counted == Some(from.count)).then(|| Sizes {
            offset: from.offset,
            counts: from.bucket_counts.clone(),
            zeros: from.zero_count,
            sum: from.sum.max(0.0) as u128,
            least: from.min,
            most: from.max.unwrap_or(0),
        })
    }

    /// As Prometheus has it. Its bucket `i` ends where OpenTelemetry's bucket `i` begins.
    #[must_use]
    pub fn native(&self) -> Native {
        let mut native = Native {
            schema: SCALE,
            zero_count: self.zeros,
            count: self.count(),
            sum: self.sum as f64,
            ..Native::default()
        };
        let (mut next, mut before) = (0, 0_i64);
        for (bucket, count) in self.buckets() {
            let index = bucket + 1;
            match native.positive_spans.last_mut() {
                Some(span) if index == next => span.1 += 1,
                _ => native.positive_spans.push((index - next, 1)),
            }
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            native.positive_deltas.push(count - before);
            (next, before) = (index + 1, count);
        }
        native
    }

    /// The buckets of what Prometheus has, with zeros: everything but the least and greatest value.
    /// None when it is of another schema or its numbers do not fit together.
    #[must_use]
    pub fn from_native(from: &Native) -> Option<Sizes> {
        let mut sizes = Sizes {
            zeros: from.zero_count,
            sum: from.sum.max(0.0) as u128,
            ..Sizes::default()
        };
        let mut deltas = from.positive_deltas.iter();
        let (mut index, mut count) = (0_i32, 0_i64);
        for (gap, length) in &from.positive_spans {
            index = index.checked_add(*gap)?;
            for _ in 0..*length {
                count = count.checked_add(*deltas.next()?)?;
                if !(0..BUCKETS_MAX as i32).contains(&index) {
                    return None;
                }
                *sizes.slot(index - 1) += u64::try_from(count).ok()?;
                index += 1;
            }
        }
        let fits = from.schema == SCALE && deltas.next().is_none() && sizes.count() == from.count;
        sizes.least = (sizes.zeros > 0).then_some(0).or_else(|| {
            let first = sizes.buckets().next()?.0;
            Some(edge(first).floor() as u64)
        });
        let last = sizes.buckets().last();
        sizes.most = last.map_or(0, |(bucket, _)| edge(bucket + 1).ceil() as u64);
        fits.then_some(sizes)
    }

    /// The count of a bucket, made room for. There are never more than [`BUCKETS_MAX`].
    fn slot(&mut self, bucket: i32) -> &mut u64 {
        if self.counts.is_empty() {
            self.offset = bucket;
        }
        if bucket < self.offset {
            let missing = (self.offset - bucket) as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.offset = bucket;
        }
        let index = (bucket - self.offset) as usize;
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        &mut self.counts[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_kit::random;

    #[test]
    fn buckets_are_those_of_both_formats() {
        // (2^(i/32), 2^((i+1)/32)]: 1 ends bucket -1, 2 ends 31, and 3 lies in 32 + 18.
        for (value, expected) in [(1, -1), (2, 31), (3, 50), (4, 63), (5, 74), (1024, 319)] {
            assert_eq!(bucket(value), expected, "{value}");
        }
        for value in (1..5000).chain([u64::MAX / 3, u64::MAX - 1, u64::MAX]) {
            let found = bucket(value);
            assert!(edge(found) < value as f64, "{value}");
            assert!(value as f64 <= edge(found + 1) * (1.0 + 1e-15), "{value}");
        }
    }

    fn drawn(of: impl Fn(f64, f64) -> f64, count: usize) -> Vec<u64> {
        let draw = || of(1.0 - random::fraction(), random::fraction()) as u64;
        (0..count).map(|_| draw()).collect()
    }

    #[test]
    fn quantiles_are_within_the_bound() {
        random::seed(11);
        let normal = |u: f64, v: f64| (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        let shapes: [(&str, Vec<u64>); 3] = [
            (
                "lognormal",
                drawn(|u, v| (normal(u, v) * 1.5 + 10.0).exp(), 200_000),
            ),
            (
                "bimodal",
                drawn(
                    |u, v| normal(u, v) * 90.0 + if v < 0.5 { 2e3 } else { 9e5 },
                    200_000,
                ),
            ),
            ("pareto", drawn(|u, _| 1e3 * u.powf(-1.0 / 1.3), 200_000)),
        ];
        for (name, mut values) in shapes {
            let mut sizes = Sizes::default();
            values.iter().for_each(|value| sizes.record(*value));
            values.sort_unstable();
            for share in [0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999] {
                let exact = values[(share * values.len() as f64).ceil() as usize - 1] as f64;
                let found = sizes.quantile(share).unwrap();
                let error = (found - exact).abs() / exact;
                assert!(error <= ERROR, "{name} {share}: {found} for {exact}");
            }
        }
    }

    #[test]
    fn both_formats_give_back_what_they_got() {
        random::seed(12);
        for length in [0, 1, 3, 50, 2000] {
            let mut sizes = Sizes::default();
            for value in drawn(|u, v| (u.powi(-7) * v * 50.0).min(1e9), length) {
                sizes.record(value);
            }
            assert_eq!(Sizes::from_otlp(&sizes.otlp()).as_ref(), Some(&sizes));
            let back = Sizes::from_native(&sizes.native()).unwrap();
            assert!(back.buckets().eq(sizes.buckets()));
            assert_eq!((back.zeros, back.sum), (sizes.zeros, sizes.sum));
        }
        let foreign = Otlp {
            scale: 4,
            ..Sizes::default().otlp()
        };
        assert_eq!(Sizes::from_otlp(&foreign), None);
        let mut short = Sizes::default();
        short.record(7);
        let short = Native {
            positive_deltas: vec![],
            ..short.native()
        };
        assert_eq!(Sizes::from_native(&short), None);
    }

    #[test]
    fn the_order_of_merging_does_not_count() {
        random::seed(13);
        let parts: Vec<Sizes> = (0..5)
            .map(|_| {
                let mut sizes = Sizes::default();
                let values = drawn(|u, _| u.powi(-5), random::below(200));
                values.into_iter().for_each(|value| sizes.record(value));
                sizes
            })
            .collect();
        let merged = |order: &mut dyn Iterator<Item = &Sizes>| {
            let mut all = Sizes::default();
            order.for_each(|part| all.merge(part));
            (
                all.buckets().collect::<Vec<_>>(),
                all.count(),
                all.sum,
                all.least,
                all.most,
            )
        };
        assert_eq!(merged(&mut parts.iter()), merged(&mut parts.iter().rev()));
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Sizes::default().quantile(0.5), None);
        let mut zeros = Sizes::default();
        zeros.record(0);
        assert_eq!(zeros.quantile(0.99), Some(0.0));
    }
}
