//! What is told of an objective, in words, labels and signals.

use super::{Kind, Raised, Watched, Word};
use gate_ops::incident::{Opening, Query, Signal, Subject};
use gate_ops::notify::{Alert, Labels};
use gate_ops::slo::Severity;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Watched {
    pub(super) fn word(
        &self,
        name: &Arc<str>,
        (raised, kind): (&Raised, Kind),
        since_s: u64,
        on: bool,
        now_s: u64,
    ) -> Word {
        let severity = match kind {
            Kind::Page => Some(Severity::Page),
            Kind::Ticket => Some(Severity::Ticket),
            Kind::Vanished => Some(self.definition.objective.policy.vanished),
            Kind::Suspicion => None,
        };
        let mut text = self.text(name, kind);
        if let Some(experiment) = &raised.experiment {
            text += &format!("; the experiment `{experiment}` explains it");
        }
        let alert = severity.map(|severity| Alert {
            labels: self.labels(name, kind, severity, raised.experiment.as_ref()),
            text: text.clone(),
            since_ms: since_s * 1000,
            is_on: on,
        });
        let opening = match severity {
            None => Opening::Suspicion,
            Some(Severity::Page) => Opening::Page,
            Some(Severity::Ticket) => Opening::Ticket,
        };
        Word {
            objective: name.clone(),
            kind,
            signal: on.then(|| Signal {
                experiment: raised.experiment.clone(),
                ..self.signal(name, opening, text, since_s, now_s)
            }),
            alert,
        }
    }

    fn signal(
        &self,
        name: &Arc<str>,
        opening: Opening,
        text: String,
        since_s: u64,
        now_s: u64,
    ) -> Signal {
        let of = self.attribution.as_ref();
        let first = of.and_then(|found| found.answers.first());
        // The place that explains it may name what changed.
        let revision = first.and_then(|answer| match &answer.causes[..] {
            [only] => only.get("revision").cloned(),
            _ => None,
        });
        Signal {
            opening,
            subject: Subject {
                objective: Some(name.to_string()),
                route: self.definition.scope.route.clone(),
                revision,
            },
            attribution: self.attribution.clone(),
            query: Query {
                of: format!("objectives/{name}"),
                filter: BTreeMap::new(),
                from_ms: since_s.saturating_sub(300) * 1000,
                until_ms: now_s * 1000,
            },
            experiment: None,
            text,
        }
    }

    pub(super) fn text(&self, name: &str, kind: Kind) -> String {
        let budget = self.monitor.budget();
        let burn = budget.burn.unwrap_or_default();
        let left = budget.left.unwrap_or(1.0) * 100.0;
        let mut text = match kind {
            Kind::Page | Kind::Ticket => format!(
                "objective `{name}` burns its error budget {burn:.1} times as fast as allowed; {left:.1} % is left"
            ),
            Kind::Vanished => format!(
                "objective `{name}` has had no exchanges for 5 minutes, where some were to be expected"
            ),
            Kind::Suspicion => {
                format!("objective `{name}` seems to burn: more exchanges are bad than should be")
            }
        };
        let first = self
            .attribution
            .as_ref()
            .and_then(|found| found.answers.first());
        if let Some(first) = first {
            text.push_str("; ");
            text.push_str(&first.to_string());
        }
        text
    }

    pub(super) fn labels(
        &self,
        name: &str,
        kind: Kind,
        severity: Severity,
        experiment: Option<&String>,
    ) -> Labels {
        let alert = match kind {
            Kind::Vanished => "ObjectiveVanished",
            _ => "ObjectiveBurns",
        };
        let definition = &self.definition;
        let mut labels = Labels::from([
            ("alertname".to_owned(), alert.to_owned()),
            ("objective".to_owned(), name.to_owned()),
            ("severity".to_owned(), severity.as_str().to_owned()),
        ]);
        for (key, value) in [
            ("service", &definition.service),
            ("runbook", &definition.runbook),
        ] {
            if !value.is_empty() {
                labels.insert(key.to_owned(), value.clone());
            }
        }
        let scope = &definition.scope;
        let more = [
            ("route", scope.route.as_ref()),
            ("team", scope.team.as_ref()),
            ("experiment", experiment),
        ];
        for (key, value) in more {
            if let Some(value) = value {
                labels.insert(key.to_owned(), value.clone());
            }
        }
        labels
    }
}
