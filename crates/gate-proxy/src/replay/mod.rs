//! What a change would have done to recent traffic: kept records, replayed against a candidate.
//!
//! Both configurations are compiled with state of their own, so that nothing that runs is touched.
//! For each row, both find its route; where the two routes are the same in all that the row meets,
//! nothing more is done. Otherwise policies are walked ([`side`]), from what was recorded where a
//! policy is the same on both sides, by running it again where that is possible, and as `unknown`
//! where the candidate reads more than rows keep. Calls to models are compared by expected shares
//! ([`models`]).

mod lane;
mod models;
mod services;
mod side;
mod tally;

use crate::compile::Compiler;
use crate::process::Process;
use crate::record::recent;
use crate::record::recent::line::{AiLine, Basis, Line};
use crate::record::recent::secret::Secret;
use gate_api::types::{Effect, Example, What};
use gate_flow::{Found, Parameters, Services, Snapshot};
use gate_kit::clock::{Clock, ManualClock};
use gate_kit::http::{Headers, Method, RequestHead, Version};
use gate_model::document::Document;
use gate_model::finding::Finding;
use gate_model::resources::Target;
use lane::{Lane, index};
use models::ModelSide;
use services::Nobody;
use side::{Recorded, Side, Walked};
use std::collections::HashMap;
use std::fmt::Display;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tally::{Outcome, Tally};

/// Most rows that a plan replays, the newest.
pub const ROWS_MAX: u64 = 1_000_000;

/// Why there is no effect.
#[derive(Debug)]
pub enum ReplayError {
    /// One of the documents does not compile.
    Findings(Vec<Finding>),
    /// Records cannot be read.
    Records(String),
}

/// Replays the newest records of a folder against two documents. `compiler` has state of its own,
/// which ends with the replay. Takes seconds: never call it on a worker.
///
/// # Errors
/// [`ReplayError`].
pub fn effect(
    compiler: &Compiler<'_>,
    folder: &Path,
    current: &Document,
    candidate: &Document,
) -> Result<Effect, ReplayError> {
    let compile = |document: &Document| {
        let state = gate_flow::SharedState::default();
        let compiler = Compiler {
            state: &state,
            books: None,
            ..*compiler
        };
        let compiled = compiler.compile(document, 0);
        compiled
            .map(|compiled| compiled.snapshot)
            .map_err(ReplayError::Findings)
    };
    let (current, candidate) = (compile(current)?, compile(candidate)?);
    let secret = Secret::open(folder).map_err(ReplayError::Records)?;
    let mut replay = Replay::new(current, candidate, &secret);
    recent::replay(folder, ROWS_MAX, |basis, id, line| {
        replay.row(basis, id, line)
    })
    .map_err(|error| ReplayError::Records(error.to_string()))?;
    Ok(replay.finish())
}

impl Process {
    /// What `candidate` instead of `current` would have done to recent traffic; none where no
    /// records are kept. Takes seconds: never call it on a worker.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn effect(
        &self,
        current: &Document,
        candidate: &Document,
    ) -> Result<Option<Effect>, ReplayError> {
        let shared = self.shared();
        let Some(folder) = shared.readers.records_folder() else {
            return Ok(None);
        };
        let setup = self.setup();
        let compiler = Compiler {
            registry: &setup.registry,
            state: &gate_flow::SharedState::default(),
            secrets: &*setup.secrets,
            clock: &shared.clock,
            dns: &shared.dns,
            folder: &setup.folder,
            books: None,
        };
        effect(&compiler, &folder, current, candidate).map(Some)
    }
}

/// A replay under way. Rows come in the order in which they were kept.
pub struct Replay {
    current: Side,
    candidate: Side,
    services: Rc<dyn Services>,
    hands: Arc<ManualClock>,
    basis: usize,
    bases: Vec<Basis>,
    lanes: HashMap<(usize, usize, usize), Rc<Lane>>,
    models: HashMap<String, (Option<ModelSide>, Option<ModelSide>)>,
    tally: Tally,
}

impl Replay {
    /// A replay against two snapshots that nobody serves. `secret` is the key of the rows' hashes.
    #[must_use]
    pub fn new(current: Arc<Snapshot>, candidate: Arc<Snapshot>, secret: &Secret) -> Self {
        let (clock, hands) = Clock::manual();
        Self {
            current: Side::new(current, secret),
            candidate: Side::new(candidate, secret),
            services: Rc::new(Nobody(clock)),
            hands,
            basis: 0,
            bases: Vec::new(),
            lanes: HashMap::new(),
            models: HashMap::new(),
            tally: Tally::default(),
        }
    }

    /// The effect of the rows so far.
    #[must_use]
    pub fn finish(self) -> Effect {
        self.tally.finish()
    }

