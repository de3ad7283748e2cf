//! Deciding: the public corpus of Cedar, what the gateway's own vocabulary decides, and why.

#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a skipped check says so, and so does a score"
)]

mod corpus;
mod decisions;
