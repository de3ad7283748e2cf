//! Terraform's HTTP backend (`internal/backend/remote-state/http` of Terraform 1.11): GET, POST,
//! DELETE, LOCK and UNLOCK on one URL per state.
//!
//! What is refused because of a lock is answered with the holder's lock as Terraform wrote it, which
//! is what Terraform shows. `terraform force-unlock` sends UNLOCK without a body, so that the lock's
//! identity cannot be checked (hashicorp/terraform#28421): only admins may, and it is audited.

use super::environments::audit;
use super::not_found;
use super::states::{open, read, seal};
use crate::api::Inner;
use crate::call::Call;
use crate::reply::{Answer, Reply, refused};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gate_api::problem::{Code, Problem};
use gate_api::types::{Role, StateLock as Shown};
use gate_store::control::{ControlError, NewState, StateLock};
use md5::{Digest, Md5};

/// Most bytes of a lock.
const LOCK_MAX: usize = 64 << 10;

fn md5(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}

pub(super) fn get(inner: &Inner, call: &Call) -> Answer {
    let name = call.value(0);
    call.who.must_use(name)?;
    let missing = || not_found(format_args!("state `{name}`"));
    let version = match call.numeric("version") {
        Some(version) => version,
        None => {
            let row = inner.store()?.state(name).map_err(refused)?;
            let row = row.ok_or_else(missing)?;
            row.version.ok_or_else(missing)?.version
        }
    };
    let found = inner.store()?.state_content(name, version);
    let (row, sealed) = found.map_err(refused)?.ok_or_else(missing)?;
    let body = open(inner, name, &sealed)?;
    if gate_api::document::hex_sha256(&body) != row.digest {
        let text = format!("version {version} of `{name}` is not what was written");
        return Err(Problem::new(Code::Internal, text));
    }
    let sum = md5(&body);
    Ok(Reply {
        status: 200,
        headers: vec![("Content-MD5", sum)],
        content_type: "application/json",
        body,
    })
}

/// Refused because of a lock: Terraform reads the holder from the body.
fn held(inner: &Inner, call: &Call, lock: &StateLock) -> Answer {
    let text = format!("locked by {}", lock.holder);
    let problem = Problem::new(Code::Locked, text);
    let (who, role) = (&call.who.actor, call.who.role.as_str());
    inner.audit_refusal(who, role, call.operation, &call.subject(), &problem);
    Ok(Reply {
        status: 423,
        headers: Vec::new(),
        content_type: "application/json",
        body: lock.info.clone().into_bytes(),
    })
}

pub(super) fn put(inner: &Inner, call: &Call) -> Answer {
    let name = call.value(0);
    call.who.must_use(name)?;
    if let Some(sum) = &call.content_md5
        && *sum != md5(&call.body)
    {
        let text = "`Content-MD5` does not fit the body";
        return Err(Problem::new(Code::Malformed, text));
    }
    let force = call.flag("force");
    if force {
        call.who.must_be(Role::Admin)?;
    }
    let (serial, lineage) = read(&call.body)?;
    let subject = format!("states/{name}");
    let detail = format!("serial {serial}");
    // Sealing may wait for a service, which nobody else who needs the store should.
    let sealed = seal(inner, name, &call.body)?;
    let written = inner.store()?.write_state(&NewState {
        name,
        lock_id: call.parameter("ID"),
        lineage: &lineage,
        serial,
        digest: &gate_api::document::hex_sha256(&call.body),
        size: call.body.len() as u64,
        sealed: &sealed,
        force,
        audit: audit(call, &subject, &detail),
        now_ms: inner.now_ms(),
    });
    match written {
        Ok(_) => Ok(Reply::empty(200)),
        Err(ControlError::StateLocked(lock)) => held(inner, call, &lock),
        Err(error) => Err(refused(error)),
    }
}

pub(super) fn delete(inner: &Inner, call: &Call) -> Answer {
    let name = call.value(0);
    call.who.must_use(name)?;
    let subject = format!("states/{name}");
    let line = audit(call, &subject, "");
    let removed = inner
        .store()?
        .remove_state(name, call.parameter("ID"), &line, inner.now_ms());
    match removed {
        Ok(true) => Ok(Reply::empty(200)),
        Ok(false) => Err(not_found(format_args!("state `{name}`"))),
        Err(ControlError::StateLocked(lock)) => held(inner, call, &lock),
        Err(error) => Err(refused(error)),
    }
}

/// A lock as Terraform sent it.
fn sent(call: &Call) -> Result<Shown, Problem> {
    let wrong = |text: &str| Problem::new(Code::Malformed, text);
    if call.body.len() > LOCK_MAX {
        return Err(Problem::new(Code::TooLarge, "a lock has at most 64 KiB"));
    }
    let lock: Shown = serde_json::from_slice(&call.body)
        .map_err(|_| wrong("the lock is not what Terraform sends"))?;
    let fits = |text: &str| !text.contains(char::is_control) && text.len() <= 256;
    if lock.id.is_empty() || !fits(&lock.id) || !fits(&lock.who) {
        return Err(wrong("the lock has no usable `ID`"));
    }
    Ok(lock)
}

pub(super) fn lock(inner: &Inner, call: &Call) -> Answer {
    let name = call.value(0);
    call.who.must_use(name)?;
    let given = sent(call)?;
    let info = serde_json::to_string(&given)
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let now_ms = inner.now_ms();
    let lock = StateLock {
        id: given.id.clone(),
        holder: match given.who.is_empty() {
            true => call.who.actor.clone(),
            false => format!("{} ({})", given.who, call.who.actor),
        },
        info,
        since_ms: now_ms,
    };
    let subject = format!("states/{name}");
    let detail = format!("lock {}", lock.id);
    let line = audit(call, &subject, &detail);
    let locked = inner.store()?.lock_state(name, &lock, &line);
    match locked {
        Ok(()) => Ok(Reply::empty(200)),
        Err(ControlError::StateLocked(lock)) => held(inner, call, &lock),
        Err(error) => Err(refused(error)),
    }
}

pub(super) fn unlock(inner: &Inner, call: &Call) -> Answer {
    let name = call.value(0);
    call.who.must_use(name)?;
    let subject = format!("states/{name}");
    let given = match call.body.is_empty() {
        true => {
            let text = "UNLOCK without the lock's identity, as `terraform force-unlock` sends it, \
                        needs the role admin; `tidegate state unlock NAME ID` does not";
            if call.who.must_be(Role::Admin).is_err() {
                return Err(Problem::new(Code::Forbidden, text));
            }
            None
        }
        false => Some(sent(call)?.id),
    };
    let detail = match &given {
        Some(id) => format!("lock {id}"),
        None => "by force, whichever lock was held".to_owned(),
    };
    let line = audit(call, &subject, &detail);
    let unlocked = inner
        .store()?
        .unlock_state(name, given.as_deref(), &line, inner.now_ms());
    match unlocked {
        Ok(_) => Ok(Reply::empty(200)),
        Err(ControlError::StateLocked(lock)) => held(inner, call, &lock),
        Err(error) => Err(refused(error)),
    }
}
