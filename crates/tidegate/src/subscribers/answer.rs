//! What the admin API asks of subscribers: [`SubscriberBook`] over what is in the store.

#![allow(
    clippy::result_large_err,
    reason = "a problem is made once, for an answer; nothing here is hot"
)]

use super::Subscribers;
use super::reader::PAGE;
use super::stored::{CourseData, Desk, Pause, REPLAYS_MAX, Replay, Stored, signed};
use gate_admin::convert::time;
use gate_admin::{Asker, SubscriberBook, refused};
use gate_api::problem::{Code, Problem};
use gate_api::types as api;
use gate_kit::order::Gather;
use gate_model::resources::Subscriber;
use gate_model::units::Timestamp;
use gate_proxy::process::Process;
use gate_store::StoreError;
use gate_store::control::{ControlError, CourseRow, NewAudit, Redrive};
use gate_store::journal::ReadJournal;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most failures that are shown of a subscriber.
const FAILURES_MAX: usize = 100;
/// Most events of the journal that are looked at for one answer.
const LOOKED_MAX: usize = 20_000;
/// Most replays that run at the same time.
const RUNNING_MAX: usize = 20;

/// The book of a process.
pub(crate) struct Book {
    stored: Arc<Stored>,
    process: Arc<Process>,
    journal: Mutex<Option<Box<dyn ReadJournal>>>,
}

/// What is in the store about subscribers.
struct Seen {
    desk: Desk,
    courses: BTreeMap<(String, u64), (CourseData, bool)>,
    dead: BTreeMap<String, u64>,
    end: u64,
}

fn problem(code: Code, text: impl Into<String>) -> Problem {
    Problem::new(code, text)
}

fn at(ms: u64) -> String {
    time(signed(ms))
}

fn read_time(name: &str, text: &str) -> Result<i64, Problem> {
    let wrong = || {
        problem(
            Code::Invalid,
            format!("`{name}` is a time such as `2026-11-22T10:00:00Z`"),
        )
    };
    let time: Timestamp = text.parse().map_err(|_| wrong())?;
    Ok(super::roll::end_ms(time))
}

impl Book {
    /// The book of what a process tells; none without a store.
    pub(crate) fn new(subscribers: &Subscribers, process: &Arc<Process>) -> Option<Self> {
        Some(Self {
            stored: subscribers.stored.clone()?,
            process: process.clone(),
            journal: Mutex::default(),
        })
    }

    /// Asks the journal over a connection that is kept; one that failed is not.
    fn ask<T>(
        &self,
        ask: impl FnOnce(&mut dyn ReadJournal) -> Result<T, StoreError>,
    ) -> Result<T, Problem> {
        let mut place = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let refuse = |error: StoreError| refused(ControlError::Store(error));
        let mut source = match place.take() {
            Some(source) => source,
            None => (self.stored.read)().map_err(refuse)?,
        };
        let answer = ask(&mut *source);
        if answer.is_ok() {
            *place = Some(source);
        }
        answer.map_err(refuse)
    }

    fn subscribers_now(&self) -> BTreeMap<String, Subscriber> {
        let resources = self.process.shared().snapshot.load().resources.clone();
        resources.subscribers.clone()
    }

    fn known(&self, name: &str) -> Result<Subscriber, Problem> {
        let found = self.subscribers_now().remove(name);
        found.ok_or_else(|| problem(Code::NotFound, format!("there is no subscriber `{name}`")))
    }

    fn seen(&self) -> Result<Seen, Problem> {
        let environment = self.stored.environment();
        let shelf = &self.stored.shelf;
        let (_, desk) = self.stored.desk().map_err(refused)?;
        let rows: Vec<CourseRow> = shelf
            .ask(|store| store.courses(environment))
            .map_err(refused)?;
        let counts = shelf.ask(|store| store.dead_letter_counts(environment));
        let counts = counts.map_err(refused)?.into_iter();
        let read = |row: CourseRow| {
            let data = serde_json::from_str(&row.data).ok()?;
            Some(((row.id.subscriber, row.id.replay), (data, row.is_over)))
        };
        Ok(Seen {
            desk,
            courses: rows.into_iter().filter_map(read).into_map(),
            dead: counts.map(|one| (one.subscriber, one.count)).into_map(),
            end: self.ask(|source| source.end())?,
        })
    }

