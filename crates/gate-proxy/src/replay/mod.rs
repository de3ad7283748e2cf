//! What a change would have done to recent traffic: kept records, replayed against a candidate.
//!
//! Both configurations are compiled with state of their own, so that nothing that runs is touched.
//! For each row, both find its route; where the two routes are the same in all that the row meets,
//! nothing more is done. Otherwise policies are walked ([`side`]), from what was recorded where a
//! policy is the same on both sides, by running it again where that is possible, and as `unknown`
//! where the candidate reads more than rows keep. Then targets are compared ([`target`]), calls to
//! models by expected shares ([`models`]).
//!
//! A row is `unchanged` only when every field that differs and that the row meets ([`changes`]) was
//! replayed: a field that nobody replays is a doubt, and a row in doubt is `unknown`.

mod callers;
mod changes;
mod lane;
mod models;
mod prompts;
mod services;
mod side;
mod tally;
mod target;
mod versions;
mod walk;

use crate::compile::{Compiler, ConditionCompiler};
use crate::process::Process;
use crate::record::recent;
use crate::record::recent::line::{Basis, Line};
use crate::record::recent::secret::Secret;
use callers::{CallerChanges, keys};
use changes::Changes;
use gate_api::types::{Effect, Example, What};
use gate_flow::{Found, Parameters, Services, Snapshot};
use gate_kit::clock::{Clock, ManualClock};
use gate_kit::http::{Headers, Method, RequestHead, Version};
use gate_model::document::Document;
use gate_model::finding::Finding;
use lane::{Lane, index};
use prompts::Prompted;
use services::Nobody;
use side::{Side, Walked};
use std::collections::HashMap;
use std::fmt::Display;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use tally::{Outcome, Tally};
use target::{ModelPair, Passed};
use versions::Chosen;
use walk::Walk;

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
    let means = Means {
        secret: &secret,
        conditions: compiler.registry.model_condition,
        now_unix_s: compiler.clock.unix().as_secs(),
    };
    let mut replay = Replay::new(current, candidate, &means);
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

/// What a replay needs besides the two snapshots.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// The key of the rows' hashes.
    pub secret: &'a Secret,
    /// Compiles the conditions of models' targets.
    pub conditions: ConditionCompiler,
    /// The moment of the plan: keys that the candidate lets expire before it are expired for every
    /// row.
    pub now_unix_s: u64,
}

/// Makes an example of what a row was and becomes.
type Examples<'a> = &'a dyn Fn(String, String) -> Example;

/// A replay under way. Rows come in the order in which they were kept.
pub struct Replay {
    current: Rc<Side>,
    candidate: Rc<Side>,
    changes: Changes,
    callers: CallerChanges,
    /// Doubts about every row, from settings of the process.
    everywhere: Vec<String>,
    conditions: ConditionCompiler,
    services: Rc<dyn Services>,
    hands: Arc<ManualClock>,
    basis: usize,
    bases: Vec<Basis>,
    lanes: HashMap<(usize, usize, usize), Rc<Lane>>,
    models: HashMap<String, Rc<ModelPair>>,
    tally: Tally,
}

