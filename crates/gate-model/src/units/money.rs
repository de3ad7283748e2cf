//! An amount of money: `25`, `0.50`, `1200.75`, in US dollars, kept in whole picodollars.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Sub};
use std::str::FromStr;

use super::decimal::{DecimalError, scaled};
use super::{UnitError, shown};

/// US dollars in whole picodollars (10^-12 dollars), so that prices per token add up exactly: the
/// finest price of a vendor has 12 decimals. At most 9,223,372 dollars, which is what a signed
/// 64-bit column of a ledger holds; sums stop there instead of wrapping. Negative only as the
/// difference of two amounts; documents cannot write one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money {
    picodollars: i64,
}

/// Picodollars in a dollar.
const SCALE: u64 = 1_000_000_000_000;
const EXPECTED: &str = "US dollars such as 25, 0.50 or 1200.75";
/// Digits that every binary floating-point number of 64 bits keeps (IEEE 754: DBL_DIG).
const FLOAT_DIGITS: usize = 15;

impl Money {
    /// Nothing.
    pub const ZERO: Money = Money { picodollars: 0 };
    /// The most that can be expressed: 9,223,372.036854775807 dollars.
    pub const MAX: Money = Money {
        picodollars: i64::MAX,
    };

    /// Whole picodollars.
    #[must_use]
    pub const fn from_picodollars(picodollars: i64) -> Money {
        Money { picodollars }
    }

    /// The same in whole picodollars.
    #[must_use]
    pub const fn picodollars(self) -> i64 {
        self.picodollars
    }

    /// Whether this is nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.picodollars == 0
    }

    /// The exact decimal text without trailing zeros, such as `0.0125`.
    #[must_use]
    pub fn dollars(self) -> String {
        self.to_string()
    }

    /// The nearest number of dollars, for metrics, which know nothing else. Never add these up.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a metric's sample is a float")]
    pub fn approximate_dollars(self) -> f64 {
        self.picodollars as f64 / SCALE as f64
    }

    /// Reads what a vendor or a bill writes, exponents included: `1.5e-05`, `3`, `0.00502`.
    /// Digits beyond a picodollar are rounded half up.
    #[must_use]
    pub fn from_decimal(text: &str) -> Option<Money> {
        let text = text.trim();
        let (digits, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all: String = [whole, fraction].concat();
        let plain = !all.is_empty() && all.len() <= 38 && all.bytes().all(|b| b.is_ascii_digit());
        let number: u128 = plain.then(|| all.parse().ok())??;
        let places = exponent
            .checked_sub(i32::try_from(fraction.len()).ok()?)?
            .checked_add(12)?;
        let power = 10u128.checked_pow(places.unsigned_abs());
        let picodollars = match (places >= 0, power) {
            (true, Some(power)) => number.checked_mul(power)?,
            (true, None) => (number == 0).then_some(0)?,
            (false, Some(power)) => {
                number / power + u128::from(number % power >= power.div_ceil(2))
            }
            (false, None) => 0,
        };
        let picodollars = i64::try_from(picodollars).ok()?;
        Some(Money { picodollars })
    }
}

impl Add for Money {
    type Output = Money;

    fn add(self, other: Money) -> Money {
        Money::from_picodollars(self.picodollars.saturating_add(other.picodollars))
    }
}

impl Sub for Money {
    type Output = Money;

