//! Runs of runbooks, as a state machine: what is awaited, what is to be done next, what follows.
//!
//! A [`Run`] (`run.rs`) goes through its precondition, its approval, its steps and its postcondition.
//! It never does anything: [`Run::order`] says what is to be done, and whoever does it says what came
//! of it. A step that changes something is [begun](Run::begin) in what is stored before it is done, so
//! that whoever goes on after a crash knows that it was; what is not declared idempotent is never done
//! twice. Every wait has an end. The [`Desk`] (`desk.rs`) holds runs that are under way and actions in
//! force, `check.rs` holds figures against expressions, `redact.rs` makes a program's output fit to be
//! kept. Nothing here knows stores, clocks or processes.

mod check;
mod desk;
mod people;
mod redact;
mod run;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod words;

pub use check::{Figures, ObjectiveFigures, Verdict, check, judge, problems};
pub use desk::{ACTS_MAX, Act, Desk, RUNS_MAX, StartError};
pub use redact::{OUTPUT_MAX, redact};
pub use run::Run;
pub use words::{Begun, Cause, Line, Order, Refusal, State};
