//! Experiments of this process: compiled with every document, begun when it is in force, offered to
//! exchanges.
//!
//! Without one an exchange pays for one branch when it opens and one at each try. They belong to the
//! process and not to a snapshot, so that both arms of a rollout meet the same ones. What bounds them
//! is in `gate_flow::ExperimentRun`; what they do to a try is in `strike.rs`, to a body in `body.rs`, to
//! a model's answer in `usage.rs`.

mod body;
mod events;
mod strike;
mod usage;

pub(crate) use strike::{Struck, refused_tool, struck};

use crate::compile::Work;
use crate::record::metrics::{Exposition, Kind};
use arc_swap::ArcSwap;
use gate_flow::{Experiment, ExperimentCounts, ExperimentRun, ExperimentState, InScope};
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::{
    EXPERIMENT_S_MAX, ExperimentScope, ListenerProtocol, Resources, Route, Target,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The experiments in force.
#[derive(Default)]
pub struct Experiments {
    /// Whether there are any: all that an exchange asks without them.
    any: AtomicBool,
    list: ArcSwap<Vec<Arc<Experiment>>>,
}

/// What is known of an experiment, for people.
#[derive(Debug, Clone)]
pub struct ExperimentReport {
    /// Its name.
    pub name: Arc<str>,
    /// What it injects, in a word.
    pub kind: &'static str,
    /// Where.
    pub scope: ExperimentScope,
    /// SHA-256 of its name and settings, in hexadecimal.
    pub digest: Arc<str>,
    /// What this process counted.
    pub counts: ExperimentCounts,
}

/// Why an experiment cannot be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopError {
    /// There is none of this name.
    Unknown,
    /// It does not run.
    Over(ExperimentState),
}

impl Experiments {
    /// What an exchange that begins may meet.
    #[inline]
    #[must_use]
    pub fn offer(&self) -> Option<Arc<InScope>> {
        match self.any.load(Ordering::Relaxed) {
            true => self.offer_running(),
            false => None,
        }
    }

    #[cold]
    fn offer_running(&self) -> Option<Arc<InScope>> {
        InScope::offered(&self.list.load())
    }

    /// Puts these in force instead of others. The ones that have not begun begin.
    pub(crate) fn set(&self, list: Vec<Arc<Experiment>>) {
        for one in &list {
            one.run.begin(one.lasts, one.until);
        }
        let any = !list.is_empty();
        self.list.store(Arc::new(list));
        self.any.store(any, Ordering::Relaxed);
    }

    /// Every experiment in force, by name, whatever its state.
    #[must_use]
    pub fn reports(&self) -> Vec<ExperimentReport> {
        let report = |one: &Arc<Experiment>| ExperimentReport {
            name: one.name.clone(),
            kind: one.inject.as_str(),
            scope: one.scope.clone(),
            digest: one.digest.clone(),
            counts: one.run.counts(),
        };
        self.list.load().iter().map(report).collect()
    }

    /// Stops one: it strikes no more, over every reload, until the resource itself is another. Waits
    /// that it brought about end within a tenth of a second.
    ///
    /// # Errors
    /// [`StopError`] when there is nothing to stop.
    pub fn stop(&self, name: &str) -> Result<(), StopError> {
        let list = self.list.load();
        let found = list.iter().find(|one| &*one.name == name);
        let one = found.ok_or(StopError::Unknown)?;
        match one.run.stop() {
            true => Ok(()),
            false => Err(StopError::Over(one.run.counts().state)),
        }
    }

    /// Stops those whose objective has less of its error budget left than they leave it: `left` says
    /// which share that is, none where it is not known. Returns the names of those that it stopped.
    pub fn stop_for_budgets(&self, left: impl Fn(&str) -> Option<f64>) -> Vec<Arc<str>> {
        if !self.any.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let is_spent = |one: &&Arc<Experiment>| {
            let guard = one.stop_at.as_ref();
            let floor = guard.and_then(|guard| guard.budget.as_ref());
            floor.is_some_and(|floor| {
                left(&floor.objective).is_some_and(|left| left < floor.left.fraction())
            })
        };
        let list = self.list.load();
        let spent = list.iter().filter(is_spent);
        spent
            .filter(|one| one.run.stop_for_budget())
            .map(|one| one.name.clone())
            .collect()
    }

