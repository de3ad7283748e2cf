//! One round of a writer: edits compared with what is there, made into a revision, and divided where
//! the server refuses some of them.

use super::session::Settings;
use super::writer::{Edit, Outcome, Refused};
use super::{Control, is_absent};
use crate::convert::same;
use gate_api::client::Seen;
use gate_api::problem::Code;
use gate_api::types::{Document, DocumentInput, Finding, Mode, RolloutState, Severity};
use gate_api::{ClientError, Problem};
use gate_kit::order::Gather;
use gate_model::document::{Path, Segment};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How often a revision is tried against a server on which others write too.
const ATTEMPTS: u32 = 12;
/// Between two looks at a rollout.
const ROLLOUT_STEP: Duration = Duration::from_millis(500);

/// Edits that were gathered, on their way into a revision.
pub(super) struct Round<'a> {
    pub(super) control: &'a dyn Control,
    pub(super) settings: &'a Settings,
    pub(super) environment: &'a str,
    pub(super) edits: Vec<Edit>,
}

/// What a revision is based on.
struct Base {
    seen: Seen,
    /// Whether there is no revision yet.
    new: bool,
    /// The edits that can be made.
    ready: Vec<usize>,
}

impl Round<'_> {
    /// What became of each edit.
    pub(super) fn run(&self) -> Vec<Outcome> {
        let mut outcomes = vec![None; self.edits.len()];
        // The last first, so that the order of arrival is kept.
        let mut groups: Vec<Vec<usize>> = vec![(0..self.edits.len()).collect()];
        while let Some(group) = groups.pop() {
            if let Some((first, second)) = self.group(&group, &mut outcomes) {
                groups.extend(
                    [second, first]
                        .into_iter()
                        .filter(|group| !group.is_empty()),
                );
            }
        }
        let missing = || Outcome::Refused(Refused::Failed("nothing became of the write".into()));
        outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(missing))
            .collect()
    }

    /// Makes a revision of these edits; what must be tried apart is given back.
    fn group(
        &self,
        group: &[usize],
        outcomes: &mut [Option<Outcome>],
    ) -> Option<(Vec<usize>, Vec<usize>)> {
        for attempt in 0..ATTEMPTS {
            let Base { seen, new, ready } = match self.compare(group, outcomes) {
                Ok(compared) => compared,
                Err(error) => {
                    let refused = Refused::Failed(error.to_string());
                    set(group, outcomes, &Outcome::Refused(refused));
                    return None;
                }
            };
            if ready.is_empty() {
                return None;
            }
            let mut input = self.input(&ready);
            if new {
                // The first revision has nothing that it could be compared with.
                input.canary = None;
            }
            match self.control.apply(self.environment, seen, &input, false) {
                Ok(applied) => {
                    let outcome = match applied.rollout {
                        Some(rollout) if self.settings.wait => self.follow(&rollout),
                        _ => Outcome::Done,
                    };
                    set(&ready, outcomes, &outcome);
                    return None;
                }
                Err(ClientError::Problem(problem)) if problem.is(Code::Stale) => {
                    let pause = Duration::from_millis(5 << attempt.min(7));
                    let jitter = pause.mul_f64(gate_kit::random::fraction());
                    std::thread::sleep(pause + jitter);
                }
                Err(ClientError::Problem(problem)) if problem.is(Code::Invalid) => {
                    return self.divide(&ready, *problem, outcomes);
                }
                Err(error) => {
                    let refused = Refused::Failed(self.explained(&error));
                    set(&ready, outcomes, &Outcome::Refused(refused));
                    return None;
                }
            }
        }
        let words = "others write to this environment all the time; apply again";
        let outcome = Outcome::Refused(Refused::Failed(words.into()));
        let open: Vec<_> = group
            .iter()
            .copied()
            .filter(|&at| outcomes[at].is_none())
            .collect();
        set(&open, outcomes, &outcome);
        None
    }

    /// A failure, with what to do where that is known.
    fn explained(&self, error: &ClientError) -> String {
        if !is_absent(error) {
            return error.to_string();
        }
        format!(
            "there is no environment `{0}`: make it with `tidegate env set {0}`, or with a resource \
             `tidegate_environment` that this one refers to",
            self.environment
        )
    }

    /// What a revision would be based on, and which edits find what they saw.
    fn compare(
        &self,
        group: &[usize],
        outcomes: &mut [Option<Outcome>],
    ) -> Result<Base, ClientError> {
        let (seen, new) = match self.control.environment(self.environment) {
            Ok(found) => (Seen::Generation(found.generation), found.revision.is_none()),
            // An environment that nobody has made yet has nothing that could be lost.
            Err(error) if is_absent(&error) => (Seen::Any, true),
            Err(error) => return Err(error),
        };
        let kinds: BTreeSet<&str> = group
            .iter()
            .map(|&at| &*self.edits[at].kind.name)
            .into_set();
        let mut found = BTreeMap::new();
        for kind in kinds {
            let of_kind = match self.control.resources(self.environment, kind) {
                Err(error) if is_absent(&error) => Vec::new(),
                other => other?,
            };
            let named = of_kind.into_iter().map(|resource| {
                let key = (resource.kind, resource.name);
                (key, (resource.resource, resource.manager))
            });
            found.extend(named);
        }
        let mut ready = Vec::new();
        for &at in group {
            let edit = &self.edits[at];
            let there = found.get(&(edit.kind.name.clone(), edit.name.clone()));
            match self.judge(edit, there) {
                None => ready.push(at),
                Some(outcome) => outcomes[at] = Some(outcome),
            }
        }
        Ok(Base { seen, new, ready })
    }

    /// What becomes of an edit without a revision, if anything does.
    fn judge(&self, edit: &Edit, there: Option<&(Json, String)>) -> Option<Outcome> {
        let what = format!("{}/{}", edit.kind.name, edit.name);
        let (value, manager) = match (there, &edit.after) {
            (None, None) => return Some(Outcome::Done),
            (None, Some(_)) => return None,
            (Some((value, manager)), _) => (value, manager),
        };
        let mine = *manager == self.settings.manager;
        if !mine && !self.settings.take_over {
            let words = format!(
                "{what} belongs to `{manager}`, and this provider writes as `{}`. Change it there, \
                 or set `take_over = true` in the provider block.",
                self.settings.manager
            );
            return Some(Outcome::Refused(Refused::Conflict(words)));
        }
        match (&edit.before, &edit.after) {
            // An earlier attempt got through, and its answer was lost.
            (_, Some(after)) if mine && same::documents(edit.kind, after, value) => {
                Some(Outcome::Done)
            }
            (None, _) if !self.settings.take_over => {
                let words = format!(
                    "{what} exists already. Import it (`terraform import ADDRESS {}`), or choose \
                     another name.",
                    edit.name
                );
                // It may be about to be removed by this very configuration.
                Some(Outcome::Later(Refused::Conflict(words)))
            }
            (Some(before), _) if !same::documents(edit.kind, before, value) => {
                let words = format!(
                    "{what} has changed since this was planned: somebody else wrote it. Plan again \
                     to see what is there now."
                );
                Some(Outcome::Refused(Refused::Conflict(words)))
            }
            _ => None,
        }
    }

    fn input(&self, ready: &[usize]) -> DocumentInput {
        let mut document = Document::default();
        for &at in ready {
            let edit = &self.edits[at];
            // In a merge, null removes.
            let value = edit.after.clone().unwrap_or(Json::Null);
            document.set(&edit.kind.name, &edit.name, value);
        }
        self.settings.input(document)
    }

    /// Decides about edits whose revision was refused: those that findings name are judged, the
    /// others are tried without them; where nobody is to blame, halves are tried apart.
    fn divide(
        &self,
        ready: &[usize],
        problem: Problem,
        outcomes: &mut [Option<Outcome>],
    ) -> Option<(Vec<usize>, Vec<usize>)> {
        let is_error = |finding: &&Finding| finding.severity == Severity::Error;
        let errors: Vec<&Finding> = problem.findings.iter().filter(is_error).collect();
        let named = |at: &usize| {
            let edit = &self.edits[*at];
            errors
                .iter()
                .any(|finding| is_about(finding, &edit.kind.name, &edit.name))
        };
        let (blamed, rest): (Vec<usize>, Vec<usize>) = ready.iter().partition(|at| named(at));
        if let [only] = ready {
            let edit = &self.edits[*only];
            let own = errors
                .iter()
                .filter(|f| is_about(f, &edit.kind.name, &edit.name));
            let own: Vec<Finding> = own.map(|finding| (*finding).clone()).collect();
            let findings = if own.is_empty() {
                problem.findings
            } else {
                own
            };
            outcomes[*only] = Some(verdict(findings, &problem.detail));
            return None;
        }
        if !blamed.is_empty() && !rest.is_empty() {
            return Some((rest, blamed));
        }
        let (first, second) = ready.split_at(ready.len() / 2);
        Some((first.to_vec(), second.to_vec()))
    }

    /// Waits for a rollout's end.
    fn follow(&self, id: &str) -> Outcome {
        let started = Instant::now();
        while started.elapsed() < self.settings.wait_max {
            let failed = match self.control.rollout(id) {
                Ok(rollout) => match rollout.state {
                    RolloutState::Promoted => return Outcome::Done,
                    RolloutState::RolledBack => {
                        format!("the rollout was taken back: {}", rollout.reason)
                    }
                    RolloutState::Running | RolloutState::Held => {
                        std::thread::sleep(ROLLOUT_STEP);
                        continue;
                    }
                },
                Err(error) => format!("the rollout cannot be followed: {error}"),
            };
            return Outcome::Refused(Refused::Failed(failed));
        }
        let words = format!("the rollout {id} is still running; it goes on without Terraform");
        Outcome::Refused(Refused::Failed(words))
    }
}

