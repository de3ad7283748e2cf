//! Who calls, as pure functions: tokens, keys, sign-ins, certificates, passwords and signed messages.
//!
//! Bytes and settings come in, verdicts and bytes go out. Nothing here does I/O, waits, or reads a
//! clock: whoever asks says what time it is. Policies for callers (`gate-policies`) and the admin
//! API's own access (`gate-admin`) both stand on this crate, so that there is one reading of a token.
//! Start with [`jose`]; [`oidc`] builds on it.

pub mod certificate;
pub mod claims;
pub mod jose;
pub mod oidc;
pub mod password;
pub mod seal;
pub mod signature;
