//! Usage that is foreseen: calls to models, their tokens and what they cost, as a whole and by
//! budget, from the ledger's days.

use crate::usage::day;
use gate_api::types::{BudgetState, Forecast, ForecastDay};
use gate_kit::order::Gather;
use gate_model::resources::{BudgetLimit, BudgetOf, BudgetPeriod, Resources};
use gate_ops::forecast::{Step, TooLittle, adds_up_to, forecast};
use gate_store::ledger::{self, UsageBy};
use gate_store::{Store, StoreError};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const DAY_S: u64 = 86_400;
/// Days of usage that are looked at.
const HISTORY_DAYS: u64 = 180;
/// Days that are foreseen.
const AHEAD_DAYS: usize = 30;

/// Usage as a whole, and of every budget.
pub(super) fn usage(
    store: &mut dyn Store,
    resources: &Resources,
    folder: &Path,
    now_s: u64,
) -> Result<Vec<Forecast>, StoreError> {
    let mut found = Vec::new();
    let whole = series(store, &[], now_s)?;
    let whole = whole.get("").cloned().unwrap_or_default();
    for (what, unit, value) in MEASURES {
        let values: Vec<f64> = whole.iter().map(value).collect();
        let now = values.last().copied().unwrap_or(0.0);
        let forecast = foreseen(&values, AHEAD_DAYS);
        found.push(of(
            what,
            "all calls to models",
            unit,
            now,
            None,
            &forecast,
            now_s,
        ));
    }
    let mut by: BTreeMap<&'static str, BTreeMap<String, Vec<Used>>> = BTreeMap::new();
    let states = crate::host::budgets(resources, folder).unwrap_or_default();
    for (name, budget) in &resources.budgets {
        let (kind, column, who) = match &budget.of {
            BudgetOf::Key(who) => ("key", UsageBy::Key, who),
            BudgetOf::Consumer(who) => ("consumer", UsageBy::Consumer, who),
            BudgetOf::Team(who) => ("team", UsageBy::Team, who),
            BudgetOf::Provider(who) => ("provider", UsageBy::Provider, who),
        };
        if !by.contains_key(kind) {
            by.insert(kind, series(store, &[column], now_s)?);
        }
        let used = by.get(kind).and_then(|all| all.get(who));
        let used = used.cloned().unwrap_or_default();
        let (unit, limit, value): (_, _, fn(&Used) -> f64) = match budget.limit {
            BudgetLimit::Usd(money) => ("USD", dollars(money.picodollars()), |one| one.spend),
            BudgetLimit::Tokens(tokens) => ("tokens", tokens as f64, |one| one.tokens),
        };
        let spent = states.iter().find(|state| state.name == *name);
        let spent = spent.map_or(0.0, |state| spent_now(state, budget.per, now_s));
        let values: Vec<f64> = used.iter().map(value).collect();
        let days = days_left(budget.per, now_s);
        let forecast = foreseen(&values, days);
        let mut one = of("budget", name, unit, spent, Some(limit), &forecast, now_s);
        if let Ok(steps) = &forecast {
            let (expected, may) = adds_up_to(steps, spent, limit);
            (one.passes, one.may_pass) = (on(expected, now_s), on(may, now_s));
        }
        found.push(one);
    }
    Ok(found)
}

/// What is spent of a budget in the period that runs; a state of an earlier one says nothing of it.
fn spent_now(state: &BudgetState, per: BudgetPeriod, now_s: u64) -> f64 {
    let is_running = per == BudgetPeriod::Total || state.period == day(period_start(per, now_s));
    let spent = state.spent.parse().unwrap_or(0.0);
    if is_running { spent } else { 0.0 }
}

/// What was used on a day.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    calls: f64,
    tokens: f64,
    spend: f64,
}

/// What is foreseen of all usage: a name, a unit, and where it stands.
type Measure = (&'static str, &'static str, fn(&Used) -> f64);

const MEASURES: [Measure; 3] = [
    ("requests", "requests", |one| one.calls),
    ("tokens", "tokens", |one| one.tokens),
    ("spend", "USD", |one| one.spend),
];

