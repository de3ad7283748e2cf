//! Jobs: work in bulk over the gateway's own routes.

use gate_model::units::Period;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A job to run: each item is a request to a route, filled in from a template.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JobInput {
    /// What people call it.
    pub name: String,
    /// Submitting the same key again finds the job that it submitted first.
    pub key: String,
    /// Its queue.
    pub queue: String,
    /// Within its team's share of the queue, higher ones go first.
    pub priority: i32,
    /// The listener whose routes and limits count; may be left out where only one speaks HTTP.
    pub listener: String,
    /// The host that routes match.
    pub host: String,
    /// The consumer whose budgets and policies count, and whose team has the job; none for nobody.
    pub consumer: Option<String>,
    /// The consumer's key, by its id, where it has several.
    pub consumer_key: Option<String>,
    /// The method.
    pub method: String,
    /// Path and query. In it, in fields and in the body, `{{index}}` stands for the item's number from 0,
    /// `{{item}}` for its element of `items`, `{{parent}}` for what the item before it answered.
    pub path: String,
    /// Fields of each request.
    pub headers: BTreeMap<String, String>,
    /// The body of each request.
    pub body: Value,
    /// How many items there are, up to 10,000; as many as `items` when left out.
    pub count: Option<u32>,
    /// What `{{item}}` stands for, by the item's number. An empty list is refused: it is no job.
    #[serde(deserialize_with = "some", skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Value>,
    /// Jobs that have to go first, at most 20.
    pub after: Vec<JobAfter>,
    /// Whether items run one after the other.
    pub sequential: bool,
    /// Tries of an item altogether, from 1 to 10.
    pub attempts: u32,
    /// The pause before the second try; it doubles each time, up to a minute.
    pub pause: Period,
    /// Reasons that are worth another try, such as `timeout` or `status_500`; those that may pass by
    /// themselves when empty.
    pub reasons: Vec<String>,
    /// How long a try may take.
    pub timeout: Period,
    /// Items of it that run at a time, at most; as many as the queue allows when 0.
    pub concurrency: u32,
    /// Items that may fail without the job having failed.
    pub failures: u32,
    /// How long it may take altogether, from its submission, at most 30 days.
    pub within: Period,
}

impl Default for JobInput {
    fn default() -> Self {
        Self {
            name: String::new(),
            key: String::new(),
            queue: "default".to_owned(),
            priority: 0,
            listener: String::new(),
            host: String::new(),
            consumer: None,
            consumer_key: None,
            method: "POST".to_owned(),
            path: String::new(),
            headers: BTreeMap::new(),
            body: Value::Null,
            count: None,
            items: Vec::new(),
            after: Vec::new(),
            sequential: false,
            attempts: 3,
            pause: Period::from_seconds(1),
            reasons: Vec::new(),
            timeout: Period::from_seconds(300),
            concurrency: 0,
            failures: 0,
            within: Period::from_seconds(7 * 86_400),
        }
    }
}

/// A list with something in it: who has nothing to do does not mean one request without an item.
fn some<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Value>, D::Error> {
    let items = Vec::deserialize(from)?;
    match items.is_empty() {
        true => Err(D::Error::custom("`items` is empty; leave it out for one")),
        false => Ok(items),
    }
}

/// A job that another waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JobAfter {
    /// Its id.
    pub job: String,
    /// Whether item N waits for its item N, rather than for all of it.
    pub each: bool,
}

/// A job in short.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct JobSummary {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its queue.
    pub queue: String,
    /// The team that shares the queue.
    pub team: String,
    /// The consumer whose job it is.
    pub consumer: String,
    /// What it awaits (`waiting`, `running`, `paused`, `cancelling`), or how it ended (`succeeded`,
    /// `failed`, `cancelled`, `expired`).
    pub state: String,
    /// Whether it has ended.
    pub is_over: bool,
    /// Why it is in this state, where there is a reason.
    pub reason: String,
    /// Its items.
    pub items: u64,
    /// Items that started.
    pub started: u64,
    /// Items that succeeded.
    pub succeeded: u64,
    /// Items that failed for good.
    pub failed: u64,
    /// Tries that failed and were followed by another.
    pub retries: u64,
    /// Calls that were made again because the gateway that made them ended.
    pub repeats: u64,
    /// When it was submitted.
    pub submitted: String,
    /// When its first item started.
    pub began: Option<String>,
    /// When it ended.
    pub ended: Option<String>,
    /// When it is likely to end, from the speed of the last minute.
    pub estimate: Option<String>,
}

/// A job with what went wrong or twice with its items.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct JobDetail {
    /// In short.
    pub job: JobSummary,
    /// Jobs that it waits for.
    pub after: Vec<JobAfter>,
    /// What is called, with its places: method and path, or the file of lines.
    pub calls: String,
    /// What was written down of its items, the oldest first, at most 1,000.
    pub notes: Vec<JobNote>,
}

/// Something that happened to an item besides ending well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct JobNote {
    /// When.
    pub at: String,
    /// The item, from 0.
    pub item: u64,
    /// Which try, from 0.
    pub attempt: u64,
    /// `retry`, `failure` or `repeat`.
    pub kind: String,
    /// Why.
    pub reason: String,
}

/// What became of an item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct JobResult {
    /// The item, from 0.
    pub item: u64,
    /// Whether it succeeded.
    pub succeeded: bool,
    /// The status of the answer; 0 without one.
    pub status: u16,
    /// The id of the request, as its record has it.
    pub request: String,
    /// Why it failed.
    pub reason: String,
    /// The answer's body as text.
    pub body: String,
}

/// A batch that a caller handed in, in short.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct BatchSummary {
    /// Its id, which is its job's as well.
    pub id: String,
    /// Whose API it came by: `openai` or `anthropic`.
    pub api: String,
    /// Where its requests go.
    pub endpoint: String,
    /// The consumer whose batch it is; empty where its route asks for no credential.
    pub consumer: String,
    /// The one model that its requests name.
    pub model: Option<String>,
    /// The provider that runs it; none where this gateway does.
    pub provider: Option<String>,
    /// Whether there is a job of it that has not ended, by which it is paused and cancelled.
    pub is_job: bool,
    /// What it awaits (`validating`, `in_progress`, `finalizing`, `cancelling`), or how it ended
    /// (`completed`, `failed`, `expired`, `cancelled`).
    pub state: String,
    /// Whether it has ended.
    pub is_over: bool,
    /// Its requests.
    pub requests: u64,
    /// Requests that were answered with success.
    pub succeeded: u64,
    /// Requests that were answered with an error, or not at all.
    pub failed: u64,
    /// Requests that were not run because it was cancelled.
    pub cancelled: u64,
    /// Requests that were not run because its time was over.
    pub expired: u64,
    /// When it was handed in.
    pub created: String,
    /// When it ended.
    pub ended: Option<String>,
    /// When it is likely to end.
    pub estimate: Option<String>,
    /// When its time is over.
    pub expires: String,
}