    fn change(
        &self,
        (name, action, detail): (&str, &'static str, &str),
        by: Asker<'_>,
        change: impl FnMut(&mut Desk, u64) -> Result<(), Problem>,
    ) -> Result<api::SubscriberDetail, Problem> {
        let subject = format!("subscribers/{name}");
        let line = NewAudit {
            actor: by.actor,
            role: by.role,
            action,
            subject: &subject,
            outcome: "done",
            detail,
        };
        self.stored.change(&line, change).map_err(refused)??;
        self.subscriber(name)
    }
}

impl Seen {
    fn state(&self, name: &str, subscriber: &Subscriber) -> api::SubscriberState {
        let known = self.courses.get(&(name.to_owned(), 0));
        let data = known.map(|(data, _)| data.clone()).unwrap_or_default();
        let failing = data.kept.open.iter().filter(|one| one.reason.is_some());
        let pause = self.desk.paused.get(name);
        let state = match known {
            None => "new",
            Some(_) if subscriber.paused || pause.is_some() => "paused",
            Some((_, true)) => "ended",
            Some(_) if failing.clone().next().is_some() => "failing",
            Some(_) => "running",
        };
        let replays = self.desk.replays.iter().rev();
        let replays = replays
            .filter(|one| one.subscriber == name)
            .map(|one| self.replay(one));
        api::SubscriberState {
            name: name.to_owned(),
            about: subscriber.about.clone(),
            target: subscriber.target.as_str().to_owned(),
            state: state.to_owned(),
            paused: pause.map(|pause| api::SubscriberPause {
                by: pause.by.clone(),
                reason: pause.reason.clone(),
                since: at(pause.at_ms),
            }),
            place: data.kept.place,
            lag: known.map_or(0, |_| self.end.saturating_sub(data.kept.place)),
            open: data.kept.open.len() as u64,
            failing: failing.clone().count() as u64,
            problem: failing.clone().find_map(|one| one.reason.clone()),
            delivered: data.counts.delivered,
            failed: data.counts.failed,
            dead: data.counts.dead,
            repeated: data.counts.repeated,
            dead_letters: self.dead.get(name).copied().unwrap_or(0),
            delivered_at: data.delivered_ms.map(at),
            replays: replays.collect(),
        }
    }

    fn replay(&self, replay: &Replay) -> api::ReplayState {
        let known = self
            .courses
            .get(&(replay.subscriber.clone(), replay.number));
        let data = known.map(|(data, _)| data.clone()).unwrap_or_default();
        let state = match (replay.is_cancelled, known) {
            (true, _) => "cancelled",
            (false, Some((_, true))) => "done",
            (false, _) => "running",
        };
        api::ReplayState {
            number: replay.number,
            from: replay.from,
            until: replay.until,
            place: data.kept.place.max(replay.from),
            delivered: data.counts.delivered,
            open: data.kept.open.len() as u64,
            state: state.to_owned(),
            by: replay.by.clone(),
            reason: replay.reason.clone(),
            began: at(replay.at_ms),
        }
    }
}

impl SubscriberBook for Book {
    fn environment(&self) -> &str {
        self.stored.environment()
    }

    fn subscribers(&self) -> Result<Vec<api::SubscriberState>, Problem> {
        let seen = self.seen()?;
        let all = self.subscribers_now();
        Ok(all
            .iter()
            .map(|(name, one)| seen.state(name, one))
            .collect())
    }

    fn subscriber(&self, name: &str) -> Result<api::SubscriberDetail, Problem> {
        let subscriber = self.known(name)?;
        let seen = self.seen()?;
        let data = seen.courses.get(&(name.to_owned(), 0));
        let open = data
            .map(|(data, _)| data.kept.open.clone())
            .unwrap_or_default();
        let failures = open.into_iter().filter_map(|one| {
            Some(api::DeliveryFailure {
                place: one.place,
                attempts: one.attempts,
                reason: one.reason?,
                next: at(one.next_ms),
            })
        });
        Ok(api::SubscriberDetail {
            subscriber: seen.state(name, &subscriber),
            failures: failures.take(FAILURES_MAX).collect(),
        })
    }

    fn hold(
        &self,
        name: &str,
        is_paused: bool,
        reason: &str,
        by: Asker<'_>,
    ) -> Result<api::SubscriberDetail, Problem> {
        let subscriber = self.known(name)?;
        if !is_paused && subscriber.paused {
            let text =
                format!("the configuration holds `{name}`; it goes on when `paused` is taken out");
            return Err(problem(Code::Conflict, text));
        }
        let action = match is_paused {
            true => "pauseSubscriber",
            false => "resumeSubscriber",
        };
        self.change((name, action, reason), by, |desk, now_ms| {
            match is_paused {
                true => {
                    let pause = Pause {
                        by: by.actor.to_owned(),
                        reason: reason.to_owned(),
                        at_ms: now_ms,
                    };
                    desk.paused.insert(name.to_owned(), pause);
                }
                false => drop(desk.paused.remove(name)),
            }
            Ok(())
        })
    }

