//! One run: what it awaits, and what follows from what came.

use super::check::Verdict;
use super::words::{BEGUN, Begun, Cause, Line, Order, State};
use gate_model::resources::{Runbook, RunbookStep, StepWork};
use gate_model::units::Period;
use serde::{Deserialize, Serialize};

/// Most lines of a run; later ones are counted, not kept.
const LINES_MAX: usize = 500;
/// How often a step that may be repeated is begun, over all crashes.
const BEGUN_MAX: u32 = 3;

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its name, for ever.
    pub id: String,
    /// The runbook's name.
    pub runbook: String,
    /// The runbook as it was when the run began.
    pub book: Runbook,
    /// What started it.
    pub cause: Cause,
    /// No other run of its runbook has the same.
    pub key: String,
    /// Whether it only says what it would do.
    pub is_dry: bool,
    /// When it began, in UNIX milliseconds.
    pub began_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// What it awaits.
    pub state: State,
    /// Since when.
    pub since_ms: u64,
    /// The place of the step that is next or under way, from 0.
    pub place: usize,
    /// The step that was begun.
    pub begun: Option<Begun>,
    /// Actions that it put in force.
    pub acts: Vec<String>,
    /// How it ends once all is undone.
    pub outcome: Option<State>,
    /// What was seen and done.
    pub lines: Vec<Line>,
    /// Lines that found no place.
    pub lines_left_out: u64,
}

pub(super) fn milliseconds(period: Period) -> u64 {
    u64::try_from(period.duration().as_millis()).unwrap_or(u64::MAX)
}

impl Run {
    pub(super) fn new(
        id: String,
        (name, book): (&str, &Runbook),
        (cause, key): (Cause, String),
        is_dry: bool,
        now_ms: u64,
    ) -> Self {
        let mut run = Self {
            id,
            runbook: name.to_owned(),
            book: book.clone(),
            cause,
            key,
            is_dry,
            began_ms: now_ms,
            ended_ms: None,
            state: State::AwaitsPrecondition,
            since_ms: now_ms,
            place: 0,
            begun: None,
            acts: Vec::new(),
            outcome: None,
            lines: Vec::new(),
            lines_left_out: 0,
        };
        let text = match is_dry {
            true => format!("started {}, to say what it would do", run.cause.in_words()),
            false => format!("started {}", run.cause.in_words()),
        };
        run.line("start", text, now_ms);
        if run.book.precondition.is_none() {
            run.go_on(now_ms);
        }
        run
    }

    /// The incident that started it.
    #[must_use]
    pub fn incident(&self) -> Option<&str> {
        match &self.cause {
            Cause::Incident { id } => Some(id),
            _ => None,
        }
    }

    /// The step at its place.
    #[must_use]
    pub fn step(&self) -> Option<&RunbookStep> {
        self.book.steps.get(self.place)
    }

    /// Notes something.
    pub fn line(&mut self, of: &str, text: impl Into<String>, now_ms: u64) {
        if self.lines.len() >= LINES_MAX {
            self.lines_left_out += 1;
            return;
        }
        self.lines.push(Line {
            at_ms: now_ms,
            of: of.to_owned(),
            text: text.into(),
        });
    }

    pub(super) fn await_now(&mut self, state: State, now_ms: u64) {
        self.state = state;
        self.since_ms = now_ms;
        self.begun = None;
        if state.is_over() {
            self.ended_ms = Some(now_ms);
            self.line("end", state.as_str(), now_ms);
        }
    }

