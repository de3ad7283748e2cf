//! From a document to a snapshot: parse every resource, check references, compile.
//!
//! Everything that can be wrong is collected, so that one run of `check` shows all of it, each at
//! its place. Nothing that runs is touched here.

mod acme;
mod plans;
mod policy_sets;
mod secrets;
mod target;

use crate::apis;
use crate::listener::{ListenerOptions, parse_address};
use crate::money::Treasury;
use crate::money::compile::{allowed, check_keys};
use crate::process::Upstreams;
use crate::record::recent;
use crate::route::Routes;
use crate::target::mcp;
use crate::target::model::{Models, ToModels};
use crate::tcp::TcpRoute;
use crate::upstream::connector::{Connector, parse_endpoint};
use crate::upstream::credential::Credential;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::pick::Picker;
use crate::upstream::{State, Upstream};
use gate_flow::{
    Caller, Callers, CompileContext, Condition, PolicyDescriptor, Route, SecretSource, SharedState,
    Snapshot, Step,
};
use gate_kit::clock::Clock;
use gate_model::document::{Document, Node, NodeKind, Path, canonical_json, from_node};
use gate_model::finding::Finding;
use gate_model::resources::{self, HostHeader, ListenerProtocol, Match, Resources};
use gate_model::suggest::nearest;
use gate_model::units::Timestamp;
use gate_net::dns::Dns;
use gate_net::listen::ListenAddress;
use gate_net::tls::Managed;
use gate_store::Books;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use target::Called;

/// Most policies of one route.
const STEPS_MAX: usize = 64;

/// Kinds of resources, in the order of the reference.
const KINDS: &[&str] = &[
    "gateway",
    "listeners",
    "teams",
    "secret_stores",
    "consumers",
    "plans",
    "policy_sets",
    "budgets",
    "prices",
    "upstreams",
    "providers",
    "models",
    "mcp_servers",
    "agents",
    "prompts",
    "apis",
    "rollouts",
    "rules",
    "routes",
];

/// Compiles a condition; the error is one sentence for the operator.
pub type ConditionCompiler = fn(&str) -> Result<Box<dyn Condition>, String>;

/// The components that the binary was built with.
#[derive(Clone, Copy)]
pub struct Registry {
    /// Kinds of policies.
    pub policies: &'static [PolicyDescriptor],
    /// Compiles `when`.
    pub condition: ConditionCompiler,
    /// Compiles the conditions of models, which also see what a call asks for.
    pub model_condition: ConditionCompiler,
    /// Checks the operator's own rules, which are evaluated by whoever plans and applies.
    pub rule: RuleChecker,
    /// Compiles the expressions of rollouts, which see a finished exchange's record.
    pub record_condition: ConditionCompiler,
}

/// Checks a rule; the error is the field at fault and a sentence.
pub type RuleChecker = fn(&resources::Rule) -> Result<(), (&'static str, String)>;

/// What compiling needs besides the document.
pub struct Compiler<'a> {
    /// Kinds of components.
    pub registry: &'a Registry,
    /// State that outlives revisions.
    pub state: &'a SharedState,
    /// Where secrets come from.
    pub secrets: &'a dyn SecretSource,
    /// The clock of the process.
    pub clock: &'a Clock,
    /// Name resolution.
    pub dns: &'a Dns,
    /// Folder that relative paths start from.
    pub folder: &'a std::path::Path,
    /// The books over the store; none where there is no store, and where a document is only
    /// checked.
    pub books: Option<&'a Arc<Books>>,
}

/// A compiled document.
pub struct Compiled {
    /// For the data plane.
    pub snapshot: Arc<Snapshot>,
    /// Every upstream by name.
    pub upstreams: Upstreams,
    /// Every provider and model by name.
    pub models: Models,
    /// Every listener: name, address, options.
    pub listeners: Vec<(String, ListenAddress, ListenerOptions)>,
    /// What a person should look at, located; none of it keeps the document from being applied.
    pub warnings: Vec<Finding>,
}

