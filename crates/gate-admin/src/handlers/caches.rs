//! Caches of answers: how they do, and purges.
//!
//! A purge is a line in the audit log, which every gateway of the environment reads, and is in force
//! here before it is answered.

use super::{bounded, page_of};
use crate::api::Inner;
use crate::call::Call;
use crate::reply::{Answer, Reply};
use gate_api::problem::{Code, Problem};
use gate_api::types::{PurgeInput, Purged};
use gate_store::control::NewAudit;

/// Most bytes of what a purge names.
const NAME_MAX: usize = 2_048;
/// The action under which purges stand in the audit log.
pub const PURGE: &str = "purgeCaches";

pub(super) fn list(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&page_of(call, inner.host.caches())?)
}

pub(super) fn purge(inner: &Inner, call: &Call) -> Answer {
    let input: PurgeInput = call.json()?;
    let named = [&input.key, &input.prefix, &input.tag];
    let count = named.iter().filter(|name| name.is_some()).count() + usize::from(input.all);
    if count != 1 {
        let text = "exactly one of `key`, `prefix`, `tag` and `all` says what is purged";
        return Err(Problem::new(Code::Invalid, text));
    }
    for name in named.into_iter().flatten().chain(&input.route) {
        bounded("purge", name, NAME_MAX)?;
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(Problem::new(Code::Invalid, "a purge names printable text"));
        }
    }
    let mut told = || {
        let Some(environment) = inner.host.environment() else {
            return Ok(None);
        };
        let detail = serde_json::to_string(&input)
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
        let line = NewAudit {
            actor: &call.who.actor,
            role: call.who.role.as_str(),
            action: PURGE,
            subject: &environment,
            outcome: "done",
            detail: &detail,
        };
        let told = inner.store()?.audit(&line, inner.now_ms());
        told.map(Some)
            .map_err(|error| Problem::new(Code::StoreUnavailable, error.to_string()))
    };
    let entries = inner.host.purge(&input, &mut told)?;
    Reply::json(&Purged { entries })
}
