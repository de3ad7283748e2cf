//! One subscriber's way along the journal.

use super::window::Window;
use gate_kit::order::Gather;
use gate_kit::random;
use gate_model::resources::Subscriber;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Most events that a subscriber has before it at once: those that wait for their first attempt, their
/// turn, their next attempt, and those that are attempted. With as many, no further one is read.
pub const OPEN_MAX: usize = 1_000;
/// Most letters of a reason that are kept.
const REASON_MAX: usize = 500;

/// How a subscriber wants to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Most attempts at once.
    pub in_flight: usize,
    /// Most attempts of one event.
    pub attempts: u32,
    /// The pause before the second attempt, in milliseconds.
    pub pause_ms: u64,
    /// The longest pause, in milliseconds.
    pub longest_ms: u64,
    /// How long after the first attempt others are begun, in milliseconds.
    pub age_ms: u64,
    /// How long a value of the field that events are told apart by is known, in milliseconds; none where
    /// they are not.
    pub within_ms: Option<i64>,
}

impl Settings {
    /// Those of a configured subscriber.
    #[must_use]
    pub fn of(subscriber: &Subscriber) -> Self {
        let ms = |period: gate_model::units::Period| {
            u64::try_from(period.duration().as_millis()).unwrap_or(u64::MAX)
        };
        let within = subscriber.dedupe.as_ref().map(|dedupe| ms(dedupe.within));
        Settings {
            in_flight: subscriber.in_flight as usize,
            attempts: subscriber.retry.attempts,
            pause_ms: ms(subscriber.retry.pause),
            longest_ms: ms(subscriber.retry.longest),
            age_ms: ms(subscriber.retry.age),
            within_ms: within.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)),
        }
    }
}

/// An event that the subscriber wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// Its place in the journal.
    pub place: u64,
    /// When it came to the journal, in UNIX milliseconds.
    pub at_ms: i64,
    /// What it is ordered by; events without are in no order.
    pub order: Option<String>,
    /// What it is told apart by; events without are all told.
    pub value: Option<String>,
}

/// What became of an event that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is to be delivered.
    Wanted,
    /// Another with its value came just before it.
    Repeated,
    /// Nobody asked for it.
    Passed,
}

/// An attempt to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The event's place.
    pub place: u64,
    /// Which attempt it is, from 1.
    pub number: u32,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The target has taken it.
    Delivered,
    /// It may not have; it may the next time.
    Failed {
        /// Why.
        reason: String,
        /// How long the target asks to be left alone, in milliseconds.
        after_ms: Option<u64>,
    },
    /// The target will never take it.
    Refused(String),
    /// It was never begun, or nobody knows what came of it: as if it had not been.
    Dropped,
}

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The event is delivered.
    Delivered {
        /// Whether it had been a dead letter.
        again: bool,
    },
    /// It is attempted again at this time, in UNIX milliseconds.
    Again(u64),
    /// It will not be: a dead letter, with the reason and how many attempts there were.
    Dead {
        /// Why.
        reason: String,
        /// How many attempts there were.
        attempts: u32,
        /// Whether it had been one before.
        again: bool,
    },
    /// There is no such attempt.
    Unknown,
}

/// What is kept of a course, so that it can go on after a crash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Up to where it has read.
    pub place: u64,
    /// Events up to there that are not settled, in order.
    pub open: Vec<KeptItem>,
}

/// An event that is not settled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptItem {
    /// Its place.
    pub place: u64,
    /// How many attempts there were.
    pub attempts: u32,
    /// When the first began, in UNIX milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_ms: Option<u64>,
    /// When the next is, in UNIX milliseconds.
    pub next_ms: u64,
    /// Why the last did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug)]
struct Open {
    kept: KeptItem,
    order: Option<String>,
    is_running: bool,
    /// Whether it is a dead letter that is tried again.
    again: bool,
}

/// A subscriber's way along the journal.
#[derive(Debug)]
pub struct Course {
    settings: Settings,
    place: u64,
    open: BTreeMap<u64, Open>,
    /// Open events by what they are ordered by.
    lines: HashMap<String, BTreeSet<u64>>,
    /// Events whose turn it is, by when their next attempt is.
    due: BTreeSet<(u64, u64)>,
    running: usize,
    window: Window,
}

impl Course {
    /// One that begins behind a place.
    #[must_use]
    pub fn begin(settings: Settings, place: u64) -> Self {
        Course {
            settings,
            place,
            open: BTreeMap::new(),
            lines: HashMap::new(),
            due: BTreeSet::new(),
            running: 0,
            window: Window::default(),
        }
    }

