//! What happens again and again, by the clock.

use crate::units::{Period, TimeZone, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most missed runs that are made up for at once.
pub const MISSED_RUNS_MAX: u32 = 1_000;

/// Something that happens again and again. One gateway of an environment keeps all schedules, the
/// next one takes over when it ends; what was missed meanwhile is treated as `missed` says.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// When.
    pub at: ScheduleTime,
    /// The time zone that `cron` is read in.
    #[serde(default)]
    pub time_zone: TimeZone,
    /// What becomes of runs while no gateway could keep them.
    #[serde(default)]
    pub missed: MissedRuns,
    /// Most missed runs that are made up for, the newest count; only with `missed: all`. At most
    /// 1,000.
    #[serde(default = "hundred")]
    pub missed_max: u32,
    /// Nothing happens before.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Nothing happens after.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Whether it is stopped for now. Runs of that time are not missed.
    #[serde(default)]
    pub paused: bool,
    /// What happens.
    pub target: ScheduleTarget,
}

const fn hundred() -> u32 {
    100
}

/// When something happens again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleTime {
    /// As cron says it: minute, hour, day of the month, month, day of the week, such as
    /// `30 2 * * MON-FRI`; also `*/15`, `1-5/2`, lists, names of months and days, `L` for the last
    /// day of the month, `MON#2` for the second Monday, `FRIL` for the last Friday, `15W` for the
    /// weekday next to the 15th. Where both days are limited, either is enough, as in cron.
    ///
    /// Times that clocks skip in spring happen when they are set forward; times that they show
    /// twice in autumn happen the first time. What comes every hour or more often comes as often
    /// as ever.
    Cron(String),
    /// So long apart, at least a second, counted from `from` or else from the start of 1970.
    Every(Period),
}

/// What becomes of runs while no gateway could keep them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissedRuns {
    /// Nothing: the next one is the next.
    #[default]
    Skip,
    /// One run, the newest, stands for all.
    Once,
    /// Every run, up to `missed_max`.
    All,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleTarget {
    /// An event is published.
    Event(ScheduledEvent),
}

/// An event that is published by the clock. Its `source` is `urn:tidegate:schedule:ENVIRONMENT/NAME`
/// (`file` for a gateway that follows no environment), its `id` and `time` the moment that it was due.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduledEvent {
    /// Its `type`. Where `event_types` has it, the data is held against its schema.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its `subject`.
    #[serde(default)]
    pub subject: Option<String>,
    /// Its `dataschema`.
    #[serde(default)]
    pub dataschema: Option<String>,
    /// Its data.
    #[serde(default)]
    pub data: Option<Value>,
}
