//! A postmortem's draft from the facts, as Markdown: the sections that people know, and the questions
//! that the facts do not answer. Facts are cited by number with a link to what shows them; hypotheses
//! stand apart; actors are roles.

use super::lint::{Objection, lint};
use super::{Incident, Standing, What};
use gate_kit::date;
use gate_kit::order::Order;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::time::Duration;

/// Where an action item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionState {
    /// To be done.
    Open,
    /// Done.
    Done,
    /// Will not be done; the text says why.
    Dropped,
}

/// Something to be done so that it does not come again, or not as bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// What.
    pub text: String,
    /// The team that does it: never a person.
    pub team: String,
    /// Where it is.
    pub state: ActionState,
    /// Until when, in UNIX milliseconds.
    pub due_ms: Option<u64>,
}

/// What people add to the facts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Narrative {
    /// In a few sentences, for somebody who was not there.
    pub overview: String,
    /// What made it possible, made it worse, or kept it from being worse.
    pub contributing: Vec<String>,
    /// What went well.
    pub well: Vec<String>,
    /// What did not.
    pub badly: Vec<String>,
    /// What is to be done.
    pub actions: Vec<Action>,
}

/// Drafts the postmortem of an incident.
///
/// # Errors
/// What blames people in what was written, by line of the draft. Names of those with roles must not
/// stand in it.
pub fn draft(incident: &Incident, narrative: &Narrative) -> Result<String, Vec<Objection>> {
    let out = written(incident, narrative);
    let people: Vec<String> = incident.roles.values().cloned().collect();
    match lint(&out, &people) {
        objections if objections.is_empty() => Ok(out),
        objections => Err(objections),
    }
}

/// The same without asking whether it blames: for those who still write it.
#[must_use]
pub fn written(incident: &Incident, narrative: &Narrative) -> String {
    let mut out = format!("# Postmortem: {}\n\n", incident.id);
    overview(&mut out, incident, narrative);
    impact(&mut out, incident);
    timeline(&mut out, incident);
    hypotheses(&mut out, incident);
    let list = |out: &mut String, title: &str, lines: &[String], question: &str| {
        let _ = writeln!(out, "## {title}\n");
        if lines.is_empty() {
            let _ = writeln!(out, "_{question}_\n");
            return;
        }
        for line in lines {
            let _ = writeln!(out, "- {}", one_line(line));
        }
        out.push('\n');
    };
    list(
        &mut out,
        "Contributing factors",
        &narrative.contributing,
        "What made this possible, likely, or worse? What kept it from being worse?",
    );
    list(
        &mut out,
        "What went well",
        &narrative.well,
        "What worked, and was it luck?",
    );
    list(
        &mut out,
        "What did not go well",
        &narrative.badly,
        "What was surprising? What did those who acted not know at the time?",
    );
    actions(&mut out, narrative);
    out
}

fn overview(out: &mut String, incident: &Incident, narrative: &Narrative) {
    let severity = incident
        .severity
        .map_or("not judged".into(), |severity| severity.0.to_string());
    let _ = writeln!(
        out,
        "Severity {severity}, {}. This text is blameless: it asks what made things possible, not who.\n",
        incident.life.as_str()
    );
    if let Some(experiment) = &incident.experiment {
        let _ = writeln!(out, "This was an experiment: {}.\n", one_line(experiment));
    }
    out.push_str("## Overview\n\n");
    match narrative.overview.trim() {
        "" => {
            out.push_str("_What happened, in a few sentences, for somebody who was not there?_\n\n")
        }
        text => {
            let _ = writeln!(out, "{text}\n");
        }
    }
}

fn impact(out: &mut String, incident: &Incident) {
    out.push_str("## Impact\n\n");
    let onset_ms = incident.onset_ms();
    let _ = writeln!(
        out,
        "- Began {}, noticed {} later.",
        stamp(onset_ms),
        span(incident.opened_ms.saturating_sub(onset_ms))
    );
    if let Some(recovered_ms) = incident.recovered_ms() {
        let _ = writeln!(
            out,
            "- Over {}, after {}.",
            stamp(recovered_ms),
            span(recovered_ms.saturating_sub(onset_ms))
        );
    }
    if let Some(impact) = incident.impact() {
        let _ = writeln!(
            out,
            "- {} of {} exchanges failed, of {} consumers.",
            impact.count.bad, impact.count.total, impact.consumers
        );
        let dollars = impact.money_micros as f64 / 1e6;
        let _ = writeln!(
            out,
            "- {:.1} % of the error budget was spent, and {dollars:.2} dollars on exchanges that failed.",
            impact.budget * 100.0
        );
    }
    let names = |names: &std::collections::BTreeSet<String>| {
        let names: Vec<String> = names
            .iter()
            .map(|name| format!("`{}`", one_line(name)))
            .collect();
        names.join(", ")
    };
    for (what, set) in [
        ("Objectives", &incident.objectives),
        ("Routes", &incident.routes),
        ("Revisions", &incident.revisions),
    ] {
        if !set.is_empty() {
            let _ = writeln!(out, "- {what}: {}.", names(set));
        }
    }
    out.push('\n');
}

