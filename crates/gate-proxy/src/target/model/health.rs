//! How providers are doing, for people who look: what `state` remembers, in words.
//!
//! Nothing is measured here and nothing is decided by it; it runs on threads that may wait.

use super::provider::{Credential, Provider};
use super::state::{Lane, Latency};
use super::{Model, Models, ProviderTarget};
use crate::upstream::report::{Last, Now, addresses, available, narrow};
use gate_api::types::{CredentialHealth, Headroom, ProviderHealth, ProviderState, TargetHealth};
use std::sync::Arc;

/// How each provider is, by name; rates are for others to add.
pub(crate) fn providers(models: &Models, now: Now) -> Vec<ProviderHealth> {
    models
        .providers()
        .map(|one| health(one, models, now))
        .collect()
}

fn health(provider: &Arc<Provider>, models: &Models, now: Now) -> ProviderHealth {
    let addresses = addresses(&provider.upstream, now);
    let credentials = provider.credentials.iter();
    let credentials: Vec<_> = credentials.map(|one| credential(one, now)).collect();
    let (mut last, mut failing) = (Last::default(), false);
    let mut targets: Vec<TargetHealth> = Vec::new();
    for (model, target) in models.targets_of(provider) {
        last.add(&target.state.trouble);
        failing |= target.state.trouble.is_failing();
        target.lanes.iter().for_each(|lane| last.add(&lane.trouble));
        match targets
            .iter_mut()
            .find(|known| known.model == *target.model)
        {
            Some(known) => {
                if known.used_by.last().is_none_or(|last| *last != *model.name) {
                    known.used_by.push(model.name.to_string());
                }
                known.limit = known.limit.or(limit(model, target));
            }
            None => targets.push(health_of(model, target, now)),
        }
    }
    for one in &provider.credentials {
        last.add(&one.trouble);
    }
    let usable = Usable {
        addresses: (available(&addresses), addresses.len()),
        credentials: free(credentials.iter().map(|one| one.resting_until.is_none())),
        targets: free(targets.iter().map(is_free)),
    };
    ProviderHealth {
        name: provider.name.to_string(),
        kind: "provider".to_owned(),
        vendor: provider.kind.name.to_owned(),
        state: usable.state(failing, last.is_unknown()),
        available: narrow(usable.addresses.0),
        endpoints: narrow(addresses.len()),
        in_flight: provider.upstream.in_flight(),
        last_error: last.error(),
        last_failure: last.failure_at(now),
        last_success: last.success_at(now),
        addresses,
        credentials,
        targets,
        ..ProviderHealth::default()
    }
}

/// Whether a target may be called, with any credential.
fn is_free(target: &TargetHealth) -> bool {
    let rests = |lane: &Headroom| lane.resting_until.is_some();
    let all_rest = !target.headroom.is_empty() && target.headroom.iter().all(rests);
    target.resting_until.is_none() && !all_rest
}

/// How many may be used, of how many.
struct Usable {
    addresses: (usize, usize),
    credentials: (usize, usize),
    targets: (usize, usize),
}

fn free(all: impl Iterator<Item = bool>) -> (usize, usize) {
    all.fold((0, 0), |(free, all), one| {
        (free + usize::from(one), all + 1)
    })
}

impl Usable {
    fn state(&self, failing: bool, unknown: bool) -> ProviderState {
        let each = [self.addresses, self.credentials, self.targets];
        if each.iter().any(|&(free, all)| free == 0 && all > 0) {
            return ProviderState::Down;
        }
        match each.iter().any(|&(free, all)| free < all) || failing {
            true => ProviderState::Degraded,
            false if unknown => ProviderState::Unknown,
            false => ProviderState::Healthy,
        }
    }
}

fn credential(credential: &Credential, now: Now) -> CredentialHealth {
    let resting_until = now.later(credential.bench.until());
    let still = resting_until.is_some() || credential.bench.is_struck();
    let last = Last::of(&credential.trouble);
    CredentialHealth {
        name: credential.name.clone(),
        resting_until,
        last_error: last.error().filter(|_| still),
        last_failure: last.failure_at(now).filter(|_| still),
    }
}

fn health_of(model: &Model, target: &ProviderTarget, now: Now) -> TargetHealth {
    let state = &target.state;
    let last = Last::of(&state.trouble);
    let (_, _, waiting) = state.limiter.now();
    let limit = limit(model, target);
    let lanes = target.lanes.iter().zip(&target.provider.credentials);
    TargetHealth {
        model: target.model.to_string(),
        used_by: vec![model.name.to_string()],
        resting_until: now.later(state.bench.until()),
        failures: state.failures(),
        last_error: last.error(),
        last_failure: last.failure_at(now),
        last_success: last.success_at(now),
        in_flight: state.in_flight(),
        limit,
        waiting: limit.map(|_| narrow(waiting)),
        first_token_ms: milliseconds(&state.first_token),
        whole_ms: milliseconds(&state.whole),
        headroom: lanes
            .filter_map(|(lane, one)| headroom(lane, one, now))
            .collect(),
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a limit is at least one and at most what is configured"
)]
fn limit(model: &Model, target: &ProviderTarget) -> Option<u32> {
    let bounds = model.concurrency.as_ref()?.bounds;
    Some(match target.state.limiter.now().1 {
        limit if bounds.adaptive && limit > 0.0 => limit.floor() as u32,
        _ => bounds.most,
    })
}

fn milliseconds(latency: &Latency) -> Option<f64> {
    latency.mean().map(|seconds| seconds * 1e3)
}

/// What an answer has said; nothing where none has, and nothing was refused.
fn headroom(lane: &Lane, credential: &Credential, now: Now) -> Option<Headroom> {
    let resting_until = now.later(lane.rest.until());
    let still = resting_until.is_some() || lane.rest.is_struck();
    let tokens = lane.tokens_left(now.moment);
    let headroom = Headroom {
        credential: credential.name.clone(),
        resting_until,
        requests_left: lane.requests_left(),
        tokens_left: tokens.map(|(left, _)| left),
        tokens_until: tokens.map(|(_, until)| now.time(until)),
        last_error: Last::of(&lane.trouble).error().filter(|_| still),
    };
    let said = headroom.requests_left.is_some() || tokens.is_some();
    (said || still).then_some(headroom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_down_when_nothing_of_one_sort_is_left() {
        let state = |addresses, credentials, targets, failing, unknown| {
            let usable = Usable {
                addresses,
                credentials,
                targets,
            };
            usable.state(failing, unknown)
        };
        use ProviderState::{Degraded, Down, Healthy, Unknown};
        assert_eq!(state((1, 1), (1, 1), (0, 0), false, true), Unknown);
        assert_eq!(state((1, 1), (1, 1), (2, 2), false, false), Healthy);
        assert_eq!(state((1, 1), (1, 1), (1, 1), true, false), Degraded);
        assert_eq!(state((1, 1), (1, 2), (1, 1), false, false), Degraded);
        assert_eq!(state((1, 1), (0, 2), (1, 1), false, false), Down);
        assert_eq!(state((1, 1), (1, 1), (0, 1), true, false), Down);
        assert_eq!(state((0, 1), (1, 1), (1, 1), true, false), Down);
    }
}
