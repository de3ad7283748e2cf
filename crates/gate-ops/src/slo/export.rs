//! The rules of an objective for others: as Prometheus rules and as a Sloth specification. Pure
//! text; the decisions are those of `burn.rs`, and a test holds both against `promtool`.

use super::burn::{PRESENT_S, USUAL_S};
use super::{Objective, Severity};
use gate_kit::order::Gather;
use std::collections::BTreeSet;
use std::fmt::Write;

/// The counters that an objective's events are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// Counter of all events, labelled `objective`.
    pub total: String,
    /// Counter of bad events, labelled `objective`.
    pub bad: String,
}

impl Default for Metrics {
    /// Those that the gateway exposes.
    fn default() -> Self {
        Self {
            total: "tidegate_objective_events_total".into(),
            bad: "tidegate_objective_bad_events_total".into(),
        }
    }
}

/// Rules for Prometheus: recorded increases per window and an alert per severity.
#[must_use]
pub fn prometheus(objectives: &[Objective], metrics: &Metrics) -> String {
    let mut out = String::from("groups:\n");
    for objective in objectives {
        let name = quoted(&objective.name);
        let _ = writeln!(
            out,
            "  - name: {}",
            yaml(&format!("objective {}", objective.name))
        );
        out += "    rules:\n";
        for seconds in windows(objective) {
            let window = duration(seconds);
            for (what, counter) in [("events", &metrics.total), ("bad_events", &metrics.bad)] {
                let expression = format!(
                    "sum by (objective) (increase({counter}{{objective={name}}}[{window}]))"
                );
                let _ = writeln!(out, "      - record: objective:{what}:increase{window}");
                let _ = writeln!(out, "        expr: {}", yaml(&expression));
            }
        }
        for severity in [Severity::Page, Severity::Ticket] {
            let of = |pair: &&super::Pair| pair.severity == severity;
            let pairs: Vec<String> = objective
                .policy
                .pairs
                .iter()
                .filter(of)
                .map(|pair| condition(objective, pair))
                .collect();
            if !pairs.is_empty() {
                let expression = pairs.join(" or ");
                alert(&mut out, "ObjectiveBurns", severity, &expression);
            }
        }
        if objective.policy.expected_min > 0.0 {
            let expression = vanished(objective);
            let severity = objective.policy.vanished;
            alert(&mut out, "ObjectiveVanished", severity, &expression);
        }
    }
    out
}

/// A specification for Sloth (`prometheus/v1`), which makes rules of its own from it: without the
/// least count, the lower bound and the alert about vanished traffic.
#[must_use]
pub fn sloth(service: &str, objectives: &[Objective], metrics: &Metrics) -> String {
    let mut out = String::from("version: prometheus/v1\n");
    let _ = writeln!(out, "service: {}", yaml(service));
    out += "slos:\n";
    for objective in objectives {
        let selector = format!("objective={}", quoted(&objective.name));
        let query = |counter: &str| {
            yaml(&format!(
                "sum(rate({counter}{{{selector}}}[{{{{.window}}}}]))"
            ))
        };
        let _ = writeln!(out, "  - name: {}", yaml(&objective.name));
        let _ = writeln!(out, "    objective: {}", number(objective.target * 100.0));
        out += "    sli:\n      events:\n";
        let _ = writeln!(out, "        error_query: {}", query(&metrics.bad));
        let _ = writeln!(out, "        total_query: {}", query(&metrics.total));
        out += "    alerting:\n      name: ObjectiveBurns\n";
        for (key, severity) in [
            ("page_alert", Severity::Page),
            ("ticket_alert", Severity::Ticket),
        ] {
            let has = objective
                .policy
                .pairs
                .iter()
                .any(|pair| pair.severity == severity);
            match has {
                true => {
                    let _ = writeln!(
                        out,
                        "      {key}:\n        labels:\n          severity: {}",
                        severity.as_str()
                    );
                }
                false => {
                    let _ = writeln!(out, "      {key}:\n        disable: true");
                }
            }
        }
    }
    out
}

/// All windows that the rules read, each once.
fn windows(objective: &Objective) -> BTreeSet<u64> {
    let pairs = objective.policy.pairs.iter();
    let mut windows: BTreeSet<u64> = pairs
        .flat_map(|pair| [pair.long_s, pair.short_s])
        .into_set();
    if objective.policy.expected_min > 0.0 {
        windows.extend([PRESENT_S, USUAL_S]);
    }
    windows
}

/// `burn::burns` in PromQL.
fn condition(objective: &Objective, pair: &super::Pair) -> String {
    let name = quoted(&objective.name);
    let of = |what: &str, seconds: u64| {
        format!(
            "objective:{what}:increase{}{{objective={name}}}",
            duration(seconds)
        )
    };
    let limit = number(objective.limit(pair));
    let (total, bad) = (of("events", pair.long_s), of("bad_events", pair.long_s));
    let (short_total, short_bad) = (of("events", pair.short_s), of("bad_events", pair.short_s));
    let least = objective.policy.bad_min.max(1);
    let z = objective.policy.deviations;
    let (square, half, quarter) = (number(z * z), number(z * z / 2.0), number(z * z / 4.0));
    let z = number(z);
    format!(
        "({short_bad} / {short_total} > {limit} and {bad} / {total} > {limit} and {bad} >= {least} \
         and ({bad} + {half} - {z} * sqrt({bad} * ({total} - {bad}) / {total} + {quarter})) \
         / ({total} + {square}) > {limit})"
    )
}

/// `burn::has_vanished` in PromQL: a series that is gone altogether counts as silent.
fn vanished(objective: &Objective) -> String {
    let name = quoted(&objective.name);
    let expected = number(objective.policy.expected_min * USUAL_S as f64 / PRESENT_S as f64);
    format!(
        "objective:events:increase{}{{objective={name}}} >= {expected} unless \
         objective:events:increase{}{{objective={name}}} > 0",
        duration(USUAL_S),
        duration(PRESENT_S)
    )
}

/// An alert rule; which objective it is about is a label of the recorded increases.
fn alert(out: &mut String, name: &str, severity: Severity, expression: &str) {
    let _ = writeln!(out, "      - alert: {name}");
    let _ = writeln!(out, "        expr: {}", yaml(expression));
    let _ = writeln!(
        out,
        "        labels:\n          severity: {}",
        severity.as_str()
    );
}

/// A duration as Prometheus writes it, in its largest whole unit up to days.
fn duration(seconds: u64) -> String {
    for (unit, length) in [("d", 86_400), ("h", 3600), ("m", 60)] {
        if seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

/// The shortest text that reads back as the same number, without the noise of `1 - target`.
fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.12e}").parse().unwrap_or(value);
    format!("{rounded}")
}

/// A string in PromQL.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out += "\\n",
            character => out.push(character),
        }
    }
    out.push('"');
    out
}

/// A string in YAML, in single quotes: nothing in it is special there but the quote. Names have no
/// line breaks in our configuration; one here becomes a space.
pub(super) fn yaml(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace(['\n', '\r'], " "))
}
