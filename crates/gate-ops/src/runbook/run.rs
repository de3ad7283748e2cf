//! One run: what it awaits, and what follows from what came.

use super::check::Verdict;
use gate_model::resources::{Check, GatewayAction, Runbook, RunbookStep, StepWork};
use gate_model::units::Period;
use serde::{Deserialize, Serialize};

/// Most lines of a run; later ones are counted, not kept.
const LINES_MAX: usize = 500;
/// How often a step that may be repeated is begun, over all crashes.
const BEGUN_MAX: u32 = 3;
/// How much longer than it may take a command is waited for, before nobody knows what became of it.
const GRACE_MS: u64 = 30_000;

/// What started a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A person.
    Person {
        /// Who.
        who: String,
        /// Why.
        reason: String,
    },
    /// An incident.
    Incident {
        /// Which.
        id: String,
    },
    /// Something that happened.
    Event {
        /// What.
        name: String,
        /// To what.
        of: String,
    },
}

impl Cause {
    /// Whether a person started it.
    #[must_use]
    pub const fn is_a_person(&self) -> bool {
        matches!(self, Cause::Person { .. })
    }

    /// In a few words.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Cause::Person { who, reason } if reason.is_empty() => format!("by {who}"),
            Cause::Person { who, reason } => format!("by {who}: {reason}"),
            Cause::Incident { id } => format!("by incident {id}"),
            Cause::Event { name, of } => format!("by event {name} of {of}"),
        }
    }
}

/// What a run awaits, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// That its precondition holds.
    AwaitsPrecondition,
    /// That somebody agrees.
    AwaitsApproval,
    /// That the step at its place is done.
    AwaitsStep,
    /// That somebody answers the question at its place.
    AwaitsAnswer,
    /// That its postcondition holds.
    AwaitsPostcondition,
    /// That what it began is undone.
    AwaitsUndo,
    /// All of it was done, and its postcondition held.
    Done,
    /// Its precondition did not hold; nothing was done.
    NotNeeded,
    /// A step failed, nobody agreed, or its postcondition did not hold.
    Failed,
    /// Nobody knows what became of a step; people have to look.
    Unknown,
    /// Somebody ended it.
    Cancelled,
}

impl State {
    /// Whether nothing follows.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(
            self,
            State::Done | State::NotNeeded | State::Failed | State::Unknown | State::Cancelled
        )
    }

    /// The word used in the store and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            State::AwaitsPrecondition => "awaits_precondition",
            State::AwaitsApproval => "awaits_approval",
            State::AwaitsStep => "awaits_step",
            State::AwaitsAnswer => "awaits_answer",
            State::AwaitsPostcondition => "awaits_postcondition",
            State::AwaitsUndo => "awaits_undo",
            State::Done => "done",
            State::NotNeeded => "not_needed",
            State::Failed => "failed",
            State::Unknown => "unknown",
            State::Cancelled => "cancelled",
        }
    }
}

/// Something that was seen or done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When, in UNIX milliseconds.
    pub at_ms: u64,
    /// Of what: `start`, `precondition`, `approval`, the name of a step, `postcondition`, `undo`, `end`.
    pub of: String,
    /// What: the evidence.
    pub text: String,
}

/// A step that was begun and is not known to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Its place.
    pub place: usize,
    /// When, in UNIX milliseconds.
    pub at_ms: u64,
    /// Who does it: one life of a gateway.
    pub by: String,
    /// The how-manieth time.
    pub times: u32,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Order<'a> {
    /// Nothing but to wait.
    Wait,
    /// Look at the traffic, from this time on at the earliest, in UNIX milliseconds.
    Look {
        /// The check.
        check: &'a Check,
        /// Traffic before does not count.
        from_ms: u64,
    },
    /// [Begin](Run::begin) the step at the run's place, store that, and run this program.
    Command {
        /// The step.
        step: &'a RunbookStep,
    },
    /// Begin the step, put this in force for that long, and store both together.
    Act {
        /// The id of the action.
        id: String,
        /// What.
        action: &'a GatewayAction,
        /// For how long, in milliseconds.
        lasts_ms: u64,
    },
    /// Undo the action of this id.
    Undo(&'a str),
}

/// Why somebody may not do that to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub String);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

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

