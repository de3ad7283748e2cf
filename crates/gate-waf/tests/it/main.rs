//! The engine against the OWASP Core Rule Set.
#![allow(clippy::print_stdout, reason = "scores are printed")]

mod bars;
mod crs;
#[allow(dead_code, reason = "shared with the tests of gate-proxy")]
mod ftw;
mod language;
