//! What policies may speak of, as the Cedar schema that they are checked against.

use gate_kit::order::Gather;
use gate_model::resources::{CedarType, PolicySet, Resources};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Methods, and the group of actions that each is in.
pub(crate) const METHODS: [(&str, &[&str]); 9] = [
    ("GET", &["read"]),
    ("HEAD", &["read"]),
    ("OPTIONS", &["read"]),
    ("TRACE", &["read"]),
    ("POST", &["write"]),
    ("PUT", &["write"]),
    ("PATCH", &["write"]),
    ("DELETE", &["write"]),
    ("CONNECT", &[]),
];
/// The action of calling a tool.
pub(crate) const CALL: &str = "call";
/// Attributes that every principal may have.
pub(crate) const OWN: [&str; 3] = ["name", "issuer", "subject"];

/// What policies may speak of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vocabulary {
    /// Every consumer by name.
    pub consumers: BTreeMap<String, Consumer>,
    /// Every route by name.
    pub routes: BTreeSet<String>,
    /// The claim that lists groups.
    pub groups_claim: Option<String>,
    /// The claim that lists roles.
    pub roles_claim: Option<String>,
    /// Claims that are attributes of principals.
    pub claims: BTreeMap<String, CedarType>,
    /// Attributes of routes.
    pub attributes: BTreeMap<String, CedarType>,
    /// Header fields, by name in lower case.
    pub headers: Vec<String>,
    /// Path parameters.
    pub params: Vec<String>,
    /// Actions besides methods, with the groups that each is in.
    pub actions: BTreeMap<String, Vec<String>>,
}

/// A consumer as policies know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consumer {
    /// Its team.
    pub team: Option<String>,
    /// Its roles.
    pub roles: Vec<String>,
}

impl Vocabulary {
    /// What a policy set of a configuration may speak of.
    #[must_use]
    pub fn of(resources: &Resources, set: &PolicySet) -> Self {
        let roles_of = |name: &String| {
            let with = set
                .roles
                .iter()
                .filter(|(_, members)| members.contains(name));
            with.map(|(role, _)| role.clone()).collect()
        };
        let consumers = resources.consumers.iter().map(|(name, consumer)| {
            let known = Consumer {
                team: consumer.team.clone(),
                roles: roles_of(name),
            };
            (name.clone(), known)
        });
        Self {
            consumers: consumers.into_map(),
            routes: resources.routes.keys().cloned().into_set(),
            groups_claim: set.groups_claim.clone(),
            roles_claim: set.roles_claim.clone(),
            claims: set.claims.clone(),
            attributes: set.attributes.clone(),
            headers: set
                .headers
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
            params: set.params.clone(),
            actions: set.actions.clone(),
        }
    }

    /// Every action with its groups.
    pub(crate) fn all_actions(&self) -> BTreeMap<&str, Vec<&str>> {
        let methods = METHODS
            .iter()
            .map(|(name, groups)| (*name, groups.to_vec()));
        let mut all: BTreeMap<&str, Vec<&str>> = methods.into_map();
        all.insert(CALL, Vec::new());
        for (name, groups) in &self.actions {
            let groups = groups.iter().map(String::as_str).collect();
            all.insert(name, groups);
        }
        all
    }

    /// Groups of actions.
    pub(crate) fn action_groups(&self) -> BTreeSet<&str> {
        let own = self.actions.values().flatten().map(String::as_str);
        own.chain(["read", "write"]).into_set()
    }

    /// The schema in Cedar's JSON form.
    pub(crate) fn schema(&self) -> Value {
        let principals = ["Consumer", "Subject", "Visitor"];
        let mut actions = serde_json::Map::new();
        for group in self.action_groups() {
            actions.insert(group.to_owned(), json!({}));
        }
        for (name, groups) in self.all_actions() {
            let resources = match name {
                CALL => vec!["Tool"],
                name if self.actions.contains_key(name) => vec!["Route", "Tool"],
                _ => vec!["Route"],
            };
            let member_of: Vec<Value> = groups.iter().map(|group| json!({ "id": group })).collect();
            let applies_to = json!({
                "principalTypes": principals,
                "resourceTypes": resources,
                "context": self.context(),
            });
            let action = json!({ "memberOf": member_of, "appliesTo": applies_to });
            actions.insert(name.to_owned(), action);
        }
        json!({ "": { "entityTypes": self.entities(), "actions": actions } })
    }

    fn entities(&self) -> Value {
        let mut principal = record(&self.claims);
        for name in OWN {
            principal[name] = json!({ "type": "String", "required": false });
        }
        let principal = json!({ "type": "Record", "attributes": principal });
        let mut route = record(&self.attributes);
        route["name"] = json!({ "type": "String" });
        json!({
            "Team": {}, "Role": {}, "Group": {},
            "Consumer": { "memberOfTypes": ["Team", "Role", "Group"], "shape": principal },
            "Subject": { "memberOfTypes": ["Role", "Group"], "shape": principal },
            "Visitor": { "shape": principal },
            "Route": { "shape": { "type": "Record", "attributes": route } },
            "Tool": {
                "memberOfTypes": ["Route"],
                "shape": { "type": "Record", "attributes": { "name": { "type": "String" } } },
            },
        })
    }

    fn context(&self) -> Value {
        let texts = |names: &[String]| {
            let text = json!({ "type": "String", "required": false });
            let attributes = names.iter().map(|name| (name.clone(), text.clone()));
            let attributes: serde_json::Map<String, Value> = attributes.collect();
            json!({ "type": "Record", "attributes": attributes })
        };
        json!({ "type": "Record", "attributes": {
            "method": { "type": "String" },
            "host": { "type": "String" },
            "path": { "type": "String" },
            "listener": { "type": "String" },
            "address": { "type": "Extension", "name": "ipaddr" },
            "unix_s": { "type": "Long" },
            "headers": texts(&self.headers),
            "params": texts(&self.params),
        } })
    }
}

/// Optional attributes of these types.
fn record(attributes: &BTreeMap<String, CedarType>) -> Value {
    let one = |(name, kind): (&String, &CedarType)| {
        let mut kind = match kind {
            CedarType::String => json!({ "type": "String" }),
            CedarType::Long => json!({ "type": "Long" }),
            CedarType::Bool => json!({ "type": "Boolean" }),
            CedarType::Strings => json!({ "type": "Set", "element": { "type": "String" } }),
        };
        kind["required"] = json!(false);
        (name.clone(), kind)
    };
    Value::Object(attributes.iter().map(one).collect())
}
