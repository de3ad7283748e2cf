//! The admin API over real sockets and a real store, asked by the typed client, by hand-written
//! requests, by Terraform and by Schemathesis.

#![allow(clippy::print_stderr, reason = "a skipped check says so")]

mod access;
mod book;
mod changes;
mod hostile;
mod issuer;
mod oidc;
mod pages;
mod schemathesis;
mod stale;
mod states;
mod support;
mod terraform;
mod watch;
