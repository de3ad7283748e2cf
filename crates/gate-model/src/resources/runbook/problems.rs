//! What is wrong with a runbook by itself.

use super::{Check, Runbook, RunbookStep, RunbookTrigger, StepWork};
use crate::resources::RunbookEvent;
use crate::resources::action::ACTION_S_MAX;
use crate::units::Period;

/// Most steps of a runbook.
const RUNBOOK_STEPS_MAX: usize = 50;

/// The longest window of a check, in seconds.
const CHECK_OVER_S_MAX: u64 = 600;

/// The longest a step, a check, an approval or a question waits, in seconds: a day.
const RUNBOOK_WAIT_S_MAX: u64 = 24 * 60 * 60;

/// The longest time that a command may take, in seconds: an hour.
const COMMAND_S_MAX: u64 = 3600;

/// A problem of a runbook: the path of fields to it, and a sentence.
pub type RunbookProblem = (String, String);

/// Whether a time is from a second to so many.
fn is_within(period: Period, most_s: u64) -> bool {
    (1..=most_s).contains(&period.duration().as_secs())
}

impl Check {
    fn problems(&self, at: &str, problems: &mut Vec<RunbookProblem>) {
        let mut wrong = |field: &str, problem: &str| {
            problems.push((format!("{at}.{field}"), problem.to_owned()));
        };
        let over = self.over.duration().as_secs();
        if !(1..=CHECK_OVER_S_MAX).contains(&over) {
            wrong("over", "a window is from 1s to 10m");
        }
        let within = self.within.duration().as_secs();
        if within < over || within > RUNBOOK_WAIT_S_MAX {
            wrong(
                "within",
                "it is as long as the window at least, and a day at most",
            );
        }
        if self.least == 0 {
            wrong("least", "a check looks at one exchange at least");
        }
        let of = [&self.of.route, &self.of.upstream, &self.of.provider];
        if of.iter().filter(|one| one.is_some()).count() > 1 {
            wrong("of", "it is one of a route, an upstream and a provider");
        }
        if self.of.endpoint.is_some() && self.of.upstream.is_none() {
            wrong("of", "an endpoint is one of an `upstream`");
        }
    }
}

impl RunbookTrigger {
    fn problem(&self) -> Option<(&'static str, &'static str)> {
        match self {
            RunbookTrigger::Incident {
                severity: Some(severity),
                ..
            } if !(1..=4).contains(severity) => Some(("incident.severity", "it is from 1 to 4")),
            RunbookTrigger::Event {
                name: RunbookEvent::RevisionRolledBack,
                of: Some(_),
            } => Some(("event.of", "a revision is of the whole environment")),
            _ => None,
        }
    }
}

impl RunbookStep {
    fn problems(&self, at: &str, problems: &mut Vec<RunbookProblem>) {
        let mut wrong = |field: &str, problem: &str| {
            problems.push((format!("{at}.{field}"), problem.to_owned()));
        };
        match &self.work {
            StepWork::Check(check) => check.problems(at, problems),
            StepWork::Command {
                program, timeout, ..
            } => {
                if !program.is_absolute() {
                    wrong("program", "a program is named by its absolute path");
                }
                if !is_within(*timeout, COMMAND_S_MAX) {
                    wrong("timeout", "a command may take from 1s to 1h");
                }
            }
            StepWork::Act { action, lasts } => {
                if !is_within(*lasts, ACTION_S_MAX) {
                    wrong("for", "an action lasts from 1s to 24h");
                }
                if let Some(problem) = action.problem() {
                    wrong("action", &problem);
                }
            }
            StepWork::Ask {
                answers,
                goes_on,
                within,
                ..
            } => {
                if answers.is_empty() || !goes_on.iter().all(|one| answers.contains(one)) {
                    wrong("answers", "there are answers, and `goes_on` is among them");
                }
                if !is_within(*within, RUNBOOK_WAIT_S_MAX) {
                    wrong("within", "an answer is waited for from 1s to 24h");
                }
            }
        }
    }
}

impl Runbook {
    /// What is wrong with it by itself.
    #[must_use]
    pub fn problems(&self) -> Vec<RunbookProblem> {
        let mut problems = Vec::new();
        if let Some(check) = &self.precondition {
            check.problems("precondition", &mut problems);
        }
        if let Some(check) = &self.postcondition {
            check.problems("postcondition", &mut problems);
        }
        for (place, step) in self.steps.iter().enumerate() {
            let at = format!("steps.{place}.do.{}", step.work.as_str());
            step.problems(&at, &mut problems);
        }
        let mut wrong = |field: String, problem: &str| problems.push((field, problem.to_owned()));
        if self.about.trim().is_empty() {
            wrong("about".into(), "it says what it is for");
        }
        if self.steps.is_empty() || self.steps.len() > RUNBOOK_STEPS_MAX {
            wrong("steps".into(), "a runbook has from 1 to 50 steps");
        }
        if let Some(approval) = &self.approval
            && !is_within(approval.within, RUNBOOK_WAIT_S_MAX)
        {
            let text = "an approval is waited for from 1s to 24h";
            wrong("approval.within".into(), text);
        }
        for (place, trigger) in self.on.iter().enumerate() {
            if let Some((field, problem)) = trigger.problem() {
                wrong(format!("on.{place}.{field}"), problem);
            }
        }
        let acts = |step: &RunbookStep| matches!(step.work, StepWork::Act { .. });
        if self.postcondition.is_none() && self.steps.iter().any(acts) {
            let text = "a runbook that acts on the gateway asks the traffic whether that helped";
            wrong("postcondition".into(), text);
        }
        problems
    }
}
