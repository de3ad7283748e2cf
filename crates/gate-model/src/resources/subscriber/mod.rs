//! Subscribers: who is told of which events, how, and what becomes of events that cannot be told.

mod job;
mod problems;
mod target;

pub use job::{JobTarget, JobTargetAfter};
pub use problems::{SUBSCRIBERS_MAX, SubscriberProblem};
pub use target::{
    AwsAccess, CloudEventMode, EventbridgeTarget, GatewayTarget, KafkaAcks, KafkaTarget,
    MailTarget, NatsTarget, RouteTarget, SqsTarget, SubscriberTarget, WebhookTarget,
};

use crate::document::Node;
use crate::units::{Period, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Somebody who is told of events, in the journal's order, each at least once and always under the
/// same key.
///
/// A subscriber has a position in the journal. It takes events from there on, passes over those that its
/// filter does not want, and hands the others to its target. What the target does not take is tried
/// again with growing pauses; what it refuses, or has not taken after the last attempt, becomes a dead
/// letter, which can be sent again.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscriber {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Which events; all of them when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<SubscriberFilter>,
    /// What the target is given as the event's data; the data as it is when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<SubscriberTransform>,
    /// Where events go.
    pub target: SubscriberTarget,
    /// A field of the event, such as `data.order.id` or `subject`: events that have the same value
    /// there are told one after the other, in the journal's order. Others are told side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_by: Option<String>,
    /// Events that say the same again are passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<SubscriberDedupe>,
    /// What is done when the target does not take an event.
    #[serde(default)]
    pub retry: SubscriberRetry,
    /// Most attempts at the same time, from 1 to 64.
    #[serde(default = "in_flight")]
    pub in_flight: u32,
    /// How long an attempt may take, from 1s to 5m.
    #[serde(default = "timeout")]
    pub timeout: Period,
    /// Holds it where it is. `tidegate subscribers pause` does so without a change of configuration.
    #[serde(default)]
    pub paused: bool,
    /// Where a subscriber begins that has no position yet.
    #[serde(default)]
    pub start: SubscriberStart,
    /// Behind which event it ends; it goes on for ever when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<SubscriberEnd>,
    /// How long what could not be told is kept.
    #[serde(default)]
    pub dead_letter: SubscriberDeadLetter,
}

fn in_flight() -> u32 {
    8
}

fn timeout() -> Period {
    Period::from_seconds(20)
}

/// Which events a subscriber wants.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SubscriberFilter {
    /// A pattern in EventBridge's language over the event as CloudEvents write it in JSON:
    /// `{ type: [order.placed], data: { total: [{ numeric: [">", 100] }] } }`.
    Pattern(Node),
    /// A CEL expression over `event`, the same: `event.type == "order.placed" && event.data.total > 100`.
    /// An event for which it has no value is not wanted. Macros such as `exists` cannot be nested, and an
    /// event with a list of more than 10,000 entries is wanted without being looked into.
    Cel(String),
}

/// What a target is given as an event's data.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SubscriberTransform {
    /// Any value. `{data.order.id}` in its texts stands for what the event has there, and a text that
    /// is nothing else becomes that value with its type; what the event does not have is an empty text,
    /// or null. `{{` and `}}` are braces.
    Template(Node),
    /// A CEL expression over `event`. Macros such as `map` cannot be nested, and an event with a list of
    /// more than 10,000 entries cannot be told.
    Cel(String),
}

/// Which events say the same.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubscriberDedupe {
    /// A field of the event: an event is passed over when one that is wanted and has the same value
    /// there came less than `within` before it. Events without the field, or with a value that is longer
    /// than 1 KiB, are all told.
    pub by: String,
    /// How long, by the times at which events came to the journal, up to a day. The newest 100,000
    /// values are known.
    #[serde(default = "dedupe_within")]
    pub within: Period,
}

fn dedupe_within() -> Period {
    Period::from_seconds(300)
}

/// What is done when a target does not take an event. The pause before the second attempt is `pause`, and
/// each is twice as long as the one before up to `longest`; between a half and all of it is waited.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SubscriberRetry {
    /// Most attempts, the first one too, from 1 to 1,000.
    pub attempts: u32,
    /// The pause before the second attempt.
    pub pause: Period,
    /// The longest pause. A target that asks for a longer one (`Retry-After`) is given it.
    pub longest: Period,
    /// How long after the first attempt others are begun, up to 30 days.
    pub age: Period,
}

impl Default for SubscriberRetry {
    /// 20 attempts within a day, a second apart at first and an hour at last.
    fn default() -> Self {
        SubscriberRetry {
            attempts: 20,
            pause: Period::from_seconds(1),
            longest: Period::from_seconds(3_600),
            age: Period::from_seconds(86_400),
        }
    }
}

/// Where a subscriber begins that has no position yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SubscriberStart {
    /// With what comes from now on.
    #[default]
    Now,
    /// With the oldest event that is kept.
    Beginning,
    /// Behind this place of the journal.
    Place(u64),
    /// With what came to the journal at this time or later.
    Time(Timestamp),
}

/// Behind which event a subscriber ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SubscriberEnd {
    /// The one at this place of the journal.
    Place(u64),
    /// The last one that came to the journal before this time.
    Time(Timestamp),
}

/// How long what could not be told is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SubscriberDeadLetter {
    /// How long, up to a year.
    pub keep: Period,
    /// Most that are kept, up to 100,000; the oldest go first.
    pub most: u64,
}

impl Default for SubscriberDeadLetter {
    /// 10,000 for two weeks.
    fn default() -> Self {
        SubscriberDeadLetter {
            keep: Period::from_seconds(14 * 86_400),
            most: 10_000,
        }
    }
}
