//! Contracts of services: OpenAPI documents read with their places, held against messages, and
//! compared with each other.
//!
//! Pure: no I/O, no clock, no sockets. [`openapi`] reads a document into operations, parameters,
//! bodies and responses; [`check`] holds messages against them; [`diff`] says what changed between
//! two documents, [`version`] which one a request is for, [`shape`] how one becomes another. [`cloud`] is how
//! events are written, [`event`] the schemas of their data. Who enforces a contract is a policy in
//! `gate-policies`; which routes follow from one is decided in `gate-proxy`.

pub mod check;
pub mod cloud;
pub mod diff;
pub mod event;
pub mod graphql;
pub mod grpc;
pub mod json;
pub mod openapi;
pub mod schema;
pub mod shape;
pub mod version;
