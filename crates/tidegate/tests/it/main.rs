//! The binary as people use it: spawned, configured by a file, called with curl and SDKs.
//!
//! Nothing here looks inside the process: what counts is what comes over sockets, standard output
//! and the exit code. `support` starts things and ends them again.

#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a skipped check says so, and so does a score"
)]

mod admin;
mod cache;
mod clients;
mod commands;
mod console;
mod crowd;
mod demo;
mod examples;
mod follow;
mod handover;
mod import;
mod lifecycle;
mod lint;
mod money;
mod policies;
mod prompts;
mod readme;
mod safe_change;
mod sdk;
mod secrets;
mod support;
mod terraform;
