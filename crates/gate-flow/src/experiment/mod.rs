//! Experiments: failures that are brought about on purpose, and what is known of each while it runs.
//!
//! The proxy offers the experiments that run to every exchange it opens ([`InScope::offered`]), leaves
//! those whose route, consumer and condition fit ([`InScope::narrow`]), and asks at each try whether
//! one strikes ([`InScope::strike`]). What a strike does is the proxy's. Everything that bounds an
//! experiment is here: its end by the process's own clock, its cap, its guard, and being stopped.

use crate::{Condition, Exchange, Outcome, Record};
use gate_kit::clock::{Clock, Moment};
use gate_kit::random;
use gate_model::fault::FaultSource;
use gate_model::resources::{EXPERIMENT_S_MAX, ExperimentScope, Injection, StopAt};
use smallvec::SmallVec;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Shortest span over which a guard counts.
const SPAN: Duration = Duration::from_secs(10);

/// An experiment, compiled.
pub struct Experiment {
    /// Its name.
    pub name: Arc<str>,
    /// What tells it from others of its name.
    pub digest: Arc<str>,
    /// What goes wrong.
    pub inject: Injection,
    /// Where.
    pub scope: ExperimentScope,
    /// The scope's condition; it holds for all without one.
    pub when: Option<Box<dyn Condition>>,
    /// Share of the tries that it strikes, from 0 to 1.
    pub share: f64,
    /// Tries that it is active on at a time.
    pub most: u32,
    /// What makes it stop by itself.
    pub stop_at: Option<StopAt>,
    /// How long it runs from when it begins.
    pub lasts: Option<Duration>,
    /// UNIX time of its end.
    pub until: Option<Duration>,
    /// What is known of its run; the same in every revision that has this very experiment.
    pub run: Arc<ExperimentRun>,
}

impl fmt::Debug for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Experiment({})", self.name)
    }
}

/// What is known of an experiment's run in this process. Survives reloads.
#[derive(Debug)]
pub struct ExperimentRun {
    clock: Clock,
    times: OnceLock<Times>,
    stopped: AtomicU8,
    active: AtomicU32,
    strikes: AtomicU64,
    spared: AtomicU64,
    seen: AtomicU64,
    bad: AtomicU64,
    span: Span,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    began_unix: Duration,
    ends: Moment,
    ends_unix: Duration,
}

/// Counts of the guard's present span. Two workers that end it at once may lose a count: it decides
/// over shares of many.
#[derive(Debug, Default)]
struct Span {
    began: AtomicU64,
    seen: AtomicU32,
    bad: AtomicU32,
}

const RUNS: u8 = 0;
const BY_HAND: u8 = 1;
const BY_GUARD: u8 = 2;
const BY_BUDGET: u8 = 3;

/// Where an experiment is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExperimentState {
    /// Its revision is not in force yet.
    Awaited,
    /// It strikes.
    Running,
    /// Its time is over.
    Ended,
    /// Somebody stopped it.
    Stopped,
    /// Its guard stopped it.
    StoppedByGuard,
    /// It was stopped because an objective's error budget ran low.
    StoppedByBudget,
}

impl ExperimentState {
    /// The word used in the API and in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ExperimentState::Awaited => "awaited",
            ExperimentState::Running => "running",
            ExperimentState::Ended => "ended",
            ExperimentState::Stopped => "stopped",
            ExperimentState::StoppedByGuard => "stopped_by_guard",
            ExperimentState::StoppedByBudget => "stopped_by_budget",
        }
    }
}

/// Counts of an experiment's run in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExperimentCounts {
    /// Where it is in its life.
    pub state: ExperimentState,
    /// UNIX time of its beginning.
    pub began: Option<Duration>,
    /// UNIX time of its end, however it may be stopped before.
    pub ends: Option<Duration>,
    /// Tries that it is active on now.
    pub active: u32,
    /// Tries that it struck.
    pub strikes: u64,
    /// Tries that were drawn and spared, because it was active on as many as it may.
    pub spared: u64,
    /// Exchanges that reached its scope while it ran, and have ended.
    pub seen: u64,
    /// Bad ones of them.
    pub bad: u64,
}