/// Usage by day up to yesterday, days without any included; by one further column, or as a whole.
fn series(
    store: &mut dyn Store,
    by: &[UsageBy],
    now_s: u64,
) -> Result<BTreeMap<String, Vec<Used>>, StoreError> {
    let today = now_s / DAY_S;
    let first = today.saturating_sub(HISTORY_DAYS);
    let ms = |day: u64| i64::try_from(day * DAY_S * 1000).unwrap_or(i64::MAX);
    let rows = store.usage(&ledger::UsageQuery {
        by: [&[UsageBy::Day], by].concat(),
        since_ms: ms(first),
        until_ms: ms(today),
        provider: String::new(),
        only: Vec::new(),
    })?;
    let mut found: BTreeMap<String, BTreeMap<u64, Used>> = BTreeMap::new();
    for row in rows {
        let mut names = row.names.into_iter();
        let day = names.next().and_then(|text| text.parse::<u64>().ok());
        let (Some(day), name) = (day, names.next().unwrap_or_default()) else {
            continue;
        };
        let used = Used {
            calls: row.calls as f64,
            tokens: row.input_tokens as f64 + row.output_tokens as f64,
            spend: dollars(row.cost_picodollars),
        };
        found.entry(name).or_default().insert(day / DAY_S, used);
    }
    let filled = |days: BTreeMap<u64, Used>| -> Vec<Used> {
        let begin = days.keys().next().copied().unwrap_or(today);
        let used = |day: u64| days.get(&day).copied().unwrap_or_default();
        (begin..today).map(used).collect()
    };
    let filled = found.into_iter().map(|(name, days)| (name, filled(days)));
    Ok(filled.into_map())
}

fn foreseen(values: &[f64], ahead: usize) -> Result<Vec<Step>, TooLittle> {
    forecast(values, 7, ahead)
}

/// A series that repeats by the week, as it is shown. The first day that is foreseen is today.
fn of(
    what: &str,
    name: &str,
    unit: &str,
    now: f64,
    limit: Option<f64>,
    steps: &Result<Vec<Step>, TooLittle>,
    now_s: u64,
) -> Forecast {
    let days = steps.as_deref().unwrap_or_default();
    let foreseen = |(ahead, step): (usize, &Step)| ForecastDay {
        day: day((now_s / DAY_S + ahead as u64) * DAY_S),
        expected: step.expected,
        low: step.low,
        high: step.high,
    };
    Forecast {
        what: what.to_owned(),
        name: name.to_owned(),
        unit: unit.to_owned(),
        now,
        limit,
        passes: None,
        may_pass: None,
        days: days.iter().enumerate().map(foreseen).collect(),
        silent: steps.as_ref().err().map(why),
    }
}

pub(super) fn why(little: &TooLittle) -> String {
    match little {
        TooLittle::History(needed) => format!("needs a history of {needed} values"),
        TooLittle::Broken => "its history holds what is no number".to_owned(),
    }
}

fn on(ahead: Option<usize>, now_s: u64) -> Option<String> {
    ahead.map(|ahead| day((now_s / DAY_S + ahead as u64) * DAY_S))
}

#[allow(clippy::cast_precision_loss, reason = "foreseen, not settled by")]
fn dollars(picodollars: i64) -> f64 {
    picodollars as f64 / 1e12
}

/// The first second of the period that runs, in UTC.
fn period_start(per: BudgetPeriod, now_s: u64) -> u64 {
    let today = now_s / DAY_S;
    let days = match per {
        BudgetPeriod::Day => today,
        // 1970-01-01 was a Thursday.
        BudgetPeriod::Week => today - (today + 3) % 7,
        BudgetPeriod::Month => {
            let [_, _, day, ..] = gate_kit::date::civil(Duration::from_secs(now_s));
            today + 1 - day
        }
        BudgetPeriod::Total => 0,
    };
    days * DAY_S
}

/// Days until a period ends, today included.
fn days_left(per: BudgetPeriod, now_s: u64) -> usize {
    let today = now_s / DAY_S;
    let passed = today - period_start(per, now_s) / DAY_S;
    let days = match per {
        BudgetPeriod::Day => 1,
        BudgetPeriod::Week => 7 - passed,
        BudgetPeriod::Month => {
            let [year, month, ..] = gate_kit::date::civil(Duration::from_secs(now_s));
            let (year, month) = if month == 12 {
                (year + 1, 1)
            } else {
                (year, month + 1)
            };
            gate_kit::date::days(year, month, 1) - today
        }
        BudgetPeriod::Total => AHEAD_DAYS as u64,
    };
    usize::try_from(days).unwrap_or(AHEAD_DAYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22, a Sunday.
    const NOW_S: u64 = 1_795_305_600 + 3_600;

    #[test]
    fn periods_end_when_they_do() {
        assert_eq!(day(NOW_S), "2026-11-22");
        for (per, start, left) in [
            (BudgetPeriod::Day, "2026-11-22", 1),
            (BudgetPeriod::Week, "2026-11-16", 1),
            (BudgetPeriod::Month, "2026-11-01", 9),
        ] {
            assert_eq!(day(period_start(per, NOW_S)), start, "{per:?}");
            assert_eq!(days_left(per, NOW_S), left, "{per:?}");
        }
        let december = NOW_S + 20 * DAY_S;
        assert_eq!(days_left(BudgetPeriod::Month, december), 20);
    }
}
