//! What a snapshot's rules read, and so what is kept of its requests.

use crate::compile::ConditionCompiler;
use crate::record::redact::is_credential_name;
use gate_flow::{Keeps, Reads, Replay, Snapshot, Step};
use gate_model::resources::Match;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The snapshot, with what is kept of its requests where its configuration says so. `condition`
/// compiles those of models' targets.
pub(crate) fn with_keeps(snapshot: Snapshot, condition: ConditionCompiler) -> Snapshot {
    let Some(settings) = &snapshot.resources.gateway.records else {
        return snapshot;
    };
    let mut reads = Reads::default();
    for route in snapshot.resources.routes.values() {
        reads.add(&reads_of_match(&route.matches));
    }
    for step in snapshot.routes.iter().flat_map(|route| &route.steps) {
        reads.add(&reads_of_step(step));
    }
    for model in snapshot.resources.models.values() {
        let targets = model.targets.iter().chain(&model.fallback);
        for when in targets.filter_map(|target| target.when.as_deref()) {
            // One that does not compile is a finding elsewhere.
            if let Ok(when) = condition(when) {
                reads.add(&when.reads());
            }
        }
    }
    // What a name gives away as a credential is never kept in clear, whoever reads it.
    let (mut hashed, plain): (BTreeSet<String>, _) = std::mem::take(&mut reads.headers)
        .into_iter()
        .partition(|name| reads.credentials.contains(name) || is_credential_name(name));
    reads.headers = plain;
    reads.credentials.append(&mut hashed);
    // What no row keeps is no matter of rows.
    reads.beyond.clear();
    let keeps = Keeps {
        reads,
        sample: settings.sample.fraction(),
        digest: snapshot.digest.clone(),
        revision: snapshot.revision,
    };
    Snapshot {
        keeps: Some(Arc::new(keeps)),
        ..snapshot
    }
}

/// What choosing a route reads.
pub(crate) fn reads_of_match(matches: &Match) -> Reads {
    let mut reads = Reads::of_headers(matches.headers.keys().map(String::as_str));
    reads.parameters.extend(matches.query.keys().cloned());
    reads
}

/// What a policy and its condition read.
pub(crate) fn reads_of_step(step: &Step) -> Reads {
    let mut reads = match step.policy.replay() {
        Replay::Again { reads, .. } => reads,
        Replay::Passive => Reads::default(),
        Replay::Unknown(what) => Reads::beyond(what),
    };
    if let Some(when) = &step.when {
        reads.add(&when.reads());
    }
    reads
}
