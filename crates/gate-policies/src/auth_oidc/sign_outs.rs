//! Who signed out: what a process knows, and what it has to tell others.
//!
//! A cookie is sealed and holds its session alone, so that whoever signed out is remembered beside it.
//! What is remembered is a hash of the session or of its holder: the list names nobody. Who carries it
//! to other gateways is not known here; while somebody does ([`SignOuts::carry`]), what happens here
//! waits for them, and [`SignOuts::hear`] takes what happened elsewhere.

use aws_lc_rs::digest::{Context, SHA256};
use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most sign-outs that are remembered at once.
const KNOWN_MAX: usize = 100_000;
/// Most that wait to be carried to others.
const WAITING_MAX: usize = 10_000;
/// Most that are carried at once.
const CARRIED_MAX: usize = 500;

/// Somebody who signed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignOut {
    /// A hash of the session or of its holder, and of where they signed in, in hexadecimal.
    pub who: String,
    /// When they did, in UNIX seconds.
    pub at_s: u64,
    /// Until when it has to be known, in UNIX seconds: as long as sessions last.
    pub until_s: u64,
}

/// The sign-outs that a process knows of, in [`gate_flow::SharedState`].
#[derive(Default)]
pub struct SignOuts {
    known: Mutex<HashMap<String, SignOut>>,
    waiting: Mutex<Waiting>,
    told: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Whether somebody carries sign-outs to others.
    is_carried: bool,
    list: VecDeque<SignOut>,
}

/// The hash of a session or of a person, by which a sign-out is known.
pub(super) fn who(realm: &str, kind: &str, value: &str) -> String {
    let mut context = Context::new(&SHA256);
    for part in [realm, "\n", kind, "\n", value] {
        context.update(part.as_bytes());
    }
    // Half of it is enough: nobody gains by a collision, and nobody can look for one.
    let digest = context.finish();
    let half = &digest.as_ref()[..16];
    half.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl SignOuts {
    /// Whether anything is known.
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.known).is_empty()
    }

    /// When this one signed out last, in UNIX seconds.
    pub(super) fn at(&self, who: &str) -> Option<u64> {
        lock(&self.known).get(who).map(|sign_out| sign_out.at_s)
    }

    /// Remembers a sign-out that happened here, and has others told of it; whether there was room.
    pub(super) fn tell(&self, sign_out: SignOut, now_s: u64) -> bool {
        if !self.remember(sign_out.clone(), now_s) {
            return false;
        }
        let mut waiting = lock(&self.waiting);
        if waiting.is_carried {
            if waiting.list.len() >= WAITING_MAX {
                return false;
            }
            waiting.list.push_back(sign_out);
            self.told.notify_one();
        }
        true
    }

    /// Remembers what happened elsewhere; whether there was room.
    pub fn hear(&self, sign_out: SignOut, now_s: u64) -> bool {
        self.remember(sign_out, now_s)
    }

    /// Waits for sign-outs that others are to be told of, at most `patience`; up to 500 at once. With
    /// `is_carried` false there are no others: nothing is kept for them.
    #[must_use]
    pub fn carry(&self, is_carried: bool, patience: Duration) -> Vec<SignOut> {
        let mut waiting = lock(&self.waiting);
        waiting.is_carried = is_carried;
        if !is_carried {
            waiting.list.clear();
        }
        let waited = self
            .told
            .wait_timeout_while(waiting, patience, |waiting| waiting.list.is_empty());
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let count = waiting.list.len().min(CARRIED_MAX);
        waiting.list.drain(..count).collect()
    }

    /// Takes back what could not be carried, to be carried next.
    pub fn take_back(&self, sign_outs: Vec<SignOut>) {
        let mut waiting = lock(&self.waiting);
        for sign_out in sign_outs.into_iter().rev() {
            waiting.list.push_front(sign_out);
        }
        waiting.list.truncate(WAITING_MAX);
    }

    fn remember(&self, sign_out: SignOut, now_s: u64) -> bool {
        let mut known = lock(&self.known);
        if known.len() >= KNOWN_MAX {
            known.retain(|_, known| known.until_s >= now_s);
            if known.len() >= KNOWN_MAX {
                return false;
            }
        }
        match known.get_mut(&sign_out.who) {
            // The later one counts, in whatever order they are heard of.
            Some(held) => {
                held.at_s = held.at_s.max(sign_out.at_s);
                held.until_s = held.until_s.max(sign_out.until_s);
            }
            None => drop(known.insert(sign_out.who.clone(), sign_out)),
        }
        true
    }
}

impl std::fmt::Debug for SignOuts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignOuts({})", lock(&self.known).len())
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(who: &str, at_s: u64) -> SignOut {
        SignOut {
            who: who.into(),
            at_s,
            until_s: at_s + 100,
        }
    }

    #[test]
    fn what_happens_here_waits_for_whoever_carries_it() {
        let sign_outs = SignOuts::default();
        assert!(sign_outs.tell(out("nobody carries it", 1), 1));
        assert_eq!(sign_outs.carry(true, Duration::ZERO), []);
        assert!(sign_outs.tell(out("a", 1), 1) && sign_outs.tell(out("b", 2), 2));
        let carried = sign_outs.carry(true, Duration::ZERO);
        assert_eq!(carried, [out("a", 1), out("b", 2)]);
        sign_outs.take_back(carried);
        assert!(sign_outs.hear(out("c", 3), 3), "not carried further");
        let again = sign_outs.carry(true, Duration::ZERO);
        assert_eq!(again, [out("a", 1), out("b", 2)]);
        // The later of two counts.
        assert!(sign_outs.hear(out("a", 9), 9) && sign_outs.hear(out("a", 4), 9));
        assert_eq!(sign_outs.at("a"), Some(9));
        assert_eq!((sign_outs.at("c"), sign_outs.at("d")), (Some(3), None));
    }

    #[test]
    fn there_are_bounds_and_what_ended_makes_room() {
        let sign_outs = SignOuts::default();
        for number in 0..KNOWN_MAX {
            assert!(sign_outs.hear(out(&number.to_string(), 1), 1));
        }
        assert!(!sign_outs.hear(out("one more", 50), 101));
        assert!(sign_outs.hear(out("one more", 102), 102));
        assert_eq!(sign_outs.at("1"), None);
    }

    #[test]
    fn places_kinds_and_names_make_different_hashes() {
        let all = [
            who("a", "session", "x"),
            who("b", "session", "x"),
            who("a", "subject", "x"),
            who("a", "session", "y"),
        ];
        for (index, one) in all.iter().enumerate() {
            assert_eq!(one.len(), 32);
            assert!(!all[index + 1..].contains(one));
        }
    }
}
