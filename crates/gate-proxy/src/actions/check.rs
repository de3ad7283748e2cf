//! Runbooks against the configuration that they are a part of.

use crate::compile::Work;
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::{
    Check, CheckOf, GatewayAction, Runbook, RunbookEvent, RunbookTrigger, StepWork,
};

/// Most runbooks of a configuration.
const RUNBOOKS_MAX: usize = 1_000;

/// Checks every runbook: by itself, its expressions, and what it refers to.
pub(crate) fn check(work: &mut Work<'_>) {
    let resources = work.resources;
    if resources.runbooks.len() > RUNBOOKS_MAX {
        let message = format!("there are at most {RUNBOOKS_MAX} runbooks");
        work.report(Finding::error(
            "too_many",
            Path::root().key("runbooks"),
            message,
        ));
        return;
    }
    for (name, runbook) in &resources.runbooks {
        let path = Path::root().key("runbooks").key(name);
        let problems = runbook.problems().into_iter();
        let unsound = (work.compiler.registry.runbook)(runbook);
        for (field, problem) in problems.chain(unsound) {
            let at = field.split('.').fold(path.clone(), |path, part| {
                part.parse()
                    .map_or_else(|_| path.key(part), |index| path.index(index))
            });
            work.report(Finding::error("invalid_runbook", at, problem));
        }
        triggers(work, runbook, &path);
        asked_and_done(work, runbook, &path);
    }
}

fn triggers(work: &mut Work<'_>, runbook: &Runbook, path: &Path) {
    for (index, trigger) in runbook.on.iter().enumerate() {
        let at = path.key("on").index(index);
        match trigger {
            RunbookTrigger::Incident {
                route, objective, ..
            } => {
                let at = at.key("incident");
                known(work, &at.key("route"), Kind::Route, route.as_deref());
                known(
                    work,
                    &at.key("objective"),
                    Kind::Objective,
                    objective.as_deref(),
                );
            }
            RunbookTrigger::Event { name, of } => {
                let kind = match name {
                    RunbookEvent::EndpointEjected | RunbookEvent::EndpointUnhealthy => {
                        Kind::Upstream
                    }
                    RunbookEvent::RevisionRolledBack => Kind::Route,
                    RunbookEvent::BudgetHalfSpent | RunbookEvent::BudgetSpent => Kind::Objective,
                };
                known(work, &at.key("event").key("of"), kind, of.as_deref());
            }
        }
    }
}

fn asked_and_done(work: &mut Work<'_>, runbook: &Runbook, path: &Path) {
    let conditions = [
        ("precondition", &runbook.precondition),
        ("postcondition", &runbook.postcondition),
    ];
    for (field, check) in conditions {
        if let Some(check) = check {
            traffic(work, check, &path.key(field));
        }
    }
    for (index, step) in runbook.steps.iter().enumerate() {
        let at = path
            .key("steps")
            .index(index)
            .key("do")
            .key(step.work.as_str());
        match &step.work {
            StepWork::Check(check) => traffic(work, check, &at),
            StepWork::Command {
                program, arguments, ..
            } => {
                // Other gateways of the environment may allow it, and this one has to take it off its
                // list while a revision that names it is in force: whoever runs it refuses.
                if !work.resources.gateway.runbooks.allows(program, arguments) {
                    let message = format!(
                        "`gateway.runbooks.commands` of this gateway does not allow `{}` with these \
                         arguments: the step will fail",
                        program.display()
                    );
                    let path = at.key("program");
                    work.report(Finding::warning("command_refused", path, message));
                }
            }
            StepWork::Act { action, .. } => acted(work, action, &at.key("action")),
            StepWork::Ask { .. } => {}
        }
    }
}

fn traffic(work: &mut Work<'_>, check: &Check, path: &Path) {
    let at = path.key("of");
    let CheckOf {
        route,
        upstream,
        endpoint,
        provider,
    } = &check.of;
    known(work, &at.key("route"), Kind::Route, route.as_deref());
    known(
        work,
        &at.key("upstream"),
        Kind::Upstream,
        upstream.as_deref(),
    );
    known(
        work,
        &at.key("provider"),
        Kind::Provider,
        provider.as_deref(),
    );
    endpoint_of(work, &at, upstream.as_deref(), endpoint.as_deref());
}

fn acted(work: &mut Work<'_>, action: &GatewayAction, path: &Path) {
    let at = path.key(action.as_str());
    match action {
        GatewayAction::Eject { upstream, endpoint } => {
            known(work, &at.key("upstream"), Kind::Upstream, Some(upstream));
            endpoint_of(work, &at, Some(upstream), endpoint.as_deref());
        }
        GatewayAction::FailOver { provider } => {
            known(work, &at.key("provider"), Kind::Provider, Some(provider));
        }
        GatewayAction::Shed { route, low, .. } => {
            known(work, &at.key("route"), Kind::Route, route.as_deref());
            for (index, text) in low.iter().enumerate() {
                if let Err(problem) = (work.compiler.registry.condition)(text) {
                    let path = at.key("low").index(index);
                    work.report(Finding::error("invalid_condition", path, problem));
                }
            }
        }
        GatewayAction::Concurrency { upstream, .. } => {
            known(work, &at.key("upstream"), Kind::Upstream, Some(upstream));
        }
        GatewayAction::Freeze { route } => {
            known(work, &at.key("route"), Kind::Route, route.as_deref());
        }
        GatewayAction::RollBack {} => {}
    }
}

fn endpoint_of(work: &mut Work<'_>, at: &Path, upstream: Option<&str>, endpoint: Option<&str>) {
    let resources = work.resources;
    let upstream = upstream.and_then(|name| resources.upstreams.get(name));
    if let (Some(upstream), Some(endpoint)) = (upstream, endpoint)
        && !upstream.endpoints.iter().any(|one| one == endpoint)
    {
        work.unknown(
            at.key("endpoint"),
            "endpoint",
            endpoint,
            &upstream.endpoints,
        );
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Route,
    Upstream,
    Provider,
    Objective,
}

fn known(work: &mut Work<'_>, path: &Path, kind: Kind, name: Option<&str>) {
    let Some(name) = name else { return };
    let resources = work.resources;
    let (word, names): (&str, Vec<&String>) = match kind {
        // Those of APIs are made from their documents, and are known when they are served.
        Kind::Route if !resources.apis.is_empty() => return,
        Kind::Route => ("route", resources.routes.keys().collect()),
        Kind::Upstream => ("upstream", resources.upstreams.keys().collect()),
        Kind::Provider => ("provider", resources.providers.keys().collect()),
        Kind::Objective => ("objective", resources.objectives.keys().collect()),
    };
    if !names.iter().any(|one| *one == name) {
        work.unknown(path.clone(), word, name, names);
    }
}
