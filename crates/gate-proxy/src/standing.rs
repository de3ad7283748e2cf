//! How everything that a process calls is doing, for the admin API.
//!
//! Read from the state that workers keep in atomics; the only locks are those of counts of calls
//! that wait, for an instant each. Not for a worker.

use crate::process::Process;
use crate::target::model::health;
use crate::upstream::report::{self, Now};
use gate_api::types::ProviderHealth;

impl Process {
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
        names.sort_by_key(|(name, _)| *name);
        all.extend(names.into_iter().map(|(name, upstream)| ProviderHealth {
            rates: live.upstreams.get(&**name).cloned().unwrap_or_default(),
            ..report::upstream(name, upstream, now)
        }));
        all
    }
}
