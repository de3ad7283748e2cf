//! A policy set as one route sees it: deciding fast.
//!
//! Of a set, only the policies can matter that do not name another route or another action: they
//! are sliced by action when the route is compiled. Principals are kept with their groups and
//! attributes evaluated, and with the outcomes of actions whose policies do not look at the request.

use crate::compile::Rules;
use crate::principal::{Who, entity, expression, key, uid};
use crate::vocabulary::CALL;
use cedar_policy::{
    ActionConstraint, AuthorizationError, Authorizer, Context, Decision, Entities, Entity,
    EntityUid, Policy, PolicyId, PolicySet, Request, ResourceConstraint, RestrictedExpression,
};
use serde_json::{Map, Value};
use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Locks over the principals that are kept.
const SHARDS: usize = 16;
/// Principals that are kept under each.
const KEPT_MAX: usize = 256;

/// What policies may read of a request.
pub trait Facts {
    /// The method.
    fn method(&self) -> &str;
    /// The host without its port.
    fn host(&self) -> &str;
    /// The path without the query.
    fn path(&self) -> &str;
    /// The listener.
    fn listener(&self) -> &str;
    /// The caller's address.
    fn address(&self) -> IpAddr;
    /// Now, in seconds of UNIX time.
    fn unix_s(&self) -> i64;
    /// A header field, when there is one and it is text.
    fn header(&self, name: &str) -> Option<&str>;
    /// A path parameter.
    fn param(&self, name: &str) -> Option<&str>;
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The action: a method, `call`, or one that the set names.
    pub action: &'a str,
    /// The tool that is called; the route itself is asked for when there is none.
    pub tool: Option<&'a str>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether a policy permits it and none forbids it.
    pub allowed: bool,
    /// The policies that decided; none when it is refused because nothing permits it.
    pub policies: Vec<String>,
    /// A policy that forbids could not be evaluated, or there was more to decide by than is looked
    /// at: the outcome counts as a refusal.
    pub failed: Option<String>,
}

/// A policy set as one route sees it.
pub struct Guard {
    pub(crate) rules: Arc<Rules>,
    pub(crate) route: EntityUid,
    route_entity: Entity,
    slices: HashMap<String, Slice>,
    /// For actions that nobody has named.
    rest: Slice,
    shards: Box<[Mutex<HashMap<Box<str>, Arc<Known>>>]>,
    hasher: RandomState,
}

struct Slice {
    policies: PolicySet,
    /// Whether one of them looks at the request.
    reads_context: bool,
}

/// A principal that was seen, with what it asked for last.
struct Known {
    principal: EntityUid,
    entities: Entities,
    outcomes: Mutex<HashMap<Box<str>, Arc<Outcome>>>,
}

impl Guard {
    /// The rules for a route with these attributes.
    ///
    /// # Errors
    /// A sentence about an attribute that the set does not know, or of another type.
    pub fn new(
        rules: Arc<Rules>,
        route: &str,
        attributes: &Map<String, Value>,
    ) -> Result<Self, String> {
        let mut values = HashMap::new();
        for (name, value) in attributes {
            let kind = rules.vocabulary.attributes.get(name);
            let kind = kind.ok_or_else(|| format!("the set knows no attribute `{name}`"))?;
            let value = expression(*kind, value);
            let value = value.ok_or_else(|| format!("`{name}` is not of the type {kind:?}"))?;
            values.insert(name.clone(), value);
        }
        let name = RestrictedExpression::new_string(route.to_owned());
        values.insert("name".to_owned(), name);
        let route = uid("Route", route).ok_or("the route has no name")?;
        let route_entity = Entity::new(route.clone(), values, HashSet::new());
        let route_entity = route_entity.map_err(|error| error.to_string())?;
        let slice = |action: Option<&EntityUid>| Slice::of(&rules, action, &route);
        let mut slices = HashMap::new();
        for action in rules.vocabulary.all_actions().keys() {
            let uid = uid("Action", action);
            slices.insert((*action).to_owned(), slice(uid.as_ref())?);
        }
        Ok(Self {
            rest: slice(None)?,
            slices,
            route,
            route_entity,
            rules,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        })
    }

