//! Authorisation in Cedar: who may do what, compiled once and decided in microseconds.
//!
//! [`Vocabulary`] says what policies may speak of and becomes the schema that they are checked
//! against. [`Rules::compile`] reads policies, refuses what cannot be evaluated and warns of what can
//! never apply. [`Guard`] is a set as one route sees it: the policies that can matter there, by
//! action, and the principals seen lately with their groups and attributes evaluated. [`explain`]
//! says why a decision is what it is.
//!
//! This crate fences `cedar-policy`: nothing of it is seen outside. It does no I/O and knows neither
//! exchanges nor where policies are kept.
//!
//! **What is not Cedar's own:** where a `forbid` cannot be evaluated, Cedar leaves it out. Here the
//! outcome says so ([`Outcome::failed`]), and whoever asks has to refuse.

mod compile;
mod explain;
mod guard;
mod principal;
mod vocabulary;

pub use compile::{Compiled, Problem, Rules};
pub use explain::{Clause, Explained, Reason, explain};
pub use guard::{Asked, Facts, Guard, Outcome};
pub use principal::Who;
pub use vocabulary::{Consumer, Vocabulary};
