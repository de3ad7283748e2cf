//! What the admin API asks about runbooks: [`RunbookBook`] over the desk.
//!
//! What people change is written on what is in the store then, with its line in the audit log, so that
//! the leader and people do not overwrite each other.

#![allow(
    clippy::result_large_err,
    reason = "a problem is made once, for an answer; nothing here is hot"
)]

use super::stored::{Stored, Told, now_ms, read, signed};
use super::{acts, told as telling};
use gate_admin::convert::time;
use gate_admin::{Asker, RunChange, RunbookBook, refused};
use gate_api::problem::{Code, Problem};
use gate_api::types as api;
use gate_kit::order::Gather;
use gate_kit::random;
use gate_model::resources::{ACTION_S_MAX, GatewayAction, Runbook, RunbookTrigger, StepWork};
use gate_ops::runbook::{Act, Cause, Desk, Refusal, Run, State};
use gate_proxy::process::Process;
use gate_store::control::ControlError;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The book of a process.
pub(crate) struct Book {
    stored: Arc<Stored>,
    process: Arc<Process>,
}

fn problem(code: Code, text: impl Into<String>) -> Problem {
    Problem::new(code, text)
}

impl Book {
    pub(crate) fn new(stored: &Arc<Stored>, process: &Arc<Process>) -> Self {
        Self {
            stored: stored.clone(),
            process: process.clone(),
        }
    }

    fn desk(&self) -> Result<Desk, Problem> {
        self.stored.load().map(|(_, desk)| desk).map_err(refused)
    }

    /// Changes the desk; a refusal changes nothing.
    fn change<T>(
        &self,
        change: impl FnMut(&mut Desk, &mut Vec<Told>, u64) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        match self.stored.change(None, change) {
            Ok(done) => done,
            Err(ControlError::Exists(what)) => {
                Err(problem(Code::Conflict, format!("there was {what} already")))
            }
            Err(error) => Err(refused(error)),
        }
    }

    fn book(&self, name: &str) -> Result<Runbook, Problem> {
        let resources = self.process.shared().snapshot.load().resources.clone();
        let book = resources.runbooks.get(name).cloned();
        book.ok_or_else(|| problem(Code::NotFound, format!("there is no runbook `{name}`")))
    }
}

impl RunbookBook for Book {
    fn environment(&self) -> &str {
        self.stored.environment()
    }

    fn runbooks(&self) -> Result<Vec<api::RunbookState>, Problem> {
        let resources = self.process.shared().snapshot.load().resources.clone();
        let environment = self.environment();
        let mut shown = Vec::new();
        for (name, book) in &resources.runbooks {
            let rows = self
                .stored
                .shelf
                .ask(|store| store.runbook_runs(environment, name, None, 1));
            let last = rows.map_err(refused)?.first().and_then(read);
            shown.push(api::RunbookState {
                name: name.clone(),
                about: book.about.clone(),
                steps: book.steps.iter().map(|step| step.name.clone()).collect(),
                triggers: book.on.iter().map(trigger).collect(),
                needs_approval: book.approval.is_some(),
                last: last.map(|run| summary(&run)),
            });
        }
        Ok(shown)
    }

    fn runs(
        &self,
        runbook: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, api::RunSummary)>, Problem> {
        let environment = self.environment();
        let rows = self
            .stored
            .shelf
            .ask(|store| store.runbook_runs(environment, runbook, before, limit));
        let rows = rows.map_err(refused)?;
        let shown = rows
            .iter()
            .filter_map(|row| Some((row.number, summary(&read(row)?))));
        Ok(shown.collect())
    }

    fn run(&self, id: &str) -> Result<api::RunDetail, Problem> {
        let run = self.stored.run(id).map_err(refused)?;
        let missing = || problem(Code::NotFound, format!("there is no run `{id}`"));
        Ok(detail(&run.ok_or_else(missing)?))
    }

