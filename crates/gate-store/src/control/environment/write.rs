//! Changing an environment: everything about a change in one transaction.

use super::{Candidate, Change, Changed, Edit, EnvironmentRow, Expected, Set, Target, read};
use crate::control::row::{clean, number, optional};
use crate::control::{
    Answer, ControlError, NewAudit, RevisionRow, audit, fleet, revision, rollout,
};
use crate::database::{Database, Value, transaction};
use crate::journal::own;
use serde::Serialize;

/// Most bytes of all variables, as JSON.
const VARIABLES_MAX: usize = 256 << 10;
/// Most bytes of a name.
const NAME_MAX: usize = 1 << 10;

/// What the history says of a change.
struct Note<'a> {
    id: &'a str,
    written: Option<u64>,
    removed: bool,
}

pub(in crate::control) fn change<D: Database>(
    database: &mut D,
    change: &Change<'_>,
) -> Answer<Changed> {
    transaction(database, |database| {
        audit::wait_for_writers(database)?;
        if let Some(changed) = repeated(database, change)? {
            return Ok(changed);
        }
        let before = based_on(database, change)?;
        if let Some(lease) = change.lease {
            fleet::must_lead(database, lease)?;
        }
        let new = change
            .revision
            .as_ref()
            .map(|new| revision::insert(database, new, change.environment, change.now_ms));
        let new = new.transpose()?;
        let mut environment = edited(database, before, change, new.as_ref())?;
        environment.generation += 1;
        environment.changed_ms = change.now_ms;
        if let Some(new_rollout) = &change.rollout {
            let candidate = number_of(database, new_rollout.candidate, new.as_ref())?;
            rollout::put(
                database,
                new_rollout,
                &environment.name,
                candidate,
                change.now_ms,
            )?;
        }
        let written = new.as_ref().map(|revision| revision.number);
        let note = Note {
            id: change.id,
            written,
            removed: false,
        };
        write(database, &environment, &note, &change.audit)?;
        audit::append(database, &change.audit, change.now_ms)?;
        Ok(Changed {
            environment,
            revision: new,
            repeated: false,
        })
    })
}

/// What a change that was handed over before has led to.
fn repeated<D: Database>(database: &mut D, change: &Change<'_>) -> Answer<Option<Changed>> {
    if change.id.is_empty() {
        return Ok(None);
    }
    let Some(written) = read::done(database, change.environment, change.id)? else {
        return Ok(None);
    };
    let missing = || ControlError::Missing(format!("environment {}", change.environment));
    let environment = read::one(database, change.environment)?.ok_or_else(missing)?;
    let revision = match written {
        Some(number) => revision::one(database, number)?,
        None => None,
    };
    Ok(Some(Changed {
        environment,
        revision,
        repeated: true,
    }))
}

/// The environment that a change is based on, if it still is what the caller saw.
fn based_on<D: Database>(database: &mut D, change: &Change<'_>) -> Answer<EnvironmentRow> {
    let name = change.environment;
    let before = match (read::any(database, name)?, change.expected) {
        (Some((environment, false)), Expected::Generation(expected)) => {
            must_be(expected, environment.generation)?;
            environment
        }
        (Some((_, false)), Expected::Absent) => {
            return Err(ControlError::Exists(format!("environment {name}")));
        }
        (_, Expected::Generation(_)) => {
            return Err(ControlError::Missing(format!("environment {name}")));
        }
        (gone, Expected::Absent) => EnvironmentRow {
            name: name.to_owned(),
            generation: gone.map_or(0, |(environment, _)| environment.generation),
            revision: None,
            stable: None,
            confirm_until_ms: None,
            candidate: None,
            variables: Default::default(),
            lock: None,
            promotes_to: None,
            changed_ms: change.now_ms,
        },
    };
    match &before.lock {
        Some(lock) if lock.holder != change.audit.actor && !change.despite_lock => {
            Err(ControlError::Locked(lock.clone()))
        }
        _ => Ok(before),
    }
}

fn must_be(expected: u64, current: u64) -> Answer<()> {
    match expected == current {
        true => Ok(()),
        false => Err(ControlError::Stale { expected, current }),
    }
}

/// The revision that a target means; it exists.
fn number_of<D: Database>(
    database: &mut D,
    target: Target,
    new: Option<&RevisionRow>,
) -> Answer<u64> {
    match target {
        Target::New => new
            .map(|revision| revision.number)
            .ok_or_else(|| ControlError::Missing("new revision in this change".into())),
        Target::Number(number) => revision::must_exist(database, number).map(|()| number),
    }
}

fn set<T>(field: &mut Option<T>, set: Set<T>) {
    match set {
        Set::Keep => (),
        Set::Clear => *field = None,
        Set::To(value) => *field = Some(value),
    }
}

/// The environment as a change wants it.
fn edited<D: Database>(
    database: &mut D,
    before: EnvironmentRow,
    change: &Change<'_>,
    new: Option<&RevisionRow>,
) -> Answer<EnvironmentRow> {
    let mut environment = before;
    let Edit {
        revision,
        stable,
        confirm_until_ms,
        candidate,
        variables,
        lock,
        promotes_to,
    } = change.edit.clone();
    for (field, target) in [
        (&mut environment.revision, revision),
        (&mut environment.stable, stable),
    ] {
        match target {
            Set::Keep => (),
            Set::Clear => *field = None,
            Set::To(target) => *field = Some(number_of(database, target, new)?),
        }
    }
    match candidate {
        Set::Keep => (),
        Set::Clear => environment.candidate = None,
        Set::To((target, rollout)) => {
            let revision = number_of(database, target, new)?;
            environment.candidate = Some(Candidate { revision, rollout });
        }
    }
    match variables {
        Set::Keep => (),
        Set::Clear => environment.variables.clear(),
        Set::To(variables) => environment.variables = variables,
    }
    set(&mut environment.confirm_until_ms, confirm_until_ms);
    set(&mut environment.lock, lock);
    set(&mut environment.promotes_to, promotes_to);
    Ok(environment)
}