    fn dead_letters(
        &self,
        name: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<api::DeadLetter>, Problem> {
        self.known(name)?;
        let environment = self.stored.environment();
        let rows =
            (self.stored.shelf).ask(|store| store.dead_letters(environment, name, before, limit));
        let shown = rows
            .map_err(refused)?
            .into_iter()
            .map(|row| api::DeadLetter {
                place: row.place,
                key: row.key,
                kind: row.kind,
                reason: row.reason,
                attempts: row.attempts,
                at: time(row.at_ms),
                redriven: row.is_redriven,
            });
        Ok(shown.collect())
    }

    fn redrive(
        &self,
        name: &str,
        input: &api::RedriveInput,
        by: Asker<'_>,
    ) -> Result<u64, Problem> {
        self.known(name)?;
        let which = match (input.place, &input.since) {
            (Some(place), _) => Redrive::Place(place),
            (None, Some(since)) => Redrive::Since(read_time("since", since)?),
            (None, None) => Redrive::Since(0),
        };
        let (subject, detail) = (format!("subscribers/{name}"), format!("{which:?}"));
        let line = NewAudit {
            actor: by.actor,
            role: by.role,
            action: "redrive",
            subject: &subject,
            outcome: "done",
            detail: &detail,
        };
        let environment = self.stored.environment();
        let now_ms = signed(super::stored::now_ms());
        let marked = (self.stored.shelf)
            .ask(|store| store.redrive(environment, name, which, &line, now_ms))
            .map_err(refused)?;
        match (marked, input.place) {
            (0, Some(place)) => {
                let text = format!("`{name}` has no dead letter of the place {place}");
                Err(problem(Code::NotFound, text))
            }
            _ => Ok(marked),
        }
    }

    fn replay(
        &self,
        name: &str,
        input: &api::ReplayInput,
        by: Asker<'_>,
    ) -> Result<api::SubscriberDetail, Problem> {
        self.known(name)?;
        let since = input
            .since
            .as_deref()
            .map(|since| read_time("since", since))
            .transpose()?;
        let (end, from) = self.ask(|source| {
            let from = since.map(|since| source.place_at(since)).transpose()?;
            Ok((source.end()?, from))
        })?;
        let from = from.or(input.from).unwrap_or(0);
        let until = input.until.unwrap_or(end).min(end);
        if from >= until {
            let text = format!("there is no event behind {from} and up to {until}");
            return Err(problem(Code::Invalid, text));
        }
        let seen = self.seen()?;
        let detail = format!("behind {from} up to {until}: {}", input.reason);
        self.change((name, "replaySubscriber", &detail), by, |desk, now_ms| {
            let runs = |one: &&Replay| seen.replay(one).state == "running";
            if desk.replays.iter().filter(runs).count() >= RUNNING_MAX {
                let text = format!("{RUNNING_MAX} replays run already");
                return Err(problem(Code::Conflict, text));
            }
            desk.replayed += 1;
            desk.replays.push(Replay {
                subscriber: name.to_owned(),
                number: desk.replayed,
                from,
                until,
                by: by.actor.to_owned(),
                reason: input.reason.clone(),
                at_ms: now_ms,
                is_cancelled: false,
            });
            // The oldest that are over are shown no more.
            while desk.replays.len() > REPLAYS_MAX {
                let over = desk.replays.iter().position(|one| !runs(&one));
                desk.replays.remove(over.unwrap_or(0));
            }
            Ok(())
        })
    }

    fn cancel_replay(
        &self,
        name: &str,
        number: u64,
        by: Asker<'_>,
    ) -> Result<api::SubscriberDetail, Problem> {
        self.known(name)?;
        let detail = number.to_string();
        self.change((name, "cancelReplay", &detail), by, |desk, _| {
            let is_it = |one: &&mut Replay| one.subscriber == name && one.number == number;
            let found = desk.replays.iter_mut().find(is_it);
            let missing = || problem(Code::NotFound, format!("`{name}` has no replay {number}"));
            found.ok_or_else(missing)?.is_cancelled = true;
            Ok(())
        })
    }

    fn events(
        &self,
        after: Option<u64>,
        kind: &str,
        limit: usize,
    ) -> Result<(Vec<api::JournalEvent>, u64), Problem> {
        let Some(mut place) = after else {
            return Ok((Vec::new(), self.ask(|source| source.end())?));
        };
        let (mut found, mut looked) = (Vec::new(), 0);
        while looked < LOOKED_MAX {
            let events = self.ask(|source| source.behind(place, PAGE))?;
            if events.is_empty() {
                break;
            }
            looked += events.len();
            for event in events {
                place = event.place;
                if !kind.is_empty() && event.kind != kind {
                    continue;
                }
                let payload = event.payload.as_deref();
                let value: Option<serde_json::Value> =
                    payload.and_then(|payload| serde_json::from_slice(payload).ok());
                let is_event = |value: &serde_json::Value| value["specversion"].is_string();
                // What the store writes for itself is not anybody's event; destroyed ones are shown.
                if payload.is_some() && !value.as_ref().is_some_and(is_event) {
                    continue;
                }
                found.push(api::JournalEvent {
                    place,
                    at: gate_ops::event::own::time(event.at_ms).unwrap_or_default(),
                    kind: event.kind,
                    consumer: Some(event.consumer).filter(|consumer| !consumer.is_empty()),
                    event: value,
                });
                if found.len() >= limit {
                    return Ok((found, place));
                }
            }
        }
        Ok((found, place))
    }
}