    /// Whether the route's policies know an action of this name.
    #[must_use]
    pub fn knows(&self, action: &str) -> bool {
        self.slices.contains_key(action)
    }

    /// Whether what is decided depends on more than who asks for which action.
    #[must_use]
    pub fn reads_request(&self) -> bool {
        let slices = self.slices.values().chain([&self.rest]);
        slices.into_iter().any(|slice| slice.reads_context)
    }

    /// Decides.
    pub fn decide(&self, who: &Who<'_>, asked: &Asked<'_>, facts: &dyn Facts) -> Arc<Outcome> {
        let Some(known) = self.known(who, asked.tool) else {
            return failed("the caller's claims are more than policies are asked about");
        };
        let slice = self.slices.get(asked.action).unwrap_or(&self.rest);
        let remembered = !slice.reads_context && self.knows(asked.action);
        if remembered {
            let outcomes = known
                .outcomes
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(outcome) = outcomes.get(asked.action) {
                return outcome.clone();
            }
        }
        let outcome = Arc::new(self.evaluate(slice, &known, asked, facts));
        if remembered {
            let mut outcomes = known
                .outcomes
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            outcomes.insert(asked.action.into(), outcome.clone());
        }
        outcome
    }

    fn evaluate(
        &self,
        slice: &Slice,
        known: &Known,
        asked: &Asked<'_>,
        facts: &dyn Facts,
    ) -> Outcome {
        let context = match slice.reads_context {
            true => self.context(facts),
            false => Some(Context::empty()),
        };
        let request = context.and_then(|context| self.request(known, asked, context));
        let Some(request) = request else {
            return Outcome {
                allowed: false,
                policies: Vec::new(),
                failed: Some("the request cannot be put to policies".into()),
            };
        };
        let answer = Authorizer::new().is_authorized(&request, &slice.policies, &known.entities);
        let mut policies: Vec<String> = answer
            .diagnostics()
            .reason()
            .map(PolicyId::to_string)
            .collect();
        policies.sort_unstable();
        let mut errors = answer.diagnostics().errors();
        let failed = errors.find(|AuthorizationError::PolicyEvaluationError(error)| {
            self.rules.forbids(error.policy_id())
        });
        Outcome {
            allowed: answer.decision() == Decision::Allow && failed.is_none(),
            policies,
            failed: failed.map(ToString::to_string),
        }
    }

    fn request(&self, known: &Known, asked: &Asked<'_>, context: Context) -> Option<Request> {
        let resource = match asked.tool {
            Some(tool) => uid("Tool", tool)?,
            None => self.route.clone(),
        };
        let action = uid("Action", asked.action)?;
        Request::new(known.principal.clone(), action, resource, context, None).ok()
    }

