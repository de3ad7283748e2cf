//! When it began: the change point that makes the counts likeliest.

use crate::slo::Count;

/// Where a series of counts changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Onset {
    /// Index of the first count of the time after.
    pub index: usize,
    /// Counts before.
    pub before: Count,
    /// Counts since.
    pub since: Count,
    /// Logarithm of how much likelier two rates are than one.
    pub evidence: f64,
}

/// Finds the point since which the ratio of bad events is higher, where two rates explain the counts
/// best. None where it is nowhere higher, or the evidence is below 5 (1 of 150 by chance).
#[must_use]
pub fn onset(counts: &[Count]) -> Option<Onset> {
    let sum = |counts: &[Count]| {
        let each = counts.iter();
        each.fold(Count::default(), |sum, count| {
            Count::new(sum.total + count.total, sum.bad + count.bad)
        })
    };
    let all = sum(counts);
    let mut before = Count::default();
    let mut best: Option<Onset> = None;
    for (index, count) in counts.iter().enumerate() {
        let since = Count::new(all.total - before.total, all.bad - before.bad);
        let is_higher = before.total > 0 && before.ratio() < since.ratio();
        let evidence = likelihood(before) + likelihood(since) - likelihood(all);
        if is_higher && evidence > best.map_or(5.0, |best| best.evidence) {
            best = Some(Onset {
                index,
                before,
                since,
                evidence,
            });
        }
        before = Count::new(before.total + count.total, before.bad + count.bad);
    }
    best
}

/// Logarithm of the binomial likelihood at its own rate.
fn likelihood(count: Count) -> f64 {
    let part = |part: u64| match part {
        0 => 0.0,
        part => part as f64 * (part as f64 / count.total as f64).ln(),
    };
    part(count.bad) + part(count.good())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_kit::random;

    fn second(ratio: f64) -> Count {
        let bad = (0..100).filter(|_| random::fraction() < ratio).count();
        Count::new(100, bad as u64)
    }

    #[test]
    fn the_beginning_is_found_to_the_second_or_nearly() {
        for seed in 0..50 {
            random::seed(seed);
            let counts: Vec<Count> = (0..600)
                .map(|at| second(if at < 400 { 0.002 } else { 0.3 }))
                .collect();
            assert_eq!(onset(&counts).unwrap().index, 400, "seed {seed}");
            let counts: Vec<Count> = (0..600)
                .map(|at| second(if at < 400 { 0.002 } else { 0.02 }))
                .collect();
            let found = onset(&counts).unwrap().index;
            assert!(found.abs_diff(400) <= 10, "seed {seed}: {found}");
        }
    }

    #[test]
    fn where_nothing_changed_there_is_no_beginning() {
        assert_eq!(onset(&[]), None);
        assert_eq!(onset(&[Count::new(5, 5)]), None);
        random::seed(3);
        let fell: Vec<Count> = (0..100)
            .map(|at| second(if at < 50 { 0.3 } else { 0.01 }))
            .collect();
        assert!(onset(&fell).is_none_or(|found| found.index < 50));
        let steady: Vec<Count> = vec![Count::new(100, 1); 300];
        assert_eq!(onset(&steady), None);
    }
}
