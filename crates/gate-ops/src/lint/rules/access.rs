//! Who gets in, and with what.

use crate::lint::subject::{Entry, Step, is_true, is_untold, text};
use crate::lint::{Found, View};
use gate_model::document::{Node, NodeKind, Path};
use gate_model::resources::AUTHENTICATING as AUTH;
use gate_model::units::Timestamp;

/// How long before its end a key is worth a warning.
const SOON_S: u64 = 14 * 24 * 60 * 60;

/// Whether a policy stands there for every request.
fn always(step: &Step<'_>) -> bool {
    step.when
        .is_none_or(|when| matches!(when.kind, NodeKind::Null))
}

/// Whether a route asks every caller who it is, or its file does not tell.
fn is_guarded(route: &Entry<'_>, more: &[&str]) -> bool {
    let guards = |step: &Step<'_>| AUTH.contains(&step.kind) || more.contains(&step.kind);
    route.hides_policies() || route.policies().iter().any(guards)
}

pub(crate) fn ai_without_auth(view: &View<'_>, found: &mut Found<'_>) {
    for route in view.each("routes") {
        let is_ai = route.field(&["target", "models"]).is_some();
        if is_ai && !is_guarded(&route, &[]) {
            let message = format!("route `{}` serves models to anybody", route.name);
            found.about(&route, message);
        }
    }
}

pub(crate) fn without_auth(view: &View<'_>, found: &mut Found<'_>) {
    for route in view.each("routes") {
        let upstream = route.field(&["target", "upstream"]).is_some()
            || route.field(&["target", "mcp"]).is_some()
            || route.field(&["target", "agent"]).is_some();
        if upstream && !is_guarded(&route, &["access"]) {
            let message = format!("route `{}` asks nobody who they are", route.name);
            found.about(&route, message);
        }
    }
}

pub(crate) fn ai_without_limit(view: &View<'_>, found: &mut Found<'_>) {
    let has_budget = view.each("budgets").next().is_some();
    let limits_keys = view.each("consumers").any(|consumer| {
        keys(&consumer).any(|(_, key)| {
            let limits = key.get("limits");
            limits.is_some_and(|limits| !limits.entries().is_empty())
        })
    });
    if has_budget || limits_keys {
        return;
    }
    for route in view.each("routes") {
        let is_ai = route.field(&["target", "models"]).is_some();
        let limited = route.policies().iter().any(|step| step.kind == "limit");
        if is_ai && !limited && !route.hides_policies() {
            let message = format!(
                "route `{}` has no limit, and there is no budget",
                route.name
            );
            found.about(&route, message);
        }
    }
}

/// Complains about every policy of these kinds whose settings say so.
fn each_auth(
    view: &View<'_>,
    found: &mut Found<'_>,
    kinds: &[&str],
    is_wrong: impl Fn(&Node) -> bool,
    message: &str,
) {
    for route in view.each("routes") {
        for step in route.policies() {
            if kinds.contains(&step.kind) && is_wrong(step.settings) {
                found.at(&route, step.path, step.settings, message.into());
            }
        }
    }
}

pub(crate) fn optional(view: &View<'_>, found: &mut Found<'_>) {
    let message = "callers without a credential pass";
    each_auth(
        view,
        found,
        &AUTH,
        |settings| is_true(settings, "optional"),
        message,
    );
}

pub(crate) fn key_forwarded(view: &View<'_>, found: &mut Found<'_>) {
    let message = "callers' keys are sent on";
    each_auth(
        view,
        found,
        &["auth_key"],
        |settings| is_true(settings, "forward"),
        message,
    );
}

pub(crate) fn key_in_query(view: &View<'_>, found: &mut Found<'_>) {
    let is_wrong = |settings: &Node| {
        let query = settings.get("query");
        query.is_some_and(|node| !matches!(node.kind, NodeKind::Null))
    };
    each_auth(
        view,
        found,
        &["auth_key"],
        is_wrong,
        "keys are accepted in the query",
    );
}