impl Replay {
    /// A replay against two snapshots that nobody serves.
    #[must_use]
    pub fn new(current: Arc<Snapshot>, candidate: Arc<Snapshot>, means: &Means<'_>) -> Self {
        let (clock, hands) = Clock::manual();
        let (before, after) = (&current.resources, &candidate.resources);
        let changes = Changes::between(before, after);
        let callers = CallerChanges::between(&changes, before, after, means.now_unix_s);
        let settings = changes.kind("gateway").map(|(name, _)| name);
        let everywhere = settings.map(|name| format!("the effect of `gateway.{name}`"));
        let keys = |snapshot: &Snapshot, before| keys(snapshot, before, means.now_unix_s);
        let (was, is) = (keys(&current, None), keys(&candidate, Some(&*current)));
        Self {
            everywhere: everywhere.collect(),
            changes,
            callers,
            current: Rc::new(Side::new(current, was, means.secret)),
            candidate: Rc::new(Side::new(candidate, is, means.secret)),
            conditions: means.conditions,
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
        if let Err(missing) = self.compare(basis, id, line, &mut outcome) {
            outcome.doubt(missing);
        }
        self.tally.end(outcome);
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
        if !self.everywhere.is_empty() {
            outcome.doubt(self.everywhere.clone());
        }
        if self.changes.has("listeners", &line.listener) {
            outcome.doubt(self.changes.beyond("listeners", &line.listener, &[]));
        }
        let lane = self.lane(was, is, basis);
        let unnamed = self.callers.any() && lane.telling && line.consumer.is_none();
        let touched = unnamed || self.callers.of(line).is_some();
        if lane.is_same() && !touched {
            return Ok(());
        }
        let example = |before: String, after: String| example(id, line, before, after);
        if lane.route_changed {
            let (before, after) = (self.current.named(was), self.candidate.named(is));
            self.tally
                .change(outcome, What::Route, 1.0, || example(before, after));
        }
        let (Some(was), Some(is)) = (index(was), index(is)) else {
            return Ok(());
        };
        let walk = Walk {
            lane: &lane,
            basis,
            line,
            head: &head,
            routes: (was, is),
            touched,
        };
        let (first, second, versions) = match lane.same_steps && !touched {
            true => {
                let (first, second) = walk.recorded(&self.current)?;
                (first, second, None)
            }
            false => self.walk(&walk, (before, after), outcome),
        };
        match (&first, &second) {
            (Walked::Unknown(missing), _) | (_, Walked::Unknown(missing)) => Err(missing.clone()),
            (Walked::Passed, Walked::Passed) => {
                let versions = versions.as_ref().map(|(was, is)| (was, is));
                self.passed(&walk, versions, outcome, &example)
            }
            (first, second) => {
                let share = if first == second { 0.0 } else { 1.0 };
                self.tally.change(outcome, What::Verdict, share, || {
                    example(first.shown(), second.shown())
                });
                Ok(())
            }
        }
    }

    /// Compares what becomes of a request that both sides let through.
    fn passed(
        &mut self,
        walk: &Walk<'_>,
        versions: Option<(&Chosen, &Chosen)>,
        outcome: &mut Outcome,
        example: Examples<'_>,
    ) -> Result<(), Vec<String>> {
        let Walk { lane, line, .. } = *walk;
        if let Some(versions) = versions {
            self.versions(versions, outcome, example);
        }
        if !lane.doubts.is_empty() {
            outcome.doubt(lane.doubts.clone());
        }
        match lane.prompts.as_ref().map(|prompts| prompts.judge(line)) {
            None | Some(Prompted::Same) => {}
            Some(Prompted::Unknown(what)) => outcome.doubt(vec![what]),
            Some(Prompted::Other(before, after)) => {
                self.tally
                    .change(outcome, What::Version, 1.0, || example(before, after));
            }
        }
        let callers = std::mem::take(&mut self.callers);
        let caller = callers.of(line);
        if let Some(caller) = caller {
            outcome.doubt(caller.doubts.clone());
        }
        let passed = Passed {
            routes: walk.routes,
            basis: walk.basis,
            line,
            head: walk.head,
            caller,
            versions,
        };
        let compared = match lane.same_target && caller.is_none() {
            true => Ok(()),
            false => self.targets(&passed, outcome, example),
        };
        self.callers = callers;
        compared
    }

    /// What differs between two routes, worked out once.
    fn lane(&mut self, was: Found, is: Found, basis: &Basis) -> Rc<Lane> {
        let known = self.basis_of(basis);
        let sides = (&*self.current, &*self.candidate);
        let make = || Rc::new(Lane::new(sides, &self.changes, (was, is), basis));
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
}

fn example(id: &dyn Display, line: &Line<'_>, before: String, after: String) -> Example {
    let path = line.target.split('?').next().unwrap_or_default();
    Example {
        record: id.to_string(),
        request: format!("{} {}{path}", &*line.method, &*line.authority),
        before,
        after,
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
