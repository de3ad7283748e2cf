//! What is usual: how many exchanges each objective's route should have had in the last whole hour, by
//! what its hours and weekdays had before, beside what it had.
//!
//! The hours of 32 days are in the objectives' own counts, which outlive restarts and are those of all
//! gateways; what is usual is learnt anew from them whenever somebody asks.

use crate::promises::Promises;
use crate::usage::day;
use gate_api::types::{Forecast, ForecastDay};
use gate_ops::baseline::{Baseline, Reading};
use gate_ops::slo::Count;
use gate_proxy::process::Process;

/// Objectives that are looked at, the first by name: each costs about a tenth of a millisecond.
const OBJECTIVES_MAX: usize = 500;

/// The last whole hour of every objective.
pub(super) fn traffic(process: &Process) -> Vec<Forecast> {
    let hours = Promises::of(process).hours(OBJECTIVES_MAX);
    hours
        .iter()
        .filter_map(|(objective, route, hours)| {
            let name = match route {
                Some(route) => format!("route {route} (objective {objective})"),
                None => format!("objective {objective}"),
            };
            last(name, hours)
        })
        .collect()
}

/// The last of these hours beside what was usual before; none for what has counted nothing yet.
pub(super) fn last(name: String, hours: &[(u64, Count)]) -> Option<Forecast> {
    let (at_s, count) = *hours.last()?;
    let mut baseline = Baseline::default();
    let readings = hours
        .iter()
        .map(|(at_s, count)| baseline.observe(*at_s, count.total as f64));
    let reading: Option<Reading> = readings.last().flatten();
    Some(Forecast {
        what: "traffic".to_owned(),
        name,
        unit: "exchanges an hour".to_owned(),
        now: count.total as f64,
        limit: None,
        passes: None,
        may_pass: None,
        days: reading
            .iter()
            .map(|reading| ForecastDay {
                day: day(at_s),
                expected: reading.expected,
                low: reading.low,
                high: reading.high,
            })
            .collect(),
        silent: match reading {
            None => Some("needs a day of exchanges".to_owned()),
            Some(reading) if reading.is_unusual => Some(format!(
                "unusual: {:.0} to {:.0} were to be expected",
                reading.low, reading.high
            )),
            Some(_) => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Monday, 2026-11-02 00:00 UTC.
    const START_S: u64 = 1_793_577_600;

    /// Three weeks of 900 exchanges an hour by day, 100 by night and 300 on weekends.
    fn hours(last: u64) -> Vec<(u64, Count)> {
        let usual = |hour: u64| match (hour / 24 % 7, hour % 24) {
            (5 | 6, _) => 300,
            (_, 8..20) => 900,
            _ => 100,
        };
        let hours = 21 * 24 + 12;
        let total = |hour| if hour + 1 == hours { last } else { usual(hour) };
        (0..hours)
            .map(|hour| (START_S + hour * 3600, Count::new(total(hour), 0)))
            .collect()
    }

    #[test]
    fn the_last_hour_is_compared_with_its_weekday() {
        let usual = last("route orders".to_owned(), &hours(900)).unwrap();
        assert_eq!((usual.now, usual.silent), (900.0, None));
        assert_eq!(usual.name, "route orders");
        let day = &usual.days[0];
        assert!(day.low < 900.0 && 900.0 < day.high, "{day:?}");
        // What a weekend has is unusual on a Monday at noon.
        let few = last(String::new(), &hours(300)).unwrap();
        let silent = few.silent.unwrap();
        assert!(silent.starts_with("unusual: "), "{silent}");
        assert_eq!(last(String::new(), &[]), None);
        let young = last(String::new(), &hours(900)[..5]).unwrap();
        assert!(young.days.is_empty() && young.silent.is_some());
    }
}
