//! What happens to an environment's revision after it was applied: back, onward, confirmed; and
//! locks.

use super::changes::{self, Intent, commit, of_revision};
use super::environments::{self, edit};
use super::provenance::Provenance;
use super::{bounded, clean, not_found};
use crate::api::Inner;
use crate::call::{Call, Match};
use crate::reply::{Answer, refused};
use gate_api::problem::{Code, Problem};
use gate_api::types::{LockInput, PromoteInput, ReasonInput, Role, RollbackInput};
use gate_store::control::{Cause, Edit, Lock, RevisionRow, Set, Target};

fn conflict(text: impl Into<String>) -> Problem {
    Problem::new(Code::Conflict, text)
}

fn revision(inner: &Inner, number: u64) -> Result<RevisionRow, Problem> {
    let found = inner.store()?.revision(number).map_err(refused)?;
    found.ok_or_else(|| not_found(format_args!("revision {number}")))
}

pub(super) fn rollback(inner: &Inner, call: &Call) -> Answer {
    let input: RollbackInput = call.json()?;
    bounded("message", &input.message, 16 << 10)?;
    let name = call.value(0);
    environments::must_be_kept(inner)?;
    let intent = Intent {
        environment: name,
        seen: call.if_match,
        cause: Cause::Rollback,
        message: &input.message,
        source_commit: None,
        provenance: Provenance::default(),
        canary: None,
        fixes: None,
        confirm_within: None,
        dry_run: false,
        with_effect: false,
    };
    let applied = commit(inner, call, &intent, |row, _| {
        let current = row
            .revision
            .ok_or_else(|| conflict("the environment has no revision to go back from"))?;
        let target = match input.to {
            Some(number) => number,
            None => revision(inner, current)?
                .parent
                .ok_or_else(|| conflict("there was no revision before the current one"))?,
        };
        if revision(inner, target)?.environment != name {
            let text = format!("revision {target} was never in `{name}`; promote it instead");
            return Err(conflict(text));
        }
        Ok((*of_revision(inner, target)?).clone())
    })?;
    changes::answer(&applied)
}

pub(super) fn promote(inner: &Inner, call: &Call) -> Answer {
    let input: PromoteInput = call.json()?;
    bounded("message", &input.message, 16 << 10)?;
    environments::must_be_kept(inner)?;
    let from = environments::row(inner, call, call.value(0))?;
    environments::expect(inner, call.if_match, &from)?;
    let target = input.to.clone().or(from.promotes_to.clone());
    let target = target.ok_or_else(|| {
        conflict("name the environment in `to`, or set `promotes_to` where it comes from")
    })?;
    if target == from.name {
        return Err(conflict("an environment cannot be promoted to itself"));
    }
    if from.confirm_until_ms.is_some() || from.candidate.is_some() {
        let text = "its revision is not confirmed yet, or a rollout runs";
        return Err(conflict(text));
    }
    let number = from
        .revision
        .ok_or_else(|| conflict("the environment has no revision to promote"))?;
    let source = revision(inner, number)?;
    let content = of_revision(inner, number)?;
    let message = match input.message.is_empty() {
        true => format!("revision {number} of {}", from.name),
        false => input.message.clone(),
    };
    let intent = Intent {
        environment: &target,
        // What the caller saw is where the revision comes from.
        seen: Match::Any,
        cause: Cause::Promote,
        message: &message,
        source_commit: source.source_commit.as_deref(),
        provenance: Provenance::of(&source.checks),
        canary: input.canary.as_ref(),
        fixes: None,
        confirm_within: input.confirm_within,
        dry_run: false,
        with_effect: false,
    };
    let applied = commit(inner, call, &intent, |_, _| Ok((*content).clone()))?;
    changes::answer(&applied)
}

pub(super) fn confirm(inner: &Inner, call: &Call) -> Answer {
    let _: ReasonInput = call.json()?;
    let environment = edit(inner, call, call.value(0), |row| {
        let (Some(revision), Some(_)) = (row.revision, row.confirm_until_ms) else {
            return Ok((Edit::default(), false));
        };
        let edit = Edit {
            stable: Set::To(Target::Number(revision)),
            confirm_until_ms: Set::Clear,
            ..Edit::default()
        };
        Ok((edit, false))
    })?;
    environments::answer(&environment)
}

pub(super) fn lock(inner: &Inner, call: &Call) -> Answer {
    let input: LockInput = call.json()?;
    bounded("reason", &input.reason, 4 << 10)?;
    let since_ms = inner.now_ms();
    let environment = edit(inner, call, call.value(0), |_| {
        let edit = Edit {
            lock: Set::To(Lock {
                holder: call.who.actor.clone(),
                reason: clean(&input.reason),
                since_ms,
            }),
            ..Edit::default()
        };
        Ok((edit, false))
    })?;
    environments::answer(&environment)
}

pub(super) fn unlock(inner: &Inner, call: &Call) -> Answer {
    let _: ReasonInput = call.json()?;
    let environment = edit(inner, call, call.value(0), |row| {
        if row.lock.is_none() {
            return Ok((Edit::default(), false));
        }
        let edit = Edit {
            lock: Set::Clear,
            ..Edit::default()
        };
        Ok((edit, call.who.role >= Role::Admin))
    })?;
    environments::answer(&environment)
}