    fn context(&self, facts: &dyn Facts) -> Option<Context> {
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let vocabulary = &self.rules.vocabulary;
        let headers = vocabulary.headers.iter();
        let headers = headers.filter_map(|name| Some((name.clone(), text(facts.header(name)?))));
        let params = vocabulary.params.iter();
        let params = params.filter_map(|name| Some((name.clone(), text(facts.param(name)?))));
        let address = facts.address().to_canonical().to_string();
        let pairs = [
            ("method", text(facts.method())),
            ("host", text(facts.host())),
            ("path", text(facts.path())),
            ("listener", text(facts.listener())),
            ("address", RestrictedExpression::new_ip(address)),
            ("unix_s", RestrictedExpression::new_long(facts.unix_s())),
            ("headers", RestrictedExpression::new_record(headers).ok()?),
            ("params", RestrictedExpression::new_record(params).ok()?),
        ];
        Context::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value))).ok()
    }

    /// The principal, with everything that policies may ask about it.
    fn known(&self, who: &Who<'_>, tool: Option<&str>) -> Option<Arc<Known>> {
        let mut key = key(&self.rules, who)?;
        if let Some(tool) = tool {
            key.push('t');
            key.push_str(tool);
        }
        let shard = self.hasher.hash_one(&key) as usize % SHARDS;
        let shard = &self.shards[shard];
        let found = |shard: &Mutex<HashMap<Box<str>, Arc<Known>>>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.get(key.as_str()).cloned()
        };
        if let Some(known) = found(shard) {
            return Some(known);
        }
        let known = Arc::new(self.meet(who, tool)?);
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= KEPT_MAX {
            shard.clear();
        }
        shard.insert(key.into(), known.clone());
        Some(known)
    }

    fn meet(&self, who: &Who<'_>, tool: Option<&str>) -> Option<Known> {
        let principal = entity(&self.rules, who)?;
        let name = principal.uid();
        let mut entities = vec![principal, self.route_entity.clone()];
        if let Some(tool) = tool {
            let value = RestrictedExpression::new_string(tool.to_owned());
            let attributes = HashMap::from([("name".to_owned(), value)]);
            let parents = HashSet::from([self.route.clone()]);
            entities.push(Entity::new(uid("Tool", tool)?, attributes, parents).ok()?);
        }
        let entities = self
            .rules
            .actions
            .clone()
            .add_entities(entities, None)
            .ok()?;
        Some(Known {
            principal: name,
            entities,
            outcomes: Mutex::default(),
        })
    }

    /// The parts of a decision, for explaining it.
    pub(crate) fn parts(
        &self,
        who: &Who<'_>,
        asked: &Asked<'_>,
        facts: &dyn Facts,
    ) -> Option<(Request, Entities)> {
        let known = self.meet(who, asked.tool)?;
        let request = self.request(&known, asked, self.context(facts)?)?;
        Some((request, known.entities))
    }
}

fn failed(why: &str) -> Arc<Outcome> {
    Arc::new(Outcome {
        allowed: false,
        policies: Vec::new(),
        failed: Some(why.to_owned()),
    })
}

impl Slice {
    /// The policies that can matter for an action on a route; for any action when it has no name.
    fn of(rules: &Rules, action: Option<&EntityUid>, route: &EntityUid) -> Result<Self, String> {
        let those = rules.policies.iter().filter(|policy| {
            let acts = action.is_none_or(|action| acts(rules, policy, action));
            acts && reaches(policy, route)
        });
        let mut set = PolicySet::new();
        let mut reads_context = false;
        for policy in those {
            reads_context |= policy.to_json().map_or(true, |json| names_context(&json));
            set.add(policy.clone()).map_err(|error| error.to_string())?;
        }
        Ok(Self {
            policies: set,
            reads_context,
        })
    }
}

/// Whether a policy's scope can be about an action.
fn acts(rules: &Rules, policy: &Policy, action: &EntityUid) -> bool {
    let within = |group: &EntityUid| group == action || rules.actions.is_ancestor_of(group, action);
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(one) => one == *action,
        ActionConstraint::In(groups) => groups.iter().any(within),
    }
}

/// Whether a policy's scope can be about a route or one of its tools.
fn reaches(policy: &Policy, route: &EntityUid) -> bool {
    let other = |uid: &EntityUid| uid.type_name() == route.type_name() && uid != route;
    match policy.resource_constraint() {
        ResourceConstraint::Eq(uid)
        | ResourceConstraint::In(uid)
        | ResourceConstraint::IsIn(_, uid) => !other(&uid),
        ResourceConstraint::Any | ResourceConstraint::Is(_) => true,
    }
}

/// Whether an expression in Cedar's JSON form names the request's context.
fn names_context(json: &Value) -> bool {
    match json {
        Value::Object(map) => map
            .iter()
            .any(|(name, value)| (name == "Var" && value == "context") || names_context(value)),
        Value::Array(list) => list.iter().any(names_context),
        _ => false,
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let actions = self.slices.len();
        write!(f, "Guard({}, {actions} actions, {CALL})", self.route)
    }
}
