//! What one gateway of an environment tells for all: under a lease, remembering in the store how far
//! it came.

use super::keep;
use super::looks::Look;
use super::schedules::Plans;
use super::state::State;
use crate::follow::OpenStore;
use gate_kit::clock::Clock;
use gate_ops::notify::Alert;
use gate_proxy::process::Process;
use gate_store::Journal;
use gate_store::control::{ControlError, ControlStore, EventStateSave, Lease};

/// How long a lease lasts without being renewed, in milliseconds.
const LEASE_MS: i64 = 15_000;
/// How often it is renewed, in milliseconds.
const RENEW_MS: i64 = 5_000;
/// How often rollouts and incidents are looked at, in milliseconds.
const ROWS_MS: i64 = 2_000;
/// How often it is remembered that nothing happened, in milliseconds.
const QUIET_MS: i64 = 10_000;
/// Alerts that wait for their turn.
const ALERTS_MAX: usize = 5_000;

pub(super) struct Lead {
    environment: String,
    instance: String,
    /// Whether there is an environment to tell of.
    is_following: bool,
    open: OpenStore,
    store: Option<Box<dyn ControlStore>>,
    /// What it leads by: the lease and the state in the store have this name.
    name: String,
    lease: Option<Lease>,
    renew_ms: i64,
    /// What is remembered while it leads, with its version in the store.
    led: Option<(u64, State)>,
    rows_ms: i64,
    saved_ms: i64,
    alerts: Vec<Alert>,
    plans: Plans,
}

impl Lead {
    pub(super) fn new(
        environment: &str,
        instance: &str,
        is_following: bool,
        open: OpenStore,
    ) -> Self {
        Self {
            environment: environment.to_owned(),
            instance: instance.to_owned(),
            is_following,
            open,
            store: None,
            name: String::new(),
            lease: None,
            renew_ms: 0,
            led: None,
            rows_ms: 0,
            saved_ms: 0,
            alerts: Vec::new(),
            plans: Plans::default(),
        }
    }

    /// The environment that it tells of.
    pub(super) fn environment(&self) -> &str {
        &self.environment
    }

    /// Takes over alerts, as far as there is room: those that stay on come again.
    pub(super) fn hear(&mut self, alerts: impl Iterator<Item = Alert>) {
        let room = ALERTS_MAX.saturating_sub(self.alerts.len());
        self.alerts.extend(alerts.take(room));
    }

    /// Tells what has happened, if this gateway leads.
    pub(super) fn tick(&mut self, process: &Process, journal: &Journal) -> Result<(), String> {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => (self.open)().map_err(|error| error.to_string())?,
        };
        let ticked = self.step(&mut *store, process, journal);
        match ticked {
            Ok(()) => {
                self.store = Some(store);
                Ok(())
            }
            Err(Stop::Store(ControlError::NotLeader(_) | ControlError::Stale { .. })) => {
                self.store = Some(store);
                (self.led, self.renew_ms) = (None, 0);
                Ok(())
            }
            Err(Stop::Store(error)) => {
                self.led = None;
                Err(error.to_string())
            }
            Err(Stop::Journal(error)) => {
                self.store = Some(store);
                Err(error)
            }
        }
    }

    fn step(
        &mut self,
        store: &mut dyn ControlStore,
        process: &Process,
        journal: &Journal,
    ) -> Result<(), Stop> {
        let now_ms = i64::try_from(Clock::System.unix().as_millis()).unwrap_or(i64::MAX);
        self.plans
            .follow(&process.shared().snapshot.load().resources);
        // Gateways that follow no environment lead together where they have the same schedules.
        let name = match self.is_following {
            true => self.environment.clone(),
            false => format!("{}/{}", self.environment, self.plans.print),
        };
        if name != self.name {
            (self.name, self.led, self.lease, self.renew_ms) = (name, None, None, 0);
        }
        if now_ms >= self.renew_ms || self.renew_ms > now_ms + RENEW_MS {
            let name = format!("events/{}", self.name);
            self.lease = Some(store.take_lease(&name, &self.instance, now_ms, LEASE_MS)?);
            self.renew_ms = now_ms + RENEW_MS;
        }
        let lease = self.lease.clone();
        let Some(lease) = lease.filter(|lease| lease.is_held_by(&self.instance, now_ms)) else {
            self.led = None;
            // Whoever leads hears them as well.
            self.alerts.clear();
            return Ok(());
        };
        let (version, state) = match self.led.take() {
            Some(led) => led,
            None => {
                self.rows_ms = 0;
                load(store, &self.name)?
            }
        };
        let mut next = state.clone();
        let mut look = Look {
            store,
            environment: &self.environment,
            now_ms,
            is_first: version == 0,
            events: Vec::new(),
        };
        if self.is_following {
            look.history(&mut next)?;
        }
        if now_ms >= self.rows_ms {
            self.rows_ms = now_ms + ROWS_MS;
            look.rollouts(&mut next)?;
            look.incidents(&mut next)?;
        }
        look.alerts(&self.alerts, &mut next);
        let mut events = look.events;
        events.extend(self.plans.due(&self.environment, &mut next, now_ms));
        if let Err(error) = keep(journal, events.iter(), &self.environment) {
            // The same is found again at the next look.
            self.led = Some((version, state));
            self.rows_ms = 0;
            return Err(Stop::Journal(error.to_string()));
        }
        self.alerts.clear();
        let is_due = !events.is_empty() || now_ms >= self.saved_ms || version == 0;
        let version = match is_due && next != state {
            true => {
                self.saved_ms = now_ms + QUIET_MS;
                let data = serde_json::to_string(&next);
                let data = data.map_err(|error| Stop::Journal(error.to_string()))?;
                store.save_event_state(&EventStateSave {
                    environment: &self.name,
                    expected: version,
                    data: &data,
                    lease: &lease,
                })?
            }
            false => version,
        };
        self.led = Some((version, next));
        Ok(())
    }
}

/// Why a look ended early.
enum Stop {
    Store(ControlError),
    Journal(String),
}

impl From<ControlError> for Stop {
    fn from(error: ControlError) -> Self {
        Stop::Store(error)
    }
}

fn load(store: &mut dyn ControlStore, environment: &str) -> Result<(u64, State), ControlError> {
    let Some((version, text)) = store.event_state(environment)? else {
        return Ok((0, State::default()));
    };
    let state = serde_json::from_str(&text).unwrap_or_else(|error| {
        tracing::error!(%error, "what was told of events cannot be read, and may be told again");
        State::default()
    });
    Ok((version, state))
}
