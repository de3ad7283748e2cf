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
}

impl<'a> Compare<'a> {
    pub(super) fn properties(&mut self, scope: &Scope, pair: &Pair<'a>) {
        let old = Object::of(&self.old, &pair.old);
        let new = Object::of(&self.new, &pair.new);
        for (name, node) in &old.properties {
            match new.properties.get(name) {
                None => self.property_gone(scope, pair, name, node, old.required.contains(name)),
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
                self.property_new(scope, pair, name, node, new.required.contains(name));
            }
        }
        self.additional(scope, pair);
    }

    fn property_gone(
        &mut self,
        scope: &Scope,
        pair: &Pair<'a>,
        name: &str,
        node: &'a Node,
        required: bool,
    ) {
        let seen = self.old.schema(node);
        let sent = self.sent(scope.stand);
        let closed = pair
            .new
            .get("additionalProperties")
            .is_some_and(|node| matches!(node.kind, NodeKind::Bool(false)));
        let inner = scope.inside(name);
        let (rule, severity) = match (scope.stand.is_request(), sent) {
            (true, true) => {
                let unseen = seen.is("readOnly");
                let severity = match (unseen, closed) {
                    (true, _) => Severity::Info,
                    // A body that still holds it is refused.
                    (false, true) => Severity::Breaking,
                    (false, false) => Severity::Warning,
                };
                (format!("{}-removed", inner.stand.prefix(false)), severity)
            }
            (is_request, _) => {
                let unseen = seen.is("writeOnly");
                let severity = match (unseen, required) {
                    (true, _) => Severity::Info,
                    (false, true) => Severity::Breaking,
                    (false, false) => Severity::Warning,
                };
                let kind = if required { "required" } else { "optional" };
                let unseen = if unseen { "write-only-" } else { "" };
                let side = if is_request { "request" } else { "response" };
                (format!("{side}-{kind}-{unseen}property-removed"), severity)
            }
        };
        let severity = if scope.one_way {
            Severity::Info
        } else {
            severity
        };
        let message = format!("{} was removed", inner.shown());
        self.tell(rule, severity, message, Some(node), Some(pair.new.node()));
    }

    fn property_new(
        &mut self,
        scope: &Scope,
        pair: &Pair<'a>,
        name: &str,
        node: &'a Node,
        required: bool,
    ) {
        let seen = self.new.schema(node);
        let kind = if required { "required" } else { "optional" };
        let (rule, severity) = if self.sent(scope.stand) {
            let asked = required && !seen.is("readOnly") && !scope.one_way;
            let severity = if asked {
                Severity::Breaking
            } else {
                Severity::Info
            };
            let thing = match scope.stand {
                Stand::Parameter | Stand::ParameterProperty => "request-parameter-property",
                _ => "request-property",
            };
            let given = if required && seen.get("default").is_some() {
                "-with-default"
            } else {
                ""
            };
            (format!("new-{kind}-{thing}{given}"), severity)
        } else {
            let unseen = if seen.is("writeOnly") {
                "write-only-"
            } else {
                ""
            };
            let side = if scope.stand.is_request() {
                "request"
            } else {
                "response"
            };
            (
                format!("{side}-{kind}-{unseen}property-added"),
                Severity::Info,
            )
        };
        let message = format!("{} is new and {kind}", scope.inside(name).shown());
        self.tell(rule, severity, message, Some(pair.old.node()), Some(node));
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
        let became = if is { "required" } else { "optional" };
        let given = sent && is && seen.get("default").is_some();
        let given = if given { "-with-default" } else { "" };
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
            let side = if scope.stand.is_request() {
                "request"
            } else {
                "response"
            };
            let kind = if required { "required" } else { "optional" };
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
        let shut = |node: Option<&'a Node>| {
            node.is_some_and(|node| matches!(node.kind, NodeKind::Bool(false)))
        };
        let schema =
            |node: Option<&'a Node>| node.filter(|node| matches!(node.kind, NodeKind::Mapping(_)));
        let (aspect, effect, what) = match (shut(old), shut(new)) {
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
