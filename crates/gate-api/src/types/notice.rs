//! Who is told what: alerts in groups, silences, and messages on their way.

use super::period;
use gate_model::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a label of an alert must be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelMatch {
    /// The label.
    pub label: String,
    /// Its value; a label that is missing is empty.
    pub value: String,
    /// Whether it must not be that.
    #[serde(default)]
    pub is_not: bool,
}

/// An alert, from this gateway or from what reports to it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertInput {
    /// What tells it from others, at most 64 labels, such as `severity: page`.
    pub labels: BTreeMap<String, String>,
    /// What people are told, at most 4 KiB.
    pub text: String,
    /// Whether it is on, or over.
    #[serde(default = "on")]
    pub on: bool,
}

fn on() -> bool {
    true
}

/// Alerts that are not said for a while.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SilenceInput {
    /// Which: all must hold; at least one.
    pub matchers: Vec<LabelMatch>,
    /// For how long, at most 90 days.
    #[serde(rename = "for", deserialize_with = "period::above_zero")]
    pub length: Period,
    /// Why.
    pub reason: String,
}

/// A silence.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Silence {
    /// What it is ended by.
    pub id: String,
    /// Which alerts: all must hold.
    pub matchers: Vec<LabelMatch>,
    /// Until when.
    pub until: String,
    /// Who said so.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Has a group in hand.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcknowledgeInput {
    /// The group's `thread`.
    pub thread: String,
}

/// Tries a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoticeTest {
    /// Which one.
    pub receiver: String,
}

/// An alert of a group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct NoticeAlert {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// In words.
    pub text: String,
    /// Since when.
    pub since: String,
    /// Whether it is on.
    pub on: bool,
    /// Whether a silence hides it.
    pub silenced: bool,
}

/// Alerts that are said together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct NoticeGroup {
    /// The notification that it belongs to.
    pub notification: String,
    /// Its name at receivers, by which it is acknowledged.
    pub thread: String,
    /// Values of the labels that make it.
    pub labels: BTreeMap<String, String>,
    /// At most 100 of its alerts.
    pub alerts: Vec<NoticeAlert>,
    /// When it was last said; absent when it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// The step of its escalation, from 1.
    pub step: u64,
    /// Whether somebody has it in hand.
    pub acknowledged: bool,
}

/// A message that has not arrived yet, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct NoticeDelivery {
    /// Its idempotency key.
    pub key: String,
    /// The receiver.
    pub receiver: String,
    /// When it was made.
    pub made: String,
    /// How often it was tried.
    pub attempts: u64,
    /// Why the last attempt of this gateway failed, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Who is on call.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct OnCall {
    /// The rotation.
    pub rotation: String,
    /// The receiver whose turn it is; none when nobody is in it.
    pub receiver: Option<String>,
}

/// Everything about notifications of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Notices {
    /// Whether the state is kept in the store; else it is lost when this gateway ends.
    pub stored: bool,
    /// Receivers that are configured.
    pub receivers: Vec<String>,
    /// Who is on call now.
    pub on_call: Vec<OnCall>,
    /// Groups with something on.
    pub groups: Vec<NoticeGroup>,
    /// Messages that wait; at most 1,000.
    pub deliveries: Vec<NoticeDelivery>,
    /// Silences that hold.
    pub silences: Vec<Silence>,
    /// Alerts and messages that were given up: no room, or a day of failures.
    pub lost: u64,
    /// Orders that no gateway has taken in yet.
    pub pending: u64,
}
