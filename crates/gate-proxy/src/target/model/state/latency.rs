//! How long something usually takes: a mean that follows, and percentiles.
//!
//! The mean forgets with time: a sample weighs the more, the longer ago the one before it was
//! (half after twenty seconds), and at least a tenth. Percentiles come from a histogram of
//! quarter octaves, off by at most a fifth, whose counts are halved when there are many. Workers
//! may overwrite each other's update now and then, which loses a sample and nothing else.

use gate_kit::clock::Moment;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Quarter octaves from a millisecond to above half an hour.
const BUCKETS: usize = 84;
/// Counts at which the histogram is halved.
const HALVE_AT: u32 = 2_048;
/// Samples without which no percentile is given.
const SAMPLES_MIN: u32 = 20;
/// Time after which the mean is half forgotten.
const HALF_LIFE: f64 = 20.0;

/// A measure of time.
#[derive(Debug)]
pub(in super::super) struct Latency {
    /// Seconds, as the bits of an `f64`; zero when nothing was measured.
    mean: AtomicU64,
    /// Moment of the last sample.
    at: AtomicU64,
    counts: [AtomicU32; BUCKETS],
    total: AtomicU32,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            mean: AtomicU64::new(0),
            at: AtomicU64::new(0),
            counts: std::array::from_fn(|_| AtomicU32::new(0)),
            total: AtomicU32::new(0),
        }
    }
}

impl Latency {
    /// Adds a sample.
    pub(in super::super) fn observe(&self, time: Duration, now: Moment) {
        let sample = time.as_secs_f64().max(1e-6);
        let before = Moment(self.at.swap(now.0, Ordering::Relaxed));
        let mean = match self.mean() {
            None => sample,
            Some(mean) => {
                let age = now.since(before).as_secs_f64();
                let weight = (1.0 - (-age / HALF_LIFE).exp2()).max(0.1);
                mean + (sample - mean) * weight
            }
        };
        self.mean.store(mean.to_bits(), Ordering::Relaxed);
        self.counts[bucket(sample)].fetch_add(1, Ordering::Relaxed);
        if self.total.fetch_add(1, Ordering::Relaxed) + 1 >= HALVE_AT {
            self.halve();
        }
    }

    fn halve(&self) {
        let mut total = 0;
        for count in &self.counts {
            let half = count.load(Ordering::Relaxed) / 2;
            count.store(half, Ordering::Relaxed);
            total += half;
        }
        self.total.store(total, Ordering::Relaxed);
    }

    /// The mean in seconds; none when nothing was measured.
    pub(in super::super) fn mean(&self) -> Option<f64> {
        let mean = f64::from_bits(self.mean.load(Ordering::Relaxed));
        (mean > 0.0).then_some(mean)
    }

    /// The time that `percent` of the samples did not exceed; none while there are too few.
    pub(in super::super) fn percentile(&self, percent: u8) -> Option<Duration> {
        let total = self.total.load(Ordering::Relaxed);
        if total < SAMPLES_MIN {
            return None;
        }
        let rank = (f64::from(total) * f64::from(percent) / 100.0).ceil() as u32;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count.load(Ordering::Relaxed);
            if seen >= rank {
                return Some(Duration::from_secs_f64(upper_bound(index)));
            }
        }
        None
    }
}

fn bucket(seconds: f64) -> usize {
    let quarter_octaves = ((seconds / 0.001).log2() * 4.0).ceil();
    (quarter_octaves.max(0.0) as usize).min(BUCKETS - 1)
}

fn upper_bound(bucket: usize) -> f64 {
    0.001 * (bucket as f64 / 4.0).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_kit::random;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_mean_follows_and_forgets_with_time() {
        let latency = Latency::default();
        assert_eq!(latency.mean(), None);
        let mut now = Moment(1);
        for _ in 0..50 {
            latency.observe(ms(100), now);
        }
        assert!((latency.mean().unwrap() - 0.1).abs() < 1e-9);
        now = now.plus(Duration::from_secs(20));
        latency.observe(ms(300), now);
        assert!((latency.mean().unwrap() - 0.2).abs() < 1e-3);
        now = now.plus(Duration::from_secs(3600));
        latency.observe(ms(50), now);
        assert!((latency.mean().unwrap() - 0.05).abs() < 1e-3);
    }

    #[test]
    fn no_percentile_is_made_of_a_few_samples() {
        let latency = Latency::default();
        (0..SAMPLES_MIN - 1).for_each(|_| latency.observe(ms(10), Moment(1)));
        assert_eq!(latency.percentile(95), None);
        latency.observe(ms(10), Moment(1));
        assert!(latency.percentile(95).is_some());
    }

    #[test]
    fn percentiles_are_off_by_a_fifth_at_most() {
        random::seed(20_261_121);
        for round in 0..500 {
            let latency = Latency::default();
            let most = [10, 1_000, 600_000][round % 3];
            let mut samples: Vec<u64> = (0..20 + random::below(1_900))
                .map(|_| 1 + random::below(most) as u64)
                .collect();
            samples
                .iter()
                .for_each(|sample| latency.observe(ms(*sample), Moment(1)));
            samples.sort_unstable();
            let percent = 50 + random::below(50);
            let rank = (samples.len() * percent).div_ceil(100).max(1);
            let exact = samples[rank - 1] as f64 / 1_000.0;
            let found = latency.percentile(percent as u8).unwrap().as_secs_f64();
            assert!(
                found >= exact * 0.999 && found <= exact * 1.2,
                "{found} for {exact}"
            );
        }
    }
}
