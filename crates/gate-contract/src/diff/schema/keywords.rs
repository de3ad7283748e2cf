//! Keywords that hold schemas: `not`, `if`, `contains`, `dependentSchemas` and their like.

use super::super::Compare;
use super::super::levels::Effect;
use super::super::spec::{items, text, texts};
use super::{Pair, Scope};
use gate_kit::order::Gather;
use gate_model::document::{Node, NodeKind};
use std::collections::BTreeSet;

/// Keywords with one schema each, and what rules call them. Their coming asks more, their going
/// less.
const SINGLE: [(&str, &str); 9] = [
    ("not", "not"),
    ("if", "if"),
    ("then", "then"),
    ("else", "else"),
    ("contains", "contains"),
    ("propertyNames", "property-names"),
    ("unevaluatedItems", "unevaluated-items"),
    ("unevaluatedProperties", "unevaluated-properties"),
    ("contentSchema", "content-schema"),
];

/// Keywords with a schema for each of several names.
const NAMED: [(&str, &str); 2] = [
    ("dependentSchemas", "dependent-schema"),
    ("patternProperties", "pattern-property"),
];

impl<'a> Compare<'a> {
    pub(super) fn keywords(&mut self, scope: &Scope, pair: &Pair<'a>) {
        for (keyword, name) in SINGLE {
            self.single_schema(scope, pair, keyword, name);
        }
        for (keyword, name) in NAMED {
            self.named_schemas(scope, pair, keyword, name);
        }
        self.prefix_items(scope, pair);
        self.dependent_required(scope, pair);
        for (keyword, name) in [
            ("contentMediaType", "content-media-type-changed"),
            ("contentEncoding", "content-encoding-changed"),
        ] {
            let value = |node: Option<&'a Node>| node.and_then(text).unwrap_or_default();
            let (old, new) = (value(pair.old.get(keyword)), value(pair.new.get(keyword)));
            if old != new {
                let what = format!("has {keyword} `{new}`, formerly `{old}`");
                self.schema_change(scope, pair, keyword, name, Effect::Other, &what);
            }
        }
    }

    fn single_schema(&mut self, scope: &Scope, pair: &Pair<'a>, keyword: &str, name: &str) {
        // `true` binds nothing.
        let bound =
            |node: Option<&'a Node>| node.filter(|node| !matches!(node.kind, NodeKind::Bool(true)));
        let (suffix, effect, now) =
            match (bound(pair.old.get(keyword)), bound(pair.new.get(keyword))) {
                (None, Some(_)) => ("added", Effect::Narrower, "now"),
                (Some(_), None) => ("removed", Effect::Wider, "no longer"),
                (Some(old), Some(new)) => {
                    let mut inner = scope.beside(keyword);
                    inner.negated ^= keyword == "not";
                    return match keyword {
                        // What follows from a changed condition is not worked out.
                        "if" if old != new => {
                            let what = "has another condition in its `if`";
                            self.schema_change(
                                scope,
                                pair,
                                keyword,
                                "if-changed",
                                Effect::Other,
                                what,
                            );
                        }
                        _ => self.schemas(&inner, old, new),
                    };
                }
                (None, None) => return,
            };
        let what = format!("has `{keyword}` {now}");
        self.schema_change(
            scope,
            pair,
            keyword,
            &format!("{name}-{suffix}"),
            effect,
            &what,
        );
    }

    fn named_schemas(&mut self, scope: &Scope, pair: &Pair<'a>, keyword: &str, name: &str) {
        let entries = |node: Option<&'a Node>| node.map_or(&[][..], Node::entries);
        let (old, new) = (pair.old.get(keyword), pair.new.get(keyword));
        for (key, was) in entries(old) {
            match new.and_then(|new| new.get(&key.text)) {
                Some(is) => self.schemas(&scope.inside(&key.text), was, is),
                None => {
                    let what = format!("has `{keyword}` for `{}` no longer", key.text);
                    let aspect = format!("{name}-removed");
                    self.schema_change(scope, pair, keyword, &aspect, Effect::Wider, &what);
                }
            }
        }
        for (key, _) in entries(new) {
            if old.and_then(|old| old.get(&key.text)).is_none() {
                let what = format!("has `{keyword}` for `{}` now", key.text);
                let aspect = format!("{name}-added");
                self.schema_change(scope, pair, keyword, &aspect, Effect::Narrower, &what);
            }
        }
    }

    fn prefix_items(&mut self, scope: &Scope, pair: &Pair<'a>) {
        let list = |node: Option<&'a Node>| node.map_or(&[][..], items);
        let keyword = "prefixItems";
        let (old, new) = (list(pair.old.get(keyword)), list(pair.new.get(keyword)));
        for (index, (was, is)) in old.iter().zip(new).enumerate() {
            self.schemas(&scope.inside(&index.to_string()), was, is);
        }
        for index in old.len()..new.len() {
            let what = format!("has an item {index} of its own now");
            self.schema_change(
                scope,
                pair,
                keyword,
                "prefix-items-added",
                Effect::Wider,
                &what,
            );
        }
        for index in new.len()..old.len() {
            let what = format!("has an item {index} of its own no longer");
            let effect = Effect::Narrower;
            self.schema_change(scope, pair, keyword, "prefix-items-removed", effect, &what);
        }
    }

    fn dependent_required(&mut self, scope: &Scope, pair: &Pair<'a>) {
        let keyword = "dependentRequired";
        let entries = |node: Option<&'a Node>| node.map_or(&[][..], Node::entries);
        let (old, new) = (pair.old.get(keyword), pair.new.get(keyword));
        let names: BTreeSet<&str> = entries(old)
            .iter()
            .chain(entries(new))
            .map(|(key, _)| &*key.text)
            .into_set();
        let set = |node: Option<&'a Node>, name: &str| -> Option<BTreeSet<&'a str>> {
            let list = node?.get(name)?;
            Some(texts(Some(list)).into_iter().into_set())
        };
        for name in names {
            let (suffix, effect) = match (set(old, name), set(new, name)) {
                (None, Some(_)) => ("added", Effect::Narrower),
                (Some(_), None) => ("removed", Effect::Wider),
                (Some(was), Some(is)) if was != is => {
                    let effect = match (was.is_subset(&is), is.is_subset(&was)) {
                        (true, _) => Effect::Narrower,
                        (_, true) => Effect::Wider,
                        _ => Effect::Other,
                    };
                    ("changed", effect)
                }
                _ => continue,
            };
            let what = format!("changed what it requires beside `{name}`");
            let aspect = format!("dependent-required-{suffix}");
            self.schema_change(scope, pair, keyword, &aspect, effect, &what);
        }
    }
}
