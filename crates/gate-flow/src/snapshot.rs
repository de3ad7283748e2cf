//! A revision compiled for the data plane.

use crate::{Condition, Countings, Exchange, Fault, Keeps, LocalFuture, Parameters, Policy};
use gate_kit::http::{RequestHead, Response};
use gate_model::fault::FaultCode;
use gate_model::resources::Resources;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A revision compiled for the data plane. Immutable; swapped as a whole.
pub struct Snapshot {
    /// Number of the revision.
    pub revision: u64,
    /// SHA-256 of the revision's canonical JSON, in hexadecimal.
    pub digest: String,
    /// The resources it was compiled from, defaults written down.
    pub resources: Arc<Resources>,
    /// Every route; exchanges refer to them by index.
    pub routes: Vec<Route>,
    /// Finds a request's route.
    pub router: Box<dyn Router>,
    /// Who may call, by what they present.
    pub callers: Callers,
    /// Every model, whatever its routes: for the gateway's own questions, such as those of a model
    /// that judges.
    pub models: Box<dyn Target>,
    /// What is kept of its requests for replays; nothing when none are kept.
    pub keeps: Option<Arc<Keeps>>,
}

/// A route, compiled.
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// Its policies, in order.
    pub steps: Vec<Step>,
    /// Where its requests go.
    pub target: Box<dyn Target>,
    /// What its exchanges count for; none where nothing was promised about them.
    pub objectives: Option<Arc<Countings>>,
}

/// A policy in its place.
pub struct Step {
    /// Kind of the policy.
    pub name: &'static str,
    /// When it applies; always if there is none.
    pub when: Option<Box<dyn Condition>>,
    /// The policy.
    pub policy: Arc<dyn Policy>,
}

/// Finds the route of a request.
pub trait Router: Send + Sync {
    /// The most specific route for this request on this listener; fills `parameters`.
    fn find(&self, listener: &str, request: &RequestHead, parameters: &mut Parameters) -> Found;

    /// The same for a kept request. Where `unknown` says so of a header's or query parameter's name,
    /// a condition on its value counts as `holds`; when both ways find the same route, that is the
    /// route.
    fn find_kept(
        &self,
        listener: &str,
        request: &RequestHead,
        parameters: &mut Parameters,
        assume: &Assume<'_>,
    ) -> Found {
        let _ = assume;
        self.find(listener, request, parameters)
    }
}

/// What a search over a kept request takes for granted.
pub struct Assume<'a> {
    /// Whether the value of the header of this name is not known.
    pub header: &'a dyn Fn(&str) -> bool,
    /// Whether it is not even known that the header is there.
    pub presence: &'a dyn Fn(&str) -> bool,
    /// Whether the value of the query parameter of this name is not known.
    pub parameter: &'a dyn Fn(&str) -> bool,
    /// How such conditions come out.
    pub holds: bool,
}

/// What a search for a route found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// This route, by its index in [`Snapshot::routes`].
    Route(usize),
    /// Routes have this host and path, but none takes the method.
    OtherMethod,
    /// None.
    Nothing,
}

/// Where a route sends an exchange.
pub trait Target: Send + Sync {
    /// Calls the target. May be dropped midway: the upstream call is then cancelled.
    ///
    /// Attempts are noted in the exchange's record; the request's body is taken from it.
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> LocalFuture<'a, Result<Response, Fault>>;

    /// Writes a fault in the dialect that callers of this target expect; `None` for the usual one.
    fn render_fault(&self, exchange: &Exchange, fault: &Fault) -> Option<Response> {
        let _ = (exchange, fault);
        None
    }
}

