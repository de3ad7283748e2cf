//! Ids of calls: numbers until they are written, so that a call costs no text.

use crate::database::Value;
use gate_kit::random;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

/// What ids of tries of items begin with.
const ITEM: &str = "job/";

/// What the ledger tells a call by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ExchangeId {
    /// A call of this process: 128 random bits, written as 32 hexadecimal digits.
    Call(u128),
    /// A call to a provider beside the one that answered: the call and a number from 1.
    Leg(u128, u32),
    /// As it stands in the store.
    Named(Arc<str>),
}

impl ExchangeId {
    /// A new call's.
    #[must_use]
    pub fn random() -> Self {
        Self::Call(u128::from(random::bits()) << 64 | u128::from(random::bits()))
    }

    /// That of a try of a job's item: the same whoever makes it and however often, so that it is
    /// charged once.
    #[must_use]
    pub fn item(job: &str, index: u32, attempt: u32) -> Arc<str> {
        match attempt {
            0 => format!("{ITEM}{job}/{index}").into(),
            _ => format!("{ITEM}{job}/{index}+{attempt}").into(),
        }
    }

    /// Whether another process may have made, and charged, the same call.
    pub(crate) fn is_item(&self) -> bool {
        matches!(self, Self::Named(text) if text.starts_with(ITEM))
    }

    /// That of a leg of this call.
    pub(crate) fn leg(&self, number: usize) -> Self {
        match self {
            Self::Call(bits) => Self::Leg(*bits, u32::try_from(number).unwrap_or(u32::MAX)),
            other => Self::Named(format!("{other}/{number}").into()),
        }
    }
}

impl Display for ExchangeId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(bits) => write!(f, "{bits:032x}"),
            Self::Leg(bits, number) => write!(f, "{bits:032x}/{number}"),
            Self::Named(text) => f.write_str(text),
        }
    }
}

impl From<&str> for ExchangeId {
    fn from(text: &str) -> Self {
        Self::Named(text.into())
    }
}

impl From<&ExchangeId> for Value {
    fn from(id: &ExchangeId) -> Self {
        Self::Text(id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_the_store_keeps_them() {
        assert_eq!(ExchangeId::Call(10).to_string(), format!("{:0>32}", "a"));
        let leg = ExchangeId::Call(u128::MAX).leg(2);
        assert_eq!(leg.to_string(), format!("{}/2", "f".repeat(32)));
        let named = ExchangeId::from("a");
        assert_eq!(named.leg(1).to_string(), "a/1");
        assert_ne!(ExchangeId::random(), ExchangeId::random());
    }
}
