//! Objectives: checked, and compiled into the routes whose exchanges count for them.
//!
//! Counts lie in `SharedState` under the objective's name, so that they go on over reloads and are
//! shared by both arms of a rollout. What they mean (windows, budgets, alerts) is decided by whoever
//! takes readings; how that stands is published here ([`Standings`]) for the metrics page.

use crate::compile::Work;
use crate::record::metrics::{Exposition, Kind};
use gate_flow::{
    Cells, Counting, Countings, Judge, OBJECTIVES_PER_ROUTE_MAX, Restriction, Route, Score,
};
use gate_kit::order::Gather;
use gate_model::document::{Node, NodeKind, Path};
use gate_model::finding::Finding;
use gate_model::resources::{Indicator, Objective, Resources};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Most objectives of a configuration.
const OBJECTIVES_MAX: usize = 10_000;

/// Checks every objective: what it refers to, its expression, and what the engine says.
pub(crate) fn check(work: &mut Work<'_>) {
    let resources = work.resources;
    if resources.objectives.len() > OBJECTIVES_MAX {
        let message = format!("there are at most {OBJECTIVES_MAX} objectives");
        let path = Path::root().key("objectives");
        work.report(Finding::error("too_many", path, message));
        return;
    }
    let detectors = detectors(resources);
    for (name, objective) in &resources.objectives {
        let path = Path::root().key("objectives").key(name);
        references(work, objective, &path);
        if let Indicator::Quality { detector } = &objective.indicator
            && !detectors.contains(detector)
        {
            let path = path.key("indicator").key("quality").key("detector");
            work.unknown(path, "named rule of a `guard`", detector, &detectors);
        }
        if let Some(expression) = &objective.good {
            if objective.indicator != Indicator::default() {
                let message = "an exchange is good by `good` or by `indicator`, not by both";
                work.report(Finding::error(
                    "invalid_objective",
                    path.key("good"),
                    message,
                ));
            }
            if let Err(problem) = (work.compiler.registry.record_condition)(expression) {
                work.report(Finding::error(
                    "invalid_expression",
                    path.key("good"),
                    problem,
                ));
            }
        }
        if let Err((field, problem)) = (work.compiler.registry.objective)(name, objective) {
            work.report(Finding::error(
                "invalid_objective",
                path.key(field),
                problem,
            ));
        }
    }
}

fn references(work: &mut Work<'_>, objective: &Objective, path: &Path) {
    let resources = work.resources;
    let mut look =
        |field: &'static str, kind: &str, name: &Option<String>, known: BTreeSet<&String>| {
            if let Some(name) = name.as_ref().filter(|name| !known.contains(name)) {
                work.unknown(path.key(field), kind, name, known);
            }
        };
    look(
        "route",
        "route",
        &objective.route,
        resources.routes.keys().into_set(),
    );
    look(
        "model",
        "model",
        &objective.model,
        resources.models.keys().into_set(),
    );
    look(
        "provider",
        "provider",
        &objective.provider,
        resources.providers.keys().into_set(),
    );
    look(
        "consumer",
        "consumer",
        &objective.consumer,
        resources.consumers.keys().into_set(),
    );
    let own = resources
        .consumers
        .values()
        .filter_map(|consumer| consumer.team.as_ref());
    look(
        "team",
        "team",
        &objective.team,
        resources.teams.keys().chain(own).into_set(),
    );
}

/// Names of the rules of all guards.
fn detectors(resources: &Resources) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let routes = resources.routes.values().flat_map(|route| &route.policies);
    let apis = resources.apis.values().flat_map(|api| &api.policies);
    for component in routes.chain(apis) {
        let rules = component
            .0
            .get("guard")
            .and_then(|guard| guard.get("rules"));
        let Some(Node {
            kind: NodeKind::Sequence(rules),
            ..
        }) = rules
        else {
            continue;
        };
        for rule in rules {
            if let Some(Node {
                kind: NodeKind::String(name),
                ..
            }) = rule.get("name")
            {
                names.insert(name.to_string());
            }
        }
    }
    names
}

/// Has every route count for the objectives that are about it.
pub(crate) fn attach(work: &mut Work<'_>, routes: &mut [Route]) {
    let resources = work.resources;
    if resources.objectives.is_empty() {
        return;
    }
    let state = work.compiler.state;
    let cells = state.get_or_insert("", Cells::default);
    for route in routes {
        let about = |objective: &Objective| {
            objective
                .route
                .as_deref()
                .is_none_or(|name| name == &*route.name)
        };
        let mut objectives = Vec::new();
        for (name, objective) in resources.objectives.iter().filter(|(_, one)| about(one)) {
            let Some(judge) = judge(work, objective) else {
                continue;
            };
            objectives.push(Counting {
                name: name.as_str().into(),
                restriction: restriction(objective),
                judge,
                score: state.get_or_insert(name, Score::default),
            });
        }
        if objectives.len() > OBJECTIVES_PER_ROUTE_MAX {
            let message = format!(
                "route `{}` would count for {} objectives at each exchange; there may be {OBJECTIVES_PER_ROUTE_MAX}",
                route.name,
                objectives.len()
            );
            work.report(Finding::error(
                "too_many",
                Path::root().key("objectives"),
                message,
            ));
            return;
        }
        let names = objectives
            .iter()
            .map(|counting| counting.name.clone())
            .collect();
        route.objectives = (!objectives.is_empty()).then(|| {
            Arc::new(Countings {
                objectives,
                names,
                cells: cells.clone(),
            })
        });
    }
}

