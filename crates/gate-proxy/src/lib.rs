//! Serves requests: listeners, routes and targets around the contract of gate-flow.

pub mod record;
