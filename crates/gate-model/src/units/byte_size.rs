//! A number of bytes: `64KiB`, `10MiB`, `1MB`, or a plain integer.

use std::fmt;
use std::str::FromStr;

use super::decimal::{DecimalError, scaled, split};
use super::{UnitError, shown};

/// A number of bytes from 0 to 1 PiB. Written as a number and one of `B`, `KB`, `MB`, `GB`, `TB`
/// (powers of 1000) or `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024); a plain integer means bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize {
    bytes: u64,
}

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

impl ByteSize {
    /// The largest: 1 PiB.
    pub const MAX: ByteSize = ByteSize { bytes: 1 << 50 };

    /// So many bytes, at most [`ByteSize::MAX`].
    pub const fn from_bytes(bytes: u64) -> ByteSize {
        ByteSize {
            bytes: if bytes > ByteSize::MAX.bytes {
                ByteSize::MAX.bytes
            } else {
                bytes
            },
        }
    }

    /// So many units of 1024 bytes, at most [`ByteSize::MAX`].
    pub const fn from_kibibytes(kibibytes: u64) -> ByteSize {
        ByteSize::from_bytes(kibibytes.saturating_mul(1024))
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.bytes
    }

    /// The number of bytes as a length in memory; saturates where `usize` is narrower.
    pub fn len(self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    /// Whether this is no byte at all.
    pub const fn is_empty(self) -> bool {
        self.bytes == 0
    }

    fn from_whole(number: u64) -> Result<ByteSize, UnitError> {
        if number <= ByteSize::MAX.bytes {
            return Ok(ByteSize { bytes: number });
        }
        let found = format!("the number {number}, which is more than 1024TiB");
        Err(UnitError {
            found,
            expected: ByteSize::EXPECTED,
        })
    }

    fn no_unit(number: &str) -> UnitError {
        let found = format!("the number {number}, which is no whole number of bytes");
        UnitError {
            found,
            expected: ByteSize::EXPECTED,
        }
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<ByteSize, UnitError> {
        let error = |problem: String| UnitError {
            found: format!("{}{problem}", shown(text)),
            expected: ByteSize::EXPECTED,
        };
        let (number, unit) = split(text);
        if number.is_empty() {
            return Err(error(String::new()));
        }
        let scale = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, scale)| *scale);
        let scale = if unit.is_empty() { Some(1) } else { scale };
        let Some(scale) = scale else {
            return Err(error(format!(", whose unit {} is unknown", shown(unit))));
        };
        let bytes = scaled(number, scale).map_err(|problem| match problem {
            DecimalError::Malformed => error(String::new()),
            DecimalError::TooFine => error(", which is no whole number of bytes".to_owned()),
            DecimalError::TooLarge => error(", which is more than 1024TiB".to_owned()),
        })?;
        if bytes > ByteSize::MAX.bytes {
            return Err(error(", which is more than 1024TiB".to_owned()));
        }
        Ok(ByteSize { bytes })
    }
}

/// The unit that leaves the smallest whole number, binary before decimal.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bytes == 0 {
            return f.write_str("0B");
        }
        let fits = |(_, scale): &&(&str, u64)| self.bytes.is_multiple_of(*scale);
        let (unit, scale) = UNITS
            .iter()
            .filter(fits)
            .max_by_key(|(_, scale)| *scale)
            .unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.bytes / scale)
    }
}

impl fmt::Debug for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ByteSize({self})")
    }
}

super::text_quantity!(ByteSize,
    expected: "a size such as 64KiB, 10MiB or 1MB, or a whole number of bytes",
    pattern: r"^\s*[0-9]+(\.[0-9]+)?\s*(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?\s*$",
    examples: ["64KiB", "10MiB", "1MB", 65536],
    integer: serde_json::json!(["string", "integer"]));
