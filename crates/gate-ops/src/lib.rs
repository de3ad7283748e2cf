//! What watches a running gateway and decides: pure state machines, given counts and the time.
//!
//! [`rollout`] decides about a revision that is tried beside the one in force. Nothing here does
//! I/O, asks a clock or knows a socket; whoever calls brings what was counted and carries out what
//! is decided.

pub mod rollout;
