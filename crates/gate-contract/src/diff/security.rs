//! What a caller has to present.
//!
//! An operation lists alternatives, each of which is a set of schemes with scopes. Who held what one
//! alternative asked must still get in: some alternative of the newer document may ask no more than
//! that. oasdiff calls every such change harmless; ours is breaking where somebody is shut out.

use super::bodies::field;
use super::spec::{items, texts};
use super::{Compare, Severity};
use gate_kit::order::Gather;
use gate_model::document::Node;
use std::collections::{BTreeMap, BTreeSet};

/// One alternative: schemes and the scopes of each.
type Alternative<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Fields of a security scheme whose change shuts out who does as before.
const BINDING: [&str; 4] = ["type", "in", "name", "scheme"];

fn alternatives(list: Option<&Node>) -> Vec<Alternative<'_>> {
    let list = list.map_or(&[][..], items);
    list.iter().map(alternative).collect()
}

fn alternative(node: &Node) -> Alternative<'_> {
    let scopes = |list| texts(Some(list)).into_iter().into_set();
    node.entries()
        .iter()
        .map(|(key, list)| (&*key.text, scopes(list)))
        .into_map()
}

/// Whether who has what `held` asks has what `asked` asks.
fn admits(asked: &Alternative<'_>, held: &Alternative<'_>) -> bool {
    asked.iter().all(|(scheme, scopes)| {
        held.get(scheme)
            .is_some_and(|known| scopes.is_subset(known))
    })
}

/// Whether everybody who got in still does.
fn still_open(old: &[Alternative<'_>], new: &[Alternative<'_>]) -> bool {
    let nobody = [Alternative::new()];
    let old = if old.is_empty() { &nobody[..] } else { old };
    let new = if new.is_empty() { &nobody[..] } else { new };
    old.iter()
        .all(|held| new.iter().any(|asked| admits(asked, held)))
}

fn shown(alternative: &Alternative<'_>) -> String {
    let names: Vec<&str> = alternative.keys().copied().collect();
    match names.is_empty() {
        true => "nothing".to_owned(),
        false => format!("`{}`", names.join("` with `")),
    }
}

impl<'a> Compare<'a> {
    /// What one operation asks for; what it does not say is said by the document.
    pub(super) fn security(&mut self, old: &'a Node, new: &'a Node) {
        let (own_old, own_new) = (old.get("security"), new.get("security"));
        if own_old.is_none() && own_new.is_none() {
            return;
        }
        let was = own_old.or_else(|| self.old.root.get("security"));
        let is = own_new.or_else(|| self.new.root.get("security"));
        self.requirements("api-security", (old, was), (new, is));
    }

    /// What all operations ask for that say nothing themselves.
    pub(super) fn global_security(&mut self, old: &'a Node, new: &'a Node) {
        let (was, is) = (old.get("security"), new.get("security"));
        self.requirements("api-global-security", (old, was), (new, is));
    }