impl ExperimentRun {
    /// A run that has not begun.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            times: OnceLock::new(),
            stopped: AtomicU8::new(RUNS),
            active: AtomicU32::new(0),
            strikes: AtomicU64::new(0),
            spared: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            span: Span::default(),
        }
    }

    /// Begins, if it has not: its end counts from here.
    pub fn begin(&self, lasts: Option<Duration>, until: Option<Duration>) {
        self.times.get_or_init(|| {
            let (now, unix) = (self.clock.now(), self.clock.unix());
            let most = Duration::from_secs(EXPERIMENT_S_MAX);
            let left = until.map_or(most, |until| until.saturating_sub(unix));
            let left = left.min(lasts.unwrap_or(most)).min(most);
            Times {
                began_unix: unix,
                ends: now.plus(left),
                ends_unix: unix + left,
            }
        });
    }

    /// How long it goes on; nothing when it does not run.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        let times = self.times.get()?;
        let left = times.ends.since(self.clock.now());
        let runs = self.stopped.load(Ordering::Relaxed) == RUNS && !left.is_zero();
        runs.then_some(left)
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.left().is_some()
    }

    /// Stops it for good. Returns whether it ran.
    pub fn stop(&self) -> bool {
        self.is_running() && self.end_by(BY_HAND)
    }

    /// Stops it for good because an error budget ran low. Returns whether it ran.
    pub fn stop_for_budget(&self) -> bool {
        self.is_running() && self.end_by(BY_BUDGET)
    }

    fn end_by(&self, why: u8) -> bool {
        let (order, was) = (Ordering::Relaxed, RUNS);
        (self.stopped.compare_exchange(was, why, order, order)).is_ok()
    }

    /// What is known of it.
    #[must_use]
    pub fn counts(&self) -> ExperimentCounts {
        let times = self.times.get();
        let state = match (self.stopped.load(Ordering::Relaxed), times) {
            (BY_HAND, _) => ExperimentState::Stopped,
            (BY_GUARD, _) => ExperimentState::StoppedByGuard,
            (BY_BUDGET, _) => ExperimentState::StoppedByBudget,
            (_, None) => ExperimentState::Awaited,
            (_, Some(_)) if self.is_running() => ExperimentState::Running,
            (_, Some(_)) => ExperimentState::Ended,
        };
        ExperimentCounts {
            state,
            began: times.map(|times| times.began_unix),
            ends: times.map(|times| times.ends_unix),
            active: self.active.load(Ordering::Relaxed),
            strikes: self.strikes.load(Ordering::Relaxed),
            spared: self.spared.load(Ordering::Relaxed),
            seen: self.seen.load(Ordering::Relaxed),
            bad: self.bad.load(Ordering::Relaxed),
        }
    }

    /// Counts an exchange that reached the scope. Returns whether the guard stopped the run by it.
    fn saw(&self, bad: bool, guard: Option<&StopAt>) -> bool {
        if !self.is_running() {
            return false;
        }
        self.seen.fetch_add(1, Ordering::Relaxed);
        self.bad.fetch_add(bad.into(), Ordering::Relaxed);
        let Some(guard) = guard else { return false };
        let span = &self.span;
        let seen = span.seen.fetch_add(1, Ordering::Relaxed) + 1;
        let bad = span.bad.fetch_add(bad.into(), Ordering::Relaxed) + u32::from(bad);
        if seen < guard.least {
            return false;
        }
        if f64::from(bad) >= f64::from(seen) * guard.bad.fraction() {
            return self.end_by(BY_GUARD);
        }
        let now = self.clock.now();
        let began = Moment(span.began.load(Ordering::Relaxed));
        if now.since(began) >= SPAN {
            span.began.store(now.0, Ordering::Relaxed);
            span.seen.store(0, Ordering::Relaxed);
            span.bad.store(0, Ordering::Relaxed);
        }
        false
    }
}

/// Where a try is made.
#[derive(Debug, Clone, Copy)]
pub enum ExperimentPlace<'a> {
    /// At an upstream's endpoint.
    Upstream {
        /// The upstream.
        name: &'a str,
        /// The endpoint, as its text there.
        endpoint: &'a str,
    },
    /// At a provider, for a model.
    Model {
        /// The provider.
        provider: &'a str,
        /// The model, by the name that callers ask for.
        model: &'a str,
        /// Whether a stream is asked for.
        stream: bool,
    },
    /// At a server of tools.
    Server {
        /// The server.
        name: &'a str,
        /// The tool that is called, where this is about a tool and not about the connection.
        tool: Option<&'a str>,
    },
}

impl Experiment {
    fn is_at(&self, place: &ExperimentPlace<'_>) -> bool {
        let scope = &self.scope;
        let fits = |wanted: &Option<String>, is: Option<&str>| match wanted {
            None => true,
            Some(wanted) => is == Some(wanted.as_str()),
        };
        let (mut upstream, mut endpoint, mut server) = (None, None, None);
        let (mut provider, mut model) = (None, None);
        let kind = match *place {
            ExperimentPlace::Upstream { name, endpoint: at } => {
                (upstream, endpoint) = (Some(name), Some(at));
                !self.inject.is_of_models() && !self.is_of_tools()
            }
            ExperimentPlace::Model {
                provider: name,
                model: asked,
                stream,
            } => {
                (provider, model) = (Some(name), Some(asked));
                !self.is_of_tools() && (stream || !self.inject.is_of_streams())
            }
            ExperimentPlace::Server { name, tool } => {
                server = Some(name);
                match (&self.inject, tool) {
                    (Injection::RefuseTool { tool: wanted }, Some(tool)) => {
                        fits(wanted, Some(tool))
                    }
                    (_, Some(_)) => false,
                    (_, None) => !self.inject.is_of_models() && !self.is_of_tools(),
                }
            }
        };
        kind && fits(&scope.upstream, upstream)
            && fits(&scope.endpoint, endpoint)
            && fits(&scope.provider, provider)
            && fits(&scope.model, model)
            && fits(&scope.mcp_server, server)
    }