    /// One that goes on where it was kept. `items` are the open events, as far as the journal has them
    /// still; what it has no more is returned.
    #[must_use]
    pub fn resume(settings: Settings, kept: &Kept, items: Vec<Item>) -> (Self, Vec<KeptItem>) {
        let mut course = Course::begin(settings, kept.place);
        let mut items: BTreeMap<u64, Item> =
            items.into_iter().map(|item| (item.place, item)).into_map();
        let mut lost = Vec::new();
        for one in &kept.open {
            match items.remove(&one.place) {
                Some(item) => course.put(one.clone(), item.order, false),
                None => lost.push(one.clone()),
            }
        }
        (course, lost)
    }

    /// Takes over settings that changed; what is open is attempted by the new ones.
    pub fn change(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// How it wants to be told.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Up to where it has read.
    #[must_use]
    pub fn place(&self) -> u64 {
        self.place
    }

    /// The place up to which it needs nothing of the journal any more.
    #[must_use]
    pub fn floor(&self) -> u64 {
        let first = self.open.keys().next();
        first.map_or(self.place, |first| self.place.min(first - 1))
    }

    /// How many events are open, and how many of them are attempted right now.
    #[must_use]
    pub fn open(&self) -> (usize, usize) {
        (self.open.len(), self.running)
    }

    /// Events that had an attempt that failed, and wait for another: how many, and why the one did not
    /// arrive that waits for the longest time.
    #[must_use]
    pub fn failing(&self) -> (usize, Option<&str>) {
        let failing = || {
            self.open
                .values()
                .filter_map(|open| open.kept.reason.as_deref())
        };
        (failing().count(), failing().next())
    }

    /// How many further events may be read.
    #[must_use]
    pub fn room(&self) -> usize {
        OPEN_MAX.saturating_sub(self.open.len())
    }

    /// Passes over everything up to a place, none of which is wanted.
    pub fn pass(&mut self, place: u64) {
        self.place = self.place.max(place);
    }

    /// Notes the value of an event before its position, so that it is known again what came lately.
    pub fn remember(&mut self, item: &Item) {
        let _ = self.is_repeated(item);
    }

    /// Takes the next event of the journal that is wanted. Events before its position are passed over.
    pub fn take_in(&mut self, item: Item, now_ms: u64) -> Taken {
        if item.place <= self.place {
            return Taken::Passed;
        }
        self.place = item.place;
        if self.is_repeated(&item) {
            return Taken::Repeated;
        }
        let kept = KeptItem {
            place: item.place,
            next_ms: now_ms,
            ..KeptItem::default()
        };
        self.put(kept, item.order, false);
        Taken::Wanted
    }

    /// Takes a dead letter in again. False when it is open already, or there is no room.
    pub fn redrive(&mut self, item: Item, now_ms: u64) -> bool {
        if self.open.contains_key(&item.place) || self.room() == 0 {
            return false;
        }
        let kept = KeptItem {
            place: item.place,
            next_ms: now_ms,
            ..KeptItem::default()
        };
        self.put(kept, item.order, true);
        true
    }

    fn is_repeated(&mut self, item: &Item) -> bool {
        match (&item.value, self.settings.within_ms) {
            (Some(value), Some(within)) => self.window.came(value, item.at_ms, within),
            _ => false,
        }
    }

    fn put(&mut self, kept: KeptItem, order: Option<String>, again: bool) {
        let (place, next_ms) = (kept.place, kept.next_ms);
        let is_first = match &order {
            None => true,
            Some(order) => {
                let line = self.lines.entry(order.clone()).or_default();
                let was_first = line.first().copied();
                line.insert(place);
                let is_first = line.first() == Some(&place);
                // One that came before those that wait takes their turn, unless it is being taken.
                if let (true, Some(other)) = (is_first, was_first)
                    && let Some(open) = self.open.get(&other)
                {
                    self.due.remove(&(open.kept.next_ms, other));
                }
                let is_taken = was_first
                    .and_then(|other| self.open.get(&other))
                    .is_some_and(|open| open.is_running);
                is_first && !is_taken
            }
        };
        let open = Open {
            kept,
            order,
            is_running: false,
            again,
        };
        self.open.insert(place, open);
        if is_first {
            self.due.insert((next_ms, place));
        }
    }

    /// The next attempt that may begin now; it has begun when this returns it.
    pub fn next(&mut self, now_ms: u64) -> Option<Attempt> {
        if self.running >= self.settings.in_flight {
            return None;
        }
        let (at_ms, place) = *self.due.first()?;
        if at_ms > now_ms {
            return None;
        }
        self.due.pop_first();
        let open = self.open.get_mut(&place)?;
        open.is_running = true;
        open.kept.attempts = open.kept.attempts.saturating_add(1);
        open.kept.first_ms.get_or_insert(now_ms);
        self.running += 1;
        Some(Attempt {
            place,
            number: open.kept.attempts,
        })
    }

    /// When the next attempt may begin, in UNIX milliseconds, if one is settled or not.
    #[must_use]
    pub fn next_ms(&self) -> Option<u64> {
        let is_full = self.running >= self.settings.in_flight;
        let first = self.due.first().filter(|_| !is_full);
        first.map(|(at_ms, _)| *at_ms)
    }

    /// Says how an attempt ended, and what follows.
    pub fn settle(&mut self, place: u64, outcome: Outcome, now_ms: u64) -> Settled {
        let Some(open) = self.open.get_mut(&place).filter(|open| open.is_running) else {
            return Settled::Unknown;
        };
        open.is_running = false;
        self.running -= 1;
        let (attempts, again) = (open.kept.attempts, open.again);
        let dead = |reason: String| Settled::Dead {
            reason: shortened(&reason),
            attempts,
            again,
        };
        match outcome {
            Outcome::Delivered => {
                self.close(place);
                Settled::Delivered { again }
            }
            Outcome::Refused(reason) => {
                self.close(place);
                dead(reason)
            }
            Outcome::Dropped => {
                open.kept.attempts = open.kept.attempts.saturating_sub(1);
                self.turn(place);
                Settled::Again(now_ms)
            }
            Outcome::Failed { reason, after_ms } => {
                let pause = pause(&self.settings, attempts).max(after_ms.unwrap_or(0));
                let next_ms = now_ms.saturating_add(pause);
                let first_ms = open.kept.first_ms.unwrap_or(now_ms);
                let is_late = next_ms > first_ms.saturating_add(self.settings.age_ms);
                if attempts >= self.settings.attempts || is_late {
                    self.close(place);
                    return dead(reason);
                }
                open.kept.next_ms = next_ms;
                open.kept.reason = Some(shortened(&reason));
                self.turn(place);
                Settled::Again(next_ms)
            }
        }
    }

    /// Says that an event is the journal's no more: none of it is left to deliver.
    pub fn drop_open(&mut self, place: u64) {
        if self.open.get(&place).is_some_and(|open| open.is_running) {
            self.running -= 1;
        }
        self.close(place);
    }

    fn close(&mut self, place: u64) {
        let Some(open) = self.open.remove(&place) else {
            return;
        };
        self.due.remove(&(open.kept.next_ms, place));
        let Some(order) = open.order else { return };
        let Some(line) = self.lines.get_mut(&order) else {
            return;
        };
        line.remove(&place);
        match line.first().copied() {
            None => drop(self.lines.remove(&order)),
            Some(first) => self.turn(first),
        }
    }

    /// Gives the first of an event's line its turn.
    fn turn(&mut self, place: u64) {
        let order = self.open.get(&place).and_then(|open| open.order.as_ref());
        let line = order.and_then(|order| self.lines.get(order));
        let is_taken = line.is_some_and(|line| {
            let mut all = line.iter().filter_map(|place| self.open.get(place));
            all.any(|open| open.is_running)
        });
        let first = line.and_then(BTreeSet::first).copied().unwrap_or(place);
        if let Some(open) = self.open.get(&first)
            && !is_taken
        {
            self.due.insert((open.kept.next_ms, first));
        }
    }

    /// What is to be kept.
    #[must_use]
    pub fn kept(&self) -> Kept {
        let open = self.open.values().filter(|open| !open.again);
        Kept {
            place: self.place,
            // Of an attempt that is under way nobody will know after a crash, so it does not count.
            open: open
                .map(|open| KeptItem {
                    attempts: open.kept.attempts - u32::from(open.is_running),
                    ..open.kept.clone()
                })
                .collect(),
        }
    }
}

/// How long is waited after an attempt: between a half and all of a pause that doubles.
fn pause(settings: &Settings, attempts: u32) -> u64 {
    let doubled = settings.pause_ms.saturating_mul(
        1_u64
            .checked_shl(attempts.saturating_sub(1))
            .unwrap_or(u64::MAX),
    );
    let whole = doubled.clamp(1, settings.longest_ms.max(1));
    let half = usize::try_from(whole / 2 + 1).unwrap_or(usize::MAX);
    whole - random::below(half) as u64
}

fn shortened(reason: &str) -> String {
    reason[..reason.floor_char_boundary(REASON_MAX)].to_owned()
}
