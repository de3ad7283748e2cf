//! Serves requests: listeners, routes and targets around the contract of gate-flow.
//!
//! Start reading at [`serve`]: it is the product's table of contents. [`compile`] makes a snapshot
//! from a document, [`process`] starts workers and swaps snapshots, [`worker`] and [`connection`]
//! bring requests in, [`target`] and [`upstream`] answer them, [`record`] keeps what happened. This
//! crate does not know any policy: the binary hands it the registry.

pub mod actions;
mod apis;
pub mod batches;
mod caller;
pub mod clients;
pub mod compile;
pub mod connection;
pub mod events;
pub mod experiments;
mod hashing;
pub mod inside;
mod key_value;
pub mod listener;
pub mod money;
pub mod objectives;
pub mod process;
pub mod products;
mod prompts;
mod quic;
pub mod record;
pub mod replay;
pub mod respond;
pub mod route;
pub mod schema;
mod secret_files;
pub mod serve;
mod services;
mod shadow;
pub mod standing;
mod streams;
pub mod target;
mod tcp;
mod token;
pub mod trials;
pub mod upstream;
pub mod versions;
mod worker;
