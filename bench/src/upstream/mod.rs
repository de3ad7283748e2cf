//! The mock upstream: a raw HTTP/1.1 responder with every answer made before the first request.
//!
//! It answers plain JSON, chat completions in two vendors' shapes, and event streams at three
//! paces. It refuses to be general: requests come from our own load generator through a proxy.
//! `replies` holds what is said, `request` reads what is asked, `server` moves the bytes.

mod replies;
mod request;
mod server;

pub use replies::{EVENTS_PER_STREAM, PACED_GAP, Replies, Reply};
pub use request::{Parsed, Question, parse};
pub use server::Upstream;
