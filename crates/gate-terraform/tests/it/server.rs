//! A control plane in memory: real merging, real parsing, and references that must lead somewhere.

use gate_api::client::Seen;
use gate_api::document::{Managed, diff, merge};
use gate_api::problem::Code;
use gate_api::types::{
    Applied, Cause, Document, DocumentInput, Environment, EnvironmentInput, Finding, Plan,
    Resource, Revision, RevisionDocument, Rollout, RolloutState, Severity, Verdict,
};
use gate_api::{ClientError, Problem};
use gate_model::document as parser;
use gate_model::resources::{ListenerProtocol, Resources, Target};
use gate_terraform::control::Control;
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Default)]
pub(crate) struct Server {
    state: Mutex<State>,
    /// Revisions made.
    pub(crate) revisions: AtomicUsize,
    /// Dry runs answered.
    pub(crate) dry_runs: AtomicUsize,
    /// Refusals of stale writes still to come.
    pub(crate) stale: AtomicUsize,
    /// Whether nothing answers.
    pub(crate) down: AtomicUsize,
    /// Whether rollouts end badly.
    pub(crate) worse: AtomicUsize,
    /// What plans with effect were asked about, when records are kept.
    pub(crate) planned: Mutex<Option<Vec<Document>>>,
}

#[derive(Default)]
struct State {
    environments: BTreeMap<String, (Environment, Managed)>,
    history: HashMap<u64, RevisionDocument>,
}

pub(crate) fn environment(name: &str) -> Environment {
    Environment {
        name: name.to_owned(),
        generation: 1,
        revision: None,
        stable: None,
        confirm_until: None,
        candidate: None,
        variables: BTreeMap::new(),
        lock: None,
        promotes_to: None,
    }
}

fn refuse<T>(problem: Problem) -> Result<T, ClientError> {
    Err(ClientError::Problem(Box::new(problem)))
}

impl Server {
    pub(crate) fn with(environments: &[&str]) -> Self {
        let server = Self::default();
        for name in environments {
            let new = (environment(name), Managed::default());
            let mut state = server.state.lock().unwrap();
            state.environments.insert((*name).to_owned(), new);
        }
        server
    }

    /// What is kept of a resource.
    pub(crate) fn get(&self, environment: &str, kind: &str, name: &str) -> Option<Json> {
        let state = self.state.lock().unwrap();
        let (_, managed) = state.environments.get(environment)?;
        managed.document.get(kind, name).cloned()
    }

    /// Somebody else's hand: no checks, no revision.
    pub(crate) fn meddle(&self, environment: &str, kind: &str, name: &str, value: Option<Json>) {
        let mut state = self.state.lock().unwrap();
        let (environment, managed) = state.environments.get_mut(environment).unwrap();
        environment.generation += 1;
        match value {
            None => managed.remove(kind, name),
            Some(value) => {
                managed.document.set(kind, name, value);
                let owner = managed.managers.entry(format!("{kind}/{name}"));
                owner.or_insert_with(|| "console".to_owned());
            }
        }
    }

    pub(crate) fn count(&self, environment: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.environments[environment]
            .1
            .document
            .resources()
            .count()
    }

    /// Whether this write is to be refused as stale.
    fn is_spoiled(&self) -> bool {
        let one_less = |n: usize| n.checked_sub(1);
        let (set, fetch) = (Ordering::SeqCst, Ordering::SeqCst);
        self.stale.fetch_update(set, fetch, one_less).is_ok()
    }

    fn reachable(&self) -> Result<(), ClientError> {
        match self.down.load(Ordering::SeqCst) {
            0 => Ok(()),
            _ => Err(ClientError::Unreachable {
                address: "http://127.0.0.1:1".into(),
                message: "connection refused".into(),
            }),
        }
    }
}

