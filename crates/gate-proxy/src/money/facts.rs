//! The facts of calls, shared by the calls that have the same.
//!
//! Most calls differ from an earlier one in nothing that the ledger groups by. Sharing what they
//! have in common saves copying eight names twice a call, and lets the ledger's thread see by one
//! comparison of addresses that two calls belong together. Each worker remembers a fixed number.

use gate_store::ledger::Facts;
use rustc_hash::FxHasher;
use std::array;
use std::cell::RefCell;
use std::hash::Hasher as _;
use std::sync::Arc;

/// Facts that a worker remembers; a power of two.
const PLACES: usize = 64;

thread_local! {
    static KNOWN: RefCell<[Option<Arc<Facts>>; PLACES]> = RefCell::new(array::from_fn(|_| None));
}

/// Facts that have not been made yet.
#[derive(Default)]
pub(super) struct View<'a> {
    pub(super) consumer: Option<&'a Arc<str>>,
    pub(super) key: Option<&'a Arc<str>>,
    pub(super) team: Option<&'a Arc<str>>,
    pub(super) route: Option<&'a Arc<str>>,
    pub(super) model: Option<&'a Arc<str>>,
    pub(super) provider: Option<&'a Arc<str>>,
    pub(super) provider_model: Option<&'a Arc<str>>,
    pub(super) tag: Option<&'a Arc<str>>,
    pub(super) revision: u64,
}

impl<'a> View<'a> {
    pub(super) fn of(facts: &'a Facts) -> Self {
        Self {
            consumer: Some(&facts.consumer),
            key: Some(&facts.key),
            team: Some(&facts.team),
            route: Some(&facts.route),
            model: Some(&facts.model),
            provider: Some(&facts.provider),
            provider_model: Some(&facts.provider_model),
            tag: Some(&facts.tag),
            revision: facts.revision,
        }
    }

    fn names(&self) -> [Option<&'a Arc<str>>; 8] {
        [
            self.consumer,
            self.key,
            self.team,
            self.route,
            self.model,
            self.provider,
            self.provider_model,
            self.tag,
        ]
    }

    /// By addresses: names of one configuration are shared, and what misses is only made anew.
    fn place(&self) -> usize {
        let mut hasher = FxHasher::default();
        for name in [self.consumer, self.key, self.model, self.provider_model] {
            hasher.write_usize(name.map_or(0, |name| name.as_ptr().addr()));
        }
        // Two revisions of a rollout do not take turns in one place.
        usize::try_from(hasher.finish() >> 32 ^ self.revision).unwrap_or(0) % PLACES
    }

    fn is(&self, facts: &Facts) -> bool {
        let same = |one: Option<&Arc<str>>, other: Option<&Arc<str>>| match (one, other) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
            (None, Some(other)) => other.is_empty(),
            _ => false,
        };
        let known = View::of(facts).names();
        let names = self.names().into_iter().zip(known);
        self.revision == facts.revision && names.into_iter().all(|(one, other)| same(one, other))
    }

    fn make(&self) -> Facts {
        let name = |name: Option<&Arc<str>>| name.cloned().unwrap_or_default();
        Facts {
            consumer: name(self.consumer),
            key: name(self.key),
            team: name(self.team),
            route: name(self.route),
            model: name(self.model),
            provider: name(self.provider),
            provider_model: name(self.provider_model),
            tag: name(self.tag),
            revision: self.revision,
        }
    }
}

/// The facts that look like this: those of an earlier call on this worker where it had the same.
pub(super) fn shared(view: &View<'_>) -> Arc<Facts> {
    KNOWN.with_borrow_mut(|known| {
        let place = &mut known[view.place()];
        match place {
            Some(facts) if view.is(facts) => facts.clone(),
            _ => place.insert(Arc::new(view.make())).clone(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_alike_share_and_others_do_not() {
        let names: Vec<Arc<str>> = ["a", "b", ""].map(Arc::from).into();
        let of = |consumer: usize, tag: Option<&Arc<str>>| {
            shared(&View {
                consumer: Some(&names[consumer]),
                tag,
                ..View::default()
            })
        };
        let first = of(0, None);
        assert!(Arc::ptr_eq(&first, &of(0, None)) && Arc::ptr_eq(&first, &of(0, Some(&names[2]))));
        let other = of(0, Some(&names[1]));
        assert_eq!(
            (&*other.consumer, &*other.tag, &*other.provider),
            ("a", "b", "")
        );
        assert_eq!(&*of(1, None).consumer, "b");
        // The same text elsewhere in memory is the same name.
        let again: Arc<str> = "b".into();
        assert!(
            shared(&View {
                consumer: Some(&again),
                ..View::default()
            })
            .consumer
                == names[1]
        );
        let of_revision = |revision| {
            shared(&View {
                consumer: Some(&names[0]),
                revision,
                ..View::default()
            })
        };
        let second = of_revision(2);
        assert_eq!((second.revision, of_revision(1).revision), (2, 1));
        assert!(Arc::ptr_eq(&second, &of_revision(2)), "both are known");
        for text in (0..1000).map(|number| Arc::from(number.to_string())) {
            assert_eq!(
                shared(&View {
                    model: Some(&text),
                    ..View::default()
                })
                .model,
                text
            );
        }
    }
}
