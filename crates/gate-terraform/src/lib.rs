//! Tidegate's Terraform provider: plug-in protocol 6 over the admin API.
//!
//! `plugin` is the way to Terraform: cookie, handshake, mutual TLS, gRPC, messages. `schema` turns
//! the committed JSON Schema of a configuration into Terraform's; `convert` turns values into
//! documents and back; `provider` answers Terraform's calls; `control` is the way to the server.
//! This crate knows neither the server's code nor any one kind of resource: a new kind appears
//! here when `cargo xtask gen` has written it into docs/reference/schema.json.

pub mod control;
pub mod convert;
pub mod plugin;
pub mod provider;
pub mod schema;
pub mod value;