    fn start(
        &self,
        name: &str,
        input: &api::RunInput,
        by: Asker<'_>,
    ) -> Result<api::RunDetail, Problem> {
        let book = self.book(name)?;
        let random = format!("{:016x}", random::bits());
        let key = input
            .key
            .clone()
            .filter(|key| !key.is_empty())
            .unwrap_or(random);
        let environment = self.environment();
        let known = self
            .stored
            .shelf
            .ask(|store| store.runbook_key(environment, name, &key));
        if let Some(run) = known.map_err(refused)? {
            let text = format!("the key `{key}` has started run `{run}` of this runbook");
            return Err(problem(Code::Conflict, text));
        }
        let run = self.change(|desk, told, now_ms| {
            let cause = Cause::Person {
                who: by.actor.to_owned(),
                reason: input.reason.clone(),
            };
            let started = desk.start(
                environment,
                (name, &book),
                (cause, key.clone()),
                input.dry_run,
                now_ms,
            );
            let run = started.map_err(|error| problem(Code::Conflict, error.to_string()))?;
            told.push(telling::begun(run, by.actor, by.role));
            Ok(run.clone())
        })?;
        Ok(detail(&run))
    }

    fn change(
        &self,
        id: &str,
        change: &RunChange,
        by: Asker<'_>,
    ) -> Result<api::RunDetail, Problem> {
        let known = self.run(id)?;
        let (action, text) = match change {
            RunChange::Approve(text) => ("approveRun", text),
            RunChange::Answer(text) => ("answerRun", text),
            RunChange::Cancel(text) => ("cancelRun", text),
        };
        let told_of = |outcome: &'static str| Told {
            actor: by.actor.to_owned(),
            role: by.role.to_owned(),
            action,
            subject: format!("runbook-runs/{id}"),
            outcome,
            detail: text.clone(),
        };
        let changed = Book::change(self, |desk, told, now_ms| {
            let over = || problem(Code::Conflict, format!("run `{id}` has ended"));
            let run = desk.run(id).ok_or_else(over)?;
            let done = match change {
                RunChange::Approve(reason) => run.approve(by.actor, reason, now_ms),
                RunChange::Answer(answer) => run.answer(by.actor, answer, now_ms),
                RunChange::Cancel(reason) => run.cancel(by.actor, reason, now_ms),
            };
            done.map_err(|Refusal(text)| problem(Code::Conflict, text))?;
            told.push(told_of("done"));
            Ok(run.clone())
        });
        if changed.is_err() && !known.run.is_over {
            // Who was refused is written down as well.
            let refusal = Book::change(self, |_, told, _| {
                told.push(told_of("refused"));
                Ok(())
            });
            if let Err(error) = refusal {
                tracing::warn!(
                    error = error.detail,
                    run = id,
                    "a refusal is not written down"
                );
            }
        }
        changed.map(|run| detail(&run))
    }

    fn actions(&self) -> Result<Vec<api::ActState>, Problem> {
        let now_ms = now_ms();
        let desk = self.desk()?;
        let on = desk.acts.iter().filter(|act| act.until_ms > now_ms);
        Ok(on.map(state).collect())
    }

    fn act(&self, input: &api::ActInput, by: Asker<'_>) -> Result<api::ActState, Problem> {
        let lasts = input.lasts.duration();
        if !(1..=ACTION_S_MAX).contains(&lasts.as_secs()) {
            return Err(problem(Code::Invalid, "`for` is from 1s to 24h"));
        }
        let invalid = |text: String| problem(Code::Invalid, text);
        let what = acts::resolve(&self.process, &input.action, now_ms()).map_err(invalid)?;
        let from = match what {
            GatewayAction::RollBack {} => acts::current(&self.stored),
            _ => None,
        };
        let environment = self.environment();
        let lasts_ms = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        let (act, desk) = self.change(|desk, told, now_ms| {
            desk.acted += 1;
            let act = Act {
                id: format!("act-{environment}-{}", desk.acted),
                what: what.clone(),
                since_ms: now_ms,
                until_ms: now_ms + lasts_ms,
                by: by.actor.to_owned(),
                reason: input.reason.clone(),
                run: None,
                from,
            };
            desk.act(act.clone())
                .map_err(|text| problem(Code::Conflict, text))?;
            told.push(telling::acted(&act, by.actor, by.role));
            Ok((act, desk.clone()))
        })?;
        if let Err(text) = acts::put_in_force(&self.process, &self.stored, &desk, &act) {
            let desk = self.change(|desk, told, _| {
                if let Some(act) = desk.undo(&act.id) {
                    told.push(telling::undone(&act, by.actor, "it could not be done"));
                }
                Ok(desk.clone())
            })?;
            acts::apply(&self.process, &desk);
            return Err(problem(Code::Conflict, text));
        }
        tracing::warn!(action = act.id, by = by.actor, "{}", act.what.in_words());
        Ok(state(&act))
    }

    fn undo(&self, id: &str, reason: &str, by: Asker<'_>) -> Result<Vec<api::ActState>, Problem> {
        let act = self.desk()?.acts.into_iter().find(|act| act.id == id);
        let missing = || {
            problem(
                Code::NotFound,
                format!("there is no action `{id}` in force"),
            )
        };
        let act = act.ok_or_else(missing)?;
        acts::take_back(&self.stored, &act, now_ms());
        let desk = self.change(|desk, told, _| {
            if let Some(act) = desk.undo(id) {
                let mut line = telling::undone(&act, by.actor, reason);
                by.role.clone_into(&mut line.role);
                told.push(line);
            }
            Ok(desk.clone())
        })?;
        acts::apply(&self.process, &desk);
        self.actions()
    }
}

