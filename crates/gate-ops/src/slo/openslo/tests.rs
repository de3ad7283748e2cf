//! What we write reads back the same; what others write is taken as far as we have it.

use super::super::{Calendar, Good, Metrics, Objective, Pair, Scope, Severity, Span};
use super::*;
use proptest::prelude::*;

fn spans() -> impl Strategy<Value = Span> {
    prop_oneof![
        (1_u64..=400).prop_map(|days| Span::Rolling(days * 86_400)),
        Just(Span::Calendar(Calendar::Month, "Europe/Berlin".into())),
        Just(Span::Calendar(Calendar::Week, "UTC".into())),
    ]
}

fn goods() -> impl Strategy<Value = Good> {
    prop_oneof![
        Just(Good::Available {}),
        (1_u64..10_000_000).prop_map(|most_us| Good::Latency { most_us }),
        (1_u64..10_000_000).prop_map(|most_us| Good::TimeToFirstToken { most_us }),
        (0_u64..10_000_000).prop_map(|most_micros| Good::Cost { most_micros }),
        "[a-z_]{1,20}".prop_map(|detector| Good::Quality { detector }),
    ]
}

fn scopes() -> impl Strategy<Value = Scope> {
    prop::array::uniform5(prop::option::of("[ -~äß]{1,30}")).prop_map(|names| {
        let [route, model, provider, consumer, team] = names;
        Scope {
            route,
            model,
            provider,
            consumer,
            team,
        }
    })
}

fn pairs() -> impl Strategy<Value = Vec<Pair>> {
    let pair = (1_u64..60, 1_u64..50, 1_u64..1000, any::<bool>());
    let pair = pair.prop_map(|(short, times, budget, pages)| Pair {
        short_s: short * 60,
        long_s: (short + 60 * times) * 60,
        budget: budget as f64 / 1000.0,
        severity: if pages {
            Severity::Page
        } else {
            Severity::Ticket
        },
    });
    prop::collection::vec(pair, 0..5)
}

fn definitions() -> impl Strategy<Value = Definition> {
    let texts = ("[ -~äß\\n]{1,40}", "[ -~]{0,30}", "[ -~\\n\\t]{0,80}");
    let numbers = (50_000_u64..99_999, 1_u64..100, 0_u64..400);
    (texts, numbers, spans(), goods(), scopes(), pairs()).prop_map(
        |((name, service, description), numbers, span, good, scope, pairs)| {
            let (target, bad_min, deviations) = numbers;
            let mut objective = Objective::new(&name, target as f64 / 100_000.0, span);
            objective.policy.pairs = pairs;
            objective.policy.bad_min = bad_min;
            objective.policy.deviations = deviations as f64 / 100.0;
            Definition {
                objective,
                good,
                scope,
                service,
                description,
                runbook: String::new(),
                changes_need: None,
            }
        },
    )
}

proptest! {
    #[test]
    fn what_we_write_reads_back_the_same(definitions in prop::collection::vec(definitions(), 1..4)) {
        let text = write(&definitions, &Metrics::default());
        let parsed = parse(&text);
        // Windows of more than 2 days do not fit a whole number of slots in every case; then both agree.
        let (fit, unfit): (Vec<_>, Vec<_>) = definitions.iter().partition(|one| one.check().is_ok());
        prop_assert_eq!(parsed.lacks.len(), unfit.len(), "{:?}", parsed.lacks);
        let fit: Vec<Definition> = fit.into_iter().cloned().collect();
        prop_assert_eq!(parsed.definitions, fit);
    }

    #[test]
    fn anything_is_read_without_harm(text in "(---\n|[a-z]+: |- |\n|openslo/v1|kind|SLO|spec|[ -~]{0,10}){0,30}") {
        let _ = parse(&text);
    }
}

