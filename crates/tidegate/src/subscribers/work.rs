//! The thread: leads where it holds the lease, and does a step of everything that is due. `lead.rs` is about
//! the lease, `roster.rs` says who is told, `keep.rs` writes down what became of it.

use super::crew::Crew;
use super::reader::{PAGE, Reader};
use super::roll::{Change, Ready, Roll, end_ms};
use super::send::{Means, Parcel, key};
use super::stored::{Desk, now_ms, read_desk, signed};
use crate::incidents::Shelf;
use gate_api::Term;
use gate_kit::clock::Clock;
use gate_model::resources::{Resources, SubscriberEnd};
use gate_ops::event::delivery::{Item, Outcome, Taken, Wants};
use gate_proxy::process::Process;
use gate_proxy::record::metrics::SubscriberCounts;
use gate_store::control::{ControlError, CourseId, DeadLetterRow, Lease};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the journal is looked at when nothing is to be done.
const LOOK: Duration = Duration::from_millis(100);
/// How long is waited after a store that did not answer.
const BACKOFF: Duration = Duration::from_secs(1);
/// How often dead letters are looked for that are to be delivered again, in milliseconds.
pub(super) const REDRIVE_MS: u64 = 500;
/// Most events that are looked at in one step, of all courses.
const STEP_EVENTS: usize = 5_000;
/// Attempts that any course may have, and those that are free before one may have more.
const FEW: usize = 8;
const SPARE: usize = 32;

/// What became of deliveries and is not kept yet.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) dead: Vec<DeadLetterRow>,
    pub(super) gone: Vec<(String, u64)>,
    pub(super) forgotten: Vec<CourseId>,
}

/// What whoever leads knows.
pub(super) struct Led {
    pub(super) lease: Lease,
    /// Which time of leading it is.
    pub(super) epoch: u64,
    /// How long attempts at events in an order go on.
    pub(super) term: Term,
    /// The same of the time before, whose attempts may be under way in this process still.
    pub(super) former: Option<Term>,
    pub(super) renew_ms: u64,
    pub(super) resources: Arc<Resources>,
    pub(super) ready: BTreeMap<String, Arc<Ready>>,
    pub(super) wants: Wants,
    /// Since which reading of the configuration `wants` holds.
    pub(super) time: u64,
    pub(super) desk: (u64, Desk),
    pub(super) rolls: BTreeMap<CourseId, Roll>,
    pub(super) pending: Pending,
    pub(super) kept_ms: u64,
    pub(super) passed_ms: u64,
    pub(super) redrive_ms: u64,
    pub(super) prune_ms: u64,
    /// The lowest place of a dead letter.
    pub(super) first_dead: Option<u64>,
    /// Which course is looked at first in the next step.
    pub(super) turn: usize,
    /// The journal's end, as it was looked at last.
    pub(super) end: u64,
}

impl Led {
    /// Whether attempts of the time before may be under way still.
    fn waits(&self) -> bool {
        self.former.as_ref().is_some_and(|term| !term.is_over())
    }
}

/// The thread's own.
pub(super) struct Work {
    pub(super) process: Arc<Process>,
    pub(super) shelf: Shelf,
    pub(super) holder: String,
    pub(super) reader: Reader,
    pub(super) crew: Crew,
    pub(super) counts: Arc<SubscriberCounts>,
    pub(super) led: Option<Led>,
    /// How often a configuration was read.
    pub(super) time: u64,
    /// How often this gateway came to lead.
    pub(super) epoch: u64,
    /// The term of when it last did.
    pub(super) term: Option<Term>,
}

impl Work {
    pub(super) fn new(
        process: &Arc<Process>,
        shelf: Shelf,
        holder: String,
        reader: Reader,
        means: Means,
    ) -> Self {
        let state = &process.shared().state;
        Work {
            process: process.clone(),
            shelf,
            holder,
            reader,
            crew: Crew::new(means),
            counts: state.get_or_insert("", SubscriberCounts::default),
            led: None,
            time: 0,
            epoch: 0,
            term: None,
        }
    }

    pub(super) fn run(&mut self, ends: &AtomicBool) {
        let mut is_down = false;
        let mut pause = LOOK;
        while !ends.load(Ordering::Acquire) {
            let ended = self.crew.ended(pause);
            self.settle(ended);
            pause = match self.step() {
                Ok(pause) => {
                    is_down = false;
                    pause
                }
                Err(ControlError::NotLeader(_)) => {
                    self.led = None;
                    LOOK
                }
                Err(error) => {
                    if !is_down {
                        tracing::warn!(%error, "subscribers wait for the store");
                    }
                    is_down = true;
                    BACKOFF
                }
            };
        }
    }

    pub(super) fn environment(&self) -> String {
        self.shelf.environment.clone()
    }

