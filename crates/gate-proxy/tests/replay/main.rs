//! Recent records through real sockets, and what plans make of them.

#[path = "../it/support.rs"]
#[allow(dead_code, reason = "shared with the other tests of this crate")]
mod support;

mod effects;
mod kept;
mod models;
mod rows;
