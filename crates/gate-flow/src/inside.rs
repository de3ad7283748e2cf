//! Exchanges that the gateway makes itself, for somebody who asked for them earlier.
//!
//! Items of batches and deliveries to routes are ordinary exchanges: the same routes, policies,
//! budgets and records. Only the credential is missing, since keys are kept as hashes; the gateway
//! vouches for a consumer instead, and what it is allowed now is what counts.

use crate::{Caller, Exchange, Fault};
use gate_model::fault::FaultCode;
use gate_model::resources::AUTHENTICATING;
use std::sync::Arc;

/// For whom the gateway makes an exchange, and how urgent it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inside {
    /// The consumer it is made for; none for nobody, whom policies that authenticate refuse.
    pub consumer: Option<Arc<str>>,
    /// The name of the consumer's key that was presented when it was asked for; none where the
    /// consumer was known otherwise.
    pub key: Option<Arc<str>>,
    /// Whether everybody else goes first.
    pub background: bool,
}

impl Inside {
    /// Whether a policy of this kind is satisfied by the gateway's own word.
    pub(crate) fn answers(kind: &str) -> bool {
        AUTHENTICATING.contains(&kind)
    }

    /// Makes the consumer the caller, as the policy that authenticates would.
    ///
    /// # Errors
    /// There is none, or it or its key is gone, has expired or is not for this route.
    pub(crate) fn vouch(exchange: &mut Exchange) -> Result<(), Fault> {
        let caller = Self::caller(exchange)?;
        exchange.record.consumer = Some(caller.name.clone());
        exchange.record.team.clone_from(&caller.team);
        exchange.record.key.clone_from(&caller.key);
        exchange.caller = Some(caller);
        Ok(())
    }

    fn caller(exchange: &Exchange) -> Result<Arc<Caller>, Fault> {
        let refused = |code: FaultCode, detail: &'static str| Fault::new(code).detail(detail);
        let inside = exchange.client.inside.as_deref();
        let Some(consumer) = inside.and_then(|inside| inside.consumer.as_deref()) else {
            return Err(refused(FaultCode::CredentialMissing, "made for nobody"));
        };
        let callers = &exchange.snapshot.callers;
        let found = match inside.and_then(|inside| inside.key.as_deref()) {
            Some(key) => callers.by_key_name(consumer, key),
            None => callers.by_name(consumer),
        };
        let gone = || {
            refused(
                FaultCode::CredentialInvalid,
                "the consumer or its key is gone",
            )
        };
        let caller = found.cloned().ok_or_else(gone)?;
        let usable = caller.usable(exchange);
        usable.map_err(|(code, detail)| refused(code, detail))?;
        Ok(caller)
    }
}
