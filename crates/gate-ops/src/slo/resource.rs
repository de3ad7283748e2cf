//! Objectives as resources of a document, and as what the engine evaluates; both ways.

use super::{Calendar, Definition, Good, Objective, Pair, Policy, Scope, Severity, Span};
use gate_model::resources::{
    AlertSeverity, BurnPair, CalendarPeriod, CalendarWindow, Indicator, Objective as Resource,
    ObjectiveAlerts,
};
use gate_model::units::{Money, Percent, Period, TimeZone};

/// What is wrong with an objective of a document: the field at fault and a sentence.
///
/// # Errors
/// The first thing that is.
pub fn check(name: &str, resource: &Resource) -> Result<(), (&'static str, String)> {
    let whole = |field: &'static str, period: Period| match period.microseconds() % 1_000_000 {
        0 => Ok(()),
        _ => Err((field, "a window is a number of whole seconds".to_owned())),
    };
    whole("window", resource.window)?;
    if resource.target == Percent::ZERO || resource.target == Percent::HUNDRED {
        let text = "a target of 0% promises nothing, one of 100% leaves nothing to spend";
        return Err(("target", text.into()));
    }
    for pair in &resource.alerts.pairs {
        whole("alerts", pair.long).and(whole("alerts", pair.short))?;
    }
    let confidence = resource.alerts.confidence.fraction();
    if !(0.5..=0.999).contains(&confidence) {
        return Err(("alerts", "`confidence` is from 50% to 99.9%".into()));
    }
    let definition = definition(name, resource);
    let mut plain = definition.clone();
    // With rules that fit for certain, what is left to be wrong is the window.
    plain.objective.policy = Policy {
        pairs: Vec::new(),
        ..Policy::default()
    };
    let field = if resource.calendar.is_some() {
        "calendar"
    } else {
        "window"
    };
    plain.check().map_err(|unfit| (field, unfit.0))?;
    definition.check().map_err(|unfit| ("alerts", unfit.0))
}

/// What the engine makes of an objective of a document.
#[must_use]
pub fn definition(name: &str, resource: &Resource) -> Definition {
    let span = match &resource.calendar {
        None => Span::Rolling(seconds(resource.window)),
        Some(window) => Span::Calendar(calendar(window.per), window.time_zone.name().to_owned()),
    };
    let pair = |pair: &BurnPair| Pair {
        long_s: seconds(pair.long),
        short_s: seconds(pair.short),
        budget: pair.budget.fraction(),
        severity: severity(pair.severity),
    };
    let policy = Policy {
        pairs: resource.alerts.pairs.iter().map(pair).collect(),
        bad_min: resource.alerts.bad_min,
        deviations: deviations(resource.alerts.confidence.fraction()),
        expected_min: f64::from(resource.alerts.expected_min),
        vanished: severity(resource.alerts.vanished),
    };
    let good = match (&resource.good, &resource.indicator) {
        (Some(expression), _) => Good::Holds {
            expression: expression.clone(),
        },
        (None, Indicator::Availability {}) => Good::Available {},
        (None, Indicator::Latency { within }) => Good::Latency {
            most_us: within.microseconds(),
        },
        (None, Indicator::TimeToFirstToken { within }) => Good::TimeToFirstToken {
            most_us: within.microseconds(),
        },
        (None, Indicator::Cost { at_most }) => Good::Cost {
            most_micros: u64::try_from(at_most.picodollars() / PICOS).unwrap_or(0),
        },
        (None, Indicator::Quality { detector }) => Good::Quality {
            detector: detector.clone(),
        },
    };
    Definition {
        objective: Objective {
            name: name.to_owned(),
            target: resource.target.fraction(),
            span,
            policy,
        },
        good,
        scope: Scope {
            route: resource.route.clone(),
            model: resource.model.clone(),
            provider: resource.provider.clone(),
            consumer: resource.consumer.clone(),
            team: resource.team.clone(),
        },
        service: resource.service.clone(),
        description: resource.description.clone(),
        runbook: resource.runbook.clone().unwrap_or_default(),
        changes_need: resource.changes_need.map(Percent::fraction),
    }
}

