//! An issuer of tokens: its keys, and what it says about itself, fetched and kept.
//!
//! What was fetched is shared by all workers and outlives reloads. It is refreshed in the background
//! before it goes stale, refetched (seldom) when a token names a key nobody knows yet, and served
//! stale while its source is down, up to a limit. One fetch runs at a time in the process; whoever
//! needs its result waits for it. No lock is held across a wait.

use gate_flow::{FetchRequest, Fetched, Flight, Services, SingleFlight, landed};
use gate_identity::jose::KeySet;
use gate_identity::oidc::{Provider, discovery_url};
use gate_kit::clock::Moment;
use gate_model::units::Period;
use schemars::JsonSchema;
use serde::Deserialize;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// Largest document in bytes.
const DOCUMENT_BYTES_MAX: usize = 512 * 1024;
/// Life of a set whose source names none.
const LIFE_DEFAULT: Duration = Duration::from_secs(600);
/// Between two fetches that an unknown key causes: tokens of strangers cannot hammer the source.
const UNKNOWN_EVERY: Duration = Duration::from_secs(30);

/// How fetched keys are kept.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JwtCache {
    /// Shortest life of a fetched set, whatever its source says.
    pub min: Period,
    /// Longest life of a fetched set, whatever its source says.
    pub max: Period,
    /// How much longer a set is used while its source is down.
    pub stale: Period,
    /// Time for one fetch.
    pub timeout: Period,
    /// Hosts that may resolve to loopback, private or metadata addresses.
    pub allow_private: Vec<String>,
}

impl Default for JwtCache {
    fn default() -> Self {
        Self {
            min: Period::from_seconds(60),
            max: Period::from_seconds(3600),
            stale: Period::from_seconds(24 * 3600),
            timeout: Period::from_seconds(5),
            allow_private: Vec::new(),
        }
    }
}

/// What is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A JWK Set at this URL.
    Keys(String),
    /// The description of this issuer, and the keys that it names.
    Issuer(String),
}

impl Place {
    fn url(&self) -> &str {
        match self {
            Place::Keys(url) | Place::Issuer(url) => url,
        }
    }
}

/// How it is fetched and how long it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) place: Place,
    pub(crate) timeout: Duration,
    life_min: Duration,
    life_max: Duration,
    stale: Duration,
    pub(crate) allow_private: Vec<String>,
}

impl Plan {
    /// # Errors
    /// What is wrong, and with which field.
    pub(crate) fn new(
        place: Place,
        cache: &JwtCache,
    ) -> Result<Self, (Option<&'static str>, String)> {
        let url = place.url();
        if !(url.starts_with("https://") || url.starts_with("http://")) {
            let message = format!("the URL {url} starts with neither https:// nor http://");
            return Err((Some("keys"), message));
        }
        if cache.timeout.is_zero() || cache.max.is_zero() || cache.min > cache.max {
            let message = "`timeout` and `max` must be above zero, and `min` at most `max`";
            return Err((Some("cache"), message.into()));
        }
        Ok(Self {
            place,
            timeout: cache.timeout.duration(),
            life_min: cache.min.duration(),
            life_max: cache.max.duration(),
            stale: cache.stale.duration(),
            allow_private: cache.allow_private.clone(),
        })
    }
}

/// What is known of an issuer at a time; never changed.
pub(crate) struct Known {
    /// Tells it from what was known before; never used again.
    pub(crate) id: u64,
    /// Its keys.
    pub(crate) keys: KeySet,
    /// What it says about itself, where that was asked for.
    pub(crate) provider: Option<Provider>,
}

impl Known {
    pub(crate) fn new(keys: KeySet, provider: Option<Provider>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            keys,
            provider,
        }
    }
}

/// Where what is known comes from.
pub(crate) enum Source {
    /// Known when the revision was compiled.
    Fixed(Arc<Known>),
    /// Fetched.
    Remote(Arc<Remote>),
}

/// An issuer that is fetched, and the state of fetching it.
pub(crate) struct Remote {
    pub(crate) plan: Plan,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: Option<Arc<Known>>,
    refresh_at: Moment,
    stale_until: Moment,
    /// No attempt for an unknown key before this.
    unknown_until: Moment,
    flight: SingleFlight,
    problem: String,
}

/// What can be used right now.
pub(crate) enum Found {
    /// This.
    Known(Arc<Known>),
    /// Wait for the fetch that is under way, then ask again.
    Wait(Flight),
    /// There is nothing, and no attempt may be made now.
    Nothing(String),
}

