//! What there is, as the admin API shows it.

use super::people::rotation;
use super::state::State;
use gate_admin::convert::time;
use gate_api::types as api;
use gate_model::resources::Resources;
use gate_ops::notify::{Alert, Delivery, GroupView, Matcher, Silence};
use std::collections::BTreeMap;

/// Most alerts of a group that are shown.
const ALERTS_MAX: usize = 100;
/// Most deliveries that are shown.
const DELIVERIES_MAX: usize = 1_000;

/// Everything but where it is kept.
pub(super) fn shown(
    state: &State,
    resources: &Resources,
    problems: &BTreeMap<String, String>,
    now_ms: u64,
) -> api::Notices {
    let silences: Vec<&Silence> = state
        .silences
        .iter()
        .filter(|silence| silence.until_ms > now_ms)
        .collect();
    let of = |(name, notifier): (&String, &gate_ops::notify::Notifier)| {
        let groups = notifier.groups().into_iter();
        groups
            .map(|view| group(name, &view, &silences))
            .collect::<Vec<_>>()
    };
    let deliveries = state.notifiers.values();
    let deliveries = deliveries.flat_map(|notifier| notifier.deliveries());
    let delivery = |one: &Delivery| api::NoticeDelivery {
        key: one.key.clone(),
        receiver: one.to.clone(),
        made: at(one.made_ms),
        attempts: one.attempts().into(),
        problem: problems.get(&one.key).cloned(),
    };
    api::Notices {
        stored: false,
        receivers: resources.receivers.keys().cloned().collect(),
        on_call: resources
            .rotations
            .iter()
            .map(|(name, own)| api::OnCall {
                rotation: name.clone(),
                receiver: rotation(own).on_call(now_ms).map(str::to_owned),
            })
            .collect(),
        groups: state.notifiers.iter().flat_map(of).collect(),
        deliveries: deliveries.take(DELIVERIES_MAX).map(delivery).collect(),
        silences: silences
            .iter()
            .map(|silence| shown_silence(silence))
            .collect(),
        lost: state.lost(),
        pending: 0,
    }
}

fn group(notification: &str, view: &GroupView, silences: &[&Silence]) -> api::NoticeGroup {
    let alert = |alert: &Alert| api::NoticeAlert {
        labels: alert.labels.clone(),
        text: alert.text.clone(),
        since: at(alert.since_ms),
        on: alert.is_on,
        silenced: silences.iter().any(|silence| {
            silence
                .matchers
                .iter()
                .all(|one| one.matches(&alert.labels))
        }),
    };
    api::NoticeGroup {
        notification: notification.to_owned(),
        thread: view.thread.clone(),
        labels: view.labels.clone(),
        alerts: view.alerts.iter().take(ALERTS_MAX).map(alert).collect(),
        said: (view.said_ms > 0).then(|| at(view.said_ms)),
        step: view.step as u64 + 1,
        acknowledged: view.is_acknowledged,
    }
}

fn shown_silence(silence: &Silence) -> api::Silence {
    let matcher = |one: &Matcher| api::LabelMatch {
        label: one.label.clone(),
        value: one.value.clone(),
        is_not: one.is_not,
    };
    api::Silence {
        id: silence.id.clone(),
        matchers: silence.matchers.iter().map(matcher).collect(),
        until: at(silence.until_ms),
        by: silence.by.clone(),
        reason: silence.reason.clone(),
    }
}

fn at(ms: u64) -> String {
    time(i64::try_from(ms).unwrap_or(i64::MAX))
}
