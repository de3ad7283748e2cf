//! The job that a subscriber starts of each event.

use crate::document::Node;
use crate::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A job that each event starts. It has arrived when the job is kept; an event that comes again finds the
/// job that it started.
///
/// In `path`, `headers`, `body` and `name`, `{{event.data.order}}` stands for what the event has there after
/// the transformation, `{{index}}` for an item's number from 0, `{{item}}` for its element of `items`,
/// `{{parent}}` for what the item (or job) before it answered. In `path` they are percent-encoded, so that
/// nobody who publishes an event chooses another route.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobTarget {
    /// The listener whose routes and limits count.
    pub listener: String,
    /// The path that items ask for, with its query.
    pub path: String,
    /// The method.
    #[serde(default = "post")]
    pub method: String,
    /// The host that is asked for, where routes tell hosts apart.
    #[serde(default)]
    pub host: Option<String>,
    /// Fields of each request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body of each request; none when left out.
    #[serde(default)]
    pub body: Option<Node>,
    /// Whose job it is: whose budgets and policies count, and whose team has it. Routes that want to know
    /// the caller refuse items otherwise.
    #[serde(default)]
    pub consumer: Option<String>,
    /// The consumer's key, by its id, where it has several.
    #[serde(default)]
    pub consumer_key: Option<String>,
    /// What people call the job; `data.name` of the event that says that it is done.
    #[serde(default)]
    pub name: String,
    /// The field of the event, after the transformation, that has the list of items, such as
    /// `data.parts`: up to 10,000. The job has one item when left out, or as many as the job that each
    /// waits for.
    #[serde(default)]
    pub items: Option<String>,
    /// A job that has to go first.
    #[serde(default)]
    pub after: Option<JobTargetAfter>,
    /// Its queue.
    #[serde(default = "default_queue")]
    pub queue: String,
    /// Within its team's share of the queue, higher ones go first.
    #[serde(default)]
    pub priority: i32,
    /// Whether items run one after the other.
    #[serde(default)]
    pub sequential: bool,
    /// Tries of an item altogether, from 1 to 10.
    #[serde(default = "job_attempts")]
    pub attempts: u32,
    /// The pause before the second try; it doubles each time, up to a minute.
    #[serde(default = "job_pause")]
    pub pause: Period,
    /// Reasons that are worth another try, such as `timeout` or `status_500`; those that may pass by
    /// themselves when empty.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// How long a try of an item may take, up to a day.
    #[serde(default = "job_timeout")]
    pub timeout: Period,
    /// Items of it that run at a time, at most; as many as the queue allows when 0.
    #[serde(default)]
    pub concurrency: u32,
    /// Items that may fail without the job having failed.
    #[serde(default)]
    pub failures: u32,
    /// How long the job may take altogether, from its event on, at most 30 days.
    #[serde(default = "job_within")]
    pub within: Period,
}

/// A job that goes before the one that an event starts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobTargetAfter {
    /// The field of the event that has its id; that of `tidegate.job.done` when left out.
    #[serde(default = "job_of_event")]
    pub job: String,
    /// Whether item N waits for its item N, rather than for all of it.
    #[serde(default)]
    pub each: bool,
}

fn post() -> String {
    "POST".into()
}

fn job_of_event() -> String {
    "data.job".into()
}

fn default_queue() -> String {
    "default".into()
}

fn job_attempts() -> u32 {
    3
}

fn job_pause() -> Period {
    Period::from_seconds(1)
}

fn job_timeout() -> Period {
    Period::from_seconds(300)
}

fn job_within() -> Period {
    Period::from_seconds(7 * 86_400)
}
