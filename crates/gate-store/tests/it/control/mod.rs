//! The control plane's state, over both databases.

mod audit;
mod crash;
mod deliveries;
mod durations;
mod environments;
mod events;
mod fleet;
mod forms;
mod incidents;
mod notices;
mod outages;
mod promises;
mod retention;
mod runbooks;
mod secrets;
mod sign_outs;
mod states;
mod traffic;

use gate_store::control::{
    Answer, Cause, Change, Changed, ControlStore, Edit, Expected, NewAudit, NewRevision, Set,
    Target,
};

/// A line of the audit log for tests.
pub(crate) fn line(actor: &'static str, action: &'static str) -> NewAudit<'static> {
    NewAudit {
        actor,
        role: "admin",
        action,
        subject: "environments/prod",
        outcome: "done",
        detail: "",
    }
}

/// A revision of a document.
pub(crate) fn revision(document: &str) -> NewRevision<'_> {
    NewRevision {
        document,
        managers: "{}",
        files: None,
        parent: None,
        author: "ada",
        cause: Cause::Apply,
        message: "why",
        source_commit: None,
        plan: None,
        checks: "[]",
    }
}

/// A change of an environment that does nothing yet.
pub(crate) fn change<'a>(id: &'a str, environment: &'a str, expected: Expected) -> Change<'a> {
    Change {
        id,
        environment,
        expected,
        revision: None,
        edit: Edit::default(),
        rollout: None,
        lease: None,
        despite_lock: false,
        audit: line("ada", "apply"),
        now_ms: 1_000,
    }
}

/// Creates an environment.
pub(crate) fn create(store: &mut dyn ControlStore, environment: &str) -> u64 {
    let made = store.change(&change("", environment, Expected::Absent));
    made.unwrap().environment.generation
}

/// Applies a document to an environment as it was seen at a generation.
pub(crate) fn apply(
    store: &mut dyn ControlStore,
    id: &str,
    environment: &str,
    generation: u64,
    document: &str,
) -> Answer<Changed> {
    let mut change = change(id, environment, Expected::Generation(generation));
    change.revision = Some(revision(document));
    change.edit.revision = Set::To(Target::New);
    store.change(&change)
}