    /// Replays one row, whose id is shown in examples.
    pub fn row(&mut self, basis: &Basis, id: &dyn Display, line: &Line<'_>) {
        let mut outcome = self.tally.begin(line.started_us);
        let result = self.compare(basis, id, line, &mut outcome);
        if let Err(missing) = result {
            self.tally.unknown(&mut outcome, &missing);
        }
        self.tally.end(&outcome);
    }

    fn compare(
        &mut self,
        basis: &Basis,
        id: &dyn Display,
        line: &Line<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), Vec<String>> {
        if line.cut {
            return Err(vec!["a value that is longer than records keep".into()]);
        }
        let head = head(line).ok_or_else(|| vec!["a method that is none".to_owned()])?;
        let (mut before, mut after) = (Parameters::default(), Parameters::default());
        let was = self.current.find(basis, line, &head, &mut before)?;
        let is = self.candidate.find(basis, line, &head, &mut after)?;
        let lane = self.lane(was, is, basis);
        if lane.is_same() {
            return Ok(());
        }
        let example = |before: String, after: String| Example {
            record: id.to_string(),
            request: format!(
                "{} {}{}",
                &*line.method,
                &*line.authority,
                line.target.split('?').next().unwrap_or_default()
            ),
            before,
            after,
        };
        if lane.route_changed {
            let (before, after) = (self.current.named(was), self.candidate.named(is));
            self.tally
                .change(outcome, What::Route, 1.0, || example(before, after));
        }
        let (Some(was), Some(is)) = (index(was), index(is)) else {
            return Ok(());
        };
        let recorded = self.current.recorded(basis, line, Some(was));
        if lane.same_steps {
            return match (lane.same_target, recorded, line.answered_by.is_some()) {
                // Refused before and after.
                (true, ..) | (_, Recorded::StoppedAt(_), _) => Ok(()),
                (_, _, false) => self.targets((was, is), line, outcome, &example),
                (_, _, true) => Err(vec!["a verdict of the configuration in force".into()]),
            };
        }
        let at = Duration::from_micros(line.started_us);
        let now = self.services.clock().unix();
        self.hands.advance(at.saturating_sub(now));
        let (current, candidate) = (&self.current, &self.candidate);
        let first = match (recorded, line.answered_by.as_deref()) {
            (Recorded::Nothing, _) => {
                let head = head.clone();
                let mut exchange = current.exchange(&self.services, line, head, Some(was), before);
                current.walk(&mut exchange, &lane.before, recorded, line)
            }
            (_, None) => Walked::Passed,
            (_, Some(policy)) => side::stopped(policy, line),
        };
        let mut exchange = candidate.exchange(&self.services, line, head, Some(is), after);
        let second = candidate.walk(&mut exchange, &lane.after, recorded, line);
        match (&first, &second) {
            (Walked::Unknown(missing), _) | (_, Walked::Unknown(missing)) => Err(missing.clone()),
            (Walked::Passed, Walked::Passed) if lane.same_target => Ok(()),
            (Walked::Passed, Walked::Passed) => self.targets((was, is), line, outcome, &example),
            (first, second) => {
                let share = if first == second { 0.0 } else { 1.0 };
                self.tally.change(outcome, What::Verdict, share, || {
                    example(first.shown(), second.shown())
                });
                Ok(())
            }
        }
    }

    /// What differs between two routes, worked out once.
    fn lane(&mut self, was: Found, is: Found, basis: &Basis) -> Rc<Lane> {
        let known = self.basis_of(basis);
        let (current, candidate) = (&self.current, &self.candidate);
        let make = || Rc::new(Lane::new(current, candidate, (was, is), basis));
        let lane = self.lanes.entry((known, place(was), place(is)));
        lane.or_insert_with(make).clone()
    }

    fn basis_of(&mut self, basis: &Basis) -> usize {
        let is = |known: &Basis| {
            known.digest == basis.digest
                && known.sample == basis.sample
                && known.reads == basis.reads
        };
        if !self.bases.get(self.basis).is_some_and(is) {
            let known = self.bases.iter().position(is);
            self.basis = known.unwrap_or_else(|| {
                self.bases.push(basis.clone());
                self.bases.len() - 1
            });
        }
        self.basis
    }

