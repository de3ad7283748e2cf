//! Who is told when something is wrong: receivers, rotations of people on call, and notifications,
//! which bring alerts to them.

use super::SecretPlace;
use crate::units::{Period, TimeZone, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where messages go. Every message carries an idempotency key, the same for each attempt, so that
/// a receiver can tell a repetition after a crash; a receiver that is down is tried for a day.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Receiver {
    /// JSON over HTTP, signed where that is asked for.
    Webhook(WebhookReceiver),
    /// An e-mail by SMTP.
    Email(EmailReceiver),
    /// An incoming webhook of Slack, or of what understands its messages.
    Slack(SlackReceiver),
    /// PagerDuty's Events API v2, or what speaks it.
    Pagerduty(PagerdutyReceiver),
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookReceiver {
    /// Where it is: `https://`, or `http://` on this machine.
    pub url: String,
    /// Where the value of the `Authorization` header is kept, such as `Bearer ...`.
    #[serde(default)]
    pub authorization: Option<SecretPlace>,
    /// Where the secret is kept that messages are signed with: `Tidegate-Signature: t=TIME,v1=HEX`,
    /// the HMAC-SHA256 of `TIME.BODY` with TIME in UNIX seconds.
    #[serde(default)]
    pub sign: Option<SecretPlace>,
    /// The shape of the body.
    #[serde(default)]
    pub body: WebhookBody,
    /// PEM file of certificate authorities to trust instead of the public ones.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
    /// Allows an address that leads to this machine, its link or a metadata service by a name that does not
    /// say so: what is neither `localhost` nor a loopback address.
    #[serde(default)]
    pub allow_private: bool,
}

/// The shape of a webhook's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookBody {
    /// Our own, with everything.
    #[default]
    Tidegate,
    /// That of Prometheus Alertmanager's webhooks, version 4.
    Alertmanager,
}

/// An e-mail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailReceiver {
    /// Addresses that it goes to.
    pub to: Vec<String>,
    /// The address that it comes from.
    pub from: String,
    /// The mail server, as `HOST:PORT`.
    pub server: String,
    /// How the connection is encrypted.
    #[serde(default)]
    pub tls: EmailTls,
    /// Name to sign in with; nobody signs in when left out. Needs TLS.
    #[serde(default)]
    pub user: Option<String>,
    /// Where the password is kept.
    #[serde(default)]
    pub password: Option<SecretPlace>,
    /// PEM file of certificate authorities to trust instead of the public ones.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
}

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmailTls {
    /// From a command in clear on, which must succeed (STARTTLS; port 587).
    #[default]
    StartTls,
    /// From the first byte on (port 465).
    Implicit,
    /// Not at all; for a server on this machine.
    None,
}

/// An incoming webhook of Slack.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlackReceiver {
    /// Where its URL is kept, which is a secret.
    pub url: SecretPlace,
    /// PEM file of certificate authorities to trust instead of the public ones.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
    /// Allows an address that leads to this machine, its link or a metadata service by a name that does not
    /// say so: what is neither `localhost` nor a loopback address.
    #[serde(default)]
    pub allow_private: bool,
}

/// PagerDuty's Events API v2.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PagerdutyReceiver {
    /// Where the integration's routing key is kept.
    pub routing_key: SecretPlace,
    /// Where events are sent.
    #[serde(default = "pagerduty")]
    pub url: String,
    /// PEM file of certificate authorities to trust instead of the public ones.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
    /// Allows an address that leads to this machine, its link or a metadata service by a name that does not
    /// say so: what is neither `localhost` nor a loopback address.
    #[serde(default)]
    pub allow_private: bool,
}

/// Receivers that take turns in being on call.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// `receivers` by name, in the order of their turns.
    pub receivers: Vec<String>,
    /// When the first of them begins. Later turns begin at the time of day that clocks in
    /// `time_zone` show then.
    pub begins: Timestamp,
    /// How long a turn is: whole days, or a part of a day.
    #[serde(default = "turn")]
    pub turn: Period,
    /// The time zone of those who take turns: hand-overs stay at the same time of their day.
    #[serde(default)]
    pub time_zone: TimeZone,
    /// Turns that others take. Where several fit, the last one in the list holds.
    #[serde(default)]
    pub replacements: Vec<Replacement>,
}

/// A turn that somebody else takes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// From when.
    pub from: Timestamp,
    /// Until before when.
    pub until: Timestamp,
    /// Which of `receivers` is told instead.
    pub receiver: String,
}

/// How alerts reach people: grouped, inhibited, escalated. Silences are no configuration: they are
/// made when they are needed, with a reason and an end (`tidegate silences`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notification {
    /// Labels that an alert must have, such as `severity: page`; all alerts when left out. A label with
    /// an empty value must be missing: `experiment: ""` leaves out what experiments make. An alert goes
    /// to every notification that it fits.
    #[serde(default)]
    pub when: BTreeMap<String, String>,
    /// Labels whose values make a group: alerts of one group are one message.
    #[serde(default = "group_by")]
    pub group_by: Vec<String>,
    /// How long a new group waits for company before it is first said.
    #[serde(default = "wait")]
    pub wait: Period,
    /// How long a group that changed waits for more.
    #[serde(default = "interval")]
    pub interval: Period,
    /// How often a group that stays on is said again.
    #[serde(default = "repeat")]
    pub repeat: Period,
    /// Alerts that hide others while they are on.
    #[serde(default)]
    pub inhibitions: Vec<Inhibition>,
    /// Who is told: the first step at once, a later one when nobody has acknowledged by then.
    pub steps: Vec<EscalationStep>,
}

/// While one alert is on, others are not said.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inhibition {
    /// Labels of what hides.
    pub source: BTreeMap<String, String>,
    /// Labels of what is hidden.
    pub target: BTreeMap<String, String>,
    /// Labels that both must share.
    #[serde(default)]
    pub equal: Vec<String>,
}

/// A step of an escalation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EscalationStep {
    /// How long after the first message; the first step is at once.
    #[serde(default)]
    pub after: Period,
    /// `receivers` by name that are told.
    #[serde(default)]
    pub receivers: Vec<String>,
    /// `rotations` by name of which whoever is on call is told.
    #[serde(default)]
    pub rotations: Vec<String>,
}

fn pagerduty() -> String {
    "https://events.pagerduty.com/v2/enqueue".into()
}

fn turn() -> Period {
    Period::from_seconds(7 * 86_400)
}

fn group_by() -> Vec<String> {
    vec!["incident".into(), "objective".into()]
}

fn wait() -> Period {
    Period::from_seconds(10)
}

fn interval() -> Period {
    Period::from_seconds(60)
}

fn repeat() -> Period {
    Period::from_seconds(4 * 3_600)
}
