//! Notifications: whether everybody who is named is there and can be told.
//!
//! Nothing here is on the path of a request; the control side reads the same resources and sends.

use super::Work;
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::{
    DeploymentFrom, EmailReceiver, EmailTls, EscalationStep, Notification, Receiver, Rotation,
    SecretPlace,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Most steps of an escalation.
const STEPS_MAX: usize = 16;
/// Most labels, names and inhibitions of a notification.
const LISTED_MAX: usize = 64;
/// Shortest time after which a group is said again.
const REPEAT_MIN_S: u64 = 60;
/// The same of looks at a group that changed.
const INTERVAL_MIN_S: u64 = 1;
/// Whole days, in microseconds.
const DAY: u64 = 86_400_000_000;

impl Work<'_> {
    /// Checks receivers, rotations, notifications and sources of deployments.
    pub(super) fn notices(&mut self) {
        let resources = self.resources;
        for (name, receiver) in &resources.receivers {
            self.receiver(receiver, &Path::root().key("receivers").key(name));
        }
        for (name, rotation) in &resources.rotations {
            self.rotation(rotation, &Path::root().key("rotations").key(name));
        }
        for (name, notification) in &resources.notifications {
            self.notification(notification, &Path::root().key("notifications").key(name));
        }
        for (name, source) in &resources.deployment_sources {
            let path = Path::root().key("deployment_sources").key(name).key("from");
            let (kind, place) = match &source.from {
                DeploymentFrom::Github(place) => ("github", place),
                DeploymentFrom::Gitlab(place) => ("gitlab", place),
            };
            self.told(place, path.key(kind));
        }
    }

    fn receiver(&mut self, receiver: &Receiver, path: &Path) {
        match receiver {
            Receiver::Webhook(webhook) => {
                let path = path.key("webhook");
                self.web(&webhook.url, &path.key("url"));
                for (field, place) in [
                    ("authorization", &webhook.authorization),
                    ("sign", &webhook.sign),
                ] {
                    if let Some(place) = place {
                        self.told(place, path.key(field));
                    }
                }
                self.trusted(webhook.authorities.as_ref(), &path);
            }
            Receiver::Email(email) => self.email(email, &path.key("email")),
            Receiver::Slack(slack) => {
                let path = path.key("slack");
                self.told(&slack.url, path.key("url"));
                self.trusted(slack.authorities.as_ref(), &path);
            }
            Receiver::Pagerduty(duty) => {
                let path = path.key("pagerduty");
                self.told(&duty.routing_key, path.key("routing_key"));
                self.web(&duty.url, &path.key("url"));
                self.trusted(duty.authorities.as_ref(), &path);
            }
        }
    }

    fn email(&mut self, email: &EmailReceiver, path: &Path) {
        let mut wrong = |field: &str, message: &str| {
            self.report(Finding::error("invalid_receiver", path.key(field), message));
        };
        if email.to.is_empty() || email.to.len() > LISTED_MAX {
            wrong("to", "an e-mail goes to between 1 and 64 addresses");
        }
        if !email.to.iter().all(|address| is_address(address)) {
            wrong("to", "an address is `NAME@HOST` without display name");
        }
        if !is_address(&email.from) {
            wrong("from", "an address is `NAME@HOST` without display name");
        }
        let port = email.server.rsplit_once(':');
        if !port.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
            wrong("server", "a mail server is `HOST:PORT`");
        }
        if email.user.is_some() != email.password.is_some() {
            wrong("user", "`user` and `password` belong together");
        }
        if email.user.is_some() && email.tls == EmailTls::None {
            wrong("tls", "a password is not sent in clear");
        }
        if let Some(place) = &email.password {
            self.told(place, path.key("password"));
        }
        self.trusted(email.authorities.as_ref(), path);
    }

    fn rotation(&mut self, rotation: &Rotation, path: &Path) {
        let mut wrong = |path: Path, message: &str| {
            self.report(Finding::error("invalid_rotation", path, message));
        };
        if rotation.receivers.is_empty() {
            wrong(path.key("receivers"), "somebody has to be on call");
        }
        let turn = rotation.turn.microseconds();
        if turn == 0 || (!turn.is_multiple_of(DAY) && !DAY.is_multiple_of(turn)) {
            let message = "a turn is whole days, or a part of a day that fits into it";
            wrong(path.key("turn"), message);
        }
        for (index, one) in rotation.replacements.iter().enumerate() {
            if one.from >= one.until {
                let path = path.key("replacements").index(index).key("until");
                wrong(path, "it ends before it begins");
            }
        }
        for (index, name) in rotation.receivers.iter().enumerate() {
            self.receiver_named(name, path.key("receivers").index(index));
        }
        for (index, one) in rotation.replacements.iter().enumerate() {
            let path = path.key("replacements").index(index).key("receiver");
            self.receiver_named(&one.receiver, path);
        }
    }

    fn notification(&mut self, notification: &Notification, path: &Path) {
        let mut wrong = |path: Path, message: &str| {
            self.report(Finding::error("invalid_notification", path, message));
        };
        let steps = &notification.steps;
        if steps.is_empty() || steps.len() > STEPS_MAX {
            wrong(
                path.key("steps"),
                "an escalation has between 1 and 16 steps",
            );
        }
        if steps.first().is_some_and(|step| !step.after.is_zero()) {
            let path = path.key("steps").index(0).key("after");
            wrong(path, "the first step is at once");
        }
        for (index, pair) in steps.windows(2).enumerate() {
            if pair[0].after >= pair[1].after {
                let path = path.key("steps").index(index + 1).key("after");
                wrong(path, "a step comes after the one before it");
            }
        }
        for (index, step) in steps.iter().enumerate() {
            if step.receivers.is_empty() && step.rotations.is_empty() {
                wrong(path.key("steps").index(index), "a step tells somebody");
            }
        }
        if notification.repeat.duration().as_secs() < REPEAT_MIN_S {
            wrong(
                path.key("repeat"),
                "a group is said again after a minute at the soonest",
            );
        }
        if notification.interval.duration().as_secs() < INTERVAL_MIN_S {
            wrong(
                path.key("interval"),
                "a group is looked at once a second at most",
            );
        }
        if notification.inhibitions.len() > LISTED_MAX || notification.group_by.len() > LISTED_MAX {
            wrong(
                path.clone(),
                "at most 64 inhibitions and 64 labels to group by",
            );
        }
        for (index, rule) in notification.inhibitions.iter().enumerate() {
            if rule.source.is_empty() || rule.target.is_empty() {
                let path = path.key("inhibitions").index(index);
                wrong(path, "`source` and `target` name at least one label each");
            }
        }
        self.named(steps, path);
    }

    /// Whether everybody who is told at a step is there.
    fn named(&mut self, steps: &[EscalationStep], path: &Path) {
        let rotations = self.resources.rotations.keys();
        for (index, step) in steps.iter().enumerate() {
            let path = path.key("steps").index(index);
            for (place, name) in step.receivers.iter().enumerate() {
                self.receiver_named(name, path.key("receivers").index(place));
            }
            for (place, name) in step.rotations.iter().enumerate() {
                if !self.resources.rotations.contains_key(name) {
                    let path = path.key("rotations").index(place);
                    self.unknown(path, "rotation", name, rotations.clone());
                }
            }
        }
    }

    fn receiver_named(&mut self, name: &str, path: Path) {
        let receivers: &BTreeMap<String, Receiver> = &self.resources.receivers;
        if !receivers.contains_key(name) {
            self.unknown(path, "receiver", name, receivers.keys());
        }
    }

    /// A secret that has to be there. What it says is seen when it is used: `check` has none.
    pub(super) fn told(&mut self, place: &SecretPlace, path: Path) {
        match self.secret(place) {
            Ok(secret) if !secret.is_empty() && !secret.contains(char::is_control) => {}
            Ok(_) => {
                let message = "the secret is empty or holds a line break";
                self.report(Finding::error("unusable_secret", path, message));
            }
            Err(problem) => self.report(Finding::error("missing_secret", path, problem)),
        }
    }

    fn web(&mut self, url: &str, path: &Path) {
        if !is_web(url) {
            let message = "an address is `https://HOST/PATH`, or `http://` on this machine";
            self.report(Finding::error("invalid_url", path.clone(), message));
        } else if let Some(host) = url.strip_prefix("http://")
            && !["127.0.0.1", "localhost", "[::1]"]
                .iter()
                .any(|own| host.starts_with(own))
        {
            let message = "messages pass this network in clear; use `https://`";
            self.report(Finding::warning("sent_in_clear", path.clone(), message));
        }
    }

    pub(super) fn trusted(&mut self, file: Option<&PathBuf>, path: &Path) {
        let Some(file) = file else { return };
        let (compiler, most) = (self.compiler, 1 << 20);
        let read = compiler
            .secrets
            .public_bytes(&compiler.folder.join(file), most);
        if let Err(problem) = read {
            let path = path.key("authorities");
            self.report(Finding::error("unreadable_file", path, problem));
        }
    }
}

fn is_web(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?']).next());
    host.is_some_and(|host| !host.is_empty() && !host.contains('@'))
        && !url.contains('#')
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What can stand between `<` and `>` of an SMTP command as it is (RFC 5321 section 4.1.2, without
/// quoted names).
fn is_address(address: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"<>()[]\\,;:\"@ ".contains(&byte);
    address.len() <= 254
        && address.split_once('@').is_some_and(|(name, host)| {
            let is_plain = |part: &str| !part.is_empty() && part.bytes().all(plain);
            is_plain(name) && is_plain(host)
        })
}
