//! Lengths of time as the schema says: text, never a bare number.

use gate_model::units::Period;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A period that is longer than nothing.
pub(super) fn above_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Period, D::Error> {
    let text = String::deserialize(deserializer)?;
    let period = text.parse::<Period>().ok().filter(|it| !it.is_zero());
    let expected = || D::Error::custom("a period above zero is expected, such as 10m");
    period.ok_or_else(expected)
}