impl Compiler<'_> {
    /// Compiles a document as revision `revision`.
    ///
    /// # Errors
    /// Everything that is wrong with it, located.
    pub fn compile(&self, document: &Document, revision: u64) -> Result<Compiled, Vec<Finding>> {
        let mut resources = read(document)?;
        let expanded = apis::expand(self, document, &mut resources);
        let mut work = Work {
            compiler: self,
            document,
            resources: &resources,
            findings: expanded.findings,
            generated: expanded.routes,
            shared: SharedState::default(),
        };
        work.secret_stores();
        let upstreams = work.upstreams();
        let treasury = Arc::new(Treasury::compile(&mut work));
        let models = Models::compile(&mut work, &treasury);
        let servers = mcp::compile_servers(&mut work);
        crate::prompts::check(&mut work);
        work.rules();
        crate::versions::check(&mut work);
        crate::trials::check(&mut work);
        work.plans();
        work.policy_sets();
        let callers = work.callers();
        let called = Called {
            upstreams: &upstreams,
            models: &models,
            servers: &servers,
        };
        let (routes, router) = work.routes(&called);
        acme::check(&mut work);
        let listeners = work.listeners(&upstreams);
        let findings = work.findings;
        if findings.iter().any(Finding::is_error) {
            return Err(findings);
        }
        let names: Vec<String> = resources.models.keys().cloned().collect();
        let snapshot = Snapshot {
            revision,
            digest: digest(&document.root),
            resources: Arc::new(resources),
            routes,
            router: Box::new(router),
            callers,
            models: Box::new(ToModels::new(&models, &names)),
            keeps: None,
        };
        let snapshot = recent::with_keeps(snapshot, self.registry.model_condition);
        Ok(Compiled {
            snapshot: Arc::new(snapshot),
            upstreams,
            models,
            listeners,
            warnings: findings,
        })
    }
}

/// Reads every resource of a document.
///
/// # Errors
/// Every resource that cannot be read, located.
pub fn read(document: &Document) -> Result<Resources, Vec<Finding>> {
    let mut findings = Vec::new();
    let mut resources = Resources::default();
    if !matches!(document.root.kind, NodeKind::Mapping(_)) {
        let message = "a configuration is a mapping of kinds of resources";
        let finding = Finding::error("wrong_type", Path::root(), message);
        return Err(vec![finding.locate(document)]);
    }
    for (key, node) in document.root.entries() {
        let path = Path::root().key(&*key.text);
        match &*key.text {
            "gateway" => match from_node(node, &path) {
                Ok(gateway) => resources.gateway = gateway,
                Err(finding) => findings.push(finding.in_file(&document.file)),
            },
            "listeners" => resources.listeners = map(document, node, &path, &mut findings),
            "teams" => resources.teams = map(document, node, &path, &mut findings),
            "secret_stores" => resources.secret_stores = map(document, node, &path, &mut findings),
            "consumers" => resources.consumers = map(document, node, &path, &mut findings),
            "plans" => resources.plans = map(document, node, &path, &mut findings),
            "policy_sets" => resources.policy_sets = map(document, node, &path, &mut findings),
            "budgets" => resources.budgets = map(document, node, &path, &mut findings),
            "prices" => resources.prices = map(document, node, &path, &mut findings),
            "upstreams" => resources.upstreams = map(document, node, &path, &mut findings),
            "providers" => resources.providers = map(document, node, &path, &mut findings),
            "models" => resources.models = map(document, node, &path, &mut findings),
            "mcp_servers" => resources.mcp_servers = map(document, node, &path, &mut findings),
            "agents" => resources.agents = map(document, node, &path, &mut findings),
            "prompts" => resources.prompts = map(document, node, &path, &mut findings),
            "apis" => resources.apis = map(document, node, &path, &mut findings),
            "rules" => resources.rules = map(document, node, &path, &mut findings),
            "rollouts" => resources.rollouts = map(document, node, &path, &mut findings),
            "routes" => resources.routes = map(document, node, &path, &mut findings),
            unknown => {
                let message = format!("`{unknown}` is no kind of resource");
                let finding = Finding::error("unknown_field", path, message)
                    .expected(format!("one of {}", KINDS.join(", ")))
                    .locate_key(document);
                findings.push(with_help(finding, unknown, KINDS.iter().copied()));
            }
        }
    }
    if findings.is_empty() {
        Ok(resources)
    } else {
        Err(findings)
    }
}

fn with_help<'a>(
    finding: Finding,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Finding {
    match nearest(name, known) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding,
    }
}

