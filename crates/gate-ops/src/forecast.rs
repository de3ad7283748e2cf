//! What a series that repeats is going to be: requests, tokens and spend by day, a disk by hour.
//!
//! The forecast is the level of the last season, the share that each of its places usually has (a
//! Monday of a week), and the trend of the last seasons, damped, because few trends go on. Its
//! interval comes from the forecast's own record: the same method forecasts from every earlier point,
//! and what it was wrong by there is what it may be wrong by now (split conformal prediction, with
//! errors divided by the level). Nothing is assumed of their shape. Where there is too little history
//! to know the errors, nothing is foreseen, and that is said.

pub mod left;

use gate_kit::order::Order;
use serde::{Deserialize, Serialize};

/// Whole seasons that are needed before anything is foreseen: two to forecast from, and others to
/// be wrong about.
pub const SEASONS_MIN: usize = 4;
/// Most steps that are foreseen.
pub const HORIZON_MAX: usize = 60;
/// Values that are looked at, the latest.
pub const VALUES_MAX: usize = 1_500;
/// Seasons whose shares and trend count.
const SEASONS: usize = 6;
/// Earlier points that are forecast from, the latest.
const ORIGINS_MAX: usize = 400;
/// Fewest errors that say how wrong a forecast may be.
const ERRORS_MIN: usize = 14;
/// What becomes of the trend from season to season.
const DAMPING: f64 = 0.8;
/// Probability on each side of the interval.
pub const TAIL: f64 = 0.025;

/// A step that is foreseen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What is expected; never negative.
    pub expected: f64,
    /// The value is below this with a probability of [`TAIL`].
    pub low: f64,
    /// The value is above this with a probability of [`TAIL`].
    pub high: f64,
}

/// Why nothing is foreseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooLittle {
    /// There are fewer values than this.
    History(usize),
    /// Something in it is no number, or negative.
    Broken,
}

/// The next steps of a series whose values are at equal distances, the oldest first, and that repeats
/// after `season` of them: as many as `horizon`, fewer where the history is too short to know how
/// wrong further ones would be.
///
/// # Errors
/// Why nothing is foreseen.
pub fn forecast(values: &[f64], season: usize, horizon: usize) -> Result<Vec<Step>, TooLittle> {
    let values = &values[values.len().saturating_sub(VALUES_MAX)..];
    let season = season.max(1);
    let before = 2 * season + ERRORS_MIN;
    let needed = (SEASONS_MIN * season).max(before + 1);
    if values.len() < needed {
        return Err(TooLittle::History(needed));
    }
    if !values
        .iter()
        .all(|value| value.is_finite() && *value >= 0.0)
    {
        return Err(TooLittle::Broken);
    }
    let horizon = horizon.min(HORIZON_MAX).min(values.len() - before);
    let now = Model::of(values, season);
    let first = (2 * season).max(values.len().saturating_sub(ORIGINS_MAX));
    let earlier: Vec<Model> = (first..values.len())
        .map(|end| Model::of(&values[..end], season))
        .collect();
    let step = |ahead: usize| {
        let mut errors: Vec<f64> = earlier
            .iter()
            .zip(first..)
            .filter_map(|(model, end)| {
                let actual = values.get(end + ahead)?;
                Some((actual - model.at(ahead)) / model.scale()?)
            })
            .collect();
        errors.order_by(f64::total_cmp);
        let expected = now.at(ahead);
        let bound = |share| expected + quantile(&errors, share) * now.scale().unwrap_or(0.0);
        Step {
            expected,
            low: bound(TAIL).max(0.0),
            high: bound(1.0 - TAIL).max(expected),
        }
    };
    Ok((0..horizon).map(step).collect())
}

/// The first step at which a limit is expected to be passed, and the first at which it may be.
#[must_use]
pub fn passes(steps: &[Step], limit: f64) -> (Option<usize>, Option<usize>) {
    let first = |value: fn(&Step) -> f64| steps.iter().position(|step| value(step) > limit);
    (first(|step| step.expected), first(|step| step.high))
}

/// The same of what adds up from what is there already, as spend does in a budget's period. Its upper
/// end is the sum of the steps' upper ends, which is more than is plausible and never too little.
#[must_use]
pub fn adds_up_to(steps: &[Step], now: f64, limit: f64) -> (Option<usize>, Option<usize>) {
    let first = |value: fn(&Step) -> f64| {
        let mut sum = now;
        steps.iter().position(|step| {
            sum += value(step);
            sum > limit
        })
    };
    (first(|step| step.expected), first(|step| step.high))
}

/// What is known at one point of a series.
struct Model {
    /// The mean of the last season.
    level: f64,
    /// What the level gains in a season.
    trend: f64,
    /// The share of the level at each of the next season's places.
    shares: Vec<f64>,
    /// The mean absolute distance from the level within the last season.
    spread: f64,
    /// The mean of all seasons that count.
    usual: f64,
}

