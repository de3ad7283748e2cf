//! HTTP/2: the crate `h2` ending in gate-kit's message shapes.
//!
//! `h2` does frames, HPACK and flow control; this module bounds it, refuses what HTTP/2 allows to
//! be ambiguous, and translates. A WebSocket by extended CONNECT (RFC 8441) looks here exactly
//! like an HTTP/1.1 upgrade: method GET, `upgrade` set, answered by 101; so there is one proxy
//! loop. Read `server.rs` or `client.rs` first; `body.rs` moves the bytes of both.

mod body;
mod client;
mod convert;
mod keepalive;
mod server;

pub use client::{Http2Client, Http2ClientOptions, Http2Driver, SendError, Unsent};
pub use server::{Http2Limits, Http2Responder, Http2Server, Incoming};

pub use gate_kit::http::multiplexed::Refusal;
pub use gate_kit::http::{SendEnd, Sent};

use bytes::Bytes;

/// Bytes one stream may have waiting to be sent; a body is pulled no faster than that drains.
const SEND_BUFFER: usize = 64 * 1024;

/// What ended a connection, for the operator's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Http2Error {
    /// The peer broke the protocol, or said that we did.
    #[error("HTTP/2 protocol: {0}")]
    Protocol(String),
    /// The socket failed or ended without a GOAWAY.
    #[error("HTTP/2 connection lost: {0}")]
    Lost(String),
    /// The peer answered no ping in time.
    #[error("the peer answers no HTTP/2 ping")]
    Silent,
    /// The peer opened and reset streams faster than an honest one would (CVE-2023-44487).
    #[error("the peer resets too many HTTP/2 streams")]
    RapidReset,
}

impl Http2Error {
    fn of(error: &h2::Error) -> Self {
        if error.is_io() {
            Self::Lost(error.to_string())
        } else {
            Self::Protocol(error.to_string())
        }
    }
}

type SendStream = h2::SendStream<Bytes>;
