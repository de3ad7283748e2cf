//! What was asked for, what came, and when to ask again.
//!
//! One question is one short-lived thread, so that its deadline holds whatever the service, its
//! name's resolution or its TLS does; there are few of them at a time. The thread `secrets` looks
//! for other values; it ends with the keeper. No lock is held while anybody is asked.

use crate::asker::{Asker, Key};
use crate::values::Values;
use crate::vault::Token;
use gate_flow::{Ask, SecretSource};
use gate_kit::clock::{Clock, Moment};
use gate_model::resources::SecretStore;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Most paths that are remembered; beyond it the one that was used longest ago is forgotten.
pub const ENTRIES_MAX: usize = 1_000;
/// Most questions at a time, those included whose deadline is over and that hang.
const QUESTIONS_MAX: usize = 16;
/// Time between two looks of the thread.
const LOOK: Duration = Duration::from_secs(1);
/// How long a service that did not answer in time is not asked again.
const REST: Duration = Duration::from_secs(5);
/// How long after its last use a path is looked after, while others are used.
const UNUSED: Duration = Duration::from_secs(24 * 3_600);

/// Asks services for secrets and remembers what they said.
pub struct Keeper {
    shared: Arc<Shared>,
}

struct Entry {
    /// The service's name in the document, for the log.
    name: String,
    values: Values,
    /// When to look again.
    next: Moment,
    used: Moment,
    failing: bool,
}

#[derive(Default)]
struct State {
    entries: HashMap<Key, Entry>,
    tokens: HashMap<SecretStore, Token>,
    /// Services that did not answer in time, and until when they rest.
    resting: HashMap<SecretStore, Moment>,
    looking: bool,
}

struct Shared {
    clock: Clock,
    own: Arc<dyn SecretSource + Send + Sync>,
    state: Mutex<State>,
    changed: AtomicBool,
    questions: Arc<AtomicUsize>,
}

impl Keeper {
    /// A keeper that has asked nobody yet. What services ask of the gateway itself (tokens, access
    /// keys) comes from `own`: its environment, its files, its stored secrets.
    #[must_use]
    pub fn new(clock: Clock, own: Arc<dyn SecretSource + Send + Sync>) -> Self {
        Self {
            shared: Arc::new(Shared {
                clock,
                own,
                state: Mutex::default(),
                changed: AtomicBool::new(false),
                questions: Arc::default(),
            }),
        }
    }

    /// A value: the one that is known while that is fresh, else the service's, else the last one.
    ///
    /// # Errors
    /// Why there is none, naming service and path.
    pub fn ask(&self, ask: &Ask<'_>) -> Result<String, String> {
        let key = Key {
            store: ask.store.clone(),
            folder: ask.folder.to_owned(),
            path: ask.path.to_owned(),
        };
        let wrong = |why: String| format!("`{}` of `{}` cannot be read: {why}", ask.path, ask.name);
        if let Some(fresh) = self.shared.fresh(&key) {
            return fresh.pick(ask.field).map(str::to_owned).map_err(wrong);
        }
        let values = match self.shared.question(&key) {
            Ok(values) => {
                self.shared.keep(&key, ask.name, values.clone());
                values
            }
            Err(why) => match self.shared.last(&key, &why) {
                Some(last) => last,
                None => return Err(wrong(why)),
            },
        };
        Shared::look_now_and_then(&self.shared);
        values.pick(ask.field).map(str::to_owned).map_err(wrong)
    }

    /// Looks for other values where it is time, as the thread does.
    pub fn look(&self) {
        self.shared.look();
    }

    /// Whether a value is another than when it was handed out; told once.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.shared.changed.swap(false, Ordering::AcqRel)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known, where it need not be asked for.
    fn fresh(&self, key: &Key) -> Option<Values> {
        let now = self.clock.now();
        let mut state = self.lock();
        let entry = state.entries.get_mut(key)?;
        entry.used = now;
        (now < entry.next).then(|| entry.values.clone())
    }

