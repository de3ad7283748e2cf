//! One course of a subscriber or of a replay, with what is needed to go on.

use super::reader::Loaded;
use super::stored::{Counts, CourseData, Replay};
use gate_model::resources::{Subscriber, SubscriberEnd};
use gate_ops::event::delivery::{Course, Item, Settings, Shape, word};
use gate_store::control::CourseId;
use std::sync::Arc;

/// A subscriber as it is configured, read.
pub(super) struct Ready {
    pub(super) subscriber: Subscriber,
    pub(super) shape: Shape,
    /// Its number among those that were read with it, by which filters know it.
    pub(super) number: u64,
}

impl Ready {
    /// What a course needs to know of an event.
    pub(super) fn item(&self, loaded: &Loaded) -> Item {
        let word = |path: &str| word(loaded.json.as_ref()?, path);
        let subscriber = &self.subscriber;
        Item {
            place: loaded.event.place,
            at_ms: loaded.event.at_ms,
            order: subscriber.order_by.as_deref().and_then(word),
            value: (subscriber.dedupe.as_ref()).and_then(|dedupe| word(&dedupe.by)),
        }
    }
}

/// What is to be kept of a roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// It has passed over events: soon enough within seconds.
    Passed,
    /// Something was taken in or settled.
    Settled,
}

/// A course.
pub(super) struct Roll {
    pub(super) id: CourseId,
    pub(super) ready: Arc<Ready>,
    pub(super) course: Course,
    pub(super) replay: Option<Replay>,
    pub(super) is_paused: bool,
    /// Whether it reads no further.
    pub(super) has_ended: bool,
    pub(super) counts: Counts,
    pub(super) delivered_ms: Option<u64>,
    pub(super) begins_ms: Option<i64>,
    pub(super) change: Change,
}

impl Roll {
    pub(super) fn new(id: CourseId, ready: Arc<Ready>, course: Course) -> Self {
        Roll {
            id,
            ready,
            course,
            replay: None,
            is_paused: false,
            has_ended: false,
            counts: Counts::default(),
            delivered_ms: None,
            begins_ms: None,
            change: Change::Settled,
        }
    }

    /// Takes over a configuration that changed.
    pub(super) fn change(&mut self, ready: Arc<Ready>) {
        self.course.change(Settings::of(&ready.subscriber));
        self.has_ended = false;
        self.ready = ready;
    }

    /// Whether it may go on.
    pub(super) fn goes(&self) -> bool {
        let is_cancelled = self.replay.as_ref().is_some_and(|one| one.is_cancelled);
        !self.is_paused && !is_cancelled
    }

    /// Whether its events are told in an order.
    pub(super) fn is_in_order(&self) -> bool {
        self.ready.subscriber.order_by.is_some()
    }

    /// Whether nothing will happen any more.
    pub(super) fn is_over(&self) -> bool {
        let is_cancelled = self.replay.as_ref().is_some_and(|one| one.is_cancelled);
        is_cancelled || (self.has_ended && self.course.open().0 == 0)
    }

    /// Whether an event is behind its end.
    pub(super) fn is_behind_end(&self, place: u64, at_ms: i64) -> bool {
        match (&self.replay, self.ready.subscriber.end) {
            (Some(replay), _) => place > replay.until,
            (None, Some(SubscriberEnd::Place(end))) => place > end,
            (None, Some(SubscriberEnd::Time(end))) => at_ms >= end_ms(end),
            (None, None) => false,
        }
    }

    /// Whether an event came before it begins.
    pub(super) fn is_too_early(&self, at_ms: i64) -> bool {
        self.begins_ms.is_some_and(|begins| at_ms < begins)
    }

    pub(super) fn note(&mut self, change: Change) {
        self.change = self.change.max(change);
    }

    pub(super) fn data(&self) -> CourseData {
        CourseData {
            kept: self.course.kept(),
            counts: self.counts,
            delivered_ms: self.delivered_ms,
            begins_ms: self.begins_ms,
        }
    }
}

/// A time of configuration in UNIX milliseconds.
pub(super) fn end_ms(time: gate_model::units::Timestamp) -> i64 {
    i64::try_from(time.unix_s().saturating_mul(1_000)).unwrap_or(i64::MAX)
}
