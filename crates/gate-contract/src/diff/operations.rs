//! Paths, operations, webhooks and callbacks: which there are, and what is compared of each.

use super::bodies::field;
use super::change::Operation;
use super::lifecycle::{Thing, removal, stability};
use super::spec::{texts, truth};
use super::{Compare, Severity};
use gate_kit::order::Gather;
use gate_model::document::Node;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Methods that a path item may have operations for.
const METHODS: [&str; 9] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace", "query",
];
/// Deepest nesting of callbacks in callbacks.
const CALLBACKS_MAX: usize = 3;

/// A path item and how the document writes its path.
type Item<'a> = (&'a str, &'a Node);

impl<'a> Compare<'a> {
    /// Compares the whole documents.
    pub(super) fn documents(&mut self) {
        let (old, new) = (self.old.root, self.new.root);
        self.paths(old, new);
        self.webhooks(old, new);
        self.components(old, new);
        self.security_schemes(old, new);
        self.global_security(old, new);
    }

    fn paths(&mut self, old: &'a Node, new: &'a Node) {
        let (was, is) = (by_shape(old), by_shape(new));
        for (shape, (path, item)) in &was {
            match is.get(shape) {
                Some(now) => self.path(0, (path, item), *now),
                None => {
                    for (method, operation) in operations(self.old.follow(item)) {
                        self.enter(method, path, operation, None);
                        self.operation_gone(operation, new.get("paths").or(Some(new)), true);
                    }
                }
            }
        }
        for (shape, (path, item)) in &is {
            if !was.contains_key(shape) {
                for (method, operation) in operations(self.new.follow(item)) {
                    self.operation_new(method, path, operation, old.get("paths").or(Some(old)));
                }
            }
        }
        self.leave();
    }

    fn path(&mut self, nested: usize, (old_path, old): Item<'a>, (new_path, new): Item<'a>) {
        let (old, new) = (self.old.follow(old), self.new.follow(new));
        for (method, was) in operations(old) {
            match new.get(method) {
                None => {
                    self.enter(method, old_path, was, None);
                    self.operation_gone(was, Some(new), false);
                }
                Some(is) => {
                    self.enter(method, old_path, was, Some(is));
                    self.operation(nested, (old_path, old, was), (new_path, new, is));
                }
            }
        }
        for (method, is) in operations(new) {
            if old.get(method).is_none() {
                self.operation_new(method, new_path, is, Some(old));
            }
        }
    }

    /// What follows is about this operation.
    fn enter(&mut self, method: &str, path: &str, old: &'a Node, new: Option<&'a Node>) {
        let method = method.to_ascii_uppercase();
        self.operation = Some(Arc::new(Operation {
            method,
            path: path.to_owned(),
        }));
        // Nothing was promised of drafts.
        let is_draft = matches!(field(old, "x-stability-level"), Some("draft" | "alpha"));
        self.most = is_draft.then_some(Severity::Info);
        stability(self, &Thing::Operation, old, new);
    }

    fn leave(&mut self) {
        self.operation = None;
        self.most = None;
    }

    fn operation_gone(&mut self, old: &'a Node, place: Option<&'a Node>, whole: bool) {
        let (rule, severity) = removal(self, old, whole);
        let message = match whole {
            true => "the path was removed".to_owned(),
            false => "the operation was removed".to_owned(),
        };
        self.tell(rule, severity, message, Some(old), place);
    }

    fn operation_new(&mut self, method: &str, path: &str, new: &'a Node, place: Option<&'a Node>) {
        self.leave();
        self.operation = Some(Arc::new(Operation {
            method: method.to_ascii_uppercase(),
            path: path.to_owned(),
        }));
        let message = "the operation is new".to_owned();
        self.tell("endpoint-added", Severity::Info, message, place, Some(new));
    }

    fn operation(
        &mut self,
        nested: usize,
        old: (&str, &'a Node, &'a Node),
        new: (&str, &'a Node, &'a Node),
    ) {
        let (was, is) = (old.2, new.2);
        self.lifecycle(&Thing::Operation, was, is);
        self.labels(was, is);
        self.parameters(old, new);
        self.request_bodies(was, is);
        self.responses(was, is);
        self.security(was, is);
        self.callbacks(nested, was, is);
    }

