//! Durations as a base-2 exponential histogram of scale 5, in seconds.
//!
//! A bucket `i` holds durations in `(2^(i/32), 2^((i+1)/32)]` seconds, so the middle of a bucket is at most
//! 1.083 % from any of them. The buckets are those of the OpenTelemetry protocol's exponential histogram
//! at scale 5 and of Prometheus's native histograms with schema 5; both ways lose nothing. A histogram
//! takes room for the buckets between its least and its greatest duration, once there are any: from a tenth
//! of a millisecond to a second that is 3.4 KiB. Verdicts of objectives never come from here: they are
//! counted.
//! Sources: opentelemetry-proto `metrics/v1`, `ExponentialHistogramDataPoint`;
//! <https://prometheus.io/docs/specs/native_histograms/>.

mod packed;

pub use packed::PACKED_MAX;

use std::sync::LazyLock;

/// Buckets per doubling, as a power of two: OpenTelemetry's scale and Prometheus's schema.
pub const SCALE: i32 = 5;
/// Largest relative error of a quantile: (g - 1) / (g + 1) with g = 2^(1/32).
pub const ERROR: f64 = 0.010_831;
const PER_DOUBLING: i32 = 32;
const NANOS: f64 = 1e9;
/// The least and the greatest bucket: those of a nanosecond, and of what 64 bits of them hold.
const BUCKETS: std::ops::RangeInclusive<i32> = -30 * PER_DOUBLING..=35 * PER_DOUBLING;
const MANTISSA_BITS: u32 = 52;

/// Upper edges of the buckets within one doubling, from 1 to 2 exclusively, as the mantissas of floating
/// point numbers.
static EDGES: LazyLock<[u64; PER_DOUBLING as usize - 1]> = LazyLock::new(|| {
    std::array::from_fn(|i| mantissa(f64::exp2((i + 1) as f64 / f64::from(PER_DOUBLING)).to_bits()))
});

const fn mantissa(bits: u64) -> u64 {
    bits & ((1 << MANTISSA_BITS) - 1)
}

/// The bucket of a duration above zero, in nanoseconds.
#[must_use]
pub fn bucket(nanos: u64) -> i32 {
    // The number's own exponent and mantissa (IEEE 754) say in which doubling it is, and where in it.
    let bits = (nanos.max(1) as f64 / NANOS).to_bits();
    let power = (bits >> MANTISSA_BITS) as i32 - 1023;
    let rest = mantissa(bits);
    if rest == 0 {
        // Exact powers of two end the bucket before.
        return power * PER_DOUBLING - 1;
    }
    power * PER_DOUBLING + EDGES.partition_point(|edge| *edge < rest) as i32
}

/// The lower (exclusive) edge of a bucket, in seconds.
#[must_use]
pub fn edge(bucket: i32) -> f64 {
    f64::exp2(f64::from(bucket) / f64::from(PER_DOUBLING))
}

/// Durations that were counted. Merging is commutative and associative.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Durations {
    /// Bucket of the first element of `counts`.
    offset: i32,
    counts: Vec<u64>,
    zeros: u64,
    /// In nanoseconds, as are those below.
    sum: u128,
    least: Option<u64>,
    most: u64,
}

/// The shape of OpenTelemetry's `ExponentialHistogramDataPoint`; durations are never negative.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Otlp {
    /// Always [`SCALE`].
    pub scale: i32,
    /// Durations that were zero.
    pub zero_count: u64,
    /// Bucket of the first of `bucket_counts`.
    pub offset: i32,
    /// Durations by bucket.
    pub bucket_counts: Vec<u64>,
    /// All of them.
    pub count: u64,
    /// Their sum, in seconds.
    pub sum: f64,
    /// The least of them, in seconds.
    pub min: Option<f64>,
    /// The greatest of them, in seconds.
    pub max: Option<f64>,
}

/// The shape of Prometheus's native histogram with integer counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Native {
    /// Always [`SCALE`].
    pub schema: i32,
    /// Durations that were zero.
    pub zero_count: u64,
    /// Runs of buckets: empty ones before it (the first: its index), and its length.
    pub positive_spans: Vec<(i32, u32)>,
    /// The first bucket's count, then differences to the bucket before.
    pub positive_deltas: Vec<i64>,
    /// All durations.
    pub count: u64,
    /// Their sum, in seconds.
    pub sum: f64,
}

