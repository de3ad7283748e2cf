//! How values are spread, in little memory: counts by size, off by at most a sixteenth.
//!
//! Eight sizes for each power of two, values below 16 exactly (the log-linear buckets of
//! `HdrHistogram`). Only sizes that occurred take memory, and there are at most 496 of them.

use gate_api::types::Quantiles;

/// Counts by size, of microseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Spread(Vec<(u16, u32)>);

impl Spread {
    /// Counts one value.
    pub(super) fn add(&mut self, value: u64) {
        self.count(size(value), 1);
    }

    fn count(&mut self, size: u16, count: u32) {
        match self.0.binary_search_by_key(&size, |(known, _)| *known) {
            Ok(position) => {
                let counted = &mut self.0[position].1;
                *counted = counted.saturating_add(count);
            }
            Err(position) => self.0.insert(position, (size, count)),
        }
    }

    /// Adds another's counts.
    pub(super) fn absorb(&mut self, other: &Self) {
        for &(size, counted) in &other.0 {
            self.count(size, counted);
        }
    }

    /// The value that this percentage of all does not exceed; zero of none.
    fn quantile(&self, percent: u64) -> u64 {
        let total: u64 = self.0.iter().map(|&(_, count)| u64::from(count)).sum();
        let rank = (total * percent).div_ceil(100);
        let mut seen = 0;
        for &(size, count) in &self.0 {
            seen += u64::from(count);
            if seen >= rank {
                return middle(size);
            }
        }
        0
    }

    /// The quantiles that are shown, in milliseconds.
    #[allow(clippy::cast_precision_loss, reason = "microseconds of minutes fit")]
    pub(super) fn milliseconds(&self) -> Quantiles {
        let at = |percent| self.quantile(percent) as f64 / 1e3;
        Quantiles {
            p50: at(50),
            p90: at(90),
            p99: at(99),
        }
    }
}

fn size(value: u64) -> u16 {
    let shift = match value {
        0..8 => 0,
        more => more.ilog2() - 3,
    };
    // At most 60 * 8 + 15.
    (shift * 8) as u16 + (value >> shift) as u16
}

/// The middle of the values of a size.
fn middle(size: u16) -> u64 {
    let shift = (u32::from(size) / 8).saturating_sub(1);
    let first = u64::from(size) - 8 * u64::from(shift);
    (first << shift) + ((1_u64 << shift) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_kit::random;

    #[test]
    fn a_value_is_off_by_a_sixteenth_at_most() {
        let powers = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for value in powers.chain([u64::MAX]) {
            let shown = middle(size(value));
            assert!(shown.abs_diff(value) <= value / 16, "{shown} for {value}");
        }
        assert!((0..4096).map(size).is_sorted() && size(u64::MAX) == 495);
    }

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        random::seed(20_261_122);
        for round in 0..200 {
            let most = [20, 5_000, 40_000_000][round % 3];
            let mut values: Vec<u64> = (0..1 + random::below(2_000))
                .map(|_| random::below(most) as u64)
                .collect();
            let (mut one, mut other) = (Spread::default(), Spread::default());
            for (index, value) in values.iter().enumerate() {
                if index % 2 == 0 { &mut one } else { &mut other }.add(*value);
            }
            one.absorb(&other);
            values.sort_unstable();
            for percent in [1, 50, 90, 99, 100] {
                let exact = values[(values.len() * percent).div_ceil(100) - 1];
                let shown = one.quantile(percent as u64);
                assert!(shown.abs_diff(exact) <= exact / 16, "{shown} for {exact}");
            }
        }
        assert_eq!(Spread::default().quantile(50), 0);
    }
}
