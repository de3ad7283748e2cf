//! Revisions, differences and the audit log.

use super::changes::of_revision;
use super::{not_found, page};
use crate::api::Inner;
use crate::call::Call;
use crate::convert;
use crate::reply::{Answer, Reply, refused};
use gate_api::problem::{Code, Problem};
use gate_api::types::{AuditEntry, AuditVerification, Diff, Page, Revision, RevisionDocument};
use gate_store::control::{PAGE_MAX, RevisionQuery, RevisionRow};

pub(super) fn revisions(inner: &Inner, call: &Call) -> Answer {
    if !inner.has_environments() {
        return Reply::json(&Page::<Revision>::whole(Vec::new()));
    }
    let environment = call.parameter("environment").unwrap_or_default();
    if !environment.is_empty() {
        call.who.must_see(environment)?;
    }
    let limit = call.limit().min(PAGE_MAX - 1);
    let query = RevisionQuery {
        environment,
        before: call.cursor_number()?,
        limit: limit + 1,
    };
    let rows = inner.store()?.revisions(&query).map_err(refused)?;
    let rows = rows.into_iter().map(convert::revision).collect();
    let mut page = page(rows, limit, |row: &Revision| row.number.to_string());
    page.items.retain(|row| call.who.sees(&row.environment));
    Reply::json(&page)
}

/// A revision that the caller may see.
fn seen(inner: &Inner, call: &Call, number: u64) -> Result<RevisionRow, Problem> {
    if !inner.has_environments() {
        return Err(not_found(format_args!("revision {number}")));
    }
    let found = inner.store()?.revision(number).map_err(refused)?;
    let found = found.ok_or_else(|| not_found(format_args!("revision {number}")))?;
    call.who.must_see(&found.environment)?;
    Ok(found)
}

pub(super) fn revision(inner: &Inner, call: &Call) -> Answer {
    let row = seen(inner, call, call.number(0)?)?;
    Reply::json(&convert::revision(row))
}

pub(super) fn document(inner: &Inner, call: &Call) -> Answer {
    let row = seen(inner, call, call.number(0)?)?;
    let content = of_revision(inner, row.number)?;
    Reply::json(&RevisionDocument {
        revision: convert::revision(row),
        document: content.document.clone(),
        managers: content.managers.clone(),
    })
}

pub(super) fn diff(inner: &Inner, call: &Call) -> Answer {
    let number = |name: &str| {
        let number = call.numeric(name);
        number.ok_or_else(|| crate::call::bad(format!("`{name}` is missing")))
    };
    let (from, to) = (number("from")?, number("to")?);
    seen(inner, call, from)?;
    seen(inner, call, to)?;
    let (before, after) = (of_revision(inner, from)?, of_revision(inner, to)?);
    let changes = gate_api::document::diff(&before.document, &after.document);
    Reply::json(&Diff { from, to, changes })
}

pub(super) fn audit(inner: &Inner, call: &Call) -> Answer {
    let limit = call.limit().min(PAGE_MAX - 1);
    let before = call.cursor_number()?;
    let rows = match inner.store() {
        Ok(mut store) => store.audit_lines(before, limit + 1).map_err(refused)?,
        Err(problem) if problem.is(Code::FileManaged) => Vec::new(),
        Err(problem) => return Err(problem),
    };
    let rows = rows.into_iter().map(convert::audit).collect();
    let mut page = page(rows, limit, |row: &AuditEntry| row.sequence.to_string());
    page.items.retain(|row| may_see(call, row));
    Reply::json(&page)
}

/// A caller with limits sees what concerns the environments and states within them.
fn may_see(call: &Call, entry: &AuditEntry) -> bool {
    let who = &call.who;
    if who.environments.is_none() && who.states.is_none() {
        return true;
    }
    let mut parts = entry.subject.split('/');
    match (parts.next(), parts.next()) {
        (Some("environments"), Some(name)) => who.sees(name),
        (Some("state" | "states"), Some(name)) => who.uses(name),
        _ => entry.actor == who.actor,
    }
}

pub(super) fn verify(inner: &Inner, _: &Call) -> Answer {
    let check = match inner.store() {
        Ok(mut store) => store.verify_audit().map_err(refused)?,
        Err(problem) if problem.is(Code::FileManaged) => {
            return Reply::json(&AuditVerification {
                intact: true,
                entries: 0,
                pruned: 0,
                broken_at: None,
                head: None,
            });
        }
        Err(problem) => return Err(problem),
    };
    Reply::json(&AuditVerification {
        intact: check.broken.is_none(),
        entries: check.lines,
        pruned: check.pruned,
        broken_at: check.broken.map(|broken| broken.sequence),
        head: Some(check.head),
    })
}
