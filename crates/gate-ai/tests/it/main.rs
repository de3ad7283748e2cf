//! Everything this crate does to recorded provider traffic.
//!
//! The recordings are read from `shared/cassettes` beside the checkout; where they are absent
//! every test says that it was skipped.

mod cassettes;
mod cohere;
mod converse;
mod generate_content;
mod guard;
mod guard_blocks;
mod native;
mod oracle;
mod pairs;
mod prices;
mod properties;
mod stream;
mod tokens;
mod translated;
mod written;
