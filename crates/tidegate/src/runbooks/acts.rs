//! What an action means: for this process, or for the environment in the store.

use super::figures;
use super::stored::{Stored, now_ms, signed};
use crate::follow::texts;
use crate::promises::gate;
use gate_admin::GateEdit;
use gate_api::types::FreezeInput;
use gate_model::resources::GatewayAction;
use gate_model::units::Period;
use gate_ops::runbook::{Act, Desk};
use gate_proxy::actions::InForce;
use gate_proxy::process::Process;
use gate_store::control::{
    Cause, Change, ControlError, ControlStore, Edit, Expected, NewAudit, NewRevision, Set, Target,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often the gate is written anew on what another wrote.
const ATTEMPTS: usize = 5;
const NOTHING: &str = "{}";

/// Puts the actions of a desk in force in this process, and ends all others; what is wrong with those
/// that cannot be, by id.
pub(super) fn apply(process: &Process, desk: &Desk) -> BTreeMap<String, String> {
    let all: Vec<InForce> = desk
        .acts
        .iter()
        .map(|act| InForce {
            id: act.id.clone(),
            what: act.what.clone(),
            until: Duration::from_millis(act.until_ms),
        })
        .collect();
    process.act(&all)
}

/// The action with what was left open filled in.
///
/// # Errors
/// Why it cannot be, in a sentence.
pub(super) fn resolve(
    process: &Process,
    action: &GatewayAction,
    now_ms: u64,
) -> Result<GatewayAction, String> {
    if let Some(problem) = action.problem() {
        return Err(problem);
    }
    Ok(match action {
        GatewayAction::Eject {
            upstream,
            endpoint: None,
        } => GatewayAction::Eject {
            upstream: upstream.clone(),
            endpoint: Some(figures::worst(process, upstream, now_ms)?),
        },
        other => other.clone(),
    })
}

/// Does what an action means for the store. To do it again does no harm.
///
/// # Errors
/// Why it cannot be done, in a sentence.
pub(super) fn perform(stored: &Stored, act: &Act, now_ms: u64) -> Result<String, String> {
    match &act.what {
        GatewayAction::RollBack {} => roll_back(stored, act, now_ms),
        GatewayAction::Freeze { route } => {
            let lasts_s = act.until_ms.saturating_sub(now_ms).div_ceil(1000).max(1);
            let input = FreezeInput {
                route: route.clone(),
                reason: format!("{} (action {})", act.reason, act.id),
                lasts: Period::from_seconds(lasts_s),
            };
            edit_gate(stored, &GateEdit::Freeze(&input), now_ms)?;
            Ok("changes are frozen".to_owned())
        }
        other => Ok(format!("in force: {}", other.in_words())),
    }
}

/// Undoes what an action meant for the store; says how that went.
pub(super) fn take_back(stored: &Stored, act: &Act, now_ms: u64) -> String {
    let done = match &act.what {
        GatewayAction::RollBack {} => go_forward(stored, act, now_ms),
        GatewayAction::Freeze { route } => {
            edit_gate(stored, &GateEdit::Thaw(route.as_deref()), now_ms)
                .map(|()| "changes pass again".to_owned())
        }
        other => Ok(format!("no longer in force: {}", other.in_words())),
    };
    done.unwrap_or_else(|error| format!("{} stays until its end: {error}", act.what.in_words()))
}

fn edit_gate(stored: &Stored, edit: &GateEdit<'_>, now_ms: u64) -> Result<(), String> {
    must_follow(stored)?;
    let environment = stored.environment();
    for _ in 0..ATTEMPTS {
        let held = stored.shelf.ask(|store| store.promise_gate(environment));
        let (version, held) = held.map_err(|error| error.to_string())?.unwrap_or_default();
        let next = gate::edit(&held, edit, &BTreeMap::new(), now_ms / 1000);
        let (next, _) = next.map_err(|problem| problem.detail)?;
        let saved = stored
            .shelf
            .ask(|store| store.save_promise_gate(environment, version, &next));
        if saved.map_err(|error| error.to_string())? {
            return Ok(());
        }
    }
    Err("others change the gate at the same time".to_owned())
}

fn must_follow(stored: &Stored) -> Result<(), String> {
    match stored.follows {
        true => Ok(()),
        false => Err("this gateway follows no environment: its file alone rules".to_owned()),
    }
}

/// Goes back to the revision before the current one, to be confirmed until the action's end: behind
/// it the environment's leader goes forward again by itself.
fn roll_back(stored: &Stored, act: &Act, now_ms: u64) -> Result<String, String> {
    must_follow(stored)?;
    let environment = stored.environment();
    let asked = stored.shelf.ask(|store| {
        let row = store.environment(environment)?;
        let current = row.as_ref().and_then(|row| row.revision);
        let before = match current {
            Some(number) => store.revision(number)?.and_then(|revision| revision.parent),
            None => None,
        };
        Ok((row, current, before))
    });
    let (row, current, before) = asked.map_err(|error| error.to_string())?;
    let (Some(row), Some(current)) = (row, current) else {
        return Err("the environment has no revision to go back from".to_owned());
    };
    // It was done before a gateway died.
    if act.from.is_some_and(|from| from != current) {
        return Ok(format!("revision {current} is in force"));
    }
    let before = before.ok_or("there was no revision before the current one")?;
    if row.candidate.is_some() {
        return Err("a rollout is under way, which watches over itself".to_owned());
    }
    if row.confirm_until_ms.is_some() {
        return Err("the revision awaits its confirmation, and goes back by itself".to_owned());
    }
    let edit = Edit {
        revision: Set::To(Target::New),
        stable: Set::To(Target::Number(current)),
        confirm_until_ms: Set::To(signed(act.until_ms)),
        ..Edit::default()
    };
    let message = format!("back to revision {before} for a while: {}", act.reason);
    let written = Written {
        id: &act.id,
        generation: row.generation,
        content: before,
        parent: current,
        cause: Cause::Rollback,
        action: "rollback",
        message: &message,
        edit,
    };
    write(stored, &written, act, now_ms)?;
    Ok(format!(
        "back from revision {current} to what revision {before} was"
    ))
}

/// Goes forward again, if the environment is where the action left it.
fn go_forward(stored: &Stored, act: &Act, now_ms: u64) -> Result<String, String> {
    must_follow(stored)?;
    let environment = stored.environment();
    let row = stored.shelf.ask(|store| store.environment(environment));
    let row = row.map_err(|error| error.to_string())?;
    let (Some(row), Some(from)) = (row, act.from) else {
        return Err("the revision that it went back from is not known".to_owned());
    };
    // Confirmed, changed since, or forward already.
    if row.confirm_until_ms.is_none() || row.stable != Some(from) {
        return Ok("the environment has gone on since".to_owned());
    }
    let current = row.revision.unwrap_or(from);
    let edit = Edit {
        revision: Set::To(Target::New),
        stable: Set::To(Target::New),
        confirm_until_ms: Set::Clear,
        ..Edit::default()
    };
    let id = format!("{}-undo", act.id);
    let message = format!("forward to revision {from} again");
    let written = Written {
        id: &id,
        generation: row.generation,
        content: from,
        parent: current,
        cause: Cause::Revert,
        action: "revert",
        message: &message,
        edit,
    };
    write(stored, &written, act, now_ms)?;
    Ok(message)
}

struct Written<'a> {
    id: &'a str,
    generation: u64,
    content: u64,
    parent: u64,
    cause: Cause,
    action: &'a str,
    message: &'a str,
    edit: Edit,
}

