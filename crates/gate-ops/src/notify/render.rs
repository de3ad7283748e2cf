//! Messages as receivers want them. Pure text; who sends it adds addresses and secrets.

use super::Delivery;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The shape of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receiver {
    /// Our own JSON, for webhooks.
    Webhook,
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
        // What Slack takes as markup is escaped as its documentation says.
        Receiver::Slack => {
            let text = format!("*{}*\n{}", title(delivery), list(delivery));
            let text = text
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;");
            json!({ "text": text }).to_string()
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

fn pager_duty(delivery: &Delivery) -> Value {
    let action = if delivery.is_on() {
        "trigger"
    } else {
        "resolve"
    };
    // Their limit of 255 characters; the same thread makes repeated events one incident there.
    let dedup: String = delivery.thread.chars().take(255).collect();
    let severity = match delivery.group.get("severity").map(String::as_str) {
        Some("page") | None => "critical",
        Some(_) => "warning",
    };
    let summary: String = title(delivery).chars().take(1024).collect();
    json!({
        "event_action": action,
        "dedup_key": dedup,
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
