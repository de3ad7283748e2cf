//! A SHA-256 digest as 64 hexadecimal digits: how a document names a key without holding it.

use std::fmt;
use std::str::FromStr;

use super::UnitError;

/// A SHA-256 digest. Errors and `Debug` never show it: it identifies a credential.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Text {
    digest: [u8; 32],
}

impl Sha256Text {
    /// The digest of these bytes.
    pub const fn from_bytes(digest: [u8; 32]) -> Sha256Text {
        Sha256Text { digest }
    }

    /// The digest's bytes. `==` on them takes time that depends on the content; verify a credential
    /// with a constant-time comparison instead.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.digest
    }

    fn from_whole(_: u64) -> Result<Sha256Text, UnitError> {
        Err(Sha256Text::no_unit(""))
    }

    fn no_unit(_: &str) -> UnitError {
        UnitError {
            found: "a number".to_owned(),
            expected: Sha256Text::EXPECTED,
        }
    }
}

impl FromStr for Sha256Text {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Sha256Text, UnitError> {
        let error = |found: String| UnitError {
            found,
            expected: Sha256Text::EXPECTED,
        };
        let length = text.chars().count();
        if length != 64 {
            return Err(error(format!("a text of {length} characters")));
        }
        let mut digest = [0; 32];
        let mut digits = text.chars().map(|c| c.to_digit(16));
        for byte in &mut digest {
            let (Some(Some(high)), Some(Some(low))) = (digits.next(), digits.next()) else {
                return Err(error("a character that is no hexadecimal digit".to_owned()));
            };
            // Two digits below 16 fill exactly one byte.
            *byte = (high << 4 | low) as u8;
        }
        Ok(Sha256Text { digest })
    }
}

impl fmt::Display for Sha256Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digest
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256Text(..)")
    }
}

super::text_quantity!(Sha256Text,
    expected: "a SHA-256 digest of 64 hexadecimal digits",
    pattern: "^[0-9a-fA-F]{64}$",
    examples: ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    integer: serde_json::json!("string"));
