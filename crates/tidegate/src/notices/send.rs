//! Sending: each attempt on a thread of its own, few at once, fewer to one receiver.
//!
//! A receiver that does not answer holds [`EACH_MAX`] threads for as long as an attempt may take, and
//! nobody else's.

use super::http::{self, Post};
use super::placed;
use super::smtp::{self, Mail};
use crate::secrets::Kept;
use gate_flow::resolve_secret;
use gate_kit::clock::Clock;
use gate_model::resources::{Receiver, Resources, SecretPlace, WebhookBody};
use gate_ops::notify::{self, Delivery, render};
use gate_proxy::record::metrics::NoticeCounts;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Done, SyncSender, sync_channel};

/// Most attempts at once.
const ATTEMPTS_MAX: usize = 32;
/// Most attempts at once to one receiver.
const EACH_MAX: usize = 2;
/// Most that wait for a thread; what finds no room is handed out again half a minute later.
const QUEUE_MAX: usize = 1_000;

/// How an attempt ended.
pub(super) struct Ended {
    /// The notifier that it is settled with.
    pub(super) notifier: String,
    /// The delivery's key.
    pub(super) key: String,
    to: String,
    /// Why it may not have arrived; none where it has.
    pub(super) problem: Option<String>,
}

/// Sends deliveries.
pub(super) struct Sender {
    kept: Kept,
    folder: PathBuf,
    counts: Arc<NoticeCounts>,
    queue: VecDeque<(String, Delivery)>,
    /// Keys that wait or are being attempted: none is attempted twice at once.
    held: BTreeSet<String>,
    /// Attempts that run, by receiver.
    running: BTreeMap<String, usize>,
    ended: (SyncSender<Ended>, Done<Ended>),
}

impl Sender {
    pub(super) fn new(kept: Kept, folder: PathBuf, counts: Arc<NoticeCounts>) -> Self {
        Self {
            kept,
            folder,
            counts,
            queue: VecDeque::new(),
            held: BTreeSet::new(),
            running: BTreeMap::new(),
            ended: sync_channel(ATTEMPTS_MAX),
        }
    }

    /// Takes a delivery; it is attempted as soon as there is room.
    pub(super) fn take(&mut self, notifier: String, delivery: Delivery) {
        if self.queue.len() < QUEUE_MAX && self.held.insert(delivery.key.clone()) {
            self.queue.push_back((notifier, delivery));
        }
    }

    /// Forgets what was not begun: another gateway sends it.
    pub(super) fn forget(&mut self) {
        for (_, delivery) in self.queue.drain(..) {
            self.held.remove(&delivery.key);
        }
    }

    /// How attempts went since the last time.
    pub(super) fn ended(&mut self) -> Vec<Ended> {
        let ended: Vec<Ended> = self.ended.1.try_iter().collect();
        for one in &ended {
            self.held.remove(&one.key);
            if let Some(count) = self.running.get_mut(&one.to) {
                *count = count.saturating_sub(1);
            }
        }
        self.running.retain(|_, count| *count > 0);
        ended
    }

    /// Begins as many attempts as there is room for.
    pub(super) fn begin(&mut self, resources: &Arc<Resources>) {
        let mut later = VecDeque::new();
        while let Some((notifier, delivery)) = self.queue.pop_front() {
            let own = self.running.get(&delivery.to).copied().unwrap_or(0);
            let all: usize = self.running.values().sum();
            if own >= EACH_MAX || all >= ATTEMPTS_MAX {
                later.push_back((notifier, delivery));
                continue;
            }
            *self.running.entry(delivery.to.clone()).or_default() += 1;
            self.attempt(resources.clone(), notifier, delivery);
        }
        self.queue = later;
    }

