//! From a document to a snapshot: parse every resource, check references, compile.
//!
//! Everything that can be wrong is collected, so that one run of `check` shows all of it, each at
//! its place. Nothing that runs is touched here.

mod acme;
mod callers;
mod files;
mod lake;
mod listeners;
mod notices;
mod plans;
mod policy_sets;
mod queues;
mod routes;
mod secrets;
mod subscribers;
mod target;
mod upstreams;

use crate::listener::ListenerOptions;
use crate::money::Treasury;
use crate::process::Upstreams;
use crate::record::recent;
use crate::target::mcp;
use crate::target::model::{Models, ToModels};
use crate::{apis, experiments};
use gate_flow::{Condition, Experiment, PolicyDescriptor, SecretSource, SharedState, Snapshot};
use gate_kit::clock::Clock;
use gate_model::document::{Document, Node, Path, canonical_json};
use gate_model::finding::Finding;
use gate_model::resources::{self, KINDS, Resources};
use gate_net::dns::Dns;
use gate_net::listen::ListenAddress;
use gate_net::tls::Managed;
use gate_store::Books;
use gate_store::ledger::CrossedEvent;
use std::collections::BTreeMap;
use std::sync::Arc;
use target::Called;

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
    /// Compiles the expressions of rollouts and objectives, which see a finished exchange's record.
    pub record_condition: ConditionCompiler,
    /// Checks objectives, which are evaluated by whoever takes readings.
    pub objective: ObjectiveChecker,
    /// Checks the expressions of runbooks, which are evaluated by whoever runs them.
    pub runbook: RunbookChecker,
    /// Checks the expressions of subscribers, which are evaluated by whoever tells them of events.
    pub subscriber: SubscriberChecker,
    /// Checks schedules, which are kept by whoever leads.
    pub schedule: ScheduleChecker,
    /// What subscribers are told of a budget's threshold, within the commit that crosses it; nothing
    /// where there is none.
    pub crossed: Option<CrossedEvent>,
}

/// Checks a subscriber's expressions; the paths at fault with a sentence each.
pub type SubscriberChecker = fn(&resources::Subscriber) -> Vec<resources::SubscriberProblem>;

/// Checks a schedule; the field at fault and a sentence.
pub type ScheduleChecker = fn(&resources::Schedule) -> Result<(), (&'static str, String)>;

/// Checks a runbook's expressions; the fields at fault with a sentence each.
pub type RunbookChecker = fn(&resources::Runbook) -> Vec<resources::RunbookProblem>;

/// Checks an objective by its name; the error is the field at fault and a sentence.
pub type ObjectiveChecker = fn(&str, &resources::Objective) -> Result<(), (&'static str, String)>;

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
    /// Every experiment, begun only once the document is in force.
    pub(crate) experiments: Vec<Arc<Experiment>>,
    /// What a person should look at, located; none of it keeps the document from being applied.
    pub warnings: Vec<Finding>,
}

impl Compiler<'_> {
    /// Compiles a document as revision `revision`.
    ///
    /// # Errors
    /// Everything that is wrong with it, located.
    pub fn compile(&self, document: &Document, revision: u64) -> Result<Compiled, Vec<Finding>> {
        let mut resources = Resources::read(document)?;
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
        crate::objectives::check(&mut work);
        let experiments = experiments::compile(&mut work);
        work.plans();
        work.queues();
        work.notices();
        work.policy_sets();
        let intake = crate::events::compile(&mut work);
        let callers = work.callers();
        let called = Called {
            upstreams: &upstreams,
            models: &models,
            servers: &servers,
            event_types: &intake,
        };
        let (mut routes, router) = work.routes(&called);
        crate::objectives::attach(&mut work, &mut routes);
        acme::check(&mut work);
        files::check(&mut work);
        lake::check(&mut work);
        crate::products::check(&mut work);
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
            experiments,
            warnings: findings,
        })
    }
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
        self.report(finding.with_nearest(name, known));
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
        // Evaluated by others as well, and checked the same way.
        crate::actions::check(self);
        self.subscribers();
    }
}
