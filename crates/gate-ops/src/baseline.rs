//! What is usual for a series (requests, tokens, a latency), by hour and weekday, and what is not.
//!
//! A [`Baseline`] forecasts each value from three things: the level of the last values, what the same
//! hour had on the working days (or weekends) before, and what it had on this weekday before. They are
//! mixed by how well each did lately. A value is unusual when it is further from the forecast than the
//! errors before make plausible: that many times the usual error, which is measured, so that a series
//! that varies more than chance would have it is judged by its own variation. Errors are compared as
//! logarithms of the value and a few times the usual one together: what doubles at noon matters, what
//! doubles from nearly nothing at night does not. It is one state of some hundred numbers per series and
//! needs no history. What is unusual is shown beside an incident; it pages nobody.
//!
//! The numbers below were chosen on the 41 series of a public set that docs/results.md does not score.

use serde::{Deserialize, Serialize};

/// Hours of a day, for working days and weekends.
const SLOTS: usize = 48;
/// Hours of a week.
const WEEK: usize = 168;
/// Weight of a new value in the level, and in its hour.
const LEVEL: f64 = 0.2;
const HOUR: f64 = 0.3;
/// Weight of a new error in the usual error.
const ERROR: f64 = 0.01;
/// Usual errors from the forecast on which a value is unusual.
pub const UNUSUAL: f64 = 5.0;
/// The least usual error, as a logarithm.
const ERROR_MIN: f64 = 0.04;
/// How many times the usual value is added to a value before its logarithm is taken.
const ABOUT: f64 = 3.0;
/// Values before anything is judged.
const WARM_UP: u32 = 24;
/// Unusual values in a row that become the usual ones.
const ACCEPTED: u32 = 24;

/// What was usual so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// By hour: the value, and whether there was one.
    hours: Vec<Option<f64>>,
    /// The same by hour of the week.
    week: Vec<Option<f64>>,
    level: f64,
    /// The middle of the values, about which the logarithm becomes linear.
    middle: f64,
    /// Mean absolute errors: of the level, of the hour, of the hour of the week, of the forecast.
    level_error: f64,
    hour_error: f64,
    week_error: f64,
    error: f64,
    seen: u32,
    in_a_row: u32,
}

/// How a value compares.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The value that was to be expected.
    pub expected: f64,
    /// Up to here and down to there, values are usual.
    pub low: f64,
    /// See `low`.
    pub high: f64,
    /// How many usual errors the value is above the forecast (below: negative).
    pub errors: f64,
    /// Whether it is unusual.
    pub is_unusual: bool,
}

impl Default for Baseline {
    fn default() -> Self {
        Self {
            hours: vec![None; SLOTS],
            week: vec![None; WEEK],
            level: 0.0,
            middle: 0.0,
            level_error: 0.5,
            hour_error: 0.5,
            week_error: 0.5,
            error: 0.5,
            seen: 0,
            in_a_row: 0,
        }
    }
}

impl Baseline {
    /// Compares a value (not negative) of the time `at_s` (UNIX seconds, of the zone whose days count)
    /// with the forecast and learns from it. None while there is too little to compare with, or for
    /// what is no number.
    pub fn observe(&mut self, at_s: u64, value: f64) -> Option<Reading> {
        if !value.is_finite() {
            return None;
        }
        let value = value.max(0.0);
        let (slot, of_week) = (slot(at_s), hour_of_week(at_s));
        if self.seen == 0 {
            (self.level, self.middle) = (value, value);
        }
        self.seen = self.seen.saturating_add(1);
        let about = self.about();
        let log = |value: f64| (value + about).ln();
        let hour = self.hours[slot].or(self.hours[(slot + 24) % SLOTS]);
        let by_level = log(self.level);
        let by_hour = hour.map(log);
        let by_week = self.week[of_week].map(log);
        let known = [
            (Some(by_level), self.level_error),
            (by_hour, self.hour_error),
            (by_week, self.week_error),
        ];
        let forecast = mixed(&known);
        let off = log(value) - forecast;
        let error = self.error.max(ERROR_MIN);
        let is_unusual = off.abs() > UNUSUAL * error;
        let is_warm = self.seen > WARM_UP;
        let in_a_row = self.in_a_row + 1;
        self.in_a_row = if is_unusual && is_warm { in_a_row } else { 0 };
        let value_of = |log: f64| (log.exp() - about).max(0.0);
        let limit = UNUSUAL * error;
        // What is unusual teaches no more than the edge of the usual, unless it stays.
        let taught = match is_unusual && is_warm && self.in_a_row < ACCEPTED {
            true => value_of(forecast + limit.copysign(off)),
            false => value,
        };
        let capped = |error: f64| error.abs().min(if is_warm { limit } else { f64::MAX });
        self.error += self.pace(ERROR) * (capped(off) - self.error);
        self.level_error += self.pace(ERROR) * (capped(log(value) - by_level) - self.level_error);
        if let Some(by_hour) = by_hour {
            self.hour_error += self.pace(ERROR) * (capped(log(value) - by_hour) - self.hour_error);
        }
        if let Some(by_week) = by_week {
            self.week_error += self.pace(ERROR) * (capped(log(value) - by_week) - self.week_error);
        }
        self.level += self.pace(LEVEL) * (taught - self.level);
        self.middle += self.pace(0.01) * (taught - self.middle);
        for own in [&mut self.hours[slot], &mut self.week[of_week]] {
            let own = own.get_or_insert(taught);
            *own += HOUR * (taught - *own);
        }
        is_warm.then(|| Reading {
            expected: value_of(forecast),
            low: value_of(forecast - limit),
            high: value_of(forecast + limit),
            errors: off / error,
            is_unusual,
        })
    }

