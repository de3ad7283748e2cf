//! The thread that keeps a process at its environment's revision.
//!
//! It waits for one number in the store to change, woken by the store where that can be, and looks
//! after [`WAIT`] at the latest, so that a revoked key is refused everywhere within a second even where
//! nobody wakes it. A store that is down is asked again, ever more seldom up to [`BACKOFF_MAX`]; what
//! is served stays as it is meanwhile. What is applied and what is refused is told to the store, with
//! the reason.

use super::content::Followed;
use super::lead::Lead;
use super::purges::PurgesHeard;
use super::retention::Sweeper;
use super::silence::Silence;
use super::{Content, OpenStore};
use crate::events::drift::{Difference, Drift, Of};
use crate::rollouts::Arms;
use gate_kit::clock::Clock;
use gate_kit::random;
use gate_proxy::process::{Process, RevisionName};
use gate_store::control::{AckRow, ControlError, ControlStore, EnvironmentRow};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a change of the environment is waited for before something else may be due.
const WAIT: Duration = Duration::from_millis(400);
/// The same while a candidate is tried, whose counts are told and weighed twice a second.
const WAIT_ON_TRIAL: Duration = Duration::from_millis(200);
/// The first pause before a store that is down is asked again.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// The longest such pause.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// How often an instance says that it lives, and tries again what it has refused: a missing secret
/// may have come.
const AGAIN_MS: u64 = 5_000;
/// The most bytes of a reason that are told.
const REASON_BYTES_MAX: usize = 4096;

/// Stops the thread when dropped.
pub(crate) struct Follower {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Signal {
    ended: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    /// Waits; whether it is time to end.
    fn wait(&self, pause: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(ended, pause, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        *self
            .signal
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.signal.changed.notify_all();
        // A store that hangs must not keep the process alive; the thread ends with it.
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            let _ = thread.join();
        }
    }
}

impl Follower {
    /// Starts following.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(
        process: &Arc<Process>,
        followed: &Arc<Followed>,
        open: OpenStore,
    ) -> Result<Self, String> {
        let signal = Arc::new(Signal::default());
        let mut work = Work {
            process: process.clone(),
            lead: Lead::new(followed),
            arms: Arms::default(),
            sweeper: Sweeper::default(),
            followed: followed.clone(),
            open,
            store: None,
            row: None,
            ack: None,
            again_ms: 0,
            refused: None,
            clock: Clock::System,
            told: process.addresses(),
            purges: PurgesHeard::default(),
        };
        let ends = signal.clone();
        let thread = std::thread::Builder::new()
            .name("follower".into())
            .spawn(move || work.run(&ends))
            .map_err(|error| format!("cannot follow the environment: {error}"))?;
        Ok(Self {
            signal,
            thread: Some(thread),
        })
    }
}

/// The thread's own.
struct Work {
    process: Arc<Process>,
    followed: Arc<Followed>,
    lead: Lead,
    arms: Arms,
    sweeper: Sweeper,
    open: OpenStore,
    store: Option<Box<dyn ControlStore>>,
    /// The environment as last read.
    row: Option<EnvironmentRow>,
    /// What was last told about it.
    ack: Option<AckRow>,
    /// When something is said or tried again, in UNIX milliseconds.
    again_ms: u64,
    /// What was refused, so that it is tried again without being told again.
    refused: Option<Content>,
    clock: Clock,
    /// Where listeners were when that was last told.
    told: Vec<(String, String)>,
    /// Purges of caches that were heard of.
    purges: PurgesHeard,
}

impl Work {
    fn run(&mut self, signal: &Signal) {
        let mut backoff = BACKOFF_MIN;
        let mut silence = Silence::new(&self.process, &self.followed, self.clock.clone());
        loop {
            let pause = match self.step() {
                Ok(()) => {
                    silence.ends();
                    backoff = BACKOFF_MIN;
                    // The store was waited for already.
                    Duration::ZERO
                }
                Err(error) => {
                    self.store = None;
                    silence.goes_on(&error);
                    // Gateways that lost a store together do not come back to it together.
                    let pause = backoff.mul_f64(0.75 + random::fraction() / 4.0);
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                    pause
                }
            };
            if signal.wait(pause) {
                return;
            }
        }
    }

