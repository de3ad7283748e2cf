//! The load generator: closed loop for saturation, open loop for latency, every answer checked.
//!
//! `response` reads answers, `transport` is TCP with or without TLS, `engine` drives the
//! connections, `samples` keeps durations. A wrong answer ends the round with an error: a fast
//! proxy that answers wrongly must not look fast.

mod engine;
mod plan;
mod probe;
mod response;
mod samples;
mod transport;

pub use engine::run;
pub use plan::{Expectation, LoadError, Mark, Outcome, Pace, Plan, Request, Stop};
pub use probe::probe;
pub use response::{Answer, ResponseReader};
pub use samples::Samples;
pub use transport::{Tls, Transport};