    fn attempt(&self, resources: Arc<Resources>, notifier: String, delivery: Delivery) {
        let (kept, folder) = (self.kept.clone(), self.folder.clone());
        let (counts, told) = (self.counts.clone(), self.ended.0.clone());
        let (key, to) = (delivery.key.clone(), delivery.to.clone());
        let again = (told.clone(), notifier.clone());
        let work = move || {
            let attempt = Attempt {
                kept: &kept,
                folder: &folder,
                resources: &resources,
            };
            let problem = attempt.send(&delivery).err();
            counts.attempted(&delivery.to, problem.is_none());
            if let Some(problem) = &problem {
                let (receiver, key) = (&delivery.to, &delivery.key);
                tracing::warn!(
                    receiver,
                    key,
                    problem,
                    "a message did not arrive; it is sent again"
                );
            }
            let (key, to) = (delivery.key, delivery.to);
            // There is room for as many as run; nobody listens where the process ends.
            let _ = told.send(Ended {
                notifier,
                key,
                to,
                problem,
            });
        };
        let thread = std::thread::Builder::new().name("notice".into());
        if let Err(error) = thread.spawn(work) {
            let (told, notifier) = again;
            let problem = Some(format!("no thread: {error}"));
            let _ = told.send(Ended {
                notifier,
                key,
                to,
                problem,
            });
        }
    }
}

/// What an attempt needs besides its message.
struct Attempt<'a> {
    kept: &'a Kept,
    folder: &'a PathBuf,
    resources: &'a Resources,
}

impl Attempt<'_> {
    fn send(&self, delivery: &Delivery) -> Result<(), String> {
        let receiver = self.resources.receivers.get(&delivery.to);
        match receiver.ok_or("it is configured no more")? {
            Receiver::Webhook(webhook) => {
                let shape = match webhook.body {
                    WebhookBody::Tidegate => notify::Receiver::Webhook,
                    WebhookBody::Alertmanager => notify::Receiver::Alertmanager,
                };
                let authorization = self.secret(webhook.authorization.as_ref())?;
                let sign = self.secret(webhook.sign.as_ref())?;
                let now_s = Clock::System.unix().as_secs();
                http::post(&Post {
                    url: &webhook.url,
                    body: &render(delivery, shape),
                    key: &delivery.key,
                    authorization: authorization.as_deref(),
                    sign: sign.as_deref().map(|secret| (secret, now_s)),
                    authorities: placed(self.folder, webhook.authorities.as_ref()).as_deref(),
                    allow_private: webhook.allow_private,
                })
            }
            Receiver::Slack(slack) => {
                let url = self.secret(Some(&slack.url))?.unwrap_or_default();
                http::post(&Post {
                    url: &url,
                    body: &render(delivery, notify::Receiver::Slack),
                    key: &delivery.key,
                    authorization: None,
                    sign: None,
                    authorities: placed(self.folder, slack.authorities.as_ref()).as_deref(),
                    allow_private: slack.allow_private,
                })
            }
            Receiver::Pagerduty(duty) => {
                let key = self.secret(Some(&duty.routing_key))?.unwrap_or_default();
                let body = render(delivery, notify::Receiver::PagerDuty);
                let body = with_routing_key(&body, &key).ok_or("its message cannot be written")?;
                http::post(&Post {
                    url: &duty.url,
                    body: &body,
                    key: &delivery.key,
                    authorization: None,
                    sign: None,
                    authorities: placed(self.folder, duty.authorities.as_ref()).as_deref(),
                    allow_private: duty.allow_private,
                })
            }
            Receiver::Email(email) => {
                let password = self.secret(email.password.as_ref())?;
                smtp::send(&Mail {
                    receiver: email,
                    password: password.as_deref(),
                    authorities: placed(self.folder, email.authorities.as_ref()).as_deref(),
                    text: &render(delivery, notify::Receiver::Mail),
                    key: &delivery.key,
                    thread: &delivery.thread,
                    now: Clock::System.unix(),
                    term: None,
                })
            }
        }
    }

    fn secret(&self, place: Option<&SecretPlace>) -> Result<Option<String>, String> {
        let resolve = |place| resolve_secret(self.kept, self.resources, self.folder, place);
        place.map(resolve).transpose()
    }
}

fn with_routing_key(body: &str, key: &str) -> Option<String> {
    let mut event: serde_json::Value = serde_json::from_str(body).ok()?;
    event
        .as_object_mut()?
        .insert("routing_key".into(), key.into());
    Some(event.to_string())
}
