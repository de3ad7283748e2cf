//! What is open to whom: addresses, TLS, origins.

use crate::lint::subject::{Entry, is_true, is_untold, text, texts};
use crate::lint::{Found, View};
use gate_model::document::Node;

/// Whether an address is on this machine only.
fn is_local(address: &str) -> bool {
    if address.starts_with("unix:") {
        return true;
    }
    let host = match address.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => address.rsplit_once(':').map_or(address, |(host, _)| host),
    };
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

pub(crate) fn admin(view: &View<'_>, found: &mut Found<'_>) {
    for gateway in view.gateway() {
        let Some((path, node)) = gateway.field(&["admin", "address"]) else {
            continue;
        };
        let is_open = text(node).is_some_and(|address| !is_local(address));
        let is_kept = gateway.field(&["admin", "keys"]).is_some()
            || gateway.field(&["admin", "oidc"]).is_some();
        if is_open && !is_kept {
            let message = "the admin address is open to other machines, without keys";
            found.at(&gateway, path, node, message.into());
        }
    }
}

fn open_listeners<'a>(view: &View<'a>) -> impl Iterator<Item = Entry<'a>> + use<'a> {
    view.each("listeners").filter(|listener| {
        listener
            .field(&["address"])
            .and_then(|(_, node)| text(node))
            .is_some_and(|address| !is_local(address))
    })
}

pub(crate) fn tls_off(view: &View<'_>, found: &mut Found<'_>) {
    for listener in open_listeners(view) {
        let tcp = listener.field(&["protocol"]);
        let is_tcp = tcp.is_some_and(|(_, node)| text(node) != Some("http"));
        if !is_tcp && listener.field(&["tls"]).is_none() {
            let message = format!("listener `{}` has no `tls`", listener.name);
            found.about(&listener, message);
        }
    }
}

pub(crate) fn tls_old(view: &View<'_>, found: &mut Found<'_>) {
    for listener in open_listeners(view) {
        let Some((path, node)) = listener.field(&["tls"]) else {
            continue;
        };
        let minimum = node.get("minimum");
        let is_new = minimum.is_some_and(|node| is_untold(node) || text(node) == Some("1.3"));
        if !is_untold(node) && !is_new {
            let message = format!("listener `{}` accepts TLS 1.2", listener.name);
            found.at(&listener, path, minimum.unwrap_or(node), message);
        }
    }
}

fn any_origin(settings: &Node) -> bool {
    let origins = settings.get("origins").map(texts).unwrap_or_default();
    origins.iter().any(|(_, _, origin)| *origin == "*")
}

pub(crate) fn cors_any(view: &View<'_>, found: &mut Found<'_>) {
    cors(view, found, false, "pages of any origin may call");
}

pub(crate) fn cors_credentials(view: &View<'_>, found: &mut Found<'_>) {
    cors(
        view,
        found,
        true,
        "pages of any origin may call with credentials",
    );
}

fn cors(view: &View<'_>, found: &mut Found<'_>, credentials: bool, message: &str) {
    for route in view.each("routes") {
        for step in route.policies() {
            if step.kind == "cors"
                && any_origin(step.settings)
                && is_true(step.settings, "credentials") == credentials
            {
                found.at(&route, step.path, step.settings, message.into());
            }
        }
    }
}

/// Blocks that hold every address.
fn everyone(block: &str) -> bool {
    matches!(block.split_once('/'), Some((_, "0")))
}

pub(crate) fn ip_everyone(view: &View<'_>, found: &mut Found<'_>) {
    for route in view.each("routes") {
        for step in route.policies() {
            let Some(allow) = step.settings.get("allow").filter(|_| step.kind == "access") else {
                continue;
            };
            for (index, node, block) in texts(allow) {
                if everyone(block) {
                    let path = step.path.key("allow").index(index);
                    found.at(&route, path, node, format!("`{block}` is every address"));
                }
            }
        }
    }
}

pub(crate) fn proxies_everyone(view: &View<'_>, found: &mut Found<'_>) {
    for gateway in view.gateway() {
        let Some((path, list)) = gateway.field(&["trusted_proxies"]) else {
            continue;
        };
        for (index, node, block) in texts(list) {
            if everyone(block) {
                let message = format!("`{block}` is every address");
                found.at(&gateway, path.index(index), node, message);
            }
        }
    }
}

pub(crate) fn plain_provider(view: &View<'_>, found: &mut Found<'_>) {
    for provider in view.each("providers") {
        for (kind, settings) in provider.node.entries() {
            let Some(node) = settings.get("base_url") else {
                continue;
            };
            let url = text(node).and_then(|url| url.strip_prefix("http://"));
            let Some(rest) = url else { continue };
            let authority = rest.split('/').next().unwrap_or(rest);
            let local = match authority.contains(':') {
                true => is_local(authority),
                false => is_local(&format!("{authority}:80")),
            };
            if !local {
                let path = provider.path.key(kind.text.as_str()).key("base_url");
                let message = format!("provider `{}` is reached in plain text", provider.name);
                found.at(&provider, path, node, message);
            }
        }
    }
}
