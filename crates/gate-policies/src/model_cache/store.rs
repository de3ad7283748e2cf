//! Where answers are kept: in this process, or in a key-value server that several gateways share.
//!
//! A server that fails costs a miss: the call that noticed waits no longer than the timeout, later
//! ones do not ask at all until a while has passed, and then one of them tries.

use super::entry::Entry;
use super::flight::Flight;
use super::key::Key;
use super::memory::Memory;
use gate_flow::{CacheCounts, KeyValueQuestion, Services, SharedKeyValueServer};
use gate_kit::clock::Moment;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// First rest of a server that failed; doubled with each further failure.
const REST: Duration = Duration::from_secs(1);
/// Most doublings: a rest of 32 seconds.
const DOUBLINGS_MAX: u32 = 5;

/// A place for answers.
#[derive(Clone)]
pub(super) enum Store {
    Memory(Arc<Memory>),
    Shared(Arc<Shared>),
}

/// What looking for an answer comes to.
pub(super) enum Looked {
    Found(Arc<Entry>),
    Nothing,
    Failed,
}

/// A key-value server, and how it does.
pub(super) struct Shared {
    pub(super) server: SharedKeyValueServer,
    pub(super) prefix: String,
    pub(super) counts: Arc<CacheCounts>,
    pub(super) health: Arc<Health>,
}

/// Whether a server may be asked. Outlives snapshots.
#[derive(Default)]
pub(super) struct Health {
    failures: AtomicU32,
    /// Until when it rests, in nanoseconds of the process's clock.
    rests_until: AtomicU64,
}

impl Health {
    /// Whether to ask now; after a rest, one caller may, and the others wait for what it learns.
    fn may_ask(&self, now: Moment) -> bool {
        if self.failures.load(Ordering::Relaxed) == 0 {
            return true;
        }
        let until = self.rests_until.load(Ordering::Relaxed);
        let next = now.plus(REST).0;
        let order = Ordering::Relaxed;
        now.0 >= until
            && self
                .rests_until
                .compare_exchange(until, next, order, order)
                .is_ok()
    }

    fn note(&self, failed: bool, now: Moment) {
        if !failed {
            self.failures.store(0, Ordering::Relaxed);
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        let rest = REST * (1 << failures.min(DOUBLINGS_MAX));
        self.rests_until.store(now.plus(rest).0, Ordering::Relaxed);
    }
}

impl Store {
    /// The answer under a key, of whatever age.
    pub(super) async fn get(&self, services: &Rc<dyn Services>, key: &Key) -> Looked {
        match self {
            Store::Memory(memory) => memory.get(key).map_or(Looked::Nothing, Looked::Found),
            Store::Shared(shared) => {
                let asked = KeyValueQuestion::Get(shared.name("", key));
                match shared.ask(services, asked).await {
                    Some(Some(value)) => {
                        Entry::from_value(value).map_or(Looked::Nothing, Looked::Found)
                    }
                    Some(None) => Looked::Nothing,
                    None => Looked::Failed,
                }
            }
        }
    }

    /// Keeps an answer; in a server, beside the exchange.
    pub(super) fn put(
        &self,
        services: &Rc<dyn Services>,
        key: Key,
        entry: Arc<Entry>,
        ttl: Duration,
        flight: Option<Flight>,
    ) {
        match self {
            Store::Memory(memory) => memory.put(key, entry, services.clock().unix(), ttl),
            Store::Shared(shared) => {
                let (shared, worker) = (shared.clone(), services.clone());
                let counts = shared.counts.clone();
                let keep = async move {
                    let value = entry.to_value();
                    let question = KeyValueQuestion::Set(shared.name("", &key), value, ttl);
                    if shared.ask(&worker, question).await.is_some() {
                        shared.counts.stored.add(1);
                    }
                    drop(flight);
                };
                if !services.spawn(Box::pin(keep)) {
                    counts.store_errors.add(1);
                }
            }
        }
    }
}

impl Shared {
    /// The server's name for a key; `kind` keeps what is no answer apart.
    pub(super) fn name(&self, kind: &str, key: &Key) -> Vec<u8> {
        use std::io::Write;
        let mut name = [&self.prefix, kind].concat().into_bytes();
        for byte in key.0 {
            let _ = write!(name, "{byte:02x}");
        }
        name
    }

    /// Asks the server; nothing where it rests or fails.
    pub(super) async fn ask(
        &self,
        services: &Rc<dyn Services>,
        question: KeyValueQuestion,
    ) -> Option<Option<Vec<u8>>> {
        if !self.health.may_ask(services.clock().now()) {
            self.counts.store_errors.add(1);
            return None;
        }
        let answer = services.key_value(&self.server, question).await;
        self.health.note(answer.is_err(), services.clock().now());
        match answer {
            Ok(value) => Some(value),
            Err(error) => {
                self.counts.store_errors.add(1);
                tracing::warn!(server = self.server.address, %error, "the cache's store failed");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_server_rests_longer_each_time_and_one_caller_tries() {
        let health = Health::default();
        let at = |seconds: u64| Moment(seconds * 1_000_000_000);
        assert!(health.may_ask(at(0)) && health.may_ask(at(0)));
        health.note(true, at(0));
        assert!(!health.may_ask(Moment(1)));
        assert!(health.may_ask(at(1)), "one tries");
        assert!(!health.may_ask(at(1)), "the others do not");
        health.note(true, at(1));
        assert!(!health.may_ask(at(2)) && health.may_ask(at(3)));
        health.note(false, at(3));
        assert!(health.may_ask(at(3)) && health.may_ask(at(3)));
        for _ in 0..40 {
            health.note(true, at(3));
        }
        assert!(!health.may_ask(at(34)) && health.may_ask(at(35)));
    }
}
