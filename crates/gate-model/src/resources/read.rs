//! A document into resources, kind by kind, so that each resource can have its own finding.

use super::Resources;
use crate::document::{Document, Node, NodeKind, Path, from_node};
use crate::finding::Finding;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Names every kind whose resources are a mapping of names; `gateway` is the one that is not.
macro_rules! kinds {
    ($($kind:ident,)*) => {
        /// Kinds of resources, in the order of the reference.
        pub const KINDS: &[&str] = &["gateway", $(stringify!($kind),)*];

        /// Reads all resources of a kind; says whether there is such a kind.
        fn read_kind(kind: &str, node: &Node, into: &mut Resources, reading: &mut Reading<'_>) -> bool {
            match kind {
                "gateway" => {
                    if let Some(gateway) = reading.one(node, &Path::root().key(kind)) {
                        into.gateway = gateway;
                    }
                }
                $(stringify!($kind) => into.$kind = reading.named(node, kind),)*
                _ => return false,
            }
            true
        }
    };
}

kinds! {
    listeners,
    teams,
    secret_stores,
    consumers,
    plans,
    policy_sets,
    budgets,
    prices,
    upstreams,
    providers,
    models,
    mcp_servers,
    agents,
    prompts,
    apis,
    rollouts,
    rules,
    receivers,
    rotations,
    notifications,
    deployment_sources,
    objectives,
    experiments,
    runbooks,
    subscribers,
    event_types,
    schedules,
    queues,
    data_products,
    queries,
    routes,
}

struct Reading<'d> {
    document: &'d Document,
    findings: Vec<Finding>,
}

impl Reading<'_> {
    fn one<T: DeserializeOwned>(&mut self, node: &Node, path: &Path) -> Option<T> {
        let read = from_node(node, path);
        read.map_err(|finding| self.findings.push(finding.in_file(&self.document.file)))
            .ok()
    }

    fn named<T: DeserializeOwned>(&mut self, node: &Node, kind: &str) -> BTreeMap<String, T> {
        let mut found = BTreeMap::new();
        for (key, node) in self.entries(node, kind) {
            if let Some(resource) = self.one(node, &Path::root().key(kind).key(&*key)) {
                found.insert(key, resource);
            }
        }
        found
    }

    fn entries<'n>(&mut self, node: &'n Node, kind: &str) -> Vec<(String, &'n Node)> {
        if !matches!(node.kind, NodeKind::Mapping(_) | NodeKind::Null) {
            let message = "resources of a kind are a mapping from names to settings";
            let finding = Finding::error("wrong_type", Path::root().key(kind), message);
            self.findings.push(finding.locate(self.document));
        }
        let entries = node.entries().iter();
        entries
            .map(|(key, node)| (key.text.to_string(), node))
            .collect()
    }
}

impl Resources {
    /// Reads every resource of a document.
    ///
    /// # Errors
    /// Every resource that cannot be read, located.
    // The one place that reads them all: what serde derives for resources is large, and each crate that
    // names it anew carries it once more.
    pub fn read(document: &Document) -> Result<Resources, Vec<Finding>> {
        if !matches!(document.root.kind, NodeKind::Mapping(_)) {
            let message = "a configuration is a mapping of kinds of resources";
            let finding = Finding::error("wrong_type", Path::root(), message);
            return Err(vec![finding.locate(document)]);
        }
        let mut resources = Resources::default();
        let mut reading = Reading {
            document,
            findings: Vec::new(),
        };
        for (key, node) in document.root.entries() {
            if read_kind(&key.text, node, &mut resources, &mut reading) {
                continue;
            }
            let unknown = &*key.text;
            let message = format!("`{unknown}` is no kind of resource");
            let finding = Finding::error("unknown_field", Path::root().key(unknown), message)
                .expected(format!("one of {}", KINDS.join(", ")))
                .locate_key(document);
            let finding = finding.with_nearest(unknown, KINDS.iter().copied());
            reading.findings.push(finding);
        }
        match reading.findings.is_empty() {
            true => Ok(resources),
            false => Err(reading.findings),
        }
    }
}
