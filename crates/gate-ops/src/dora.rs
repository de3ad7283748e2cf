//! DORA's five delivery metrics from our own events: per service and team, never per person.
//!
//! Lead time runs from the commit in a revision's provenance to full weight; a deployment failed when
//! it was taken back or an incident is attributed to it; recovery runs from an incident's onset to the
//! objectives being kept; rework are deployments whose provenance names an incident. Each figure comes
//! with its count and a 95 % interval, because most teams deploy too seldom for a bare number. They
//! describe changes that pass the gateway and what is reported to it; they do not compare teams.
//! `own.rs` makes deployments of revisions and rollouts, `incidents.rs` failures of incidents, `reported.rs` reads those of others.

pub mod incidents;
pub mod own;
pub mod reported;

use gate_kit::order::{Gather, Order};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// 95 % of a normal distribution, two-sided.
const Z: f64 = 1.96;
/// Events that are read; the latest.
pub const EVENTS_MAX: usize = 1_000_000;

/// A deployment: a revision of the gateway at full weight, or one behind it that was reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// What was deployed.
    pub service: String,
    /// The team that owns it.
    pub team: String,
    /// Its revision, unique within the service.
    pub revision: String,
    /// When its latest commit was made, if its provenance says so; UNIX milliseconds.
    pub committed_ms: Option<u64>,
    /// When it had full weight, or was taken back before that.
    pub at_ms: u64,
    /// Whether it was taken back, by the evidence or by somebody.
    pub is_rolled_back: bool,
    /// The incident that its provenance names, if it was made because of one.
    pub mends: Option<String>,
}

/// An incident, as far as delivery is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its name.
    pub incident: String,
    /// The service and revision that it is attributed to; experiments are not reported here.
    pub service: String,
    /// See `service`.
    pub revision: String,
    /// When it began.
    pub onset_ms: u64,
    /// When the objectives were kept again, if they are.
    pub recovered_ms: Option<u64>,
}

/// A figure with its count and interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The value; none where nothing was counted.
    pub value: Option<f64>,
    /// What it was made from.
    pub count: u64,
    /// Where the true value is, with 95 % confidence; none where too little was counted to say.
    pub interval: Option<(f64, f64)>,
}

/// The five, of a service or a team.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Median seconds from commit to full weight, of deployments that stayed.
    pub lead_time_s: Figure,
    /// Deployments a day.
    pub deployments_per_day: Figure,
    /// Share of deployments that failed; the count is that of all deployments.
    pub change_fail_rate: Figure,
    /// Median seconds from onset to recovery of failed deployments.
    pub recovery_s: Figure,
    /// Share of deployments that mend an incident; the count is that of all deployments.
    pub rework_rate: Figure,
    /// Failures that have not been recovered from; they are in no recovery time.
    pub unrecovered: u64,
}

/// Metrics by name, in alphabetical order and no other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// By service.
    pub services: BTreeMap<String, Metrics>,
    /// By team.
    pub teams: BTreeMap<String, Metrics>,
}

/// Reports on deployments from `from_ms` to before `until_ms`, and the failures that belong to them.
#[must_use]
pub fn report(
    deployments: &[Deployment],
    failures: &[Failure],
    from_ms: u64,
    until_ms: u64,
) -> Report {
    let latest = &deployments[deployments.len().saturating_sub(EVENTS_MAX)..];
    let within = latest
        .iter()
        .filter(|one| (from_ms..until_ms).contains(&one.at_ms));
    let mut by_service: BTreeMap<&str, Vec<&Deployment>> = BTreeMap::new();
    let mut by_team: BTreeMap<&str, Vec<&Deployment>> = BTreeMap::new();
    for deployment in within {
        by_service
            .entry(&deployment.service)
            .or_default()
            .push(deployment);
        by_team
            .entry(&deployment.team)
            .or_default()
            .push(deployment);
    }
    let mut failed: BTreeMap<(&str, &str), Vec<&Failure>> = BTreeMap::new();
    for failure in &failures[failures.len().saturating_sub(EVENTS_MAX)..] {
        let key = (failure.service.as_str(), failure.revision.as_str());
        failed.entry(key).or_default().push(failure);
    }
    let days = until_ms.saturating_sub(from_ms) as f64 / 86_400_000.0;
    let of = |group: BTreeMap<&str, Vec<&Deployment>>| {
        let metrics = group.into_iter();
        metrics
            .map(|(name, own)| (name.to_owned(), metrics_of(&own, &failed, days)))
            .into_map()
    };
    Report {
        services: of(by_service),
        teams: of(by_team),
    }
}

