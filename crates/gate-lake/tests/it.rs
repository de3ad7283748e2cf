//! What the lake writes, through other readers of the same formats, and what it costs.

#[path = "it/kill.rs"]
mod kill;
#[path = "it/lookups.rs"]
mod lookups;
#[path = "it/query.rs"]
mod query;
#[path = "it/rate.rs"]
mod rate;
#[path = "it/readers.rs"]
mod readers;
#[path = "it/speed.rs"]
mod speed;
#[path = "it/versions.rs"]
mod versions;
