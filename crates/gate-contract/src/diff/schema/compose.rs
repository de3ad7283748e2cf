//! `allOf`, `anyOf`, `oneOf`: which alternatives came and went.
//!
//! Alternatives are paired by their reference, then by being equal, then by title; one that is left
//! on each side is taken for the same one, changed.

use super::super::Compare;
use super::super::levels::Effect;
use super::super::spec::{Schema, reference, text};
use super::{Pair, Scope};
use gate_model::document::Node;

/// Most alternatives of one list that are paired.
const BRANCHES_MAX: usize = 256;

/// Keywords that bind nothing.
const WORDS: [&str; 9] = [
    "title",
    "description",
    "example",
    "examples",
    "deprecated",
    "externalDocs",
    "xml",
    "$comment",
    "default",
];

impl<'a> Compare<'a> {
    pub(super) fn compose(&mut self, scope: &Scope, pair: &Pair<'a>) {
        for (keyword, name) in [
            ("allOf", "all-of"),
            ("anyOf", "any-of"),
            ("oneOf", "one-of"),
        ] {
            // A list of types is compared as such.
            let list = |schema: &Schema<'a>| match schema.union().is_empty() {
                true => schema.list(keyword),
                false => &[],
            };
            let (old, new) = (list(&pair.old), list(&pair.new));
            if old.len() > BRANCHES_MAX || new.len() > BRANCHES_MAX {
                self.cut = true;
                continue;
            }
            let (same, removed, added) = self.branches(old, new);
            for (old, new) in same {
                let mut inner = scope.beside(&branch_name(old, keyword));
                inner.is_part = keyword == "allOf";
                self.schemas(&inner, old, new);
            }
            let whole = pair.old.list(keyword).is_empty();
            if keyword == "oneOf" && whole && !added.is_empty() && Self::wraps(pair) {
                let what = "became one of several alternatives";
                let aspect = "wrapped-in-one-of";
                self.schema_change(scope, pair, keyword, aspect, Effect::Other, what);
                continue;
            }
            for (list, coming) in [(removed, false), (added, true)] {
                for branch in list {
                    self.branch(scope, pair, (keyword, name), branch, coming);
                }
            }
        }
    }

    /// One alternative that came or went.
    fn branch(
        &mut self,
        scope: &Scope,
        pair: &Pair<'a>,
        (keyword, name): (&str, &str),
        branch: &'a Node,
        coming: bool,
    ) {
        let seen = if coming {
            self.new.schema(branch)
        } else {
            self.old.schema(branch)
        };
        let mut aspect = format!("{name}-{}", if coming { "added" } else { "removed" });
        let mut effect = match (keyword == "allOf", coming) {
            (true, true) | (false, false) => Effect::Narrower,
            (true, false) | (false, true) => Effect::Wider,
        };
        if keyword == "allOf" && binds_nothing(&seen) {
            aspect.push_str("-annotation-only");
            effect = Effect::None;
        }
        let label = branch_name(branch, keyword);
        let what = match coming {
            true => format!("has `{label}` in its {keyword} now"),
            false => format!("has `{label}` in its {keyword} no longer"),
        };
        self.schema_change(scope, pair, keyword, &aspect, effect, &what);
    }

    /// Pairs of alternatives, and what is left of the older and of the newer ones.
    #[allow(clippy::type_complexity)] // three lists, named above
    fn branches(
        &self,
        old: &'a [Node],
        new: &'a [Node],
    ) -> (Vec<(&'a Node, &'a Node)>, Vec<&'a Node>, Vec<&'a Node>) {
        let mut same = Vec::new();
        let mut left: Vec<&Node> = old.iter().collect();
        let mut right: Vec<&Node> = new.iter().collect();
        let by_reference = |one: &Node, other: &Node| {
            reference(one).is_some() && reference(one) == reference(other)
        };
        let alike = |one: &'a Node, other: &'a Node| self.old.follow(one) == self.new.follow(other);
        let title = |node: &'a Node| node.get("title").and_then(text);
        let by_title = |one: &'a Node, other: &'a Node| {
            title(self.old.follow(one)).is_some()
                && title(self.old.follow(one)) == title(self.new.follow(other))
        };
        let mut take = |fits: &dyn Fn(&'a Node, &'a Node) -> bool| {
            left.retain(
                |one| match right.iter().position(|other| fits(one, other)) {
                    Some(at) => {
                        same.push((*one, right.remove(at)));
                        false
                    }
                    None => true,
                },
            );
        };
        take(&by_reference);
        take(&alike);
        take(&by_title);
        if let ([one], [other]) = (&left[..], &right[..])
            && reference(one).is_none()
            && reference(other).is_none()
        {
            same.push((one, other));
            left.clear();
            right.clear();
        }
        (same, left, right)
    }

    /// Whether a plain schema became one of several.
    fn wraps(pair: &Pair<'a>) -> bool {
        let is_plain = |schema: &Schema<'a>| {
            schema.get("type").is_some() || schema.get("properties").is_some()
        };
        is_plain(&pair.old) && !is_plain(&pair.new)
    }
}

fn binds_nothing(schema: &Schema<'_>) -> bool {
    let entries = schema.node().entries();
    let is_word = |name: &str| WORDS.contains(&name) || name.starts_with("x-");
    schema.dangling.is_none() && entries.iter().all(|(key, _)| is_word(&key.text))
}

/// How an alternative is called.
fn branch_name(node: &Node, keyword: &str) -> String {
    let by_reference = reference(node).and_then(|name| name.rsplit('/').next());
    let by_title = || node.get("title").and_then(text);
    let by_type = || node.get("type").and_then(text);
    let name = by_reference.or_else(by_title).or_else(by_type);
    super::values::cut(name.unwrap_or(keyword))
}