impl Model {
    fn of(values: &[f64], season: usize) -> Self {
        let count = (values.len() / season).min(SEASONS);
        let used = &values[values.len() - count * season..];
        let levels: Vec<f64> = used.chunks(season).map(mean).collect();
        let level = levels.last().copied().unwrap_or(0.0);
        let share = |place: usize| {
            let shares = levels.iter().zip(used.chunks(season));
            let mut shares: Vec<f64> = shares
                .filter(|(level, _)| **level > 0.0)
                .map(|(level, values)| values[place] / level)
                .collect();
            shares.order_by(f64::total_cmp);
            // The median: one bad Monday is not what Mondays are like.
            match shares.len() {
                0 => 1.0,
                count => f64::midpoint(shares[(count - 1) / 2], shares[count / 2]),
            }
        };
        let last = &used[used.len() - season..];
        let spread = last.iter().map(|value| (value - level).abs()).sum::<f64>() / season as f64;
        Self {
            trend: slope(&levels),
            shares: (0..season).map(share).collect(),
            level,
            spread,
            usual: mean(used),
        }
    }

    /// What is expected so many steps after the next one.
    fn at(&self, ahead: usize) -> f64 {
        let season = self.shares.len();
        // The last season's middle is half a season back.
        let seasons = (ahead + 1) as f64 / season as f64 + 0.5 - 0.5 / season as f64;
        let gained = DAMPING * (1.0 - DAMPING.powf(seasons)) / (1.0 - DAMPING);
        let level = (self.level + self.trend * gained).max(0.0);
        level * self.shares[ahead % season]
    }

