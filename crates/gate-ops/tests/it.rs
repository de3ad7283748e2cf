//! The engine of rollouts: on traffic that is made up, with the data plane's own counters and a
//! clock that only the simulation moves.

#![allow(clippy::print_stdout, reason = "what is measured is printed")]

#[path = "it/bars.rs"]
mod bars;
#[path = "it/behaviour.rs"]
mod behaviour;
#[path = "it/traffic.rs"]
mod traffic;