/// Reads a map of resources one by one, so that each can have its own finding.
fn map<T: DeserializeOwned>(
    document: &Document,
    node: &Node,
    path: &Path,
    findings: &mut Vec<Finding>,
) -> BTreeMap<String, T> {
    let mut found = BTreeMap::new();
    match &node.kind {
        NodeKind::Null => {}
        NodeKind::Mapping(_) => {
            for (key, node) in node.entries() {
                let path = path.key(&*key.text);
                match from_node(node, &path) {
                    Ok(resource) => drop(found.insert(key.text.to_string(), resource)),
                    Err(finding) => findings.push(finding.in_file(&document.file)),
                }
            }
        }
        _ => {
            let message = "resources of a kind are a mapping from names to settings";
            findings.push(Finding::error("wrong_type", path.clone(), message).locate(document));
        }
    }
    found
}

/// SHA-256 of the canonical JSON, in hexadecimal.
fn digest(root: &Node) -> String {
    let json = canonical_json(root);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, json.as_bytes());
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The certificates that this process orders; the same over all revisions.
pub fn managed(state: &SharedState) -> Arc<Managed> {
    state.get_or_insert("acme", Managed::default)
}

/// One compilation, with the findings so far.
pub struct Work<'a> {
    /// What compiling needs.
    pub compiler: &'a Compiler<'a>,
    /// The document, for places.
    pub document: &'a Document,
    /// What was read from it.
    pub resources: &'a Resources,
    /// What is wrong so far.
    pub findings: Vec<Finding>,
    /// The API of every route that follows from one.
    generated: BTreeMap<String, String>,
    /// What policies share while they are compiled.
    shared: SharedState,
}

