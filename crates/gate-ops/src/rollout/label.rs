//! The test on labels: evidence about which of two arms is worse, valid whenever it is looked at.
//!
//! Exchanges are given to the candidate with probability `w`. If a bad exchange is `r` times as
//! likely on the candidate, then a given bad exchange is the candidate's with probability
//! `w r / (w r + 1 - w)`, whatever the common rate of bad ones is and however it moves. The product
//! over bad exchanges of that probability under one ratio over that under another is a martingale
//! under the latter, so that it exceeds `x` with a probability of at most `1 / x`, ever (Ville's
//! inequality). A mixture over ratios has the same property. Only two integers per step count.
//!
//! Method: Lindon and others, "Rapid Regression Detection in Software Deployments through Sequential
//! Testing" (KDD 2022), and "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS 2022).

/// Bad exchanges of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stratum {
    /// The candidate's share in it, above 0 and below 1.
    pub share: f64,
    /// Bad exchanges of the candidate.
    pub candidate: u64,
    /// Bad exchanges of the control.
    pub control: u64,
}

/// Ratios that the candidate may be worse by, with the weight of each; weights sum to 1.
pub type Mixture = &'static [(f64, f64)];

/// For labels: what goes wrong with a change mostly goes wrong by a lot.
pub const LABELS: Mixture = &[
    (1.5, 0.08),
    (2.0, 0.1),
    (3.0, 0.14),
    (5.0, 0.2),
    (10.0, 0.28),
    (30.0, 0.1),
    (100.0, 0.1),
];

/// For sizes beyond a quantile: the median can be exceeded twice as often at most.
pub const SIZES: Mixture = &[
    (1.1, 0.1),
    (1.25, 0.15),
    (1.5, 0.2),
    (2.0, 0.2),
    (3.0, 0.1),
    (5.0, 0.1),
    (10.0, 0.1),
    (30.0, 0.05),
];

/// Natural logarithm of the evidence that the candidate is worse at all.
#[must_use]
pub fn worse(strata: &[Stratum], mixture: Mixture) -> f64 {
    let terms = mixture
        .iter()
        .map(|(ratio, weight)| weight.ln() + likelihood(strata, *ratio));
    sum_of_logs(terms)
}

/// Natural logarithm of the evidence against the candidate being `ratio` times as bad, or worse.
#[must_use]
pub fn less_than(strata: &[Stratum], ratio: f64) -> f64 {
    let bound = likelihood(strata, ratio);
    let terms = [(1.0, 0.6), (0.5, 0.2), (ratio.sqrt(), 0.2)]
        .map(|(other, weight): (f64, f64)| weight.ln() + likelihood(strata, other) - bound);
    sum_of_logs(terms.into_iter())
}

/// Natural logarithm of the evidence against a share of bad exchanges of `limit` or more, `bad` of
/// `total` having been bad.
#[must_use]
pub fn below(total: u64, bad: u64, limit: f64) -> f64 {
    let limit = limit.clamp(1e-9, 0.999);
    let (bad, good) = (bad as f64, total.saturating_sub(bad) as f64);
    let terms = [(0.5, 0.3), (0.2, 0.4), (0.02, 0.3)].map(|(part, weight): (f64, f64)| {
        let other = limit * part;
        weight.ln() + bad * part.ln() + good * ((1.0 - other) / (1.0 - limit)).ln()
    });
    sum_of_logs(terms.into_iter())
}

/// Log-likelihood of the strata under a ratio, up to what all ratios share.
fn likelihood(strata: &[Stratum], ratio: f64) -> f64 {
    let of = |stratum: &Stratum| {
        let all = (stratum.candidate + stratum.control) as f64;
        let share = stratum.share;
        stratum.candidate as f64 * ratio.ln() - all * (share * ratio + 1.0 - share).ln()
    };
    strata.iter().map(of).sum()
}

