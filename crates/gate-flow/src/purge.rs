//! What caches of answers are to forget: rules that count from the moment they are made.
//!
//! A purge is a rule and not a search: caches compare the number of the newest rule with the one
//! that an entry was last checked against, which costs a hit one load, and look at rules only where
//! they differ. So a purge of a million entries is in force at once. What it hit is then taken away
//! by [`Sweep`], off the workers.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Most rules that are remembered; what was kept before the oldest of them has been swept by then.
const RULES_MAX: usize = 4_096;

/// Which answers are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PurgeWhat {
    /// The answers of this place: host, path and query, such as `shop.example/items?page=2`.
    Key(String),
    /// Those of all places that begin so.
    Prefix(String),
    /// Those that carry this tag.
    Tag(String),
    /// All.
    All,
}

/// What is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purge {
    /// Which answers.
    pub what: PurgeWhat,
    /// Of which route; of all where there is none.
    pub route: Option<String>,
    /// Whether they may still be given while they are asked for again, or instead of an error.
    pub soft: bool,
    /// When it was asked for, in milliseconds of UNIX time: what was kept before is meant where
    /// that is known only by its time, as after a restart.
    pub at_ms: u64,
}

/// What is known of an entry that a purge may mean.
#[derive(Debug, Clone, Copy)]
pub struct Purged<'a> {
    /// Its place.
    pub place: &'a str,
    /// Hashes of its tags, as [`tag_hash`] makes them.
    pub tags: &'a [u64],
    /// Its route.
    pub route: &'a str,
    /// When it was kept, in milliseconds of UNIX time.
    pub stored_ms: u64,
}

/// A hash of a tag that is the same in every process. A collision purges too much, never too
/// little; whoever writes tags can purge by them anyway.
#[must_use]
pub fn tag_hash(tag: &str) -> u64 {
    // FNV-1a with a final mix; tags come from the operator's own services.
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = tag.bytes().fold(0xcbf2_9ce4_8422_2325, fold);
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The tag of what is kept for a consumer alone, or was asked for by it. No tag of a service is one:
/// those have no control characters.
#[must_use]
pub fn consumer_tag(consumer: &str) -> String {
    format!("consumer\u{1}{consumer}")
}

impl Purge {
    /// Whether an entry is meant.
    #[must_use]
    pub fn means(&self, entry: &Purged<'_>) -> bool {
        let of_route = self
            .route
            .as_deref()
            .is_none_or(|route| route == entry.route);
        of_route
            && match &self.what {
                PurgeWhat::Key(place) => entry.place == place,
                PurgeWhat::Prefix(prefix) => entry.place.starts_with(prefix.as_str()),
                PurgeWhat::Tag(tag) => entry.tags.contains(&tag_hash(tag)),
                PurgeWhat::All => true,
            }
    }
}

/// A cache that can take away what a purge means.
pub trait Sweep: Send + Sync {
    /// Takes it away; says how many entries went. Called on no worker.
    fn sweep(&self, purge: &Purge) -> u64;
}

/// The purges of a process, in [`crate::SharedState`].
#[derive(Default)]
pub struct Purges {
    newest: AtomicU64,
    rules: Mutex<Rules>,
}

#[derive(Default)]
struct Rules {
    list: VecDeque<(u64, Arc<Purge>)>,
    sweepers: Vec<Weak<dyn Sweep>>,
}

impl Purges {
    /// The number of the newest rule; 0 before the first.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// Adds a cache, for as long as it is there; one that is known already is there once.
    pub fn join(&self, sweeper: Weak<dyn Sweep>) {
        let mut rules = self.lock();
        let stays = |known: &Weak<dyn Sweep>| known.strong_count() > 0 && !known.ptr_eq(&sweeper);
        rules.sweepers.retain(stays);
        rules.sweepers.push(sweeper);
    }

    /// Puts a rule in force and then takes away what it means; says how many entries went. May
    /// take some milliseconds for every hundred thousand entries: not for workers.
    pub fn purge(&self, purge: Purge) -> u64 {
        let purge = Arc::new(purge);
        let mut rules = self.lock();
        let number = self.newest.load(Ordering::Relaxed) + 1;
        rules.list.push_back((number, purge.clone()));
        if rules.list.len() > RULES_MAX {
            rules.list.pop_front();
        }
        self.newest.store(number, Ordering::Release);
        let sweepers: Vec<_> = rules.sweepers.iter().filter_map(Weak::upgrade).collect();
        drop(rules);
        sweepers.iter().map(|sweeper| sweeper.sweep(&purge)).sum()
    }

    /// Whether a rule behind the number `seen` means this entry: `Some(true)` where one of them is a
    /// hard purge. With `by_time` only those that were asked for after it was kept.
    #[must_use]
    pub fn hits(&self, entry: &Purged<'_>, seen: u64, by_time: bool) -> Option<bool> {
        let rules = self.lock();
        let newer = rules
            .list
            .iter()
            .rev()
            .take_while(|(number, _)| *number > seen);
        let meant = newer.filter(|(_, purge)| {
            let before = !by_time || entry.stored_ms <= purge.at_ms;
            before && purge.means(entry)
        });
        meant
            .map(|(_, purge)| !purge.soft)
            .reduce(|one, other| one || other)
    }

    fn lock(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Purges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Purges({})", self.newest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purge(what: PurgeWhat, soft: bool) -> Purge {
        Purge {
            what,
            route: None,
            soft,
            at_ms: 100,
        }
    }

    #[test]
    fn rules_mean_places_prefixes_and_tags() {
        let tags = [tag_hash("a"), tag_hash("b")];
        let entry = Purged {
            place: "h/x?y",
            tags: &tags,
            route: "r",
            stored_ms: 50,
        };
        for (what, expected) in [
            (PurgeWhat::Key("h/x?y".into()), true),
            (PurgeWhat::Key("h/x".into()), false),
            (PurgeWhat::Prefix("h/x".into()), true),
            (PurgeWhat::Prefix("h/y".into()), false),
            (PurgeWhat::Tag("b".into()), true),
            (PurgeWhat::Tag("c".into()), false),
            (PurgeWhat::All, true),
        ] {
            assert_eq!(
                purge(what.clone(), false).means(&entry),
                expected,
                "{what:?}"
            );
        }
        let elsewhere = Purge {
            route: Some("q".into()),
            ..purge(PurgeWhat::All, false)
        };
        assert!(!elsewhere.means(&entry));
    }

    #[test]
    fn only_newer_rules_count_and_the_harder_one_wins() {
        let purges = Purges::default();
        let entry = Purged {
            place: "h/",
            tags: &[],
            route: "r",
            stored_ms: 150,
        };
        purges.purge(purge(PurgeWhat::All, true));
        assert_eq!(purges.hits(&entry, 0, false), Some(false));
        assert_eq!(purges.hits(&entry, 1, false), None);
        assert_eq!(purges.hits(&entry, 0, true), None, "it was kept later");
        purges.purge(purge(PurgeWhat::Prefix("h".into()), false));
        assert_eq!(
            (purges.hits(&entry, 0, false), purges.newest()),
            (Some(true), 2)
        );
    }
}
