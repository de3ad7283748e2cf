//! Which fields of which resources differ between two configurations.
//!
//! What the other files of this folder replay, they ask for by name; every other field that differs
//! is a reason to say `unknown`, so that a field which is new tomorrow is never `unchanged`.

use gate_kit::order::Gather;
use gate_model::resources::Resources;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Kinds that no replay meets: they speak about plans, later rollouts, promises, who is told and
/// failures on purpose, what is done about it, and who is told of events.
const APART: [&str; 14] = [
    "rules",
    "rollouts",
    "objectives",
    "experiments",
    "runbooks",
    "subscribers",
    "schedules",
    "queues",
    "data_products",
    "queries",
    "receivers",
    "rotations",
    "notifications",
    "deployment_sources",
];
/// Fields that no request meets, by kind.
const NEUTRAL: &[(&str, &str)] = &[
    ("teams", "description"),
    ("budgets", "warn"),
    ("gateway", "workers"),
    ("gateway", "admin"),
    ("gateway", "drain"),
    ("gateway", "access_log"),
    ("gateway", "tracing"),
    ("gateway", "records"),
    ("gateway", "environment"),
    ("gateway", "last_good"),
    ("gateway", "runbooks"),
];
/// Most fields that are named of one resource.
const FIELDS_MAX: usize = 20;

/// What differs. Fields are dotted paths of at most two steps below their resource.
#[derive(Debug, Default)]
pub(super) struct Changes {
    by_kind: HashMap<String, BTreeMap<String, BTreeSet<String>>>,
}

impl Changes {
    /// Compares two configurations, defaults included.
    pub(super) fn between(before: &Resources, after: &Resources) -> Self {
        let object = |resources| match serde_json::to_value(resources) {
            Ok(Value::Object(kinds)) => kinds,
            _ => Map::new(),
        };
        let (before, after) = (object(before), object(after));
        let mut changes = Self::default();
        for kind in before.keys().chain(after.keys()) {
            if APART.contains(&kind.as_str()) || changes.by_kind.contains_key(kind) {
                continue;
            }
            let mut names = BTreeMap::new();
            let (was, is) = (members(before.get(kind)), members(after.get(kind)));
            each(was, is, |name, was, is| {
                let mut fields = BTreeSet::new();
                // Settings of the process have no names: a field stands where a name does.
                let depth = if kind == "gateway" { 1 } else { 2 };
                differ("", was, is, depth, &mut fields);
                fields.retain(|field| !is_neutral(kind, name, field));
                if !fields.is_empty() {
                    names.insert(name.to_owned(), fields);
                }
            });
            changes.by_kind.insert(kind.clone(), names);
        }
        changes.add_readers_of_secrets(&after);
        changes.by_kind.retain(|_, names| !names.is_empty());
        changes
    }

    /// Whoever reads a secret from a store that changed may read another one.
    fn add_readers_of_secrets(&mut self, after: &Map<String, Value>) {
        let stores: Vec<String> = match self.by_kind.get("secret_stores") {
            Some(stores) => stores.keys().cloned().collect(),
            None => return,
        };
        for (kind, resources) in after {
            if kind == "secret_stores" || APART.contains(&kind.as_str()) {
                continue;
            }
            for (name, resource) in members(Some(resources)).into_iter().flatten() {
                for store in stores.iter().filter(|store| reads_from(resource, store)) {
                    let names = self.by_kind.entry(kind.clone()).or_default();
                    let fields = names.entry(name.clone()).or_default();
                    fields.insert(format!("secret_stores.{store}"));
                }
            }
        }
    }

    /// Whether anything of this kind differs.
    pub(super) fn any(&self, kind: &str) -> bool {
        self.by_kind.contains_key(kind)
    }

    /// The resources of a kind that differ, with their fields.
    pub(super) fn kind(&self, kind: &str) -> impl Iterator<Item = (&String, &BTreeSet<String>)> {
        self.by_kind.get(kind).into_iter().flatten()
    }

    /// Whether this resource differs.
    pub(super) fn has(&self, kind: &str, name: &str) -> bool {
        self.by_kind
            .get(kind)
            .is_some_and(|names| names.contains_key(name))
    }

    /// What differs of a resource besides `explained` fields, as reasons.
    pub(super) fn beyond(&self, kind: &str, name: &str, explained: &[&str]) -> Vec<String> {
        let fields = self.by_kind.get(kind).and_then(|names| names.get(name));
        let fields = fields.into_iter().flatten();
        let open = fields.filter(|field| {
            let first = field.split('.').next().unwrap_or_default();
            !explained.contains(&first)
        });
        let reasons = open.take(FIELDS_MAX).map(|field| match &**field {
            "" => format!("the effect of `{kind}.{name}`"),
            store if store.starts_with("secret_stores.") => {
                format!("the secrets of `{store}` for `{kind}.{name}`")
            }
            field => format!("the effect of `{kind}.{name}.{field}`"),
        });
        reasons.collect()
    }
}

