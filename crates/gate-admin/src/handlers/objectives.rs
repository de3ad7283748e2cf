//! Objectives: how they stand; and the gate that holds changes up while a budget is spent.
//!
//! What a gate holds is one text in the store, whose meaning the host knows. It is changed by who saw
//! its version, and each change has its line in the audit log.

use super::environments::{self, audit, must_be_kept};
use super::{bounded, not_found, page_of};
use crate::api::Inner;
use crate::call::Call;
use crate::host::GateEdit;
use crate::reply::{Answer, Reply, refused};
use gate_api::problem::{Code, Problem};
use gate_api::types::{FreezeInput, ObjectiveState, OverrideInput};

/// Most bytes of a reason.
const REASON_MAX: usize = 1_024;
/// How often a change of the gate is tried again when another was faster.
const ATTEMPTS: usize = 5;

fn seen(inner: &Inner, call: &Call) -> Vec<ObjectiveState> {
    let mut states = inner.host.objectives();
    if let Some(teams) = &call.who.teams {
        states.retain(|state| (state.scope.get("team")).is_some_and(|team| teams.contains(team)));
    }
    states
}

pub(super) fn list(inner: &Inner, call: &Call) -> Answer {
    let mut states = seen(inner, call);
    states.iter_mut().for_each(|state| state.places.clear());
    Reply::json(&page_of(call, states)?)
}

pub(super) fn get(inner: &Inner, call: &Call) -> Answer {
    let name = call.value(0);
    let found = seen(inner, call)
        .into_iter()
        .find(|state| state.name == name);
    let mut found = found.ok_or_else(|| not_found(format_args!("objective `{name}`")))?;
    found.durations = inner.host.durations(name);
    Reply::json(&found)
}

/// What the gate of an environment holds, with its version.
pub(super) fn held(inner: &Inner, environment: &str) -> Result<(u64, String), Problem> {
    if !inner.has_environments() {
        return Ok((0, String::new()));
    }
    let held = inner.store()?.promise_gate(environment).map_err(refused)?;
    Ok(held.unwrap_or_default())
}

pub(super) fn gate(inner: &Inner, call: &Call) -> Answer {
    let row = environments::row(inner, call, call.value(0))?;
    let (_, held) = held(inner, &row.name)?;
    Reply::json(&inner.host.show_gate(&held, now_s(inner)))
}

pub(super) fn freeze(inner: &Inner, call: &Call) -> Answer {
    let input: FreezeInput = call.json()?;
    reason(&input.reason)?;
    if input.lasts.is_zero() {
        return Err(Problem::new(
            Code::Invalid,
            "`lasts` is longer than nothing",
        ));
    }
    bounded("route", input.route.as_deref().unwrap_or_default(), 256)?;
    edit(inner, call, &GateEdit::Freeze(&input))
}

pub(super) fn thaw(inner: &Inner, call: &Call) -> Answer {
    let route = call.owned("route");
    bounded("route", route.as_deref().unwrap_or_default(), 256)?;
    edit(inner, call, &GateEdit::Thaw(route.as_deref()))
}

pub(super) fn allow(inner: &Inner, call: &Call) -> Answer {
    let input: OverrideInput = call.json()?;
    reason(&input.reason)?;
    for (field, text) in [
        ("digest", &input.digest),
        ("by", &input.by),
        ("signature", &input.signature),
    ] {
        bounded(field, text, 256)?;
    }
    edit(inner, call, &GateEdit::Allow(&input))
}

fn reason(text: &str) -> Result<(), Problem> {
    bounded("reason", text, REASON_MAX)?;
    match text.trim().is_empty() || text.contains(char::is_control) {
        true => Err(Problem::new(
            Code::Invalid,
            "`reason` says why, in one line",
        )),
        false => Ok(()),
    }
}

fn edit(inner: &Inner, call: &Call, edit: &GateEdit<'_>) -> Answer {
    must_be_kept(inner)?;
    let row = environments::row(inner, call, call.value(0))?;
    for _ in 0..ATTEMPTS {
        let (version, held) = held(inner, &row.name)?;
        let (next, detail) = inner.host.edit_gate(&held, edit, now_s(inner))?;
        let mut store = inner.store()?;
        if store
            .save_promise_gate(&row.name, version, &next)
            .map_err(refused)?
        {
            let subject = format!("environments/{}", row.name);
            let line = audit(call, &subject, &detail);
            store.audit(&line, inner.now_ms()).map_err(refused)?;
            return Reply::json(&inner.host.show_gate(&next, now_s(inner)));
        }
    }
    Err(Problem::new(
        Code::Conflict,
        "others change the gate at the same time; try again",
    ))
}

fn now_s(inner: &Inner) -> u64 {
    u64::try_from(inner.now_ms() / 1000).unwrap_or(0)
}
