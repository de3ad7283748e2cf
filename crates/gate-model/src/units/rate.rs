//! So many events per period: `100/s`, `6000/m`, `5/h`, `1000/d`, `10/30s`.

use std::fmt;
use std::str::FromStr;

use super::{Period, UnitError, shown};

/// At least one event, at most 10^9, per period of 1 millisecond to 366 days. Written as the count,
/// `/`, and a unit of time (`s`, `m`, `h`, `d`, `ms`) with an optional number before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u32,
    per: Period,
}

impl Rate {
    /// The most events per period.
    pub const COUNT_MAX: u32 = 1_000_000_000;

    /// The rate of `count` events per `per`, or `None` outside of the limits of the type.
    pub fn new(count: u32, per: Period) -> Option<Rate> {
        let bounds = Period::from_millis(1)..=Period::from_seconds(366 * 86_400);
        let valid = (1..=Rate::COUNT_MAX).contains(&count) && bounds.contains(&per);
        valid.then_some(Rate { count, per })
    }

    /// Events per period.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// The period that the count refers to.
    pub const fn per(self) -> Period {
        self.per
    }

    fn from_whole(number: u64) -> Result<Rate, UnitError> {
        Err(Rate::no_unit(&number.to_string()))
    }

    fn no_unit(number: &str) -> UnitError {
        let found = format!("the number {number}, which has no period");
        UnitError {
            found,
            expected: Rate::EXPECTED,
        }
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Rate, UnitError> {
        let error = |problem: &str| UnitError {
            found: format!("{}{problem}", shown(text)),
            expected: Rate::EXPECTED,
        };
        let Some((count, per)) = text.split_once('/') else {
            return Err(error(", which has no `/` and period"));
        };
        let (count, per) = (count.trim(), per.trim());
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error(", whose count is no whole number"));
        }
        let per: Result<Period, UnitError> = if per.starts_with(|c: char| c.is_ascii_digit()) {
            per.parse()
        } else {
            format!("1{per}").parse()
        };
        let per = per.map_err(|_| error(", whose period is not understood"))?;
        let rate = count.parse().ok().and_then(|count| Rate::new(count, per));
        rate.ok_or_else(|| error(", which is not from 1 to 1000000000 per 1ms to 366d"))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = self.per.to_string();
        let unit = per
            .strip_prefix('1')
            .filter(|unit| !unit.starts_with(|c: char| c.is_ascii_digit()));
        write!(f, "{}/{}", self.count, unit.unwrap_or(&per))
    }
}

super::text_quantity!(Rate,
    expected: "a rate such as 100/s, 6000/m, 5/h, 1000/d or 10/30s",
    pattern: r"^\s*[0-9]+\s*/\s*([0-9]+(\.[0-9]+)?\s*)?(us|ms|s|m|h|d)\s*$",
    examples: ["100/s", "6000/m", "5/h", "1000/d", "10/30s"],
    integer: serde_json::json!("string"));
