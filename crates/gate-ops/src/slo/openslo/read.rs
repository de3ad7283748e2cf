//! OpenSLO to objectives.

use super::super::{Calendar, Definition, Good, Objective, Pair, Policy, Scope, Severity, Span};
use super::{ANNOTATION, DOCUMENTS_MAX, Lack, Parsed};
use gate_model::document::parse as parse_yaml;
use serde_json::Value;

/// Reads OpenSLO v1 documents, separated by `---`. Indicators and alert policies may stand in
/// documents of their own.
#[must_use]
pub fn parse(text: &str) -> Parsed {
    let mut reader = Reader::default();
    for (number, document) in documents(text).into_iter().enumerate() {
        if number >= DOCUMENTS_MAX {
            reader.lack(
                "",
                format!("only the first {DOCUMENTS_MAX} documents were read"),
            );
            break;
        }
        reader.place = (number + 1).to_string();
        let value = parse_yaml(&document, "")
            .map_err(|findings| {
                findings
                    .first()
                    .map_or_else(String::new, |first| first.message.to_string())
            })
            .and_then(|node| serde_json::to_value(&node).map_err(|error| error.to_string()));
        match value {
            Ok(Value::Object(fields)) if fields.is_empty() => {}
            Ok(value) => reader.documents.push((reader.place.clone(), value)),
            Err(problem) => reader.lack("", format!("is no YAML document: {problem}")),
        }
    }
    reader.read()
}

fn documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.lines() {
        if line.trim_end() == "---" {
            documents.push(String::new());
        } else if let Some(last) = documents.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    documents.retain(|document| !document.trim().is_empty());
    documents
}

#[derive(Default)]
struct Reader {
    place: String,
    documents: Vec<(String, Value)>,
    out: Parsed,
}

impl Reader {
    fn lack(&mut self, field: &str, message: impl Into<String>) {
        let place = match field {
            "" => format!("document {}", self.place),
            field => format!("document {}, {field}", self.place),
        };
        self.out.lacks.push(Lack {
            place,
            message: message.into(),
        });
    }

    fn read(mut self) -> Parsed {
        let documents = std::mem::take(&mut self.documents);
        for (place, document) in &documents {
            self.place.clone_from(place);
            let version = text(document, "apiVersion");
            if version != "openslo/v1" {
                self.lack(
                    "apiVersion",
                    format!("`{version}` is not `openslo/v1`; left out"),
                );
                continue;
            }
            match text(document, "kind") {
                "SLO" => self.slo(document, &documents),
                // Read where an SLO names them.
                "SLI" | "AlertPolicy" | "AlertCondition" => {}
                kind => self.lack("kind", format!("`{kind}` has no counterpart; left out")),
            }
        }
        self.out
    }

    fn slo(&mut self, document: &Value, all: &[(String, Value)]) {
        let annotation = &document["metadata"]["annotations"][ANNOTATION];
        if let Some(own) = annotation.as_str() {
            match serde_json::from_str::<Definition>(own) {
                Ok(definition) => return self.take(definition),
                Err(error) => {
                    self.lack(
                        "metadata.annotations",
                        format!("cannot be read ({error}); the rest was"),
                    );
                }
            }
        }
        let spec = &document["spec"];
        let name = text(&document["metadata"], "name").to_owned();
        let Some(span) = self.span(&spec["timeWindow"]) else {
            return;
        };
        match text(spec, "budgetingMethod") {
            "" | "Occurrences" => {}
            method => self.lack(
                "spec.budgetingMethod",
                format!("`{method}` is counted by occurrences here"),
            ),
        }
        let (good, scope) = self.indicator(spec, all);
        let policy = self.policy(&spec["alertPolicies"], all, &span);
        let objectives = spec["objectives"].as_array().map_or(&[][..], Vec::as_slice);
        if objectives.is_empty() {
            self.lack("spec.objectives", "there is none; left out");
        }
        for (index, one) in objectives.iter().enumerate() {
            let Some(target) = self.target(one) else {
                continue;
            };
            let name = match objectives.len() {
                1 => name.clone(),
                _ => format!("{name}-{}", index + 1),
            };
            let objective = Objective {
                name,
                target,
                span: span.clone(),
                policy: policy.clone(),
            };
            self.take(Definition {
                objective,
                good: good.clone(),
                scope: scope.clone(),
                service: text(spec, "service").to_owned(),
                description: text(spec, "description").to_owned(),
                runbook: String::new(),
                changes_need: None,
            });
        }
    }

    /// The target of one of an SLO's objectives, from 0 to 1.
    fn target(&mut self, objective: &Value) -> Option<f64> {
        for field in [
            "timeSliceTarget",
            "timeSliceWindow",
            "compositeWeight",
            "indicator",
            "indicatorRef",
        ] {
            if !objective[field].is_null() {
                self.lack("spec.objectives", format!("`{field}` has no counterpart"));
            }
        }
        let percent = objective["targetPercent"].as_f64();
        let target = objective["target"].as_f64();
        let target = target.or(percent.map(|percent| percent / 100.0));
        if target.is_none() {
            self.lack("spec.objectives", "one has no target; left out");
        }
        target
    }

    fn take(&mut self, definition: Definition) {
        match definition.check() {
            Ok(()) => self.out.definitions.push(definition),
            Err(problem) => self.lack(
                "",
                format!("`{}`: {problem}; left out", definition.objective.name),
            ),
        }
    }

