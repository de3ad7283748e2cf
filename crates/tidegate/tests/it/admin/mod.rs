//! The doors of the admin address: TLS, signing in, keys that are taken away.

mod described;
mod provider;
mod revoked;
mod tls;