    /// The families about experiments.
    pub(crate) fn page(&self, page: &mut Exposition) {
        write(page, &self.reports());
    }
}

fn write(page: &mut Exposition, reports: &[ExperimentReport]) {
    if reports.is_empty() {
        return;
    }
    type Pick = fn(&ExperimentCounts) -> u64;
    let families: [(&'static str, Kind, &'static str, Pick); 4] = [
        (
            "tidegate_experiment_running",
            Kind::Gauge,
            "Whether an experiment strikes (1), or has ended or was stopped (0).",
            |counts| (counts.state == ExperimentState::Running).into(),
        ),
        (
            "tidegate_experiment_active",
            Kind::Gauge,
            "Tries that an experiment is active on.",
            |counts| counts.active.into(),
        ),
        (
            "tidegate_experiment_injections",
            Kind::Counter,
            "Tries that an experiment struck.",
            |counts| counts.strikes,
        ),
        (
            "tidegate_experiment_spared",
            Kind::Counter,
            "Tries that were drawn and spared, because the experiment was active on as many as it may.",
            |counts| counts.spared,
        ),
    ];
    for (name, kind, help, pick) in families {
        page.family(name, kind, "", help);
        for report in reports {
            let labels = [("experiment", &*report.name), ("inject", report.kind)];
            page.sample(&labels, pick(&report.counts));
        }
    }
}

/// Writes every family once: what the reference shows.
pub fn example(to: &mut Exposition) {
    let report = ExperimentReport {
        name: "slow-orders".into(),
        kind: "delay",
        scope: ExperimentScope::default(),
        digest: Arc::default(),
        counts: ExperimentRun::new(&gate_kit::clock::Clock::System).counts(),
    };
    write(to, &[report]);
}

/// Compiles the experiments of a document, and reports what cannot work of them.
pub(crate) fn compile(work: &mut Work<'_>) -> Vec<Arc<Experiment>> {
    let mut compiled = Vec::new();
    for (name, written) in &work.resources.experiments {
        let path = Path::root().key("experiments").key(name);
        let mut problems = written.problems();
        let unix = work.compiler.clock.unix().as_secs();
        let is_far = |until: u64| until > unix + EXPERIMENT_S_MAX;
        if written.until.is_some_and(|until| is_far(until.unix_s())) {
            problems.push(("until", "an experiment ends within a day".to_owned()));
        }
        for (field, problem) in problems {
            // The field `for` may be missing, which is its problem.
            let finding = Finding::error("invalid_experiment", path.key(field), problem);
            work.report(finding);
        }
        references(work, &written.scope, &path.key("scope"));
        let floor = written
            .stop_at
            .as_ref()
            .and_then(|guard| guard.budget.as_ref());
        if let Some(floor) = floor
            && !work.resources.objectives.contains_key(&floor.objective)
        {
            let path = path.key("stop_at").key("budget").key("objective");
            let known = work.resources.objectives.keys().collect::<Vec<_>>();
            work.unknown(path, "objective", &floor.objective, known);
        }
        if let Some((field, problem)) = strikes_nothing(work.resources, &written.scope) {
            let path = path.key("scope").key(field);
            work.report(Finding::warning("inert_experiment", path, problem));
        }
        let when = match &written.scope.when {
            None => None,
            Some(text) => match (work.compiler.registry.condition)(text) {
                Ok(when) => Some(when),
                Err(problem) => {
                    let path = path.key("scope").key("when");
                    work.report(Finding::error("invalid_condition", path, problem));
                    continue;
                }
            },
        };
        // Another text is another experiment: what was stopped or has ended stays so until then.
        let text = serde_json::to_string(written).unwrap_or_default();
        let identity = format!("{name}/{text}");
        let clock = work.compiler.clock;
        let run = work
            .compiler
            .state
            .get_or_insert(&identity, || ExperimentRun::new(clock));
        compiled.push(Arc::new(Experiment {
            name: name.as_str().into(),
            digest: digest(&identity),
            inject: written.inject.clone(),
            scope: written.scope.clone(),
            when,
            share: written.share.fraction(),
            most: written.most,
            stop_at: written.stop_at.clone(),
            lasts: written.lasts.map(gate_model::units::Period::duration),
            until: written
                .until
                .map(|until| Duration::from_secs(until.unix_s())),
            run,
        }));
    }
    compiled
}

