//! The wire: how bytes of a connection become messages and messages become bytes.
//!
//! [`http1`], [`path`], [`proxy_protocol`] and [`client_hello`] are pure: they own no socket, no
//! clock and no task, take bytes and give values, and are fuzzed as they are. [`io`] is the one
//! byte connection that every protocol runs on: [`listen`] and [`connect`] make it, [`tls`] wraps
//! it, [`connection`] drives HTTP/1.1 over it and [`http2`] HTTP/2. Nothing here knows routes,
//! policies or faults; a refusal is an error with a stable code, and what becomes of it is decided
//! above.

pub mod client_hello;
pub mod connect;
pub mod connection;
pub mod dns;
pub mod handover;
pub mod http1;
pub mod http2;
pub mod io;
pub mod listen;
pub mod path;
mod proxy_connect;
pub mod proxy_protocol;
pub mod tls;

pub use proxy_connect::{InvalidProxy, OutboundProxy};
