//! HTTP/1.1 connections: the codec driven over a socket, one message after the other.
//!
//! [`server`] reads requests and writes responses, [`client`] the reverse; both write through
//! [`writer`], which sends in one system call whatever is at hand. Everything happens inside the
//! task that owns the connection: nothing is spawned, and what is idle holds no buffer.

pub mod client;
pub mod server;
mod timer;
mod writer;

pub use timer::Timer;

/// Time, where zero stands for "no limit".
pub(crate) fn limit(duration: std::time::Duration) -> Option<std::time::Duration> {
    (!duration.is_zero()).then_some(duration)
}