    /// Compares where a request goes that both sides let through.
    fn targets(
        &mut self,
        (was, is): (usize, usize),
        line: &Line<'_>,
        outcome: &mut Outcome,
        example: &dyn Fn(String, String) -> Example,
    ) -> Result<(), Vec<String>> {
        let (Some(before), Some(after)) = (self.current.target(was), self.candidate.target(is))
        else {
            return Ok(());
        };
        match (before, after) {
            (Target::Models(_), Target::Models(_)) => {
                let Some(call) = line.ai.as_deref() else {
                    return Ok(());
                };
                return self.call((was, is), line, call, outcome, example);
            }
            (Target::Upstream(was), Target::Upstream(is)) if was == is => {
                let upstreams = &self.candidate.resources().upstreams;
                let endpoints = upstreams.get(is).map(|upstream| &upstream.endpoints);
                let served = line
                    .attempts
                    .last()
                    .map(|(endpoint, ..)| endpoint.to_string());
                if let (Some(endpoints), Some(served)) = (endpoints, served)
                    && !endpoints.contains(&served)
                {
                    self.tally.change(outcome, What::Version, 1.0, || {
                        example(served, endpoints.join(", "))
                    });
                }
            }
            (before, after) if !lane::same(before, after) => {
                let named = |target: &Target| match target {
                    Target::Upstream(name) => format!("upstream {name}"),
                    Target::Models(names) => format!("models {}", names.join(", ")),
                    Target::Mcp(_) => "servers of tools".to_owned(),
                    Target::Agent(name) => format!("agent {name}"),
                    Target::Fixed(reply) => format!("fixed answer {}", reply.status),
                };
                self.tally.change(outcome, What::Version, 1.0, || {
                    example(named(before), named(after))
                });
            }
            _ => return Err(vec!["what servers of tools and agents answer".into()]),
        }
        Ok(())
    }

    /// Compares where a call to a model goes, and what it costs.
    fn call(
        &mut self,
        routes: (usize, usize),
        line: &Line<'_>,
        call: &AiLine<'_>,
        outcome: &mut Outcome,
        example: &dyn Fn(String, String) -> Example,
    ) -> Result<(), Vec<String>> {
        let name = &*call.model;
        let (current, candidate) = (&self.current, &self.candidate);
        let (was, is) = (
            may(current, routes.0, line, name),
            may(candidate, routes.1, line, name),
        );
        if was != is {
            let word = |may| if may { "passes" } else { "model_not_found" }.to_owned();
            self.tally
                .change(outcome, What::Verdict, 1.0, || example(word(was), word(is)));
        }
        if !(was && is) {
            return Ok(());
        }
        let (before, after) = (current.resources(), candidate.resources());
        if !self.models.contains_key(name) {
            let sides = (ModelSide::of(before, name), ModelSide::of(after, name));
            self.models.insert(name.to_owned(), sides);
        }
        let Some((Some(first), Some(second))) = self.models.get(name) else {
            return Ok(());
        };
        if let Some(what) = first.unknown().or(second.unknown())
            && !lane::same(&before.models.get(name), &after.models.get(name))
        {
            return Err(vec![format!("{what}, for the model `{name}`")]);
        }
        let (providers, models) = models::moved(first, second);
        for (what, share) in [(What::Provider, providers), (What::Version, models)] {
            self.tally.change(outcome, what, share, || {
                example(first.shown(), second.shown())
            });
        }
        if let (Some(cost), Some(then)) = (first.cost(call), second.cost(call)) {
            let share = if cost == then { 0.0 } else { 1.0 };
            let dollars = |cost| format!("${}", gate_model::units::Money::from_picodollars(cost));
            self.tally.change(outcome, What::Cost, share, || {
                example(dollars(cost), dollars(then))
            });
            self.tally.sum(What::Cost, cost, then);
        }
        match lane::same(&before.budgets, &after.budgets) {
            true => Ok(()),
            false => Err(vec!["what is left of budgets".into()]),
        }
    }
}

/// What a search found, as a number.
const fn place(found: Found) -> usize {
    match found {
        Found::Nothing => 0,
        Found::OtherMethod => 1,
        Found::Route(index) => index + 2,
    }
}

/// Whether this row's caller may use a model on a route.
fn may(side: &Side, route: usize, line: &Line<'_>, model: &str) -> bool {
    let offered = match side.target(route) {
        Some(Target::Models(names)) => names.iter().any(|name| name == model),
        _ => false,
    };
    let caller = line.consumer.as_deref();
    let caller = caller.and_then(|name| side.snapshot.callers.by_name(name));
    let allowed = caller.and_then(|caller| caller.models.as_ref());
    offered && allowed.is_none_or(|models| models.iter().any(|allowed| allowed == model))
}

/// The head of a kept request, as far as it is kept.
fn head(line: &Line<'_>) -> Option<RequestHead> {
    let mut headers = Headers::new();
    for (name, value) in &line.headers {
        headers.try_append(name.as_bytes(), value.as_bytes()).ok()?;
    }
    Some(RequestHead {
        method: Method::from_bytes(line.method.as_bytes())?,
        authority: line.authority.to_string(),
        target: line.target.to_string(),
        version: Version::Http11,
        headers,
        upgrade: None,
    })
}