    fn sub(self, other: Money) -> Money {
        Money::from_picodollars(self.picodollars.saturating_sub(other.picodollars))
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Money>>(amounts: I) -> Money {
        amounts.fold(Money::ZERO, Add::add)
    }
}

impl FromStr for Money {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Money, UnitError> {
        let error = |problem: &str| UnitError {
            found: format!("{}{problem}", shown(text)),
            expected: EXPECTED,
        };
        let number = text.trim();
        let number = number.strip_prefix('$').unwrap_or(number).trim_start();
        let picodollars = scaled(number, SCALE).map_err(|problem| match problem {
            DecimalError::Malformed => error(""),
            DecimalError::TooFine => error(", which is finer than a picodollar (12 decimals)"),
            DecimalError::TooLarge => error(", which is more than 9223372"),
        })?;
        match i64::try_from(picodollars) {
            Ok(picodollars) => Ok(Money { picodollars }),
            Err(_) => Err(error(", which is more than 9223372")),
        }
    }
}

/// The shortest decimal text: `25`, `0.5`, `0.0000025`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = self.picodollars.unsigned_abs();
        let sign = if self.picodollars < 0 { "-" } else { "" };
        let (whole, fraction) = (amount / SCALE, amount % SCALE);
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let fraction = format!("{fraction:012}");
        write!(f, "{sign}{whole}.{}", fraction.trim_end_matches('0'))
    }
}

impl serde::Serialize for Money {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Money {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
        struct Amount;

        impl serde::de::Visitor<'_> for Amount {
            type Value = Money;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Money, E> {
                text.parse().map_err(super::refuse)
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Money, E> {
                number.to_string().parse().map_err(super::refuse)
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Money, E> {
                number.to_string().parse().map_err(super::refuse)
            }

            // A bare `12.5` has been read as binary by the document's parser. The shortest text
            // that reads as the same number is what was written, as long as it has few digits.
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Money, E> {
                let text = number.to_string();
                let digits = text.bytes().filter(u8::is_ascii_digit).count();
                if digits > FLOAT_DIGITS {
                    return Err(super::refuse(UnitError {
                        found: format!("the number {text}, which has too many digits"),
                        expected: "the same in quotes, so that it is read exactly",
                    }));
                }
                text.parse().map_err(super::refuse)
            }
        }

        deserializer.deserialize_any(Amount)
    }
}

impl schemars::JsonSchema for Money {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Money".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Written as US dollars such as 25, 0.50 or 1200.75.",
            "type": ["string", "number"],
            "minimum": 0,
            "pattern": r"^\s*\$?\s*[0-9]+(\.[0-9]{1,12})?\s*$",
            "examples": ["25", "0.50", "1200.75"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly_and_shown_the_same() {
        for (text, picodollars, shown) in [
            ("25", 25_000_000_000_000, "25"),
            (" $ 0.50 ", 500_000_000_000, "0.5"),
            ("0.000000000001", 1, "0.000000000001"),
            ("9223372.036854775807", i64::MAX, "9223372.036854775807"),
        ] {
            let money: Money = text.parse().unwrap();
            assert_eq!(
                (money.picodollars(), &*money.to_string()),
                (picodollars, shown)
            );
            assert_eq!(money.to_string().parse::<Money>().unwrap(), money);
        }
        for wrong in [
            "",
            "-1",
            "1,5",
            "1.",
            "abc",
            "0.0000000000001",
            "9223373",
            "1e3",
        ] {
            assert!(wrong.parse::<Money>().is_err(), "{wrong}");
        }
        let read = |json: &str| serde_json::from_str::<Money>(json).map(Money::picodollars);
        assert_eq!(read("12.1").unwrap(), 12_100_000_000_000);
        assert_eq!(read("3").unwrap(), 3_000_000_000_000);
        assert!(read("0.12345678901234567").is_err() && read("-3").is_err());
    }

    #[test]
    fn vendors_decimals_are_read_with_exponents() {
        for (text, picodollars) in [
            ("1.5e-05", Some(15_000_000)),
            ("3E-7", Some(300_000)),
            ("2", Some(2_000_000_000_000)),
            ("0.00502", Some(5_020_000_000)),
            ("8.900000000000001E-7", Some(890_000)),
            ("5e-13", Some(1)),
            ("4.9e-13", Some(0)),
            ("1e-400", Some(0)),
            ("0e99999", Some(0)),
            ("1e9", None),
            ("", None),
            ("-1", None),
            ("1e99999999999", None),
        ] {
            let read = Money::from_decimal(text).map(Money::picodollars);
            assert_eq!(read, picodollars, "{text}");
        }
    }
}
