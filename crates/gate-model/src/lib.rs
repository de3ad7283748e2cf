//! The product's words: resources, documents, findings about them, units and fault codes.
//!
//! Pure data and pure functions: no I/O, no async, no clock. A reader starts at [`resources`], what
//! a configuration can hold; [`document`] turns text into nodes that know their place, [`finding`]
//! is the one shape of every error about a configuration, [`fault`] of every failed request.

pub mod claims;
pub mod document;
pub mod environment;
pub mod explain;
pub mod fault;
pub mod finding;
pub mod resources;
pub mod suggest;
pub mod units;
