//! The admin API over real sockets and a real store, asked by the typed client, by hand-written
//! requests, by Terraform and by Schemathesis.

#![allow(clippy::print_stderr, reason = "a skipped check says so")]
#![allow(clippy::result_large_err, reason = "problems are what the API answers")]

mod access;
mod book;
mod changes;
mod hostile;
mod issuer;
mod oidc;
mod pages;
mod runbooks;
mod schemathesis;
mod stale;
mod states;
mod support;
mod terraform;
mod watch;