/// The logarithm of a sum of exponentials, without leaving what a float can hold.
pub(super) fn sum_of_logs(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + terms.map(|term| (term - largest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(share: f64, candidate: u64, control: u64) -> [Stratum; 1] {
        [Stratum {
            share,
            candidate,
            control,
        }]
    }

    #[test]
    fn nothing_seen_is_no_evidence() {
        for log in [
            worse(&[], LABELS),
            worse(&[], SIZES),
            less_than(&[], 2.0),
            below(0, 0, 0.01),
        ] {
            assert!(log.abs() < 1e-9, "{log}");
        }
        assert!(worse(&at(0.5, 0, 0), LABELS).abs() < 1e-9);
    }

    /// The expectation of the evidence is 1 where the arms are equal: the property that makes it
    /// valid. Summed exactly over all outcomes of twelve bad exchanges.
    #[test]
    fn the_evidence_is_fair_where_the_arms_are_equal() {
        for share in [0.01, 0.25, 0.5, 0.9] {
            for mixture in [LABELS, SIZES] {
                let weights: f64 = mixture.iter().map(|(_, weight)| weight).sum();
                assert!((weights - 1.0).abs() < 1e-9);
                let mean = mean_over_outcomes(share, |strata| worse(strata, mixture));
                assert!((mean - 1.0).abs() < 1e-6, "{share} {mean}");
            }
            // Twice as bad: the candidate has that share of the bad ones.
            let doubled = 2.0 * share / (2.0 * share + 1.0 - share);
            let mean = mean_over(share, doubled, |strata| less_than(strata, 2.0));
            assert!((mean - 1.0).abs() < 1e-6, "{share} {mean}");
        }
    }

    fn mean_over_outcomes(share: f64, evidence: impl Fn(&[Stratum]) -> f64) -> f64 {
        mean_over(share, share, evidence)
    }

    fn mean_over(share: f64, chance: f64, evidence: impl Fn(&[Stratum]) -> f64) -> f64 {
        let bad = 12_u64;
        let mut ways = 1.0;
        let mut mean = 0.0;
        for candidate in 0..=bad {
            let power = |base: f64, times: u64| base.powi(times as i32);
            let likely = ways * power(chance, candidate) * power(1.0 - chance, bad - candidate);
            mean += likely * evidence(&at(share, candidate, bad - candidate)).exp();
            ways *= (bad - candidate) as f64 / (candidate + 1) as f64;
        }
        mean
    }

    /// The same where each bad exchange met another share, as in a ramp.
    #[test]
    fn the_evidence_is_fair_though_the_share_grows() {
        let shares = [0.01, 0.0119, 0.05, 0.2, 0.21, 0.5, 0.5];
        for mixture in [LABELS, SIZES] {
            let mut mean = 0.0;
            for outcome in 0..1_u32 << shares.len() {
                let is_candidate = |place: usize| outcome >> place & 1 == 1;
                let stratum = |(place, share): (usize, &f64)| Stratum {
                    share: *share,
                    candidate: u64::from(is_candidate(place)),
                    control: u64::from(!is_candidate(place)),
                };
                let strata: Vec<_> = shares.iter().enumerate().map(stratum).collect();
                let likely: f64 = strata
                    .iter()
                    .map(|it| {
                        if it.candidate == 1 {
                            it.share
                        } else {
                            1.0 - it.share
                        }
                    })
                    .product();
                mean += likely * worse(&strata, mixture).exp();
            }
            assert!((mean - 1.0).abs() < 1e-9, "{mean}");
        }
    }

    #[test]
    fn a_share_shown_to_be_small_is_fair_at_its_limit() {
        let (limit, total) = (0.2_f64, 12_u64);
        let mut ways = 1.0;
        let mut mean = 0.0;
        for bad in 0..=total {
            let likely = ways * limit.powi(bad as i32) * (1.0 - limit).powi((total - bad) as i32);
            mean += likely * below(total, bad, limit).exp();
            ways *= (total - bad) as f64 / (bad + 1) as f64;
        }
        assert!((mean - 1.0).abs() < 1e-6, "{mean}");
        assert!(below(2000, 0, 0.005) > 20_f64.ln());
        assert!(below(2000, 20, 0.005) < 0.0);
    }

    #[test]
    fn few_failures_of_a_small_share_say_much() {
        assert!(worse(&at(0.01, 4, 0), LABELS) > 1000_f64.ln());
        assert!(worse(&at(0.05, 1, 19), LABELS) < 1.0);
        // Shares of several steps count each with its own.
        let two = [at(0.01, 2, 3)[0], at(0.5, 4, 4)[0]];
        let parts = worse(&two[..1], LABELS) + worse(&two[1..], LABELS);
        assert!(worse(&two, LABELS) < parts + 2.0);
    }

    #[test]
    fn huge_counts_stay_finite() {
        for log in [
            worse(&at(0.5, u32::MAX.into(), 1), LABELS),
            worse(&at(0.01, 0, u32::MAX.into()), SIZES),
            less_than(&at(0.99, 1, u32::MAX.into()), 2.0),
            below(u32::MAX.into(), u32::MAX.into(), 0.0),
        ] {
            assert!(log.is_finite(), "{log}");
        }
    }
}
