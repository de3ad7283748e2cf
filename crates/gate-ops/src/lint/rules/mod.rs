//! What the rules check, by area.

pub(super) mod access;
pub(super) mod exposure;
pub(super) mod secrets;
pub(super) mod traffic;
