//! Notifications of a configuration, as the engine wants them.

use gate_model::resources::{self, Notification, Resources};
use gate_model::units::Period;
use gate_ops::notify::{Escalation, Inhibition, Matcher, Policy, Rotation, Step};
use std::collections::BTreeMap;

/// Added to every alert, and to what groups are made by: two environments that tell the same
/// receiver have threads of their own there.
pub(super) const ENVIRONMENT: &str = "environment";

/// How a notification groups, inhibits and escalates.
pub(super) fn policy(notification: &Notification, resources: &Resources) -> Policy {
    let mut group_by = notification.group_by.clone();
    if !group_by.iter().any(|label| label == ENVIRONMENT) {
        group_by.push(ENVIRONMENT.to_owned());
    }
    let rule = |rule: &resources::Inhibition| Inhibition {
        source: matchers(&rule.source),
        target: matchers(&rule.target),
        equal: rule.equal.clone(),
    };
    let step = |step: &resources::EscalationStep| Step {
        after_ms: ms(step.after),
        receivers: step.receivers.clone(),
        rotations: step
            .rotations
            .iter()
            .filter_map(|name| resources.rotations.get(name))
            .map(rotation)
            .collect(),
    };
    Policy {
        group_by,
        wait_ms: ms(notification.wait),
        interval_ms: ms(notification.interval),
        repeat_ms: ms(notification.repeat),
        inhibitions: notification.inhibitions.iter().map(rule).collect(),
        escalation: Escalation {
            steps: notification.steps.iter().map(step).collect(),
        },
    }
}

/// A rotation as the engine takes it.
pub(super) fn rotation(rotation: &resources::Rotation) -> Rotation {
    let replacement = |one: &resources::Replacement| {
        let (from, until) = (one.from.unix_s() * 1000, one.until.unix_s() * 1000);
        (from, until, one.receiver.clone())
    };
    Rotation {
        receivers: rotation.receivers.clone(),
        begins_ms: rotation.begins.unix_s() * 1000,
        turn_ms: ms(rotation.turn),
        time_zone: rotation.time_zone.clone(),
        replacements: rotation.replacements.iter().map(replacement).collect(),
    }
}

fn matchers(labels: &BTreeMap<String, String>) -> Vec<Matcher> {
    let matcher = |(label, value): (&String, &String)| Matcher {
        label: label.clone(),
        value: value.clone(),
        is_not: false,
    };
    labels.iter().map(matcher).collect()
}

fn ms(period: Period) -> u64 {
    period.microseconds() / 1000
}
