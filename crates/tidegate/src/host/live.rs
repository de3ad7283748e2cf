//! What the gateway did in the last minutes, counted from its recent records: in all, over time, and
//! by route, model, provider, consumer and revision.
//!
//! The window is five minutes, or as far back as the rows go that one look may read: rates are over
//! what is covered. Rows appear about a second after their exchanges end.

use gate_api::types::{Live, LivePoint, Quantiles, Rates, RecordSummary};
use gate_model::fault::{FaultCode, FaultSource};
use gate_model::units::{Money, Timestamp};
use std::collections::BTreeMap;

/// The window, in seconds.
const WINDOW_S: u64 = 300;
/// A slice of it, in seconds.
const SLICE_S: u64 = 5;
/// Most names of one kind that are listed.
const NAMES_MAX: usize = 1000;

/// What rows say together.
#[derive(Default)]
struct Group {
    errors: u64,
    durations: Vec<f64>,
    tokens_in: u64,
    tokens_out: u64,
    cost: Money,
}

impl Group {
    fn add(&mut self, row: &RecordSummary) {
        self.errors += u64::from(failed(row));
        self.durations.push(row.duration_ms);
        self.tokens_in += row.tokens_in.unwrap_or(0);
        self.tokens_out += row.tokens_out.unwrap_or(0);
        let cost = row.cost.as_deref().and_then(Money::from_decimal);
        self.cost = self.cost + cost.unwrap_or_default();
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "rates are floats, and counts of minutes fit them"
    )]
    fn rates(mut self, seconds: u64) -> Rates {
        self.durations.sort_by(f64::total_cmp);
        let requests = self.durations.len() as u64;
        Rates {
            requests,
            per_second: requests as f64 / seconds.max(1) as f64,
            errors: self.errors,
            error_share: self.errors as f64 / requests.max(1) as f64,
            latency_ms: Quantiles {
                p50: quantile(&self.durations, 50),
                p90: quantile(&self.durations, 90),
                p99: quantile(&self.durations, 99),
            },
            first_token_ms: Quantiles::default(),
            tokens_in: self.tokens_in,
            tokens_out: self.tokens_out,
            cost: self.cost.dollars(),
        }
    }
}

/// The smallest value that this percentage of all does not exceed; zero of none.
fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// The second in which an exchange began; records write fractions of it, in UTC.
fn second(row: &RecordSummary) -> Option<u64> {
    let whole = match row.at.split_once('.') {
        Some((whole, _)) => format!("{whole}Z").parse::<Timestamp>(),
        None => row.at.parse(),
    };
    whole.ok().map(Timestamp::unix_s)
}

/// Whether an exchange failed: by its status, or by a fault that is not the caller's.
fn failed(row: &RecordSummary) -> bool {
    let code = row.fault.as_deref().and_then(|text| {
        let mut codes = FaultCode::ALL.iter();
        codes.find(|code| code.as_str() == text)
    });
    row.status >= 500 || code.is_some_and(|code| code.source() != FaultSource::Client)
}

/// Counts rows, newest first, as of `now_s`; `whole` says that there are no older ones.
pub(super) fn count(rows: &[RecordSummary], now_s: u64, whole: bool) -> Live {
    let dated = rows.iter().filter_map(|row| {
        let at = second(row)?;
        Some((at, row))
    });
    let all: Vec<_> = dated.collect();
    let oldest = all.iter().map(|&(at, _)| at).min().unwrap_or(now_s);
    let begin = match whole {
        true => now_s.saturating_sub(WINDOW_S),
        false => now_s.saturating_sub(WINDOW_S).max(oldest),
    };
    let begin = begin - begin % SLICE_S;
    let window_s = now_s.saturating_sub(begin).max(1);
    let mut total = Group::default();
    let mut slices: BTreeMap<u64, Group> = BTreeMap::new();
    let mut by: [BTreeMap<String, Group>; 5] = Default::default();
    for at in (begin..now_s).step_by(5) {
        slices.insert(at, Group::default());
    }
    for (at, row) in all {
        if let Some((_, slice)) = slices.range_mut(..=at).next_back().filter(|_| at <= now_s) {
            slice.add(row);
            total.add(row);
            let revision = row.revision.map(|number| number.to_string());
            let names = [
                &row.route,
                &row.model,
                &row.provider,
                &row.consumer,
                &revision,
            ];
            for (groups, name) in by.iter_mut().zip(names) {
                add(groups, name.as_deref(), row);
            }
        }
    }
    let series = slices.into_iter().map(|(at, slice)| LivePoint {
        at: Timestamp::from_unix_s(at).to_string(),
        seconds: SLICE_S.min(now_s - at),
        rates: slice.rates(SLICE_S.min(now_s - at)),
    });
    let [routes, models, providers, consumers, revisions] = by.map(|groups| {
        let rates = groups
            .into_iter()
            .map(|(name, group)| (name, group.rates(window_s)));
        rates.collect()
    });
    Live {
        at: Timestamp::from_unix_s(now_s).to_string(),
        window_s,
        series: series.collect(),
        total: total.rates(window_s),
        routes,
        models,
        providers,
        consumers,
        revisions,
    }
}