/// Why a scope has no tries in it: only what asks an upstream, a provider or a server of tools by HTTP
/// can fail on purpose.
fn strikes_nothing(
    resources: &Resources,
    scope: &ExperimentScope,
) -> Option<(&'static str, String)> {
    let forwards_bytes = |route: &Route| {
        let mut named = route.matches.listeners.iter();
        let is_tcp = |name| {
            let listener = resources.listeners.get(name);
            listener.is_some_and(|one| one.protocol == ListenerProtocol::Tcp)
        };
        !route.matches.listeners.is_empty() && named.all(is_tcp)
    };
    let nothing = "the experiment will strike nothing";
    if let Some((name, route)) = scope
        .route
        .as_ref()
        .and_then(|name| resources.routes.get_key_value(name))
    {
        let what = match &route.target {
            _ if forwards_bytes(route) => "forwards bytes of TCP, which experiments do not touch",
            Target::Fixed(_) => "answers by itself",
            Target::Events(_) => "keeps events by itself",
            Target::Portal(_) => "serves a portal by itself",
            Target::StatusPage(_) => "serves the status page by itself",
            _ => return None,
        };
        return Some(("route", format!("the route `{name}` {what}: {nothing}")));
    }
    let upstream = scope.upstream.as_ref()?;
    // Versions of an API ask upstreams, too.
    let is_http = |route: &Route| match &route.target {
        Target::Upstream(name) => name == upstream && !forwards_bytes(route),
        Target::Api(_) | Target::Agent(_) => true,
        _ => false,
    };
    let mut of_bytes = resources
        .routes
        .values()
        .filter(|route| forwards_bytes(route));
    let is_of_bytes =
        of_bytes.any(|route| matches!(&route.target, Target::Upstream(name) if name == upstream));
    (is_of_bytes && !resources.routes.values().any(is_http)).then(|| {
        let text = format!(
            "the upstream `{upstream}` has only routes that forward bytes of TCP, which experiments \
             do not touch: {nothing}"
        );
        ("upstream", text)
    })
}

fn digest(text: &str) -> Arc<str> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<String>().into()
}

fn references(work: &mut Work<'_>, scope: &ExperimentScope, path: &Path) {
    let resources = work.resources;
    let mut check = |field: &str, kind: &str, name: &Option<String>, known: Vec<&String>| {
        if let Some(name) = name
            && !known.contains(&name)
        {
            work.unknown(path.key(field), kind, name, known);
        }
    };
    check(
        "route",
        "route",
        &scope.route,
        resources.routes.keys().collect(),
    );
    let upstreams = resources.upstreams.keys().collect();
    check("upstream", "upstream", &scope.upstream, upstreams);
    let providers = resources.providers.keys().collect();
    check("provider", "provider", &scope.provider, providers);
    check(
        "model",
        "model",
        &scope.model,
        resources.models.keys().collect(),
    );
    let servers = resources.mcp_servers.keys().collect();
    check("mcp_server", "server of tools", &scope.mcp_server, servers);
    let consumers = resources.consumers.keys().collect();
    check("consumer", "consumer", &scope.consumer, consumers);
    let upstream = scope.upstream.as_ref();
    if let Some(upstream) = upstream.and_then(|name| resources.upstreams.get(name)) {
        let endpoints: Vec<&String> = upstream.endpoints.iter().collect();
        check("endpoint", "endpoint", &scope.endpoint, endpoints);
    }
}