    fn requirements(
        &mut self,
        prefix: &str,
        (old, was): (&'a Node, Option<&'a Node>),
        (new, is): (&'a Node, Option<&'a Node>),
    ) {
        let (before, after) = (alternatives(was), alternatives(is));
        let worst = match still_open(&before, &after) {
            true => Severity::Info,
            false => Severity::Breaking,
        };
        let places = (was.unwrap_or(old), is.unwrap_or(new));
        let mut tell = |rule: &str, severity, message: String| {
            let rule = format!("{prefix}-{rule}");
            self.tell(rule, severity, message, Some(places.0), Some(places.1));
        };
        let names = |one: &Alternative<'_>| -> Vec<String> {
            one.keys().map(|name| (*name).to_owned()).collect()
        };
        for alternative in &after {
            let same = before
                .iter()
                .find(|other| names(other) == names(alternative));
            match same {
                None => {
                    let message = format!("callers may present {} now", shown(alternative));
                    tell("added", worst, message);
                }
                Some(known) => {
                    for (scheme, scopes) in alternative {
                        let held = known.get(scheme).cloned().unwrap_or_default();
                        for scope in scopes.difference(&held) {
                            let message = format!("`{scheme}` needs the scope `{scope}` now");
                            tell("scope-added", worst, message);
                        }
                        for scope in held.difference(scopes) {
                            let message = format!("`{scheme}` no longer needs the scope `{scope}`");
                            tell("scope-removed", Severity::Info, message);
                        }
                    }
                }
            }
        }
        for alternative in &before {
            if !after.iter().any(|other| names(other) == names(alternative)) {
                let message = format!("callers may no longer present {}", shown(alternative));
                tell("removed", worst, message);
            }
        }
    }

    /// The schemes that requirements name.
    pub(super) fn security_schemes(&mut self, old: &'a Node, new: &'a Node) {
        let schemes = |node: &'a Node| {
            node.get("components")
                .and_then(|all| all.get("securitySchemes"))
        };
        let entries = |node: Option<&'a Node>| node.map_or(&[][..], Node::entries);
        let (was, is) = (schemes(old), schemes(new));
        for (key, scheme) in entries(was) {
            match is.and_then(|is| is.get(&key.text)) {
                Some(now) => {
                    let (scheme, now) = (self.old.follow(scheme), self.new.follow(now));
                    self.security_scheme(&key.text, scheme, now);
                }
                None => {
                    let message = format!("the security scheme `{}` was removed", key.text);
                    let rule = "api-security-component-removed";
                    self.tell(
                        rule,
                        Severity::Info,
                        message,
                        Some(scheme),
                        is.or(Some(new)),
                    );
                }
            }
        }
        for (key, scheme) in entries(is) {
            if was.and_then(|was| was.get(&key.text)).is_none() {
                let message = format!("the security scheme `{}` is new", key.text);
                let rule = "api-security-component-added";
                self.tell(
                    rule,
                    Severity::Info,
                    message,
                    was.or(Some(old)),
                    Some(scheme),
                );
            }
        }
    }

    fn security_scheme(&mut self, name: &str, old: &'a Node, new: &'a Node) {
        for keyword in BINDING {
            let (was, is) = (field(old, keyword), field(new, keyword));
            // Header names and authentication schemes come in any case.
            if was.map(str::to_ascii_lowercase) != is.map(str::to_ascii_lowercase) {
                let shown = |value: Option<&str>| value.unwrap_or("nothing").to_owned();
                let message = format!(
                    "the security scheme `{name}` has {keyword} {}, formerly {}",
                    shown(is),
                    shown(was)
                );
                let rule = match keyword {
                    "type" => "api-security-component-type-changed".to_owned(),
                    other => format!("api-security-component-{other}-changed"),
                };
                self.tell(rule, Severity::Breaking, message, Some(old), Some(new));
            }
        }
        let flows = |node: &'a Node| node.get("flows").map_or(&[][..], Node::entries);
        for (key, flow) in flows(old) {
            let Some(now) = new.get("flows").and_then(|flows| flows.get(&key.text)) else {
                let message = format!("`{name}` no longer has the flow `{}`", key.text);
                let rule = "api-security-component-oauth-flow-removed";
                self.tell(rule, Severity::Warning, message, Some(flow), Some(new));
                continue;
            };
            self.flow(name, flow, now);
        }
    }

    fn flow(&mut self, name: &str, old: &'a Node, new: &'a Node) {
        for (keyword, rule) in [
            (
                "authorizationUrl",
                "api-security-component-oauth-url-changed",
            ),
            ("tokenUrl", "api-security-component-oauth-token-url-changed"),
        ] {
            if field(old, keyword) != field(new, keyword) {
                let message = format!("the {keyword} of `{name}` changed");
                self.tell(rule, Severity::Warning, message, Some(old), Some(new));
            }
        }
        let scopes = |node: &'a Node| node.get("scopes").map_or(&[][..], Node::entries);
        let find = |node: &'a Node, scope: &str| node.get("scopes").and_then(|all| all.get(scope));
        for (key, words) in scopes(old) {
            let (suffix, message) = match find(new, &key.text) {
                None => (
                    "removed",
                    format!("the scope `{}` of `{name}` was removed", key.text),
                ),
                Some(now) if now != words => (
                    "changed",
                    format!("the scope `{}` of `{name}` means something else", key.text),
                ),
                Some(_) => continue,
            };
            let rule = format!("api-security-component-oauth-scope-{suffix}");
            self.tell(rule, Severity::Info, message, Some(old), Some(new));
        }
        for (key, _) in scopes(new) {
            if find(old, &key.text).is_none() {
                let message = format!("the scope `{}` of `{name}` is new", key.text);
                let rule = "api-security-component-oauth-scope-added";
                self.tell(rule, Severity::Info, message, Some(old), Some(new));
            }
        }
    }
}
