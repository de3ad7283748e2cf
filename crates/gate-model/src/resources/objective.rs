//! A promise about exchanges: which ones count, when one is good, how many are to be, and when
//! somebody must know that it is about to be broken. What it means is in `gate-ops`, `slo/`.

use crate::units::{Money, Percent, Period, TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A promise about exchanges. Every exchange that it is about counts once, when its record closes,
/// as good or bad; what may be bad is the *error budget*: with a target of 99.9 % one exchange of a
/// thousand within the window.
///
/// ```yaml
/// objectives:
///   orders-available: { route: orders, target: 99.9 %, window: 30d }
///   orders-fast: { route: orders, indicator: { latency: { within: 300ms } }, target: 99 % }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Count only exchanges that this route serves. An objective counts none that found no route.
    #[serde(default)]
    pub route: Option<String>,
    /// Count only exchanges whose callers ask for this model.
    #[serde(default)]
    pub model: Option<String>,
    /// Count only exchanges that this provider answers, or was the last to be tried for.
    #[serde(default)]
    pub provider: Option<String>,
    /// Count only exchanges of this consumer.
    #[serde(default)]
    pub consumer: Option<String>,
    /// Count only exchanges of this team's consumers.
    #[serde(default)]
    pub team: Option<String>,
    /// When an exchange is good.
    #[serde(default)]
    pub indicator: Indicator,
    /// Instead of `indicator`: a CEL expression over the exchange and its record that holds for good
    /// ones, such as `record.status < 500 && record.duration_ms < 800`. It costs some microseconds
    /// per exchange, where an indicator costs nanoseconds.
    #[serde(default)]
    pub good: Option<String>,
    /// Share of the exchanges that are to be good, above 0 % and below 100 %.
    pub target: Percent,
    /// Over which time the promise is held: the last so many days, at most 400. Whole minutes to 6
    /// hours, then ten minutes to 3 days, hours to 32 days, and days.
    #[serde(default = "usual_window")]
    pub window: Period,
    /// Instead of `window`: the period of the calendar that has begun.
    #[serde(default)]
    pub calendar: Option<CalendarWindow>,
    /// When somebody is told.
    #[serde(default)]
    pub alerts: ObjectiveAlerts,
    /// Share of the error budget that must be left for changes of what it is about: below it only
    /// rollbacks, fixes of open incidents and what somebody signed for pass. Changes are not held
    /// up when left out.
    #[serde(default)]
    pub changes_need: Option<Percent>,
    /// What it is for, in a sentence or a few.
    #[serde(default)]
    pub description: String,
    /// The service that it belongs to, for whoever is told and for exports.
    #[serde(default)]
    pub service: String,
    /// Address of what is to be done when it burns.
    #[serde(default)]
    pub runbook: Option<String>,
}

/// When an exchange is good. What the caller did, went away or was rightly refused (4xx), never
/// counts against it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Indicator {
    /// The caller got a whole answer that is no failure of the gateway's or of what is behind it.
    Availability {},
    /// The whole answer was there in time. Only exchanges that were answered count; failures are for
    /// `availability`.
    Latency {
        /// Most time from the request's head to the end of the answer.
        within: Period,
    },
    /// The first token of a model's answer was there in time. Only calls that had one count.
    TimeToFirstToken {
        /// Most time from the request's head to the first token.
        within: Period,
    },
    /// The call to a model cost at most so much. Only calls with a known price count.
    Cost {
        /// US dollars.
        at_most: Money,
    },
    /// A detector had nothing to object to: a rule of the policy `guard` by its name. Exchanges that
    /// were answered count.
    Quality {
        /// The rule's name.
        detector: String,
    },
}

impl Default for Indicator {
    fn default() -> Self {
        Self::Availability {}
    }
}

/// A period of the calendar.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CalendarWindow {
    /// Which one.
    pub per: CalendarPeriod,
    /// Where it begins at midnight.
    #[serde(default)]
    pub time_zone: TimeZone,
}

/// Periods of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CalendarPeriod {
    /// From midnight.
    Day,
    /// From Monday.
    Week,
    /// From the first of a month.
    Month,
    /// From the first of January, April, July or October.
    Quarter,
    /// From the first of January.
    Year,
}

/// When somebody is told that a promise is about to be broken. What is preset is what Google's
/// workbook recommends, with a floor under it that keeps one error at night from waking anybody.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectiveAlerts {
    /// Pairs of windows; an alert is on while both windows of a pair burn the budget faster than
    /// its `budget` within its long window. At most 8.
    pub pairs: Vec<BurnPair>,
    /// Least number of bad exchanges in a long window.
    pub bad_min: u64,
    /// How sure it must be that the true ratio is above the limit, given how few exchanges there
    /// were: from 50 % (their ratio alone decides) to 99.9 %.
    pub confidence: Percent,
    /// Exchanges that were to be expected in 5 minutes, by the 6 hours before, for their absence to be an
    /// alert of its own. 0 is without it.
    pub expected_min: u32,
    /// What their absence asks for.
    pub vanished: AlertSeverity,
}

/// Two windows that must agree.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BurnPair {
    /// The window that makes it significant.
    pub long: Period,
    /// The window that ends it soon.
    pub short: Period,
    /// Share of the whole error budget that must burn within the long window.
    pub budget: Percent,
    /// What it asks for.
    pub severity: AlertSeverity,
}

/// What an alert asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertSeverity {
    /// Somebody looks at it within days.
    Ticket,
    /// Somebody is woken.
    Page,
}

const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;

fn usual_window() -> Period {
    Period::from_seconds(30 * DAY_S)
}

impl Default for ObjectiveAlerts {
    fn default() -> Self {
        let pair = |long_s, short_s, percents, severity| BurnPair {
            long: Period::from_seconds(long_s),
            short: Period::from_seconds(short_s),
            budget: Percent::from_percents(percents),
            severity,
        };
        Self {
            pairs: vec![
                pair(HOUR_S, 5 * MINUTE_S, 2, AlertSeverity::Page),
                pair(6 * HOUR_S, 30 * MINUTE_S, 5, AlertSeverity::Page),
                pair(DAY_S, 2 * HOUR_S, 10, AlertSeverity::Ticket),
                pair(3 * DAY_S, 6 * HOUR_S, 10, AlertSeverity::Ticket),
            ],
            bad_min: 5,
            confidence: Percent::from_percents(95),
            expected_min: 20,
            vanished: AlertSeverity::Ticket,
        }
    }
}
