//! Who is told: subscribers as they are configured, replays as people want them, and where each goes on.

use super::reader::PAGE;
use super::roll::{Change, Ready, Roll, end_ms};
use super::stored::{CourseData, Replay};
use super::work::{Led, Work};
use gate_model::resources::{Resources, SubscriberStart};
use gate_ops::event::delivery::{Course, Filter, Settings, Shape, VALUES_MAX, Wants};
use gate_store::control::{ControlError, CourseId};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Work {
    /// Reads the subscribers of a configuration. It was checked, so that what cannot be read is a newer
    /// gateway's, or too many patterns; its subscriber stands still.
    pub(super) fn ready(&mut self, resources: &Resources) -> (BTreeMap<String, Arc<Ready>>, Wants) {
        self.time += 1;
        let (mut ready, mut wants) = (BTreeMap::new(), Wants::new());
        for (number, (name, subscriber)) in resources.subscribers.iter().enumerate() {
            let number = number as u64;
            let read = || {
                let filter = Filter::read(subscriber.filter.as_ref()).map_err(|error| error.1)?;
                let shape = Shape::read(subscriber.transform.as_ref()).map_err(|error| error.1)?;
                Ok::<_, String>((filter, shape))
            };
            let read = read().and_then(|(filter, shape)| {
                wants.add(number, filter)?;
                Ok(shape)
            });
            match read {
                Ok(shape) => {
                    let subscriber = subscriber.clone();
                    let one = Ready {
                        subscriber,
                        shape,
                        number,
                    };
                    ready.insert(name.clone(), Arc::new(one));
                }
                Err(problem) => {
                    tracing::error!(subscriber = name, problem, "a subscriber stands still");
                }
            }
        }
        (ready, wants)
    }

    /// Sees that every subscriber and every replay has its roll, and what people want of each.
    pub(super) fn enroll(&mut self, led: &mut Led) -> Result<(), ControlError> {
        let desk = led.desk.1.clone();
        let own = led.ready.iter().map(|(name, ready)| {
            let subscriber = name.clone();
            (
                CourseId {
                    subscriber,
                    replay: 0,
                },
                ready.clone(),
                None,
            )
        });
        let replays = desk.replays.iter().filter_map(|replay| {
            let ready = led.ready.get(&replay.subscriber)?.clone();
            let id = CourseId {
                subscriber: replay.subscriber.clone(),
                replay: replay.number,
            };
            Some((id, ready, Some(replay.clone())))
        });
        let wanted: Vec<_> = own.chain(replays).collect();
        let is_new = wanted.iter().any(|(id, ..)| !led.rolls.contains_key(id));
        let mut stored: BTreeMap<CourseId, (CourseData, bool)> = BTreeMap::new();
        if is_new {
            let environment = self.environment();
            for row in self.shelf.ask(|store| store.courses(&environment))? {
                match serde_json::from_str(&row.data) {
                    Ok(data) => drop(stored.insert(row.id, (data, row.is_over))),
                    Err(error) => {
                        // It begins anew rather than never: events are repeated, none is lost.
                        let subscriber = row.id.subscriber;
                        tracing::error!(subscriber, %error, "its position cannot be read");
                    }
                }
            }
        }
        for (id, ready, replay) in wanted {
            if !led.rolls.contains_key(&id) {
                let known = stored.remove(&id);
                if replay.is_some() && known.as_ref().is_some_and(|(_, is_over)| *is_over) {
                    continue;
                }
                let data = known.map(|(data, _)| data);
                let roll = self.roll(led, &id, ready.clone(), replay.as_ref(), data)?;
                led.rolls.insert(id.clone(), roll);
            }
            if let Some(roll) = led.rolls.get_mut(&id) {
                roll.is_paused =
                    ready.subscriber.paused || desk.paused.contains_key(&id.subscriber);
                if roll.replay != replay {
                    roll.replay = replay;
                    roll.note(Change::Settled);
                }
            }
        }
        Ok(())
    }

    /// A roll that begins, or goes on where it was kept.
    pub(super) fn roll(
        &mut self,
        led: &mut Led,
        id: &CourseId,
        ready: Arc<Ready>,
        replay: Option<&Replay>,
        data: Option<CourseData>,
    ) -> Result<Roll, ControlError> {
        let settings = Settings::of(&ready.subscriber);
        let is_known = data.is_some();
        let data = match data {
            Some(data) => data,
            None => {
                let place = match (replay, ready.subscriber.start) {
                    (Some(replay), _) => replay.from,
                    (None, SubscriberStart::Now) => self.reader.ask(|source| source.end())?,
                    (None, SubscriberStart::Beginning) => 0,
                    (None, SubscriberStart::Place(place)) => place,
                    (None, SubscriberStart::Time(time)) => {
                        self.reader.ask(|source| source.place_at(end_ms(time)))?
                    }
                };
                let mut data = CourseData::default();
                data.kept.place = place;
                // Behind the newest event there may be more before a time that is still to come.
                if let (None, SubscriberStart::Time(time)) = (replay, ready.subscriber.start) {
                    data.begins_ms = Some(end_ms(time));
                }
                data
            }
        };
        let mut items = Vec::new();
        for open in &data.kept.open {
            if let Some(loaded) = self.reader.at(open.place)? {
                items.push(ready.item(&loaded));
            }
        }
        let (mut course, lost) = Course::resume(settings, &data.kept, items);
        if !lost.is_empty() {
            let (subscriber, events) = (&id.subscriber, lost.len());
            tracing::warn!(
                subscriber,
                events,
                "the journal has events no more that were to be told"
            );
        }
        self.remember(led, &ready, &mut course)?;
        let mut roll = Roll::new(id.clone(), ready, course);
        roll.counts = data.counts;
        roll.delivered_ms = data.delivered_ms;
        roll.begins_ms = data.begins_ms;
        if is_known {
            roll.change = Change::None;
        }
        Ok(roll)
    }

    /// Reads again what came lately before the position, where events are told apart.
    pub(super) fn remember(
        &mut self,
        led: &mut Led,
        ready: &Ready,
        course: &mut Course,
    ) -> Result<(), ControlError> {
        let Some(within_ms) = course.settings().within_ms else {
            return Ok(());
        };
        let Some(newest) = self.reader.at(course.place())? else {
            return Ok(());
        };
        let since = newest.event.at_ms.saturating_sub(within_ms);
        let begin = self.reader.ask(|source| source.place_at(since))?;
        // As many values as are known may come from as many events.
        let most = VALUES_MAX as u64;
        let mut place = begin.max(course.place().saturating_sub(most));
        while place < course.place() {
            let events = self.reader.behind(place, PAGE)?;
            let Some(last) = events.last() else { break };
            let last = last.event.place;
            self.keep_lease(led)?;
            for loaded in &events {
                if loaded.event.place <= course.place()
                    && (loaded.wanted(led.time, &mut led.wants)).contains(&ready.number)
                {
                    course.remember(&ready.item(loaded));
                }
            }
            place = last;
        }
        Ok(())
    }
}
