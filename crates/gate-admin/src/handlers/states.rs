//! Terraform states as the API shows them: lists, versions, restoring, and taking a lock away.

use super::environments::audit;
use super::{not_found, page};
use crate::api::Inner;
use crate::call::Call;
use crate::convert;
use crate::reply::{Answer, Reply, refused};
use gate_api::problem::{Code, Problem};
use gate_api::types::{Page, State, StateRestore, StateUnlock, StateVersion};
use gate_store::control::state_context;
use gate_store::control::{Keyring, NewState, PAGE_MAX, Sealed, StateRow};
use serde_json::Value;
use std::sync::Arc;

pub(super) fn seal(inner: &Inner, name: &str, bytes: &[u8]) -> Result<Sealed, Problem> {
    let ring = ring(inner)?;
    ring.seal(&state_context(name), bytes).map_err(refused)
}

pub(super) fn open(inner: &Inner, name: &str, sealed: &Sealed) -> Result<Vec<u8>, Problem> {
    let ring = ring(inner)?;
    ring.open(&state_context(name), sealed).map_err(refused)
}

/// What states are sealed under; a service that keeps it may be down for a while.
fn ring(inner: &Inner) -> Result<Arc<Keyring>, Problem> {
    let keys = inner.keys.as_ref().ok_or_else(|| {
        let text = "states are kept encrypted; set `gateway.store.key`";
        Problem::new(Code::NotSupported, text)
    })?;
    keys.ring().map_err(|error| {
        let text = format!("the keys of `gateway.store.key` cannot be had now: {error}");
        Problem::new(Code::StoreUnavailable, text)
    })
}

/// Serial and lineage of a state (Terraform's state format, version 4).
pub(super) fn read(bytes: &[u8]) -> Result<(u64, String), Problem> {
    let wrong = |text: &str| Problem::new(Code::Invalid, text);
    let state: Value = serde_json::from_slice(bytes)
        .map_err(|_| Problem::new(Code::Malformed, "the state is no JSON"))?;
    let serial = state["serial"].as_u64();
    let serial = serial.filter(|serial| i64::try_from(*serial).is_ok());
    let serial = serial.ok_or_else(|| wrong("the state has no `serial`"))?;
    let lineage = state["lineage"].as_str().filter(|lineage| {
        (1..=128).contains(&lineage.len()) && !lineage.contains(char::is_control)
    });
    let lineage = lineage.ok_or_else(|| wrong("the state has no `lineage`"))?;
    Ok((serial, lineage.to_owned()))
}

/// The state that a call names, within its limits.
pub(super) fn row(inner: &Inner, call: &Call) -> Result<StateRow, Problem> {
    let name = call.value(0);
    call.who.must_use(name)?;
    let found = inner.store()?.state(name).map_err(refused)?;
    found.ok_or_else(|| not_found(format_args!("state `{name}`")))
}

pub(super) fn list(inner: &Inner, call: &Call) -> Answer {
    let (limit, after) = (call.limit(), call.cursor()?.unwrap_or_default());
    let rows = match inner.store() {
        Ok(mut store) => store.states(&after, limit + 1).map_err(refused)?,
        Err(problem) if problem.is(Code::FileManaged) => Vec::new(),
        Err(problem) => return Err(problem),
    };
    let rows = rows.into_iter().map(convert::state).collect();
    let limit = limit.min(PAGE_MAX - 1);
    let mut page = page(rows, limit, |row: &State| row.name.clone());
    page.items.retain(|row| call.who.uses(&row.name));
    Reply::json(&page)
}

/// Versions outlive their state: one that was emptied still has them.
pub(super) fn versions(inner: &Inner, call: &Call) -> Answer {
    let limit = call.limit().min(PAGE_MAX - 1);
    let before = call.cursor_number()?;
    let name = call.value(0);
    call.who.must_use(name)?;
    let rows = inner.store()?.state_versions(name, before, limit + 1);
    let rows = rows.map_err(refused)?;
    if rows.is_empty() && before.is_none() {
        row(inner, call)?;
    }
    let rows = rows.into_iter().map(convert::state_version).collect();
    let page: Page<StateVersion> = page(rows, limit, |row| row.version.to_string());
    Reply::json(&page)
}

/// Writes an older version again, under the next serial, so that Terraform takes it for newer.
pub(super) fn restore(inner: &Inner, call: &Call) -> Answer {
    let input: StateRestore = call.json()?;
    let name = call.value(0);
    call.who.must_use(name)?;
    let row = inner.store()?.state(name).map_err(refused)?;
    if let Some(lock) = row.and_then(|row| row.lock) {
        let text = format!("the state is locked by {} (lock {})", lock.holder, lock.id);
        return Err(Problem::new(Code::Locked, text));
    }
    let found = inner.store()?.state_content(name, input.version);
    let (version, sealed) = found
        .map_err(refused)?
        .ok_or_else(|| not_found(format_args!("version {} of `{name}`", input.version)))?;
    let bytes = open(inner, name, &sealed)?;
    let mut state: Value = serde_json::from_slice(&bytes)
        .map_err(|_| Problem::new(Code::Internal, "the version is no JSON"))?;
    let newest = inner.store()?.state_versions(name, None, 1);
    let newest = newest.map_err(refused)?;
    let newest = newest.first().map_or(0, |newest| newest.serial);
    let serial = newest.max(version.serial) + 1;
    state["serial"] = serial.into();
    let bytes = serde_json::to_vec_pretty(&state)
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let subject = format!("states/{name}");
    let detail = format!("version {}", input.version);
    let sealed = seal(inner, name, &bytes)?;
    let written = inner.store()?.write_state(&NewState {
        name,
        lock_id: None,
        lineage: &version.lineage,
        serial,
        digest: &gate_api::document::hex_sha256(&bytes),
        size: bytes.len() as u64,
        sealed: &sealed,
        force: true,
        audit: audit(call, &subject, &detail),
        now_ms: inner.now_ms(),
    });
    written.map_err(refused)?;
    shown(inner, call)
}

fn shown(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&convert::state(row(inner, call)?))
}

/// Takes the lock with this identity away; the audit log says whose it was.
pub(super) fn unlock(inner: &Inner, call: &Call) -> Answer {
    let input: StateUnlock = call.json()?;
    let row = row(inner, call)?;
    let Some(lock) = &row.lock else {
        return Err(Problem::new(Code::Conflict, "the state is not locked"));
    };
    if lock.id != input.id {
        let text = format!("another lock is held: {} by {}", lock.id, lock.holder);
        return Err(Problem::new(Code::Conflict, text));
    }
    let subject = format!("states/{}", row.name);
    let detail = format!("lock {} of {}", lock.id, lock.holder);
    let line = audit(call, &subject, &detail);
    let mut store = inner.store()?;
    store
        .unlock_state(&row.name, Some(&input.id), &line, inner.now_ms())
        .map_err(refused)?;
    drop(store);
    // A state that was only ever locked is gone with its lock.
    match super::states::row(inner, call) {
        Ok(row) => Reply::json(&convert::state(row)),
        Err(problem) if problem.is(Code::NotFound) => {
            Reply::json(&convert::state(StateRow { lock: None, ..row }))
        }
        Err(problem) => Err(problem),
    }
}