impl Work<'_> {
    /// Notes something wrong, at its place.
    pub fn report(&mut self, finding: Finding) {
        let finding = finding.locate(self.document);
        // What is wrong with an API would be said for each of its routes.
        if self.generated.is_empty() || !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Notes a reference to something that does not exist.
    pub fn unknown<'n>(
        &mut self,
        path: Path,
        kind: &str,
        name: &str,
        known: impl IntoIterator<Item = &'n String>,
    ) {
        let known: Vec<&str> = known.into_iter().map(String::as_str).collect();
        let finding = Finding::error(
            "unknown_reference",
            path,
            format!("there is no {kind} `{name}`"),
        );
        let finding = match known.is_empty() {
            true => finding.expected(format!("a {kind}; none is configured")),
            false => finding.expected(format!("one of {}", known.join(", "))),
        };
        self.report(with_help(finding, name, known));
    }

    fn upstreams(&mut self) -> Upstreams {
        let mut compiled = Upstreams::new();
        for (name, settings) in &self.resources.upstreams {
            let path = Path::root().key("upstreams").key(name);
            if let Some(upstream) = self.upstream(name, settings, &path) {
                compiled.insert(name.as_str().into(), upstream);
            }
        }
        compiled
    }

    /// Compiles one upstream; also used for the services behind providers.
    pub fn upstream(
        &mut self,
        name: &str,
        settings: &resources::Upstream,
        path: &Path,
    ) -> Option<Arc<Upstream>> {
        let mut endpoints = Vec::new();
        if settings.endpoints.is_empty() {
            let message = "an upstream needs at least one endpoint";
            self.report(Finding::error("empty_list", path.key("endpoints"), message));
        }
        for (index, address) in settings.endpoints.iter().enumerate() {
            match parse_endpoint(address) {
                Ok(target) => {
                    let weight = settings.weights.get(address).copied().unwrap_or(1);
                    let identity = format!("{name}/{address}");
                    let endpoint = self
                        .compiler
                        .state
                        .get_or_insert(&identity, || Endpoint::new(address, target));
                    endpoints.push((endpoint, weight));
                }
                Err(message) => {
                    let path = path.key("endpoints").index(index);
                    self.report(Finding::error("invalid_endpoint", path, message));
                }
            }
        }
        for address in settings.weights.keys() {
            if !settings.endpoints.contains(address) {
                let path = path.key("weights").key(address);
                self.unknown(path, "endpoint", address, &settings.endpoints);
            }
        }
        let connector = Connector::new(self.compiler.dns.clone(), settings, self.compiler.folder);
        let connector = match connector {
            Ok(connector) => connector,
            Err((field, message)) => {
                self.report(Finding::error("invalid_upstream", path.key(field), message));
                return None;
            }
        };
        if let Some(certificate) = settings
            .tls
            .as_ref()
            .and_then(|tls| tls.certificate.as_ref())
        {
            // Looked after: a certificate that was renewed is read again.
            for file in [&certificate.chain, &certificate.key] {
                drop(self.compiler.secrets.file(&self.compiler.folder.join(file)));
            }
        }
        let credential = Credential::compile(self, settings, path);
        let mut own = settings.clone();
        if credential
            .as_ref()
            .is_some_and(|credential| credential.keeps_host())
        {
            own.host_header = HostHeader::Preserve;
        }
        Some(Arc::new(Upstream {
            name: name.into(),
            credential,
            picker: Picker::new(endpoints, &settings.balance, settings.slow_start.duration()),
            settings: own,
            connector,
            state: self.compiler.state.get_or_insert(name, State::default),
            clock: self.compiler.clock.clone(),
        }))
    }

    /// Rules are evaluated elsewhere; here they are only checked.
    fn rules(&mut self) {
        for (name, rule) in &self.resources.rules {
            let path = Path::root().key("rules").key(name);
            if rule.on != "plan" && !KINDS.contains(&rule.on.as_str()) {
                let message = format!("`{}` is no kind of resource", rule.on);
                let finding = Finding::error("invalid_rule", path.key("on"), message)
                    .expected(format!("`plan`, or one of {}", KINDS.join(", ")));
                self.report(finding);
            } else if let Err((field, message)) = (self.compiler.registry.rule)(rule) {
                self.report(Finding::error("invalid_rule", path.key(field), message));
            }
        }
    }

    fn callers(&mut self) -> Callers {
        let mut callers = Callers::default();
        let mut seen: HashMap<[u8; 32], &str> = HashMap::new();
        for (name, consumer) in &self.resources.consumers {
            let path = Path::root().key("consumers").key(name);
            for (index, key) in consumer.keys.iter().enumerate() {
                if let Some(other) = seen.insert(*key.sha256.bytes(), name) {
                    let message = format!("this key already belongs to `{other}`");
                    self.report(Finding::error(
                        "repeated_key",
                        path.key("keys").index(index),
                        message,
                    ));
                }
            }
            for (index, model) in consumer.models.iter().flatten().enumerate() {
                if !self.resources.models.contains_key(model) {
                    let path = path.key("models").index(index);
                    self.unknown(path, "model", model, self.resources.models.keys());
                }
            }
            check_keys(self, consumer, &path);
            let team = consumer.team.as_ref();
            let team_models = team.and_then(|team| self.resources.teams.get(team)?.models.as_ref());
            for key in &consumer.keys {
                let lists = [key.models.as_ref(), consumer.models.as_ref(), team_models];
                let tools = [key.tools.as_ref(), consumer.tools.as_ref()];
                let caller = Caller {
                    name: name.as_str().into(),
                    team: team.map(|team| team.as_str().into()),
                    models: allowed(lists),
                    tools: tools.into_iter().flatten().cloned().collect(),
                    key: Some(key.name().into()),
                    expires_unix_s: key.expires.map(Timestamp::unix_s),
                    routes: key.routes.clone(),
                };
                callers.insert(caller, [*key.sha256.bytes()]);
            }
            // Known otherwise than by a key, and the last to be entered under the name.
            let caller = Caller {
                name: name.as_str().into(),
                team: team.map(|team| team.as_str().into()),
                models: allowed([None, consumer.models.as_ref(), team_models]),
                tools: consumer.tools.iter().cloned().collect(),
                ..Caller::default()
            };
            callers.insert(caller, []);
        }
        callers
    }

    fn routes(&mut self, called: &Called<'_>) -> (Vec<Route>, Routes) {
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
            let finding = with_help(finding, kind, known);
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

    fn listeners(
        &mut self,
        upstreams: &Upstreams,
    ) -> Vec<(String, ListenAddress, ListenerOptions)> {
        let mut compiled = Vec::new();
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
            match ListenerOptions::compile(listener, self.compiler.folder, tcp_routes, managed) {
                Ok(options) => compiled.push((name.clone(), address, options)),
                Err((field, message)) => {
                    self.report(Finding::error("invalid_listener", path.key(field), message));
                }
            }
        }
        compiled
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
        found.sort_by_key(TcpRoute::precedence);
        found
    }
}