/// The objective as a document has it. Shares are rounded to what a percentage holds.
///
/// # Errors
/// A time zone that is not known.
pub fn resource(definition: &Definition) -> Result<Resource, String> {
    let objective = &definition.objective;
    let usual = Period::from_seconds(30 * 86_400);
    let (window, calendar) = match &objective.span {
        Span::Rolling(seconds) => (Period::from_seconds(*seconds), None),
        Span::Calendar(calendar, zone) => {
            let zone = if zone.is_empty() { "UTC" } else { zone };
            let time_zone: TimeZone = zone
                .parse()
                .map_err(|_| format!("`{zone}` is no time zone"))?;
            let per = period(*calendar);
            (usual, Some(CalendarWindow { per, time_zone }))
        }
    };
    let pair = |pair: &Pair| BurnPair {
        long: Period::from_seconds(pair.long_s),
        short: Period::from_seconds(pair.short_s),
        budget: percent(pair.budget),
        severity: severity_back(pair.severity),
    };
    let policy = &objective.policy;
    let within = |most_us: u64| Period::from_microseconds(most_us);
    let (indicator, good) = match &definition.good {
        Good::Available {} => (Indicator::Availability {}, None),
        Good::Latency { most_us } => (
            Indicator::Latency {
                within: within(*most_us),
            },
            None,
        ),
        Good::TimeToFirstToken { most_us } => (
            Indicator::TimeToFirstToken {
                within: within(*most_us),
            },
            None,
        ),
        Good::Cost { most_micros } => {
            let picos = i64::try_from(*most_micros)
                .unwrap_or(i64::MAX)
                .saturating_mul(PICOS);
            let at_most = Money::from_picodollars(picos);
            (Indicator::Cost { at_most }, None)
        }
        Good::Quality { detector } => {
            let detector = detector.clone();
            (Indicator::Quality { detector }, None)
        }
        Good::Holds { expression } => (Indicator::default(), Some(expression.clone())),
    };
    let scope = definition.scope.clone();
    Ok(Resource {
        route: scope.route,
        model: scope.model,
        provider: scope.provider,
        consumer: scope.consumer,
        team: scope.team,
        indicator,
        good,
        target: percent(objective.target),
        window,
        calendar,
        alerts: ObjectiveAlerts {
            pairs: policy.pairs.iter().map(pair).collect(),
            bad_min: policy.bad_min,
            confidence: percent(confidence(policy.deviations)),
            expected_min: policy.expected_min.clamp(0.0, f64::from(u32::MAX)).round() as u32,
            vanished: severity_back(policy.vanished),
        },
        changes_need: definition.changes_need.map(percent),
        description: definition.description.clone(),
        service: definition.service.clone(),
        runbook: (!definition.runbook.is_empty()).then(|| definition.runbook.clone()),
    })
}

/// Picodollars in a millionth of a dollar.
const PICOS: i64 = 1_000_000;

fn seconds(period: Period) -> u64 {
    period.microseconds() / 1_000_000
}

fn percent(share: f64) -> Percent {
    Percent::from_hundred_millionths((share.clamp(0.0, 1.0) * 1e8).round() as u64)
}

const fn severity(severity: AlertSeverity) -> Severity {
    match severity {
        AlertSeverity::Ticket => Severity::Ticket,
        AlertSeverity::Page => Severity::Page,
    }
}

const fn severity_back(severity: Severity) -> AlertSeverity {
    match severity {
        Severity::Ticket => AlertSeverity::Ticket,
        Severity::Page => AlertSeverity::Page,
    }
}

const fn calendar(period: CalendarPeriod) -> Calendar {
    match period {
        CalendarPeriod::Day => Calendar::Day,
        CalendarPeriod::Week => Calendar::Week,
        CalendarPeriod::Month => Calendar::Month,
        CalendarPeriod::Quarter => Calendar::Quarter,
        CalendarPeriod::Year => Calendar::Year,
    }
}

const fn period(calendar: Calendar) -> CalendarPeriod {
    match calendar {
        Calendar::Day => CalendarPeriod::Day,
        Calendar::Week => CalendarPeriod::Week,
        Calendar::Month => CalendarPeriod::Month,
        Calendar::Quarter => CalendarPeriod::Quarter,
        Calendar::Year => CalendarPeriod::Year,
    }
}