/// Somebody who may call, compiled: a consumer by one of its keys.
#[derive(Debug, Default)]
pub struct Caller {
    /// Name of the consumer.
    pub name: Arc<str>,
    /// Team that pays.
    pub team: Option<Arc<str>>,
    /// Models it may use; all when `None`.
    pub models: Option<Vec<String>>,
    /// Tools it may call: every one of these lists has to admit a tool; all tools when there is no
    /// list.
    pub tools: Vec<Vec<String>>,
    /// Name of the key; none where a consumer is known otherwise.
    pub key: Option<Arc<str>>,
    /// When the key expires, in seconds of UNIX time.
    pub expires_unix_s: Option<u64>,
    /// Routes the key may be used on; all when `None`.
    pub routes: Option<Vec<String>>,
}

impl Caller {
    /// Whether it may be used now and here. The clock is asked only where a key expires.
    ///
    /// # Errors
    /// The fault's code and the cause, for the operator.
    pub fn usable(&self, exchange: &Exchange) -> Result<(), (FaultCode, &'static str)> {
        if let Some(expires) = self.expires_unix_s
            && exchange.services.clock().unix().as_secs() >= expires
        {
            return Err((FaultCode::CredentialInvalid, "the key has expired"));
        }
        match (&self.routes, &exchange.record.route) {
            (Some(routes), Some(route)) if !routes.iter().any(|allowed| **allowed == **route) => {
                Err((FaultCode::Forbidden, "the key is not for this route"))
            }
            _ => Ok(()),
        }
    }
}

/// Callers by the SHA-256 of their key.
#[derive(Debug)]
pub struct Callers {
    id: u64,
    by_key: HashMap<[u8; 32], Arc<Caller>, BuildHasherDefault<Leading>>,
    by_name: HashMap<Arc<str>, Arc<Caller>>,
    /// By consumer, then by the name of the key.
    by_key_name: HashMap<Arc<str>, HashMap<Arc<str>, Arc<Caller>>>,
}

/// Hashes what is a hash already by its leading bytes. Who calls cannot crowd a bucket with it,
/// because only the operator adds entries.
#[derive(Debug, Default)]
struct Leading(u64);

impl Hasher for Leading {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(leading) = bytes.first_chunk() {
            self.0 ^= u64::from_le_bytes(*leading);
        }
    }
}

impl Default for Callers {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            by_key: HashMap::default(),
            by_name: HashMap::default(),
            by_key_name: HashMap::default(),
        }
    }
}

impl Callers {
    /// A number that no other set of callers of this process has or will have, for whoever
    /// remembers what was found here.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Adds a caller with its keys' hashes.
    pub fn insert(&mut self, caller: Caller, keys: impl IntoIterator<Item = [u8; 32]>) {
        let caller = Arc::new(caller);
        for key in keys {
            self.by_key.insert(key, caller.clone());
        }
        if let Some(key) = &caller.key {
            let of_consumer = self.by_key_name.entry(caller.name.clone()).or_default();
            of_consumer.insert(key.clone(), caller.clone());
        }
        self.by_name.insert(caller.name.clone(), caller);
    }

    /// The caller whose key has this SHA-256.
    ///
    /// Looking a hash up leaks at most timing about hashes, never about keys: whoever could use
    /// it would have to invert SHA-256 first. The final comparison is over the whole hash.
    #[must_use]
    pub fn by_key(&self, sha256: &[u8; 32]) -> Option<&Arc<Caller>> {
        self.by_key.get(sha256)
    }

    /// The same with the hash that is stored, for who compares it once more in constant time.
    #[must_use]
    pub fn entry(&self, sha256: &[u8; 32]) -> Option<(&[u8; 32], &Arc<Caller>)> {
        self.by_key.get_key_value(sha256)
    }

    /// Every key's hash with its caller.
    pub fn keys(&self) -> impl Iterator<Item = (&[u8; 32], &Arc<Caller>)> {
        self.by_key.iter()
    }

    /// The caller of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<Caller>> {
        self.by_name.get(name)
    }

    /// The caller of this name by its key of that name.
    #[must_use]
    pub fn by_key_name(&self, consumer: &str, key: &str) -> Option<&Arc<Caller>> {
        self.by_key_name.get(consumer)?.get(key)
    }
}