/// Without our annotation: what anybody else would read of it.
#[test]
fn what_others_see_of_ours_is_the_same_promise() {
    let objective = Objective::new("orders", 0.999, Span::Rolling(30 * 86_400));
    let own = Definition {
        objective,
        good: Good::Available {},
        scope: Scope::default(),
        service: "shop".into(),
        description: "Orders are answered.".into(),
        runbook: String::new(),
        changes_need: None,
    };
    let text = write(std::slice::from_ref(&own), &Metrics::default());
    let text: String = text
        .lines()
        .filter(|line| !line.contains(ANNOTATION))
        .map(|line| format!("{line}\n"))
        .collect();
    let parsed = parse(
        &text
            .replace("    annotations:\n", "")
            .replace("  annotations:\n", ""),
    );
    let [read] = &parsed.definitions[..] else {
        panic!("{parsed:?}\n{text}");
    };
    assert_eq!(
        (
            &read.objective.name,
            read.objective.target,
            &read.objective.span
        ),
        (&own.objective.name, 0.999, &own.objective.span)
    );
    let pages = |definition: &Definition| -> Vec<(u64, Severity, u64)> {
        let pairs = definition.objective.policy.pairs.iter();
        pairs
            .map(|pair| {
                (
                    pair.long_s,
                    pair.severity,
                    (pair.budget * 1e9).round() as u64,
                )
            })
            .collect()
    };
    assert_eq!(pages(read), pages(&own));
    let lacks: Vec<&str> = parsed
        .lacks
        .iter()
        .map(|lack| lack.place.as_str())
        .collect();
    assert_eq!(lacks, ["document 1, spec.indicator"]);
}

const OTHERS: &str = "\
apiVersion: openslo/v1
kind: Service
metadata: { name: shop }
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: web-latency
spec:
  service: shop
  description: fast enough
  indicatorRef: fast
  timeWindow:
    - duration: 1M
      isRolling: false
      calendar: { startTime: 2024-01-01 00:00:00, timeZone: America/New_York }
  budgetingMethod: Timeslices
  objectives:
    - displayName: good
      targetPercent: 99.5
      timeSliceTarget: 0.9
    - displayName: better
      target: 0.95
  alertPolicies:
    - alertPolicyRef: wake
---
apiVersion: openslo/v1
kind: SLI
metadata: { name: fast }
spec: { thresholdMetric: { metricSource: { type: Datadog, spec: { query: x } } } }
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: { name: wake }
spec:
  conditions:
    - kind: AlertCondition
      spec:
        severity: critical
        condition: { kind: burnrate, op: lte, threshold: 14.4, lookbackWindow: 1h, alertAfter: 5m }
  notificationTargets: [{ targetRef: me }]
---
apiVersion: openslo/v2alpha
kind: SLO
metadata: { name: new }
---
apiVersion: openslo/v1
kind: SLO
metadata: { name: endless }
spec: { timeWindow: [{ duration: 9Y, isRolling: true }], objectives: [{ target: 0.9 }], indicator: { spec: {} } }
";

#[test]
fn documents_of_others_are_read_with_what_they_lack() {
    let parsed = parse(OTHERS);
    let names: Vec<(&str, f64)> = parsed
        .definitions
        .iter()
        .map(|one| (one.objective.name.as_str(), one.objective.target))
        .collect();
    assert_eq!(names, [("web-latency-1", 0.995), ("web-latency-2", 0.95)]);
    let first = &parsed.definitions[0].objective;
    assert_eq!(
        first.span,
        Span::Calendar(Calendar::Month, "America/New_York".into())
    );
    assert_eq!(
        (
            first.policy.pairs.len(),
            first.policy.pairs[0].long_s,
            first.policy.pairs[0].short_s
        ),
        (1, 3600, 300)
    );
    assert_eq!(first.policy.pairs[0].severity, Severity::Page);
    assert!((first.policy.pairs[0].budget - 0.02).abs() < 1e-9);
    let places: Vec<&str> = parsed
        .lacks
        .iter()
        .map(|lack| lack.place.as_str())
        .collect();
    assert_eq!(
        places,
        [
            "document 1, kind",
            "document 2, spec.budgetingMethod",
            "document 2, spec.indicator",
            "document 2, spec.alertPolicies",
            "document 2, spec.alertPolicies",
            "document 2, spec.objectives",
            "document 5, apiVersion",
            "document 6, spec.indicator",
            "document 6",
        ],
        "{:?}",
        parsed.lacks
    );
}
