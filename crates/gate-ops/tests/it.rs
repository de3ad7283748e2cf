//! The engines of rollouts and objectives: on traffic that is made up, with the data plane's own
//! counters and a clock that only the simulation moves; on public data where it is present; and the engine of events' patterns and their envelope.

#![allow(clippy::print_stdout, reason = "what is measured is printed")]

#[path = "it/attribution.rs"]
mod attribution;
#[path = "it/bars.rs"]
mod bars;
#[path = "it/behaviour.rs"]
mod behaviour;
#[path = "it/cloud_events.rs"]
mod cloud_events;
#[path = "it/failing_revision.rs"]
mod failing_revision;
#[path = "it/monitoring.rs"]
mod monitoring;
#[path = "it/objectives.rs"]
mod objectives;
#[path = "it/patterns/mod.rs"]
mod patterns;
#[path = "it/planted.rs"]
mod planted;
#[path = "it/promtool.rs"]
mod promtool;
#[path = "it/traffic.rs"]
mod traffic;
