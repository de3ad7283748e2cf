//! One attempt: an event, made into what its subscriber wants, handed to the target.

mod aws;
mod gateway;
mod job;
mod kafka;
mod link;
mod mail;
mod nats;
mod route;
mod webhook;

use super::reader::Loaded;
use super::roll::Ready;
use super::work::now_s;
use crate::jobs;
use crate::later;
use crate::secrets::Kept;
use aws_lc_rs::digest::{SHA256, digest};
use gate_api::client::Reply;
use gate_api::{Endpoint, Term};
use gate_flow::resolve_secret;
use gate_model::resources::{CloudEventMode, Resources, SecretPlace, SubscriberTarget};
use gate_ops::event::cloud::{CloudEvent, STRUCTURED, write_binary, write_structured};
use gate_ops::event::delivery::Outcome;
use gate_proxy::process::Process;
use gate_store::control::CourseId;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Most bytes of an answer; nobody reads it.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// The longest pause that a target may ask for: a day.
const AFTER_S_MAX: u64 = 86_400;

/// An attempt to make.
pub(super) struct Parcel {
    pub(super) id: CourseId,
    pub(super) place: u64,
    /// In which time of leading it was begun.
    pub(super) epoch: u64,
    /// How long it may go on where events are in an order: when this gateway leads no more, another may
    /// begin the next one.
    pub(super) term: Option<Term>,
    /// Which attempt it is, from 1.
    pub(super) number: u32,
    /// What the event is known by to this subscriber, the same in every attempt.
    pub(super) key: String,
    pub(super) ready: Arc<Ready>,
    pub(super) resources: Arc<Resources>,
    pub(super) loaded: Arc<Loaded>,
}

/// The key of an event for a course: the same wherever and however often it is attempted.
pub(super) fn key(id: &CourseId, event: &str) -> String {
    let of = format!("{}\0{}\0{event}", id.subscriber, id.replay);
    let digest = digest(&SHA256, of.as_bytes());
    let digits = digest.as_ref()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"));
    format!("msg_{}", digits.collect::<String>())
}

/// What attempts need besides their parcel.
pub(super) struct Means {
    process: Arc<Process>,
    kept: Kept,
    folder: PathBuf,
    /// Where jobs are kept.
    jobs: Option<Arc<jobs::Shelf>>,
}

/// An event as it is sent.
struct Letter<'a> {
    parcel: &'a Parcel,
    event: CloudEvent,
    timeout: Duration,
}

/// Why an event did not arrive.
enum Failure {
    /// It may the next time.
    Later(String, Option<u64>),
    /// It never will.
    Never(String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Failure::Later(reason, None)
    }
}

impl From<&str> for Failure {
    fn from(reason: &str) -> Self {
        Failure::Later(reason.to_owned(), None)
    }
}

impl Means {
    pub(super) fn new(
        process: &Arc<Process>,
        kept: Kept,
        folder: &Path,
        jobs: Option<Arc<jobs::Shelf>>,
    ) -> Self {
        Means {
            process: process.clone(),
            kept,
            folder: folder.to_owned(),
            jobs,
        }
    }

    /// Makes an attempt.
    pub(super) fn send(&self, parcel: &Parcel) -> Outcome {
        let is_over = || parcel.term.as_ref().is_some_and(Term::is_over);
        if is_over() {
            return Outcome::Dropped;
        }
        match self.try_send(parcel) {
            Ok(()) => Outcome::Delivered,
            // It was cut short, and says nothing about the target.
            Err(Failure::Later(..)) if is_over() => Outcome::Dropped,
            Err(Failure::Later(reason, after_ms)) => Outcome::Failed { reason, after_ms },
            Err(Failure::Never(reason)) => Outcome::Refused(reason),
        }
    }

    fn try_send(&self, parcel: &Parcel) -> Result<(), Failure> {
        let mut event = parcel.loaded.cloud().map_err(Failure::Never)?;
        let json = parcel.loaded.json.as_ref().ok_or("it was destroyed")?;
        let subscriber = &parcel.ready.subscriber;
        (parcel.ready.shape.apply(&mut event, json)).map_err(Failure::Never)?;
        let letter = Letter {
            parcel,
            event,
            timeout: subscriber.timeout.duration(),
        };
        match &subscriber.target {
            SubscriberTarget::Webhook(target) => webhook::send(self, &letter, target),
            SubscriberTarget::Route(target) => route::send(self, &letter, target),
            SubscriberTarget::Job(target) => job::send(self, &letter, target),
            SubscriberTarget::Gateway(target) => gateway::send(self, &letter, target),
            SubscriberTarget::Email(target) => mail::send(self, &letter, target),
            SubscriberTarget::Sqs(target) => aws::queue(self, &letter, target),
            SubscriberTarget::Eventbridge(target) => aws::bus(self, &letter, target),
            SubscriberTarget::Nats(target) => nats::send(self, &letter, target),
            SubscriberTarget::Kafka(target) => kafka::send(self, &letter, target),
        }
    }

    fn secret(&self, parcel: &Parcel, place: &SecretPlace) -> Result<String, String> {
        resolve_secret(&self.kept, &parcel.resources, &self.folder, place)
    }