impl Durations {
    /// Counts a duration, in nanoseconds.
    pub fn record(&mut self, nanos: u64) {
        self.sum = self.sum.saturating_add(u128::from(nanos));
        self.least = Some(self.least.map_or(nanos, |least| least.min(nanos)));
        self.most = self.most.max(nanos);
        match nanos {
            0 => self.zeros += 1,
            nanos => *self.slot(bucket(nanos)) += 1,
        }
    }

    /// Adds what another counted.
    pub fn merge(&mut self, other: &Self) {
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

    /// How many durations there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.zeros + self.counts.iter().sum::<u64>()
    }

    /// Buckets that hold something, in order.
    pub fn buckets(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        let all = (self.offset..).zip(self.counts.iter().copied());
        all.filter(|(_, count)| *count > 0)
    }

    /// The duration, in seconds, below or at which that share of them is, at most [`ERROR`] beside it.
    /// None without any.
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
            middle.clamp(seconds(self.least.unwrap_or(0)), seconds(self.most))
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
            sum: self.sum as f64 / NANOS,
            min: self.least.map(seconds),
            max: self.least.map(|_| seconds(self.most)),
        }
    }

    /// From what OpenTelemetry has. None when it has another scale, buckets that no duration of 64 bits
    /// falls into, or counts that do not add up.
    #[must_use]
    pub fn from_otlp(from: &Otlp) -> Option<Self> {
        let last = i64::from(from.offset) + from.bucket_counts.len() as i64;
        let fits = from.scale == SCALE
            && from.offset >= *BUCKETS.start()
            && last <= i64::from(*BUCKETS.end());
        let counted = from
            .bucket_counts
            .iter()
            .try_fold(from.zero_count, |sum, count| sum.checked_add(*count));
        (fits && counted == Some(from.count)).then(|| Self {
            offset: from.offset,
            counts: from.bucket_counts.clone(),
            zeros: from.zero_count,
            sum: (from.sum.max(0.0) * NANOS).round() as u128,
            least: from.min.map(nanos),
            most: from.max.map_or(0, nanos),
        })
    }

    /// As Prometheus has it. Its bucket `i` ends where OpenTelemetry's bucket `i` begins.
    #[must_use]
    pub fn native(&self) -> Native {
        let mut native = Native {
            schema: SCALE,
            zero_count: self.zeros,
            count: self.count(),
            sum: self.sum as f64 / NANOS,
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

    /// The buckets of what Prometheus has, with zeros: everything but the least and greatest duration.
    /// None when it is of another schema or its numbers do not fit together.
    #[must_use]
    pub fn from_native(from: &Native) -> Option<Self> {
        let mut found = Self {
            zeros: from.zero_count,
            sum: (from.sum.max(0.0) * NANOS).round() as u128,
            ..Self::default()
        };
        let mut deltas = from.positive_deltas.iter();
        let (mut index, mut count) = (0_i32, 0_i64);
        for (gap, length) in &from.positive_spans {
            index = index.checked_add(*gap)?;
            for _ in 0..*length {
                count = count.checked_add(*deltas.next()?)?;
                if !BUCKETS.contains(&index) {
                    return None;
                }
                *found.slot(index - 1) += u64::try_from(count).ok()?;
                index += 1;
            }
        }
        let fits = from.schema == SCALE && deltas.next().is_none() && found.count() == from.count;
        found.least = (found.zeros > 0).then_some(0).or_else(|| {
            let first = found.buckets().next()?.0;
            Some((edge(first) * NANOS).floor() as u64)
        });
        let last = found.buckets().last();
        found.most = last.map_or(0, |(bucket, _)| (edge(bucket + 1) * NANOS).ceil() as u64);
        fits.then_some(found)
    }

    /// The count of a bucket, made room for. There are never more than those of [`BUCKETS`].
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

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / NANOS
}

fn nanos(seconds: f64) -> u64 {
    (seconds.max(0.0) * NANOS).round() as u64
}

#[cfg(test)]
#[path = "durations_tests.rs"]
mod tests;
