//! Values that are kept sealed: what the tables hold of them.

use std::fmt;

/// A value sealed under a data key of its own, which a key-encryption key wraps.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which key-encryption key wraps the data key.
    pub key_id: String,
    /// The data key, wrapped.
    pub wrapped: Vec<u8>,
    /// The value, encrypted under the data key.
    pub ciphertext: Vec<u8>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("key_id", &self.key_id)
            .field("bytes", &self.ciphertext.len())
            .finish_non_exhaustive()
    }
}