    /// Faster at the beginning: a mean of what there was.
    fn pace(&self, usual: f64) -> f64 {
        usual.max(1.0 / f64::from(self.seen))
    }

    fn about(&self) -> f64 {
        (self.middle * ABOUT).max(1e-6)
    }
}

/// Forecasts, the more of each the smaller its error was.
fn mixed(known: &[(Option<f64>, f64)]) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (forecast, error) in known {
        if let Some(forecast) = forecast {
            let weight = 1.0 / (error * error).max(1e-6);
            sum += weight * forecast;
            weights += weight;
        }
    }
    sum / weights
}

/// The hour of the week that begins on a Monday.
fn hour_of_week(at_s: u64) -> usize {
    ((at_s / 86_400 + 3) % 7 * 24 + at_s / 3600 % 24) as usize
}

/// The hour of the day, on a working day or (24 further) on a weekend; 1970 began on a Thursday.
fn slot(at_s: u64) -> usize {
    let weekday = (at_s / 86_400 + 3) % 7;
    (at_s / 3600 % 24) as usize + if weekday >= 5 { 24 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_kit::random;

    /// A Monday, 2026-11-23 00:00 UTC.
    const START: u64 = 1_795_392_000;

    fn usual(hour: u64) -> f64 {
        let day = (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
        let noise = random::fraction() + random::fraction() - 1.0;
        1000.0 + 600.0 * day + 60.0 * noise
    }

    #[test]
    fn slots_are_hours_of_working_days_and_weekends() {
        assert_eq!(slot(START), 0);
        assert_eq!(slot(START + 5 * 86_400 - 1), 23);
        assert_eq!(slot(START + 5 * 86_400), 24);
        assert_eq!(slot(START + 7 * 86_400), 0);
    }

    #[test]
    fn a_daily_rhythm_is_usual_and_a_break_in_it_is_not() {
        for seed in 0..20 {
            random::seed(seed);
            let mut baseline = Baseline::default();
            for hour in 0..24 * 28 {
                let reading = baseline.observe(START + hour * 3600, usual(hour));
                let is_unusual = reading.is_some_and(|reading| reading.is_unusual);
                assert!(!is_unusual, "seed {seed}, hour {hour}: {reading:?}");
            }
            let at_s = START + 24 * 28 * 3600;
            let mut dropped = baseline.clone();
            let reading = dropped.observe(at_s, 100.0).unwrap();
            assert!(reading.is_unusual && reading.errors < 0.0, "{reading:?}");
            assert!(reading.low < reading.expected && reading.expected < reading.high);
            let reading = baseline.observe(at_s, 4000.0).unwrap();
            assert!(reading.is_unusual && reading.errors > 0.0, "{reading:?}");
        }
    }

    #[test]
    fn what_stays_becomes_usual() {
        random::seed(1);
        let mut baseline = Baseline::default();
        for hour in 0..24 * 14 {
            baseline.observe(START + hour * 3600, usual(hour));
        }
        let unusual = (24 * 14..24 * 28)
            .filter(|hour| {
                let reading = baseline.observe(START + hour * 3600, usual(*hour) * 6.0);
                reading.unwrap().is_unusual
            })
            .count();
        assert!((3..60).contains(&unusual), "{unusual}");
    }

    #[test]
    fn odd_values_do_no_harm() {
        let mut baseline = Baseline::default();
        for (hour, value) in [f64::NAN, f64::INFINITY, -5.0, 0.0, 1e300, 0.0]
            .into_iter()
            .enumerate()
        {
            baseline.observe(START + hour as u64 * 3600, value);
        }
        for hour in 0..500 {
            if let Some(reading) = baseline.observe(START + hour * 3600, 0.0) {
                assert!(
                    reading.errors.is_finite() && reading.expected.is_finite(),
                    "{reading:?}"
                );
            }
        }
        let text = serde_json::to_string(&baseline).unwrap();
        assert!(serde_json::from_str::<Baseline>(&text).is_ok());
    }
}