fn metrics_of(
    own: &[&Deployment],
    failed: &BTreeMap<(&str, &str), Vec<&Failure>>,
    days: f64,
) -> Metrics {
    let has_failed = |one: &Deployment| {
        one.is_rolled_back || failed.contains_key(&(one.service.as_str(), one.revision.as_str()))
    };
    let lead = |one: &&&Deployment| {
        let committed_ms = one.committed_ms.filter(|_| !one.is_rolled_back)?;
        Some(one.at_ms.saturating_sub(committed_ms) as f64 / 1000.0)
    };
    let leads: Vec<f64> = own.iter().filter_map(|one| lead(&one)).collect();
    let bad = own.iter().filter(|one| has_failed(one)).count();
    let rework = own.iter().filter(|one| one.mends.is_some()).count();
    // Two deployments of the same revision share its failures; each counts once.
    let unique: BTreeSet<(&str, &str)> = own
        .iter()
        .map(|one| (one.service.as_str(), one.revision.as_str()))
        .into_set();
    let all: Vec<&Failure> = unique
        .iter()
        .filter_map(|key| failed.get(key))
        .flatten()
        .copied()
        .collect();
    let recovery = |one: &&Failure| {
        let recovered_ms = one.recovered_ms?;
        Some(recovered_ms.saturating_sub(one.onset_ms) as f64 / 1000.0)
    };
    let recoveries: Vec<f64> = all.iter().filter_map(recovery).collect();
    Metrics {
        lead_time_s: median(leads),
        deployments_per_day: rate(own.len() as u64, days),
        change_fail_rate: share(bad as u64, own.len() as u64),
        unrecovered: (all.len() - recoveries.len()) as u64,
        recovery_s: median(recoveries),
        rework_rate: share(rework as u64, own.len() as u64),
    }
}

/// The median with the interval between order statistics that holds it in 95 of 100 samples; that
/// needs six values.
fn median(mut values: Vec<f64>) -> Figure {
    values.order_by(f64::total_cmp);
    let count = values.len();
    let middle = match count {
        0 => None,
        count if count.is_multiple_of(2) => {
            Some(f64::midpoint(values[count / 2 - 1], values[count / 2]))
        }
        count => Some(values[count / 2]),
    };
    // How many values may be left out at either end: the largest k with P(at most k - 1 of n) <= 2.5 %
    // for a fair coin.
    let (mut left_out, mut term, mut sum) = (0, 0.5_f64.powi(count.min(1000) as i32), 0.0);
    while left_out < count / 2 && count <= 1000 {
        sum += term;
        if sum > 0.025 {
            break;
        }
        term *= (count - left_out) as f64 / (left_out + 1) as f64;
        left_out += 1;
    }
    if count > 1000 {
        left_out = (count as f64 / 2.0 - Z * (count as f64).sqrt() / 2.0) as usize;
    }
    Figure {
        value: middle,
        count: count as u64,
        interval: (left_out > 0).then(|| (values[left_out - 1], values[count - left_out])),
    }
}

/// Events a day, with a Poisson interval (Wilson and Hilferty's approximation of the exact one).
fn rate(count: u64, days: f64) -> Figure {
    if days <= 0.0 {
        return Figure {
            value: None,
            count,
            interval: None,
        };
    }
    let cube = |count: f64, sign: f64| {
        let part = 1.0 - 1.0 / (9.0 * count) + sign * Z / (3.0 * count.sqrt());
        count * part.powi(3)
    };
    let low = if count == 0 {
        0.0
    } else {
        cube(count as f64, -1.0).max(0.0)
    };
    let high = cube(count as f64 + 1.0, 1.0);
    Figure {
        value: Some(count as f64 / days),
        count,
        interval: Some((low / days, high / days)),
    }
}