/// What `check` says of a whole document: the parser's finding, or references that lead nowhere.
fn findings(document: &Document) -> Vec<Finding> {
    // The real server fills in the environment's variables here.
    if document.canonical().contains("${vars.") {
        return Vec::new();
    }
    let parsed = parser::Document::parse(document.canonical().as_bytes(), "");
    let resources = match parsed {
        Err(findings) => return findings.iter().map(Finding::from).collect(),
        Ok(document) => match Resources::read(&document) {
            Err(findings) => return findings.iter().map(Finding::from).collect(),
            Ok(resources) => resources,
        },
    };
    let mut found = Vec::new();
    let mut say = |code: &str, path: parser::Path, message: String| {
        found.push(Finding {
            code: code.into(),
            severity: Severity::Error,
            path: path.to_string(),
            message,
            expected: None,
            help: None,
        });
    };
    let missing = "unknown_reference";
    for (name, route) in &resources.routes {
        let of = parser::Path::root().key("routes").key(name);
        let path = of.key("target");
        match &route.target {
            Target::Upstream(upstream) if !resources.upstreams.contains_key(upstream) => {
                let message = format!("there is no upstream `{upstream}`");
                say(missing, path.key("upstream"), message);
            }
            Target::Models(models) => {
                for (index, model) in models.iter().enumerate() {
                    if !resources.models.contains_key(model) {
                        let message = format!("there is no model `{model}`");
                        say(missing, path.key("models").index(index), message);
                    }
                }
            }
            _ => {}
        }
        for listener in &route.matches.listeners {
            if !resources.listeners.contains_key(listener) {
                let message = format!("there is no listener `{listener}`");
                say(missing, of.key("match").key("listeners"), message);
            }
        }
    }
    for (name, listener) in &resources.listeners {
        let mut routes = resources.routes.values();
        let served = routes.any(|route| route.matches.listeners.contains(name));
        if listener.protocol == ListenerProtocol::Tcp && !served {
            let path = parser::Path::root().key("listeners").key(name);
            say("inert_listener", path, "no route forwards it".into());
        }
    }
    found
}

fn made(number: u64, of: &Environment, plan: &Plan, input: &DocumentInput) -> Revision {
    Revision {
        number,
        digest: plan.digest.clone(),
        parent: of.revision,
        environment: of.name.clone(),
        author: "test".into(),
        cause: Cause::Apply,
        message: input.message.clone(),
        source_commit: input.source_commit.clone(),
        created: "2026-01-01T00:00:00Z".into(),
        plan: None,
        checks: BTreeMap::new(),
    }
}

impl Control for Server {
    fn environment(&self, name: &str) -> Result<Environment, ClientError> {
        self.reachable()?;
        let state = self.state.lock().unwrap();
        match state.environments.get(name) {
            Some((environment, _)) => Ok(environment.clone()),
            None => refuse(Problem::new(Code::NotFound, "no such environment")),
        }
    }

    fn put_environment(
        &self,
        name: &str,
        _: Seen,
        input: &EnvironmentInput,
    ) -> Result<Environment, ClientError> {
        self.reachable()?;
        let mut state = self.state.lock().unwrap();
        let new = || (environment(name), Managed::default());
        let (found, _) = state
            .environments
            .entry(name.to_owned())
            .or_insert_with(new);
        found.generation += 1;
        found.variables = input.variables.clone();
        found.promotes_to = input.promotes_to.clone();
        Ok(found.clone())
    }

    fn delete_environment(&self, name: &str, _: Seen) -> Result<(), ClientError> {
        self.reachable()?;
        self.state.lock().unwrap().environments.remove(name);
        Ok(())
    }

    fn resources(&self, environment: &str, kind: &str) -> Result<Vec<Resource>, ClientError> {
        self.reachable()?;
        let state = self.state.lock().unwrap();
        let Some((_, managed)) = state.environments.get(environment) else {
            return refuse(Problem::new(Code::NotFound, "no such environment"));
        };
        let of_kind = managed.document.resources().filter(|(k, _, _)| *k == kind);
        let resource = |(kind, name, value): (&str, &str, &Json)| Resource {
            kind: kind.to_owned(),
            name: name.to_owned(),
            manager: managed.manager(kind, name).unwrap_or_default().to_owned(),
            resource: value.clone(),
        };
        Ok(of_kind.map(resource).collect())
    }

