//! What the server would say of everything that is planned so far.
//!
//! Terraform plans resources one by one, in the order of their references. Each is checked together
//! with all that this run has planned before, so that a route may refer to an upstream that does
//! not exist yet. What another resource may still resolve is a warning: it may be planned later, if
//! its name was written out instead of referred to.

use super::gather::Gather;
use super::round::{is_about, is_relative};
use super::session::Settings;
use super::{Control, is_absent};
use gate_api::ClientError;
use gate_api::client::Seen;
use gate_api::problem::Code;
use gate_api::types::{Document, Finding, Severity};
use serde_json::Value as Json;
use std::sync::{Mutex, PoisonError};

/// Findings that come too early: what uses a resource is planned after it.
const EARLY: [&str; 2] = ["unused", "inert_listener"];

/// A resource as it is planned.
pub(super) type Planned = (String, String, Json);

/// What is planned for one environment.
pub(super) struct DryRun {
    environment: String,
    planned: Mutex<Document>,
    gather: Gather<Planned, Result<Vec<Finding>, Unchecked>>,
}

/// Why nothing can be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unchecked {
    /// The server is not there.
    Unreachable(String),
    /// It refuses to say.
    Refused(String),
}

impl DryRun {
    pub(super) fn new(environment: &str) -> Self {
        Self {
            environment: environment.to_owned(),
            planned: Mutex::default(),
            gather: Gather::default(),
        }
    }

    /// What the server says about one resource beside the others.
    pub(super) fn check(
        &self,
        control: &dyn Control,
        settings: &Settings,
        planned: Planned,
    ) -> Result<Vec<Finding>, Unchecked> {
        let work = |batch: Vec<Planned>| {
            let document = self.add(&batch);
            let findings = self.ask(control, settings, document.clone());
            // What nobody here is named by stands in everybody's way, and is told once.
            let mut strays = findings.clone().unwrap_or_default();
            strays.retain(|f| {
                let named = document.resources().any(|(k, n, _)| is_about(f, k, n));
                f.severity == Severity::Error && !named
            });
            let mut strays = Some(strays);
            let of = |(kind, name, _): &Planned| {
                let findings = findings.clone()?;
                let own = findings.into_iter().filter(|f| is_about(f, kind, name));
                let own = own.filter(|finding| !EARLY.contains(&&*finding.code));
                let own = own.chain(strays.take().unwrap_or_default());
                Ok(own.map(softened).collect())
            };
            batch.iter().map(of).collect()
        };
        let failed = || Err(Unchecked::Refused("the check was interrupted".into()));
        self.gather.submit(planned, work, failed)
    }

    fn add(&self, batch: &[Planned]) -> Document {
        let mut document = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, name, value) in batch {
            document.set(kind, name, value.clone());
        }
        document.clone()
    }

    fn ask(
        &self,
        control: &dyn Control,
        settings: &Settings,
        document: Document,
    ) -> Result<Vec<Finding>, Unchecked> {
        let input = settings.input(document);
        match control.apply(&self.environment, Seen::Any, &input, true) {
            Ok(applied) => Ok(applied.plan.findings),
            Err(ClientError::Problem(problem)) if problem.is(Code::Invalid) => Ok(problem.findings),
            // It will be made by this plan, or applying says so.
            Err(error) if is_absent(&error) => Ok(Vec::new()),
            Err(error @ ClientError::Unreachable { .. }) => {
                Err(Unchecked::Unreachable(error.to_string()))
            }
            Err(error) => Err(Unchecked::Refused(error.to_string())),
        }
    }
}

/// What another resource of the plan may resolve is a warning.
fn softened(finding: Finding) -> Finding {
    if !is_relative(&finding) || finding.severity != Severity::Error {
        return finding;
    }
    let help = match finding.code.contains("reference") {
        true => {
            "If this configuration creates it, refer to its resource \
             (`tidegate_upstream.orders.name` rather than \"orders\"), so that Terraform creates it \
             first"
        }
        false => "If this configuration changes the other resource too, nothing is wrong",
    };
    Finding {
        severity: Severity::Warning,
        help: Some(help.to_owned()),
        ..finding
    }
}
