//! Delivery metrics, reported deployments and forecasts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A figure with its count and interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct DoraFigure {
    /// The value; none where nothing was counted.
    pub value: Option<f64>,
    /// What it was made from.
    pub count: u64,
    /// Where the true value is, with 95 % confidence; none where too little was counted to say.
    pub interval: Option<(f64, f64)>,
}

/// The five, of a service or a team.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct DoraMetrics {
    /// Median seconds from commit to full weight, of deployments that stayed.
    pub lead_time_s: DoraFigure,
    /// Deployments a day.
    pub deployments_per_day: DoraFigure,
    /// Share of deployments that failed.
    pub change_fail_rate: DoraFigure,
    /// Median seconds from onset to recovery of failed deployments.
    pub recovery_s: DoraFigure,
    /// Share of deployments that mend an incident.
    pub rework_rate: DoraFigure,
    /// Failures that have not been recovered from; they are in no recovery time.
    pub unrecovered: u64,
}

/// Delivery metrics by name, in alphabetical order and no other: they compare nobody.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct DoraReport {
    /// From when.
    pub from: String,
    /// Until before when.
    pub until: String,
    /// By service.
    pub services: BTreeMap<String, DoraMetrics>,
    /// By team.
    pub teams: BTreeMap<String, DoraMetrics>,
    /// Where failures come from: `incidents`, or `rollbacks` where no incidents are kept.
    pub failures_from: String,
}

/// What became of a report.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct DeploymentReported {
    /// The deployment that it is about; none when the report is about no finished deployment of an
    /// environment that counts.
    pub id: Option<String>,
}

/// One day that is foreseen; of headroom, one minute.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct ForecastDay {
    /// The day, in UTC; of headroom, the minute.
    pub day: String,
    /// What is expected.
    pub expected: f64,
    /// The value is below this with 2.5 % probability.
    pub low: f64,
    /// The value is above this with 2.5 % probability.
    pub high: f64,
}

/// What something that can run out is going to be.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Forecast {
    /// What: `requests`, `tokens`, `spend`, `budget`, `certificate`, `key`, `headroom`, `disk`, `traffic`.
    pub what: String,
    /// Of what, by name.
    pub name: String,
    /// The unit of its numbers.
    pub unit: String,
    /// What is there now.
    pub now: f64,
    /// What it may not pass; none where nothing limits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// The first day (of headroom: the minute) on which the limit is passed, if what is expected comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passes: Option<String>,
    /// The first day (of headroom: the minute) on which it may be passed: 2.5 % probable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_pass: Option<String>,
    /// The next days; empty where the date is known and nothing has to be foreseen.
    pub days: Vec<ForecastDay>,
    /// Why nothing is foreseen, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<String>,
}
