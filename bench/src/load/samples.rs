//! Durations of one run and their quantiles; exact, bounded, sorted on demand.

use std::time::Duration;

/// The most durations kept; a longer run keeps its first ones.
const SAMPLES_MAX: usize = 4_000_000;

/// Durations in nanoseconds.
#[derive(Debug, Default, Clone)]
pub struct Samples {
    nanos: Vec<u64>,
}

impl Samples {
    /// Keeps a duration.
    pub fn push(&mut self, duration: Duration) {
        if self.nanos.len() < SAMPLES_MAX {
            self.nanos
                .push(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// Durations kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nanos.len()
    }

    /// Whether none was kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nanos.is_empty()
    }

    /// The nearest-rank quantiles in microseconds, for shares between 0 and 1; zero when empty.
    #[must_use]
    pub fn quantiles_us<const N: usize>(&mut self, shares: [f64; N]) -> [f64; N] {
        self.nanos.sort_unstable();
        shares.map(|share| {
            let rank = (share * self.nanos.len() as f64).ceil() as usize;
            let nanos = self.nanos.get(rank.max(1) - 1).copied().unwrap_or(0);
            nanos as f64 / 1000.0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_rank() {
        let mut samples = Samples::default();
        for micros in (1..=100).rev() {
            samples.push(Duration::from_micros(micros));
        }
        assert_eq!(samples.quantiles_us([0.5, 0.99, 1.0]), [50.0, 99.0, 100.0]);
        assert_eq!(Samples::default().quantiles_us([0.5]), [0.0]);
    }
}
