//! A route's servers, from configuration.

use super::server::Servers;
use super::session::Sessions;
use super::{Origins, ToMcp, Use};
use crate::compile::Work;
use gate_ai::rpc::names;
use gate_kit::order::Order;
use gate_model::document::{NodeKind, Path};
use gate_model::finding::Finding;
use gate_model::resources::{McpUse, Route};
use std::collections::HashSet;

/// Most servers of a route.
const SERVERS_MAX: usize = 64;

/// Compiles a route to servers of tools; what is wrong goes into the findings.
pub(crate) fn to_mcp(
    work: &mut Work<'_>,
    servers: &Servers,
    name: &str,
    route: &Route,
    written: &[McpUse],
    path: &Path,
) -> Option<ToMcp> {
    if written.is_empty() || written.len() > SERVERS_MAX {
        let message = format!("a route has one to {SERVERS_MAX} servers of tools");
        work.report(Finding::error("empty_list", path.clone(), message));
        return None;
    }
    let mut prefixes = HashSet::new();
    let mut uses = Vec::new();
    for (index, used) in written.iter().enumerate() {
        let path = path.index(index);
        let prefix = used.prefix.as_ref().unwrap_or(&used.server);
        if !names::is_prefix(prefix) {
            let message = format!(
                "`{prefix}` cannot stand in front of names: at most {} letters, digits, `-` and `_`, no two `_` together, none at the end",
                names::PREFIX_MAX
            );
            work.report(Finding::error("invalid_name", path.key("prefix"), message));
        }
        if !prefixes.insert(prefix.as_str()) {
            let message = format!("another server of this route has the prefix `{prefix}`");
            work.report(Finding::error("repeated_name", path.key("prefix"), message));
        }
        match servers.get(&used.server) {
            Some(server) => uses.push(Use {
                server: server.clone(),
                prefix: prefix.as_str().into(),
                tools: used.tools.clone(),
            }),
            None if work.resources.mcp_servers.contains_key(&used.server) => {}
            None => {
                let known = work.resources.mcp_servers.keys();
                work.unknown(path.key("server"), "server of tools", &used.server, known);
            }
        }
    }
    // A name without a prefix could be any; those with one are looked for first, the longer first.
    uses.order_by_key(|used| std::cmp::Reverse(used.prefix.len()));
    let state = work.compiler.state;
    Some(ToMcp {
        uses,
        sessions: state.get_or_insert(&format!("mcp/{name}"), Sessions::default),
        origins: origins(route),
    })
}

fn origins(route: &Route) -> Origins {
    let mut listed = Vec::new();
    for policy in &route.policies {
        let origins = policy.0.get("cors").and_then(|cors| cors.get("origins"));
        if let Some(NodeKind::Sequence(items)) = origins.map(|node| &node.kind) {
            listed.extend(items.iter().filter_map(|item| match &item.kind {
                NodeKind::String(text) => Some(text.to_string()),
                _ => None,
            }));
        }
    }
    Origins {
        own: route.matches.host.is_some(),
        listed,
    }
}
