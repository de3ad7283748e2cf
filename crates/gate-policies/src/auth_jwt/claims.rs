//! What is asked of a verified token's claims.

use gate_identity::claims::Claims;
use gate_identity::jose::Refusal;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
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

impl ClaimMatch {
    pub(crate) fn met(&self, claim: Option<&Value>) -> bool {
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

/// What is asked of claims.
pub(crate) struct Demands {
    pub(crate) issuer: Option<String>,
    pub(crate) audiences: Vec<String>,
    pub(crate) skew: Duration,
    pub(crate) expiry_required: bool,
    pub(crate) claims: BTreeMap<String, ClaimMatch>,
}

impl Demands {
    /// Whether the claims satisfy the demands at `now`, a UNIX time (RFC 7519 section 4.1). Where the
    /// issuer that a token was verified for is another than the one demanded of all, it is `issuer`,
    /// and `audiences` are its own.
    pub(crate) fn met_by(
        &self,
        claims: &Claims,
        (issuer, audiences): (Option<&str>, Option<&[String]>),
        now: Duration,
    ) -> Result<(), Refusal> {
        claims.check_times(now, self.skew, self.expiry_required)?;
        let issuer = issuer.or(self.issuer.as_deref());
        if issuer.is_some() && claims.str("iss") != issuer {
            return Err("the token is from another issuer");
        }
        let audiences = audiences.unwrap_or(&self.audiences);
        if !audiences.is_empty() && !claims.is_for(audiences) {
            return Err("the token is for another audience");
        }
        let met = |(name, demand): (&String, &ClaimMatch)| demand.met(claims.get(name));
        if !self.claims.iter().all(met) {
            return Err("the token lacks a required claim");
        }
        Ok(())
    }
}
