//! Properties of objects: which there are, which are required, who sees them.
//!
//! What `allOf` adds belongs to the object as well, so that moving properties into a shared schema
//! changes nothing.

use super::super::levels::{Effect, Stand};
use super::super::spec::{Schema, Spec, texts};
use super::super::{Compare, Severity};
use super::{Pair, Scope};
use gate_model::document::{Node, NodeKind};
use std::collections::{BTreeMap, BTreeSet};

/// Deepest nesting of `allOf` whose properties count.
const NESTED_MAX: usize = 8;
/// Most schemas whose properties count for one object.
const PARTS_MAX: usize = 256;

/// An object's properties, those of its `allOf` included.
#[derive(Default)]
struct Object<'a> {
    properties: BTreeMap<&'a str, &'a Node>,
    required: BTreeSet<&'a str>,
    parts: usize,
}

impl<'a> Object<'a> {
    fn of(spec: &Spec<'a>, schema: &Schema<'a>) -> Self {
        let mut object = Object::default();
        object.add(spec, schema, 0);
        object
    }

    fn add(&mut self, spec: &Spec<'a>, schema: &Schema<'a>, depth: usize) {
        self.parts += 1;
        if depth > NESTED_MAX || self.parts > PARTS_MAX {
            return;
        }
        for (key, node) in schema.get("properties").map_or(&[][..], Node::entries) {
            self.properties.entry(&*key.text).or_insert(node);
        }
        self.required.extend(texts(schema.get("required")));
        for part in schema.list("allOf") {
            self.add(spec, &spec.schema(part), depth + 1);
        }
    }

    fn property<'n>(&self, name: &'n str, node: &'a Node) -> Property<'n, 'a> {
        let required = self.required.contains(name);
        Property {
            name,
            node,
            required,
        }
    }
}

/// A property that only one of two objects has.
struct Property<'n, 'a> {
    name: &'n str,
    node: &'a Node,
    required: bool,
}

impl Property<'_, '_> {
    /// The rule about one of what callers receive.
    fn rule(&self, stand: Stand, seen: &Schema<'_>, what: &str) -> String {
        let unseen = if seen.is("writeOnly") {
            "write-only-"
        } else {
            ""
        };
        let (side, kind) = (side(stand), kind(self.required));
        format!("{side}-{kind}-{unseen}property-{what}")
    }
}

/// The half of an exchange that it is in, in the words of rules.
fn side(stand: Stand) -> &'static str {
    match stand.is_request() {
        true => "request",
        false => "response",
    }
}

fn kind(required: bool) -> &'static str {
    match required {
        true => "required",
        false => "optional",
    }
}

