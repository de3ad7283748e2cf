//! When what is left of something runs out that is filled up again now and then: what a provider still
//! takes from a credential, by the minute.
//!
//! What is left goes on as it went of late: by the median of the slopes between the last values (as Theil
//! and Sen have it), which a single filling up does not turn, and by as much of it as usually went on. The same
//! was done at every earlier minute, and what it was wrong by there, fillings included, is what it is
//! corrected by (the median) and what it may be wrong by now (split conformal prediction, as in the
//! module above). So a quota of a minute that is never used up is not foreseen to be, and one of a day
//! is.

use super::{ERRORS_MIN, Step, TAIL, TooLittle, quantile};
use gate_kit::order::Order;

/// Most values ahead that are foreseen.
pub const AHEAD_MAX: usize = 60;
/// Values that are looked at, the latest.
pub const VALUES_MAX: usize = 360;
/// Values whose slope goes on.
const SLOPE: usize = 60;
/// Distances of the pairs that a slope is made of: far enough for noise to matter little, and none a
/// multiple of another, so that what is filled up every few values has no slope.
const DISTANCES: [usize; 8] = [11, 13, 17, 19, 23, 29, 31, 37];

/// The next values of what is left, which is given at equal distances, the oldest first: as many as
/// [`AHEAD_MAX`], fewer where the history is too short to know how wrong further ones would be.
///
/// # Errors
/// Why nothing is foreseen.
pub fn left(values: &[f64]) -> Result<Vec<Step>, TooLittle> {
    let values = &values[values.len().saturating_sub(VALUES_MAX)..];
    let before = SLOPE + ERRORS_MIN;
    if values.len() <= before {
        return Err(TooLittle::History(before + 1));
    }
    let is_amount = |value: &f64| value.is_finite() && *value >= 0.0;
    if !values.iter().all(is_amount) {
        return Err(TooLittle::Broken);
    }
    let slopes: Vec<f64> = values.windows(SLOPE).map(gradient).collect();
    // What the slope at an earlier end makes of so many values, and what became of it.
    let gained = |end: usize, ahead: usize| slopes[end - SLOPE] * (ahead + 1) as f64;
    let became = |end: usize, ahead: usize| values[end + ahead] - values[end - 1];
    let step = |ahead: usize| {
        let ends = SLOPE..values.len() - ahead;
        let went_on = |end| {
            let gained = gained(end, ahead);
            (gained != 0.0).then(|| became(end, ahead) / gained)
        };
        let share = quantile(&sorted(ends.clone().filter_map(went_on)), 0.5).clamp(0.0, 1.0);
        let errors = sorted(ends.map(|end| became(end, ahead) - share * gained(end, ahead)));
        let straight = values[values.len() - 1] + share * gained(values.len(), ahead);
        let middle = quantile(&errors, 0.5);
        // Errors so far ahead overlap: there are fewer of them than it seems.
        let wider = 1.0 + 2.0 * (ahead + 1) as f64 / errors.len() as f64;
        let bound = |share| {
            let error = (quantile(&errors, share) - middle) * wider;
            (straight + middle + error).max(0.0)
        };
        let expected = bound(0.5);
        Step {
            expected,
            low: bound(TAIL).min(expected),
            high: bound(1.0 - TAIL).max(expected),
        }
    };
    let ahead = AHEAD_MAX.min(values.len() - before);
    Ok((0..ahead).map(step).collect())
}

/// What is gained from one value to the next: the median over pairs.
fn gradient(values: &[f64]) -> f64 {
    let mut slopes = Vec::with_capacity(DISTANCES.len() * SLOPE);
    for distance in DISTANCES {
        let pairs = values.iter().zip(&values[distance..]);
        slopes.extend(pairs.map(|(one, other)| (other - one) / distance as f64));
    }
    let middle = slopes.len() / 2;
    *slopes.select_nth_unstable_by(middle, f64::total_cmp).1
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.order_by(f64::total_cmp);
    values
}

/// The first step at which less than one is expected to be left, and the first at which less may be.
#[must_use]
pub fn runs_out(steps: &[Step]) -> (Option<usize>, Option<usize>) {
    let first = |value: fn(&Step) -> f64| steps.iter().position(|step| value(step) < 1.0);
    (first(|step| step.expected), first(|step| step.low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_kit::random;

    /// A quota that loses about so much a minute and is full again after so many minutes.
    fn minutes(count: usize, full: f64, loss: f64, every: usize) -> Vec<f64> {
        let mut left = full;
        (0..count)
            .map(|minute| {
                if minute % every == 0 {
                    left = full;
                }
                left = (left - loss * (0.8 + 0.4 * random::fraction())).max(0.0);
                left
            })
            .collect()
    }

    #[test]
    fn a_quota_of_a_day_is_foreseen_to_run_out() {
        for seed in 0..20 {
            random::seed(seed);
            // Used up 200 minutes after it was full; looked at after 160.
            let values = minutes(160, 20_000.0, 100.0, 10_000);
            let steps = left(&values).unwrap();
            assert_eq!(steps.len(), AHEAD_MAX);
            let (expected, may) = runs_out(&steps);
            assert!(
                matches!(expected, Some(30..=50)),
                "seed {seed}: {expected:?}"
            );
            assert!(may.is_some() && may <= expected, "seed {seed}: {may:?}");
        }
    }

    #[test]
    fn a_quota_that_is_filled_up_in_time_is_not() {
        for (full, loss, every) in [
            (10_000.0, 600.0, 10),
            (10_000.0, 3_000.0, 2),
            (500.0, 0.0, 1),
        ] {
            for seed in 0..20 {
                random::seed(seed);
                let values = minutes(300, full, loss, every);
                let steps = left(&values[..300 - seed as usize % 10]).unwrap();
                let (expected, _) = runs_out(&steps);
                assert_eq!(expected, None, "seed {seed}, every {every}");
            }
        }
    }

    #[test]
    fn intervals_hold_what_comes() {
        let (mut within, mut all) = (0_u32, 0_u32);
        for seed in 0..40 {
            random::seed(seed);
            for values in [
                minutes(360, 100_000.0, 100.0, 10_000),
                minutes(360, 10_000.0, 600.0, 10),
            ] {
                let steps = left(&values[..300]).unwrap();
                for (step, actual) in steps.iter().zip(&values[300..]) {
                    within += u32::from((step.low..=step.high).contains(actual));
                    all += 1;
                }
            }
        }
        let share = f64::from(within) / f64::from(all);
        assert!(share > 0.85, "{share}");
    }

    #[test]
    fn too_little_is_said() {
        assert_eq!(left(&[5.0; 74]), Err(TooLittle::History(75)));
        assert_eq!(left(&[5.0; 75]).map(|steps| steps.len()), Ok(1));
        let mut broken = vec![5.0; 100];
        broken[3] = -1.0;
        assert_eq!(left(&broken), Err(TooLittle::Broken));
        // Nothing left, and nothing comes: it has run out now.
        assert_eq!(runs_out(&left(&[0.0; 100]).unwrap()), (Some(0), Some(0)));
    }
}