fn add(groups: &mut BTreeMap<String, Group>, name: Option<&str>, row: &RecordSummary) {
    let Some(name) = name else { return };
    if groups.len() < NAMES_MAX || groups.contains_key(name) {
        groups.entry(name.to_owned()).or_default().add(row);
    }
}

/// Whether rows down to this one cover the window.
pub(super) fn covers(row: &RecordSummary, now_s: u64) -> bool {
    second(row).is_some_and(|at| at + WINDOW_S + SLICE_S < now_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn row(ago: u64, status: u16, duration_ms: f64) -> RecordSummary {
        RecordSummary {
            at: (Timestamp::from_unix_s(NOW - ago).to_string()).replace('Z', ".250123Z"),
            status,
            duration_ms,
            route: Some("orders".to_owned()),
            revision: Some(7),
            cost: Some("0.0000000001".to_owned()),
            tokens_in: Some(3),
            ..RecordSummary::default()
        }
    }

    #[test]
    fn rows_are_counted_in_all_over_time_and_by_name() {
        let mut rows: Vec<_> = (1..=100).map(|at| row(at, 200, at as f64)).collect();
        rows.push(row(299, 502, 500.0));
        rows.push(row(400, 200, 9999.0));
        let live = count(&rows, NOW, true);
        assert_eq!(
            (live.window_s, live.total.requests, live.total.errors),
            (300, 101, 1)
        );
        assert_eq!(live.total.cost, "0.0000000101");
        assert_eq!(live.total.tokens_in, 303);
        assert_eq!(live.total.latency_ms.p50, 51.0);
        assert_eq!(live.total.latency_ms.p99, 100.0);
        assert_eq!(live.series.len(), 60);
        let over_time: u64 = live.series.iter().map(|point| point.rates.requests).sum();
        assert_eq!(over_time, 101);
        assert_eq!(live.series[59].rates.requests, 5);
        assert_eq!(live.routes["orders"], live.total);
        assert_eq!(live.revisions["7"], live.total);
        assert!(live.models.is_empty());
        assert!(!covers(&rows[100], NOW) && covers(&rows[101], NOW));
    }

    #[test]
    fn a_look_that_ends_early_covers_less_and_keeps_its_rates() {
        let rows: Vec<_> = (0..50).map(|at| row(1 + at / 5, 200, 1.0)).collect();
        let live = count(&rows, NOW, false);
        assert_eq!(live.window_s, 10);
        assert!(
            (live.total.per_second - 5.0).abs() < 1e-9,
            "{:?}",
            live.total
        );
        assert_eq!(count(&[], NOW, true).total.requests, 0);
        assert_eq!(count(&[], NOW, false).total, count(&[], NOW, true).total);
    }

    #[test]
    fn a_callers_own_fault_is_no_failure() {
        let with = |fault: &str, status| RecordSummary {
            fault: Some(fault.to_owned()),
            status,
            ..row(1, status, 1.0)
        };
        assert!(failed(&with("upstream_reset", 200)));
        assert!(!failed(&with("rate_limited", 429)));
        assert!(!failed(&with("client_closed", 499)));
        assert!(failed(&row(1, 500, 1.0)));
    }
}
