//! What became of attempts, and what is written down of it.

use super::crew::Ended;
use super::roll::Change;
use super::stored::{Replay, now_ms, signed};
use super::work::{Led, Pending, Work};
use gate_ops::event::delivery::{Outcome, Settled};
use gate_store::control::{ControlError, CourseId, CourseSave, DeadLetterRow, DeliveriesSave};

/// How long what was settled waits to be kept, and what was only passed over, in milliseconds.
const KEEP_MS: u64 = 100;
const KEEP_PASSED_MS: u64 = 5_000;
/// How often what is old is forgotten, in milliseconds.
const PRUNE_MS: u64 = 60_000;
/// How long where a subscriber was is known that is configured no more: 30 days, in milliseconds.
const GONE_MS: u64 = 30 * 86_400_000;
/// How long a replay is shown that is over: 7 days, in milliseconds.
const REPLAYED_MS: u64 = 7 * 86_400_000;

impl Work {
    /// Takes in how attempts ended.
    pub(super) fn settle(&mut self, ended: Vec<Ended>) {
        let Some(led) = &mut self.led else { return };
        let now = now_ms();
        // What was begun before this gateway led anew was taken up again since.
        let epoch = led.epoch;
        for one in ended.into_iter().filter(|one| one.epoch == epoch) {
            let Some(roll) = led.rolls.get_mut(&one.id) else {
                continue;
            };
            let name = one.id.subscriber.clone();
            let place = one.place;
            if let Outcome::Failed { reason, .. } | Outcome::Refused(reason) = &one.outcome {
                roll.counts.failed += 1;
                self.counts.of(&name, |figures| figures.failed += 1);
                tracing::debug!(subscriber = name, place, reason, "an event did not arrive");
            }
            match roll.course.settle(place, one.outcome, now) {
                Settled::Delivered { again } => {
                    roll.counts.delivered += 1;
                    roll.delivered_ms = Some(now);
                    self.counts.of(&name, |figures| figures.delivered += 1);
                    if again {
                        led.pending.gone.push((name, place));
                    }
                }
                Settled::Dead {
                    reason, attempts, ..
                } => {
                    roll.counts.dead += 1;
                    self.counts.of(&name, |figures| figures.dead += 1);
                    tracing::warn!(
                        subscriber = name,
                        place,
                        reason,
                        "an event is a dead letter"
                    );
                    let loaded = self.reader.at(place).ok().flatten();
                    let word = |word: fn(&gate_store::journal::Event) -> &String| {
                        loaded
                            .as_ref()
                            .map(|one| word(&one.event).clone())
                            .unwrap_or_default()
                    };
                    led.first_dead = Some(led.first_dead.map_or(place, |first| first.min(place)));
                    led.pending.dead.push(DeadLetterRow {
                        subscriber: name,
                        place,
                        key: word(|event| &event.key),
                        kind: word(|event| &event.kind),
                        reason,
                        attempts: u64::from(attempts),
                        is_redriven: false,
                        at_ms: signed(now),
                    });
                }
                Settled::Again(_) | Settled::Unknown => {}
            }
            roll.note(Change::Settled);
        }
    }

    /// Keeps what changed, when it is time.
    pub(super) fn keep(&mut self) -> Result<(), ControlError> {
        let Some(mut led) = self.led.take() else {
            return Ok(());
        };
        let now = now_ms();
        let pending = &led.pending;
        let changes = led.rolls.values().map(|roll| roll.change);
        let change = changes.max().unwrap_or(Change::None);
        let is_due = match change {
            Change::Settled => now >= led.kept_ms + KEEP_MS,
            Change::Passed => now >= led.passed_ms + KEEP_PASSED_MS,
            Change::None => false,
        };
        let is_urgent =
            !pending.dead.is_empty() || !pending.gone.is_empty() || !pending.forgotten.is_empty();
        let kept = match is_due || is_urgent {
            true => self.keep_now(&mut led),
            false => Ok(()),
        };
        let kept = kept.and_then(|()| match now >= led.prune_ms {
            true => self.prune(&mut led, now),
            false => Ok(()),
        });
        self.led = Some(led);
        kept
    }

    pub(super) fn keep_now(&mut self, led: &mut Led) -> Result<(), ControlError> {
        let now = now_ms();
        let changed: Vec<(&CourseId, String, bool)> = (led.rolls.iter())
            .filter(|(_, roll)| roll.change != Change::None)
            .map(|(id, roll)| {
                let data = serde_json::json!(roll.data()).to_string();
                (id, data, roll.is_over())
            })
            .collect();
        let courses: Vec<CourseSave<'_>> = (changed.iter())
            .map(|(id, data, is_over)| CourseSave {
                id,
                data,
                is_over: *is_over,
            })
            .collect();
        let save = DeliveriesSave {
            environment: &self.shelf.environment,
            lease: &led.lease,
            courses: &courses,
            dead: &led.pending.dead,
            gone: &led.pending.gone,
            forgotten: &led.pending.forgotten,
            now_ms: signed(now),
        };
        self.shelf.ask(|store| store.save_deliveries(&save))?;
        led.pending = Pending::default();
        (led.kept_ms, led.passed_ms) = (now, now);
        for roll in led.rolls.values_mut() {
            roll.change = Change::None;
        }
        // A replay that is over needs no roll any more.
        led.rolls
            .retain(|_, roll| roll.replay.is_none() || !roll.is_over());
        Ok(())
    }

    /// Forgets what is old, and says what of the journal is needed still.
    pub(super) fn prune(&mut self, led: &mut Led, now: u64) -> Result<(), ControlError> {
        led.prune_ms = now + PRUNE_MS;
        self.reader.forget();
        let environment = self.environment();
        for (name, ready) in &led.ready {
            let dead = &ready.subscriber.dead_letter;
            let keep = u64::try_from(dead.keep.duration().as_millis()).unwrap_or(u64::MAX);
            let before = signed(now.saturating_sub(keep));
            self.shelf
                .ask(|store| store.prune_dead_letters(&environment, name, before, dead.most))?;
        }
        let replays = &led.desk.1.replays;
        for row in self.shelf.ask(|store| store.courses(&environment))? {
            let is_replayed =
                |one: &Replay| one.subscriber == row.id.subscriber && one.number == row.id.replay;
            let age = now.saturating_sub(u64::try_from(row.changed_ms).unwrap_or(0));
            let is_gone = match row.id.replay {
                0 => !led.ready.contains_key(&row.id.subscriber) && age > GONE_MS,
                _ => !replays.iter().any(is_replayed) && age > REPLAYED_MS,
            };
            if is_gone {
                led.pending.forgotten.push(row.id);
            }
        }
        let floors = led.rolls.values().map(|roll| roll.course.floor());
        let dead = led.first_dead.map(|place| place.saturating_sub(1));
        let floor = floors.chain(dead).min();
        let name = format!("subscribers/{environment}");
        self.reader.ask(|source| {
            match floor {
                Some(floor) => {
                    let from = source.position(&name)?;
                    source.advance(&name, from, floor)?;
                }
                // The journal keeps nothing for nobody.
                None => drop(source.leave(&name)?),
            }
            Ok(())
        })?;
        Ok(())
    }
}
