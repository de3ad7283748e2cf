//! A candidate beside the snapshot in force: begun, given another share, and ended, by the control
//! plane; offered to exchanges by workers.
//!
//! Without a candidate an exchange pays for one branch. Ending a trial counts from the next
//! exchange of every worker; those in flight keep the snapshot they began with, so that no stream
//! is cut. How exchanges are given out and counted is in `gate_flow::Trial`.

use crate::compile::{Compiled, Work};
use crate::process::{Process, StartError, Upstreams};
use crate::record::metrics::Exposition;
use crate::upstream::Upstream;
use arc_swap::ArcSwapOption;
use gate_flow::{
    Arm, Copies, Evidence, OTHER_SLICE, Observed, SLICES_MAX, SignalPlan, Source, Trial, TrialPlace,
};
use gate_kit::order::Order;
use gate_model::document::{Document, Path};
use gate_model::finding::Finding;
use gate_model::resources::{ANSWERS, COMPARED, Resources, Rollout as Strategy};
use gate_model::units::Money;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What a trial begins with.
#[derive(Debug, Clone, Copy)]
pub struct TrialStart<'a> {
    /// Id of the rollout; the same on every instance.
    pub rollout: &'a str,
    /// The candidate's number.
    pub revision: u64,
    /// What it holds.
    pub document: &'a Document,
    /// How it is rolled out.
    pub strategy: &'a Strategy,
    /// Routes that it is about; all when `None`. Only the first [`SLICES_MAX`] by name are told
    /// apart.
    pub routes: Option<&'a [String]>,
    /// The step.
    pub step: u32,
    /// Share of the exchanges that the candidate serves, from 0 to 1.
    pub share: f64,
}

/// The trial of a process, if there is one.
#[derive(Default)]
pub struct Trials {
    /// Whether there is one: all that an exchange asks without it.
    runs: AtomicBool,
    running: ArcSwapOption<Running>,
    /// Counts of the trial that runs, or ran last: exchanges of its may still end.
    last: Mutex<Option<Last>>,
}

struct Running {
    trial: Arc<Trial>,
    upstreams: Upstreams,
}

struct Last {
    rollout: Arc<str>,
    share: f64,
    evidence: Arc<Evidence>,
    copies: Arc<Copies>,
}

impl Trials {
    /// What an exchange that begins has to do with a trial.
    #[inline]
    #[must_use]
    pub fn offer(&self) -> TrialPlace {
        if self.runs.load(Ordering::Relaxed) {
            self.offer_running()
        } else {
            TrialPlace::Absent
        }
    }

    #[cold]
    fn offer_running(&self) -> TrialPlace {
        let running = self.running.load();
        let trial = running.as_ref().map(|running| running.trial.clone());
        trial.map_or(TrialPlace::Absent, TrialPlace::Offered)
    }

    /// An upstream that only the candidate has.
    pub(crate) fn upstream(&self, name: &str) -> Option<Arc<Upstream>> {
        let running = self.running.load();
        running.as_ref()?.upstreams.get(name).cloned()
    }

