//! What a verified token says, and whether that is enough.

use super::token::Refusal;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// A condition on one claim.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ClaimMatch {
    /// The claim is exactly this string, number or boolean.
    Equals(Value),
    /// The claim is a list with this element, or a string with this word (as in `scope`).
    Contains(String),
    /// The claim is there (`true`) or missing (`false`).
    Present(bool),
}

/// What is asked of claims.
pub(super) struct Demands {
    pub(super) issuer: Option<String>,
    pub(super) audiences: Vec<String>,
    pub(super) skew: Duration,
    pub(super) expiry_required: bool,
    pub(super) claims: BTreeMap<String, ClaimMatch>,
}

/// The refusal of a token that was valid once.
pub(super) const EXPIRED: Refusal = "the token has expired";

/// A verified token's claims.
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    /// Reads a payload.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(payload)
            .map(Self)
            .map_err(|_| "the token's payload is no object")
    }

    /// A claim by its name, or by a JSON pointer (RFC 6901) such as `/realm_access/roles`.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        let Some(pointer) = name.strip_prefix('/') else {
            return self.0.get(name);
        };
        let mut steps = pointer
            .split('/')
            .map(|step| step.replace("~1", "/").replace("~0", "~"));
        let first = self.0.get(&steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    }

    /// A claim as the text of a header: strings as they are, lists joined with commas.
    pub(super) fn text(&self, name: &str) -> Option<String> {
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

    /// Whether the claims satisfy the demands at `now`, a UNIX time (RFC 7519 section 4.1).
    pub(super) fn check(&self, demands: &Demands, now: Duration) -> Result<(), Refusal> {
        let (now, skew) = (now.as_secs_f64(), demands.skew.as_secs_f64());
        match self.time("exp")? {
            None if demands.expiry_required => return Err("the token never expires"),
            Some(expiry) if now >= expiry + skew => return Err(EXPIRED),
            _ => {}
        }
        if self.time("nbf")?.is_some_and(|start| now + skew < start) {
            return Err("the token is not valid yet");
        }
        if let Some(issuer) = &demands.issuer
            && self.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err("the token is from another issuer");
        }
        if !demands.audiences.is_empty() && !self.is_for(&demands.audiences) {
            return Err("the token is for another audience");
        }
        let met = |(name, demand): (&String, &ClaimMatch)| demand.met(self.get(name));
        if !demands.claims.iter().all(met) {
            return Err("the token lacks a required claim");
        }
        Ok(())
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

    fn is_for(&self, audiences: &[String]) -> bool {
        let ours = |value: &Value| {
            value
                .as_str()
                .is_some_and(|text| audiences.iter().any(|audience| audience == text))
        };
        match self.get("aud") {
            Some(Value::Array(listed)) => listed.iter().any(ours),
            Some(single) => ours(single),
            None => false,
        }
    }
}

impl ClaimMatch {
    fn met(&self, claim: Option<&Value>) -> bool {
        match (self, claim) {
            (ClaimMatch::Present(wanted), claim) => {
                claim.is_some_and(|value| !value.is_null()) == *wanted
            }
            (ClaimMatch::Equals(wanted), Some(value)) => value == wanted,
            (ClaimMatch::Contains(wanted), Some(Value::String(text))) => {
                text.split(' ').any(|word| word == wanted)
            }
            (ClaimMatch::Contains(wanted), Some(Value::Array(items))) => {
                items.iter().any(|item| item.as_str() == Some(wanted))
            }
            _ => false,
        }
    }
}