    fn keep(&self, key: &Key, name: &str, values: Values) {
        let now = self.clock.now();
        let next = now.plus(key.store.refresh().duration().max(LOOK));
        let mut state = self.lock();
        if let Some(entry) = state.entries.get_mut(key) {
            if entry.failing {
                tracing::info!(store = %entry.name, path = %key.path, "a secret can be read again");
            }
            if entry.values != values {
                tracing::info!(store = %entry.name, path = %key.path, "a secret has changed");
                self.changed.store(true, Ordering::Release);
            }
            (entry.values, entry.next, entry.failing) = (values, next, false);
            return;
        }
        if state.entries.len() >= ENTRIES_MAX {
            let oldest = state.entries.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                state.entries.remove(&oldest);
            }
        }
        let entry = Entry {
            name: name.to_owned(),
            values,
            next,
            used: now,
            failing: false,
        };
        state.entries.insert(key.clone(), entry);
    }

    /// The last values after a question that failed.
    fn last(&self, key: &Key, why: &str) -> Option<Values> {
        let again = self.clock.now().plus(REST);
        let mut state = self.lock();
        let entry = state.entries.get_mut(key)?;
        if !entry.failing {
            tracing::warn!(
                store = %entry.name, path = %key.path, why,
                "a secret cannot be read; its last value stays in use"
            );
        }
        entry.failing = true;
        entry.next = again;
        Some(entry.values.clone())
    }

    fn look(&self) {
        let now = self.clock.now();
        let due: Vec<(Key, String)> = {
            let mut state = self.lock();
            let newest = state.entries.values().map(|entry| entry.used).max();
            let newest = newest.unwrap_or_default();
            state
                .entries
                .retain(|_, entry| newest.since(entry.used) < UNUSED);
            let due = state.entries.iter().filter(|(_, entry)| entry.next <= now);
            due.map(|(key, entry)| (key.clone(), entry.name.clone()))
                .collect()
        };
        for (key, name) in due {
            match self.question(&key) {
                Ok(values) => self.keep(&key, &name, values),
                Err(why) => drop(self.last(&key, &why)),
            }
        }
    }

    fn look_now_and_then(shared: &Arc<Self>) {
        if std::mem::replace(&mut shared.lock().looking, true) {
            return;
        }
        let weak: Weak<Self> = Arc::downgrade(shared);
        let looking = std::thread::Builder::new().name("secrets".into());
        let started = looking.spawn(move || {
            loop {
                std::thread::sleep(LOOK);
                match weak.upgrade() {
                    Some(shared) => shared.look(),
                    None => return,
                }
            }
        });
        if let Err(error) = started {
            shared.lock().looking = false;
            tracing::error!(%error, "secrets of services are not looked after");
        }
    }

    /// Asks a service, within its time.
    fn question(&self, key: &Key) -> Result<Values, String> {
        let now = self.clock.now();
        let known = {
            let mut state = self.lock();
            state.resting.retain(|_, until| *until > now);
            if state.resting.contains_key(&key.store) {
                return Err("the service did not answer in time".to_owned());
            }
            state.tokens.get(&key.store).cloned()
        };
        let asker = Asker::new(key, known, &*self.own, self.clock.unix().as_secs())?;
        if self.questions.load(Ordering::Acquire) >= QUESTIONS_MAX {
            return Err("too many questions are not answered yet".to_owned());
        }
        // A thread that hangs is not waited for; it is counted until it ends.
        let asked = asker.on_a_thread(&self.questions)?;
        let timeout = key.store.timeout().duration();
        match asked.recv_timeout(timeout) {
            Ok(answer) => {
                let (values, token) = answer?;
                if let Some(token) = token {
                    let mut state = self.lock();
                    if state.tokens.len() >= ENTRIES_MAX {
                        state.tokens.clear();
                    }
                    state.tokens.insert(key.store.clone(), token);
                }
                Ok(values)
            }
            Err(_) => {
                let until = self.clock.now().plus(REST);
                self.lock().resting.insert(key.store.clone(), until);
                Err(format!("the service did not answer within {timeout:?}"))
            }
        }
    }
}