    /// Does what is due; says how long nothing will be.
    fn step(&mut self) -> Result<Duration, ControlError> {
        let resources = self.process.shared().snapshot.load().resources.clone();
        if resources.subscribers.is_empty() && self.led.is_none() {
            return Ok(LOOK * 5);
        }
        if !self.leads(&resources)? {
            let is_known = |name: &str| resources.subscribers.contains_key(name);
            self.counts.keep(is_known, false);
            return Ok(LOOK * 5);
        }
        self.follow(&resources)?;
        self.look_at_desk()?;
        let has_more = self.read()?;
        self.redrive()?;
        self.begin()?;
        self.keep()?;
        self.tell();
        if has_more {
            return Ok(Duration::ZERO);
        }
        let now = now_ms();
        let waits = self.led.as_ref().is_some_and(Led::waits);
        let rolls = self.led.iter().flat_map(|led| led.rolls.values());
        let next = rolls
            .filter(|roll| roll.goes() && !(waits && roll.is_in_order()))
            .filter_map(|roll| roll.course.next_ms());
        let next = next
            .min()
            .map(|at| Duration::from_millis(at.saturating_sub(now)));
        let next = next.filter(|_| self.crew.room() > 0).unwrap_or(LOOK);
        Ok(next.clamp(Duration::from_millis(1), LOOK))
    }

    /// Takes over a configuration that changed.
    fn follow(&mut self, resources: &Arc<Resources>) -> Result<(), ControlError> {
        let Some(mut led) = self.led.take() else {
            return Ok(());
        };
        if !Arc::ptr_eq(&led.resources, resources) {
            let (ready, wants) = self.ready(resources);
            (led.ready, led.wants, led.time) = (ready, wants, self.time);
            led.resources = resources.clone();
            // Where the store fails here, all of it is taken over anew.
            self.keep_now(&mut led)?;
            led.rolls
                .retain(|id, roll| match led.ready.get(&id.subscriber) {
                    Some(ready) => {
                        roll.change(ready.clone());
                        true
                    }
                    None => false,
                });
            self.enroll(&mut led)?;
        }
        self.led = Some(led);
        Ok(())
    }

    /// Looks whether people want something else.
    fn look_at_desk(&mut self) -> Result<(), ControlError> {
        let environment = self.environment();
        let version = (self.shelf).ask(|store| store.delivery_desk_version(&environment))?;
        let Some(mut led) = self.led.take() else {
            return Ok(());
        };
        if version != led.desk.0 {
            let row = self.shelf.ask(|store| store.delivery_desk(&environment))?;
            led.desk = read_desk(row)?;
            self.enroll(&mut led)?;
        }
        self.led = Some(led);
        Ok(())
    }

    /// Reads on where there is room; whether there is more to read at once.
    fn read(&mut self) -> Result<bool, ControlError> {
        let Some(led) = &mut self.led else {
            return Ok(false);
        };
        led.end = self.reader.ask(|source| source.end())?;
        let now = now_ms();
        let mut budget = STEP_EVENTS;
        let mut has_more = false;
        let rolls: Vec<CourseId> = led.rolls.keys().cloned().collect();
        let first = led.turn % rolls.len().max(1);
        led.turn = led.turn.wrapping_add(1);
        for id in rolls[first..].iter().chain(&rolls[..first]) {
            let Some(roll) = led.rolls.get_mut(id) else {
                continue;
            };
            while roll.goes() && !roll.has_ended && roll.course.place() < led.end && budget > 0 {
                let count = roll.course.room().min(PAGE).min(budget);
                if count == 0 {
                    break;
                }
                let events = self.reader.behind(roll.course.place(), count)?;
                if events.is_empty() {
                    break;
                }
                budget = budget.saturating_sub(events.len());
                for loaded in &events {
                    let (place, at_ms) = (loaded.event.place, loaded.event.at_ms);
                    if roll.is_behind_end(place, at_ms) {
                        roll.has_ended = true;
                        break;
                    }
                    let wants = loaded.wanted(led.time, &mut led.wants);
                    if roll.is_too_early(at_ms) || !wants.contains(&roll.ready.number) {
                        roll.course.pass(place);
                        roll.note(Change::Passed);
                        continue;
                    }
                    let item: Item = roll.ready.item(loaded);
                    match roll.course.take_in(item, now) {
                        Taken::Wanted | Taken::Passed => {}
                        Taken::Repeated => {
                            roll.counts.repeated += 1;
                            let name = &roll.id.subscriber;
                            self.counts.of(name, |figures| figures.repeated += 1);
                        }
                    }
                    roll.note(Change::Settled);
                }
            }
            let place = roll.course.place();
            let is_at_end = match (&roll.replay, roll.ready.subscriber.end) {
                (Some(replay), _) => place >= replay.until,
                (None, Some(SubscriberEnd::Place(end))) => place >= end,
                (None, Some(SubscriberEnd::Time(end))) => {
                    place >= led.end && signed(now) >= end_ms(end)
                }
                (None, None) => false,
            };
            if is_at_end && !roll.has_ended {
                roll.has_ended = true;
                roll.note(Change::Settled);
            }
            let may = roll.goes() && !roll.has_ended && roll.course.room() > 0;
            has_more |= may && roll.course.place() < led.end && budget == 0;
        }
        Ok(has_more)
    }

