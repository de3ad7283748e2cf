//! What a verified token says of its holder (RFC 7519 section 4).

use crate::jose::Refusal;
use serde_json::{Map, Value};
use std::time::Duration;

/// The refusal of a token that was valid once.
pub const EXPIRED: Refusal = "the token has expired";

/// Verified claims.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claims(pub Map<String, Value>);

impl Claims {
    /// Reads a payload.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn parse(payload: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(payload)
            .map(Self)
            .map_err(|_| "the token's payload is no object")
    }

    /// A claim by its name, or by a JSON pointer (RFC 6901) such as `/realm_access/roles`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        gate_model::claims::find(&self.0, name)
    }

    /// A claim that is a string.
    #[must_use]
    pub fn str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// A claim as the text of a header: strings as they are, lists joined with commas.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        fn scalar(value: &Value) -> Option<String> {
            match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
                _ => None,
            }
        }
        match self.get(name)? {
            Value::Array(items) => items
                .iter()
                .map(scalar)
                .collect::<Option<Vec<_>>>()
                .map(|items| items.join(",")),
            value => scalar(value),
        }
    }

    /// Whether `exp` and `nbf` hold at `now`, a UNIX time, with clocks that may differ by `skew`.
    ///
    /// # Errors
    /// Which of them does not.
    pub fn check_times(
        &self,
        now: Duration,
        skew: Duration,
        expiry_required: bool,
    ) -> Result<(), Refusal> {
        let (now, skew) = (now.as_secs_f64(), skew.as_secs_f64());
        match self.time("exp")? {
            None if expiry_required => return Err("the token never expires"),
            Some(expiry) if now >= expiry + skew => return Err(EXPIRED),
            _ => {}
        }
        if self.time("nbf")?.is_some_and(|start| now + skew < start) {
            return Err("the token is not valid yet");
        }
        Ok(())
    }

    /// When it ends (`exp`), in UNIX seconds, when it says.
    #[must_use]
    pub fn expires_s(&self) -> Option<u64> {
        let expires = self.get("exp")?.as_f64()?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to years that exist"
        )]
        Some(expires.clamp(0.0, 253_402_300_799.0) as u64)
    }

    fn time(&self, name: &str) -> Result<Option<f64>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_f64()
                .map(Some)
                .ok_or("a time of the token is no number"),
        }
    }

    /// Whether `aud` names at least one of these.
    #[must_use]
    pub fn is_for(&self, audiences: &[impl AsRef<str>]) -> bool {
        let ours = |value: &Value| {
            value
                .as_str()
                .is_some_and(|text| audiences.iter().any(|audience| audience.as_ref() == text))
        };
        match self.get("aud") {
            Some(Value::Array(listed)) => listed.iter().any(ours),
            Some(single) => ours(single),
            None => false,
        }
    }
}
