//! How Tidegate's speed and memory are measured: load, upstream, peers, scenarios, results.
//!
//! Start with [`scenario`] (what is measured) and [`measure`] (how). [`load`] and [`upstream`]
//! are the two ends of the wire and run on one core; [`subject`] starts the proxies on another.
//! Nothing here is part of the product, and nothing here is a timed test.

pub mod bars;
pub mod certificate;
pub mod guard;
pub mod load;
pub mod machine;
pub mod measure;
mod method;
pub mod poller;
pub mod process;
pub mod report;
pub mod results;
pub mod scenario;
pub mod soak;
pub mod subject;
pub mod upstream;
