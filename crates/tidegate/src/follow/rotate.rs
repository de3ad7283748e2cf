//! A secret, or a file such as an API's document, that changed, as a revision: the same resources
//! under a new number.
//!
//! Each gateway puts what is new into force by itself, as soon as it sees it. That it happened is
//! written down once, by whoever leads, so that what follows can be told from what came before.

use gate_kit::random;
use gate_store::control::{
    Cause, Change, ControlError, ControlStore, Edit, EnvironmentRow, Expected, Lease, NewAudit,
    NewRevision, Set, Target,
};

/// Writes a revision with the resources of the one in force. Nothing is written while another is
/// being tried or waits to be confirmed: that one's own revision tells them apart.
///
/// # Errors
/// As [`ControlStore::change`].
pub(super) fn rotate(
    store: &mut dyn ControlStore,
    row: &EnvironmentRow,
    lease: &Lease,
    now_ms: i64,
) -> Result<(), ControlError> {
    let (Some(number), None, None) = (row.revision, &row.candidate, row.confirm_until_ms) else {
        return Ok(());
    };
    let Some((document, managers, files)) = texts(store, number)? else {
        return Ok(());
    };
    let actor = format!("instance/{}", lease.holder);
    let message = format!("a secret or a file that revision {number} refers to has changed");
    let subject = format!("environments/{}", row.name);
    let id = format!("{:016x}{:016x}", random::bits(), random::bits());
    let confirmed = row.stable == row.revision;
    store.change(&Change {
        id: &id,
        environment: &row.name,
        expected: Expected::Generation(row.generation),
        revision: Some(NewRevision {
            document: &document,
            managers: &managers,
            files: files.as_deref(),
            parent: Some(number),
            author: &actor,
            cause: Cause::Rotate,
            message: &message,
            source_commit: None,
            plan: None,
            checks: "{}",
        }),
        edit: Edit {
            revision: Set::To(Target::New),
            stable: if confirmed {
                Set::To(Target::New)
            } else {
                Set::Keep
            },
            ..Edit::default()
        },
        rollout: None,
        lease: Some(lease),
        despite_lock: true,
        audit: NewAudit {
            actor: &actor,
            role: "system",
            action: "rotate",
            subject: &subject,
            outcome: "done",
            detail: &message,
        },
        now_ms,
    })?;
    tracing::info!(environment = row.name, "{message}");
    Ok(())
}

/// The resources of a revision and who manages them, where both are kept.
/// Document, managers and files of a revision, where it is there.
pub(crate) fn texts(
    store: &mut dyn ControlStore,
    number: u64,
) -> Result<Option<(String, String, Option<String>)>, ControlError> {
    let Some(revision) = store.revision(number)? else {
        return Ok(None);
    };
    let document = store.document(&revision.digest)?;
    let managers = store.document(&revision.managers)?;
    let files = match &revision.files {
        Some(files) => store.document(files)?,
        None => None,
    };
    Ok(document
        .zip(managers)
        .map(|(document, managers)| (document, managers, files)))
}
