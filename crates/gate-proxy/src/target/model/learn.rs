//! What a try teaches about its target and credential.

use super::ProviderTarget;
use super::attempt::{Bad, Got};
use super::call::Call;
use crate::upstream::trouble::Wrong;
use gate_ai::{Blame, ErrorClass};
use gate_kit::clock::Moment;
use std::time::Duration;

/// How long a wrong credential is passed over, first and at most.
const CREDENTIAL_OUT: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));
/// How long a credential without quota is passed over, first and at most: somebody has to pay.
const ACCOUNT_OUT: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(3_600));
/// How long a credential over its rate is passed over when the provider does not say, first and
/// at most.
const RATE_OUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Learns from a try of `target` with its credential `index` that ended `now`; whether something
/// is passed over from now on.
pub(super) fn from(
    call: &Call<'_>,
    target: &ProviderTarget,
    index: usize,
    result: &Result<Got, Bad>,
    now: Moment,
) -> bool {
    let (Some(credential), Some(lane)) = (
        target.provider.credentials.get(index),
        target.lanes.get(index),
    ) else {
        return false;
    };
    let refused = match result {
        Ok(got) => {
            if call.model.concurrency.is_some() && !got.is_stream {
                target.state.limiter.succeeded(None, now);
            }
            target.state.succeeded(now);
            credential.bench.forgive();
            lane.rest.forgive();
            return false;
        }
        Err(Bad::Refused(refused)) => refused,
        Err(Bad::Failed { stale: true, .. } | Bad::Unfit(_) | Bad::Final(_)) => return false,
        Err(Bad::Failed { fault, .. }) => {
            target.state.limiter.overloaded(now);
            return target.state.failed(now, Wrong::Fault(fault.code), None);
        }
    };
    if matches!(
        refused.class,
        ErrorClass::Overloaded | ErrorClass::RateLimited
    ) {
        target.state.limiter.overloaded(now);
    }
    let wrong = Wrong::Class(refused.class, refused.status);
    let blame = refused.class.blame(refused.status);
    match blame {
        Blame::Credential | Blame::Account => credential.trouble.failed(now, wrong),
        Blame::Rate => lane.trouble.failed(now, wrong),
        // The target notes its own; a request's is nobody's.
        Blame::Target | Blame::Request => {}
    }
    let out = match blame {
        Blame::Request => false,
        Blame::Credential => credential
            .bench
            .strike(now, CREDENTIAL_OUT.0, CREDENTIAL_OUT.1),
        Blame::Account => credential.bench.strike(now, ACCOUNT_OUT.0, ACCOUNT_OUT.1),
        Blame::Rate => match refused.retry_after {
            Some(after) => {
                lane.rest.rest(now.plus(after));
                true
            }
            None => lane.rest.strike(now, RATE_OUT.0, RATE_OUT.1),
        },
        Blame::Target => target.state.failed(now, wrong, refused.retry_after),
    };
    if out {
        tracing::warn!(
            provider = %target.provider.name,
            model = %target.model,
            credential = credential.name,
            class = refused.class.as_str(),
            "passed over for a while"
        );
    }
    out
}