fn set(group: &[usize], outcomes: &mut [Option<Outcome>], outcome: &Outcome) {
    for &at in group {
        outcomes[at] = Some(outcome.clone());
    }
}

/// An edit that others stand in the way of may come later.
fn verdict(findings: Vec<Finding>, detail: &str) -> Outcome {
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    let waits = errors.clone().all(is_relative) && errors.clone().next().is_some();
    let refused = match findings.is_empty() {
        true => Refused::Failed(detail.to_owned()),
        false => Refused::Findings(findings),
    };
    match waits {
        true => Outcome::Later(refused),
        false => Outcome::Refused(refused),
    }
}

/// Findings that another resource may resolve: one that is still to be made, changed or removed.
const RELATIVE: [&str; 4] = [
    "conflicting_routes",
    "repeated_key",
    "missing_price",
    "inert_listener",
];

/// Whether another resource may resolve a finding.
pub(super) fn is_relative(finding: &Finding) -> bool {
    finding.code.contains("reference") || RELATIVE.contains(&&*finding.code)
}

/// Whether a finding's path leads into a resource.
pub(super) fn is_about(finding: &Finding, kind: &str, name: &str) -> bool {
    let Ok(path) = finding.path.parse::<Path>() else {
        return false;
    };
    matches!(path.segments(), [Segment::Key(k), Segment::Key(n), ..] if k == kind && n == name)
}

impl Settings {
    /// A request with these resources.
    pub(super) fn input(&self, document: Document) -> DocumentInput {
        DocumentInput {
            mode: Mode::Merge,
            take_over: self.take_over,
            message: self.message.clone(),
            source_commit: self.source_commit.clone(),
            canary: self.canary.clone(),
            confirm_within: self.confirm_within,
            ..DocumentInput::sync(document, self.manager.clone())
        }
    }
}
