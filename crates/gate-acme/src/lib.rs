//! Certificates by ACME (RFC 8555), for one gateway or for many.
//!
//! One of all gateways orders: whoever holds the lease that its [`Shelf`] keeps. What it has to show
//! to the authority, and what it gets, lies on the shelf, from where every gateway takes it into its
//! [`gate_net::tls::Managed`]: so any of them answers a challenge (HTTP-01 of RFC 8555 section 8.3,
//! TLS-ALPN-01 of RFC 8737; DNS-01 goes through a webhook), and all serve the certificate. While an
//! order fails, the certificate before it stays in use.
//!
//! Read [`Keeper::tick`] first: it is called about once a second by a thread of its own and may
//! block for as long as an order takes. Which listeners use certificates is not known here, nor how
//! a shelf keeps what is laid on it.

mod der;
mod keeper;
mod order;
mod renewal;
mod shelf;
mod state;
mod wire;

pub use der::{Validity, validity};
pub use keeper::{Keeper, Pace, Wanted};
pub use shelf::{Folder, Shelf};

/// Why something did not work, for the operator; never a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AcmeError(pub String);

impl AcmeError {
    /// An error about something.
    pub(crate) fn of(what: &str, error: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {error}"))
    }
}
