//! The admin API as a contract: what travels, what it means, and a client that speaks it.
//!
//! [`types`] are the shapes of every request and answer, [`problem`] the one shape of every refusal,
//! [`openapi`] the operations and their published description, [`client`] a small blocking client for the command line and for Terraform. [`document`] holds the
//! pure functions over configuration documents: digest, difference, and the merge of one manager's
//! document into an environment. This crate knows no server, no store and no gateway.

pub mod client;
pub mod document;
pub mod openapi;
pub mod problem;
pub mod types;

/// The JSON Schema (2020-12) of a configuration as this version knows it, pretty-printed: what
/// `cargo xtask gen` derives from the types of resources, policies and providers.
#[must_use]
pub fn schema() -> String {
    unpacked(include_bytes!(concat!(env!("OUT_DIR"), "/schema.json.gz")))
}

/// A document as it was before build.rs packed it.
fn unpacked(packed: &[u8]) -> String {
    let mut text = String::new();
    let read = GzDecoder::new(packed).read_to_string(&mut text);
    read.expect("build.rs packed it");
    text
}

use flate2::read::GzDecoder;
use std::io::Read;

pub use client::{Client, ClientError, Endpoint, Reply, Term, TimedStream, client_tls};
pub use problem::Problem;