/// A share, with Wilson's interval.
fn share(count: u64, all: u64) -> Figure {
    if all == 0 {
        return Figure {
            value: None,
            count: 0,
            interval: None,
        };
    }
    let (count, n) = (count as f64, all as f64);
    let spread = Z * (count * (n - count) / n + Z * Z / 4.0).sqrt();
    let (middle, whole) = (count + Z * Z / 2.0, n + Z * Z);
    Figure {
        value: Some(count / n),
        count: all,
        interval: Some((
            ((middle - spread) / whole).max(0.0),
            ((middle + spread) / whole).min(1.0),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_kit::random;

    const DAY: u64 = 86_400_000;

    fn deployment(service: &str, revision: &str, at_ms: u64) -> Deployment {
        Deployment {
            service: service.into(),
            team: "shop".into(),
            revision: revision.into(),
            committed_ms: Some(at_ms - 3_600_000),
            at_ms,
            is_rolled_back: false,
            mends: None,
        }
    }

    #[test]
    fn five_figures_from_events() {
        let mut deployments: Vec<Deployment> = (0..10)
            .map(|n| deployment("orders", &n.to_string(), DAY + n * DAY))
            .collect();
        deployments[3].is_rolled_back = true;
        deployments[4].mends = Some("inc-1".into());
        deployments[5].committed_ms = None;
        deployments.push(deployment("search", "0", DAY));
        deployments.push(deployment("orders", "late", 30 * DAY));
        let failure = |revision: &str, recovered_ms| Failure {
            incident: "inc-1".into(),
            service: "orders".into(),
            revision: revision.into(),
            onset_ms: 4 * DAY,
            recovered_ms,
        };
        let failures = [
            failure("3", Some(4 * DAY + 300_000)),
            failure("7", None),
            failure("of nobody", Some(5 * DAY)),
        ];
        let found = report(&deployments, &failures, DAY, 21 * DAY);
        let names: Vec<&String> = found.services.keys().collect();
        assert_eq!(names, ["orders", "search"]);
        let orders = &found.services["orders"];
        // One was taken back, one says nothing of its commit.
        assert_eq!(
            (orders.lead_time_s.value, orders.lead_time_s.count),
            (Some(3600.0), 8)
        );
        assert_eq!(orders.deployments_per_day.value, Some(0.5));
        assert_eq!(
            (orders.change_fail_rate.value, orders.change_fail_rate.count),
            (Some(0.2), 10)
        );
        assert_eq!(
            (orders.recovery_s.value, orders.recovery_s.count),
            (Some(300.0), 1)
        );
        assert_eq!(
            orders.recovery_s.interval, None,
            "one value says nothing about a median"
        );
        assert_eq!(orders.rework_rate.value, Some(0.1));
        assert_eq!(orders.unrecovered, 1);
        assert_eq!(found.teams["shop"].change_fail_rate.count, 11);
        assert_eq!(report(&[], &[], 0, 0), Report::default());
    }

    #[test]
    fn intervals_are_those_of_textbooks() {
        // Wilson, 2 of 10: 5.7 to 51.0 %. Poisson, 10 counted: 4.8 to 18.4.
        let (low, high) = share(2, 10).interval.unwrap();
        assert!(
            (low - 0.0567).abs() < 1e-3 && (high - 0.5098).abs() < 1e-3,
            "{low} {high}"
        );
        let (low, high) = rate(10, 1.0).interval.unwrap();
        assert!(
            (low - 4.795).abs() < 0.05 && (high - 18.39).abs() < 0.05,
            "{low} {high}"
        );
        let (low, high) = rate(0, 1.0).interval.unwrap();
        assert!(low == 0.0 && (high - 3.689).abs() < 0.1, "{high}");
        // Of ten values, the second and ninth; of five, none.
        let ten = median((1..=10).map(f64::from).collect());
        assert_eq!((ten.value, ten.interval), (Some(5.5), Some((2.0, 9.0))));
        assert_eq!(median(vec![1.0; 5]).interval, None);
        assert_eq!(median(vec![1.0; 6]).interval, Some((1.0, 1.0)));
    }

    #[test]
    fn the_interval_of_a_median_holds_it() {
        random::seed(8);
        for count in [7, 40, 1500] {
            let holds = (0..2000)
                .filter(|_| {
                    let values = (0..count).map(|_| random::fraction().powi(3)).collect();
                    let (low, high) = median(values).interval.unwrap();
                    (low..=high).contains(&0.125)
                })
                .count();
            assert!(holds >= 1870, "{holds} of 2000 with {count} values");
        }
    }
}
