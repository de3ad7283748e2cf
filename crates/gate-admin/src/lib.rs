//! The admin API's server: who may ask what, and what is answered.
//!
//! `gate-api` says what travels; this crate answers it over a [`gate_store::ControlStore`] and a
//! [`Host`], which is the process that serves. It never touches the data plane: a request here waits
//! for threads of its own, never for a worker. A reader starts at [`Api::answer`].

#![allow(
    clippy::result_large_err,
    reason = "a problem is made once, for an answer; nothing here is hot"
)]

mod access;
mod api;
mod assets;
mod call;
pub mod convert;
mod documents;
mod handlers;
mod host;
mod jobs;
mod pool;
mod reply;
mod runbooks;
mod subscribers;
mod watch;

pub use access::{Peer, ReadSecret};
pub use api::{Api, BODY_MAX, Parts};
pub use assets::Asset;
pub use handlers::caches::PURGE;
pub use handlers::experiments::STOP;
pub use host::{
    Candidate, DeploymentReport, GateEdit, Host, IncidentBook, IncidentChange, Judged, NoticeOrder,
    RecordQuery, RolloutStart, Told, UsageQuery, WafQuery,
};
pub use jobs::JobBook;
pub use reply::refused;
pub use runbooks::{Asker, RunChange, RunbookBook};
pub use subscribers::SubscriberBook;