    fn is_of_tools(&self) -> bool {
        matches!(self.inject, Injection::RefuseTool { .. })
    }

    fn is_about(&self, exchange: &Exchange) -> bool {
        let fits = |wanted: &Option<String>, is: Option<&str>| match wanted {
            None => true,
            Some(wanted) => is == Some(wanted.as_str()),
        };
        fits(&self.scope.route, exchange.record.route.as_deref())
            && fits(&self.scope.consumer, exchange.record.consumer.as_deref())
            && (self.when.as_ref()).is_none_or(|when| when.holds(exchange) == Ok(true))
    }
}

/// The experiments that an exchange is in the scope of, with what they did to it.
#[derive(Debug)]
pub struct InScope(SmallVec<[Entry; 2]>);

#[derive(Debug)]
struct Entry {
    experiment: Arc<Experiment>,
    reached: AtomicBool,
    strikes: AtomicU32,
}

impl InScope {
    fn of<'a>(experiments: impl Iterator<Item = &'a Arc<Experiment>>) -> Option<Arc<Self>> {
        let entries: SmallVec<[Entry; 2]> = experiments
            .map(|experiment| Entry {
                experiment: experiment.clone(),
                reached: AtomicBool::new(false),
                strikes: AtomicU32::new(0),
            })
            .collect();
        (!entries.is_empty()).then(|| Arc::new(Self(entries)))
    }

    /// Those that run now; none when none does.
    #[must_use]
    pub fn offered(experiments: &[Arc<Experiment>]) -> Option<Arc<Self>> {
        Self::of(experiments.iter().filter(|one| one.run.is_running()))
    }

    /// Leaves an exchange whose route and consumer are known with those that are about it.
    pub fn narrow(exchange: &mut Exchange) {
        if let Some(offered) = exchange.record.experiments.take() {
            let offered = offered.0.iter().map(|entry| &entry.experiment);
            exchange.record.experiments = Self::of(offered.filter(|one| one.is_about(exchange)));
        }
    }

    /// The experiment that strikes a try at this place, if one does.
    #[must_use]
    pub fn strike(&self, place: &ExperimentPlace<'_>) -> Option<Strike> {
        for entry in &self.0 {
            let experiment = &entry.experiment;
            let run = &experiment.run;
            if !run.is_running() || !experiment.is_at(place) {
                continue;
            }
            entry.reached.store(true, Ordering::Relaxed);
            if random::fraction() >= experiment.share {
                continue;
            }
            let strike = Strike(experiment.clone());
            // The strike counts itself out, also here where it is not made.
            if run.active.fetch_add(1, Ordering::Relaxed) >= experiment.most {
                run.spared.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            run.strikes.fetch_add(1, Ordering::Relaxed);
            entry.strikes.fetch_add(1, Ordering::Relaxed);
            return Some(strike);
        }
        None
    }

    /// Names of the experiments that struck the exchange.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let struck = |entry: &&Entry| entry.strikes.load(Ordering::Relaxed) > 0;
        self.0
            .iter()
            .filter(struck)
            .map(|entry| &entry.experiment.name)
    }

    /// Counts an exchange whose record is complete for the guards; the experiment that one of them
    /// stopped by it.
    #[must_use]
    pub fn observe(record: &Record) -> Option<&Arc<str>> {
        let scope = record.experiments.as_deref()?;
        let mut stopped = None;
        let blamed = |source| source != FaultSource::Client;
        let bad = record.fault.is_some_and(|fault| blamed(fault.source()))
            || record.status >= 500
            || record.outcome == Outcome::Cut;
        for entry in &scope.0 {
            if !entry.reached.load(Ordering::Relaxed) {
                continue;
            }
            let struck = entry.strikes.load(Ordering::Relaxed) > 0;
            let bad = bad || (struck && record.status == 429);
            let experiment = &entry.experiment;
            if experiment.run.saw(bad, experiment.stop_at.as_ref()) {
                stopped = Some(&experiment.name);
            }
        }
        stopped
    }
}

/// An experiment that strikes a try: it counts as active until this is dropped.
#[derive(Debug)]
pub struct Strike(Arc<Experiment>);

impl Strike {
    /// What goes wrong.
    #[must_use]
    pub fn inject(&self) -> &Injection {
        &self.0.inject
    }

    /// The experiment's name, for the operator.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How long the experiment goes on; nothing when it has ended since.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        self.0.run.left()
    }
}

impl Drop for Strike {
    fn drop(&mut self) {
        self.0.run.active.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