/// When an exchange is good; none where its expression is wrong, which [`check`] reports.
fn judge(work: &Work<'_>, objective: &Objective) -> Option<Judge> {
    if let Some(expression) = &objective.good {
        let compiled = (work.compiler.registry.record_condition)(expression);
        return compiled.ok().map(Judge::Holds);
    }
    Some(match &objective.indicator {
        Indicator::Availability {} => Judge::Available,
        Indicator::Latency { within } => Judge::Latency(within.duration()),
        Indicator::TimeToFirstToken { within } => Judge::FirstToken(within.duration()),
        Indicator::Cost { at_most } => Judge::Cost(*at_most),
        Indicator::Quality { detector } => Judge::Quality(detector.as_str().into()),
    })
}

fn restriction(objective: &Objective) -> Option<Restriction> {
    let boxed = |name: &Option<String>| name.as_deref().map(Into::into);
    let restriction = Restriction {
        model: boxed(&objective.model),
        provider: boxed(&objective.provider),
        consumer: boxed(&objective.consumer),
        team: boxed(&objective.team),
    };
    (restriction != Restriction::default()).then_some(restriction)
}

/// How an objective stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Standing {
    /// Its name.
    pub objective: Arc<str>,
    /// Exchanges that this process has counted.
    pub total: u64,
    /// Bad ones among them.
    pub bad: u64,
    /// Share of the error budget that is left; none without exchanges.
    pub left: Option<f64>,
    /// How many times as fast as allowed it burns, by window (`1h`); without those that are empty.
    pub burns: Vec<(String, f64)>,
    /// Which alerts are on: `page`, `ticket`, `vanished`, `suspicion`.
    pub alerts: [(&'static str, bool); 4],
}

/// Says how all objectives stand.
pub type Look = Arc<dyn Fn() -> Vec<Standing> + Send + Sync>;

/// How all objectives stand, looked at when somebody asks: nothing is made each second for a page that
/// is read each minute.
#[derive(Default)]
pub struct Standings(Mutex<Option<Look>>);

impl Standings {
    /// Who is asked from now on.
    pub fn ask(&self, look: Look) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
    }

    /// How they stand; none before anybody watches them.
    #[must_use]
    pub fn all(&self) -> Vec<Standing> {
        let look = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        look.map_or_else(Vec::new, |look| look())
    }
}

/// Writes the families about objectives.
pub(crate) fn page(page: &mut Exposition, standings: &[Standing]) {
    let name = |standing: &Standing| standing.objective.clone();
    let help = "Exchanges that an objective counts.";
    page.family("tidegate_objective_events", Kind::Counter, "", help);
    for one in standings {
        page.sample(&[("objective", &*name(one))], one.total);
    }
    let help = "Bad ones among the exchanges that an objective counts.";
    page.family("tidegate_objective_bad_events", Kind::Counter, "", help);
    for one in standings {
        page.sample(&[("objective", &*name(one))], one.bad);
    }
    let help = "Share of an objective's error budget that is left, of all gateways together: 1 is \
                untouched, below 0 overspent.";
    page.family(
        "tidegate_objective_budget_left_ratio",
        Kind::Gauge,
        "ratio",
        help,
    );
    for one in standings {
        if let Some(left) = one.left {
            page.sample(&[("objective", &*name(one))], left);
        }
    }
    let help = "How many times as fast as allowed an objective's error budget burns, by window.";
    page.family("tidegate_objective_burn", Kind::Gauge, "", help);
    for one in standings {
        for (window, burn) in &one.burns {
            page.sample(&[("objective", &*name(one)), ("window", window)], *burn);
        }
    }
    let help = "Whether an alert of an objective is on (1): `page`, `ticket`, `vanished`, or the \
                `suspicion` that never pages.";
    page.family("tidegate_objective_alert", Kind::Gauge, "", help);
    for one in standings {
        for (alert, is_on) in one.alerts {
            let labels = [("objective", &*name(one)), ("alert", alert)];
            page.sample(&labels, u64::from(is_on));
        }
    }
}

/// Writes every family once: what the reference shows.
pub fn example(to: &mut Exposition) {
    let standing = Standing {
        objective: "orders-available".into(),
        total: 1000,
        bad: 1,
        left: Some(0.9),
        burns: vec![("1h".into(), 0.5)],
        alerts: [
            ("page", false),
            ("ticket", false),
            ("vanished", false),
            ("suspicion", false),
        ],
    };
    page(to, &[standing]);
}
