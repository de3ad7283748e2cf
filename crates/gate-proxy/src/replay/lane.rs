//! What differs between two routes, worked out once for all rows that take both.
//!
//! Policies are paired by their text: one that stands in both routes with the same settings and the
//! same `when`, and whose other resources are the same, keeps the verdict that was recorded.

use super::side::Side;
use crate::record::recent::line::Basis;
use gate_flow::{Found, Replay};
use gate_model::resources::{Resources, Target};
use serde::Serialize;
use std::collections::BTreeMap;

/// Kinds of policies after which a later policy sees another request.
const ALTERING: [&str; 3] = ["rewrite", "headers", "prompt"];

/// A step of the candidate's route.
#[derive(Debug)]
pub(super) struct StepPlan {
    /// The same step in the current route, by its position.
    pub(super) kept: Option<usize>,
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
    /// Policies, and all that they depend on, are the same.
    pub(super) same_steps: bool,
    /// The target, and all that it depends on, is the same.
    pub(super) same_target: bool,
    /// The candidate's steps.
    pub(super) after: Vec<StepPlan>,
    /// The current route's steps, for rows that another configuration served.
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
        current: &Side,
        candidate: &Side,
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
        let depends = Differences::of(current.resources(), candidate.resources());
        let step = |side: &Side, route: Option<usize>, position: usize, kept: Option<usize>| {
            let step = route.map(|route| &side.route(route).steps[position]);
            let kept = kept.filter(|_| step.is_some_and(|step| !depends.touches(step.name)));
            StepPlan {
                kept,
                how: step.map_or(How::Passive, |step| how(step, basis)),
            }
        };
        let after: Vec<StepPlan> = (0..after.len())
            .map(|position| step(candidate, is, position, pairs[position]))
            .collect();
        let same_steps = before.len() == after.len()
            && after
                .iter()
                .enumerate()
                .all(|(position, plan)| plan.kept == Some(position));
        let before = (0..before.len())
            .map(|position| step(current, was, position, None))
            .collect();
        let same_target = match (was, is) {
            (Some(was), Some(is)) => is_same(
                current
                    .target(was)
                    .map(|target| (target, current.resources())),
                candidate
                    .target(is)
                    .map(|target| (target, candidate.resources())),
            ),
            (None, None) => true,
            _ => false,
        };
        Self {
            route_changed,
            same_steps,
            same_target,
            after,
            before,
        }
    }

    /// Whether nothing that these rows meet is different.
    pub(super) fn is_same(&self) -> bool {
        !self.route_changed && self.same_steps && self.same_target
    }
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

/// Which resources besides routes differ.
struct Differences {
    callers: bool,
    models: bool,
    prompts: bool,
    upstreams: bool,
}

impl Differences {
    fn of(before: &Resources, after: &Resources) -> Self {
        Self {
            callers: !same(&before.consumers, &after.consumers)
                || !same(&before.teams, &after.teams),
            models: !same(&before.models, &after.models)
                || !same(&before.providers, &after.providers),
            prompts: !same(&before.prompts, &after.prompts),
            upstreams: !same(&before.upstreams, &after.upstreams),
        }
    }

    /// Whether a kind of policy with the same settings may act differently.
    fn touches(&self, kind: &str) -> bool {
        match kind {
            "auth_key" | "auth_jwt" | "auth_sigv4" => self.callers,
            "guard" | "cache" => self.models,
            "prompt" => self.prompts,
            "timeout" => self.upstreams,
            "ip" | "cors" | "headers" | "rewrite" | "redirect" | "request_id" | "compress"
            | "mirror" | "record_bodies" | "limit" => false,
            // A kind that nobody described here may read anything.
            _ => self.callers || self.models || self.prompts || self.upstreams,
        }
    }
}

fn is_same(before: Option<(&Target, &Resources)>, after: Option<(&Target, &Resources)>) -> bool {
    let (Some((was, before)), Some((is, after))) = (before, after) else {
        return false;
    };
    if !same(was, is) {
        return false;
    }
    match is {
        Target::Fixed(_) => true,
        Target::Upstream(name) => same(&before.upstreams.get(name), &after.upstreams.get(name)),
        Target::Agent(name) => same(&before.agents.get(name), &after.agents.get(name)),
        Target::Mcp(_) => {
            same(&before.mcp_servers, &after.mcp_servers)
                && same(&before.consumers, &after.consumers)
        }
        Target::Models(names) => {
            let of = |resources: &Resources| -> Vec<String> {
                let models = names.iter().map(|name| text(&resources.models.get(name)));
                models.collect()
            };
            of(before) == of(after)
                && same(&before.providers, &after.providers)
                && same(&before.prices, &after.prices)
                && same(&before.budgets, &after.budgets)
                && same(&before.consumers, &after.consumers)
                && same(&before.teams, &after.teams)
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
                    .collect();
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