/// Writes an environment as it is now, with its line in the history.
fn write<D: Database>(
    database: &mut D,
    environment: &EnvironmentRow,
    note: &Note<'_>,
    audit: &NewAudit<'_>,
) -> Answer<()> {
    let columns = "name, generation, revision, stable, confirm_until_ms, candidate, rollout, \
                   variables, lock_holder, lock_reason, lock_since_ms, promotes_to, changed_ms, \
                   removed";
    let all: Vec<&str> = columns.split(", ").collect();
    let places: Vec<String> = (1..=all.len()).map(|place| format!("${place}")).collect();
    let updates: Vec<String> = all[1..]
        .iter()
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    let sql = format!(
        "INSERT INTO environment ({columns}) VALUES ({}) ON CONFLICT (name) DO UPDATE SET {}
         WHERE environment.generation = excluded.generation - 1",
        places.join(", "),
        updates.join(", "),
    );
    let mut values = values(environment)?;
    values.push(i64::from(note.removed).into());
    if database.execute(&sql, &values)? != 1 {
        // Writers wait for each other, so that nobody can have come between.
        return Err(ControlError::Stale {
            expected: environment.generation - 1,
            current: read::generation(database, &environment.name)?,
        });
    }
    history(database, environment, note, audit)?;
    let wake = database.dialect().wake;
    if !wake.is_empty() {
        database.script(wake)?;
    }
    Ok(())
}

fn values(environment: &EnvironmentRow) -> Answer<Vec<Value>> {
    let variables = serde_json::to_string(&environment.variables).unwrap_or_default();
    revision::fits("set of variables", variables.len(), VARIABLES_MAX)?;
    let (candidate, lock) = (environment.candidate.as_ref(), environment.lock.as_ref());
    let short = |text: &str| Value::from(clean(text, NAME_MAX));
    Ok(vec![
        environment.name.as_str().into(),
        number(environment.generation),
        optional(environment.revision),
        optional(environment.stable),
        environment.confirm_until_ms.into(),
        optional(candidate.map(|candidate| candidate.revision)),
        candidate.map_or(Value::Null, |candidate| short(&candidate.rollout)),
        variables.into(),
        lock.map_or(Value::Null, |lock| short(&lock.holder)),
        lock.map_or(Value::Null, |lock| short(&lock.reason)),
        lock.map(|lock| lock.since_ms).into(),
        environment.promotes_to.as_deref().into(),
        environment.changed_ms.into(),
    ])
}

/// What the journal carries of it.
#[derive(Serialize)]
struct Said<'a> {
    environment: &'a str,
    generation: u64,
    at_ms: i64,
    actor: String,
    action: String,
    revision: Option<u64>,
    stable: Option<u64>,
    candidate: Option<u64>,
    written: Option<u64>,
    removed: bool,
}

fn history<D: Database>(
    database: &mut D,
    environment: &EnvironmentRow,
    note: &Note<'_>,
    audit: &NewAudit<'_>,
) -> Answer<()> {
    let id = match note.id {
        "" => format!("generation {}", environment.generation),
        id => read::change_id(id),
    };
    let said = Said {
        environment: &environment.name,
        generation: environment.generation,
        at_ms: environment.changed_ms,
        actor: clean(audit.actor, NAME_MAX),
        action: clean(audit.action, NAME_MAX),
        revision: environment.revision,
        stable: environment.stable,
        candidate: environment.candidate.as_ref().map(|c| c.revision),
        written: note.written,
        removed: note.removed,
    };
    let (name, generation) = (&environment.name, environment.generation);
    let which = format_args!("{name}/{generation}");
    let event = own::event(own::ENVIRONMENT, which, "", &said);
    own::append(database, environment.changed_ms, &[event])?;
    database.execute(
        "INSERT INTO environment_history (environment, generation, change_id, at_ms, actor,
         action, revision, stable, candidate, written, removed)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        &[
            environment.name.as_str().into(),
            number(environment.generation),
            id.into(),
            environment.changed_ms.into(),
            clean(audit.actor, NAME_MAX).into(),
            clean(audit.action, NAME_MAX).into(),
            optional(environment.revision),
            optional(environment.stable),
            optional(environment.candidate.as_ref().map(|c| c.revision)),
            optional(note.written),
            i64::from(note.removed).into(),
        ],
    )?;
    Ok(())
}

pub(in crate::control) fn remove<D: Database>(
    database: &mut D,
    name: &str,
    generation: u64,
    line: &NewAudit<'_>,
    now_ms: i64,
) -> Answer<()> {
    let change = Change {
        id: "",
        environment: name,
        expected: Expected::Generation(generation),
        revision: None,
        edit: Edit::default(),
        rollout: None,
        lease: None,
        despite_lock: false,
        audit: *line,
        now_ms,
    };
    transaction(database, |database| {
        audit::wait_for_writers(database)?;
        let mut environment = based_on(database, &change)?;
        environment.generation += 1;
        environment.changed_ms = now_ms;
        environment.revision = None;
        environment.stable = None;
        environment.confirm_until_ms = None;
        environment.candidate = None;
        environment.variables.clear();
        environment.lock = None;
        environment.promotes_to = None;
        let note = Note {
            id: "",
            written: None,
            removed: true,
        };
        write(database, &environment, &note, line)?;
        audit::append(database, line, now_ms)?;
        Ok(())
    })
}
