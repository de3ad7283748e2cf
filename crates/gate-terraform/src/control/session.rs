//! One `provider` block: where it writes, as whom, and what it has read.

use super::dry_run::{DryRun, Unchecked};
use super::effect::{Activity, Effects, Told};
use super::writer::{Edit, Refused, Writer};
use super::{Control, is_absent};
use gate_api::ClientError;
use gate_api::client::Seen;
use gate_api::types::{Canary, EnvironmentInput, Finding, Resource};
use gate_kit::order::Gather;
use gate_model::units::Period;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a list that was read stands for what is there. One run of Terraform reads hundreds of
/// resources within a second.
const FRESH: Duration = Duration::from_secs(2);
/// Lists kept at a time.
const LISTS_MAX: usize = 256;

/// What a `provider` block says.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The environment of resources that name none.
    pub environment: Option<String>,
    /// Whom the resources belong to.
    pub manager: String,
    /// Whether resources of others are taken over, and existing ones adopted.
    pub take_over: bool,
    /// What revisions say about themselves.
    pub message: String,
    /// The commit that the configuration comes from.
    pub source_commit: Option<String>,
    /// The rollout that changes go through.
    pub canary: Option<Canary>,
    /// Whether applying waits for the rollout's end.
    pub wait: bool,
    /// For how long at most.
    pub wait_max: Duration,
    /// Whether plans say what they would have done to recent traffic.
    pub effect: bool,
    /// Within which time a revision must be confirmed.
    pub confirm_within: Option<Period>,
}

/// A server and what was said to it.
pub struct Session {
    control: Arc<dyn Control>,
    settings: Settings,
    lists: Mutex<BTreeMap<(String, String), Listed>>,
    writers: Mutex<BTreeMap<String, Arc<Writer>>>,
    dry_runs: Mutex<BTreeMap<String, Arc<DryRun>>>,
    effects: Mutex<BTreeMap<String, Arc<Effects>>>,
    activity: Activity,
}

/// The resources of a kind, as of some moment.
type Listed = Arc<Mutex<Option<(Instant, BTreeMap<String, Resource>)>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// A session with a server.
    #[must_use]
    pub fn new(control: Arc<dyn Control>, settings: Settings) -> Self {
        Self {
            control,
            settings,
            lists: Mutex::default(),
            writers: Mutex::default(),
            dry_runs: Mutex::default(),
            effects: Mutex::default(),
            activity: Activity::default(),
        }
    }

    /// What the `provider` block says.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The server.
    #[must_use]
    pub fn control(&self) -> &dyn Control {
        &*self.control
    }

    /// One resource as it is kept; `None` when it is not there.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn resource(
        &self,
        environment: &str,
        kind: &str,
        name: &str,
    ) -> Result<Option<Resource>, ClientError> {
        let key = (environment.to_owned(), kind.to_owned());
        let listed = {
            let mut lists = lock(&self.lists);
            if lists.len() >= LISTS_MAX && !lists.contains_key(&key) {
                lists.clear();
            }
            lists.entry(key).or_default().clone()
        };
        // Held while the list is read, so that it is read once for all who wait for it.
        let mut listed = lock(&listed);
        if let Some((read, of_kind)) = &*listed
            && read.elapsed() < FRESH
        {
            return Ok(of_kind.get(name).cloned());
        }
        let read = Instant::now();
        let resources = match self.control.resources(environment, kind) {
            Err(error) if is_absent(&error) => Vec::new(),
            other => other?,
        };
        let named = resources
            .into_iter()
            .map(|resource| (resource.name.clone(), resource));
        let (_, of_kind) = listed.insert((read, named.into_map()));
        Ok(of_kind.get(name).cloned())
    }

    /// What the server says about a planned resource.
    ///
    /// # Errors
    /// Why it says nothing.
    pub fn check(
        &self,
        environment: &str,
        kind: &str,
        name: &str,
        document: Json,
    ) -> Result<Vec<Finding>, Unchecked> {
        let dry_run = {
            let mut all = lock(&self.dry_runs);
            let made = || Arc::new(DryRun::new(environment));
            all.entry(environment.to_owned())
                .or_insert_with(made)
                .clone()
        };
        let planned = (kind.to_owned(), name.to_owned(), document);
        let check = || dry_run.check(&*self.control, &self.settings, planned);
        self.activity.checking(check)
    }

    /// Says that Terraform has called, so that nobody takes a pause for the end of its plan.
    pub fn called(&self) {
        self.activity.called();
    }

    /// Says that a resource is planned to be this, or to go.
    pub fn planned(&self, environment: &str, kind: &str, name: &str, document: Option<Json>) {
        let effects = self.effects(environment);
        effects.add(kind, name, document.unwrap_or(Json::Null));
    }

    /// What all that is planned so far would have done to recent traffic; nothing when somebody else
    /// tells it or there is nothing to tell. Waits, with a limit.
    pub fn effect(&self, environment: &str) -> Option<Told> {
        if !self.settings.effect {
            return None;
        }
        let effects = self.effects(environment);
        effects.ask(&self.control, &self.settings, &self.activity)
    }

    fn effects(&self, environment: &str) -> Arc<Effects> {
        let mut all = lock(&self.effects);
        let made = || Arc::new(Effects::new(environment));
        all.entry(environment.to_owned())
            .or_insert_with(made)
            .clone()
    }

    /// Changes a resource.
    ///
    /// # Errors
    /// Why it is as it was.
    pub fn write(&self, environment: &str, edit: &Edit) -> Result<(), Refused> {
        let writer = {
            let mut all = lock(&self.writers);
            let made = || Arc::new(Writer::new(environment));
            all.entry(environment.to_owned())
                .or_insert_with(made)
                .clone()
        };
        self.activity.applies();
        let written = writer.write(&*self.control, &self.settings, edit);
        lock(&self.lists).clear();
        written
    }

    /// Changes an environment itself.
    ///
    /// # Errors
    /// Why it is as it was.
    pub fn write_environment(&self, name: &str, after: Option<Json>) -> Result<(), Refused> {
        let failed = |error: ClientError| Refused::Failed(error.to_string());
        let seen = match self.control.environment(name) {
            Ok(environment) => Seen::Generation(environment.generation),
            Err(error) if is_absent(&error) => Seen::Any,
            Err(error) => return Err(failed(error)),
        };
        match (after, seen) {
            (None, Seen::Any) => Ok(()),
            (None, seen) => self.control.delete_environment(name, seen).map_err(failed),
            (Some(after), seen) => {
                let input: EnvironmentInput = serde_json::from_value(after)
                    .map_err(|error| Refused::Failed(error.to_string()))?;
                let put = self.control.put_environment(name, seen, &input);
                put.map(drop).map_err(failed)
            }
        }
    }
}
