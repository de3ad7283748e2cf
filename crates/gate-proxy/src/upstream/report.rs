//! How an upstream is doing, for people who look.

use super::Upstream;
use super::trouble::{Trouble, Wrong};
use gate_api::types::{AddressHealth, ProviderHealth, ProviderState};
use gate_kit::clock::{Clock, Moment};
use gate_model::units::Timestamp;
use std::time::Duration;

/// Now on both clocks, so that moments can be written as times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) moment: Moment,
    pub(crate) unix: Duration,
}

impl Now {
    pub(crate) fn of(clock: &Clock) -> Self {
        Self {
            moment: clock.now(),
            unix: clock.unix(),
        }
    }

    /// A moment as a time, to the second.
    pub(crate) fn time(self, moment: Moment) -> String {
        let unix = match moment > self.moment {
            true => self.unix + moment.since(self.moment),
            false => self.unix.saturating_sub(self.moment.since(moment)),
        };
        Timestamp::from_unix_s(unix.as_secs()).to_string()
    }

    /// The same of a moment that is still to come.
    pub(crate) fn later(self, moment: Moment) -> Option<String> {
        (moment > self.moment).then(|| self.time(moment))
    }
}

/// The latest of several things that are remembered.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Last {
    pub(crate) success: Option<Moment>,
    pub(crate) failure: Option<(Moment, Wrong)>,
}

impl Last {
    pub(crate) fn add(&mut self, trouble: &Trouble) {
        self.success = self.success.max(trouble.last_success());
        let failure = trouble.last_failure();
        if failure.map(|(at, _)| at) > self.failure.map(|(at, _)| at) {
            self.failure = failure;
        }
    }

    pub(crate) fn of(trouble: &Trouble) -> Self {
        let mut last = Self::default();
        last.add(trouble);
        last
    }

    pub(crate) fn is_unknown(self) -> bool {
        self.success.is_none() && self.failure.is_none()
    }

    pub(crate) fn error(self) -> Option<String> {
        self.failure.map(|(_, wrong)| wrong.to_string())
    }

    pub(crate) fn failure_at(self, now: Now) -> Option<String> {
        self.failure.map(|(at, _)| now.time(at))
    }

    pub(crate) fn success_at(self, now: Now) -> Option<String> {
        self.success.map(|at| now.time(at))
    }
}

/// How its addresses are, each with what is remembered of it.
pub(crate) fn addresses(upstream: &Upstream, now: Now) -> Vec<AddressHealth> {
    let address = |endpoint: &std::sync::Arc<super::endpoint::Endpoint>| {
        let last = Last::of(&endpoint.trouble);
        AddressHealth {
            address: endpoint.address.to_string(),
            healthy: endpoint.is_healthy(),
            ejected_until: now.later(endpoint.ejected_until().max(endpoint.held_until())),
            failures: endpoint.failures(),
            in_flight: endpoint.active(),
            last_error: last.error(),
            last_failure: last.failure_at(now),
            last_success: last.success_at(now),
        }
    };
    upstream.picker.endpoints().map(address).collect()
}

/// How many may be called.
pub(crate) fn available(addresses: &[AddressHealth]) -> usize {
    let may = |address: &&AddressHealth| address.healthy && address.ejected_until.is_none();
    addresses.iter().filter(may).count()
}

/// How an upstream is; its rates are for others to add.
pub(crate) fn upstream(name: &str, upstream: &Upstream, now: Now) -> ProviderHealth {
    let addresses = addresses(upstream, now);
    let mut last = Last::default();
    let mut failing = false;
    for endpoint in upstream.picker.endpoints() {
        last.add(&endpoint.trouble);
        failing |= endpoint.trouble.is_failing();
    }
    let available = available(&addresses);
    let state = match available {
        0 => ProviderState::Down,
        some if some < addresses.len() || failing => ProviderState::Degraded,
        _ if last.is_unknown() && upstream.settings.health.is_none() => ProviderState::Unknown,
        _ => ProviderState::Healthy,
    };
    ProviderHealth {
        name: name.to_owned(),
        kind: "upstream".to_owned(),
        state,
        available: narrow(available),
        endpoints: narrow(addresses.len()),
        in_flight: upstream.in_flight(),
        last_error: last.error(),
        last_failure: last.failure_at(now),
        last_success: last.success_at(now),
        addresses,
        ..ProviderHealth::default()
    }
}

pub(crate) fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_before_and_after_are_times() {
        let now = Now {
            moment: Moment(10_000_000_000),
            unix: Duration::from_secs(1_795_262_400),
        };
        assert_eq!(now.time(Moment(3_000_000_000)), "2026-11-21T11:59:53Z");
        let later = Moment(70_000_000_000);
        assert_eq!(now.later(later).as_deref(), Some("2026-11-21T12:01:00Z"));
        assert_eq!(now.later(Moment(10_000_000_000)), None);
    }
}
