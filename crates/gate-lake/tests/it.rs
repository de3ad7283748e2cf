//! What the lake writes, through other readers of the same formats, and what it costs.

#[path = "it/rate.rs"]
mod rate;
