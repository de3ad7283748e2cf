//! What contracts saw: counts of operations, their last failures, and who calls them.
//!
//! The policy `contract` writes; the metrics page and the developer portal read. Both live in
//! [`crate::SharedState`], by API and operation.

use crate::FaultError;
use gate_kit::counter::Counter;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Messages whose failures are remembered, of each operation.
const RECENT_MAX: usize = 16;
/// Consumers that are counted by name, of each API; further ones are not.
const CONSUMERS_MAX: usize = 10_000;

/// What one operation saw.
#[derive(Debug, Default)]
pub struct ContractCounts {
    /// Requests that kept to the contract.
    pub requests_kept: Counter,
    /// Requests that broke it.
    pub requests_broken: Counter,
    /// Requests whose body could not be looked at, and that passed all the same.
    pub requests_unread: Counter,
    /// Answers that kept to it.
    pub answers_kept: Counter,
    /// Answers that broke it.
    pub answers_broken: Counter,
    /// Answers whose body could not be looked at: too large, compressed, or cut short.
    pub answers_unread: Counter,
    recent: Mutex<VecDeque<Broken>>,
}

/// A message that broke a contract.
#[derive(Debug, Clone)]
pub struct Broken {
    /// When, in UNIX time.
    pub at: Duration,
    /// `request` or `response`.
    pub side: &'static str,
    /// What was wrong.
    pub errors: Vec<FaultError>,
}

impl ContractCounts {
    /// Remembers what was wrong with a message, in place of the oldest.
    pub fn remember(&self, broken: Broken) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(broken);
    }

    /// The last messages that broke the contract, the oldest first.
    #[must_use]
    pub fn recent(&self) -> Vec<Broken> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().cloned().collect()
    }
}

/// How often consumers called an API since the gateway started.
#[derive(Debug, Default)]
pub struct ContractUse {
    by_consumer: Mutex<HashMap<Arc<str>, Used>>,
}

/// What one consumer called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// Requests.
    pub requests: u64,
    /// Those of them that broke the contract.
    pub broken: u64,
    /// When it called last, in UNIX time.
    pub last: Duration,
}

impl ContractUse {
    /// Counts a request of a consumer.
    pub fn count(&self, consumer: &Arc<str>, broken: bool, now: Duration) {
        let mut table = self
            .by_consumer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !table.contains_key(consumer) {
            if table.len() >= CONSUMERS_MAX {
                return;
            }
            table.insert(consumer.clone(), Used::default());
        }
        if let Some(used) = table.get_mut(consumer) {
            used.requests += 1;
            used.broken += u64::from(broken);
            used.last = now;
        }
    }

    /// What a consumer called.
    #[must_use]
    pub fn of(&self, consumer: &str) -> Used {
        let table = self
            .by_consumer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        table.get(consumer).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let counts = ContractCounts::default();
        for at in 0..100 {
            let at = Duration::from_secs(at);
            counts.remember(Broken {
                at,
                side: "request",
                errors: Vec::new(),
            });
        }
        let recent = counts.recent();
        assert_eq!(recent.len(), RECENT_MAX);
        assert_eq!(
            recent.last().map(|one| one.at),
            Some(Duration::from_secs(99))
        );
        let table = ContractUse::default();
        for number in 0..CONSUMERS_MAX + 5 {
            table.count(&number.to_string().into(), number == 0, Duration::ZERO);
        }
        table.count(&"0".into(), false, Duration::from_secs(7));
        let used = Used {
            requests: 2,
            broken: 1,
            last: Duration::from_secs(7),
        };
        assert_eq!(table.of("0"), used);
        assert_eq!(table.of(&CONSUMERS_MAX.to_string()), Used::default());
    }
}
