//! Which routes a change is about.
//!
//! A route is touched when it differs, or when anything does that it names, directly or through
//! others. What a resource names is taken from its text: any value in it that is the name of a
//! resource counts. That touches too many rather than too few. Changes of who may call, who pays
//! and what is listened on touch every route.

use gate_kit::order::Gather;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Kinds whose change touches only what names them.
const NAMED: &[&str] = &[
    "upstreams",
    "providers",
    "models",
    "mcp_servers",
    "agents",
    "prompts",
    "policy_sets",
];
/// Kinds whose change touches no exchange.
const SILENT: &[&str] = &[
    "rollouts",
    "objectives",
    "experiments",
    "runbooks",
    "subscribers",
    "schedules",
    "queues",
    "data_products",
    "queries",
];

/// Routes that differ between two sets of resources, as objects by kind and name; `None` when all
/// of them do.
#[must_use]
pub fn touched(control: &Value, candidate: &Value) -> Option<Vec<String>> {
    let empty = Map::new();
    let kinds = |value: &'_ Value| value.as_object().cloned().unwrap_or_default();
    let (control, candidate) = (kinds(control), kinds(candidate));
    let all: BTreeSet<&String> = control.keys().chain(candidate.keys()).into_set();
    let mut changed = BTreeSet::new();
    for kind in all {
        let of = |side: &'_ Map<String, Value>| side.get(kind).cloned().unwrap_or(Value::Null);
        let (one, other) = (of(&control), of(&candidate));
        if one == other || SILENT.contains(&kind.as_str()) {
            continue;
        }
        if kind != "routes" && !NAMED.contains(&kind.as_str()) {
            return None;
        }
        let (one, other) = (
            one.as_object().unwrap_or(&empty).clone(),
            other.as_object().unwrap_or(&empty).clone(),
        );
        let names: BTreeSet<String> = one.keys().chain(other.keys()).cloned().into_set();
        let differ = names
            .into_iter()
            .filter(|name| one.get(name) != other.get(name));
        changed.extend(differ.map(|name| (kind.clone(), name)));
    }
    let mut routes = BTreeSet::new();
    for side in [&control, &candidate] {
        let names = names_of(side);
        for (route, settings) in side
            .get("routes")
            .and_then(Value::as_object)
            .unwrap_or(&empty)
        {
            let reached = reach(settings, side, &names);
            let own = ("routes".to_owned(), route.clone());
            if changed.contains(&own) || reached.iter().any(|place| changed.contains(place)) {
                routes.insert(route.clone());
            }
        }
    }
    Some(routes.into_iter().collect())
}

/// Every named resource by its name; several kinds may share one.
fn names_of(side: &Map<String, Value>) -> BTreeMap<&str, Vec<&'static str>> {
    let mut names: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
    for kind in NAMED {
        for name in side
            .get(*kind)
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::keys)
        {
            names.entry(name).or_default().push(kind);
        }
    }
    names
}

/// Everything that a resource names, and what that names.
fn reach(
    settings: &Value,
    side: &Map<String, Value>,
    names: &BTreeMap<&str, Vec<&'static str>>,
) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let mut open = vec![settings];
    while let Some(value) = open.pop() {
        let text = match value {
            Value::String(text) => text.as_str(),
            Value::Array(items) => {
                open.extend(items);
                continue;
            }
            Value::Object(fields) => {
                open.extend(fields.values());
                for key in fields.keys() {
                    follow(key, side, names, &mut found, &mut open);
                }
                continue;
            }
            _ => continue,
        };
        follow(text, side, names, &mut found, &mut open);
    }
    found
}

/// Notes what has this name, and has it looked into once.
fn follow<'v>(
    name: &str,
    side: &'v Map<String, Value>,
    names: &BTreeMap<&str, Vec<&'static str>>,
    found: &mut BTreeSet<(String, String)>,
    open: &mut Vec<&'v Value>,
) {
    // `*` stands for every model.
    let wild = if name == "*" {
        side.get("models")
    } else {
        None
    };
    for model in wild
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::keys)
    {
        follow(model, side, names, found, open);
    }
    for kind in names.get(name).into_iter().flatten() {
        if found.insert(((*kind).to_owned(), name.to_owned()))
            && let Some(resource) = side.get(*kind).and_then(|all| all.get(name))
        {
            open.push(resource);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> Value {
        json!({
            "upstreams": { "orders": { "endpoints": ["a:1"] }, "stock": { "endpoints": ["b:1"] } },
            "providers": { "gpt": { "openai": {} } },
            "models": { "assistant": { "targets": [{ "provider": "gpt", "model": "m" }] } },
            "prompts": { "greeting": { "versions": {} } },
            "consumers": { "shop": {} },
            "routes": {
                "orders": { "target": { "upstream": "orders" } },
                "stock": { "target": { "upstream": "stock" } },
                "ai": { "target": { "models": ["assistant"] } },
                "hello": { "policies": [{ "prompt": { "name": "greeting" } }],
                           "target": { "models": ["assistant"] } },
            },
        })
    }

    #[test]
    fn a_route_is_touched_by_what_it_names_also_through_others() {
        let cases: &[(&str, Value, Option<&[&str]>)] = &[
            (
                "/upstreams/orders/endpoints",
                json!(["c:1"]),
                Some(&["orders"]),
            ),
            (
                "/providers/gpt/openai",
                json!({ "key": 1 }),
                Some(&["ai", "hello"]),
            ),
            (
                "/prompts/greeting/versions",
                json!({ "1": {} }),
                Some(&["hello"]),
            ),
            (
                "/routes/stock/target",
                json!({ "fixed": {} }),
                Some(&["stock"]),
            ),
            ("/consumers/shop", json!({ "team": "a" }), None),
        ];
        for (place, value, expected) in cases {
            let mut changed = document();
            *changed.pointer_mut(place).unwrap() = value.clone();
            let found = touched(&document(), &changed);
            let found = found
                .as_ref()
                .map(|routes| routes.iter().map(String::as_str).collect());
            assert_eq!(found, expected.map(<[&str]>::to_vec), "{place}");
        }
        assert_eq!(touched(&document(), &document()), Some(vec![]));
    }

    #[test]
    fn routes_that_come_and_go_are_touched() {
        let mut changed = document();
        let routes = changed["routes"].as_object_mut().unwrap();
        routes.remove("stock");
        routes.insert("new".into(), json!({ "target": { "upstream": "orders" } }));
        assert_eq!(
            touched(&document(), &changed),
            Some(vec!["new".into(), "stock".into()])
        );
    }
}
