//! Which queries of a path get the same answer, as the newest answer of that path said.
//!
//! A rule decides under which key a request looks, and the key names the rule: what was kept under
//! another rule, or under none, is not found, and so never given to whom it was not meant for.

use super::Key;
use gate_cache::Search;
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Paths whose rules are remembered; answers of more paths are kept for their own queries alone.
const PATHS_MAX: usize = 4_096;

/// Rules by path.
#[derive(Debug, Default)]
pub(super) struct Searches {
    /// How many there are, so that a cache without any does not look.
    count: AtomicUsize,
    rules: RwLock<FxHashMap<Key, Arc<Search>>>,
}

impl Searches {
    /// Whether no path has a rule.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// The rule of a path.
    pub(super) fn of(&self, path: &Key) -> Option<Arc<Search>> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.get(path).cloned()
    }

    /// Takes what the newest answer of a path says; whether that is now its rule.
    pub(super) fn learn(&self, path: Key, search: Option<Search>) -> bool {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let is_learnt = match search {
            None => {
                rules.remove(&path);
                true
            }
            Some(_) if rules.len() >= PATHS_MAX && !rules.contains_key(&path) => false,
            Some(search) => {
                rules.insert(path, Arc::new(search));
                true
            }
        };
        self.count.store(rules.len(), Ordering::Relaxed);
        is_learnt
    }
}