pub(crate) fn jwt_unbound(view: &View<'_>, found: &mut Found<'_>) {
    let is_there = |settings: &Node, field: &str| {
        settings.get(field).is_some_and(|node| match &node.kind {
            NodeKind::Null => false,
            NodeKind::Sequence(items) => !items.is_empty(),
            _ => true,
        })
    };
    let is_wrong =
        |settings: &Node| !(is_there(settings, "issuer") && is_there(settings, "audiences"));
    let message = "tokens are not bound to an issuer and an audience";
    each_auth(view, found, &["auth_jwt"], is_wrong, message);
}

pub(crate) fn jwt_expiry(view: &View<'_>, found: &mut Found<'_>) {
    let is_wrong = |settings: &Node| {
        let node = settings.get("require_expiry");
        node.is_some_and(|node| matches!(node.kind, NodeKind::Bool(false)))
    };
    each_auth(
        view,
        found,
        &["auth_jwt"],
        is_wrong,
        "tokens need not expire",
    );
}

pub(crate) fn cache_before_auth(view: &View<'_>, found: &mut Found<'_>) {
    for route in view.each("routes") {
        let steps = route.policies();
        let auth = steps.iter().position(|step| AUTH.contains(&step.kind));
        let Some(auth) = auth else { continue };
        let gives = |kind: &str| matches!(kind, "cache" | "model_cache");
        for step in steps.iter().take(auth).filter(|step| gives(step.kind)) {
            let message = format!("`{}` answers before the caller is known", step.kind);
            found.at(&route, step.path.clone(), step.settings, message);
        }
    }
}

pub(crate) fn limit_before_auth(view: &View<'_>, found: &mut Found<'_>) {
    for route in view.each("routes") {
        let steps = route.policies();
        let auth = steps
            .iter()
            .position(|step| AUTH.contains(&step.kind) && always(step));
        for (index, step) in steps.iter().enumerate() {
            let by = step.settings.get("by");
            // By consumer unless it says otherwise.
            let by_consumer = by.is_none_or(|by| text(by) == Some("consumer"));
            if step.kind == "limit" && by_consumer && auth.is_some_and(|auth| index < auth) {
                let message = "`limit` by consumer stands before the caller is known";
                found.at(&route, step.path.clone(), step.settings, message.into());
            }
        }
    }
}

/// A consumer's keys with their paths.
fn keys<'a>(consumer: &Entry<'a>) -> impl Iterator<Item = (Path, &'a Node)> + use<'a> {
    let list = consumer.field(&["keys"]);
    let items = list.and_then(|(path, node)| match &node.kind {
        NodeKind::Sequence(items) => Some((path, items)),
        _ => None,
    });
    items.into_iter().flat_map(|(path, items)| {
        let keys = items.iter().enumerate();
        keys.map(move |(index, key)| (path.index(index), key))
    })
}

fn each_expiry(
    view: &View<'_>,
    found: &mut Found<'_>,
    message: impl Fn(u64, &str) -> Option<String>,
) {
    for consumer in view.each("consumers") {
        for (path, key) in keys(&consumer) {
            let expires = key.get("expires");
            let written = expires.and_then(|node| Some((node, text(node)?)));
            let Some((node, written)) = written else {
                continue;
            };
            let at = written.parse::<Timestamp>();
            if let Ok(at) = at
                && let Some(message) = message(at.unix_s(), written)
            {
                found.at(&consumer, path.key("expires"), node, message);
            }
        }
    }
}

pub(crate) fn key_expired(view: &View<'_>, found: &mut Found<'_>) {
    let now = view.now;
    each_expiry(view, found, |at, written| {
        (at <= now).then(|| format!("the key expired at {written}"))
    });
}

pub(crate) fn key_expires(view: &View<'_>, found: &mut Found<'_>) {
    let now = view.now;
    each_expiry(view, found, |at, written| {
        (at > now && at - now < SOON_S).then(|| format!("the key expires at {written}"))
    });
}

pub(crate) fn key_for_ever(view: &View<'_>, found: &mut Found<'_>) {
    for consumer in view.each("consumers") {
        for (path, key) in keys(&consumer) {
            let expires = key.get("expires");
            let is_bound = expires.is_some_and(|node| !matches!(node.kind, NodeKind::Null));
            if !is_bound && !is_untold(key) {
                let message = format!("a key of `{}` never expires", consumer.name);
                found.at(&consumer, path, key, message);
            }
        }
    }
}
