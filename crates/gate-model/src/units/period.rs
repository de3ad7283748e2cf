//! A length of time: `250ms`, `1.5s`, `5m`, `1h`, `30d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::decimal::{DecimalError, scaled, split};
use super::{UnitError, shown};

/// A length of time in whole microseconds, from 0 to 3650 days. Written as a number and one of
/// `us`, `ms`, `s`, `m` (minute), `h`, `d` (24 hours); a bare `0` is allowed, no other bare number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Period {
    microseconds: u64,
}

/// Units from the largest; the numbers are microseconds.
const UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

impl Period {
    /// The longest: 3650 days.
    pub const MAX: Period = Period {
        microseconds: 3650 * 86_400_000_000,
    };
    /// No time at all; where a field allows it, it means "none".
    pub const ZERO: Period = Period { microseconds: 0 };

    /// Whole seconds, at most [`Period::MAX`].
    pub const fn from_seconds(seconds: u64) -> Period {
        Period::from_microseconds(seconds.saturating_mul(1_000_000))
    }

    /// Whole milliseconds, at most [`Period::MAX`].
    pub const fn from_millis(milliseconds: u64) -> Period {
        Period::from_microseconds(milliseconds.saturating_mul(1_000))
    }

    /// Whole microseconds, at most [`Period::MAX`].
    pub const fn from_microseconds(microseconds: u64) -> Period {
        let bounded = if microseconds > Period::MAX.microseconds {
            Period::MAX.microseconds
        } else {
            microseconds
        };
        Period {
            microseconds: bounded,
        }
    }

    /// The same as the standard library's type.
    pub const fn duration(self) -> Duration {
        Duration::from_micros(self.microseconds)
    }

    /// The whole length in microseconds.
    pub const fn microseconds(self) -> u64 {
        self.microseconds
    }

    /// Whether this is no time at all.
    pub const fn is_zero(self) -> bool {
        self.microseconds == 0
    }

    fn from_whole(number: u64) -> Result<Period, UnitError> {
        if number == 0 {
            Ok(Period::ZERO)
        } else {
            Err(Period::no_unit(&number.to_string()))
        }
    }

    fn no_unit(number: &str) -> UnitError {
        let found = format!("the number {number}, which has no unit");
        UnitError {
            found,
            expected: Period::EXPECTED,
        }
    }
}

impl FromStr for Period {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Period, UnitError> {
        let error = |problem: String| UnitError {
            found: format!("{}{problem}", shown(text)),
            expected: Period::EXPECTED,
        };
        let (number, unit) = split(text);
        if number == "0" && unit.is_empty() {
            return Ok(Period::ZERO);
        }
        if number.is_empty() {
            return Err(error(String::new()));
        }
        if unit.is_empty() {
            return Err(error(", which has no unit".to_owned()));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(error(format!(", whose unit {} is unknown", shown(unit))));
        };
        let microseconds = scaled(number, *scale).map_err(|problem| match problem {
            DecimalError::Malformed => error(String::new()),
            DecimalError::TooFine => error(", which is finer than a microsecond".to_owned()),
            DecimalError::TooLarge => error(", which is longer than 3650d".to_owned()),
        })?;
        if microseconds > Period::MAX.microseconds {
            return Err(error(", which is longer than 3650d".to_owned()));
        }
        Ok(Period { microseconds })
    }
}

/// The largest unit that leaves a whole number: `90s`, not `1.5m`.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0s");
        }
        let fits = |(_, scale): &&(&str, u64)| self.microseconds.is_multiple_of(*scale);
        let (unit, scale) = UNITS.iter().find(fits).unwrap_or(&("us", 1));
        write!(f, "{}{unit}", self.microseconds / scale)
    }
}

impl fmt::Debug for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Period({self})")
    }
}

super::text_quantity!(Period,
    expected: "a duration such as 250ms, 1.5s, 5m, 1h or 30d",
    pattern: r"^\s*(0|[0-9]+(\.[0-9]+)?\s*(us|ms|s|m|h|d))\s*$",
    examples: ["250ms", "1.5s", "5m", "1h", "30d"],
    integer: serde_json::json!("string"));
