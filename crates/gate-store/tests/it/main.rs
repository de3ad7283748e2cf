//! The ledger and the control plane's state over SQLite and over a real PostgreSQL: the same tests over both.
//!
//! PostgreSQL runs in a folder of its own, on a Unix socket; where its programs are absent, its half
//! says that it was skipped.

mod books;
mod callers;
mod control;
mod crash;
mod files;
mod jobs;
mod journal;
mod ledger;
mod quotas;
mod support;
mod tls;