    fn span(&mut self, windows: &Value) -> Option<Span> {
        let window = &windows[0];
        let shorthand = text(window, "duration");
        let calendar = &window["calendar"];
        let is_calendar = calendar.is_object() && window["isRolling"].as_bool() != Some(true);
        let span = match is_calendar {
            false => seconds(shorthand).map(Span::Rolling),
            true => {
                let unit = match shorthand {
                    "1d" => Some(Calendar::Day),
                    "1w" | "7d" => Some(Calendar::Week),
                    "1M" => Some(Calendar::Month),
                    "1Q" | "3M" => Some(Calendar::Quarter),
                    "1Y" | "12M" => Some(Calendar::Year),
                    _ => None,
                };
                let zone = text(calendar, "timeZone").to_owned();
                unit.map(|unit| Span::Calendar(unit, zone))
            }
        };
        if span.is_none() {
            self.lack(
                "spec.timeWindow",
                format!("`{shorthand}` is no window that we have; left out"),
            );
        }
        span
    }

    /// Their queries cannot be run here: the objective counts exchanges by itself.
    fn indicator(&mut self, spec: &Value, all: &[(String, Value)]) -> (Good, Scope) {
        let named = text(spec, "indicatorRef");
        let found = find(all, "SLI", named);
        let indicator = match &spec["indicator"] {
            Value::Null => found.map(|found| &found["spec"]),
            inline => Some(&inline["spec"]),
        };
        match indicator {
            None => self.lack("spec.indicatorRef", format!("there is no SLI `{named}`; exchanges of all routes are counted by whether they were answered")),
            Some(indicator) => {
                let kind = match indicator["thresholdMetric"].is_null() {
                    true => "ratioMetric",
                    false => "thresholdMetric",
                };
                self.lack("spec.indicator", format!("the queries of its `{kind}` were not taken over; exchanges of all routes are counted by whether they were answered: set what is counted"));
            }
        }
        (Good::Available {}, Scope::default())
    }

    fn policy(&mut self, policies: &Value, all: &[(String, Value)], span: &Span) -> Policy {
        let mut pairs = Vec::new();
        for policy in policies.as_array().map_or(&[][..], Vec::as_slice) {
            let named = policy
                .as_str()
                .unwrap_or_else(|| text(policy, "alertPolicyRef"));
            let policy = match named {
                "" => Some(policy),
                named => find(all, "AlertPolicy", named),
            };
            let Some(policy) = policy else {
                self.lack(
                    "spec.alertPolicies",
                    format!("there is no AlertPolicy `{named}`"),
                );
                continue;
            };
            if policy["spec"]["notificationTargets"]
                .as_array()
                .is_some_and(|targets| !targets.is_empty())
            {
                self.lack(
                    "spec.alertPolicies",
                    "notification targets were not taken over",
                );
            }
            for condition in policy["spec"]["conditions"]
                .as_array()
                .map_or(&[][..], Vec::as_slice)
            {
                let named = text(condition, "conditionRef");
                let condition = match named {
                    "" => Some(condition),
                    named => find(all, "AlertCondition", named),
                };
                pairs.extend(condition.and_then(|condition| self.pair(&condition["spec"], span)));
            }
        }
        match pairs.is_empty() {
            true => Policy::default(),
            false => Policy {
                pairs,
                ..Policy::default()
            },
        }
    }

    fn pair(&mut self, spec: &Value, span: &Span) -> Option<Pair> {
        let condition = &spec["condition"];
        let long_s = seconds(text(condition, "lookbackWindow"));
        let factor = condition["threshold"].as_f64();
        let (Some(long_s), Some(factor)) = (long_s.filter(|long_s| *long_s >= 120), factor) else {
            self.lack(
                "spec.alertPolicies",
                "a condition has no burn rate or no window of 2 minutes or more; left out",
            );
            return None;
        };
        // A twelfth, as Google's workbook has it, on a whole minute.
        let short_s = (long_s / 12 / 60 * 60).max(60);
        let severity = match text(spec, "severity") {
            "page" | "critical" | "high" => Severity::Page,
            _ => Severity::Ticket,
        };
        if !matches!(text(condition, "alertAfter"), "" | "0" | "0s" | "0m") {
            self.lack(
                "spec.alertPolicies",
                format!("`alertAfter` became a short window of {short_s} s"),
            );
        }
        let budget = factor * long_s as f64 / span.seconds() as f64;
        Some(Pair {
            long_s,
            short_s,
            budget,
            severity,
        })
    }
}

fn find<'a>(all: &'a [(String, Value)], kind: &str, name: &str) -> Option<&'a Value> {
    let is_it = |document: &&Value| {
        text(document, "kind") == kind && text(&document["metadata"], "name") == name
    };
    all.iter().map(|(_, document)| document).find(is_it)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// OpenSLO's duration shorthand in seconds; a month has 30 days, a quarter 90, a year 365.
fn seconds(shorthand: &str) -> Option<u64> {
    let unit = shorthand.chars().last()?;
    let number: u64 = shorthand[..shorthand.len() - unit.len_utf8()]
        .parse()
        .ok()?;
    let length = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        'M' => 30 * 86_400,
        'Q' => 90 * 86_400,
        'Y' => 365 * 86_400,
        _ => return None,
    };
    number.checked_mul(length).filter(|seconds| *seconds > 0)
}
