//! The three ways this crate touches JSON.
//!
//! [`scan`] walks the top of a document lazily and copies nothing: the hot path. [`object`] splits
//! an object into its members, each still raw, so that translation sees every field and drops none
//! unnoticed. [`write`] writes members in order into one buffer.

pub(crate) mod object;
pub(crate) mod scan;
pub(crate) mod write;
