//! The wire: how bytes of a connection become messages and messages become bytes.
//!
//! Nothing here knows routes, policies or faults; a refusal is an error with a stable code, and
//! what becomes of it is decided above. Read [`io`] first: it is the one connection that every
//! protocol runs on.

pub mod connect;
pub mod dns;
pub mod guard;
pub mod handover;
pub mod http2;
pub mod io;
pub mod listen;
mod proxy_connect;
pub mod tls;

pub use proxy_connect::{InvalidProxy, OutboundProxy};