fn write(stored: &Stored, written: &Written<'_>, act: &Act, now_ms: u64) -> Result<(), String> {
    let environment = stored.environment();
    let subject = format!("environments/{environment}");
    let change = |store: &mut dyn ControlStore| {
        let missing = || ControlError::Missing(format!("revision {}", written.content));
        let (document, managers, files) = texts(store, written.content)?.ok_or_else(missing)?;
        store.change(&Change {
            id: written.id,
            environment,
            expected: Expected::Generation(written.generation),
            revision: Some(NewRevision {
                document: &document,
                managers: &managers,
                files: files.as_deref(),
                parent: Some(written.parent),
                author: &act.by,
                cause: written.cause,
                message: written.message,
                source_commit: None,
                plan: None,
                checks: NOTHING,
            }),
            edit: written.edit.clone(),
            rollout: None,
            lease: None,
            despite_lock: false,
            audit: NewAudit {
                actor: &act.by,
                role: "operator",
                action: written.action,
                subject: &subject,
                outcome: "done",
                detail: written.message,
            },
            now_ms: signed(now_ms),
        })
    };
    let changed = stored.shelf.ask(change);
    changed.map(|_| ()).map_err(|error| error.to_string())
}

/// The revision in force, which going back is undone to.
pub(super) fn current(stored: &Stored) -> Option<u64> {
    let environment = stored.environment();
    let row = stored.shelf.ask(|store| store.environment(environment));
    row.ok().flatten().and_then(|row| row.revision)
}

/// Puts an action that is on the desk in force here, and in the store where it means something there.
///
/// # Errors
/// Why it cannot be, in a sentence; it is to be taken off the desk then.
pub(super) fn put_in_force(
    process: &Process,
    stored: &Stored,
    desk: &Desk,
    act: &Act,
) -> Result<String, String> {
    let mut problems = apply(process, desk);
    match problems.remove(&act.id) {
        Some(problem) => Err(problem),
        None => perform(stored, act, now_ms()),
    }
}