fn milliseconds(period: Period) -> u64 {
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

    fn await_now(&mut self, state: State, now_ms: u64) {
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
    /// stored before it is done.
    pub fn begin(&mut self, by: &str, now_ms: u64) {
        debug_assert!(self.state == State::AwaitsStep && self.begun.is_none());
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

    fn await_step(&mut self, now_ms: u64) {
        let state = match self.step().map(|step| &step.work) {
            Some(StepWork::Ask { .. }) => State::AwaitsAnswer,
            Some(_) => State::AwaitsStep,
            None if self.book.postcondition.is_some() => State::AwaitsPostcondition,
            None => State::Done,
        };
        self.await_now(state, now_ms);
    }

    /// Ends so, once what it began is undone.
    fn end_as(&mut self, outcome: State, now_ms: u64) {
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

    /// Agrees to it.
    ///
    /// # Errors
    /// When nothing is to be agreed to, or not by this person.
    pub fn approve(&mut self, who: &str, reason: &str, now_ms: u64) -> Result<(), Refusal> {
        let approval = self.book.approval.unwrap_or_default();
        if self.state != State::AwaitsApproval {
            return Err(Refusal("it awaits nobody's approval".into()));
        }
        let starter = match &self.cause {
            Cause::Person { who, .. } => Some(who.as_str()),
            _ => None,
        };
        if !approval.by_starter && starter == Some(who) {
            return Err(Refusal("whoever started it cannot agree to it".into()));
        }
        let text = match reason.is_empty() {
            true => format!("{who} agreed"),
            false => format!("{who} agreed: {reason}"),
        };
        self.line("approval", text, now_ms);
        self.await_step(now_ms);
        Ok(())
    }

    /// Answers the question that it awaits an answer to.
    ///
    /// # Errors
    /// When there is none, or that is no answer to it.
    pub fn answer(&mut self, who: &str, answer: &str, now_ms: u64) -> Result<(), Refusal> {
        let Some(RunbookStep {
            name,
            work: StepWork::Ask {
                answers, goes_on, ..
            },
            ..
        }) = self
            .step()
            .cloned()
            .filter(|_| self.state == State::AwaitsAnswer)
        else {
            return Err(Refusal("it awaits no answer".into()));
        };
        if !answers.iter().any(|known| known == answer) {
            let text = format!("it is answered by one of: {}", answers.join(", "));
            return Err(Refusal(text));
        }
        self.line(&name, format!("{who} answered: {answer}"), now_ms);
        if goes_on.is_empty() || goes_on.iter().any(|known| known == answer) {
            self.place += 1;
            self.await_step(now_ms);
        } else {
            self.end_as(State::Cancelled, now_ms);
        }
        Ok(())
    }

    /// Ends it; what it began is undone. A command that runs is not waited for.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cancel(&mut self, who: &str, reason: &str, now_ms: u64) -> Result<(), Refusal> {
        if self.state.is_over() || self.state == State::AwaitsUndo {
            return Err(Refusal("it has ended".into()));
        }
        let text = match reason.is_empty() {
            true => format!("{who} cancelled it"),
            false => format!("{who} cancelled it: {reason}"),
        };
        self.line("end", text, now_ms);
        self.end_as(State::Cancelled, now_ms);
        Ok(())
    }

    /// Ends waits that are over. Whether anything changed.
    pub fn tick(&mut self, now_ms: u64) -> bool {
        let waited_ms = now_ms.saturating_sub(self.since_ms);
        match self.state {
            State::AwaitsApproval => {
                let within = self.book.approval.unwrap_or_default().within;
                if waited_ms < milliseconds(within) {
                    return false;
                }
                self.line("approval", format!("nobody agreed within {within}"), now_ms);
                self.end_as(State::Failed, now_ms);
                true
            }
            State::AwaitsAnswer => {
                let Some(RunbookStep {
                    name,
                    work: StepWork::Ask { within, .. },
                    ..
                }) = self.step().cloned()
                else {
                    return false;
                };
                if waited_ms < milliseconds(within) {
                    return false;
                }
                self.line(&name, format!("nobody answered within {within}"), now_ms);
                self.end_as(State::Failed, now_ms);
                true
            }
            State::AwaitsStep => self.tick_step(now_ms),
            _ => false,
        }
    }

    fn tick_step(&mut self, now_ms: u64) -> bool {
        let (Some(begun), Some(step)) = (&self.begun, self.step()) else {
            return false;
        };
        let timeout_ms = match &step.work {
            StepWork::Command { timeout, .. } => milliseconds(*timeout),
            _ => 0,
        };
        let late_ms = begun.at_ms.saturating_add(timeout_ms + GRACE_MS);
        if now_ms < late_ms {
            return false;
        }
        let name = step.name.clone();
        self.line(&name, "nobody knows what became of it", now_ms);
        self.end_as(State::Unknown, now_ms);
        true
    }
}

const BEGUN: &str = "begun";
