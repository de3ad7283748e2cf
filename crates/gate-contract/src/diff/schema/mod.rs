//! Two schemas side by side, and what stands inside of them.
//!
//! A schema is seen through its references. Pairs that turned out to be the same are remembered, so
//! that what many operations share is compared once; cycles end at a pair that is under way.

mod compose;
mod keywords;
mod limits;
mod properties;
mod types;
mod values;

pub(super) use self::values::cut;
use super::change::address;
use super::levels::{Effect, Stand, level};
use super::spec::{Schema, Spec, reference};
use super::{Compare, DEPTH_MAX, Severity};
use gate_model::document::Node;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Where two schemas stand, and how changes of them are told.
#[derive(Clone)]
pub(super) struct Scope {
    pub(super) stand: Stand,
    /// What it is the schema of, for people: `query parameter `limit``.
    pub(super) subject: String,
    /// The way down from there, as `/customer/name`.
    path: String,
    /// Whether values are texts whatever their type, as in forms and parameters.
    pub(super) loose: bool,
    /// Whether the other side never sees it: read-only in a request, write-only in a response.
    one_way: bool,
    /// Whether it stands under a `not`.
    negated: bool,
    /// Whether it is a part of an `allOf`, whose properties are those of the whole.
    is_part: bool,
    depth: usize,
}

impl Scope {
    pub(super) fn new(stand: Stand, subject: impl Into<String>) -> Self {
        Self {
            stand,
            subject: subject.into(),
            path: String::new(),
            loose: false,
            one_way: false,
            negated: false,
            is_part: false,
            depth: 0,
        }
    }

    pub(super) fn loose(mut self, loose: bool) -> Self {
        self.loose = loose;
        self
    }

    /// The scope of a property or the items.
    fn inside(&self, step: &str) -> Scope {
        Scope {
            stand: self.stand.inside(),
            path: format!("{}/{step}", self.path),
            is_part: false,
            depth: self.depth + 1,
            ..self.clone()
        }
    }

    /// The scope of an alternative, which stands where its parent stands.
    fn beside(&self, step: &str) -> Scope {
        Scope {
            path: format!("{}/{step}", self.path),
            depth: self.depth + 1,
            ..self.clone()
        }
    }

    /// The property of the root that it is under, as a number.
    fn top(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.path.split('/').nth(1).hash(&mut hasher);
        hasher.finish()
    }

    /// How people call it.
    pub(super) fn shown(&self) -> String {
        match &*self.path {
            "" => self.subject.clone(),
            path => format!("`{path}` of the {}", self.subject),
        }
    }
}

/// What tells a schema from others, however it is referred to.
fn identity<'a>(spec: &Spec<'a>, node: &'a Node) -> usize {
    match reference(node).is_some() && node.entries().len() == 1 {
        true => address(spec.follow(node)),
        false => address(node),
    }
}

/// Two schemas that are yet to be compared.
pub(super) struct Waiting<'a> {
    scope: Scope,
    old: &'a Node,
    new: &'a Node,
}

/// Both sides of a comparison.
pub(super) struct Pair<'a> {
    pub(super) old: Schema<'a>,
    pub(super) new: Schema<'a>,
}

impl<'a> Compare<'a> {
    /// Compares what stands at the root of a body, parameter or header.
    pub(super) fn root(&mut self, scope: &Scope, old: &'a Node, new: &'a Node) {
        let before = self.drafts.len();
        self.walked.clear();
        self.schemas(scope, old, new);
        // The nearest first, so that what many ways lead to is told by a short one.
        while let Some(next) = self.waiting.pop_front() {
            self.enter_schemas(&next.scope, next.old, next.new);
        }
        if self.drafts.len() == before && !self.cut {
            // Everything that was entered since then is the same, cycles included.
            self.same.extend(self.walked.drain().map(|(pair, _)| pair));
        }
    }

    /// Compares two schemas, and everything in them, in their turn.
    fn schemas(&mut self, scope: &Scope, old: &'a Node, new: &'a Node) {
        if self.step() {
            let scope = scope.clone();
            self.waiting.push_back(Waiting { scope, old, new });
        }
    }

    fn enter_schemas(&mut self, scope: &Scope, old: &'a Node, new: &'a Node) {
        let sent = self.sent(scope.stand);
        let view = u8::from(sent != scope.negated) | u8::from(scope.is_part) << 1;
        let pair = (identity(&self.old, old), identity(&self.new, new), view);
        // Once under each property of the root: every way through a web of schemas would be too many.
        if self.same.contains(&pair) || !self.walked.insert((pair, scope.top())) {
            return;
        }
        if scope.depth > DEPTH_MAX {
            self.cut = true;
            return;
        }
        let pair = Pair {
            old: self.old.schema(old),
            new: self.new.schema(new),
        };
        if self.dangling(scope, &pair) {
            return;
        }
        let mut scope = scope.clone();
        let word = if sent { "readOnly" } else { "writeOnly" };
        scope.one_way |= pair.old.is(word) && pair.new.is(word);
        self.types(&scope, &pair);
        self.values(&scope, &pair);
        self.limits(&scope, &pair);
        self.lifecycle_of(&scope, &pair);
        self.compose(&scope, &pair);
        self.keywords(&scope, &pair);
        if !scope.is_part {
            self.properties(&scope, &pair);
        }
        if let (Some(old), Some(new)) = (pair.old.get("items"), pair.new.get("items")) {
            self.schemas(&scope.inside("items"), old, new);
        }
    }

    /// Whether a reference leads nowhere, so that there is nothing to compare.
    fn dangling(&mut self, scope: &Scope, pair: &Pair<'a>) -> bool {
        match (pair.old.dangling, pair.new.dangling) {
            (None, None) => return false,
            (Some(old), Some(new)) if old == new => {}
            (old, new) => {
                let name = |reference: Option<&str>| reference.unwrap_or("a schema").to_owned();
                let message = format!(
                    "{} refers to {}, formerly {}, which is not in the document",
                    scope.shown(),
                    name(new),
                    name(old)
                );
                let rule = format!("{}-reference-changed", scope.stand.prefix(false));
                let (old, new) = (pair.old.given, pair.new.given);
                self.tell(rule, Severity::Warning, message, Some(old), Some(new));
            }
        }
        true
    }

    /// Whether callers send what stands there.
    pub(super) fn sent(&self, stand: Stand) -> bool {
        stand.is_request() != self.turned
    }

    /// Tells a change of a schema; `what` follows the name of what it is about.
    fn schema_change(
        &mut self,
        scope: &Scope,
        pair: &Pair<'a>,
        keyword: &str,
        aspect: &str,
        effect: Effect,
        what: &str,
    ) {
        let effect = if scope.negated {
            effect.negated()
        } else {
            effect
        };
        let mut severity = level(scope.stand, aspect, effect, self.sent(scope.stand));
        if scope.one_way {
            severity = Severity::Info;
        }
        let rule = format!("{}-{aspect}", scope.stand.prefix(scope.one_way));
        let message = format!("{} {what}", scope.shown());
        let place = |schema: &Schema<'a>| schema.get(keyword).unwrap_or_else(|| schema.node());
        let (old, new) = (place(&pair.old), place(&pair.new));
        self.tell(rule, severity, message, Some(old), Some(new));
    }
}