    /// Names that only tools see.
    fn labels(&mut self, old: &'a Node, new: &'a Node) {
        let (was, is) = (field(old, "operationId"), field(new, "operationId"));
        if was != is {
            if let Some(id) = was {
                let message = format!("the operation id `{id}` was removed");
                self.tell(
                    "api-operation-id-removed",
                    Severity::Info,
                    message,
                    Some(old),
                    Some(new),
                );
            }
            if let Some(id) = is {
                let message = format!("the operation id `{id}` is new");
                self.tell(
                    "api-operation-id-added",
                    Severity::Info,
                    message,
                    Some(old),
                    Some(new),
                );
            }
        }
        let tags =
            |node: &'a Node| -> BTreeSet<&str> { texts(node.get("tags")).into_iter().into_set() };
        let (was, is) = (tags(old), tags(new));
        for tag in was.difference(&is) {
            let message = format!("the tag `{tag}` was removed");
            self.tell(
                "api-tag-removed",
                Severity::Info,
                message,
                Some(old),
                Some(new),
            );
        }
        for tag in is.difference(&was) {
            let message = format!("the tag `{tag}` is new");
            self.tell(
                "api-tag-added",
                Severity::Info,
                message,
                Some(old),
                Some(new),
            );
        }
    }

    /// Requests that the service sends.
    fn webhooks(&mut self, old: &'a Node, new: &'a Node) {
        let entries = |node: &'a Node| node.get("webhooks").map_or(&[][..], Node::entries);
        self.turned = true;
        for (key, item) in entries(old) {
            let name = &*key.text;
            match new.get("webhooks").and_then(|hooks| hooks.get(name)) {
                Some(now) => self.path(0, (name, item), (name, now)),
                None => {
                    self.leave();
                    let message = format!("the webhook `{name}` was removed");
                    self.tell(
                        "webhook-removed",
                        Severity::Breaking,
                        message,
                        Some(item),
                        Some(new),
                    );
                }
            }
        }
        self.leave();
        for (key, item) in entries(new) {
            if old
                .get("webhooks")
                .and_then(|hooks| hooks.get(&key.text))
                .is_none()
            {
                let message = format!("the webhook `{}` is new", key.text);
                self.tell(
                    "webhook-added",
                    Severity::Info,
                    message,
                    Some(old),
                    Some(item),
                );
            }
        }
        self.turned = false;
    }

    /// Requests that the service sends to where an operation told it.
    fn callbacks(&mut self, nested: usize, old: &'a Node, new: &'a Node) {
        let Some(was) = old.get("callbacks") else {
            return;
        };
        if nested >= CALLBACKS_MAX {
            return;
        }
        let of = self.operation.clone();
        let most = self.most;
        for (key, callback) in was.entries() {
            let callback = self.old.follow(callback);
            let now = new.get("callbacks").and_then(|all| all.get(&key.text));
            let Some(now) = now.map(|now| self.new.follow(now)) else {
                let message = format!("the callback `{}` was removed", key.text);
                self.tell(
                    "callback-removed",
                    Severity::Warning,
                    message,
                    Some(callback),
                    Some(new),
                );
                continue;
            };
            for (url, item) in callback.entries() {
                if let Some(is) = now.get(&url.text) {
                    self.turned = !self.turned;
                    self.path(nested + 1, (&url.text, item), (&url.text, is));
                    self.turned = !self.turned;
                    self.operation.clone_from(&of);
                    self.most = most;
                }
            }
        }
    }

    /// Shared schemas that are gone. Where they are used is compared there.
    fn components(&mut self, old: &'a Node, new: &'a Node) {
        let schemas = |node: &'a Node| node.get("components").and_then(|all| all.get("schemas"));
        let Some(was) = schemas(old) else { return };
        let is: BTreeSet<&str> = schemas(new)
            .map_or(&[][..], Node::entries)
            .iter()
            .map(|(key, _)| &*key.text)
            .into_set();
        for (key, node) in was.entries() {
            if !is.contains(&*key.text) {
                let message = format!("the shared schema `{}` was removed", key.text);
                let place = schemas(new).or(Some(new));
                self.tell(
                    "api-schema-removed",
                    Severity::Info,
                    message,
                    Some(node),
                    place,
                );
            }
        }
    }
}

/// The operations of a path item.
fn operations(item: &Node) -> impl Iterator<Item = (&'static str, &Node)> {
    METHODS
        .into_iter()
        .filter_map(|method| Some((method, item.get(method)?)))
}

/// Paths by what tells them apart: everything but the names of their parameters.
fn by_shape(document: &Node) -> BTreeMap<String, Item<'_>> {
    let paths = document.get("paths").map_or(&[][..], Node::entries);
    let mut all = BTreeMap::new();
    for (key, item) in paths {
        if !key.text.starts_with("x-") {
            all.entry(shape(&key.text)).or_insert((&*key.text, item));
        }
    }
    all
}

fn shape(path: &str) -> String {
    let mut shape = String::with_capacity(path.len());
    let mut inside = false;
    for letter in path.chars() {
        match letter {
            '{' => {
                inside = true;
                shape.push_str("{}");
            }
            '}' => inside = false,
            _ if inside => {}
            other => shape.push(other),
        }
    }
    shape
}

/// Whether an operation, parameter or property says that it is on its way out.
pub(super) fn is_deprecated(node: &Node) -> bool {
    node.get("deprecated").is_some_and(truth)
}
