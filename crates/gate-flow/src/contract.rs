//! What contracts saw: counts of operations, their last failures, who calls them, and what was wrong
//! with the messages of one exchange.
//!
//! The policy `contract` writes; the metrics page, the developer portal and the record read. Counts live
//! in [`crate::SharedState`], by API and operation; [`ContractNotes`] live as long as their exchange.

use crate::FaultError;
use gate_kit::counter::Counter;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Messages whose failures are remembered, of each operation.
const RECENT_MAX: usize = 16;
/// Consumers that are counted by name, of each API; further ones are not.
const CONSUMERS_MAX: usize = 10_000;

/// Most places that the record of an exchange names.
const PLACES_MAX: usize = 16;
/// Longest name and pointer in the record of an exchange, in bytes.
const NAMED_MAX: usize = 200;

/// What was wrong with the messages of an exchange: places, never values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContractFacts {
    /// The API.
    pub api: Arc<str>,
    /// The operation.
    pub operation: Arc<str>,
    /// Where the contract was broken, in the order in which it was found; at most 16.
    pub broken: Vec<BrokenPlace>,
    /// How many more places there were.
    pub more: u32,
}

/// A place at which a message breaks its contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenPlace {
    /// `request` or `response`.
    pub side: &'static str,
    /// `body`, `query`, `path`, `header`, `cookie` or `status`.
    pub place: &'static str,
    /// Name of the parameter; empty for bodies.
    pub name: Box<str>,
    /// JSON pointer (RFC 6901) within the parameter or the body; empty for all of it.
    pub pointer: Box<str>,
    /// What is wrong there, as a sentence that repeats no value.
    pub detail: Box<str>,
}

/// [`ContractFacts`] as they come in, also while a body passes or after it has passed.
#[derive(Debug, Default)]
pub struct ContractNotes {
    facts: RefCell<ContractFacts>,
    pending: Cell<u32>,
    waiting: RefCell<Option<Waker>>,
}

impl ContractNotes {
    /// Nothing is wrong yet.
    #[must_use]
    pub fn new(api: Arc<str>, operation: Arc<str>) -> Self {
        let facts = ContractFacts {
            api,
            operation,
            ..ContractFacts::default()
        };
        Self {
            facts: RefCell::new(facts),
            ..Self::default()
        }
    }

    /// Notes what is wrong with a message of this side.
    pub fn add(&self, side: &'static str, errors: &[FaultError]) {
        let mut facts = self.facts.borrow_mut();
        for error in errors {
            if facts.broken.len() >= PLACES_MAX {
                facts.more = facts.more.saturating_add(1);
                continue;
            }
            facts.broken.push(BrokenPlace {
                side,
                place: error.place,
                name: cut(&error.name).into(),
                pointer: cut(&error.pointer).into(),
                detail: cut(&error.detail).into(),
            });
        }
    }

    /// Says that a message is looked at beside the exchange's way; [`Self::looked`] ends it.
    pub fn look(&self) {
        self.pending.set(self.pending.get() + 1);
    }

    /// Says that a message has been looked at.
    pub fn looked(&self) {
        self.pending.set(self.pending.get().saturating_sub(1));
        if self.pending.get() == 0
            && let Some(waker) = self.waiting.take()
        {
            waker.wake();
        }
    }

    /// Whether a message is still looked at.
    #[must_use]
    pub fn is_looking(&self) -> bool {
        self.pending.get() > 0
    }

    /// Whether nothing is looked at any more. One caller at a time is woken.
    pub fn poll_settled(&self, cx: &Context<'_>) -> Poll<()> {
        if self.pending.get() == 0 {
            return Poll::Ready(());
        }
        *self.waiting.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    /// What was found; none where nothing is wrong.
    #[must_use]
    pub fn take(&self) -> Option<ContractFacts> {
        let facts = self.facts.take();
        (!facts.broken.is_empty()).then_some(facts)
    }
}

/// A text without what is too long of it.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(NAMED_MAX)]
}

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
    fn what_a_record_names_is_bounded() {
        let notes = ContractNotes::new("shop".into(), "putOrder".into());
        assert_eq!(notes.take(), None);
        let error = FaultError {
            detail: "is required".to_owned(),
            place: "body",
            name: String::new(),
            pointer: format!("/{}", "\u{e9}".repeat(200)),
        };
        notes.add("request", &vec![error; PLACES_MAX + 3]);
        let facts = notes.take().expect("something is wrong");
        assert_eq!((facts.broken.len(), facts.more), (PLACES_MAX, 3));
        assert_eq!(facts.broken[0].pointer.len(), NAMED_MAX - 1);
        assert_eq!(notes.take(), None, "told once");
    }

    #[test]
    fn whoever_waits_is_woken_when_all_was_looked_at() {
        let notes = ContractNotes::default();
        let cx = Context::from_waker(Waker::noop());
        assert!(notes.poll_settled(&cx).is_ready());
        notes.look();
        notes.look();
        notes.looked();
        assert!(notes.poll_settled(&cx).is_pending());
        notes.looked();
        assert!(notes.poll_settled(&cx).is_ready());
        notes.looked();
        assert!(notes.poll_settled(&cx).is_ready(), "never below none");
    }

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
