//! A share: `99.9 %` or `99.9%`.

use std::fmt;
use std::str::FromStr;

use super::decimal::{DecimalError, scaled, split};
use super::{UnitError, shown};

/// A percentage from 0 to 100 with at most six decimals. The sign is required: a bare `0.5` could
/// mean half or half a percent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Percent {
    /// Millionths of a percent.
    millionths: u64,
}

const ONE: u64 = 1_000_000;

impl Percent {
    /// Nothing.
    pub const ZERO: Percent = Percent { millionths: 0 };
    /// All of it.
    pub const HUNDRED: Percent = Percent {
        millionths: 100 * ONE,
    };

    /// Whole percents, at most 100.
    pub const fn from_percents(percents: u64) -> Percent {
        Percent {
            millionths: if percents > 100 {
                100 * ONE
            } else {
                percents * ONE
            },
        }
    }

    /// Hundred-millionths: `100 000 000` is 100 %, and so is whatever is more.
    pub const fn from_hundred_millionths(number: u64) -> Percent {
        Percent {
            millionths: if number > 100 * ONE {
                100 * ONE
            } else {
                number
            },
        }
    }

    /// The share from 0.0 to 1.0.
    pub fn fraction(self) -> f64 {
        self.millionths as f64 / (100 * ONE) as f64
    }

    /// The exact share in hundred-millionths: 100 % is 100 000 000.
    pub const fn hundred_millionths(self) -> u64 {
        self.millionths
    }

    fn from_whole(number: u64) -> Result<Percent, UnitError> {
        Err(Percent::no_unit(&number.to_string()))
    }

    fn no_unit(number: &str) -> UnitError {
        let found = format!("the number {number}, which has no `%`");
        UnitError {
            found,
            expected: Percent::EXPECTED,
        }
    }
}

impl FromStr for Percent {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Percent, UnitError> {
        let error = |problem: &str| UnitError {
            found: format!("{}{problem}", shown(text)),
            expected: Percent::EXPECTED,
        };
        let (number, unit) = split(text);
        match unit {
            "%" if !number.is_empty() => {}
            "" if !number.is_empty() => return Err(error(", which has no `%`")),
            _ => return Err(error("")),
        }
        let millionths = scaled(number, ONE).map_err(|problem| match problem {
            DecimalError::Malformed => error(""),
            DecimalError::TooFine => error(", which has more than six decimals"),
            DecimalError::TooLarge => error(", which is more than 100%"),
        })?;
        if millionths > 100 * ONE {
            return Err(error(", which is more than 100%"));
        }
        Ok(Percent { millionths })
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.millionths / ONE, self.millionths % ONE);
        if part == 0 {
            return write!(f, "{whole}%");
        }
        let decimals = format!("{part:06}");
        write!(f, "{whole}.{}%", decimals.trim_end_matches('0'))
    }
}

impl fmt::Debug for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Percent({self})")
    }
}

super::text_quantity!(Percent,
    expected: "a percentage such as 99.9%",
    pattern: r"^\s*[0-9]+(\.[0-9]+)?\s*%\s*$",
    examples: ["99.9%", "50 %"],
    integer: serde_json::json!("string"));
