//! What everything that is planned would have done to recent traffic.
//!
//! Terraform plans resource by resource and says nowhere which is the last. Whoever is planned first
//! waits until nothing more comes, asks once about all that has come, and tells it with its own
//! answer; all others go on at once. What depends on the first is planned after it and makes another
//! round, which tells the whole again if it is more. Nothing here changes a plan, only what is said
//! beside it.

use super::Control;
use super::session::Settings;
use gate_api::types::{Document, DocumentInput, Effect, Verdict};
use serde_json::Value as Json;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often it is looked for newcomers.
const STEP: Duration = Duration::from_millis(20);
/// How long nothing may come until what has come is taken for everything.
const QUIET: Duration = Duration::from_millis(250);
/// The longest wait for that.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// The longest wait for the server's answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// How long one asker asks again for what came meanwhile; what comes later is somebody else's.
const ROUNDS_TIME: Duration = Duration::from_secs(10);

/// What Terraform is doing with a provider.
#[derive(Debug, Default)]
pub(super) struct Activity {
    calls: AtomicU64,
    /// Resources that are being checked, and will be planned then.
    checking: AtomicU64,
    applying: AtomicBool,
}

impl Activity {
    /// Terraform has called.
    pub(super) fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Does what comes before a resource is planned.
    pub(super) fn checking<T>(&self, check: impl FnOnce() -> T) -> T {
        self.checking.fetch_add(1, Ordering::Relaxed);
        let checked = check();
        self.called();
        self.checking.fetch_sub(1, Ordering::Relaxed);
        checked
    }

    /// Terraform applies what it has planned, and plans each resource once more on the way.
    pub(super) fn applies(&self) {
        self.applying.store(true, Ordering::Relaxed);
    }

    /// Waits until Terraform has nothing more to ask, or applies.
    fn settle(&self) {
        let started = Instant::now();
        let (mut seen, mut since) = (self.calls.load(Ordering::Relaxed), started);
        while !self.applying.load(Ordering::Relaxed)
            && (since.elapsed() < QUIET || self.checking.load(Ordering::Relaxed) > 0)
            && started.elapsed() < WAIT_MAX
        {
            std::thread::sleep(STEP);
            let now = self.calls.load(Ordering::Relaxed);
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
        }
    }
}

/// What is told beside a plan.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// This effect, of so many planned resources.
    Effect(Box<Effect>, usize),
    /// The server took too long.
    TooLate(Duration),
}

/// The effects of one environment's plans.
pub(super) struct Effects {
    environment: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    planned: Document,
    /// Counts what was planned.
    added: u64,
    asking: bool,
    /// The server has no records to replay.
    silent: bool,
    told: Option<Effect>,
}

/// Lets the next one ask, also when this one panicked.
struct Asking<'a>(&'a Effects);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.lock().asking = false;
    }
}

impl Effects {
    pub(super) fn new(environment: &str) -> Self {
        Self {
            environment: environment.to_owned(),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a planned resource; null for one that goes.
    pub(super) fn add(&self, kind: &str, name: &str, value: Json) {
        let mut state = self.lock();
        state.planned.set(kind, name, value);
        state.added += 1;
    }

    /// Asks about all that is planned, unless somebody else does, or there are no records.
    pub(super) fn ask(
        &self,
        control: &Arc<dyn Control>,
        settings: &Settings,
        activity: &Activity,
    ) -> Option<Told> {
        {
            let mut state = self.lock();
            if state.asking || state.silent {
                return None;
            }
            state.asking = true;
        }
        let _asking = Asking(self);
        let began = Instant::now();
        let last = loop {
            activity.settle();
            if activity.applying.load(Ordering::Relaxed) {
                return None;
            }
            let (document, seen) = {
                let state = self.lock();
                (state.planned.clone(), state.added)
            };
            let count = document.resources().count();
            let input = settings.input(document);
            let last = match self.answer(control, input) {
                Some(Told::Effect(effect, _)) => self.new_to(*effect, count),
                other => other,
            };
            if self.lock().added == seen || began.elapsed() > ROUNDS_TIME {
                break last;
            }
        };
        if let Some(Told::Effect(effect, _)) = &last {
            self.lock().told = Some((**effect).clone());
        }
        last
    }

    /// The effect, unless it was told already or there is nothing to tell.
    fn new_to(&self, effect: Effect, count: usize) -> Option<Told> {
        let known = self.lock().told.as_ref() == Some(&effect);
        (effect.is_noticed() && !known).then(|| Told::Effect(Box::new(effect), count))
    }

    /// The server's answer, if it comes in time. What is wrong with the plan is told elsewhere.
    fn answer(&self, control: &Arc<dyn Control>, input: DocumentInput) -> Option<Told> {
        let (sender, receiver) = channel();
        let (control, environment) = (control.clone(), self.environment.clone());
        // The thread ends with its answer, at the latest by the client's own deadline.
        std::thread::spawn(move || drop(sender.send(control.plan(&environment, &input))));
        match receiver.recv_timeout(ANSWER_MAX) {
            Ok(Ok(plan)) => {
                let allowed = plan.verdict == Verdict::Allowed;
                self.lock().silent = allowed && plan.effect.is_none();
                plan.effect.map(|effect| Told::Effect(Box::new(effect), 0))
            }
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => Some(Told::TooLate(ANSWER_MAX)),
        }
    }
}
