//! Why a decision is what it is: every policy, and what of it does not hold.
//!
//! A policy is evaluated once as it is, and where it does not apply once for each of its parts with
//! the others left out: the three parts of its scope, and every `when` and `unless`. So what is
//! said is what Cedar itself finds, and not a second reading of the language.

use crate::guard::{Asked, Facts, Guard, Outcome};
use crate::principal::Who;
use cedar_policy::{Authorizer, Effect, Entities, Policy, PolicySet, Request};
use serde_json::{Value, json};
use std::sync::Arc;

/// A decision with its reasons.
#[derive(Debug, Clone)]
pub struct Explained {
    /// What was decided.
    pub outcome: Arc<Outcome>,
    /// Every policy of the set, in the order in which they are written.
    pub policies: Vec<Reason>,
}

/// What became of one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Its name: `@id`, or its number.
    pub policy: String,
    /// The line on which it begins.
    pub line: usize,
    /// Whether it forbids.
    pub forbids: bool,
    /// Whether it applies to the request.
    pub applies: bool,
    /// What does not hold, where it does not apply.
    pub unmet: Vec<Clause>,
    /// Why it could not be evaluated.
    pub error: Option<String>,
}

/// A part of a policy that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause {
    /// The principal is another.
    Principal,
    /// The action is another.
    Action,
    /// The resource is another.
    Resource,
    /// A condition, by its number from 1 on, as Cedar writes it.
    Condition(usize, String),
}

/// Decides, and says of every policy why it applies or does not.
#[must_use]
pub fn explain(guard: &Guard, who: &Who<'_>, asked: &Asked<'_>, facts: &dyn Facts) -> Explained {
    let outcome = guard.decide(who, asked, facts);
    let policies = match guard.parts(who, asked, facts) {
        Some((request, entities)) => {
            let policies = guard.rules.policies.iter();
            let reason = |policy| reason(guard, policy, &request, &entities);
            policies.map(reason).collect()
        }
        None => Vec::new(),
    };
    Explained { outcome, policies }
}

fn reason(guard: &Guard, policy: &Policy, request: &Request, entities: &Entities) -> Reason {
    let name = policy.id().to_string();
    let found = applies(policy.clone(), request, entities);
    let unmet = match (&found, policy.to_json()) {
        (Ok(false), Ok(json)) => unmet(policy, &json, request, entities),
        _ => Vec::new(),
    };
    Reason {
        line: guard.rules.line(&name),
        policy: name,
        forbids: policy.effect() == Effect::Forbid,
        applies: found == Ok(true),
        unmet,
        error: found.err(),
    }
}

/// Whether a policy by itself applies.
fn applies(policy: Policy, request: &Request, entities: &Entities) -> Result<bool, String> {
    let set = PolicySet::from_policies([policy]).map_err(|error| error.to_string())?;
    let answer = Authorizer::new().is_authorized(request, &set, entities);
    match answer.diagnostics().errors().next() {
        Some(error) => Err(error.to_string()),
        None => Ok(answer.diagnostics().reason().next().is_some()),
    }
}

/// The parts that do not hold when they stand alone.
fn unmet(policy: &Policy, json: &Value, request: &Request, entities: &Entities) -> Vec<Clause> {
    let parts = ["principal", "action", "resource"];
    let conditions = json["conditions"].as_array().cloned().unwrap_or_default();
    // Everything left out but one part.
    let alone = |part: Option<&str>, condition: Option<&Value>| -> Option<Policy> {
        let mut variant = json.clone();
        variant.as_object_mut()?.remove("annotations");
        for other in parts.iter().filter(|other| part != Some(**other)) {
            variant[*other] = json!({ "op": "All" });
        }
        variant["conditions"] = condition.map_or_else(|| json!([]), |one| json!([one]));
        Policy::from_json(Some(policy.id().clone()), variant).ok()
    };
    let holds = |policy: Policy| applies(policy, request, entities) == Ok(true);
    let clauses = [Clause::Principal, Clause::Action, Clause::Resource];
    let mut unmet = Vec::new();
    for (part, clause) in parts.iter().zip(clauses) {
        if alone(Some(part), None).is_some_and(|policy| !holds(policy)) {
            unmet.push(clause);
        }
    }
    for (index, condition) in conditions.iter().enumerate() {
        let Some(policy) = alone(None, Some(condition)) else {
            continue;
        };
        let text = policy.to_cedar().unwrap_or_default();
        if !holds(policy) {
            let text = text.split_once(')').map_or("", |(_, rest)| rest);
            let text = text.trim_end_matches(';').split_whitespace();
            unmet.push(Clause::Condition(
                index + 1,
                text.collect::<Vec<_>>().join(" "),
            ));
        }
    }
    unmet
}
