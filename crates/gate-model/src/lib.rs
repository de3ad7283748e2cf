//! The product's words: documents, findings about them, units, and the reference text of fields.
//!
//! Pure data and pure functions: no I/O, no async, no clock. A reader starts at [`document`], which
//! turns text into nodes that know their place, and at [`finding`], the one shape of every error
//! about a configuration.

pub mod document;
pub mod explain;
pub mod finding;
pub mod suggest;
pub mod units;
