//! Secrets that other services keep: HashiCorp Vault, AWS Secrets Manager, Kubernetes.
//!
//! [`Keeper`] asks them when a revision is compiled, never for a request: it remembers what they
//! said, looks for other values every `refresh`, and tells that one has changed. While a service is
//! down its last values are given; what was never had is an error that names service and path. The
//! services' protocols are a file each; `wire.rs` sends bytes, bounded in size and in time. Values
//! are never logged, shown or put into an error, and neither is anything a service answers. [`kms`]
//! unwraps the keys of the store itself.

mod asker;
mod aws;
mod keeper;
pub mod kms;
mod kubernetes;
mod values;
mod vault;
mod wire;

pub use keeper::{ENTRIES_MAX, Keeper};
pub use values::VALUE_BYTES_MAX;
