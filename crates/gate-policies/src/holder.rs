//! What becomes of a proven identity: the consumer that it is, what later policies read of it, and
//! the headers that tell the upstream. Shared by every policy that authenticates with claims.

use crate::places::HeaderName;
use gate_flow::{Exchange, Fault, Identity};
use gate_identity::claims::Claims;
use gate_model::fault::FaultCode;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What happens with callers whose consumer is not configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownConsumer {
    /// They are refused with `forbidden`.
    #[default]
    Refuse,
    /// They pass, unnamed.
    Anonymous,
}

/// What a policy does with claims.
pub(crate) struct Holder {
    consumer_claim: Option<String>,
    unknown_consumer: UnknownConsumer,
    headers: Vec<(String, HeaderName)>,
}

impl Holder {
    /// # Errors
    /// The name that cannot be a header's.
    pub(crate) fn new(
        consumer_claim: Option<String>,
        unknown_consumer: UnknownConsumer,
        claims_to_headers: &BTreeMap<String, String>,
    ) -> Result<Self, (Option<&'static str>, String)> {
        let pairs = claims_to_headers.iter();
        let headers = pairs.map(|(claim, header)| {
            let name = HeaderName::parse(header);
            let name = name.map_err(|error| (Some("claims_to_headers"), error))?;
            Ok((claim.clone(), name))
        });
        Ok(Self {
            consumer_claim,
            unknown_consumer,
            headers: headers.collect::<Result<_, _>>()?,
        })
    }

    /// Removes what a caller sent under the names of headers that carry claims, so that nobody can
    /// claim them without proof.
    pub(crate) fn clear(&self, exchange: &mut Exchange) {
        for (_, header) in &self.headers {
            header.remove(&mut exchange.request.head.headers);
        }
    }

    /// Names the caller and passes claims on. [`Self::clear`] comes first.
    ///
    /// # Errors
    /// Why the holder does not pass.
    pub(crate) fn apply(&self, exchange: &mut Exchange, claims: &Claims) -> Result<(), Fault> {
        let headers = &mut exchange.request.head.headers;
        for (claim, header) in &self.headers {
            let Some(text) = claims.text(claim) else {
                continue;
            };
            let name = header.as_str().as_bytes();
            if headers.try_append(name, text.as_bytes()).is_err() {
                let detail = format!("the claim `{claim}` holds control characters");
                return Err(Fault::new(FaultCode::CredentialInvalid).detail(detail));
            }
        }
        let text = |name: &str| claims.str(name).map(Arc::from);
        exchange.identify(Identity {
            issuer: text("iss"),
            subject: text("sub"),
            claims: claims.0.clone(),
        });
        let Some(claim) = &self.consumer_claim else {
            return Ok(());
        };
        let name = claims.text(claim);
        match name.is_some_and(|name| be(exchange, &name)) {
            true => Ok(()),
            false if self.unknown_consumer == UnknownConsumer::Anonymous => Ok(()),
            false => {
                let detail = "the token's consumer is not configured";
                Err(Fault::new(FaultCode::Forbidden).detail(detail))
            }
        }
    }
}

/// Makes the consumer of this name the caller; whether there is one.
pub(crate) fn be(exchange: &mut Exchange, consumer: &str) -> bool {
    let Some(caller) = exchange.snapshot.callers.by_name(consumer).cloned() else {
        return false;
    };
    exchange.record.consumer = Some(caller.name.clone());
    exchange.record.team.clone_from(&caller.team);
    exchange.caller = Some(caller);
    true
}
