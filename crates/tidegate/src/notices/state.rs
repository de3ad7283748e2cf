//! What the gateway that leads knows: a notifier for each notification of the configuration.
//!
//! Pure: orders and the time go in, deliveries come out. It serialises as a whole.

use super::people::{ENVIRONMENT, policy};
use gate_admin::NoticeOrder;
use gate_api::types::LabelMatch;
use gate_kit::order::Gather;
use gate_model::resources::{Notification, Resources};
use gate_ops::notify::{
    Alert, Delivery, Escalation, Labels, Matcher, Notifier, Outcome, Policy, Silence,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Messages that are no notification's: those that try a receiver. No resource has this name.
const TESTS: &str = "";

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    #[serde(default)]
    environment: String,
    pub(super) notifiers: BTreeMap<String, Notifier>,
    pub(super) silences: Vec<Silence>,
}

impl State {
    /// Brings the notifiers in line with the configuration; says whether that changed something.
    pub(super) fn follow(&mut self, environment: &str, resources: &Resources, now_ms: u64) -> bool {
        let mut has_changed = self.environment != environment;
        environment.clone_into(&mut self.environment);
        for (name, notification) in &resources.notifications {
            let wanted = policy(notification, resources);
            if let Some(held) = self.notifiers.get_mut(name) {
                has_changed |= held.follow(wanted, now_ms);
                continue;
            }
            has_changed = true;
            let notifier = self.made(name, wanted, now_ms);
            self.notifiers.insert(name.clone(), notifier);
        }
        // What is configured no more says what it has on its way, and no more.
        let before = self.notifiers.len();
        self.notifiers.retain(|name, notifier| {
            name == TESTS
                || resources.notifications.contains_key(name)
                || !notifier.deliveries().is_empty()
        });
        let held = self.silences.len();
        self.silences.retain(|silence| silence.until_ms > now_ms);
        has_changed || before != self.notifiers.len() || held != self.silences.len()
    }

    /// A notifier whose keys no other ever had: one that is made anew under an old name does not
    /// begin to count keys again.
    fn made(&self, name: &str, policy: Policy, now_ms: u64) -> Notifier {
        let part = if name == TESTS { "test" } else { name };
        let mut notifier =
            Notifier::new(&format!("{}-{part}-{now_ms:x}", self.environment), policy);
        for silence in &self.silences {
            // They fitted where they were made.
            let _ = notifier.silence(silence.clone(), now_ms);
        }
        notifier
    }

    /// Takes an order in; says how many alerts fit no notification.
    pub(super) fn order(&mut self, order: NoticeOrder, resources: &Resources, now_ms: u64) -> u64 {
        match order {
            NoticeOrder::Alert {
                mut labels,
                text,
                since_ms,
                is_on,
            } => {
                labels
                    .entry(ENVIRONMENT.to_owned())
                    .or_insert_with(|| self.environment.clone());
                let alert = Alert {
                    labels,
                    text,
                    since_ms,
                    is_on,
                };
                return self.hear(&alert, resources, now_ms);
            }
            NoticeOrder::Silence {
                id,
                matchers,
                until_ms,
                by,
                reason,
            } => self.silence(
                Silence {
                    id,
                    matchers: matchers.into_iter().map(matcher).collect(),
                    until_ms,
                    by,
                    reason,
                },
                now_ms,
            ),
            NoticeOrder::EndSilence { id } => {
                self.silences.retain(|silence| silence.id != id);
                for notifier in self.notifiers.values_mut() {
                    notifier.end_silence(&id);
                }
            }
            NoticeOrder::Acknowledge { thread } => {
                for notifier in self.notifiers.values_mut() {
                    notifier.acknowledge(&thread);
                }
            }
            NoticeOrder::Test { receiver, by } => self.test(&receiver, &by, now_ms),
        }
        0
    }

    fn hear(&mut self, alert: &Alert, resources: &Resources, now_ms: u64) -> u64 {
        let mut fits = 0;
        for (name, notification) in &resources.notifications {
            if is_meant(notification, &alert.labels)
                && let Some(notifier) = self.notifiers.get_mut(name)
            {
                notifier.hear(alert.clone(), now_ms);
                fits += 1;
            }
        }
        u64::from(fits == 0 && alert.is_on)
    }

