//! When a second call starts: after a time, or at a percentile of what was measured.

use crate::units::{Period, UnitError, shown};
use std::fmt;
use std::str::FromStr;

/// `300ms`, or `p95`: the time that so many percent of calls did not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HedgeAfter {
    /// This long.
    Time(Period),
    /// As long as this percentage of calls took at most; 50 to 99.
    Percentile(u8),
}

impl HedgeAfter {
    fn from_whole(number: u64) -> Result<Self, UnitError> {
        Err(Self::no_unit(&number.to_string()))
    }

    fn no_unit(number: &str) -> UnitError {
        UnitError {
            found: format!("the number {number}, which has no unit"),
            expected: Self::EXPECTED,
        }
    }
}

impl FromStr for HedgeAfter {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = || UnitError {
            found: shown(text),
            expected: Self::EXPECTED,
        };
        match text.strip_prefix('p') {
            Some(percent) => match percent.parse() {
                Ok(percent @ 50..=99) => Ok(Self::Percentile(percent)),
                _ => Err(error()),
            },
            None => text.parse().map(Self::Time).map_err(|_| error()),
        }
    }
}

impl fmt::Display for HedgeAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(period) => write!(f, "{period}"),
            Self::Percentile(percent) => write!(f, "p{percent}"),
        }
    }
}

crate::units::text_quantity!(HedgeAfter,
    expected: "a duration such as 300ms, or a percentile from p50 to p99",
    pattern: r"^\s*(p[5-9][0-9]|0|[0-9]+(\.[0-9]+)?\s*(us|ms|s|m|h|d))\s*$",
    examples: ["300ms", "p95"],
    integer: serde_json::json!("string"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_and_a_percentile_read_back_as_written() {
        for text in ["300ms", "2s", "p50", "p95", "p99"] {
            let read: HedgeAfter = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
        }
        for text in ["p49", "p100", "p", "95", "p95%", "soon", ""] {
            assert!(text.parse::<HedgeAfter>().is_err(), "{text}");
        }
    }
}
