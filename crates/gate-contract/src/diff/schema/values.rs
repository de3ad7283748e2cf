//! Which values are allowed by name: `enum`, `const`, `default`, `x-extensible-enum`; and patterns.

use super::super::Compare;
use super::super::levels::Effect;
use super::super::spec::{items, text};
use super::{Pair, Scope};
use gate_kit::order::Gather;
use gate_model::document::{Node, canonical_json};
use std::collections::BTreeSet;

/// Most characters of a value that are shown.
const SHOWN_MAX: usize = 60;

impl<'a> Compare<'a> {
    pub(super) fn values(&mut self, scope: &Scope, pair: &Pair<'a>) {
        self.enums(scope, pair);
        self.extensible(scope, pair);
        self.single(
            scope,
            pair,
            "const",
            "const",
            (Effect::Narrower, Effect::Wider),
        );
        self.single(
            scope,
            pair,
            "default",
            "default-value",
            (Effect::None, Effect::None),
        );
        self.pattern(scope, pair);
        self.discriminator(scope, pair);
    }

    fn enums(&mut self, scope: &Scope, pair: &Pair<'a>) {
        let (old, new) = match (pair.old.get("enum"), pair.new.get("enum")) {
            (None, None) => return,
            (None, Some(new)) => {
                let what = format!("takes only {} now", list(&all(new)));
                let effect = Effect::Narrower;
                return self.schema_change(scope, pair, "enum", "became-enum", effect, &what);
            }
            (Some(_), None) => {
                let what = "is no longer limited to listed values";
                return self.schema_change(
                    scope,
                    pair,
                    "enum",
                    "enum-removed",
                    Effect::Wider,
                    what,
                );
            }
            (Some(old), Some(new)) => (all(old), all(new)),
        };
        for value in new.difference(&old) {
            let what = format!("takes {} too", cut(value));
            self.schema_change(
                scope,
                pair,
                "enum",
                "enum-value-added",
                Effect::Wider,
                &what,
            );
        }
        for value in old.difference(&new) {
            let what = format!("no longer takes {}", cut(value));
            self.schema_change(
                scope,
                pair,
                "enum",
                "enum-value-removed",
                Effect::Narrower,
                &what,
            );
        }
    }

    /// Zalando's extension: lists that may grow, which callers are prepared for.
    fn extensible(&mut self, scope: &Scope, pair: &Pair<'a>) {
        const KEYWORD: &str = "x-extensible-enum";
        if let (Some(old), Some(new)) = (pair.old.get(KEYWORD), pair.new.get(KEYWORD))
            && self.sent(scope.stand)
        {
            for value in all(old).difference(&all(new)) {
                let what = format!("no longer takes {}", cut(value));
                let aspect = "x-extensible-enum-value-removed";
                self.schema_change(scope, pair, KEYWORD, aspect, Effect::Narrower, &what);
            }
        }
    }

    /// A keyword that holds one value; the effects of its coming and going.
    fn single(
        &mut self,
        scope: &Scope,
        pair: &Pair<'a>,
        keyword: &str,
        name: &str,
        (added, removed): (Effect, Effect),
    ) {
        let changed = match added {
            Effect::None => Effect::None,
            _ => Effect::Other,
        };
        let (suffix, effect, what) = match (pair.old.get(keyword), pair.new.get(keyword)) {
            (None, Some(new)) => (
                "added",
                added,
                format!("has {} as its {keyword} now", value(new)),
            ),
            (Some(old), None) => (
                "removed",
                removed,
                format!("has {} as its {keyword} no longer", value(old)),
            ),
            (Some(old), Some(new)) if old != new => (
                "changed",
                changed,
                format!(
                    "has {} as its {keyword}, formerly {}",
                    value(new),
                    value(old)
                ),
            ),
            _ => return,
        };
        self.schema_change(
            scope,
            pair,
            keyword,
            &format!("{name}-{suffix}"),
            effect,
            &what,
        );
    }

    fn pattern(&mut self, scope: &Scope, pair: &Pair<'a>) {
        let pattern = |node: Option<&'a Node>| node.and_then(text);
        let both = (
            pattern(pair.old.get("pattern")),
            pattern(pair.new.get("pattern")),
        );
        let (aspect, effect, what) = match both {
            (None, Some(new)) => (
                "pattern-added",
                Effect::Narrower,
                format!("has to match `{}` now", cut(new)),
            ),
            (Some(old), None) => (
                "pattern-removed",
                Effect::Wider,
                format!("no longer has to match `{}`", cut(old)),
            ),
            (Some(old), Some(new)) if old != new => {
                let anything = matches!(new, ".*" | "^.*$" | "");
                let (aspect, effect) = match anything {
                    true => ("pattern-generalized", Effect::Wider),
                    false => ("pattern-changed", Effect::Other),
                };
                let what = format!("has to match `{}`, formerly `{}`", cut(new), cut(old));
                (aspect, effect, what)
            }
            _ => return,
        };
        self.schema_change(scope, pair, "pattern", aspect, effect, &what);
    }

    fn discriminator(&mut self, scope: &Scope, pair: &Pair<'a>) {
        let (old, new) = match (pair.old.get("discriminator"), pair.new.get("discriminator")) {
            (None, None) => return,
            (None, Some(_)) => return self.discriminates(scope, pair, "added", "has one now"),
            (Some(_), None) => return self.discriminates(scope, pair, "removed", "has none now"),
            (Some(old), Some(new)) => (old, new),
        };
        let name = |node: &'a Node| node.get("propertyName").and_then(text).unwrap_or_default();
        if name(old) != name(new) {
            let what = format!(
                "goes by `{}`, formerly `{}`",
                cut(name(new)),
                cut(name(old))
            );
            self.discriminates(scope, pair, "property-name-changed", &what);
        }
        let entries = |node: &'a Node| node.get("mapping").map_or(&[][..], Node::entries);
        for (key, target) in entries(old) {
            match new
                .get("mapping")
                .and_then(|mapping| mapping.get(&key.text))
            {
                None => {
                    let what = format!("no longer maps `{}`", cut(&key.text));
                    self.discriminates(scope, pair, "mapping-deleted", &what);
                }
                Some(now) if now != target => {
                    let what = format!("maps `{}` elsewhere", cut(&key.text));
                    self.discriminates(scope, pair, "mapping-changed", &what);
                }
                Some(_) => {}
            }
        }
        for (key, _) in entries(new) {
            if old
                .get("mapping")
                .and_then(|mapping| mapping.get(&key.text))
                .is_none()
            {
                let what = format!("maps `{}` too", cut(&key.text));
                self.discriminates(scope, pair, "mapping-added", &what);
            }
        }
    }

    fn discriminates(&mut self, scope: &Scope, pair: &Pair<'a>, what: &str, words: &str) {
        let aspect = format!("discriminator-{what}");
        let words = format!("changed its discriminator: it {words}");
        self.schema_change(scope, pair, "discriminator", &aspect, Effect::None, &words);
    }
}

fn all(node: &Node) -> BTreeSet<String> {
    items(node).iter().map(canonical_json).into_set()
}

fn value(node: &Node) -> String {
    cut(&canonical_json(node))
}

fn list(values: &BTreeSet<String>) -> String {
    let shown: Vec<String> = values.iter().take(8).map(|value| cut(value)).collect();
    match values.len() {
        0..=8 => shown.join(", "),
        more => format!("{} and {} others", shown.join(", "), more - 8),
    }
}

/// As much of a text as is shown.
pub(in crate::diff) fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