    fn silence(&mut self, silence: Silence, now_ms: u64) {
        // An order that is taken in twice, after a crash, is one silence.
        if self.silences.iter().any(|held| held.id == silence.id) {
            return;
        }
        for notifier in self.notifiers.values_mut() {
            if let Err(problem) = notifier.silence(silence.clone(), now_ms) {
                tracing::warn!(problem, id = silence.id, "a silence is not in force");
                return;
            }
        }
        self.silences.push(silence);
    }

    fn test(&mut self, receiver: &str, by: &str, now_ms: u64) {
        if !self.notifiers.contains_key(TESTS) {
            let nobody = Policy {
                group_by: Vec::new(),
                wait_ms: 0,
                interval_ms: 60_000,
                repeat_ms: 3_600_000,
                inhibitions: Vec::new(),
                escalation: Escalation::default(),
            };
            let notifier = self.made(TESTS, nobody, now_ms);
            self.notifiers.insert(TESTS.to_owned(), notifier);
        }
        let labels = [
            (ENVIRONMENT, self.environment.as_str()),
            ("test", "true"),
            ("receiver", receiver),
            ("severity", "test"),
        ];
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let alert = Alert {
            labels: labels.map(own).into_iter().into_map(),
            text: format!("{by} tries this receiver; nothing is wrong"),
            since_ms: now_ms,
            is_on: true,
        };
        if let Some(notifier) = self.notifiers.get_mut(TESTS) {
            notifier.say(receiver, alert, now_ms);
        }
    }

    /// Whether [`State::tick`] has something to do.
    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        let mut notifiers = self.notifiers.values();
        notifiers.any(|notifier| notifier.groups_due(now_ms))
    }

    pub(super) fn tick(&mut self, now_ms: u64) {
        for notifier in self.notifiers.values_mut() {
            notifier.tick(now_ms);
        }
    }

    /// Deliveries to attempt now, with the notifier that each is to be settled with.
    pub(super) fn take(&mut self, now_ms: u64) -> Vec<(String, Delivery)> {
        let mut taken = Vec::new();
        for (name, notifier) in &mut self.notifiers {
            let own = notifier.take(now_ms).into_iter();
            taken.extend(own.map(|delivery| (name.clone(), delivery)));
        }
        taken
    }

    pub(super) fn settle(&mut self, notifier: &str, key: &str, is_delivered: bool, now_ms: u64) {
        let outcome = match is_delivered {
            true => Outcome::Delivered,
            false => Outcome::Failed,
        };
        if let Some(notifier) = self.notifiers.get_mut(notifier) {
            notifier.settle(key, outcome, now_ms);
        }
    }

    pub(super) fn take_over(&mut self, now_ms: u64) {
        for notifier in self.notifiers.values_mut() {
            notifier.take_over(now_ms);
        }
    }

    pub(super) fn waiting(&self) -> u64 {
        let waiting = self.notifiers.values().map(Notifier::waiting);
        waiting.sum::<usize>() as u64
    }

    pub(super) fn lost(&self) -> u64 {
        self.notifiers.values().map(Notifier::lost).sum()
    }
}

fn is_meant(notification: &Notification, labels: &Labels) -> bool {
    let mut wanted = notification.when.iter();
    // A label that is missing is empty, as it is for silences and inhibitions.
    wanted.all(|(label, value)| labels.get(label).map_or("", String::as_str) == value)
}

