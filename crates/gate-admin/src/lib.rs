//! The admin API's server: who may ask what, and what is answered.
//!
//! `gate-api` says what travels; this crate answers it over a [`gate_store::ControlStore`] and a
//! [`Host`], which is the process that serves. It never touches the data plane: a request here waits
//! for threads of its own, never for a worker.

pub mod convert;
mod host;

pub use host::{Candidate, Host, Judged, RecordQuery, RolloutStart, UsageQuery};
