//! The web application firewall's engine: the rule language SecLang, as ModSecurity 3 evaluates it.
//!
//! [`RuleSet`] is compiled once from rule files ([`Loader`]); a [`Transaction`] takes one request and
//! its response through the five phases and says what to do ([`Decision`]) and why ([`Match`]).
//! Everything here is pure: no sockets, no files but through [`Files`], no clock.
//!
//! Patterns run on a linear-time engine, so that no input can blow one up. Which rules can match a
//! value at all is decided before any pattern runs, from the bytes that occur in it
//! (`prefilter`). A value's transformations are computed once per chain and shared by rules.
//!
//! Where to go next: `seclang` reads the language, `compile` makes rules of it, `transaction` drives
//! the phases, `evaluate` runs one rule, `transform` and `operator` are what rules are made of, and
//! `body` parses request bodies.
//!
//! Semantics follow ModSecurity 3.0 (its reference manual and behaviour), because the OWASP Core Rule
//! Set is written against it. What is left out on purpose: Lua, external programs, persistent collections
//! (a collection lives as long as its transaction, and `expirevar` does nothing), and XPath beyond `/*` and
//! `//@*`. `@rbl` and `@geoLookup` never match and `DURATION` has no value, for there is no network, no
//! database and no clock here: rates are for the policy `limit`, addresses and places for `access`.

mod actions;
mod arrival;
mod body;
mod collections;
mod compile;
mod decision;
mod evaluate;
mod exclusions;
mod macros;
mod operator;
mod prefilter;
mod problem;
mod recommended;
mod ruleset;
mod seclang;
mod transaction;
mod transform;
mod tune;
mod variables;

pub use compile::{Files, Loader, NoFiles};
pub use decision::{Decision, Engine, Match, Place, Severity};
pub use exclusions::{Exclusion, Exclusions};
pub use problem::Problem;
pub use recommended::RECOMMENDED;
pub use ruleset::{Limits, OnLimit, RuleSet, Statistics};
pub use transaction::{Request, Transaction};
pub use tune::{Least, Observed, Suggestion, Tuner};
