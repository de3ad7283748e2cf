//! How objectives stand, for the metrics page and the admin API.

use super::Promises;
use super::watch::{Kind, Watched};
use gate_api::types::{AlertState, BudgetForecast, BurnState, ObjectiveState, PlaceState};
use gate_kit::order::{Gather, Order};
use gate_ops::slo::{Calendar, Count, Definition, Promise, Span};
use gate_proxy::objectives::Standing;
use std::sync::Arc;

/// Places that are shown of an attribution.
const PLACES: usize = 5;

fn standing((name, one): (&Arc<str>, &Watched)) -> Standing {
    let budget = one.monitor.budget();
    let burns = one.monitor.burns().into_iter();
    let is_on = |kind: Kind| (kind.as_str(), one.raised[kind as usize].since_s.is_some());
    Standing {
        objective: name.clone(),
        total: one.counted.total,
        bad: one.counted.bad,
        left: budget.left,
        burns: burns
            .map(|(seconds, burn)| (duration(seconds), burn))
            .collect(),
        alerts: Kind::ALL.map(is_on),
    }
}

impl Promises {
    /// How every objective stands, for the metrics page.
    pub(super) fn standings(&self) -> Vec<Standing> {
        self.watch().objectives.iter().map(standing).collect()
    }

    /// What objectives counted by the hour, with the routes that they are about: of the first so many
    /// by name.
    pub(crate) fn hours(&self, most: usize) -> Vec<(String, Option<String>, Vec<(u64, Count)>)> {
        let watch = self.watch();
        let hours = |(name, one): (&Arc<str>, &Watched)| {
            let route = one.definition.scope.route.clone();
            (
                name.to_string(),
                route,
                one.monitor.counts().rings().hours(),
            )
        };
        watch.objectives.iter().take(most).map(hours).collect()
    }

    /// How every objective stands, by name.
    pub(crate) fn states(&self) -> Vec<ObjectiveState> {
        let watch = self.watch();
        watch
            .objectives
            .iter()
            .map(|(name, one)| state(name, one))
            .collect()
    }

    /// What is left of every objective that holds changes up, for a gate.
    pub(crate) fn with_promises<T>(&self, ask: impl FnOnce(&[Promise<'_>]) -> T) -> T {
        let watch = self.watch();
        let holding = watch.objectives.iter().filter_map(|(name, one)| {
            let left_min = Some(one.definition.changes_need?);
            Some(Promise {
                objective: name,
                route: one.definition.scope.route.as_deref(),
                left_min,
                budget: one.monitor.budget(),
            })
        });
        let holding: Vec<Promise<'_>> = holding.collect();
        ask(&holding)
    }
}

fn state(name: &Arc<str>, one: &Watched) -> ObjectiveState {
    let definition = &one.definition;
    let budget = one.monitor.budget();
    let burns = one.monitor.burns();
    let at = |seconds: u64| {
        burns
            .iter()
            .find(|(window, _)| *window == seconds)
            .map(|(_, burn)| *burn)
    };
    let paces = [budget.burn, at(6 * 3600)];
    let alerts = Kind::ALL.iter().filter_map(|kind| {
        let since_s = one.raised[*kind as usize].since_s?;
        Some(AlertState {
            alert: kind.as_str().to_owned(),
            since_ms: since_s * 1000,
        })
    });
    let answers = one.attribution.iter().flat_map(|found| &found.answers);
    let scope = &definition.scope;
    let scope = [
        ("route", &scope.route),
        ("model", &scope.model),
        ("provider", &scope.provider),
        ("consumer", &scope.consumer),
        ("team", &scope.team),
    ];
    let named = |(key, value): (&str, &Option<String>)| Some((key.to_owned(), value.clone()?));
    ObjectiveState {
        name: name.to_string(),
        service: definition.service.clone(),
        description: definition.description.clone(),
        runbook: (!definition.runbook.is_empty()).then(|| definition.runbook.clone()),
        scope: scope.into_iter().filter_map(named).into_map(),
        indicator: definition.good.as_str().to_owned(),
        target: definition.objective.target,
        window: window(definition),
        total: budget.count.total,
        bad: budget.count.bad,
        budget_left: budget.left,
        burn: budget.burn,
        burns: burns
            .iter()
            .map(|(seconds, burn)| BurnState {
                window: duration(*seconds),
                burn: *burn,
            })
            .collect(),
        alerts: alerts.collect(),
        forecast: forecast(budget.left, paces, definition.objective.span.seconds()),
        changes_need: definition.changes_need,
        places: answers
            .take(PLACES)
            .map(|answer| PlaceState {
                text: answer.to_string(),
                explained: answer.explained,
            })
            .collect(),
        durations: None,
        is_stored: one.is_stored(),
    }
}

/// When what is left will be spent: at a burn of 1 the whole budget lasts for the window. None where
/// it burns no faster than that.
fn forecast(left: Option<f64>, paces: [Option<f64>; 2], span_s: u64) -> Option<BudgetForecast> {
    let left = left?;
    if left <= 0.0 {
        return Some(BudgetForecast {
            soonest_s: 0,
            latest_s: Some(0),
        });
    }
    let lasts = |burn: f64| (left * span_s as f64 / burn) as u64;
    let mut paces: Vec<f64> = paces.into_iter().flatten().collect();
    paces.order_by(f64::total_cmp);
    let (slowest, fastest) = (*paces.first()?, *paces.last()?);
    (fastest > 1.0).then(|| BudgetForecast {
        soonest_s: lasts(fastest),
        latest_s: (slowest > 0.0).then(|| lasts(slowest)),
    })
}

fn window(definition: &Definition) -> String {
    match &definition.objective.span {
        Span::Rolling(seconds) => duration(*seconds),
        Span::Calendar(calendar, zone) => {
            let period = match calendar {
                Calendar::Day => "day",
                Calendar::Week => "week",
                Calendar::Month => "month",
                Calendar::Quarter => "quarter",
                Calendar::Year => "year",
            };
            let zone = if zone.is_empty() { "UTC" } else { zone };
            format!("{period} {zone}")
        }
    }
}

/// A duration in its largest whole unit: `30d`, `6h`, `5m`.
fn duration(seconds: u64) -> String {
    for (unit, length) in [("d", 86_400), ("h", 3600), ("m", 60)] {
        if seconds >= length && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_when_its_pace_says() {
        let month = 30 * 86_400;
        let spent = |left, hour, six| forecast(left, [hour, six], month);
        assert_eq!(spent(None, Some(3.0), None), None);
        assert_eq!(spent(Some(0.5), Some(1.0), Some(0.2)), None);
        let both = spent(Some(0.5), Some(3.0), Some(1.5)).unwrap();
        assert_eq!(
            (both.soonest_s, both.latest_s),
            (5 * 86_400, Some(10 * 86_400))
        );
        let one = spent(Some(0.5), Some(3.0), Some(0.0)).unwrap();
        assert_eq!((one.soonest_s, one.latest_s), (5 * 86_400, None));
        let none = spent(Some(-0.1), Some(0.0), None).unwrap();
        assert_eq!((none.soonest_s, none.latest_s), (0, Some(0)));
    }
}
