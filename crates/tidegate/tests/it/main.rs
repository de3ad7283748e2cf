//! The binary as people use it: spawned, configured by a file, called with curl and SDKs.
//!
//! Nothing here looks inside the process: what counts is what comes over sockets, standard output
//! and the exit code. `support` starts things and ends them again.

#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a skipped check says so, and so does a score"
)]

mod acme;
mod admin;
mod authz;
mod aws_edge;
mod clients;
mod commands;
mod console;
mod contracts;
mod credentials;
mod crowd;
mod demo;
mod events;
mod examples;
mod follow;
mod forget;
mod gallery;
mod handover;
mod http_cache;
mod identity;
mod import;
mod jobs;
mod journal;
mod lake;
mod lifecycle;
mod lint;
mod model_cache;
mod money;
mod native_histograms;
mod notices;
mod plans;
mod policies;
mod portal;
mod prompts;
mod readme;
mod safe_change;
mod sdk;
mod secrets;
mod subscribers;
mod support;
mod terraform;
mod usage;
mod versions;
mod waf;
