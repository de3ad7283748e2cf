//! How plans, refusals and times are shown to people.
//!
//! What comes from a server may hold anything: control characters are not passed on to terminals.

use super::document::{Source, describe};
pub(super) use gate_api::types::one_line as line;
use gate_api::types::{Action, Applied, Change, Plan};
use gate_api::{ClientError, Problem};
use serde_json::Value;
use std::fmt::Write;

/// The longest value that is shown, in characters.
const VALUE_CHARS_MAX: usize = 120;

/// A refusal with all that is wrong.
pub(crate) fn refusal(error: &ClientError) -> String {
    match error.problem() {
        Some(problem) => problem_text(problem, None),
        None => line(&error.to_string()),
    }
}

/// The same, with findings at their places in a file.
pub(super) fn refusal_of(error: &ClientError, source: &Source) -> String {
    match error.problem() {
        Some(problem) => problem_text(problem, Some(source)),
        None => line(&error.to_string()),
    }
}

fn problem_text(problem: &Problem, source: Option<&Source>) -> String {
    let mut text = String::new();
    for finding in &problem.findings {
        let shown = match source {
            Some(source) => source.text(finding),
            None => describe(finding),
        };
        let _ = writeln!(text, "{shown}");
    }
    let _ = write!(text, "{} ({}): ", line(&problem.title), problem.code);
    text.push_str(&line(&problem.detail));
    if let Some(generation) = problem.generation {
        let _ = write!(
            text,
            "\nThe environment is at generation {generation} now; since then:"
        );
        text.push('\n');
        changes(&mut text, &problem.changes);
    }
    text
}

/// A plan.
pub(super) fn plan(environment: &str, plan: &Plan) -> String {
    let mut text = String::new();
    let base = plan.base.map_or_else(
        || "no revision yet".to_owned(),
        |number| format!("revision {number}"),
    );
    let _ = writeln!(text, "{environment}, {base}");
    changes(&mut text, &plan.changes);
    if let Some(found) = &plan.effect {
        text.push_str(&found.shown(usize::MAX));
    }
    let count = |action: Action| {
        let of_action = plan.changes.iter().filter(|change| change.action == action);
        of_action.count()
    };
    let _ = match plan.is_empty() {
        true => writeln!(text, "Nothing to change."),
        false => writeln!(
            text,
            "{} to create, {} to change, {} to remove.",
            count(Action::Create),
            count(Action::Update),
            count(Action::Delete)
        ),
    };
    text
}

/// What became of a write.
pub(super) fn applied(applied: &Applied) -> String {
    let environment = &applied.environment;
    let mut text = String::new();
    match &applied.revision {
        None => text.push_str("Nothing changed.\n"),
        Some(revision) => {
            let _ = writeln!(
                text,
                "Revision {} of {} ({}).",
                revision.number,
                environment.name,
                revision.digest.get(..12).unwrap_or(&revision.digest)
            );
        }
    }
    if let Some(rollout) = &applied.rollout {
        let _ = writeln!(
            text,
            "It is tried on a share of requests: rollout {rollout}."
        );
    }
    if let Some(until) = &environment.confirm_until {
        let _ = writeln!(
            text,
            "It goes back by itself at {until} unless confirmed: tidegate confirm --env {}",
            environment.name
        );
    }
    text
}

/// Changes, resource by resource.
pub(super) fn changes(text: &mut String, changes: &[Change]) {
    for change in changes {
        let mark = match change.action {
            Action::Create => '+',
            Action::Update => '~',
            Action::Delete => '-',
        };
        let (kind, name) = (line(&change.kind), line(&change.name));
        let _ = writeln!(text, "  {mark} {kind}.{name}");
        for field in change.fields.iter().filter(|field| !field.path.is_empty()) {
            let (before, after) = (value(field.before.as_ref()), value(field.after.as_ref()));
            let _ = writeln!(text, "      {}: {before} -> {after}", line(&field.path));
        }
    }
}

fn value(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "(none)".to_owned();
    };
    let text = line(&value.to_string());
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
