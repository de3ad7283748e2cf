//! What differs between two routes, worked out once for all rows that take both.
//!
//! Policies are paired by their text: one that stands in both routes with the same settings and the
//! same `when`, and whose other resources are the same, keeps the verdict that was recorded. What a
//! policy in one route only does to requests that it lets pass is a doubt, unless it can be seen.

use super::changes::Changes;
use super::prompts::Prompts;
use super::side::Side;
use crate::record::recent::line::Basis;
use gate_flow::{Found, Replay};
use gate_kit::order::Gather;
use gate_model::resources::AUTHENTICATING;
use gate_model::resources::Target;
use serde::Serialize;
use std::collections::BTreeMap;

/// Kinds of policies after which a later policy sees another request.
const ALTERING: [&str; 3] = ["rewrite", "headers", "prompt"];

/// Kinds of policies of which all that a request meets is their verdict.
const VERDICT_ONLY: [&str; 2] = ["access", "limit"];
/// Kinds of policies that also change answers, which no row keeps.
const ANSWERING: [&str; 2] = ["headers", "cors"];

/// A step of one of the two routes.
#[derive(Debug)]
pub(super) struct StepPlan {
    /// The same step in the current route, by its position.
    pub(super) kept: Option<usize>,
    /// Its verdict depends on callers, of which some differ.
    pub(super) callers: bool,
    /// How it is replayed.
    pub(super) how: How,
}

/// How a step is replayed.
#[derive(Debug)]
pub(super) enum How {
    /// Not at all: it never answers.
    Passive,
    /// By running it again.
    Again,
    /// It cannot be, because it also reads this.
    Unknown(Vec<String>),
}

/// What differs between two routes.
#[derive(Debug)]
pub(super) struct Lane {
    /// Another route, or none where there was one.
    pub(super) route_changed: bool,
    /// Policies, and all that they depend on except callers, are the same.
    pub(super) same_steps: bool,
    /// The target, and all that it depends on except callers, is the same.
    pub(super) same_target: bool,
    /// Some step tells who calls, so that other callers may get another verdict.
    pub(super) telling: bool,
    /// Steps that stand in one route only may send on another request.
    pub(super) altered: bool,
    /// What steps that stand in one route only do to requests that pass.
    pub(super) doubts: Vec<String>,
    /// The routes' prompts, where they differ.
    pub(super) prompts: Option<Prompts>,
    /// The candidate's steps.
    pub(super) after: Vec<StepPlan>,
    /// The current route's steps.
    pub(super) before: Vec<StepPlan>,
}

/// The index of a route that was found.
pub(super) const fn index(found: Found) -> Option<usize> {
    match found {
        Found::Route(index) => Some(index),
        Found::OtherMethod | Found::Nothing => None,
    }
}

impl Lane {
    /// Compares two routes.
    pub(super) fn new(
        (current, candidate): (&Side, &Side),
        changes: &Changes,
        (was, is): (Found, Found),
        basis: &Basis,
    ) -> Self {
        let name = |side: &Side, found| index(found).map(|index| side.route(index).name.clone());
        let route_changed =
            name(current, was) != name(candidate, is) || (index(was).is_none() && was != is);
        let (was, is) = (index(was), index(is));
        let before = was.map_or(&[][..], |index| current.texts(index));
        let after = is.map_or(&[][..], |index| candidate.texts(index));
        let pairs = pair(before, after);
        let (one, other) = (
            (current.resources(), before),
            (candidate.resources(), after),
        );
        let prompts = Prompts::of(one, other).filter(|prompts| prompts.differ(changes));
        let prompted = prompts.is_some();
        let open = |position: usize| {
            let (text, kind) = &after[position];
            let same = prompted && *kind == "prompt" || !touches(changes, text, kind);
            pairs[position].filter(|_| same)
        };
        let plans: Vec<StepPlan> = (0..after.len())
            .map(|position| plan((candidate, is), position, open(position), basis, prompted))
            .collect();
        let kept = |(position, plan): (usize, &StepPlan)| plan.kept == Some(position);
        let same_steps = before.len() == after.len() && plans.iter().enumerate().all(kept);
        let (gone, new) = one_sided(before, after, &plans, prompted);
        let mut doubts = one_sided_doubts((current, was), &gone);
        doubts.extend(one_sided_doubts((candidate, is), &new));
        doubts.extend(route_secrets(
            changes,
            is.map(|is| &*candidate.route(is).name),
        ));
        Self {
            route_changed,
            same_steps: same_steps && !prompted && doubts.is_empty(),
            same_target: is_same(current, candidate, (was, is), changes),
            telling: plans.iter().any(|plan| plan.callers),
            altered: alters(before, &gone) || alters(after, &new),
            doubts,
            prompts,
            before: (0..before.len())
                .map(|position| plan((current, was), position, Some(position), basis, prompted))
                .collect(),
            after: plans,
        }
    }

