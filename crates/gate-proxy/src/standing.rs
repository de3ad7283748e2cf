//! How everything that a process calls is doing, for the admin API.
//!
//! Read from the state that workers keep in atomics; the only locks are those of counts of calls
//! that wait, for an instant each. Not for a worker.

use crate::process::Process;
use crate::target::model::health;
use crate::upstream::report::{self, Now};
use gate_api::types::ProviderHealth;
use gate_kit::order::Order;

/// Something that this process does not call for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Whether it is one of a provider's models; an address of an upstream otherwise.
    pub is_model: bool,
    /// The provider or the upstream.
    pub of: String,
    /// The provider's name of the model, or the address.
    pub what: String,
    /// What went wrong last.
    pub last_error: Option<String>,
}

impl Process {
    /// Everything that is left out for failing: addresses of upstreams, and providers' models.
    #[must_use]
    pub fn left_out(&self) -> Vec<LeftOut> {
        let shared = self.shared();
        let now = Now::of(&shared.clock);
        let mut out = Vec::new();
        for (name, upstream) in shared.upstreams.load().iter() {
            for one in report::addresses(upstream, now) {
                if !one.healthy || one.ejected_until.is_some() {
                    out.push(LeftOut {
                        is_model: false,
                        of: name.to_string(),
                        what: one.address,
                        last_error: one.last_error,
                    });
                }
            }
        }
        for provider in health::providers(&shared.models.load(), now) {
            let resting = provider
                .targets
                .into_iter()
                .filter(|one| one.resting_until.is_some());
            out.extend(resting.map(|one| LeftOut {
                is_model: true,
                of: provider.name.clone(),
                what: one.model,
                last_error: one.last_error,
            }));
        }
        out
    }

    /// Exchanges that this process finished, by route: of the first so many by name.
    #[must_use]
    pub fn exchanges(&self, most: usize) -> Vec<(String, u64)> {
        self.shared().readers.metrics().exchanges(most)
    }

    /// Every provider with what its targets have under way and left, without rates: nothing is counted
    /// for it that is not counted anyway.
    #[must_use]
    pub fn headroom(&self) -> Vec<ProviderHealth> {
        let shared = self.shared();
        health::providers(&shared.models.load(), Now::of(&shared.clock))
    }

    /// Exchanges in flight, over all workers.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.shared().readers.metrics().gauges().exchanges.now()
    }

    /// Every provider and every upstream of the configuration in force, by kind and name, with the
    /// last minutes' rates as far as they are counted ([`crate::record::Readers::look`]).
    #[must_use]
    pub fn providers(&self) -> Vec<ProviderHealth> {
        let shared = self.shared();
        let live = shared.readers.look();
        let now = Now::of(&shared.clock);
        let mut all = health::providers(&shared.models.load(), now);
        for one in &mut all {
            one.rates = live.providers.get(&one.name).cloned().unwrap_or_default();
        }
        let upstreams = shared.upstreams.load();
        let mut names: Vec<_> = upstreams.iter().collect();
        names.order_by_key(|(name, _)| *name);
        all.extend(names.into_iter().map(|(name, upstream)| ProviderHealth {
            rates: live.upstreams.get(&**name).cloned().unwrap_or_default(),
            ..report::upstream(name, upstream, now)
        }));
        all
    }
}