fn is_neutral(kind: &str, name: &str, field: &str) -> bool {
    let field = if kind == "gateway" { name } else { field };
    let first = field.split('.').next().unwrap_or_default();
    NEUTRAL.contains(&(kind, first))
}

fn members(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

/// Goes through the members of either side that differ.
fn each(
    before: Option<&Map<String, Value>>,
    after: Option<&Map<String, Value>>,
    mut visit: impl FnMut(&str, Option<&Value>, Option<&Value>),
) {
    let names = before.into_iter().chain(after).flat_map(Map::keys);
    let names: BTreeSet<&String> = names.into_set();
    for name in names {
        let of =
            |side: Option<&'_ Map<String, Value>>| side.and_then(|side| side.get(name)).cloned();
        let (was, is) = (of(before), of(after));
        if was != is {
            visit(name, was.as_ref(), is.as_ref());
        }
    }
}

/// Names what differs, down to so many steps.
fn differ(
    path: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    depth: usize,
    to: &mut BTreeSet<String>,
) {
    let (was, is) = (members(before), members(after));
    if depth == 0 || was.is_none() || is.is_none() {
        to.insert(path.to_owned());
        return;
    }
    each(was, is, |name, was, is| {
        let path = match path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        differ(&path, was, is, depth - 1, to);
    });
}

/// Whether a resource refers to a secret of this store.
fn reads_from(value: &Value, store: &str) -> bool {
    match value {
        Value::Object(fields) => {
            let from = fields.get("from").and_then(|from| from.get("store"));
            from.and_then(Value::as_str) == Some(store)
                || fields.values().any(|value| reads_from(value, store))
        }
        Value::Array(items) => items.iter().any(|value| reads_from(value, store)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_model::document::Document;

    fn between(before: &str, after: &str) -> Changes {
        let read = |yaml: &str| {
            let document = Document::parse(yaml.as_bytes(), "test.yaml").expect("a document");
            Resources::read(&document).expect("resources")
        };
        Changes::between(&read(before), &read(after))
    }

    #[test]
    fn fields_are_named_and_defaults_are_no_difference() {
        let one = "upstreams: { a: { endpoints: ['127.0.0.1:1'] } }";
        let same = "upstreams: { a: { endpoints: ['127.0.0.1:1'], concurrency: 10000 } }";
        assert!(!between(one, same).any("upstreams"));
        let other = "upstreams: { a: { endpoints: ['127.0.0.1:2'], retry: { attempts: 3 } } }";
        let changes = between(one, other);
        assert!(changes.has("upstreams", "a") && !changes.has("upstreams", "b"));
        assert_eq!(
            changes.beyond("upstreams", "a", &["endpoints"]),
            ["the effect of `upstreams.a.retry.attempts`"]
        );
        let gone = between(one, "{}");
        assert_eq!(
            gone.beyond("upstreams", "a", &[]),
            ["the effect of `upstreams.a`"]
        );
    }

    #[test]
    fn what_no_request_meets_is_no_difference() {
        let neutral = between(
            "gateway: { workers: 1 }\nteams: { a: {} }",
            "gateway: { workers: 2 }\nteams: { a: { description: b } }",
        );
        assert!(!neutral.any("gateway") && !neutral.any("teams"));
        let trusted = between("{}", "gateway: { trusted_proxies: [10.0.0.0/8] }");
        assert!(trusted.has("gateway", "trusted_proxies"));
    }

    #[test]
    fn a_store_of_secrets_changes_whoever_reads_from_it() {
        let yaml = |address: &str| {
            format!(
                "secret_stores: {{ v: {{ vault: {{ address: '{address}', auth: {{ token: {{ env: T \
                 }} }} }} }} }}\nproviders:\n  one: {{ openai: {{ credentials: [{{ from: {{ store: \
                 v, path: p }} }}] }} }}\n  two: {{ openai: {{ credentials: [{{ env: K }}] }} }}"
            )
        };
        let changes = between(&yaml("https://a"), &yaml("https://b"));
        assert!(changes.has("providers", "one") && !changes.has("providers", "two"));
        assert_eq!(
            changes.beyond("providers", "one", &[]),
            ["the secrets of `secret_stores.v` for `providers.one`"]
        );
    }
}