impl Remote {
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            plan,
            state: Mutex::default(),
        }
    }

    /// What is known for a token that names `key_id`. `patient` says whether an unknown key is worth
    /// a wait; ask with `false` after having waited.
    pub(crate) fn find(
        self: &Arc<Self>,
        services: &Rc<dyn Services>,
        key_id: Option<&str>,
        patient: bool,
    ) -> Found {
        let now = services.clock().now();
        let mut state = self.lock();
        let known = state.known.clone().filter(|_| now < state.stale_until);
        let unknown = match (&known, key_id) {
            (Some(known), Some(id)) => !known.keys.knows(id),
            (known, _) => known.is_none(),
        };
        let may_begin = state.flight.may_begin(now);
        let for_unknown = unknown && (known.is_none() || now >= state.unknown_until);
        if may_begin && (for_unknown && patient || now >= state.refresh_at) {
            if unknown {
                state.unknown_until = now.plus(UNKNOWN_EVERY);
            }
            state.flight.begin();
            drop(state);
            self.take_off(services);
            state = self.lock();
        }
        match known {
            Some(known) if !(unknown && patient && state.flight.is_flying()) => Found::Known(known),
            _ if patient && state.flight.is_flying() => Found::Wait(state.flight.current()),
            // The flight may have ended within this call.
            _ => match state.known.clone().filter(|_| now < state.stale_until) {
                Some(known) => Found::Known(known),
                None => Found::Nothing(state.problem.clone()),
            },
        }
    }

    /// What is known, waiting for it where that is needed.
    ///
    /// # Errors
    /// Why nothing is, for the operator.
    pub(crate) async fn known(
        self: &Arc<Self>,
        services: &Rc<dyn Services>,
        key_id: Option<&str>,
    ) -> Result<Arc<Known>, String> {
        let mut found = self.find(services, key_id, true);
        if let Found::Wait(flight) = found {
            self.wait(services, flight).await;
            found = self.find(services, key_id, false);
        }
        match found {
            Found::Known(known) => Ok(known),
            Found::Nothing(problem) => Err(problem),
            Found::Wait(_) => Err("keys take too long".into()),
        }
    }

    /// Waits until the flight has landed, at most as long as a fetch may take. May be dropped.
    pub(crate) async fn wait(self: &Arc<Self>, services: &Rc<dyn Services>, flight: Flight) {
        // Two documents, one behind the other.
        let patience = self.plan.timeout * 2 + Duration::from_secs(1);
        landed(services, patience, |cx| self.lock().flight.poll(flight, cx)).await;
    }

    /// Starts the fetch beside the exchange. Whatever ends it, the guard lets others go on.
    fn take_off(self: &Arc<Self>, services: &Rc<dyn Services>) {
        let guard = Landing {
            remote: self.clone(),
            result: None,
            now: services.clock().now(),
        };
        let (plan, worker) = (self.plan.clone(), services.clone());
        services.spawn(Box::pin(async move {
            let mut guard = guard;
            let result = load(&worker, &plan).await;
            guard.now = worker.clock().now();
            guard.result = Some(result);
        }));
    }

    fn land(&self, result: Result<(Known, Option<u64>), String>, now: Moment) {
        let mut state = self.lock();
        let waiting = state.flight.end(result.is_ok(), now);
        match result {
            Ok((known, max_age)) => {
                let life = max_age.map_or(LIFE_DEFAULT, Duration::from_secs);
                let life = life.clamp(self.plan.life_min, self.plan.life_max);
                state.known = Some(Arc::new(known));
                state.refresh_at = now.plus(life.mul_f64(0.8));
                state.stale_until = now.plus(life + self.plan.stale);
                state.problem.clear();
            }
            Err(problem) => {
                let url = self.plan.place.url();
                tracing::warn!(url, %problem, "no key set could be fetched");
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
    result: Option<Result<(Known, Option<u64>), String>>,
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

async fn load(worker: &Rc<dyn Services>, plan: &Plan) -> Result<(Known, Option<u64>), String> {
    let (url, provider) = match &plan.place {
        Place::Keys(url) => (url.clone(), None),
        Place::Issuer(issuer) => {
            let fetched = fetch(worker, plan, discovery_url(issuer)).await?;
            let provider = Provider::read(issuer, &fetched.body)?;
            (provider.jwks_uri.clone(), Some(provider))
        }
    };
    let fetched = fetch(worker, plan, url).await?;
    let keys = KeySet::read(&fetched.body, false)?;
    Ok((Known::new(keys, provider), fetched.max_age))
}

async fn fetch(worker: &Rc<dyn Services>, plan: &Plan, url: String) -> Result<Fetched, String> {
    let request = FetchRequest {
        url,
        timeout: plan.timeout,
        bytes_max: DOCUMENT_BYTES_MAX,
        allow_private: plan.allow_private.clone(),
        post: None,
    };
    let fetched = worker.fetch(request).await;
    let fetched = fetched.map_err(|error| error.to_string())?;
    match fetched.status {
        200 => Ok(fetched),
        status => Err(format!("the source answered {status}")),
    }
}