    /// Whether nothing that these rows meet is different, callers aside.
    pub(super) fn is_same(&self) -> bool {
        !self.route_changed && self.same_steps && self.same_target
    }
}

/// How the step at a position of a side's route is replayed. Prompts that are compared by themselves
/// need not be.
fn plan(
    (side, route): (&Side, Option<usize>),
    position: usize,
    kept: Option<usize>,
    basis: &Basis,
    prompted: bool,
) -> StepPlan {
    let step = route.map(|route| &side.route(route).steps[position]);
    let how = match step {
        Some(step) if !(prompted && step.name == "prompt") => how(step, basis),
        _ => How::Passive,
    };
    StepPlan {
        kept,
        callers: step.is_some_and(|step| AUTHENTICATING.contains(&step.name)),
        how,
    }
}

/// Whether steps that stand in one route only may send on another request.
fn alters(texts: &[(String, &'static str)], of: &Kinds) -> bool {
    of.iter().any(|(position, kind)| {
        // Whether a limit tells callers what is left of it is more than its verdict, and so are
        // fields that tell the target who calls.
        let more = ["\"fields\":", "\"hints\":"];
        !VERDICT_ONLY.contains(kind) || more.iter().any(|more| texts[*position].0.contains(more))
    })
}

/// What steps that stand in one route only do, where running them again does not show it.
fn one_sided_doubts((side, route): (&Side, Option<usize>), of: &Kinds) -> Vec<String> {
    let Some(route) = route else {
        return Vec::new();
    };
    let steps = &side.route(route).steps;
    let hidden = of.iter().filter(|(position, kind)| {
        let replay = steps[*position].policy.replay();
        ANSWERING.contains(kind) || !matches!(replay, Replay::Again { .. })
    });
    hidden
        .map(|(_, kind)| format!("what `{kind}` changes"))
        .collect()
}

/// Secrets of a route's policies that a changed store keeps.
fn route_secrets(changes: &Changes, route: Option<&str>) -> Vec<String> {
    let explained = ["match", "policies", "target", ""];
    route.map_or_else(Vec::new, |name| changes.beyond("routes", name, &explained))
}

type Kinds = Vec<(usize, &'static str)>;

/// Steps that stand in one route only, of each route. Prompts are left out where they are compared
/// by themselves.
fn one_sided(
    before: &[(String, &'static str)],
    after: &[(String, &'static str)],
    plans: &[StepPlan],
    prompts: bool,
) -> (Kinds, Kinds) {
    let open = |kind: &str| !(prompts && kind == "prompt");
    let was = before.iter().enumerate();
    let was = was.filter(|(position, (_, kind))| {
        open(kind) && !plans.iter().any(|plan| plan.kept == Some(*position))
    });
    let is = after.iter().enumerate();
    let is = is.filter(|(position, (_, kind))| open(kind) && plans[*position].kept.is_none());
    let kinds = |(position, (_, kind)): (usize, &(String, &'static str))| (position, *kind);
    (was.map(kinds).collect(), is.map(kinds).collect())
}

/// For each text of `after`, the position of the same one in `before`, in rising order. A pair
/// behind a step that is in one list only and alters requests is none.
fn pair(before: &[(String, &'static str)], after: &[(String, &'static str)]) -> Vec<Option<usize>> {
    let mut pairs = Vec::new();
    let mut next = 0;
    let mut altered = false;
    for (text, kind) in after {
        let found = before[next..].iter().position(|(known, _)| known == text);
        match found {
            Some(ahead) => {
                let passed = &before[next..next + ahead];
                altered |= passed.iter().any(|(_, kind)| ALTERING.contains(kind));
                pairs.push(Some(next + ahead).filter(|_| !altered));
                next += ahead + 1;
            }
            None => {
                altered |= ALTERING.contains(kind);
                pairs.push(None);
            }
        }
    }
    pairs
}

fn how(step: &gate_flow::Step, basis: &Basis) -> How {
    let mut missing = match &step.when {
        Some(when) => when.reads().missing(&basis.reads),
        None => Vec::new(),
    };
    match step.policy.replay() {
        Replay::Passive => return How::Passive,
        Replay::Unknown(what) => missing.push(format!("{what}, for `{}`", step.name)),
        Replay::Again { reads, counts } => {
            missing.extend(reads.missing(&basis.reads));
            if counts && basis.sample < 1.0 {
                missing.push(format!("every request, for `{}`", step.name));
            }
        }
    }
    match missing.is_empty() {
        true => How::Again,
        false => How::Unknown(missing),
    }
}

/// Whether a policy with the same settings may act differently, callers aside.
fn touches(changes: &Changes, text: &str, kind: &str) -> bool {
    let named = |of: &str| {
        changes
            .kind(of)
            .any(|(name, _)| text.contains(&format!("\"{name}\"")))
    };
    match kind {
        "guard" | "model_cache" => named("models") || named("providers"),
        "prompt" => named("prompts"),
        // Which versions there are is nothing that a contract asks.
        "contract" => changes.kind("apis").any(|(name, _)| {
            let more = changes.beyond("apis", name, &["versions"]);
            !more.is_empty() && text.contains(&format!("\"{name}\""))
        }),
        // What a version lives on is known only where it is chosen again.
        "version" => named("apis") || changes.any("upstreams"),
        // What it takes from an upstream is the upstream's matter.
        "auth_key" | "auth_jwt" | "auth_sigv4" | "timeout" | "access" | "cors" | "headers"
        | "rewrite" | "redirect" | "request_id" | "compress" | "mirror" | "record_bodies"
        | "limit" | "graphql" | "grpc_json" => false,
        // A kind that nobody described here may read anything.
        _ => [
            "consumers",
            "plans",
            "policy_sets",
            "teams",
            "models",
            "providers",
            "prompts",
            "upstreams",
            "apis",
        ]
        .iter()
        .any(|kind| changes.any(kind)),
    }
}

fn is_same(
    current: &Side,
    candidate: &Side,
    (was, is): (Option<usize>, Option<usize>),
    changes: &Changes,
) -> bool {
    let (was, is) = match (was, is) {
        (Some(was), Some(is)) => (current.target(was), candidate.target(is)),
        (None, None) => return true,
        _ => return false,
    };
    let (Some(was), Some(is)) = (was, is) else {
        return false;
    };
    same(was, is)
        && match is {
            Target::Fixed(_) | Target::StatusPage(_) => true,
            Target::Events(_) => !changes.any("event_types"),
            Target::Portal(names) => !names.iter().any(|name| changes.has("apis", name)),
            Target::Upstream(name) => !changes.has("upstreams", name),
            Target::Agent(name) => !changes.has("agents", name),
            Target::Api(name) => !changes.has("apis", name) && !changes.any("upstreams"),
            Target::Mcp(uses) => !uses
                .iter()
                .any(|one| changes.has("mcp_servers", &one.server)),
            Target::Models(names) => {
                !names.iter().any(|name| changes.has("models", name))
                    && !["providers", "prices", "budgets"]
                        .iter()
                        .any(|kind| changes.any(kind))
            }
        }
}

/// Whether two values are the same as data.
pub(super) fn same<T: Serialize>(one: &T, other: &T) -> bool {
    text(one) == text(other)
}

/// A value as text that is the same for the same data.
pub(super) fn text<T: Serialize>(value: &T) -> String {
    fn sort(value: serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Object(map) => {
                let sorted: BTreeMap<_, _> = map
                    .into_iter()
                    .map(|(key, value)| (key, sort(value)))
                    .into_map();
                serde_json::Value::Object(sorted.into_iter().collect())
            }
            serde_json::Value::Array(items) => items.into_iter().map(sort).collect(),
            other => other,
        }
    }
    serde_json::to_value(value).map_or_else(|_| String::new(), |value| sort(value).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_paired_by_text_and_order() {
        let steps = |texts: &[&'static str]| -> Vec<(String, &'static str)> {
            texts
                .iter()
                .map(|text| ((*text).to_owned(), *text))
                .collect()
        };
        let pairs =
            |before: &[&'static str], after: &[&'static str]| pair(&steps(before), &steps(after));
        assert_eq!(pairs(&["a", "b"], &["a", "b"]), [Some(0), Some(1)]);
        assert_eq!(pairs(&["a", "b"], &["b"]), [Some(1)]);
        assert_eq!(pairs(&["a", "b"], &["x", "b"]), [None, Some(1)]);
        assert_eq!(pairs(&["a", "b"], &["b", "a"]), [Some(1), None]);
        assert_eq!(pairs(&["a"], &["a", "a"]), [Some(0), None]);
        // What a changed rewrite lets through is another request.
        assert_eq!(pairs(&["rewrite", "b"], &["b"]), [None]);
        assert_eq!(pairs(&["b"], &["headers", "b"]), [None, None]);
    }
}
