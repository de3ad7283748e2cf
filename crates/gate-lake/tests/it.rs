//! What the lake writes, through other readers of the same formats; what a kill leaves; what it costs.

#[path = "it/kill.rs"]
mod kill;
#[path = "it/rate.rs"]
mod rate;
#[path = "it/readers.rs"]
mod readers;
