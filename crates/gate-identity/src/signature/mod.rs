//! HTTP message signatures (RFC 9421), verified and made, and digests of bodies (RFC 9530).
//!
//! A signature covers components of a message, each one line of the signature base ([`base`]); the
//! fields that carry it are structured fields ([`fields`]). Which key is whose, which components have
//! to be covered and how old a signature may be, is for whoever asks.

mod base;
mod digest;
pub mod fields;
mod keys;
mod message;
#[cfg(test)]
mod vectors;

pub use base::{Component, ComponentError, Message};
pub use digest::{DigestError, check_digest, content_digest};
pub use keys::{SignatureAlgorithm, SigningKey, VerificationKey};
pub use message::{Parameters, Signature, SignatureError, signatures, write};
