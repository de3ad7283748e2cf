//! The mock upstream: a raw HTTP/1.1 responder with every answer made before the first request.
//!
//! It answers plain JSON, chat completions in two vendors' shapes, and event streams at three
//! paces; a stand-in for a model's server takes its time. It refuses to be general: requests come from our own load generator through a proxy.
//! `replies` holds what is said, `model` when, `request` reads what is asked, `server` moves the bytes.

mod model;
mod replies;
mod request;
mod server;

pub use model::{Model, SPEEDS, Speed};
pub use replies::{EVENTS_PER_STREAM, PACED_GAP, Replies, Reply};
pub use request::{Parsed, Question, parse};
pub use server::Upstream;