    fn set(&self, running: Option<Running>) {
        if let Some(running) = &running {
            let trial = &running.trial;
            *self.lock() = Some(Last {
                rollout: trial.rollout.clone(),
                share: trial.share,
                evidence: trial.evidence.clone(),
                copies: trial.copies.clone(),
            });
        } else if let Some(last) = &mut *self.lock() {
            last.share = 0.0;
        }
        self.runs.store(running.is_some(), Ordering::Relaxed);
        self.running.store(running.map(Arc::new));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts of a rollout in this process; none when it was not the last one here.
    #[must_use]
    pub fn counts(&self, rollout: &str) -> Vec<Observed> {
        let last = self.lock();
        let last = last.as_ref().filter(|last| &*last.rollout == rollout);
        let evidence = last.map(|last| last.evidence.clone());
        evidence.map_or_else(Vec::new, |evidence| evidence.totals())
    }

    /// The families about the trial that runs, or ran last.
    pub(crate) fn page(&self, page: &mut Exposition) {
        let last = self.lock();
        let told = last.as_ref().map(|last| Told {
            rollout: last.rollout.clone(),
            share: last.share,
            rows: last.evidence.totals(),
            copies: last.copies.made(),
            copies_cost: last.copies.cost(),
        });
        drop(last);
        write(page, &told.unwrap_or_default());
    }
}

/// What the metrics page says about a trial.
#[derive(Default)]
struct Told {
    /// Empty where there was none.
    rollout: Arc<str>,
    share: f64,
    rows: Vec<Observed>,
    copies: u64,
    copies_cost: Money,
}

/// Writes the families about a trial.
fn write(page: &mut Exposition, told: &Told) {
    use crate::record::metrics::Kind;
    let rollout = &*told.rollout;
    let help = "Share of the exchanges that the candidate of a rollout serves, from 0 to 1.";
    page.family("tidegate_rollout_share_ratio", Kind::Gauge, "ratio", help);
    if !rollout.is_empty() {
        page.sample(&[("rollout", rollout)], told.share);
    }
    let help = "Requests that were copied to the candidate of a rollout, to compare its answers.";
    page.family("tidegate_rollout_copies", Kind::Counter, "", help);
    if !rollout.is_empty() {
        page.sample(&[("rollout", rollout)], told.copies);
    }
    let help = "What copies to models cost, in US dollars; nobody's budget has it.";
    page.family("tidegate_rollout_copies_cost", Kind::Counter, "", help);
    if !rollout.is_empty() {
        let dollars = told.copies_cost.picodollars() as f64 / 1e12;
        page.sample(&[("rollout", rollout)], dollars);
    }
    type Pick = fn(&gate_flow::Tally) -> u64;
    let families: [(&'static str, &'static str, Pick); 2] = [
        (
            "tidegate_rollout_readings",
            "Exchanges (callers, in a sticky rollout) that have a reading of a signal, by arm.",
            |tally| tally.total,
        ),
        (
            "tidegate_rollout_bad_readings",
            "Bad ones of them, for signals that are a yes or no.",
            |tally| tally.bad,
        ),
    ];
    let mut sums: std::collections::BTreeMap<(&str, &str), [gate_flow::Tally; 2]> =
        std::collections::BTreeMap::new();
    for row in &told.rows {
        let sum = sums.entry((&row.slice, &row.signal)).or_default();
        sum[0].merge(&row.control);
        sum[1].merge(&row.candidate);
    }
    for (name, help, pick) in families {
        page.family(name, Kind::Counter, "", help);
        for ((route, signal), tallies) in &sums {
            for (arm, tally) in [Arm::Control, Arm::Candidate].iter().zip(tallies) {
                let labels = [
                    ("rollout", rollout),
                    ("route", route),
                    ("signal", signal),
                    ("arm", arm.as_str()),
                ];
                page.sample(&labels, pick(tally));
            }
        }
    }
}

/// Writes every family once: what the reference shows.
pub fn example(to: &mut Exposition) {
    let row = Observed {
        slice: "orders".into(),
        signal: "errors".into(),
        ..Observed::default()
    };
    let told = Told {
        rollout: "r-1".into(),
        share: 0.05,
        rows: vec![row],
        ..Told::default()
    };
    write(to, &told);
}

impl Process {
    /// Compiles a candidate and lets it serve its share beside the snapshot in force, instead of
    /// any other candidate. Blocks on files; not for a worker.
    ///
    /// # Errors
    /// What is wrong; whatever ran before runs on then.
    pub fn begin_trial(&self, start: &TrialStart<'_>) -> Result<(), StartError> {
        let compiled = self.compile(start.document, start.revision)?;
        let shared = self.shared();
        let now = &shared.snapshot.load().resources;
        same_listeners(now, &compiled.snapshot.resources)
            .map_err(|finding| StartError::Findings(vec![finding.locate(start.document)]))?;
        let signals = self.signals(start.strategy).map_err(StartError::Findings)?;
        let running = running(start, compiled, signals);
        self.watch_upstreams(&running.upstreams);
        shared.trials.set(Some(running));
        Ok(())
    }

    /// Gives the candidate of a rollout another share. Whether that rollout runs here.
    pub fn step_trial(&self, rollout: &str, step: u32, share: f64) -> bool {
        let trials = &self.shared().trials;
        let running = trials.running.load_full();
        let Some(running) = running.filter(|running| &*running.trial.rollout == rollout) else {
            return false;
        };
        let old = &running.trial;
        if old.step == step && old.share.to_bits() == share.to_bits() {
            return true;
        }
        let trial = Trial {
            rollout: old.rollout.clone(),
            step,
            share,
            snapshot: old.snapshot.clone(),
            sticky: old.sticky.clone(),
            salt: old.salt,
            routes: old.routes.clone(),
            signals: old.signals.clone(),
            tolerance: old.tolerance,
            shadow: old.shadow.clone(),
            copies: old.copies.clone(),
            evidence: old.evidence.clone(),
        };
        trials.set(Some(Running {
            trial: Arc::new(trial),
            upstreams: running.upstreams.clone(),
        }));
        true
    }

    /// Ends the trial, if there is one: the next exchange of every worker is served by the snapshot
    /// in force. Its counts stay readable until another begins.
    pub fn end_trial(&self) {
        self.shared().trials.set(None);
        self.shared().state.sweep();
    }

    /// Id, revision and step of the trial that runs.
    #[must_use]
    pub fn trial(&self) -> Option<(Arc<str>, u64, u32)> {
        let running = self.shared().trials.running.load();
        let trial = &running.as_ref()?.trial;
        Some((trial.rollout.clone(), trial.snapshot.revision, trial.step))
    }

