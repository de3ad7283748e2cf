//! Messages as receivers want them. Pure text; who sends it adds addresses and secrets.

use super::Delivery;
use gate_model::units::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The shape of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receiver {
    /// Our own JSON, for webhooks.
    Webhook,
    /// What Prometheus Alertmanager sends to webhooks, version 4.
    Alertmanager,
    /// Slack's incoming webhooks, which others understand as well.
    Slack,
    /// PagerDuty's Events API v2; the routing key is added by who sends it.
    PagerDuty,
    /// A subject, an empty line, and a text, for an e-mail.
    Mail,
}

/// Most alerts that a text lists; a webhook has all.
const LISTED: usize = 20;

/// The body of a message. The idempotency key belongs into the `Idempotency-Key` header as well,
/// where there is one.
#[must_use]
pub fn render(delivery: &Delivery, receiver: Receiver) -> String {
    match receiver {
        Receiver::Webhook => json!({
            "idempotency_key": delivery.key,
            "thread": delivery.thread,
            "on": delivery.is_on(),
            "group": delivery.group,
            "alerts": delivery.alerts,
            "left_out": delivery.left_out,
            "step": delivery.step,
        })
        .to_string(),
        Receiver::Alertmanager => alertmanager(delivery).to_string(),
        // What Slack takes as markup is escaped as its documentation says.
        Receiver::Slack => {
            let (title, list) = (escaped(&title(delivery)), escaped(&list(delivery)));
            // A section takes at most 3,000 characters.
            let list: String = list.chars().take(2_900).collect();
            let section = |text: String| json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } });
            let key = json!({ "type": "mrkdwn", "text": format!("`{}`", delivery.key) });
            json!({
                "text": format!("*{title}*\n{list}"),
                "blocks": [
                    section(format!("*{title}*")),
                    section(list),
                    { "type": "context", "elements": [key] },
                ],
            })
            .to_string()
        }
        Receiver::PagerDuty => pager_duty(delivery).to_string(),
        Receiver::Mail => format!(
            "{}\n\n{}\n\nMessage {}\n",
            title(delivery),
            list(delivery),
            delivery.key
        ),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A thread within PagerDuty's 255 characters; where it is longer, its end is a hash (FNV-1a) of all
/// of it, so that two threads stay two.
fn dedup_key(thread: &str) -> String {
    if thread.chars().count() <= 255 {
        return thread.to_owned();
    }
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in thread.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    let begin: String = thread.chars().take(230).collect();
    format!("{begin}~{hash:016x}")
}

fn alertmanager(delivery: &Delivery) -> Value {
    let word = |is_on: bool| if is_on { "firing" } else { "resolved" };
    let time = |ms: u64| {
        let text = Timestamp::from_unix_s(ms / 1000).to_string();
        // Midnight is a day for us, and no time for others.
        let rest = if text.contains('T') { "" } else { "T00:00:00Z" };
        format!("{text}{rest}")
    };
    let alert = |alert: &super::Alert| {
        json!({
            "status": word(alert.is_on),
            "labels": alert.labels,
            "annotations": { "summary": alert.text },
            "startsAt": time(alert.since_ms),
            "endsAt": match alert.is_on {
                // What it sends for alerts that go on.
                true => "0001-01-01T00:00:00Z".to_owned(),
                false => time(delivery.made_ms),
            },
            "generatorURL": "",
            "fingerprint": "",
        })
    };
    let mut labels = delivery.alerts.iter().map(|alert| alert.labels.clone());
    let mut common = labels.next().unwrap_or_default();
    for other in labels {
        common.retain(|label, value| other.get(label) == Some(value));
    }
    json!({
        "version": "4",
        "groupKey": delivery.thread,
        "idempotency_key": delivery.key,
        "truncatedAlerts": delivery.left_out,
        "status": word(delivery.is_on()),
        "receiver": delivery.to,
        "groupLabels": delivery.group,
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "",
        "alerts": delivery.alerts.iter().map(alert).collect::<Vec<_>>(),
    })
}

fn pager_duty(delivery: &Delivery) -> Value {
    let action = if delivery.is_on() {
        "trigger"
    } else {
        "resolve"
    };
    // The same thread makes repeated events one incident there.
    let severities = delivery.alerts.iter().map(|alert| &alert.labels);
    let mut severities = severities.filter_map(|labels| labels.get("severity"));
    // What does not say how severe it is counts as severe.
    let severity = match delivery
        .alerts
        .iter()
        .all(|alert| alert.labels.contains_key("severity"))
        && severities.all(|word| !matches!(word.as_str(), "page" | "critical"))
    {
        true => "warning",
        false => "critical",
    };
    let summary: String = title(delivery).chars().take(1024).collect();
    json!({
        "event_action": action,
        "dedup_key": dedup_key(&delivery.thread),
        "payload": {
            "summary": summary,
            "source": "tidegate",
            "severity": severity,
            "custom_details": {
                "idempotency_key": delivery.key,
                "group": delivery.group,
                "alerts": list(delivery),
            },
        },
    })
}

fn title(delivery: &Delivery) -> String {
    let on = delivery.alerts.iter().filter(|alert| alert.is_on).count();
    let labels: Vec<String> = delivery
        .group
        .iter()
        .map(|(key, value)| format!("{key}={}", value.replace(char::is_control, " ")))
        .collect();
    let state = match on {
        0 => "resolved".to_owned(),
        on => format!("{on} on"),
    };
    format!("[{state}] {}", labels.join(" "))
        .trim_end()
        .to_owned()
}

fn list(delivery: &Delivery) -> String {
    let line = |alert: &super::Alert| {
        let state = if alert.is_on { "on" } else { "over" };
        format!("- {state}: {}", alert.text.replace(char::is_control, " "))
    };
    let mut lines: Vec<String> = delivery.alerts.iter().take(LISTED).map(line).collect();
    let further = delivery.alerts.len().saturating_sub(LISTED) as u64 + delivery.left_out;
    if further > 0 {
        lines.push(format!("and {further} further"));
    }
    lines.join("\n")
}
