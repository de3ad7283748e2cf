//! What the standard library lacks and every layer needs: message shapes, pooled buffers, a clock,
//! randomness, dates, boxed futures, blocks of bytes, histograms of
//! durations, addresses that nobody may be sent to, bounded queues, sorting, sharded counters and AWS
//! signatures.
//!
//! Nothing here knows the product's words (no routes, policies or records) and nothing here does
//! I/O. Read [`http`] first: it is the one request and body shape that both HTTP versions end in.

pub mod address;
pub mod block;
mod boxed;
pub mod buffer;
pub mod clock;
pub mod counter;
pub mod date;
pub mod durations;
pub mod http;
mod memory_file;
pub mod order;
pub mod queue;
pub mod random;
pub mod sigv4;

pub use boxed::boxed;
pub use memory_file::MemoryFile;
