//! Where keys come from: written down, or fetched from a URL and kept.
//!
//! A fetched set is shared by all workers and outlives reloads. It is refreshed in the background
//! before it goes stale, refetched (seldom) when a token names a key nobody knows yet, and served
//! stale while its source is down, up to a limit. One fetch runs at a time in the process; whoever
//! needs its result waits for it. No lock is held across a wait.

use super::keys::KeySet;
use gate_flow::{FetchRequest, Fetched, Flight, Services, SingleFlight, landed};
use gate_kit::clock::Moment;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// Largest key set in bytes.
const SET_BYTES_MAX: usize = 512 * 1024;
/// Life of a set whose source names none.
const LIFE_DEFAULT: Duration = Duration::from_secs(600);
/// Between two fetches that an unknown key causes: tokens of strangers cannot hammer the source.
const UNKNOWN_EVERY: Duration = Duration::from_secs(30);

/// How a set is fetched and how long it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) url: String,
    pub(super) timeout: Duration,
    pub(super) life_min: Duration,
    pub(super) life_max: Duration,
    pub(super) stale: Duration,
    pub(super) allow_private: Vec<String>,
}

/// Where keys come from.
pub(super) enum Source {
    /// Known when the revision was compiled.
    Fixed(Arc<KeySet>),
    /// Fetched.
    Remote(Arc<Remote>),
}

/// A fetched set and the state of fetching it.
pub(super) struct Remote {
    plan: Plan,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Option<Arc<KeySet>>,
    refresh_at: Moment,
    stale_until: Moment,
    /// No attempt for an unknown key before this.
    unknown_until: Moment,
    flight: SingleFlight,
    problem: String,
}

/// What is known about keys right now.
pub(super) enum Found {
    /// These keys are good.
    Keys(Arc<KeySet>),
    /// Wait for the fetch that is under way, then ask again.
    Wait(Flight),
    /// There are none, and no attempt may be made now.
    Nothing(String),
}

impl Remote {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan,
            state: Mutex::default(),
        }
    }

    /// The keys for a token that names `key_id`. `patient` says whether an unknown key is worth a
    /// wait; ask with `false` after having waited.
    pub(super) fn find(
        self: &Arc<Self>,
        services: &Rc<dyn Services>,
        key_id: Option<&str>,
        patient: bool,
    ) -> Found {
        let now = services.clock().now();
        let mut state = self.lock();
        let keys = state.keys.clone().filter(|_| now < state.stale_until);
        let unknown = match (&keys, key_id) {
            (Some(keys), Some(id)) => !keys.knows(id),
            (keys, _) => keys.is_none(),
        };
        let may_begin = state.flight.may_begin(now);
        let for_unknown = unknown && (keys.is_none() || now >= state.unknown_until);
        if may_begin && (for_unknown && patient || now >= state.refresh_at) {
            if unknown {
                state.unknown_until = now.plus(UNKNOWN_EVERY);
            }
            state.flight.begin();
            drop(state);
            self.take_off(services);
            state = self.lock();
        }
        match keys {
            Some(keys) if !(unknown && patient && state.flight.is_flying()) => Found::Keys(keys),
            _ if patient && state.flight.is_flying() => Found::Wait(state.flight.current()),
            // The flight may have ended within this call.
            _ => match state.keys.clone().filter(|_| now < state.stale_until) {
                Some(keys) => Found::Keys(keys),
                None => Found::Nothing(state.problem.clone()),
            },
        }
    }

    /// Waits until the flight has landed, at most as long as a fetch may take. May be dropped.
    pub(super) async fn wait(self: &Arc<Self>, services: &Rc<dyn Services>, flight: Flight) {
        let patience = self.plan.timeout + Duration::from_secs(1);
        landed(services, patience, |cx| self.lock().flight.poll(flight, cx)).await;
    }

    /// Starts the fetch beside the exchange. Whatever ends it, the guard lets others go on.
    fn take_off(self: &Arc<Self>, services: &Rc<dyn Services>) {
        let guard = Landing {
            remote: self.clone(),
            result: None,
            now: services.clock().now(),
        };
        let request = FetchRequest {
            url: self.plan.url.clone(),
            timeout: self.plan.timeout,
            bytes_max: SET_BYTES_MAX,
            allow_private: self.plan.allow_private.clone(),
            post: None,
        };
        let worker = services.clone();
        services.spawn(Box::pin(async move {
            let mut guard = guard;
            let result = match worker.fetch(request).await {
                Ok(fetched) => read(&fetched).map(|keys| (keys, fetched.max_age)),
                Err(error) => Err(error.to_string()),
            };
            guard.now = worker.clock().now();
            guard.result = Some(result);
        }));
    }

    fn land(&self, result: Result<(KeySet, Option<u64>), String>, now: Moment) {
        let mut state = self.lock();
        let waiting = state.flight.end(result.is_ok(), now);
        match result {
            Ok((keys, max_age)) => {
                let life = max_age.map_or(LIFE_DEFAULT, Duration::from_secs);
                let life = life.clamp(self.plan.life_min, self.plan.life_max);
                state.keys = Some(Arc::new(keys));
                state.refresh_at = now.plus(life.mul_f64(0.8));
                state.stale_until = now.plus(life + self.plan.stale);
                state.problem.clear();
            }
            Err(problem) => {
                tracing::warn!(url = %self.plan.url, %problem, "no key set could be fetched");
                state.problem = problem;
            }
        }
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a flight exactly once, also when its task is dropped or refused.
struct Landing {
    remote: Arc<Remote>,
    result: Option<Result<(KeySet, Option<u64>), String>>,
    now: Moment,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let result = self
            .result
            .take()
            .unwrap_or_else(|| Err("the fetch was cut short".into()));
        self.remote.land(result, self.now);
    }
}

fn read(fetched: &Fetched) -> Result<KeySet, String> {
    if fetched.status != 200 {
        return Err(format!("the source answered {}", fetched.status));
    }
    let set = serde_json::from_slice(&fetched.body).map_err(|error| format!("no JSON: {error}"))?;
    KeySet::parse(&set, false)
}
