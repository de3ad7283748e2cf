//! The wire: how bytes of a connection become messages and messages become bytes.
//!
//! Nothing here knows routes, policies or faults; a refusal is an error with a stable code, and
//! what becomes of it is decided above. Read [`io`] first: it is the one connection that every
//! protocol runs on.

pub mod io;
pub mod tls;
