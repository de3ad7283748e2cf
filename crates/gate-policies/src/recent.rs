//! What was found for secrets presented lately, without keeping the secrets.
//!
//! Hashing a key with SHA-256 is the dearest step of a small request on processors without
//! instructions for it. Callers send the same few keys over and over, so each worker remembers what
//! it found under a tag of 128 bits, a SipHash keyed at random when the worker starts. Nobody
//! outside can compute a tag, so neither a collision nor the time of a comparison can be steered;
//! a forger meets a tag by chance once in 2^128 tries. Only what was found is remembered.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::{BuildHasher, Hasher, RandomState};

/// Places; a worker that sees more keys than this in turns falls back to SHA-256.
const PLACES: usize = 256;

/// A worker's memory of values of type `V`; at most 256 of them.
pub(crate) struct Recent<V> {
    key: SipHasher13,
    places: Vec<Option<Place<V>>>,
}

struct Place<V> {
    scope: u64,
    tag: u128,
    value: V,
}

impl<V: Clone> Recent<V> {
    pub(crate) fn new() -> Self {
        // The standard library's source of random keys, asked twice for 64 bits.
        let random = || RandomState::new().hash_one(0);
        Self {
            key: SipHasher13::new_with_keys(random(), random()),
            places: Vec::new(),
        }
    }

    /// What was found for `secret` in `scope`, or what `find` finds now. A scope is one set of
    /// values for its whole life; its number is never used again.
    pub(crate) fn get(
        &mut self,
        scope: u64,
        secret: &[u8],
        find: impl FnOnce() -> Option<V>,
    ) -> Option<V> {
        let (tag, place) = self.place(secret);
        if let Some(known) = place
            && known.scope == scope
            && known.tag == tag
        {
            return Some(known.value.clone());
        }
        let value = find()?;
        *place = Some(Place {
            scope,
            tag,
            value: value.clone(),
        });
        Some(value)
    }

    /// Keeps a value for `secret` in `scope`, whatever was kept before.
    pub(crate) fn put(&mut self, scope: u64, secret: &[u8], value: V) {
        let (tag, place) = self.place(secret);
        *place = Some(Place { scope, tag, value });
    }

    fn place(&mut self, secret: &[u8]) -> (u128, &mut Option<Place<V>>) {
        let mut hasher = self.key;
        hasher.write(secret);
        let tag = hasher.finish128().as_u128();
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        (tag, &mut self.places[tag as usize % PLACES])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_once_per_scope_and_nothing_is_not_remembered() {
        let mut recent = Recent::new();
        let mut asked = Vec::new();
        for (scope, secret) in [(1, "a"), (1, "a"), (2, "a"), (1, "b"), (2, "a"), (1, "")] {
            let found = recent.get(scope, secret.as_bytes(), || {
                asked.push((scope, secret));
                (secret != "b").then(|| format!("{scope}{secret}"))
            });
            let expected = (secret != "b").then(|| format!("{scope}{secret}"));
            assert_eq!(found, expected);
        }
        // The scopes share places, so the second took the first one's.
        assert_eq!(asked, [(1, "a"), (2, "a"), (1, "b"), (1, "")]);
    }

    #[test]
    fn many_secrets_never_answer_for_each_other() {
        let mut recent = Recent::new();
        for round in 0..2 {
            for n in 0..4 * PLACES {
                let found = recent.get(7, n.to_string().as_bytes(), || Some(n));
                assert_eq!(found, Some(n), "round {round}");
            }
        }
        assert_eq!(recent.places.len(), PLACES);
    }
}
