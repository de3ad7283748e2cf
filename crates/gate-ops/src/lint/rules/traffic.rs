//! What keeps serving, and what only looks as if it protected.

use crate::lint::subject::{is_true, is_untold, text, texts};
use crate::lint::{Found, View};
use gate_model::document::{Node, NodeKind};
use gate_model::units::{ByteSize, Period};

/// Bytes of a body beyond which a listener is complained about.
const BODY_MAX: u64 = 1 << 30;

pub(crate) fn guard_observes(view: &View<'_>, found: &mut Found<'_>) {
    for route in view.each("routes") {
        for step in route.policies() {
            let mode = step.settings.get("mode").and_then(text);
            if step.kind == "guard" && mode == Some("observe") {
                let message = "the guard finds and lets pass";
                found.at(&route, step.path, step.settings, message.into());
            }
        }
    }
}

pub(crate) fn inert_condition(view: &View<'_>, found: &mut Found<'_>) {
    for route in view.each("routes") {
        for step in route.policies() {
            let Some(when) = step.when else { continue };
            let never = match &when.kind {
                NodeKind::Bool(false) => true,
                NodeKind::String(text) => matches!(text.trim(), "false" | "!true"),
                _ => false,
            };
            if never {
                let message = format!("`{}` never applies", step.kind);
                found.at(&route, step.path.clone(), when, message);
            }
        }
    }
}

pub(crate) fn large_bodies(view: &View<'_>, found: &mut Found<'_>) {
    for listener in view.each("listeners") {
        let Some((path, node)) = listener.field(&["limits", "body"]) else {
            continue;
        };
        let bytes = match &node.kind {
            NodeKind::Integer(bytes) => u64::try_from(*bytes).ok(),
            _ => text(node)
                .and_then(|text| text.parse::<ByteSize>().ok())
                .map(ByteSize::bytes),
        };
        if bytes.is_some_and(|bytes| bytes > BODY_MAX) {
            let message = format!("listener `{}` accepts very large bodies", listener.name);
            found.at(&listener, path, node, message);
        }
    }
}

pub(crate) fn mirror_credentials(view: &View<'_>, found: &mut Found<'_>) {
    for route in view.each("routes") {
        for step in route.policies() {
            if step.kind == "mirror" && is_true(step.settings, "credentials") {
                let message = "copies carry callers' credentials";
                found.at(&route, step.path, step.settings, message.into());
            }
        }
    }
}

fn count(node: Option<&Node>) -> Option<usize> {
    match node.map(|node| &node.kind) {
        Some(NodeKind::Sequence(items)) => Some(items.len()),
        Some(NodeKind::Null) | None => Some(0),
        _ => None,
    }
}

pub(crate) fn no_fallback(view: &View<'_>, found: &mut Found<'_>) {
    for model in view.each("models") {
        let targets = count(model.node.get("targets"));
        if targets == Some(1) && count(model.node.get("fallback")) == Some(0) {
            let message = format!("model `{}` depends on one provider", model.name);
            found.about(&model, message);
        }
    }
}

pub(crate) fn no_access_log(view: &View<'_>, found: &mut Found<'_>) {
    for gateway in view.gateway() {
        let logs = [&["access_log"][..], &["tracing"], &["records"]];
        if !is_untold(gateway.node) && !logs.iter().any(|names| gateway.field(names).is_some()) {
            found.about(&gateway, "nothing is written about requests".into());
        }
    }
}

pub(crate) fn no_health(view: &View<'_>, found: &mut Found<'_>) {
    for upstream in view.each("upstreams") {
        let endpoints = upstream.field(&["endpoints"]);
        let several = endpoints.is_some_and(|(_, node)| texts(node).len() > 1);
        if several && upstream.field(&["health"]).is_none() {
            let message = format!("upstream `{}` has no health check", upstream.name);
            found.about(&upstream, message);
        }
    }
}

pub(crate) fn no_timeout(view: &View<'_>, found: &mut Found<'_>) {
    for upstream in view.each("upstreams") {
        for name in ["connect", "first_byte", "idle"] {
            let Some((path, node)) = upstream.field(&["timeouts", name]) else {
                continue;
            };
            let zero = match &node.kind {
                NodeKind::Integer(0) => true,
                _ => text(node)
                    .and_then(|text| text.parse::<Period>().ok())
                    .is_some_and(Period::is_zero),
            };
            if zero {
                found.at(&upstream, path, node, format!("`{name}` has no end"));
            }
        }
    }
}