    /// Takes in dead letters that are to be delivered again.
    fn redrive(&mut self) -> Result<(), ControlError> {
        let environment = self.environment();
        let Some(led) = &mut self.led else {
            return Ok(());
        };
        let now = now_ms();
        if now < led.redrive_ms {
            return Ok(());
        }
        led.redrive_ms = now + REDRIVE_MS;
        let counts = (self.shelf).ask(|store| store.dead_letter_counts(&environment))?;
        let known = counts
            .iter()
            .filter(|one| led.ready.contains_key(&one.subscriber));
        led.first_dead = known.map(|one| one.first).min();
        for count in counts.iter().filter(|one| one.redriven > 0) {
            let subscriber = count.subscriber.clone();
            let id = CourseId {
                subscriber,
                replay: 0,
            };
            let Some(roll) = led.rolls.get_mut(&id).filter(|roll| roll.goes()) else {
                continue;
            };
            let name = &id.subscriber;
            let rows = (self.shelf).ask(|store| store.redriven(&environment, name, PAGE))?;
            for row in rows {
                let is_pending = led
                    .pending
                    .gone
                    .iter()
                    .any(|(_, place)| *place == row.place)
                    || led.pending.dead.iter().any(|dead| dead.place == row.place);
                if is_pending {
                    continue;
                }
                match self.reader.at(row.place)?.filter(|one| one.json.is_some()) {
                    Some(loaded) => {
                        roll.course.redrive(roll.ready.item(&loaded), now);
                    }
                    None => led.pending.dead.push(DeadLetterRow {
                        reason: "the journal has the event no more".into(),
                        is_redriven: false,
                        ..row
                    }),
                }
            }
        }
        Ok(())
    }

    /// Begins as many attempts as there is room for.
    fn begin(&mut self) -> Result<(), ControlError> {
        let Some(led) = &mut self.led else {
            return Ok(());
        };
        // What nobody renewed may be led by another by now.
        let now = now_ms();
        if signed(now) >= led.lease.expires_ms {
            return Ok(());
        }
        let waits = led.waits();
        let ids: Vec<CourseId> = led.rolls.keys().cloned().collect();
        let first = led.turn % ids.len().max(1);
        for id in ids[first..].iter().chain(&ids[..first]) {
            let Some(roll) = led.rolls.get_mut(id).filter(|roll| roll.goes()) else {
                continue;
            };
            if waits && roll.is_in_order() {
                continue;
            }
            while self.crew.room() > 0 {
                let (_, running) = roll.course.open();
                if running >= FEW && self.crew.room() < SPARE {
                    break;
                }
                let Some(attempt) = roll.course.next(now) else {
                    break;
                };
                roll.note(Change::Settled);
                let loaded = match self.reader.at(attempt.place) {
                    Ok(loaded) => loaded,
                    Err(error) => {
                        roll.course.settle(attempt.place, Outcome::Dropped, now);
                        return Err(error.into());
                    }
                };
                let Some(loaded) = loaded.filter(|loaded| loaded.json.is_some()) else {
                    // Its payload was destroyed, or it was pruned: there is nothing left to tell.
                    roll.course.drop_open(attempt.place);
                    continue;
                };
                self.crew.begin(Parcel {
                    id: id.clone(),
                    place: attempt.place,
                    epoch: led.epoch,
                    term: roll.is_in_order().then(|| led.term.clone()),
                    number: attempt.number,
                    key: key(id, &loaded.event.key),
                    ready: roll.ready.clone(),
                    resources: led.resources.clone(),
                    loaded,
                });
            }
        }
        Ok(())
    }

    /// Says in metrics where subscribers are.
    fn tell(&self) {
        let Some(led) = &self.led else { return };
        self.counts.keep(|name| led.ready.contains_key(name), true);
        for (id, roll) in led.rolls.iter().filter(|(id, _)| id.replay == 0) {
            self.counts.of(&id.subscriber, |figures| {
                figures.lag = led.end.saturating_sub(roll.course.place());
                figures.open = roll.course.open().0 as u64;
            });
        }
    }
}

/// The time of messages, in UNIX seconds.
pub(super) fn now_s() -> u64 {
    Clock::System.unix().as_secs()
}
