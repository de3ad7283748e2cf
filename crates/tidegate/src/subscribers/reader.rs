//! The journal as subscribers read it: many of them near its end, so that what was read last is kept.

use crate::config::Secrets;
use gate_model::resources::Gateway;
use gate_ops::event::cloud::{CloudEvent, Limits, read_structured};
use gate_ops::event::delivery::Wants;
use gate_proxy::events::environment_of;
use gate_proxy::money::store::open_reading;
use gate_store::StoreError;
use gate_store::journal::{Event, ReadJournal};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Most events that are read at once.
pub(super) const PAGE: usize = 200;
/// Most bytes of payloads that are kept, and most events.
const KEPT_BYTES_MAX: usize = 8 << 20;
const KEPT_MAX: usize = 20_000;
/// Most bytes of an event that is one: what the journal takes is bounded above that.
const EVENT_BYTES_MAX: usize = 64 << 20;

/// Opens a connection to the journal of one's own; blocks, with limits.
pub(super) type Open = Arc<dyn Fn() -> Result<Box<dyn ReadJournal>, StoreError> + Send + Sync>;

/// How the journal is opened of the store that `gateway.store` names.
pub(super) fn opener(gateway: &Gateway, folder: &Path) -> Option<Open> {
    let settings = gateway.store.clone()?;
    let folder = folder.to_owned();
    Some(Arc::new(move || open_reading(&settings, &Secrets, &folder)))
}

/// An event of the journal.
pub(super) struct Loaded {
    pub(super) event: Event,
    /// The same as JSON; none for what is no CloudEvent, of another environment, and destroyed.
    pub(super) json: Option<Value>,
    /// Which subscribers want it, by the filters of one time.
    wanted: OnceLock<(u64, Vec<u64>)>,
}

impl Loaded {
    fn new(event: Event, environment: &str) -> Self {
        let is_ours = environment_of(&event.key).is_none_or(|of| of == environment);
        // What else is in the journal is none of these subscribers' business.
        let payload = event.payload.as_ref().filter(|_| is_ours);
        let json = payload.and_then(|payload| {
            let value: Value = serde_json::from_slice(payload).ok()?;
            let is_event = value.get("specversion").is_some_and(Value::is_string);
            is_event.then_some(value)
        });
        Loaded {
            event,
            json,
            wanted: OnceLock::new(),
        }
    }

    /// The event.
    pub(super) fn cloud(&self) -> Result<CloudEvent, String> {
        let payload = self.event.payload.as_deref().unwrap_or_default();
        let limits = Limits {
            event_bytes: EVENT_BYTES_MAX,
            attribute_bytes: EVENT_BYTES_MAX,
            extensions: usize::MAX,
            ..Limits::default()
        };
        read_structured(payload, &limits).map_err(|error| format!("it is no event: {error}"))
    }

    /// Which subscribers want it; asked once for filters of one time.
    pub(super) fn wanted(&self, time: u64, wants: &mut Wants) -> Vec<u64> {
        let Some(json) = &self.json else {
            return Vec::new();
        };
        let payload = self.event.payload.as_deref().unwrap_or_default();
        match self.wanted.get() {
            Some((of, wanted)) if *of == time => wanted.clone(),
            _ => {
                let wanted = wants.find(payload, json);
                let _ = self.wanted.set((time, wanted.clone()));
                wanted
            }
        }
    }
}

/// Reads the journal.
pub(super) struct Reader {
    open: Open,
    /// Whose events are read, beside those of no environment.
    environment: String,
    source: Option<Box<dyn ReadJournal>>,
    kept: BTreeMap<u64, Arc<Loaded>>,
    /// Places in the order in which they were read, with the bytes of each.
    order: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl Reader {
    pub(super) fn new(open: Open, environment: &str) -> Self {
        Reader {
            open,
            environment: environment.to_owned(),
            source: None,
            kept: BTreeMap::new(),
            order: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Asks over the connection; one that failed is not kept.
    pub(super) fn ask<T>(
        &mut self,
        ask: impl FnOnce(&mut dyn ReadJournal) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut source = match self.source.take() {
            Some(source) => source,
            None => (self.open)()?,
        };
        let answer = ask(&mut *source);
        if answer.is_ok() {
            self.source = Some(source);
        }
        answer
    }

    /// At most so many events behind a place, in order; fewer than there are, now and then.
    pub(super) fn behind(
        &mut self,
        place: u64,
        count: usize,
    ) -> Result<Vec<Arc<Loaded>>, StoreError> {
        let mut found = Vec::new();
        let mut next = place + 1;
        while let Some(event) = self.kept.get(&next)
            && found.len() < count
        {
            found.push(event.clone());
            next += 1;
        }
        if !found.is_empty() {
            return Ok(found);
        }
        let events = self.ask(|source| source.behind(place, count))?;
        for event in events {
            found.push(self.keep(event));
        }
        Ok(found)
    }

    /// The event of a place, if the journal has it still.
    pub(super) fn at(&mut self, place: u64) -> Result<Option<Arc<Loaded>>, StoreError> {
        let events = self.behind(place.saturating_sub(1), 1)?;
        Ok(events.into_iter().find(|one| one.event.place == place))
    }

    fn keep(&mut self, event: Event) -> Arc<Loaded> {
        let (place, bytes) = (
            event.place,
            event.payload.as_ref().map_or(0, Vec::len) + 500,
        );
        let loaded = Arc::new(Loaded::new(event, &self.environment));
        if self.kept.insert(place, loaded.clone()).is_none() {
            self.order.push_back((place, bytes));
            self.bytes += bytes;
        }
        while self.bytes > KEPT_BYTES_MAX || self.kept.len() > KEPT_MAX {
            let Some((old, bytes)) = self.order.pop_front() else {
                break;
            };
            self.kept.remove(&old);
            self.bytes -= bytes;
        }
        loaded
    }

    /// Forgets what was read: a payload that is destroyed from now on is not delivered from here for
    /// longer than it takes to be asked for again.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
        self.order.clear();
        self.bytes = 0;
    }
}
