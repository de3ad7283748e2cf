//! Exchanges that the gateway makes itself, for somebody who asked for them earlier.
//!
//! Items of batches and deliveries to routes are ordinary exchanges: the same routes, policies,
//! budgets and records. Only the credential is missing, since keys are kept as hashes; the gateway
//! vouches for a consumer instead, and what it is allowed now is what counts.

use crate::{Caller, Exchange, Fault};
use gate_model::fault::FaultCode;
use gate_model::resources::AUTHENTICATING;
use std::any::Any;
use std::borrow::Cow;
use std::fmt::{self, Debug, Formatter};
use std::sync::{Arc, OnceLock};

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
    /// The id that what it costs is charged under, where it may be made again after a crash: charged
    /// once, however often it is made and by whichever process.
    pub charged_as: Option<Arc<str>>,
    /// The call of a provider's own API that it is, where no path of callers leads to that.
    pub at_provider: Option<Arc<ProviderCall>>,
    /// Dropped once its record is closed and what it cost is on its way to the ledger.
    pub kept: Kept,
    /// What the gateway itself answered it with instead of its target, once it has: for whoever asked,
    /// who sees what callers do not.
    pub fault: Arc<OnceLock<InsideFault>>,
}

/// Why the gateway answered an exchange of its own itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsideFault {
    /// What it is.
    pub code: FaultCode,
    /// Words for the operator.
    pub detail: Cow<'static, str>,
}

/// A call of a provider's own API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderCall {
    /// The provider.
    pub provider: String,
    /// Path and query there.
    pub target: String,
    /// The provider's batch whose results are asked for: what they consumed is settled once they were
    /// read to their end.
    pub results: Option<BatchResultsOf>,
}

/// Results of a provider's batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchResultsOf {
    /// The provider's id of the batch.
    pub batch: String,
    /// The provider's name of the model that answered.
    pub model: String,
}

/// Something of whoever asked that is kept as long as the exchange is.
#[derive(Clone, Default)]
pub struct Kept(Option<Arc<dyn Any + Send + Sync>>);

impl Kept {
    /// Keeps it.
    #[must_use]
    pub fn new(it: impl Any + Send + Sync) -> Self {
        Kept(Some(Arc::new(it)))
    }
}

impl Debug for Kept {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "kept" } else { "nothing" })
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl Eq for Kept {}

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