/// Standard deviations of a one-sided bound with this confidence, to three decimals: the inverse of
/// [`confidence`], by bisection.
fn deviations(share: f64) -> f64 {
    let (mut low, mut high) = (0.0, 4.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        match confidence(middle) < share {
            true => low = middle,
            false => high = middle,
        }
    }
    (high * 1000.0_f64).round() / 1000.0
}

/// Share of a normal distribution below so many deviations: Abramowitz and Stegun 26.2.17, whose
/// error is below 7.5e-8.
fn confidence(deviations: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * deviations);
    let series = [
        0.319_381_530,
        -0.356_563_782,
        1.781_477_937,
        -1.821_255_978,
        1.330_274_429,
    ];
    let sum = series
        .iter()
        .rev()
        .fold(0.0, |sum, factor| (sum + factor) * t);
    let density = (-deviations * deviations / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    1.0 - density * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> Resource {
        serde_json::from_value(json).expect("an objective")
    }

    #[test]
    fn what_is_preset_is_what_the_engine_presets() {
        let resource = read(serde_json::json!({ "route": "orders", "target": "99.9 %" }));
        let own = definition("orders-available", &resource);
        let engine = Objective::new("orders-available", 0.999, Span::Rolling(30 * 86_400));
        assert_eq!(own.objective, engine);
        assert_eq!(own.good, Good::Available {});
        assert_eq!(check("orders-available", &resource), Ok(()));
    }

    #[test]
    fn both_ways_lead_back() {
        for json in [
            serde_json::json!({ "route": "orders", "target": "99.9 %" }),
            serde_json::json!({
                "team": "shop", "target": "95 %", "good": "record.status < 500",
                "calendar": { "per": "quarter", "time_zone": "Europe/Berlin" },
                "alerts": { "confidence": "99 %", "expected_min": 0, "bad_min": 1, "pairs": [
                    { "long": "30m", "short": "5m", "budget": "3 %", "severity": "page" },
                ] },
                "changes_need": "10 %", "description": "Kept.", "service": "shop",
                "runbook": "https://example.com/orders",
            }),
            serde_json::json!({ "target": "99 %", "window": "7d", "indicator": { "cost": { "at_most": "0.05" } } }),
            serde_json::json!({ "target": "99 %", "indicator": { "latency": { "within": "300ms" } } }),
            serde_json::json!({ "target": "99 %", "indicator": { "time_to_first_token": { "within": "1.5s" } } }),
            serde_json::json!({ "target": "99 %", "indicator": { "quality": { "detector": "pii" } } }),
        ] {
            let one = read(json);
            assert_eq!(check("x", &one), Ok(()));
            let back = resource(&definition("x", &one)).expect("a known time zone");
            assert_eq!(definition("x", &back), definition("x", &one), "{one:?}");
            assert_eq!(
                (back.target, &back.indicator, &back.good),
                (one.target, &one.indicator, &one.good)
            );
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused_at_its_field() {
        let field = |json| check("x", &read(json)).err().map(|(field, _)| field);
        let of = |key: &str, value: serde_json::Value| {
            let mut json = serde_json::json!({ "target": "99 %" });
            json[key] = value;
            json
        };
        assert_eq!(field(of("target", "100 %".into())), Some("target"));
        assert_eq!(field(of("target", "0 %".into())), Some("target"));
        assert_eq!(field(of("window", "401d".into())), Some("window"));
        assert_eq!(field(of("window", "300ms".into())), Some("window"));
        assert_eq!(field(of("window", "28d".into())), None);
        let alerts = |json| field(of("alerts", json));
        let pair = serde_json::json!([{ "long": "5m", "short": "1h", "budget": "2 %", "severity": "page" }]);
        assert_eq!(alerts(serde_json::json!({ "pairs": pair })), Some("alerts"));
        assert_eq!(
            alerts(serde_json::json!({ "confidence": "100 %" })),
            Some("alerts")
        );
    }

    #[test]
    fn confidence_and_deviations_are_those_of_tables() {
        for (share, expected) in [(0.5, 0.0), (0.95, 1.645), (0.99, 2.326), (0.999, 3.09)] {
            assert!(
                (deviations(share) - expected).abs() < 1e-9,
                "{share}: {}",
                deviations(share)
            );
            assert!((confidence(expected) - share).abs() < 2e-5);
        }
    }
}