    fn optional(
        &self,
        parcel: &Parcel,
        place: Option<&SecretPlace>,
    ) -> Result<Option<String>, String> {
        place.map(|place| self.secret(parcel, place)).transpose()
    }

    fn file(&self, file: Option<&PathBuf>) -> Option<PathBuf> {
        file.map(|file| self.folder.join(file))
    }

    /// The server of an address, and what is asked for there.
    fn endpoint<'u>(
        &self,
        url: &'u str,
        authorities: Option<&PathBuf>,
        letter: &Letter<'_>,
    ) -> Result<(Endpoint, &'u str), String> {
        let (base, path) = parts(url).ok_or("its address is none")?;
        let endpoint = match self
            .file(authorities)
            .filter(|_| base.starts_with("https://"))
        {
            Some(file) => Endpoint::with_authorities(base, &file),
            None => Endpoint::new(base),
        };
        // The path of an address may be a secret; the error shows host and port only.
        let endpoint = endpoint.map_err(|error| error.to_string())?;
        let timeout = letter.timeout;
        let endpoint = endpoint.patient(timeout).within(timeout);
        Ok((endpoint.held(letter.parcel.term.clone()), path))
    }
}

/// An address as what connections go to, and what is asked for there.
fn parts(url: &str) -> Option<(&str, &str)> {
    let begin = url.find("://")? + 3;
    let end = url[begin..].find(['/', '?']);
    let end = end.map_or(url.len(), |end| begin + end);
    match &url[end..] {
        "" => Some((url, "/")),
        path if path.starts_with('/') => Some((&url[..end], path)),
        _ => None,
    }
}

/// An event as header fields and a body.
fn written(event: &CloudEvent, mode: CloudEventMode) -> (Vec<(String, String)>, Vec<u8>) {
    match mode {
        CloudEventMode::Binary => {
            let (fields, body) = write_binary(event);
            (fields, body.to_vec())
        }
        CloudEventMode::Structured => {
            let mut body = Vec::new();
            write_structured(event, &mut body);
            (vec![("content-type".into(), STRUCTURED.into())], body)
        }
    }
}

/// The fields that say which message of which subscriber it is.
fn signs(parcel: &Parcel, now_s: u64) -> Vec<(String, String)> {
    let mut fields = vec![
        ("webhook-id".to_owned(), parcel.key.clone()),
        ("webhook-timestamp".to_owned(), now_s.to_string()),
        ("idempotency-key".to_owned(), parcel.key.clone()),
        (
            "tidegate-subscriber".to_owned(),
            parcel.id.subscriber.clone(),
        ),
        ("tidegate-attempt".to_owned(), parcel.number.to_string()),
    ];
    if parcel.id.replay > 0 {
        fields.push(("tidegate-replay".to_owned(), parcel.id.replay.to_string()));
    }
    fields
}

/// What an answer over HTTP means.
fn answered(reply: &Reply) -> Result<(), Failure> {
    status(reply.status, reply.header("retry-after"))
}

/// What a status means.
fn status(status: u16, after: Option<&str>) -> Result<(), Failure> {
    let reason = format!("it answered with status {status}");
    match status {
        200..=299 => Ok(()),
        400 | 410 | 413 | 415 | 422 => Err(Failure::Never(reason)),
        _ => {
            let after = after.and_then(|text| later::seconds(text.as_bytes(), now_s()));
            let after_ms = after.map(|after| after.min(AFTER_S_MAX) * 1_000);
            Err(Failure::Later(reason, after_ms))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_of_course_and_event() {
        let id = |subscriber: &str, replay| CourseId {
            subscriber: subscriber.into(),
            replay,
        };
        let all = [
            key(&id("a", 0), "/shop 1"),
            key(&id("a", 1), "/shop 1"),
            key(&id("b", 0), "/shop 1"),
            key(&id("a", 0), "/shop 2"),
        ];
        assert_eq!(key(&id("a", 0), "/shop 1"), all[0]);
        let each: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(each.len(), 4);
        assert!(all[0].starts_with("msg_") && all[0].len() == 36);
    }

    #[test]
    fn answers_say_whether_to_come_again() {
        let reply = |status, after: Option<&str>| Reply {
            status,
            headers: after
                .map(|text| ("retry-after".into(), text.into()))
                .into_iter()
                .collect(),
            body: Vec::new(),
        };
        assert!(answered(&reply(204, None)).is_ok());
        for status in [400, 410, 413, 415, 422] {
            assert!(matches!(
                answered(&reply(status, None)),
                Err(Failure::Never(_))
            ));
        }
        for status in [301, 401, 404, 408, 429, 500, 503] {
            assert!(matches!(
                answered(&reply(status, None)),
                Err(Failure::Later(_, None))
            ));
        }
        let later = answered(&reply(429, Some("7")));
        assert!(matches!(later, Err(Failure::Later(_, Some(7_000)))));
        let later = answered(&reply(503, Some("99999999999")));
        assert!(matches!(later, Err(Failure::Later(_, Some(86_400_000)))));
        let at = gate_kit::date::http_date(Duration::from_secs(now_s() + 7_200));
        let later = answered(&reply(503, Some(&at)));
        let Err(Failure::Later(_, Some(wait_ms))) = later else {
            panic!("a date says when");
        };
        assert!((7_100_000..=7_200_000).contains(&wait_ms), "{wait_ms}");
    }
}
