//! Routes: their conditions, their steps, and where they lead.

use super::Work;
use super::target::Called;
use crate::route::Routes;
use gate_flow::{CompileContext, Condition, Route, Step};
use gate_model::document::{Node, NodeKind, Path};
use gate_model::finding::Finding;
use gate_model::resources::{self, ListenerProtocol, Match};
use std::collections::BTreeMap;

/// Most policies of one route.
const STEPS_MAX: usize = 64;

impl Work<'_> {
    pub(super) fn routes(&mut self, called: &Called<'_>) -> (Vec<Route>, Routes) {
        let mut routes = Vec::new();
        let mut conditions: BTreeMap<String, Match> = BTreeMap::new();
        for (name, route) in &self.resources.routes {
            let path = match self.generated.get(name) {
                Some(api) => Path::root().key("apis").key(api),
                None => Path::root().key("routes").key(name),
            };
            let tcp = self.is_tcp(route, &path);
            let target = self.target(name, route, &path.key("target"), called);
            let steps = self.steps(name, route, &path.key("policies"));
            if tcp {
                if !steps.is_empty() {
                    let message = "policies act on HTTP; this route's listener forwards bytes";
                    self.report(Finding::error(
                        "inert_policy",
                        path.key("policies"),
                        message,
                    ));
                }
                continue;
            }
            if route.matches.server_name.is_some() {
                let message = "`server_name` is for listeners of protocol `tcp`; use `host`";
                self.report(Finding::error(
                    "wrong_protocol",
                    path.key("match").key("server_name"),
                    message,
                ));
            }
            if let Some(target) = target {
                routes.push(Route {
                    name: name.as_str().into(),
                    steps,
                    target,
                    objectives: None,
                });
                conditions.insert(name.clone(), route.matches.clone());
            }
        }
        let router = Routes::compile(&conditions).unwrap_or_else(|findings| {
            findings
                .into_iter()
                .for_each(|finding| self.report(finding));
            Routes::default()
        });
        (routes, router)
    }

    /// Whether a route is for listeners that forward bytes; checks that its listeners exist.
    fn is_tcp(&mut self, route: &resources::Route, path: &Path) -> bool {
        let (mut tcp, mut http) = (false, false);
        for (index, name) in route.matches.listeners.iter().enumerate() {
            match self
                .resources
                .listeners
                .get(name)
                .map(|listener| listener.protocol)
            {
                Some(ListenerProtocol::Tcp) => tcp = true,
                Some(ListenerProtocol::Http) => http = true,
                None => {
                    let path = path.key("match").key("listeners").index(index);
                    self.unknown(path, "listener", name, self.resources.listeners.keys());
                }
            }
        }
        if tcp && http {
            let message = "a route serves either HTTP listeners or TCP listeners, not both";
            self.report(Finding::error(
                "wrong_protocol",
                path.key("match").key("listeners"),
                message,
            ));
        }
        tcp
    }

    fn steps(&mut self, name: &str, route: &resources::Route, path: &Path) -> Vec<Step> {
        if route.policies.len() > STEPS_MAX {
            let message = format!("a route has at most {STEPS_MAX} policies");
            self.report(Finding::error("too_many", path.clone(), message));
            return Vec::new();
        }
        let mut steps = Vec::new();
        for (position, component) in route.policies.iter().enumerate() {
            if let Some(step) = self.step(name, position, &component.0, &path.index(position)) {
                steps.push(step);
            }
        }
        steps
    }

    fn step(&mut self, route: &str, position: usize, node: &Node, path: &Path) -> Option<Step> {
        let mut kinds = node
            .entries()
            .iter()
            .filter(|(key, _)| &*key.text != "when");
        let (kind, settings) = match (kinds.next(), kinds.next()) {
            (Some((key, settings)), None) => (&*key.text, settings),
            _ => {
                let message =
                    "a policy is a mapping from its kind to its settings, with an optional `when`";
                let finding = Finding::error("wrong_type", path.clone(), message);
                self.report(finding.expected("such as `{ limit: { rate: 10/s } }`"));
                return None;
            }
        };
        let registry = self.compiler.registry;
        let Some(descriptor) = registry.policies.iter().find(|policy| policy.name == kind) else {
            let known: Vec<&str> = registry.policies.iter().map(|policy| policy.name).collect();
            let finding = Finding::error(
                "unknown_policy",
                path.key(kind),
                format!("there is no policy `{kind}`"),
            )
            .expected(format!("one of {}", known.join(", ")))
            .locate_key(self.document);
            let finding = finding.with_nearest(kind, known);
            if !self.findings.contains(&finding) {
                self.findings.push(finding);
            }
            return None;
        };
        let when = self.condition(node.get("when"), &path.key("when"));
        let context = CompileContext {
            resources: self.resources,
            // An API's own policies count for the API, not for each of its operations.
            route: self.generated.get(route).map_or(route, String::as_str),
            position,
            state: self.compiler.state,
            shared: &self.shared,
            secrets: self.compiler.secrets,
            clock: self.compiler.clock,
            quotas: self.quotas(),
            folder: self.compiler.folder,
        };
        match descriptor.compile(settings, &path.key(kind), &context) {
            Ok(policy) => Some(Step {
                name: descriptor.name,
                when: when?,
                policy,
            }),
            Err(finding) => {
                let placed = finding.line > 0;
                let finding = finding.in_file(&self.document.file);
                match placed {
                    true if self.findings.contains(&finding) => {}
                    true => self.findings.push(finding),
                    false => self.report(finding),
                }
                None
            }
        }
    }

    /// The compiled `when`; the outer `None` means that it was wrong.
    #[allow(
        clippy::option_option,
        reason = "no condition and a wrong one are different"
    )]
    fn condition(
        &mut self,
        node: Option<&Node>,
        path: &Path,
    ) -> Option<Option<Box<dyn Condition>>> {
        let Some(node) = node else { return Some(None) };
        let NodeKind::String(text) = &node.kind else {
            self.report(Finding::error(
                "wrong_type",
                path.clone(),
                "a condition is a CEL expression",
            ));
            return None;
        };
        match (self.compiler.registry.condition)(text) {
            Ok(condition) => Some(Some(condition)),
            Err(message) => {
                self.report(Finding::error("invalid_condition", path.clone(), message));
                None
            }
        }
    }
}