    /// Waits for a change of the environment, and does what follows from it or is due.
    fn step(&mut self) -> Result<(), ControlError> {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => (self.open)()?,
        };
        let known = self.row.as_ref().map_or(0, |row| row.generation);
        let is_trying = self.row.as_ref().is_some_and(|row| row.candidate.is_some());
        let at_most = if is_trying { WAIT_ON_TRIAL } else { WAIT };
        let environment = &self.followed.environment;
        let heard = self.purges.newest();
        let newest = store.wait_for_change(environment, known, heard, at_most)?;
        // Before everything else: a purge is to be in force everywhere within a second.
        self.purges
            .tick(&mut *store, &self.process, environment, newest.audit)?;
        let generation = newest.generation;
        let now_ms = self.now_ms();
        if generation != known {
            let row = store.environment(&self.followed.environment)?;
            if let Some(row) = &row {
                Arms::end_stale(&self.process, row);
                self.follow(&mut *store, row)?;
            }
            self.row = row;
            self.again_ms = now_ms + AGAIN_MS;
        } else if now_ms >= self.again_ms {
            self.again_ms = now_ms + AGAIN_MS;
            self.again(&mut *store)?;
        }
        if let Some(row) = &self.row {
            let (process, followed) = (&self.process, &self.followed);
            self.arms
                .step(process, followed, &mut *store, row, now_ms)?;
            let refused = self.arms.refused();
            self.lead.tick(&mut *store, row, refused, now_ms)?;
        }
        self.sweeper.tick(&mut *store, &self.followed, now_ms)?;
        self.store = Some(store);
        Ok(())
    }

    /// Brings the process to what the environment says.
    fn follow(
        &mut self,
        store: &mut dyn ControlStore,
        row: &EnvironmentRow,
    ) -> Result<(), ControlError> {
        let current = self.followed.content();
        let same = current.as_ref().is_some_and(|content| {
            Some(content.revision.number) == row.revision && content.variables == row.variables
        });
        let wanted = match (same, current) {
            (true, Some(content)) => {
                self.refused = None;
                Drift::of(&self.process).agrees(Of::Revision);
                return self.acknowledge(store, &content.revision, row.generation, "");
            }
            _ => fetch(store, row)?,
        };
        match wanted {
            Some(content) => self.apply(store, content, row.generation),
            None => Ok(()),
        }
    }

    fn apply(
        &mut self,
        store: &mut dyn ControlStore,
        content: Content,
        generation: u64,
    ) -> Result<(), ControlError> {
        let name = content.revision.clone();
        let known = self.refused.as_ref() == Some(&content);
        let drift = Drift::of(&self.process);
        let reason = match self.followed.apply(&self.process, content.clone()) {
            Ok(()) => {
                drift.agrees(Of::Revision);
                tracing::info!(revision = name.number, "revision applied");
                self.tell_addresses();
                self.refused = None;
                String::new()
            }
            Err(error) => {
                let error = error.to_string();
                if !known {
                    tracing::error!(
                        revision = name.number,
                        "revision refused; the running one stays\n{error}"
                    );
                }
                let running = self.followed.content();
                let difference = Difference {
                    wanted: name.digest.clone(),
                    running: running.map_or_else(String::new, |it| it.revision.digest.clone()),
                    revision: Some(name.number),
                    reason: error.clone(),
                };
                let now_ms = i64::try_from(self.now_ms()).unwrap_or(i64::MAX);
                drift.differs(Of::Revision, difference, now_ms);
                self.refused = Some(content);
                error
            }
        };
        self.acknowledge(store, &name, generation, &reason)
    }

    /// Tells where new listeners are.
    fn tell_addresses(&mut self) {
        let now = self.process.addresses();
        for (listener, address) in now.iter().filter(|place| !self.told.contains(place)) {
            tracing::info!(listener, address, "listening");
        }
        self.told = now;
    }

    /// Says again what was said, and tries again what was refused.
    fn again(&mut self, store: &mut dyn ControlStore) -> Result<(), ControlError> {
        if let (Some(content), Some(row)) = (self.refused.clone(), &self.row) {
            let generation = row.generation;
            return self.apply(store, content, generation);
        }
        match self.ack.clone() {
            Some(ack) => self.say(store, ack),
            None => Ok(()),
        }
    }

    fn acknowledge(
        &mut self,
        store: &mut dyn ControlStore,
        revision: &RevisionName,
        generation: u64,
        reason: &str,
    ) -> Result<(), ControlError> {
        let ack = AckRow {
            instance: self.followed.instance.clone(),
            environment: self.followed.environment.clone(),
            revision: revision.number,
            digest: revision.digest.clone(),
            applied: reason.is_empty(),
            reason: cut(reason).to_owned(),
            generation,
            at_ms: 0,
        };
        self.say(store, ack)
    }

    fn say(&mut self, store: &mut dyn ControlStore, mut ack: AckRow) -> Result<(), ControlError> {
        ack.at_ms = i64::try_from(self.now_ms()).unwrap_or(i64::MAX);
        store.acknowledge(&ack)?;
        self.ack = Some(ack);
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.unix().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What an environment says is to be served; `None` before its first revision.
pub(super) fn fetch(
    store: &mut dyn ControlStore,
    row: &EnvironmentRow,
) -> Result<Option<Content>, ControlError> {
    let Some(number) = row.revision else {
        return Ok(None);
    };
    let missing = |what: &str| ControlError::Missing(format!("{what} {number}"));
    let revision = store.revision(number)?;
    let revision = revision.ok_or_else(|| missing("revision"))?;
    let document = store.document(&revision.digest)?;
    Ok(Some(Content {
        revision: RevisionName {
            number,
            digest: revision.digest,
        },
        variables: row.variables.clone(),
        document: document.ok_or_else(|| missing("document of revision"))?,
    }))
}

/// The beginning of a text, at most [`REASON_BYTES_MAX`] bytes of it.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(REASON_BYTES_MAX)]
}
