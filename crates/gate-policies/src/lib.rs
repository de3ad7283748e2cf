//! The policies: one file each, found by the registry.
//!
//! A policy is a file `src/<name>.rs`. It opens with a `//!` header whose first line says what the
//! policy does and which holds exactly one fenced `yaml` block: the policy as written in a route
//! (`- limit: { rate: 100/s }`). Then come the settings (doc comments are the reference text,
//! unknown fields are refused), `impl PolicyKind` (settings to policy), `impl Policy` (what happens
//! to an exchange) and the tests, which run the policy on exchanges made by [`testing`] without a
//! socket. Parts of a policy that deserve a file of their own lie in `src/<name>/`.
//!
//! [`registry`] is generated from the folder by `cargo xtask gen`: every file directly in `src/`
//! with a line that starts with `impl PolicyKind for ` is listed, with its header (less the block) and its block.
//! Nothing else is edited for a new policy. [`when`] compiles the conditions that any policy may
//! carry. This crate knows no socket and no proxy loop; the binary hands the registry over.

mod ask_model;
mod checks;
mod heavy;
mod holder;
mod issuer;
mod path_change;
mod places;
mod rates;
mod recent;
pub mod registry;
mod template;
#[cfg(test)]
#[allow(dead_code, reason = "a harness offers what any policy may need")]
mod testing;
#[cfg(test)]
mod testing_tokens;
mod tokens;
pub mod when;

pub use registry::{POLICIES, REFERENCES};
