//! What is wrong with a subscriber by itself, but for its expressions, which are read elsewhere.

use super::{JobTarget, Subscriber, SubscriberEnd, SubscriberStart, SubscriberTarget};
use crate::document::{Path, Segment};
use crate::resources::EmailTls;
use crate::units::Period;

/// Most subscribers of a configuration.
pub const SUBSCRIBERS_MAX: usize = 10_000;

const DAY_S: u64 = 86_400;

/// A problem of a subscriber: the path to it from the subscriber on, and a sentence.
pub type SubscriberProblem = (Path, String);

fn at(text: &str) -> Path {
    let mut path = Path::root();
    for part in text.split('.') {
        path.push(
            part.parse()
                .map_or_else(|_| Segment::Key(part.to_owned()), Segment::Index),
        );
    }
    path
}

fn is_within(period: Period, least_s: u64, most_s: u64) -> bool {
    let whole = period.duration();
    whole.as_secs() >= least_s && whole <= std::time::Duration::from_secs(most_s)
}

impl Subscriber {
    /// What is wrong with it by itself.
    #[must_use]
    pub fn problems(&self) -> Vec<SubscriberProblem> {
        let mut problems = Vec::new();
        let mut wrong = |field: &str, text: &str| problems.push((at(field), text.to_owned()));
        if !(1..=64).contains(&self.in_flight) {
            wrong(
                "in_flight",
                "there are from 1 to 64 attempts at the same time",
            );
        }
        if !is_within(self.timeout, 1, 300) {
            wrong("timeout", "an attempt may take from 1s to 5m");
        }
        if !(1..=1_000).contains(&self.retry.attempts) {
            wrong("retry.attempts", "there are from 1 to 1,000 attempts");
        }
        if self.retry.pause.is_zero() || self.retry.pause > self.retry.longest {
            wrong(
                "retry.pause",
                "it is more than nothing, and not more than `longest`",
            );
        }
        if !is_within(self.retry.longest, 0, DAY_S) {
            wrong("retry.longest", "a pause is a day at most");
        }
        if !is_within(self.retry.age, 1, 30 * DAY_S) {
            wrong("retry.age", "it is from 1s to 30d");
        }
        if let Some(dedupe) = &self.dedupe
            && !is_within(dedupe.within, 1, DAY_S)
        {
            wrong("dedupe.within", "it is from 1s to 1d");
        }
        let keep = self.dead_letter.keep;
        if !is_within(keep, 1, 366 * DAY_S) {
            wrong("dead_letter.keep", "it is from 1s to a year");
        }
        if !(1..=100_000).contains(&self.dead_letter.most) {
            wrong("dead_letter.most", "from 1 to 100,000 are kept");
        }
        let ends_before = match (self.start, self.end) {
            (SubscriberStart::Place(start), Some(SubscriberEnd::Place(end))) => end <= start,
            (SubscriberStart::Time(start), Some(SubscriberEnd::Time(end))) => end <= start,
            _ => false,
        };
        if ends_before {
            wrong("end", "it ends before it starts");
        }
        for field in [
            self.order_by.as_deref().map(|path| ("order_by", path)),
            self.dedupe
                .as_ref()
                .map(|dedupe| ("dedupe.by", &*dedupe.by)),
        ] {
            if let Some((field, path)) = field
                && !is_field(path)
            {
                wrong(
                    field,
                    "it is a field of the event, such as `subject` or `data.order.id`",
                );
            }
        }
        target(&self.target, &mut wrong);
        problems
    }
}

