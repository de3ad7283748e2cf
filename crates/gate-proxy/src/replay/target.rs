//! Compares where a request goes that both sides let through: endpoints, models, providers, cost.

use super::callers::CallerChange;
use super::models::{ModelSide, asked, moved};
use super::side::Side;
use super::tally::Outcome;
use super::versions::{Chosen, is_by_version};
use super::{Examples, Replay, lane};
use crate::record::recent::line::{AiLine, Basis, Line};
use gate_api::types::What;
use gate_flow::{Exchange, Parameters};
use gate_kit::http::RequestHead;
use gate_kit::order::Gather;
use gate_model::resources::{
    Balance, BudgetOf, Model, ModelTarget, Resources, Strategy, Target, Upstream,
};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// A model of both sides.
pub(super) struct ModelPair {
    sides: Option<(ModelSide, ModelSide)>,
    /// Neither it nor what it depends on differs.
    same: bool,
    /// What differs of it and of its providers, and cannot be replayed.
    doubts: Vec<String>,
    /// Budgets that differ, on either side.
    budgets: Vec<(String, BudgetOf)>,
    /// Whether prices of its targets differ.
    priced: bool,
}

/// What a row is compared with.
pub(super) struct Passed<'a> {
    pub(super) routes: (usize, usize),
    pub(super) basis: &'a Basis,
    pub(super) line: &'a Line<'a>,
    pub(super) head: &'a RequestHead,
    pub(super) caller: Option<&'a CallerChange>,
    /// The versions that the two sides chose, where both were walked.
    pub(super) versions: Option<(&'a Chosen, &'a Chosen)>,
}

impl Replay {
    /// Compares where a request goes that both sides let through.
    pub(super) fn targets(
        &mut self,
        passed: &Passed<'_>,
        outcome: &mut Outcome,
        example: Examples<'_>,
    ) -> Result<(), Vec<String>> {
        let (was, is) = passed.routes;
        let (current, candidate) = (self.current.clone(), self.candidate.clone());
        let (Some(before), Some(after)) = (current.target(was), candidate.target(is)) else {
            return Ok(());
        };
        match (before, after) {
            (Target::Models(_), Target::Models(_)) => {
                return match passed.line.ai.as_deref() {
                    Some(call) => self.call(passed, call, outcome, example),
                    None => Err(vec!["which model was asked for".into()]),
                };
            }
            (Target::Upstream(was), Target::Upstream(is)) if was == is => {
                self.same_upstream(is, passed.line, outcome, example);
            }
            (was, is) if is_by_version(was, is) => self.homes(passed, outcome, example),
            (before, after) if !lane::same(before, after) => {
                self.tally.change(outcome, What::Version, 1.0, || {
                    example(named(before), named(after))
                });
            }
            (_, Target::Mcp(uses)) => {
                for server in uses.iter().map(|one| &one.server) {
                    outcome.doubt(self.changes.beyond("mcp_servers", server, &[]));
                }
                let tools = passed.caller.map(|caller| caller.tool_doubts.clone());
                outcome.doubt(tools.unwrap_or_default());
            }
            (_, Target::Agent(name)) => outcome.doubt(self.changes.beyond("agents", name, &[])),
            _ => {}
        }
        Ok(())
    }

    /// Compares an upstream that both sides call.
    pub(super) fn same_upstream(
        &mut self,
        name: &str,
        line: &Line<'_>,
        outcome: &mut Outcome,
        example: Examples<'_>,
    ) {
        let explained = ["endpoints", "weights"];
        outcome.doubt(self.changes.beyond("upstreams", name, &explained));
        let of = |side: &Side| side.resources().upstreams.get(name).cloned();
        if let (Some(was), Some(is)) = (of(&self.current), of(&self.candidate)) {
            self.endpoints(&was, &is, line, outcome, example);
        }
    }

