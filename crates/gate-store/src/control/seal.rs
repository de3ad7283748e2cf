//! Values that are kept sealed: what the tables hold of them.

use std::fmt;

/// A value sealed under a data key of its own, which a key-encryption key wraps.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The data key.
    pub key: WrappedKey,
    /// The value, encrypted under the data key.
    pub ciphertext: Vec<u8>,
}

/// A data key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// Which key-encryption key wraps it.
    pub id: String,
    /// The data key, encrypted under that key.
    pub wrapped: Vec<u8>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("key", &self.key.id)
            .field("bytes", &self.ciphertext.len())
            .finish_non_exhaustive()
    }
}
