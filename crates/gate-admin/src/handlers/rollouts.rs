//! Rollouts and acknowledgements: how a revision fares, and a person's hand on it.

use super::environments::{self, ATTEMPTS, audit, may_retry};
use super::{bounded, changes, clean, not_found, page, page_of, random_id};
use crate::api::Inner;
use crate::call::Call;
use crate::convert;
use crate::reply::{Answer, Reply, refused};
use gate_api::problem::{Code, Problem};
use gate_api::types::{Page, ReasonInput, Rollout};
use gate_store::control::{
    Change, ControlError, Edit, NewAudit, NewRollout, PAGE_MAX, RolloutRow, RolloutSave, Set,
    Target,
};
use serde_json::{Value, json};

/// Gateways that have not spoken for this long are not listed, in milliseconds.
const SILENT_MS: i64 = 5 * 60 * 1000;

pub(super) fn acks(inner: &Inner, call: &Call) -> Answer {
    let row = environments::row(inner, call, call.value(0))?;
    if !inner.has_environments() {
        return Reply::json(&Page::<gate_api::types::Ack>::whole(Vec::new()));
    }
    let since = inner.now_ms().saturating_sub(SILENT_MS);
    let rows = inner.store()?.acks(&row.name, since).map_err(refused)?;
    let page = page_of(call, rows.into_iter().map(convert::ack).collect())?;
    Ok(Reply::json(&page)?.tagged(row.generation))
}

pub(super) fn list(inner: &Inner, call: &Call) -> Answer {
    let row = environments::row(inner, call, call.value(0))?;
    if !inner.has_environments() {
        return Reply::json(&Page::<Rollout>::whole(Vec::new()));
    }
    let limit = call.limit().min(PAGE_MAX - 1);
    let before = call.cursor_number()?;
    let rows = inner.store()?.rollouts(&row.name, before, limit + 1);
    let page = page(rows.map_err(refused)?, limit, |row: &RolloutRow| {
        row.number.to_string()
    });
    let shown = page.items.iter().map(|row| show(inner, row));
    let page = Page {
        items: shown.collect::<Result<Vec<_>, _>>()?,
        next: page.next,
    };
    Ok(Reply::json(&page)?.tagged(row.generation))
}

fn show(inner: &Inner, row: &RolloutRow) -> Result<Rollout, Problem> {
    let evidence = inner.store()?.evidence(&row.id).map_err(refused)?;
    Ok(inner.host.show_rollout(row, &evidence))
}

/// The rollout that a call is about.
fn found(inner: &Inner, call: &Call) -> Result<RolloutRow, Problem> {
    let id = call.value(0);
    let missing = || not_found(format_args!("rollout `{id}`"));
    if !inner.has_environments() {
        return Err(missing());
    }
    let row = inner.store()?.rollout(id).map_err(refused)?;
    let row = row.ok_or_else(missing)?;
    call.who.must_see(&row.environment)?;
    Ok(row)
}

pub(super) fn get(inner: &Inner, call: &Call) -> Answer {
    let row = found(inner, call)?;
    let environment = environments::row(inner, call, &row.environment)?;
    Ok(Reply::json(&show(inner, &row)?)?.tagged(environment.generation))
}

/// The rollout's data with a person's reason in it.
fn with_reason(row: &RolloutRow, call: &Call, reason: &str) -> String {
    let mut data: Value = serde_json::from_str(&row.data).unwrap_or_default();
    if !data.is_object() {
        data = json!({});
    }
    let word = call.operation.id.trim_end_matches("Rollout");
    let reason = match reason.is_empty() {
        true => format!("{word} by {}", call.who.actor),
        false => format!("{word} by {}: {}", call.who.actor, clean(reason)),
    };
    data["reason"] = reason.into();
    data.to_string()
}

fn running(row: &RolloutRow) -> Result<(), Problem> {
    match row.state.as_str() {
        "running" | "held" => Ok(()),
        state => Err(Problem::new(
            Code::Conflict,
            format!("the rollout has ended: {}", state.replace('_', " ")),
        )),
    }
}

/// Holds a rollout or lets it go on.
pub(super) fn steer(inner: &Inner, call: &Call) -> Answer {
    let input: ReasonInput = call.json()?;
    bounded("reason", &input.reason, 4 << 10)?;
    let state = match call.operation.id {
        "holdRollout" => "held",
        _ => "running",
    };
    let mut attempt = 0;
    loop {
        attempt += 1;
        let row = found(inner, call)?;
        let environment = environments::row(inner, call, &row.environment)?;
        environments::expect(inner, call.if_match, &environment)?;
        running(&row)?;
        if row.state == state {
            return Reply::json(&show(inner, &row)?);
        }
        let save = RolloutSave {
            id: &row.id,
            expected: row.version,
            state,
            data: &with_reason(&row, call, &input.reason),
            lease: None,
            now_ms: inner.now_ms(),
        };
        let saved = inner.store()?.save_rollout(&save);
        match saved {
            Ok(row) => {
                let subject = format!("rollouts/{}", row.id);
                let line: NewAudit<'_> = audit(call, &subject, &input.reason);
                let mut store = inner.store()?;
                store.audit(&line, inner.now_ms()).map_err(refused)?;
                drop(store);
                return Reply::json(&show(inner, &row)?);
            }
            // The leader writes it too.
            Err(ControlError::StaleRollout { .. }) if attempt < ATTEMPTS => {}
            Err(error) => return Err(refused(error)),
        }
    }
}

/// Ends a rollout, either way, together with its environment's pointers.
pub(super) fn end(inner: &Inner, call: &Call) -> Answer {
    let input: ReasonInput = call.json()?;
    bounded("reason", &input.reason, 4 << 10)?;
    let promoted = call.operation.id == "promoteRollout";
    let mut attempt = 0;
    loop {
        attempt += 1;
        let row = found(inner, call)?;
        let environment = environments::row(inner, call, &row.environment)?;
        let expected = environments::expect(inner, call.if_match, &environment)?;
        running(&row)?;
        if environment.candidate.as_ref().map(|it| &it.rollout) != Some(&row.id) {
            let text = "the environment does not run this rollout any more";
            return Err(Problem::new(Code::Conflict, text));
        }
        let mut edit = Edit {
            candidate: Set::Clear,
            ..Edit::default()
        };
        if promoted {
            edit.revision = Set::To(Target::Number(row.candidate));
            edit.stable = Set::To(Target::Number(row.candidate));
            edit.confirm_until_ms = Set::Clear;
        }
        let subject = format!("environments/{}", row.environment);
        let detail = json!({ "rollout": row.id, "reason": clean(&input.reason) }).to_string();
        let change = Change {
            id: &random_id()?,
            environment: &row.environment,
            expected,
            revision: None,
            edit,
            rollout: Some(NewRollout {
                id: &row.id,
                expected: row.version,
                candidate: Target::Number(row.candidate),
                control: row.control,
                state: if promoted { "promoted" } else { "rolled_back" },
                data: &with_reason(&row, call, &input.reason),
            }),
            lease: None,
            despite_lock: false,
            audit: audit(call, &subject, &detail),
            now_ms: inner.now_ms(),
        };
        let changed = inner.change(&change)?;
        match changed {
            Ok(_) => return Reply::json(&show(inner, &found(inner, call)?)?),
            Err(error) if attempt < ATTEMPTS && may_retry(call.if_match, &error) => {}
            Err(ControlError::Stale { .. }) => {
                return Err(changes::stale(inner, &environment, None));
            }
            Err(error) => return Err(refused(error)),
        }
    }
}