    /// Compares the endpoints of an upstream: one that is gone served nobody; of one that shares
    /// with others, the part moves that its share shrinks by.
    fn endpoints(
        &mut self,
        was: &Upstream,
        is: &Upstream,
        line: &Line<'_>,
        outcome: &mut Outcome,
        example: Examples<'_>,
    ) {
        if was.endpoints == is.endpoints && was.weights == is.weights {
            return;
        }
        let Some((served, ..)) = line.attempts.last() else {
            return outcome.doubt(vec!["which endpoint would have served".into()]);
        };
        let share = |upstream: &Upstream| {
            let weight =
                |endpoint: &String| f64::from(upstream.weights.get(endpoint).copied().unwrap_or(1));
            let all: f64 = upstream.endpoints.iter().map(weight).sum();
            let own = upstream.endpoints.iter().find(|own| **own == **served);
            own.map_or(0.0, |own| weight(own) / all.max(1.0))
        };
        let (before, after) = (share(was), share(is));
        if after > 0.0
            && !matches!(
                is.balance,
                Balance::LeastRequest {} | Balance::RoundRobin {}
            )
        {
            return outcome.doubt(vec!["which endpoint would have served".into()]);
        }
        let moved = match before > 0.0 {
            true => ((before - after) / before).max(0.0),
            // Resolved to an address, or served by another configuration.
            false if after > 0.0 => 0.0,
            false => 1.0,
        };
        let served = served.to_string();
        self.tally.change(outcome, What::Version, moved, || {
            example(served, is.endpoints.join(", "))
        });
    }

    /// Compares where a call to a model goes, and what it costs.
    fn call(
        &mut self,
        passed: &Passed<'_>,
        call: &AiLine<'_>,
        outcome: &mut Outcome,
        example: Examples<'_>,
    ) -> Result<(), Vec<String>> {
        let name = &*call.model;
        let word = |may| if may { "passes" } else { "model_not_found" }.to_owned();
        let (was, is) = self.may(passed, name);
        if was != is {
            self.tally
                .change(outcome, What::Verdict, 1.0, || example(word(was), word(is)));
        }
        if !(was && is) {
            return Ok(());
        }
        self.limits(passed, outcome, example);
        let pair = match self.models.get(name) {
            Some(pair) => pair.clone(),
            None => {
                let pair = Rc::new(self.pair(name));
                self.models.insert(name.to_owned(), pair.clone());
                pair
            }
        };
        if pair.same && pair.budgets.is_empty() {
            return Ok(());
        }
        outcome.doubt(pair.doubts.clone());
        let Some((first, second)) = &pair.sides else {
            return Err(vec![format!("the effect of `models.{name}`")]);
        };
        self.shares(
            passed,
            (first, second),
            (call, pair.priced),
            outcome,
            example,
        )?;
        for (budget, of) in &pair.budgets {
            if pays(of, passed.line, call) {
                outcome.doubt(vec![format!("what is left of the budget `{budget}`")]);
            }
        }
        Ok(())
    }

