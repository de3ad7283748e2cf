//! Subscribers: where each is in the journal, what failed, and events themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A subscriber of the configuration in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct SubscriberState {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub about: Option<String>,
    /// The kind of its target, such as `webhook`.
    pub target: String,
    /// `running`; `failing` while the newest attempts of events fail; `paused`; `ended` where it has come
    /// to its end; `new` before a gateway has begun to tell it.
    pub state: String,
    /// Who paused it and why; absent where nobody did, or its configuration does.
    pub paused: Option<SubscriberPause>,
    /// Up to which place of the journal it has looked.
    pub place: u64,
    /// How many events of the journal it has not looked at.
    pub lag: u64,
    /// Events before it that are not settled.
    pub open: u64,
    /// Those of them that had an attempt that failed.
    pub failing: u64,
    /// Why an attempt failed of the event that waits for the longest time.
    pub problem: Option<String>,
    /// Events that were delivered, ever.
    pub delivered: u64,
    /// Attempts that failed, ever.
    pub failed: u64,
    /// Events that became dead letters, ever.
    pub dead: u64,
    /// Events that were passed over because they said the same again, ever.
    pub repeated: u64,
    /// Dead letters that are kept.
    pub dead_letters: u64,
    /// When an event was delivered last.
    pub delivered_at: Option<String>,
    /// Its replays, the newest first.
    pub replays: Vec<ReplayState>,
}

/// Who holds a subscriber where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct SubscriberPause {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: String,
}

/// A subscriber that was started again at an earlier place, beside itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ReplayState {
    /// Which of the environment's replays.
    pub number: u64,
    /// Behind which place it began.
    pub from: u64,
    /// Behind which it ends.
    pub until: u64,
    /// Up to which it has looked.
    pub place: u64,
    /// Events that it delivered.
    pub delivered: u64,
    /// Events that are not settled.
    pub open: u64,
    /// `running`, `done` or `cancelled`.
    pub state: String,
    /// Who began it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub began: String,
}

/// A subscriber with what it has before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct SubscriberDetail {
    /// In short.
    pub subscriber: SubscriberState,
    /// Events that had an attempt that failed and wait for another, at most 100, the oldest first.
    pub failures: Vec<DeliveryFailure>,
}

/// An event that waits for another attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct DeliveryFailure {
    /// Its place in the journal.
    pub place: u64,
    /// How many attempts there were.
    pub attempts: u32,
    /// Why the last did not succeed.
    pub reason: String,
    /// When the next is.
    pub next: String,
}

/// An event that could not be delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct DeadLetter {
    /// Its place in the journal.
    pub place: u64,
    /// What it is known by there.
    pub key: String,
    /// What happened: the event's `type`.
    pub kind: String,
    /// Why it could not be delivered.
    pub reason: String,
    /// How many attempts there were.
    pub attempts: u64,
    /// Since when it is dead.
    pub at: String,
    /// Whether it is to be delivered again.
    pub redriven: bool,
}

/// Which dead letters are to be delivered again: one of `place`, `since` and `all`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedriveInput {
    /// The one of this place.
    pub place: Option<u64>,
    /// Those that are dead since this time (`2026-11-22T10:00:00Z`).
    pub since: Option<String>,
    /// All of them.
    pub all: bool,
}

/// How many dead letters are to be delivered again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Redriven {
    /// How many.
    pub count: u64,
}

/// From where a subscriber is told again, beside itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReplayInput {
    /// Behind this place; or `since`.
    pub from: Option<u64>,
    /// What came to the journal at this time or later (`2026-11-22T10:00:00Z`).
    pub since: Option<String>,
    /// Up to this place; to what is the newest now when left out.
    pub until: Option<u64>,
    /// Why.
    pub reason: String,
}

/// An event of the journal.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct JournalEvent {
    /// Its place.
    pub place: u64,
    /// When it came.
    pub at: String,
    /// What happened: its `type`.
    pub kind: String,
    /// Whose it is, if anybody's.
    pub consumer: Option<String>,
    /// All of it; absent where it was destroyed.
    pub event: Option<Value>,
}
