//! Listeners, and the routes of those that forward bytes.

use super::{Work, managed};
use crate::listener::{ListenerOptions, parse_address};
use crate::process::Upstreams;
use crate::tcp::TcpRoute;
use gate_kit::order::Order;
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::{self, ListenerProtocol};
use gate_net::listen::ListenAddress;

impl Work<'_> {
    pub(super) fn listeners(
        &mut self,
        upstreams: &Upstreams,
    ) -> Vec<(String, ListenAddress, ListenerOptions)> {
        let mut compiled = Vec::new();
        let judged = self.judges_connections();
        for (name, listener) in &self.resources.listeners {
            let path = Path::root().key("listeners").key(name);
            let address = match parse_address(&listener.address) {
                Ok(address) => address,
                Err(message) => {
                    self.report(Finding::error(
                        "invalid_address",
                        path.key("address"),
                        message,
                    ));
                    continue;
                }
            };
            let tcp_routes = self.tcp_routes(name, listener, &path, upstreams);
            let acme = self.resources.gateway.acme.as_ref();
            let managed = acme.map(|_| managed(self.compiler.state));
            let folder = self.compiler.folder;
            match ListenerOptions::compile(listener, folder, tcp_routes, managed, judged) {
                Ok(options) => compiled.push((name.clone(), address, options)),
                Err((field, message)) => {
                    self.report(Finding::error("invalid_listener", path.key(field), message));
                }
            }
        }
        compiled
    }

    /// Whether a route has a policy that looks at what requests say about their connection.
    fn judges_connections(&self) -> bool {
        let kinds = self.compiler.registry.policies.iter();
        let judges: Vec<&str> = kinds
            .filter(|kind| kind.sees_connection)
            .map(|kind| kind.name)
            .collect();
        let routes = self.resources.routes.values();
        let mut policies = routes.flat_map(|route| &route.policies);
        policies.any(|policy| {
            let mut keys = policy.0.entries().iter().map(|(key, _)| &*key.text);
            keys.any(|key| judges.contains(&key))
        })
    }

    fn tcp_routes(
        &mut self,
        name: &str,
        listener: &resources::Listener,
        path: &Path,
        upstreams: &Upstreams,
    ) -> Vec<TcpRoute> {
        if listener.protocol != ListenerProtocol::Tcp {
            return Vec::new();
        }
        let mut found: Vec<TcpRoute> = Vec::new();
        for (route_name, route) in &self.resources.routes {
            if !route
                .matches
                .listeners
                .iter()
                .any(|listener| listener == name)
            {
                continue;
            }
            let at = Path::root().key("routes").key(route_name);
            let resources::Target::Upstream(upstream) = &route.target else {
                let message = "a TCP listener can only forward to an upstream";
                self.report(Finding::error("wrong_protocol", at.key("target"), message));
                continue;
            };
            let Some(upstream) = upstreams.get(upstream.as_str()) else {
                continue;
            };
            let server_name: Option<Box<str>> =
                route.matches.server_name.as_deref().map(Into::into);
            if found.iter().any(|other| other.server_name == server_name) {
                let message = "another route serves this listener for the same server name";
                self.report(Finding::error(
                    "conflicting_routes",
                    at.key("match"),
                    message,
                ));
            }
            let upstream = upstream.clone();
            found.push(TcpRoute {
                name: route_name.as_str().into(),
                server_name,
                upstream,
            });
        }
        if found.is_empty() {
            let message = "no route forwards what this TCP listener accepts";
            self.report(Finding::error("inert_listener", path.clone(), message));
        }
        found.order_by_key(TcpRoute::precedence);
        found
    }
}