fn trigger(trigger: &RunbookTrigger) -> String {
    match trigger {
        RunbookTrigger::Incident {
            route,
            objective,
            opening,
            severity,
        } => {
            let fields: BTreeMap<&str, String> = [
                ("route", route.clone()),
                ("objective", objective.clone()),
                ("opening", opening.clone()),
                ("severity", severity.map(|one| one.to_string())),
            ]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .into_map();
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!(" {name}={value}"))
                .collect();
            format!("incident{}", fields.concat())
        }
        RunbookTrigger::Event { name, of } => match of {
            Some(of) => format!("{} of={of}", name.as_str()),
            None => name.as_str().to_owned(),
        },
    }
}

fn summary(run: &Run) -> api::RunSummary {
    api::RunSummary {
        id: run.id.clone(),
        runbook: run.runbook.clone(),
        state: run.state.as_str().to_owned(),
        is_over: run.state.is_over(),
        cause: run.cause.in_words(),
        incident: run.incident().map(str::to_owned),
        dry_run: run.is_dry,
        began: time(signed(run.began_ms)),
        ended: run.ended_ms.map(|at| time(signed(at))),
    }
}

fn detail(run: &Run) -> api::RunDetail {
    let asked = run.step().filter(|_| run.state == State::AwaitsAnswer);
    let (question, answers) = match asked.map(|step| &step.work) {
        Some(StepWork::Ask {
            question, answers, ..
        }) => (Some(question.clone()), answers.clone()),
        _ => (None, Vec::new()),
    };
    api::RunDetail {
        run: summary(run),
        key: run.key.clone(),
        steps: run
            .book
            .steps
            .iter()
            .map(|step| step.name.clone())
            .collect(),
        done: run.place as u64,
        question,
        answers,
        actions: run.acts.clone(),
        lines: run
            .lines
            .iter()
            .map(|line| api::RunLine {
                at: time(signed(line.at_ms)),
                of: line.of.clone(),
                text: line.text.clone(),
            })
            .collect(),
        lines_left_out: run.lines_left_out,
    }
}

fn state(act: &Act) -> api::ActState {
    api::ActState {
        id: act.id.clone(),
        action: act.what.clone(),
        text: act.what.in_words(),
        since: time(signed(act.since_ms)),
        until: time(signed(act.until_ms)),
        by: act.by.clone(),
        reason: act.reason.clone(),
        run: act.run.clone(),
    }
}
