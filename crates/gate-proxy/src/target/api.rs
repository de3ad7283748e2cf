//! A route to the upstream of whichever version of an API was chosen.
//!
//! The policy `version` chooses and writes it into the record; a request that comes here without a
//! choice fails, because no version is more right than another.

use super::upstream::ToUpstream;
use gate_flow::{Exchange, Fault, LocalFuture, Target};
use gate_kit::http::Response;
use gate_model::fault::FaultCode;
use std::sync::Arc;

/// A route to versions.
pub(crate) struct ToVersions {
    /// The API.
    pub(crate) api: Arc<str>,
    /// Where each version lives, by its full number.
    pub(crate) versions: Vec<(Arc<str>, ToUpstream)>,
}

impl ToVersions {
    fn chosen(&self, exchange: &Exchange) -> Option<&ToUpstream> {
        let facts = exchange.record.api.as_deref()?;
        let version = facts.version.as_ref().filter(|_| facts.api == self.api)?;
        let found = self.versions.iter().find(|(name, _)| name == version);
        found.map(|(_, target)| target)
    }
}

impl Target for ToVersions {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> LocalFuture<'a, Result<Response, Fault>> {
        match self.chosen(exchange) {
            Some(target) => target.call(exchange),
            None => {
                let fault = Fault::new(FaultCode::PolicyFailed)
                    .detail("no version was chosen: does the policy `version` have a `when`?");
                Box::pin(std::future::ready(Err(fault)))
            }
        }
    }
}