fn matcher(one: LabelMatch) -> Matcher {
    Matcher {
        label: one.label,
        value: one.value,
        is_not: one.is_not,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const S: u64 = 1_000;

    fn resources() -> Resources {
        let made = json!({
            "receivers": {
                "pager": { "webhook": { "url": "http://127.0.0.1:1/" } },
                "chat": { "webhook": { "url": "http://127.0.0.1:1/" } },
            },
            "notifications": {
                "page": {
                    "when": { "severity": "page" }, "wait": "10s",
                    "steps": [{ "receivers": ["pager"] }],
                },
                "all": { "wait": "1s", "steps": [{ "receivers": ["chat"] }] },
            },
        });
        let document =
            gate_model::document::Document::parse(made.to_string().as_bytes(), "test").unwrap();
        Resources::read(&document).unwrap()
    }

    fn alert(severity: &str) -> NoticeOrder {
        let labels = [("severity", severity), ("incident", "7")];
        NoticeOrder::Alert {
            labels: labels
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into_iter()
                .collect(),
            text: "orders fail".into(),
            since_ms: 0,
            is_on: true,
        }
    }

    fn keys(state: &mut State, now_ms: u64) -> Vec<(String, String)> {
        state.tick(now_ms);
        let taken = state.take(now_ms).into_iter();
        taken.map(|(_, one)| (one.to, one.key)).collect()
    }

    #[test]
    fn an_alert_goes_to_every_notification_that_it_fits() {
        let (mut state, resources) = (State::default(), resources());
        assert!(state.follow("prod", &resources, 0));
        assert!(!state.follow("prod", &resources, 0));
        assert_eq!(state.order(alert("ticket"), &resources, 0), 0);
        assert_eq!(
            keys(&mut state, S),
            [("chat".into(), "prod-all-0-1".into())]
        );
        state.order(alert("page"), &resources, S);
        assert_eq!(
            keys(&mut state, 11 * S),
            [("pager".into(), "prod-page-0-1".into())]
        );
        let mut none = resources;
        none.notifications.clear();
        assert_eq!(state.order(alert("page"), &none, S), 1);
    }

    #[test]
    fn an_empty_label_leaves_out_what_experiments_make() {
        let mut resources = resources();
        let page = resources.notifications.get_mut("page").unwrap();
        page.when.insert("experiment".into(), String::new());
        let mut state = State::default();
        state.follow("prod", &resources, 0);
        let NoticeOrder::Alert {
            mut labels, text, ..
        } = alert("page")
        else {
            unreachable!("an alert was made");
        };
        labels.insert("experiment".into(), "x".into());
        let of_experiment = NoticeOrder::Alert {
            labels,
            text,
            since_ms: 0,
            is_on: true,
        };
        state.order(of_experiment, &resources, 0);
        let told = keys(&mut state, 11 * S);
        assert_eq!(told, [("chat".into(), "prod-all-0-1".into())]);
        state.order(alert("page"), &resources, 20 * S);
        let told: Vec<String> = keys(&mut state, 31 * S)
            .into_iter()
            .map(|one| one.0)
            .collect();
        assert!(told.contains(&"pager".to_owned()), "{told:?}");
    }

    #[test]
    fn a_notification_that_is_made_anew_does_not_give_old_keys_again() {
        let (mut state, with) = (State::default(), resources());
        state.follow("prod", &with, 0);
        state.order(alert("ticket"), &with, 0);
        assert_eq!(keys(&mut state, S)[0].1, "prod-all-0-1");
        state.settle("all", "prod-all-0-1", true, S);
        let mut without = with.clone();
        without.notifications.remove("all");
        state.follow("prod", &without, 2 * S);
        assert!(!state.notifiers.contains_key("all"));
        state.follow("prod", &with, 3 * S);
        state.order(alert("ticket"), &with, 3 * S);
        assert_eq!(keys(&mut state, 5 * S)[0].1, "prod-all-bb8-1");
    }

    #[test]
    fn silences_hold_for_notifications_that_come_later_and_come_back_from_the_store() {
        let (mut state, with) = (State::default(), resources());
        let silence = NoticeOrder::Silence {
            id: "s1".into(),
            matchers: vec![LabelMatch {
                label: "incident".into(),
                value: "7".into(),
                is_not: false,
            }],
            until_ms: 100 * S,
            by: "ops".into(),
            reason: "known".into(),
        };
        state.order(silence.clone(), &with, 0);
        state.order(silence, &with, 0);
        assert_eq!(state.silences.len(), 1, "an order that comes twice is one");
        state.follow("prod", &with, 0);
        state.order(alert("page"), &with, 0);
        assert_eq!(keys(&mut state, 20 * S), []);
        let text = serde_json::to_string(&state).unwrap();
        let mut again: State = serde_json::from_str(&text).unwrap();
        assert_eq!(again, state);
        again.order(NoticeOrder::EndSilence { id: "s1".into() }, &with, 20 * S);
        assert_eq!(keys(&mut again, 90 * S).len(), 2);
        assert_eq!(again.silences, []);
    }

    #[test]
    fn a_receiver_is_tried_alone() {
        let (mut state, with) = (State::default(), resources());
        state.follow("prod", &with, 0);
        let test = NoticeOrder::Test {
            receiver: "pager".into(),
            by: "ops".into(),
        };
        state.order(test, &with, 0);
        assert_eq!(
            keys(&mut state, 0),
            [("pager".into(), "prod-test-0-1".into())]
        );
        state.follow("prod", &with, S);
        state.settle("", "prod-test-0-1", true, S);
        assert_eq!(state.waiting(), 0);
    }
}
