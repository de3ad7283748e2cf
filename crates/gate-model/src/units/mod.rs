//! Quantities as configuration writes them: durations, sizes, rates, percentages, digests.
//!
//! Each type is one text in documents with the unit beside the number, so that nobody has to guess
//! whether `30` means seconds or milliseconds. Each parses from text ([`std::str::FromStr`]),
//! shows itself as its canonical text, and serialises as that text; reading the canonical text gives
//! the same value. All arithmetic is exact: no value passes through floating point.

mod byte_size;
mod decimal;
mod money;
mod percent;
mod period;
mod pieces;
mod rate;
mod sha256;
mod time_zone;
mod timestamp;

pub use self::byte_size::ByteSize;
pub use self::money::Money;
pub use self::percent::Percent;
pub use self::period::Period;
pub use self::pieces::Pieces;
pub use self::rate::Rate;
pub use self::sha256::Sha256Text;
pub use self::time_zone::TimeZone;
pub use self::timestamp::Timestamp;

/// Why a text is no such quantity. Shown as `found ..., expected ...`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found {found}, expected {expected}")]
pub struct UnitError {
    /// What was found and what is wrong with it; reads behind "found".
    pub found: String,
    /// What would be right, with examples.
    pub expected: &'static str,
}

/// Shows at most 40 characters of a text that was not understood.
pub(crate) fn shown(text: &str) -> String {
    if text.chars().count() <= 40 {
        return format!("`{}`", text.escape_debug());
    }
    format!("a text of {} characters", text.chars().count())
}

/// Gives a quantity its serde, schema and `TryFrom` faces. The type brings `FromStr`, `Display`,
/// and `from_whole(u64)`, `from_fraction(f64)` for bare numbers.
macro_rules! text_quantity {
    ($kind:ident, expected: $expected:expr, pattern: $pattern:expr, examples: [$($example:expr),*],
     integer: $integer:expr) => {
        impl $kind {
            const EXPECTED: &'static str = $expected;
        }

        impl TryFrom<&str> for $kind {
            type Error = crate::units::UnitError;

            fn try_from(text: &str) -> Result<$kind, crate::units::UnitError> {
                text.parse()
            }
        }

        impl TryFrom<String> for $kind {
            type Error = crate::units::UnitError;

            fn try_from(text: String) -> Result<$kind, crate::units::UnitError> {
                text.parse()
            }
        }

        impl serde::Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$kind, D::Error> {
                struct Text;

                impl serde::de::Visitor<'_> for Text {
                    type Value = $kind;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$kind, E> {
                        text.parse().map_err(|error| crate::units::refuse(error))
                    }

                    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$kind, E> {
                        $kind::from_whole(number).map_err(|error| crate::units::refuse(error))
                    }

                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$kind, E> {
                        match u64::try_from(number) {
                            Ok(number) => self.visit_u64(number),
                            Err(_) => Err(crate::units::refuse(crate::units::UnitError {
                                found: "a negative number".to_owned(),
                                expected: $expected,
                            })),
                        }
                    }

                    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<$kind, E> {
                        Err(crate::units::refuse($kind::no_unit(&number.to_string())))
                    }
                }

                // `any` and not `str`: a bare number gets an answer that explains what it lacks.
                deserializer.deserialize_any(Text)
            }
        }

        impl schemars::JsonSchema for $kind {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($kind).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let kind: serde_json::Value = $integer;
                let mut schema = schemars::json_schema!({
                    "description": concat!("Written as ", $expected, "."),
                    "type": kind,
                    "pattern": $pattern,
                    "examples": [$($example),*],
                });
                if kind.is_array() {
                    schema.insert("minimum".to_owned(), 0.into());
                }
                schema
            }
        }
    };
}
pub(crate) use text_quantity;

/// A unit's error in serde's terms, so that found and expected stay apart in a finding.
pub(crate) fn refuse<E: serde::de::Error>(error: UnitError) -> E {
    E::invalid_value(serde::de::Unexpected::Other(&error.found), &error.expected)
}

#[cfg(test)]
#[path = "units_tests.rs"]
mod tests;
