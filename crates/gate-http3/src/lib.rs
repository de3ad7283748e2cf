//! HTTP/3 to clients: the crates `quinn` (QUIC) and `h3` ending in gate-kit's message shapes.
//!
//! Nothing else names those two crates. A [`Sockets`] is a listener's UDP address, bound once per
//! worker; each worker runs an [`Endpoint`] over its own, judges every [`Attempt`] to connect, and
//! drives an [`Http3Server`] per connection. What `h3` leaves unbounded or unchecked is bounded and
//! checked before it: `gate.rs` lets whole frames through that fit, `scan.rs` reads the order of
//! pseudo-header fields. Nothing here knows routes, policies or faults.
//!
//! Left out on purpose: 0-RTT (its requests can be replayed), connection migration (the kernel
//! gives a worker its packets by address, so a moved connection would reach another worker), server
//! push, datagrams, extended CONNECT, the dynamic table of QPACK.

mod body;
mod convert;
mod endpoint;
mod gate;
mod limits;
mod quic;
mod scan;
mod server;
mod shared;
mod sockets;
mod stream;

pub use endpoint::{Attempt, Endpoint, Http3Error, Keys, Peer, Settings};
pub use limits::Http3Limits;
pub use server::{Http3Responder, Http3Server, Incoming};
pub use sockets::Sockets;
