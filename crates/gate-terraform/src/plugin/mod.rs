//! The way to Terraform: a program started by it, one line on its output, gRPC over a Unix socket.
//!
//! `handshake` settles who talks to whom (cookie, versions, certificates), `pin` admits exactly one
//! client, `serve` runs the socket, `grpc` frames calls and `messages` are what they carry. What
//! the calls mean is in [`crate::provider`].

mod grpc;
mod handshake;
pub mod messages;
mod pin;
mod serve;

pub use grpc::{Calls, Status};
pub use handshake::{COOKIE_NAME, COOKIE_VALUE, Environment, HandshakeError, is_wanted};
pub use serve::{Reattach, run, serve_plain};