    fn apply(
        &self,
        name: &str,
        seen: Seen,
        input: &DocumentInput,
        dry_run: bool,
    ) -> Result<Applied, ClientError> {
        let before = self.state.lock().unwrap().environments.get(name).cloned();
        let is_first = before
            .as_ref()
            .is_some_and(|(found, _)| found.revision.is_none());
        if dry_run || input.canary.is_none() {
            return self.commit(name, seen, input, dry_run);
        }
        if is_first {
            return refuse(Problem::new(Code::Conflict, "nothing to be compared with"));
        }
        let mut applied = self.commit(name, seen, input, dry_run)?;
        applied.rollout = Some("the rollout".to_owned());
        if let (1, Some(before)) = (self.worse.load(Ordering::SeqCst), before) {
            let mut state = self.state.lock().unwrap();
            state.environments.insert(name.to_owned(), before);
        }
        Ok(applied)
    }

    /// Every resource that changes is one request of forty that changes.
    fn plan(&self, name: &str, input: &DocumentInput) -> Result<Plan, ClientError> {
        let mut plan = self.commit(name, Seen::Any, input, true)?.plan;
        if let Some(planned) = &mut *self.planned.lock().unwrap() {
            planned.push(input.document.clone());
            plan.effect = Some(crate::effect::of(plan.changes.len() as u64));
        }
        Ok(plan)
    }

    fn revision(&self, number: u64) -> Result<RevisionDocument, ClientError> {
        let state = self.state.lock().unwrap();
        match state.history.get(&number) {
            Some(found) => Ok(found.clone()),
            None => refuse(Problem::new(Code::NotFound, "no such revision")),
        }
    }

    fn rollout(&self, id: &str) -> Result<Rollout, ClientError> {
        let worse = self.worse.load(Ordering::SeqCst) == 1;
        let (state, reason) = match worse {
            true => (RolloutState::RolledBack, "errors up tenfold on orders"),
            false => (RolloutState::Promoted, "no worse"),
        };
        Ok(Rollout {
            id: id.to_owned(),
            environment: "staging".into(),
            candidate: 2,
            control: 1,
            state,
            share: 0.01,
            step: 0,
            started: "2026-01-01T00:00:00Z".into(),
            updated: None,
            evidence: Vec::new(),
            reason: reason.into(),
            strategy: "careful".into(),
            settings: Json::Null,
        })
    }
}

impl Server {
    /// Makes a revision.
    fn commit(
        &self,
        name: &str,
        seen: Seen,
        input: &DocumentInput,
        dry_run: bool,
    ) -> Result<Applied, ClientError> {
        self.reachable()?;
        let mut state = self.state.lock().unwrap();
        let Some((environment, managed)) = state.environments.get_mut(name) else {
            return refuse(Problem::new(Code::NotFound, "no such environment"));
        };
        let is_fresh = seen == Seen::Any || seen == Seen::Generation(environment.generation);
        if !is_fresh || (!dry_run && self.is_spoiled()) {
            return refuse(Problem::new(Code::Stale, "somebody else was faster"));
        }
        let merged = match merge(managed, input) {
            Ok(merged) => merged,
            Err(owned) => {
                return refuse(Problem::new(Code::OwnedElsewhere, &*owned[0].manager));
            }
        };
        let plan = Plan {
            base: environment.revision,
            digest: merged.document.digest(),
            changes: diff(&managed.document, &merged.document),
            findings: findings(&merged.document),
            effect: None,
            verdict: Verdict::Allowed,
        };
        if !plan.findings.is_empty() {
            return refuse(Problem::invalid(plan.findings));
        }
        let mut revision = None;
        if dry_run {
            self.dry_runs.fetch_add(1, Ordering::SeqCst);
        } else if !plan.changes.is_empty() {
            let number = self.revisions.fetch_add(1, Ordering::SeqCst) as u64 + 1;
            let made = made(number, environment, &plan, input);
            environment.generation += 1;
            environment.revision = Some(number);
            *managed = merged.clone();
            revision = Some(made);
        }
        let environment = environment.clone();
        if let Some(revision) = &revision {
            let kept = RevisionDocument {
                revision: revision.clone(),
                document: merged.document,
                managers: merged.managers,
            };
            state.history.insert(revision.number, kept);
        }
        Ok(Applied {
            revision,
            plan,
            environment,
            rollout: None,
        })
    }
}