/// The end of a rule about what is asked for and has a default.
fn with_default(asked: bool, seen: &Schema<'_>) -> &'static str {
    match asked && seen.get("default").is_some() {
        true => "-with-default",
        false => "",
    }
}

/// Whether nothing is allowed but what is listed.
fn is_shut(additional: Option<&Node>) -> bool {
    additional.is_some_and(|node| matches!(node.kind, NodeKind::Bool(false)))
}

impl<'a> Compare<'a> {
    pub(super) fn properties(&mut self, scope: &Scope, pair: &Pair<'a>) {
        let old = Object::of(&self.old, &pair.old);
        let new = Object::of(&self.new, &pair.new);
        for (name, node) in &old.properties {
            match new.properties.get(name) {
                None => self.property_gone(scope, pair, &old.property(name, node)),
                Some(now) => {
                    self.visibility(scope, name, (node, now), new.required.contains(name));
                    let required = (old.required.contains(name), new.required.contains(name));
                    self.required(scope, name, (node, now), required);
                    self.schemas(&scope.inside(name), node, now);
                }
            }
        }
        for (name, node) in &new.properties {
            if !old.properties.contains_key(name) {
                self.property_new(scope, pair, &new.property(name, node));
            }
        }
        self.additional(scope, pair);
    }

    fn property_gone(&mut self, scope: &Scope, pair: &Pair<'a>, one: &Property<'_, 'a>) {
        let seen = self.old.schema(one.node);
        let inner = scope.inside(one.name);
        let (rule, unseen, bad) = match scope.stand.is_request() && self.sent(scope.stand) {
            true => {
                let rule = format!("{}-removed", inner.stand.prefix(false));
                // A body that still holds it is refused where nothing else may be there.
                let bad = is_shut(pair.new.get("additionalProperties"));
                (rule, seen.is("readOnly"), bad)
            }
            false => {
                let rule = one.rule(scope.stand, &seen, "removed");
                (rule, seen.is("writeOnly"), one.required)
            }
        };
        let severity = match (unseen || scope.one_way, bad) {
            (true, _) => Severity::Info,
            (false, true) => Severity::Breaking,
            (false, false) => Severity::Warning,
        };
        let message = format!("{} was removed", inner.shown());
        self.tell(
            rule,
            severity,
            message,
            Some(one.node),
            Some(pair.new.node()),
        );
    }

    fn property_new(&mut self, scope: &Scope, pair: &Pair<'a>, one: &Property<'_, 'a>) {
        let seen = self.new.schema(one.node);
        let kind = kind(one.required);
        let (rule, asked) = match self.sent(scope.stand) {
            true => {
                let thing = match scope.stand {
                    Stand::Parameter | Stand::ParameterProperty => "request-parameter-property",
                    _ => "request-property",
                };
                let given = with_default(one.required, &seen);
                let asked = one.required && !seen.is("readOnly") && !scope.one_way;
                (format!("new-{kind}-{thing}{given}"), asked)
            }
            false => (one.rule(scope.stand, &seen, "added"), false),
        };
        let severity = match asked {
            true => Severity::Breaking,
            false => Severity::Info,
        };
        let message = format!("{} is new and {kind}", scope.inside(one.name).shown());
        self.tell(
            rule,
            severity,
            message,
            Some(pair.old.node()),
            Some(one.node),
        );
    }

    fn required(
        &mut self,
        scope: &Scope,
        name: &str,
        (old, new): (&'a Node, &'a Node),
        (was, is): (bool, bool),
    ) {
        if was == is {
            return;
        }
        let seen = self.new.schema(new);
        let sent = self.sent(scope.stand);
        let inner = scope.inside(name);
        let unseen = seen.is(if sent { "readOnly" } else { "writeOnly" }) || scope.one_way;
        let severity = match (sent, is) {
            _ if unseen => Severity::Info,
            (true, true) | (false, false) => Severity::Breaking,
            (true, false) | (false, true) => Severity::Info,
        };
        let prefix = inner.stand.prefix(unseen && !sent);
        let became = kind(is);
        let given = with_default(sent && is, &seen);
        let message = format!("{} became {became}", inner.shown());
        let rule = format!("{prefix}-became-{became}{given}");
        self.tell(rule, severity, message, Some(old), Some(new));
    }

    /// `readOnly` and `writeOnly` that came or went.
    fn visibility(
        &mut self,
        scope: &Scope,
        name: &str,
        (old, new): (&'a Node, &'a Node),
        required: bool,
    ) {
        let (was, is) = (self.old.schema(old), self.new.schema(new));
        for (keyword, word) in [("readOnly", "read-only"), ("writeOnly", "write-only")] {
            let (before, now) = (was.is(keyword), is.is(keyword));
            if before == now {
                continue;
            }
            let (side, kind) = (side(scope.stand), kind(required));
            let not = if now { "" } else { "not-" };
            // Callers receive what they were told they would only send.
            let severity = match (side, kind, keyword, now) {
                ("response", "required", "writeOnly", false) => Severity::Warning,
                _ => Severity::Info,
            };
            let message = match now {
                true => format!("{} became {word}", scope.inside(name).shown()),
                false => format!("{} is no longer {word}", scope.inside(name).shown()),
            };
            let rule = format!("{side}-{kind}-property-became-{not}{word}");
            self.tell(rule, severity, message, Some(old), Some(new));
        }
    }

    /// Whether properties that are not listed may be there, and how they look.
    fn additional(&mut self, scope: &Scope, pair: &Pair<'a>) {
        let keyword = "additionalProperties";
        let (old, new) = (pair.old.get(keyword), pair.new.get(keyword));
        let schema =
            |node: Option<&'a Node>| node.filter(|node| matches!(node.kind, NodeKind::Mapping(_)));
        let (aspect, effect, what) = match (is_shut(old), is_shut(new)) {
            (false, true) => (
                "additional-properties-forbidden",
                Effect::Narrower,
                "takes no properties that are not listed now",
            ),
            (true, false) => (
                "additional-properties-allowed",
                Effect::Wider,
                "takes properties that are not listed now",
            ),
            _ => {
                if let (Some(old), Some(new)) = (schema(old), schema(new)) {
                    self.schemas(&scope.inside("*"), old, new);
                }
                return;
            }
        };
        self.schema_change(scope, pair, keyword, aspect, effect, what);
    }
}
