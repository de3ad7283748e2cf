//! Objectives to OpenSLO.

use super::super::{Calendar, Definition, Metrics, Pair, Span};
use super::ANNOTATION;
use crate::slo::export::yaml;
use serde_json::{Value, json};

/// Objectives as OpenSLO v1 documents in YAML, one after the other.
#[must_use]
pub fn write(definitions: &[Definition], metrics: &Metrics) -> String {
    let document = |definition: &Definition| {
        let mut text = String::from("---\n");
        emit(&mut text, &value(definition, metrics), 0);
        text
    };
    definitions.iter().map(document).collect()
}

/// A name that OpenSLO allows: letters, digits and `-`, at most 63.
pub(super) fn label(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let text: String = name.chars().map(plain).take(63).collect();
    match text.trim_matches('-') {
        "" => "objective".into(),
        text => text.into(),
    }
}

fn value(definition: &Definition, metrics: &Metrics) -> Value {
    let objective = &definition.objective;
    let name = label(&objective.name);
    let source = |counter: &str| {
        let quoted = crate::slo::export::quoted(&objective.name);
        let query = format!("sum({counter}{{objective={quoted}}})");
        json!({ "metricSource": { "type": "Prometheus", "spec": { "query": query } } })
    };
    let own = serde_json::to_string(definition).unwrap_or_default();
    let conditions: Vec<Value> = objective
        .policy
        .pairs
        .iter()
        .map(|pair| condition(objective, pair))
        .collect();
    json!({
        "apiVersion": "openslo/v1",
        "kind": "SLO",
        "metadata": {
            "name": name,
            "displayName": objective.name,
            "annotations": { ANNOTATION: own },
        },
        "spec": {
            "description": definition.description,
            "service": label(&definition.service),
            "indicator": {
                "metadata": { "name": format!("{name}-indicator").chars().take(63).collect::<String>() },
                "spec": { "ratioMetric": {
                    "counter": true,
                    "bad": source(&metrics.bad),
                    "total": source(&metrics.total),
                } },
            },
            "timeWindow": [window(&objective.span)],
            "budgetingMethod": "Occurrences",
            "objectives": [{ "displayName": objective.name, "target": objective.target }],
            "alertPolicies": [{
                "kind": "AlertPolicy",
                "metadata": { "name": format!("{name}-alerts").chars().take(63).collect::<String>() },
                "spec": { "conditions": conditions },
            }],
        },
    })
}

fn condition(objective: &crate::slo::Objective, pair: &Pair) -> Value {
    let long = duration(pair.long_s);
    json!({
        "kind": "AlertCondition",
        "metadata": { "name": format!("{}-{long}", pair.severity.as_str()) },
        "spec": {
            "severity": pair.severity.as_str(),
            "condition": {
                "kind": "burnrate",
                "op": "gt",
                "threshold": pair.factor(objective.span.seconds()),
                "lookbackWindow": long,
                "alertAfter": "0m",
            },
        },
    })
}

fn window(span: &Span) -> Value {
    match span {
        Span::Rolling(seconds) => json!({ "duration": duration(*seconds), "isRolling": true }),
        Span::Calendar(calendar, zone) => {
            let unit = match calendar {
                Calendar::Day => "1d",
                Calendar::Week => "1w",
                Calendar::Month => "1M",
                Calendar::Quarter => "1Q",
                Calendar::Year => "1Y",
            };
            // 2024 began on a Monday: one beginning for every unit.
            let calendar = json!({ "startTime": "2024-01-01 00:00:00", "timeZone": zone });
            json!({ "duration": unit, "isRolling": false, "calendar": calendar })
        }
    }
}

/// OpenSLO's duration shorthand, of days, hours and minutes; seconds become minutes, at least one.
fn duration(seconds: u64) -> String {
    for (unit, length) in [("d", 86_400), ("h", 3600)] {
        if seconds >= length && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{}m", seconds.div_ceil(60))
}

/// Writes a value as YAML in block style.
fn emit(out: &mut String, value: &Value, indent: usize) {
    let space = " ".repeat(indent);
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                out.push_str(&format!("{space}{key}:"));
                emit_below(out, value, indent + 2);
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut text = String::new();
                emit(&mut text, item, indent + 2);
                // The first line of an item stands behind its dash.
                out.push_str(&format!("{space}- {}", text.trim_start()));
            }
        }
        scalar => out.push_str(&format!("{space}{}\n", plain(scalar))),
    }
}

fn emit_below(out: &mut String, value: &Value, indent: usize) {
    let is_empty = value.as_array().is_some_and(Vec::is_empty);
    match value {
        Value::Array(_) if is_empty => out.push_str(" []\n"),
        Value::Object(_) | Value::Array(_) => {
            out.push('\n');
            emit(out, value, indent);
        }
        scalar => out.push_str(&format!(" {}\n", plain(scalar))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        // A line break ends a plain or single-quoted text's line; JSON's form keeps it.
        Value::String(text) if text.contains(char::is_control) => value.to_string(),
        Value::String(text) => yaml(text),
        value => value.to_string(),
    }
}