    /// What errors are compared by: larger series err by more. None where there was nothing yet.
    fn scale(&self) -> Option<f64> {
        let scale = self.level.max(self.spread).max(self.usual);
        (scale > 0.0).then_some(scale)
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The median of the slopes between all pairs (Theil and Sen), which a few odd seasons do not turn.
fn slope(levels: &[f64]) -> f64 {
    let mut slopes = Vec::new();
    for (at, one) in levels.iter().enumerate() {
        for (distance, other) in levels[at + 1..].iter().enumerate() {
            slopes.push((other - one) / (distance + 1) as f64);
        }
    }
    // Two seasons make no trend.
    if slopes.len() < 3 {
        return 0.0;
    }
    slopes.order_by(f64::total_cmp);
    slopes[slopes.len() / 2]
}

/// The value that a new one is below with this probability, given earlier ones in order. Where there
/// are too few to say, half as much again as the most extreme of them.
fn quantile(errors: &[f64], share: f64) -> f64 {
    let count = errors.len() as f64;
    let (Some(least), Some(most)) = (errors.first(), errors.last()) else {
        return 0.0;
    };
    let place = share * (count + 1.0);
    if place < 1.0 {
        return least * if *least < 0.0 { 1.5 } else { 0.5 };
    }
    if place > count {
        return most * if *most > 0.0 { 1.5 } else { 0.5 };
    }
    // From 1; between two of them the further one.
    let place = if share < 0.5 {
        place.floor()
    } else {
        place.ceil()
    };
    errors[place as usize - 1]
}

#[cfg(test)]
#[allow(clippy::print_stdout, reason = "what is measured is printed")]
mod tests {
    use super::*;
    use gate_kit::random;

    /// Weeks with quiet weekends, a trend, noise and, where asked for, a level that wanders.
    fn days(count: usize, trend: f64, noise: f64, wander: f64) -> Vec<f64> {
        const WEEK: [f64; 7] = [1.2, 1.25, 1.2, 1.15, 1.1, 0.6, 0.5];
        let mut level = 10_000.0;
        let normal = || (0..12).map(|_| random::fraction()).sum::<f64>() - 6.0;
        (0..count)
            .map(|day| {
                level *= 1.0 + wander * normal();
                let expected = (level + trend * day as f64) * WEEK[day % 7];
                (expected * (1.0 + noise * normal())).max(0.0)
            })
            .collect()
    }

    /// The share of values that are within their intervals, over forecasts from many points.
    fn coverage(values: &[f64], season: usize, horizon: usize, every: usize) -> (usize, usize) {
        let (mut within, mut all) = (0, 0);
        for end in (0..values.len().saturating_sub(horizon)).step_by(every) {
            let Ok(steps) = forecast(&values[..end], season, horizon) else {
                continue;
            };
            for (step, actual) in steps.iter().zip(&values[end..]) {
                within += usize::from((step.low..=step.high).contains(actual));
                all += 1;
            }
        }
        (within, all)
    }

    #[test]
    fn intervals_hold_what_comes_on_simulated_weeks() {
        for (name, trend, noise, wander) in [
            ("steady", 0.0, 0.1, 0.0),
            ("growing", 50.0, 0.1, 0.0),
            ("wandering", 0.0, 0.05, 0.02),
            ("growing and noisy", 80.0, 0.3, 0.0),
        ] {
            random::seed(4);
            let (mut within, mut all) = (0, 0);
            for _ in 0..60 {
                let (one, of) = coverage(&days(180, trend, noise, wander), 7, 14, 29);
                (within, all) = (within + one, all + of);
            }
            let share = within as f64 / all as f64;
            println!(
                "{name}: {:.1} % of {all} days within 95 % intervals",
                share * 100.0
            );
            assert!((0.92..=0.99).contains(&share), "{name}: {share}");
        }
    }

    #[test]
    fn weekdays_and_trends_are_foreseen() {
        let values: Vec<f64> = days(70, 0.0, 0.0, 0.0);
        let steps = forecast(&values, 7, 14).unwrap();
        for (step, expected) in steps.iter().zip(days(84, 0.0, 0.0, 0.0)[70..].iter()) {
            assert!(
                (step.expected / expected - 1.0).abs() < 0.01,
                "{step:?} {expected}"
            );
        }
        // A series that gains 100 a day of 10,000 is foreseen to pass 20,000 in time, and one that
        // stays is not.
        let growing: Vec<f64> = (0..100)
            .map(|day| 7_000.0 + 100.0 * f64::from(day))
            .collect();
        let steps = forecast(&growing, 7, 60).unwrap();
        let (expected, may) = passes(&steps, 18_000.0);
        assert!(matches!(expected, Some(9..=30)), "{expected:?}");
        assert!(may <= expected);
        let same = forecast(&[10.0; 100], 7, 60).unwrap();
        assert_eq!(passes(&same, 10.5), (None, None));
        assert_eq!(adds_up_to(&same, 50.0, 99.0), (Some(4), Some(4)));
    }

    #[test]
    fn too_little_is_said() {
        assert_eq!(forecast(&[1.0; 20], 7, 14), Err(TooLittle::History(29)));
        assert_eq!(forecast(&[1.0; 35], 7, 14).map(|steps| steps.len()), Ok(7));
        let mut broken = vec![1.0; 70];
        broken[3] = f64::NAN;
        assert_eq!(forecast(&broken, 7, 14), Err(TooLittle::Broken));
        let nothing = forecast(&[0.0; 70], 7, 14).unwrap();
        assert!(
            nothing
                .iter()
                .all(|step| (step.expected, step.high) == (0.0, 0.0))
        );
        // A single burst long ago is no reason to foresee another, and none to fail.
        let mut burst = vec![0.0; 70];
        burst[30] = 1e12;
        let steps = forecast(&burst, 7, 14).unwrap();
        assert!(steps.iter().all(|step| step.high.is_finite()));
    }

    /// Real series, by the hour, a day ahead; days are the season. The settings above come from the
    /// simulations, not from these.
    #[test]
    #[ignore = "reads ../shared/vectors/monitoring; for the row in docs/results.md"]
    fn intervals_hold_what_comes_on_recorded_series() {
        let folder =
            std::env::var("MONITORING").expect("MONITORING names the folder of the series");
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .flat_map(|kind| {
                std::fs::read_dir(kind.unwrap().path())
                    .into_iter()
                    .flatten()
            })
            .map(|file| file.unwrap().path())
            .filter(|file| file.extension().is_some_and(|end| end == "csv"))
            .collect();
        files.order();
        let (mut within, mut all) = (0, 0);
        for file in &files {
            let text = std::fs::read_to_string(file).unwrap();
            let rows: Vec<(String, f64)> = text
                .lines()
                .skip(1)
                .filter_map(|line| {
                    let line = line.replace('"', "");
                    let mut columns = line.split(',');
                    let hour = columns.next()?.get(..13)?.to_owned();
                    Some((hour, columns.next()?.parse().ok()?))
                })
                .collect();
            let hours: Vec<f64> = rows
                .chunk_by(|one, other| one.0 == other.0)
                .map(|hour| mean(&hour.iter().map(|row| row.1).collect::<Vec<_>>()))
                .collect();
            let (one, of) = coverage(&hours, 24, 24, 24);
            let name = file.file_stem().unwrap().to_string_lossy();
            println!("{name}: {one} of {of} hours ({} in all)", hours.len());
            (within, all) = (within + one, all + of);
        }
        let share = within as f64 / all as f64;
        println!(
            "{:.1} % of {all} hours of {} series",
            share * 100.0,
            files.len()
        );
        assert!(all > 0);
    }
}
