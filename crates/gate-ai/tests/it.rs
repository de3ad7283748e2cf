//! Everything this crate does to recorded provider traffic.
//!
//! The recordings are read from `shared/cassettes` beside the checkout; where they are absent
//! every test says that it was skipped.

#[path = "it/cassettes.rs"]
mod cassettes;
#[path = "it/native.rs"]
mod native;
#[path = "it/properties.rs"]
mod properties;
#[path = "it/stream.rs"]
mod stream;
#[path = "it/translated.rs"]
mod translated;
