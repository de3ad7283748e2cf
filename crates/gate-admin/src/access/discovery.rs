//! What an identity provider says about itself (OpenID Connect Discovery 1.0, section 4).

use super::ask::Asker;
use gate_identity::oidc::{Provider, discovery_url};
use gate_kit::clock::{Clock, Moment};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long an answer is used without asking again.
const FRESH: Duration = Duration::from_secs(600);
/// Between two questions while the provider does not answer.
const AGAIN: Duration = Duration::from_secs(5);

/// The provider's own description, asked for when it is needed.
#[derive(Default)]
pub(super) struct Discovery {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    provider: Option<(Provider, Moment)>,
    failed: Option<(String, Moment)>,
}

impl Discovery {
    /// The description of `issuer`.
    ///
    /// # Errors
    /// Why it cannot be had, for the operator.
    pub(super) fn of(
        &self,
        issuer: &str,
        asker: &Asker,
        clock: &Clock,
    ) -> Result<Provider, String> {
        let now = clock.now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((provider, read)) = &known.provider
            && now.since(*read) < FRESH
        {
            return Ok(provider.clone());
        }
        if let Some((why, at)) = &known.failed
            && now.since(*at) < AGAIN
        {
            return Err(why.clone());
        }
        match fetch(issuer, asker) {
            Ok(provider) => {
                known.failed = None;
                known.provider = Some((provider.clone(), now));
                Ok(provider)
            }
            // One that is known goes on counting: endpoints hardly ever move.
            Err(why) => match known.provider.take() {
                Some((provider, _)) => {
                    tracing::warn!(why, "the issuer does not describe itself");
                    known.provider = Some((provider.clone(), now));
                    Ok(provider)
                }
                None => {
                    known.failed = Some((why.clone(), now));
                    Err(why)
                }
            },
        }
    }
}

fn fetch(issuer: &str, asker: &Asker) -> Result<Provider, String> {
    let text = asker.get(&discovery_url(issuer), None)?;
    Provider::read(issuer, &text)
}