fn timeline(out: &mut String, incident: &Incident) {
    out.push_str("## Timeline\n\n| Fact | Time | What |\n|---|---|---|\n");
    let mut facts: Vec<_> = incident.facts.iter().collect();
    facts.order_by_key(|fact| (fact.at_ms, fact.id));
    for fact in facts {
        let what = one_line(&words(&fact.what)).replace('|', "\\|");
        let _ = writeln!(
            out,
            "| [{}]({}) | {} | {what} |",
            fact.id,
            fact.query.link(),
            stamp(fact.at_ms)
        );
    }
    if incident.facts_left_out > 0 {
        let _ = writeln!(
            out,
            "\n{} further facts were not kept.",
            incident.facts_left_out
        );
    }
    out.push('\n');
}

/// A fact in words.
#[must_use]
pub fn words(what: &What) -> String {
    match what {
        What::Revision {
            revision,
            difference,
        } => format!("revision {revision} was applied: {difference}"),
        What::Onset { before, since } => format!(
            "it began: {} of {} exchanges failed before, {} of {} since",
            before.bad, before.total, since.bad, since.total
        ),
        What::FirstBad { exchange } => format!("the first exchange that failed: {exchange}"),
        What::Evidence { of, log } => format!("evidence of {of}: {log:.1} (logarithm)"),
        What::Signal { text, .. } | What::Experiment { text } => text.clone(),
        What::Impact(impact) => format!(
            "{} of {} exchanges had failed by then",
            impact.count.bad, impact.count.total
        ),
        What::Action { text, by } => format!("{text} ({by})"),
        What::Failover { text } => text.clone(),
        What::Recovery {} => "the objectives are kept again".into(),
        What::Life { life, reason } => format!("{}: {reason}", life.as_str()),
    }
}

fn hypotheses(out: &mut String, incident: &Incident) {
    out.push_str("## Hypotheses\n\nWhat could be so; facts are above.\n\n");
    for hypothesis in &incident.hypotheses {
        let standing = match hypothesis.standing {
            Standing::Open => "open",
            Standing::Supported => "supported",
            Standing::Refuted => "refuted",
        };
        let facts: Vec<String> = hypothesis.facts.iter().map(u32::to_string).collect();
        let _ = writeln!(
            out,
            "- ({standing}) {} - facts {}",
            one_line(&hypothesis.text),
            facts.join(", ")
        );
    }
    if incident.hypotheses.is_empty() {
        out.push_str("_None was noted._\n");
    }
    out.push('\n');
}

fn actions(out: &mut String, narrative: &Narrative) {
    out.push_str("## Action items\n\n");
    if narrative.actions.is_empty() {
        out.push_str("_What would have prevented it, shown it sooner, or ended it sooner? Which team does that, until when?_\n");
    }
    for action in &narrative.actions {
        let mark = match action.state {
            ActionState::Open => ' ',
            ActionState::Done | ActionState::Dropped => 'x',
        };
        let dropped = if action.state == ActionState::Dropped {
            ", dropped"
        } else {
            ""
        };
        let due = action.due_ms.map_or(String::new(), |due_ms| {
            format!(", until {}", &stamp(due_ms)[..10])
        });
        let _ = writeln!(
            out,
            "- [{mark}] {} (team {}{due}{dropped})",
            one_line(&action.text),
            one_line(&action.team)
        );
    }
}

/// What would end a line of Markdown becomes a space.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn stamp(at_ms: u64) -> String {
    let [year, month, day, hour, minute, second] = date::civil(Duration::from_millis(at_ms));
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

fn span(ms: u64) -> String {
    match ms {
        0..60_000 => format!("{:.1} s", ms as f64 / 1000.0),
        60_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{:.1} h", ms as f64 / 3_600_000.0),
    }
}
