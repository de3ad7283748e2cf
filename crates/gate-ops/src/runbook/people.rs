//! What people do about a run, and what follows where nobody does.

use super::run::{Run, milliseconds};
use super::words::{Cause, Refusal, State};
use gate_model::resources::{RunbookStep, StepWork};

/// How much longer than it may take a command is waited for, before nobody knows what became of it.
const GRACE_MS: u64 = 30_000;

impl Run {
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