    /// What is to be done next.
    #[must_use]
    pub fn order(&self) -> Order<'_> {
        let look = |check, from_ms| Order::Look { check, from_ms };
        match self.state {
            State::AwaitsPrecondition => match &self.book.precondition {
                Some(check) => look(check, 0),
                None => Order::Wait,
            },
            State::AwaitsPostcondition => match &self.book.postcondition {
                Some(check) => look(check, self.since_ms),
                None => Order::Wait,
            },
            State::AwaitsStep => match self.step() {
                Some(step) => self.order_step(step),
                None => Order::Wait,
            },
            State::AwaitsUndo => self.acts.last().map_or(Order::Wait, |id| Order::Undo(id)),
            _ => Order::Wait,
        }
    }

    fn order_step<'a>(&'a self, step: &'a RunbookStep) -> Order<'a> {
        match &step.work {
            StepWork::Check(check) => Order::Look {
                check,
                from_ms: self.since_ms,
            },
            _ if self.begun.is_some() => Order::Wait,
            StepWork::Command { .. } => Order::Command { step },
            StepWork::Act { action, lasts } => Order::Act {
                id: format!("{}-{}", self.id, self.place + 1),
                action,
                lasts_ms: milliseconds(*lasts),
            },
            StepWork::Ask { .. } => Order::Wait,
        }
    }

    /// Notes that a gateway, in this life of it, does the step at the run's place from now on. To be
    /// stored before it is done. Whether it may: somebody may have ended the run meanwhile.
    pub fn begin(&mut self, by: &str, now_ms: u64) -> bool {
        if self.state != State::AwaitsStep || self.begun.is_some() {
            return false;
        }
        let times = self.lines.iter().filter(|line| line.text == BEGUN);
        let name = self
            .step()
            .map_or_else(String::new, |step| step.name.clone());
        let times = times.filter(|line| line.of == name).count();
        self.line(&name, BEGUN, now_ms);
        self.begun = Some(Begun {
            place: self.place,
            at_ms: now_ms,
            by: by.to_owned(),
            times: u32::try_from(times).unwrap_or(u32::MAX).saturating_add(1),
        });
        true
    }

    /// Notes how the step that was begun ended; goes on, or ends what was done.
    pub fn finished(&mut self, result: Result<String, String>, now_ms: u64) {
        if self.state != State::AwaitsStep {
            return;
        }
        let name = self
            .step()
            .map_or_else(String::new, |step| step.name.clone());
        match result {
            Ok(text) => {
                self.line(&name, text, now_ms);
                self.place += 1;
                self.await_step(now_ms);
            }
            Err(text) => {
                self.line(&name, format!("failed: {text}"), now_ms);
                self.end_as(State::Failed, now_ms);
            }
        }
    }

    /// Goes on in another life of a gateway than the one that began the step: a step that may be
    /// repeated is, and of another nobody knows what became.
    pub fn resume(&mut self, life: &str, now_ms: u64) {
        let Some(begun) = self.begun.clone().filter(|begun| begun.by != life) else {
            return;
        };
        let Some(step) = self.step().cloned() else {
            return;
        };
        let may = step.idempotent || !matches!(step.work, StepWork::Command { .. });
        if may && begun.times < BEGUN_MAX {
            let text = "the gateway that did it has gone; it is done again";
            self.line(&step.name, text, now_ms);
            self.begun = None;
            return;
        }
        let text = "the gateway that did it has gone; nobody knows whether it was done";
        self.line(&step.name, text, now_ms);
        self.end_as(State::Unknown, now_ms);
    }

    /// Takes in what the traffic said to the check that was ordered.
    pub fn looked(&mut self, verdict: Verdict, text: &str, now_ms: u64) {
        let (of, within) = match self.state {
            State::AwaitsPrecondition => {
                let within = self.book.precondition.as_ref().map(|check| check.within);
                ("precondition".to_owned(), within)
            }
            State::AwaitsPostcondition => {
                let within = self.book.postcondition.as_ref().map(|check| check.within);
                ("postcondition".to_owned(), within)
            }
            State::AwaitsStep => match self.step() {
                Some(RunbookStep {
                    name,
                    work: StepWork::Check(check),
                    ..
                }) => (name.clone(), Some(check.within)),
                _ => return,
            },
            _ => return,
        };
        let until_ms = within.map_or(0, |within| {
            self.since_ms.saturating_add(milliseconds(within))
        });
        let is_dry = self.is_dry && self.state == State::AwaitsPrecondition;
        if verdict != Verdict::Holds && now_ms < until_ms && !is_dry {
            return;
        }
        self.line(&of, text, now_ms);
        match (self.state, verdict == Verdict::Holds) {
            (State::AwaitsPrecondition, holds) if holds || is_dry => {
                if !holds {
                    self.line(&of, "a run would wait until this holds", now_ms);
                }
                self.go_on(now_ms);
            }
            (State::AwaitsPrecondition, _) => self.await_now(State::NotNeeded, now_ms),
            (State::AwaitsPostcondition, true) => self.await_now(State::Done, now_ms),
            (State::AwaitsStep, true) => {
                self.place += 1;
                self.await_step(now_ms);
            }
            _ => self.end_as(State::Failed, now_ms),
        }
    }

    /// Behind the precondition.
    fn go_on(&mut self, now_ms: u64) {
        if self.is_dry {
            return self.tell(now_ms);
        }
        match self.book.approval {
            Some(_) => self.await_now(State::AwaitsApproval, now_ms),
            None => self.await_step(now_ms),
        }
    }

    /// Says what it would do, and ends.
    fn tell(&mut self, now_ms: u64) {
        if let Some(approval) = self.book.approval {
            let who = match approval.by_starter {
                true => "somebody",
                false => "somebody other than who started it",
            };
            self.line("approval", format!("would wait until {who} agrees"), now_ms);
        }
        for step in self.book.steps.clone() {
            let text = match &step.work {
                StepWork::Check(check) => format!("would check `{}`", check.holds),
                StepWork::Command {
                    program, arguments, ..
                } => {
                    let arguments: Vec<String> =
                        arguments.iter().map(|one| format!(" {one:?}")).collect();
                    format!("would run {}{}", program.display(), arguments.concat())
                }
                StepWork::Act { action, lasts } => {
                    format!("would {}, for {lasts}", action.in_words())
                }
                StepWork::Ask {
                    question, answers, ..
                } => format!("would ask: {question} ({})", answers.join(", ")),
            };
            self.line(&step.name, text, now_ms);
        }
        if let Some(check) = self.book.postcondition.clone() {
            let text = format!("would check `{}`", check.holds);
            self.line("postcondition", text, now_ms);
        }
        self.await_now(State::Done, now_ms);
    }

    pub(super) fn await_step(&mut self, now_ms: u64) {
        let state = match self.step().map(|step| &step.work) {
            Some(StepWork::Ask { .. }) => State::AwaitsAnswer,
            Some(_) => State::AwaitsStep,
            None if self.book.postcondition.is_some() => State::AwaitsPostcondition,
            None => State::Done,
        };
        self.await_now(state, now_ms);
    }

    /// Ends so, once what it began is undone.
    pub(super) fn end_as(&mut self, outcome: State, now_ms: u64) {
        if self.acts.is_empty() {
            return self.await_now(outcome, now_ms);
        }
        self.outcome = Some(outcome);
        self.await_now(State::AwaitsUndo, now_ms);
    }

    /// Notes that an action is in force, or was before it could be.
    pub fn acted(&mut self, id: &str) {
        if !self.acts.iter().any(|known| known == id) {
            self.acts.push(id.to_owned());
        }
    }

    /// Notes that an action is undone.
    pub fn undone(&mut self, id: &str, text: &str, now_ms: u64) {
        self.acts.retain(|known| known != id);
        self.line("undo", text, now_ms);
        if self.state == State::AwaitsUndo && self.acts.is_empty() {
            let outcome = self.outcome.unwrap_or(State::Failed);
            self.await_now(outcome, now_ms);
        }
    }
}