    /// What is read of records, with expressions compiled.
    fn signals(&self, strategy: &Strategy) -> Result<Vec<SignalPlan>, Vec<Finding>> {
        let known = strategy.signals.iter().map(|signal| {
            Ok(SignalPlan {
                name: signal.as_str().into(),
                source: Source::Known(*signal),
            })
        });
        let compile = self.registry().record_condition;
        let expressions = strategy.expressions.iter().map(|(name, expression)| {
            let condition = compile(expression).map_err(|problem| {
                let path = Path::root().key("expressions").key(name);
                vec![Finding::error("invalid_expression", path, problem)]
            })?;
            Ok(SignalPlan {
                name: name.as_str().into(),
                source: Source::Bad(condition),
            })
        });
        known.chain(expressions).collect()
    }
}

/// Reports what cannot work of the ways to roll a revision out.
pub(crate) fn check(work: &mut Work<'_>) {
    let resources = work.resources;
    let compile = work.compiler.registry.record_condition;
    for (name, strategy) in &resources.rollouts {
        let path = Path::root().key("rollouts").key(name);
        for (field, problem) in strategy.problems() {
            work.report(Finding::error("invalid_rollout", path.key(field), problem));
        }
        for (signal, expression) in &strategy.expressions {
            if let Err(problem) = compile(expression) {
                let path = path.key("expressions").key(signal);
                work.report(Finding::error("invalid_expression", path, problem));
            }
        }
    }
}

fn running(start: &TrialStart<'_>, compiled: Compiled, signals: Vec<SignalPlan>) -> Running {
    let (slices, routes) = match start.routes {
        None => (vec![OTHER_SLICE.into()], None),
        Some(routes) => {
            let (slices, places) = slices(routes);
            (slices, Some(places))
        }
    };
    let mut names: Vec<Arc<str>> = signals.iter().map(|plan| plan.name.clone()).collect();
    if start.strategy.shadow.is_some() {
        names.push(ANSWERS.into());
        names.extend(COMPARED.map(Arc::from));
    }
    let sticky = start.strategy.sticky.clone();
    let evidence = Evidence::new(slices, names, sticky.is_some());
    let trial = Trial {
        rollout: start.rollout.into(),
        step: start.step,
        share: start.share,
        snapshot: compiled.snapshot,
        sticky,
        salt: salt(start.rollout),
        routes,
        signals: signals.into(),
        tolerance: start.strategy.tolerance.fraction(),
        shadow: start.strategy.shadow.clone(),
        copies: Arc::default(),
        evidence: Arc::new(evidence),
    };
    Running {
        trial: Arc::new(trial),
        upstreams: compiled.upstreams,
    }
}

/// Names of the slices that a rollout of these routes has, the same on every gateway.
#[must_use]
pub fn slice_names(routes: Option<&[String]>) -> Vec<String> {
    let slices = routes.map_or_else(|| vec![OTHER_SLICE.into()], |routes| slices(routes).0);
    slices.iter().map(ToString::to_string).collect()
}

/// Slices by name, and the slice of each route; what comes behind the last place is one slice.
fn slices(routes: &[String]) -> (Vec<Arc<str>>, HashMap<Arc<str>, usize>) {
    let mut sorted: Vec<&String> = routes.iter().collect();
    sorted.order();
    let own = match sorted.len() <= SLICES_MAX {
        true => sorted.len(),
        false => SLICES_MAX - 1,
    };
    let mut slices: Vec<Arc<str>> = sorted[..own]
        .iter()
        .map(|name| name.as_str().into())
        .collect();
    if own < sorted.len() || own == 0 {
        slices.push(OTHER_SLICE.into());
    }
    let place = |(index, name): (usize, &&String)| (name.as_str().into(), index.min(own));
    (slices, sorted.iter().enumerate().map(place).collect())
}

/// The same on every instance and for every version of this program.
fn salt(rollout: &str) -> u64 {
    // FNV-1a: it only has to differ between rollouts.
    rollout.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Sockets cannot be shared out: a change of listeners takes effect at once, or not at all.
fn same_listeners(now: &Resources, then: &Resources) -> Result<(), Finding> {
    let text = |resources: &Resources| serde_json::to_string(&resources.listeners);
    match (text(now), text(then)) {
        (Ok(now), Ok(then)) if now == then => Ok(()),
        _ => {
            let message = "a rollout cannot change listeners: they serve all exchanges or none";
            let finding = Finding::error("not_gradual", Path::root().key("listeners"), message);
            Err(finding.help("apply the change of listeners by itself, without `--canary`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_routes_than_slices_share_the_last_one() {
        let names = |count: usize| (0..count).map(|n| format!("r{n:03}")).collect::<Vec<_>>();
        for (count, expected) in [(0, 1), (1, 1), (64, 64), (65, 64), (300, 64)] {
            let (slices, routes) = slices(&names(count));
            assert_eq!((slices.len(), routes.len()), (expected, count));
            assert!(routes.values().all(|index| *index < slices.len()));
        }
        let (slices, routes) = slices(&names(65));
        assert_eq!(
            (&*slices[63], routes["r063"], routes["r064"]),
            (OTHER_SLICE, 63, 63)
        );
    }
}