fn target(target: &SubscriberTarget, wrong: &mut impl FnMut(&str, &str)) {
    const URL: &str = "it is an address that begins with https://, or with http:// on this machine";
    match target {
        SubscriberTarget::Webhook(webhook) => {
            if !is_url(&webhook.url) {
                wrong("target.webhook.url", URL);
            }
            let is_name = |name: &String| {
                let lower = name.to_ascii_lowercase();
                let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                let own = lower.starts_with("webhook-") || lower.starts_with("ce-");
                let framing = ["host", "content-length", "content-type", "connection"];
                !name.is_empty()
                    && name.bytes().all(token)
                    && !own
                    && !framing.contains(&lower.as_str())
            };
            let is_value = |value: &String| !value.contains(|letter: char| letter.is_control());
            if !webhook.headers.keys().all(is_name) || !webhook.headers.values().all(is_value) {
                let text = "a field has a name that is not set by the gateway itself, and a text";
                wrong("target.webhook.headers", text);
            }
        }
        SubscriberTarget::Gateway(gateway) => {
            if !is_url(&gateway.url) {
                wrong("target.gateway.url", URL);
            }
        }
        SubscriberTarget::Route(route) => {
            if !route.path.starts_with('/') || route.path.contains(char::is_whitespace) {
                wrong("target.route.path", "it is a path, which begins with `/`");
            }
            method(&route.method, "target.route.method", wrong);
            host(route.host.as_deref(), "target.route.host", wrong);
        }
        SubscriberTarget::Job(target) => job(target, wrong),
        SubscriberTarget::Email(email) => {
            let mail = &email.mail;
            if mail.to.is_empty() || !mail.to.iter().chain([&mail.from]).all(|to| is_mail(to)) {
                wrong(
                    "target.email.mail.to",
                    "mail goes to addresses, and comes from one",
                );
            }
            if !is_server(&mail.server) {
                wrong("target.email.mail.server", "a server is `HOST:PORT`");
            }
            if mail.user.is_some() != mail.password.is_some() {
                wrong(
                    "target.email.mail.user",
                    "who signs in has a `user` and a `password`",
                );
            }
            if mail.tls == EmailTls::None && mail.user.is_some() {
                wrong("target.email.mail.tls", "a password is not sent in clear");
            }
        }
        SubscriberTarget::Sqs(sqs) => {
            if !is_url(&sqs.queue) {
                wrong("target.sqs.queue", URL);
            }
        }
        SubscriberTarget::Eventbridge(bus) => {
            if bus.address.as_ref().is_some_and(|address| !is_url(address)) {
                wrong("target.eventbridge.address", URL);
            }
        }
        SubscriberTarget::Nats(nats) => {
            if !is_server(&nats.server) {
                wrong("target.nats.server", "a server is `HOST:PORT`");
            }
            if nats.subject.is_empty() || nats.subject.contains([' ', '*', '>', '\t']) {
                wrong(
                    "target.nats.subject",
                    "a subject has no blanks and no wildcards",
                );
            }
            // A password alone is a token.
            if nats.user.is_some() && nats.password.is_none() {
                wrong(
                    "target.nats.user",
                    "who signs in has a `user` and a `password`",
                );
            }
            if nats.password.is_some() && !nats.tls && !is_local(&nats.server) {
                wrong("target.nats.tls", "a password is not sent in clear");
            }
        }
        SubscriberTarget::Kafka(kafka) => {
            if kafka.brokers.is_empty() || !kafka.brokers.iter().all(|one| is_server(one)) {
                wrong(
                    "target.kafka.brokers",
                    "there is a broker at least, as `HOST:PORT`",
                );
            }
            let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if !(1..=249).contains(&kafka.topic.len()) || !kafka.topic.bytes().all(is_letter) {
                wrong(
                    "target.kafka.topic",
                    "a topic has up to 249 letters, digits, `.`, `_`, `-`",
                );
            }
            if kafka.user.is_some() != kafka.password.is_some() {
                wrong(
                    "target.kafka.user",
                    "who signs in has a `user` and a `password`",
                );
            }
            if kafka.user.is_some() && !kafka.tls {
                wrong("target.kafka.tls", "a password is not sent in clear");
            }
        }
    }
}

fn method(method: &str, place: &str, wrong: &mut impl FnMut(&str, &str)) {
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        wrong(place, "it is a method such as `POST`");
    }
}

fn host(host: Option<&str>, place: &str, wrong: &mut impl FnMut(&str, &str)) {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if host.is_some_and(|host| host.is_empty() || !host.bytes().all(fits)) {
        wrong(place, "it is a host such as `api.example.com`");
    }
}

/// What is wrong with a job, but for its templates.
fn job(job: &JobTarget, wrong: &mut impl FnMut(&str, &str)) {
    method(&job.method, "target.job.method", wrong);
    host(job.host.as_deref(), "target.job.host", wrong);
    let fields = [
        ("target.job.items", job.items.as_ref()),
        (
            "target.job.after.job",
            job.after.as_ref().map(|after| &after.job),
        ),
    ];
    for (place, field) in fields {
        if field.is_some_and(|field| !is_field(field)) {
            wrong(place, "it is a field of the event, such as `data.parts`");
        }
    }
    if job.after.as_ref().is_some_and(|after| after.each) && job.items.is_some() {
        let text = "items that wait for items of another job are as many as those";
        wrong("target.job.items", text);
    }
    if job.pause > Period::from_seconds(60) {
        wrong("target.job.pause", "a pause is a minute at most");
    }
    if !is_within(job.timeout, 1, DAY_S) {
        wrong("target.job.timeout", "a try takes from 1s to 1d");
    }
    if !is_within(job.within, 1, 30 * DAY_S) {
        wrong("target.job.within", "it is from 1s to 30d");
    }
}

/// Whether it can be a field of an event.
fn is_field(path: &str) -> bool {
    !path.is_empty() && path.len() <= 512 && !path.split('.').any(str::is_empty)
}

/// An address with TLS, or one of this machine.
fn is_url(url: &str) -> bool {
    let clean = !url.contains(|letter: char| letter.is_whitespace() || letter.is_control());
    let local = url
        .strip_prefix("http://")
        .is_some_and(|rest| is_local(rest.split(['/', '?']).next().unwrap_or_default()));
    let has_host = |rest: &str| !rest.is_empty() && !rest.starts_with(['/', ':']);
    clean && (local || url.strip_prefix("https://").is_some_and(has_host)) && !url.contains('@')
}

fn is_local(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_loopback = |address: std::net::IpAddr| address.is_loopback();
    host == "localhost" || host.parse().is_ok_and(is_loopback)
}

fn is_server(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

fn is_mail(text: &str) -> bool {
    let clean = !text.contains(|c: char| c.is_whitespace() || c.is_control() || "<>,".contains(c));
    clean
        && text
            .split_once('@')
            .is_some_and(|(who, host)| !who.is_empty() && !host.is_empty())
}