    /// Compares the targets that a call goes to.
    fn shares(
        &mut self,
        passed: &Passed<'_>,
        (first, second): (&ModelSide, &ModelSide),
        (call, priced): (&AiLine<'_>, bool),
        outcome: &mut Outcome,
        example: Examples<'_>,
    ) -> Result<(), Vec<String>> {
        let exchanges = (first.has_conditions() || second.has_conditions())
            .then(|| self.exchanges(passed, call))
            .unzip();
        // Rows say what calls ask for where the model that served them wanted to know.
        let known = call.needs.is_some()
            && first.has_conditions()
            && passed.basis.digest == self.current.snapshot.digest;
        let of = |words: Vec<String>| -> Vec<String> {
            let name = |word| format!("{word}, for the model `{}`", &*call.model);
            words.into_iter().map(name).collect()
        };
        let before = first.shares(passed.basis, known, exchanges.0.as_ref());
        let after = second.shares(passed.basis, known, exchanges.1.as_ref());
        let (before, after) = (before.map_err(of)?, after.map_err(of)?);
        let (providers, models) = moved(&before, &after);
        for (what, share) in [(What::Provider, providers), (What::Version, models)] {
            self.tally.change(outcome, what, share, || {
                example(before.shown(), after.shown())
            });
        }
        match (before.cost(call), after.cost(call)) {
            (Some(cost), Some(then)) => {
                let share = if cost == then { 0.0 } else { 1.0 };
                let dollars =
                    |cost| format!("${}", gate_model::units::Money::from_picodollars(cost));
                self.tally.change(outcome, What::Cost, share, || {
                    example(dollars(cost), dollars(then))
                });
                self.tally.sum(What::Cost, cost, then);
            }
            _ if priced => outcome.doubt(of(vec!["what the call costs".into()])),
            _ => {}
        }
        Ok(())
    }

    /// Whether the limit of a key lets calls through that it refused, or the other way round.
    fn limits(&mut self, passed: &Passed<'_>, outcome: &mut Outcome, example: Examples<'_>) {
        let Some(caller) = passed.caller else { return };
        outcome.doubt(caller.call_doubts.clone());
        if passed.basis.sample < 1.0 && caller.is_limited() {
            return outcome.doubt(vec!["every request, for the limit of a key".into()]);
        }
        let line = passed.line;
        let refused = line.answered_by.is_none() && line.fault.as_deref() == Some("rate_limited");
        let admitted = caller.admits(line);
        if caller.is_limited() && refused == admitted {
            let word = |admitted| if admitted { "passes" } else { "rate_limited" }.to_owned();
            self.tally.change(outcome, What::Verdict, 1.0, || {
                example(word(!refused), word(admitted))
            });
        }
    }

    /// Whether this row's caller may use a model, before and after.
    fn may(&self, passed: &Passed<'_>, model: &str) -> (bool, bool) {
        let may = |side: &Side, route: usize| {
            let offered = match side.target(route) {
                Some(Target::Models(names)) => names.iter().any(|name| name == model),
                _ => false,
            };
            let caller = side.caller(passed.line);
            let allowed = caller.and_then(|caller| caller.models.as_ref());
            offered && allowed.is_none_or(|models| models.iter().any(|allowed| allowed == model))
        };
        let (was, is) = passed.routes;
        (may(&self.current, was), may(&self.candidate, is))
    }

    /// The exchanges of a row as conditions of models see them.
    fn exchanges(&self, passed: &Passed<'_>, call: &AiLine<'_>) -> (Exchange, Exchange) {
        let make = |side: &Side, route: usize| {
            let (head, mut parameters) = (passed.head.clone(), Parameters::default());
            let router = &side.snapshot.router;
            router.find(&passed.line.listener, &head, &mut parameters);
            let services = &self.services;
            let mut exchange = side.exchange(services, passed.line, head, Some(route), parameters);
            exchange.caller = side.caller(passed.line).cloned();
            exchange.ai = Some(Rc::new(RefCell::new(Box::new(asked(call)))));
            exchange
        };
        let (was, is) = passed.routes;
        (make(&self.current, was), make(&self.candidate, is))
    }

    /// A model of both sides, and what differs of it.
    fn pair(&self, name: &str) -> ModelPair {
        let (before, after) = (self.current.resources(), self.candidate.resources());
        let sides = (
            ModelSide::of(before, name, &self.conditions),
            ModelSide::of(after, name, &self.conditions),
        );
        let models = [before, after].map(|resources| resources.models.get(name));
        let models = models.into_iter().flatten();
        let targets = models.flat_map(|model| model.targets.iter().chain(&model.fallback));
        let targets: Vec<_> = targets.collect();
        let changes = &self.changes;
        let mut doubts = changes.beyond("models", name, &["strategy", "targets", "fallback"]);
        let providers: BTreeSet<&String> = targets.iter().map(|target| &target.provider).into_set();
        for provider in &providers {
            doubts.extend(changes.beyond("providers", provider, &[]));
        }
        doubts.extend(settings(before, after, name));
        let mut budgets: Vec<(String, BudgetOf)> = Vec::new();
        for (budget, _) in changes.kind("budgets") {
            let sides = [before, after].map(|resources| resources.budgets.get(budget));
            let of = sides.into_iter().flatten().map(|one| one.of.clone());
            budgets.extend(of.map(|of| (budget.clone(), of)));
        }
        budgets.dedup();
        let priced = targets.iter().any(|target| {
            let one = format!("{}/{}", target.provider, target.model);
            let all = format!("{}/*", target.provider);
            changes.has("prices", &one) || changes.has("prices", &all)
        });
        ModelPair {
            same: doubts.is_empty() && !priced && !changes.has("models", name),
            sides: sides.0.zip(sides.1),
            doubts,
            budgets,
            priced,
        }
    }
}

/// What differs of a model's targets besides what shares come from.
fn settings(before: &Resources, after: &Resources, name: &str) -> Vec<String> {
    let (Some(was), Some(is)) = (before.models.get(name), after.models.get(name)) else {
        return Vec::new();
    };
    let ordered = |model: &Model| matches!(model.strategy, Strategy::Priority {});
    let prefixed = |model: &Model| matches!(model.strategy, Strategy::PromptPrefix { .. });
    let mut doubts = Vec::new();
    // Those after the first matter only when it fails.
    let later = ordered(was) && ordered(is) && !lane::same(&was.targets, &is.targets);
    // The same places with other settings; other places are seen in their shares.
    let rest = rest_of(was) != rest_of(is) && places_of(was) == places_of(is);
    if later || rest {
        doubts.push(format!("the effect of `models.{name}.targets`"));
    }
    if !lane::same(&was.fallback, &is.fallback) {
        doubts.push(format!("the effect of `models.{name}.fallback`"));
    }
    if (prefixed(was) || prefixed(is)) && was.strategy != is.strategy && is.targets.len() > 1 {
        doubts.push(format!("the effect of `models.{name}.strategy`"));
    }
    doubts
}

fn places_of(model: &Model) -> BTreeSet<(&str, &str)> {
    let targets = model.targets.iter();
    targets
        .map(|target| (&*target.provider, &*target.model))
        .into_set()
}

/// Targets without what their shares come from.
fn rest_of(model: &Model) -> BTreeSet<String> {
    let rest = |target: &ModelTarget| {
        lane::text(&ModelTarget {
            weight: 1,
            when: None,
            ..target.clone()
        })
    };
    model.targets.iter().map(rest).into_set()
}

/// Whether a budget may be what this call is paid from.
fn pays(of: &BudgetOf, line: &Line<'_>, call: &AiLine<'_>) -> bool {
    let is = |text: Option<&str>, name: &str| text == Some(name);
    match of {
        BudgetOf::Consumer(name) => is(line.consumer.as_deref(), name),
        BudgetOf::Team(name) => is(line.team.as_deref(), name),
        // Any target may be tried; which one would be is not known here.
        BudgetOf::Provider(_) => !call.model.is_empty(),
        BudgetOf::Key(name) => match (line.consumer.as_deref(), line.key.as_deref()) {
            (Some(consumer), Some(key)) => *name == format!("{consumer}/{key}"),
            _ => false,
        },
    }
}

/// A target in words.
fn named(target: &Target) -> String {
    match target {
        Target::Upstream(name) => format!("upstream {name}"),
        Target::Models(names) => format!("models {}", names.join(", ")),
        Target::Mcp(_) => "servers of tools".to_owned(),
        Target::Agent(name) => format!("agent {name}"),
        Target::Api(name) => format!("versions of {name}"),
        Target::Fixed(reply) => format!("fixed answer {}", reply.status),
        Target::Events(_) => "journal of events".to_owned(),
        Target::StatusPage(_) => "status page".to_owned(),
        Target::Portal(names) => format!("portal of {}", names.join(", ")),
    }
}
