//! Incidents, their postmortems and action items. What they mean is the engine's business; here they
//! are kept, with versions, so that the gateway that leads and people write them side by side.

use super::row::{Row, before, clean, limit, number, optional, row, rows, sha256};
use super::{Answer, ControlError, Lease, audit, fleet, revision};
use crate::StoreError;
use crate::database::{Database, transaction};
use crate::journal::own;
use serde::Serialize;
use serde_json::json;

/// Most bytes of an incident, of a desk, of a postmortem, of an action, and of a name.
const DATA_MAX: usize = 4 << 20;
const DESK_MAX: usize = 1 << 20;
const POSTMORTEM_MAX: usize = 4 << 20;
const ACTION_MAX: usize = 4 << 10;
const NAME_MAX: usize = 1 << 10;
/// Most action items of one postmortem.
pub const ACTIONS_MAX: usize = 200;

/// What whoever leads remembers about the incidents of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeskRow {
    /// All of it, as JSON.
    pub data: String,
    /// Grows with each write of an incident of this environment, whoever writes it.
    pub version: u64,
}

/// An incident as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IncidentRow {
    /// Its id.
    pub id: String,
    /// Its place in the order of opening, from 1; for pages.
    pub number: u64,
    /// Its environment.
    pub environment: String,
    /// `detected`, `triaged`, `mitigated`, `resolved`, `reviewed`.
    pub life: String,
    /// Whether signals may still join it.
    pub on_desk: bool,
    /// All of it, as JSON.
    pub data: String,
    /// Grows with each write.
    pub version: u64,
    /// When it was opened, in UNIX milliseconds.
    pub opened_ms: i64,
    /// When it was last written, in UNIX milliseconds.
    pub changed_ms: i64,
}

/// Which incidents are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct IncidentQuery<'a> {
    /// Of this environment; empty: of all.
    pub environment: &'a str,
    /// Only those that signals may still join.
    pub on_desk: bool,
    /// Those opened before the one with this number; `None`: from the newest.
    pub before: Option<u64>,
    /// Most rows.
    pub limit: usize,
}

/// An incident to open or to save.
#[derive(Debug, Clone, Copy)]
pub struct IncidentSave<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its version that the caller has seen; 0 to open it.
    pub expected: u64,
    /// `detected`, `triaged`, `mitigated`, `resolved`, `reviewed`.
    pub life: &'a str,
    /// Whether signals may still join it.
    pub on_desk: bool,
    /// All of it, as JSON; at most 4 MiB.
    pub data: &'a str,
    /// When it was opened, in UNIX milliseconds.
    pub opened_ms: i64,
}

/// Incidents of an environment that are written together with its desk.
#[derive(Debug, Clone, Copy)]
pub struct DeskSave<'a> {
    /// The environment.
    pub environment: &'a str,
    /// The desk as the caller has seen it, and what it becomes; `None` leaves what is in it, and makes
    /// its version grow all the same. At most 1 MiB.
    pub desk: Option<(u64, &'a str)>,
    /// The incidents.
    pub incidents: &'a [IncidentSave<'a>],
    /// The lease that the caller acts under, when only its holder may.
    pub lease: Option<&'a Lease>,
    /// Now, in UNIX milliseconds.
    pub now_ms: i64,
}

/// A postmortem as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PostmortemRow {
    /// Its incident.
    pub incident: String,
    /// `draft` or `published`.
    pub state: String,
    /// What people wrote, as JSON, without the actions.
    pub narrative: String,
    /// The text that was published; empty before.
    pub document: String,
    /// Grows with each write.
    pub version: u64,
    /// When it was last written, in UNIX milliseconds.
    pub changed_ms: i64,
}

/// A postmortem to save, with all of its actions.
#[derive(Debug, Clone, Copy)]
pub struct PostmortemSave<'a> {
    /// Its incident, which must be there.
    pub incident: &'a str,
    /// Its version that the caller has seen; 0 for the first.
    pub expected: u64,
    /// `draft` or `published`.
    pub state: &'a str,
    /// What people wrote, as JSON, without the actions.
    pub narrative: &'a str,
    /// The text to publish; empty for a draft. With the narrative at most 4 MiB.
    pub document: &'a str,
    /// Its actions, in order; they replace those before. At most [`ACTIONS_MAX`].
    pub actions: &'a [ActionRow],
    /// Now, in UNIX milliseconds.
    pub now_ms: i64,
}

/// Something to be done after an incident.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ActionRow {
    /// Its incident; given by the store where one is written.
    pub incident: String,
    /// Its place among those of its incident, from 1; given by the store where one is written.
    pub number: u64,
    /// What; at most 4 KiB.
    pub action: String,
    /// The team that does it.
    pub team: String,
    /// `open`, `done`, `dropped`.
    pub state: String,
    /// Until when, in UNIX milliseconds.
    pub due_ms: Option<i64>,
    /// When it was last written, in UNIX milliseconds; given by the store.
    pub changed_ms: i64,
}

const COLUMNS: &str =
    "id, number, environment, life, on_desk, data, version, opened_ms, changed_ms";
const ACTION: &str = "incident, number, action, team, state, due_ms, changed_ms";

impl IncidentRow {
    fn read(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text(),
            number: row.number(),
            environment: row.text(),
            life: row.text(),
            on_desk: row.flag(),
            data: row.text(),
            version: row.number(),
            opened_ms: row.time(),
            changed_ms: row.time(),
        })
    }
}

fn action(row: &mut Row) -> Result<ActionRow, StoreError> {
    Ok(ActionRow {
        incident: row.text(),
        number: row.number(),
        action: row.text(),
        team: row.text(),
        state: row.text(),
        due_ms: row.optional_time(),
        changed_ms: row.time(),
    })
}

pub(super) fn desk<D: Database>(database: &mut D, environment: &str) -> Answer<Option<DeskRow>> {
    row(
        database,
        "SELECT data, version FROM incident_desk WHERE environment = $1",
        &[environment.into()],
        |row| {
            Ok(DeskRow {
                data: row.text(),
                version: row.number(),
            })
        },
    )
}

pub(super) fn one<D: Database>(database: &mut D, id: &str) -> Answer<Option<IncidentRow>> {
    let sql = format!("SELECT {COLUMNS} FROM incident WHERE id = $1");
    row(database, &sql, &[id.into()], IncidentRow::read)
}

pub(super) fn page<D: Database>(
    database: &mut D,
    query: &IncidentQuery<'_>,
) -> Answer<Vec<IncidentRow>> {
    let (mut of, mut values) = (vec!["number < $1".to_owned()], vec![before(query.before)]);
    if !query.environment.is_empty() {
        values.push(query.environment.into());
        of.push(format!("environment = ${}", values.len()));
    }
    if query.on_desk {
        of.push("on_desk = 1".to_owned());
    }
    values.push(limit(query.limit));
    let (of, most) = (of.join(" AND "), values.len());
    let sql =
        format!("SELECT {COLUMNS} FROM incident WHERE {of} ORDER BY number DESC LIMIT ${most}");
    rows(database, &sql, &values, IncidentRow::read)
}

/// Writes incidents and their desk, all or nothing; returns the desk's new version.
pub(super) fn save<D: Database>(database: &mut D, save: &DeskSave<'_>) -> Answer<u64> {
    transaction(database, |database| {
        audit::wait_for_writers(database)?;
        if let Some(lease) = save.lease {
            fleet::must_lead(database, lease)?;
        }
        for incident in save.incidents {
            revision::fits("incident", incident.data.len(), DATA_MAX)?;
            put(database, save, incident)?;
        }
        write_desk(database, save)
    })
}

fn write_desk<D: Database>(database: &mut D, save: &DeskSave<'_>) -> Answer<u64> {
    let known = desk(database, save.environment)?;
    let current = known.as_ref().map_or(0, |desk| desk.version);
    let data = match save.desk {
        Some((expected, _)) if expected != current => {
            return Err(ControlError::Stale { expected, current });
        }
        Some((_, data)) => data,
        None => known.as_ref().map_or("", |desk| &desk.data),
    };
    revision::fits("desk", data.len(), DESK_MAX)?;
    database.execute(
        "INSERT INTO incident_desk (environment, data, version, changed_ms)
         VALUES ($1, $2, $3, $4) ON CONFLICT (environment) DO UPDATE SET
         data = excluded.data, version = excluded.version, changed_ms = excluded.changed_ms",
        &[
            save.environment.into(),
            clean(data, DESK_MAX).into(),
            number(current + 1),
            save.now_ms.into(),
        ],
    )?;
    Ok(current + 1)
}

fn put<D: Database>(
    database: &mut D,
    save: &DeskSave<'_>,
    incident: &IncidentSave<'_>,
) -> Answer<()> {
    let known = one(database, incident.id)?;
    let current = known.map_or(0, |row| row.version);
    if current != incident.expected {
        let expected = incident.expected;
        return Err(ControlError::Stale { expected, current });
    }
    let life = clean(incident.life, NAME_MAX);
    let data = clean(incident.data, DATA_MAX);
    let on_desk = i64::from(incident.on_desk);
    let said = json!({
        "id": incident.id,
        "environment": save.environment,
        "life": life,
        "on_desk": incident.on_desk,
        "version": current + 1,
        "opened_ms": incident.opened_ms,
        "changed_ms": save.now_ms,
        "digest": sha256(data.as_bytes()),
    });
    let which = format_args!("{}/{}", incident.id, current + 1);
    let event = own::event(own::INCIDENT, which, "", &said);
    own::append(database, save.now_ms, &[event])?;
    if current > 0 {
        database.execute(
            "UPDATE incident SET life = $1, on_desk = $2, data = $3, version = version + 1,
             changed_ms = $4 WHERE id = $5",
            &[
                life.into(),
                on_desk.into(),
                data.into(),
                save.now_ms.into(),
                incident.id.into(),
            ],
        )?;
        return Ok(());
    }
    let place = revision::count(database, "incident")?;
    database.execute(
        "INSERT INTO incident (id, number, environment, life, on_desk, data, version, opened_ms,
         changed_ms) VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8)",
        &[
            incident.id.into(),
            number(place),
            save.environment.into(),
            life.into(),
            on_desk.into(),
            data.into(),
            incident.opened_ms.into(),
            save.now_ms.into(),
        ],
    )?;
    Ok(())
}

pub(super) fn postmortem<D: Database>(
    database: &mut D,
    incident: &str,
) -> Answer<Option<PostmortemRow>> {
    row(
        database,
        "SELECT incident, state, narrative, document, version, changed_ms FROM postmortem
         WHERE incident = $1",
        &[incident.into()],
        |row| {
            Ok(PostmortemRow {
                incident: row.text(),
                state: row.text(),
                narrative: row.text(),
                document: row.text(),
                version: row.number(),
                changed_ms: row.time(),
            })
        },
    )
}

pub(super) fn save_postmortem<D: Database>(
    database: &mut D,
    save: &PostmortemSave<'_>,
) -> Answer<PostmortemRow> {
    let bytes = save.narrative.len() + save.document.len();
    revision::fits("postmortem", bytes, POSTMORTEM_MAX)?;
    revision::fits("list of actions", save.actions.len(), ACTIONS_MAX)?;
    transaction(database, |database| {
        audit::wait_for_writers(database)?;
        let missing = || ControlError::Missing(format!("incident {}", save.incident));
        let incident = one(database, save.incident)?.ok_or_else(missing)?;
        let known = postmortem(database, save.incident)?;
        let current = known.map_or(0, |row| row.version);
        if current != save.expected {
            let expected = save.expected;
            return Err(ControlError::Stale { expected, current });
        }
        database.execute(
            "INSERT INTO postmortem (incident, state, narrative, document, version, changed_ms)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (incident) DO UPDATE SET
             state = excluded.state, narrative = excluded.narrative, document = excluded.document,
             version = excluded.version, changed_ms = excluded.changed_ms",
            &[
                save.incident.into(),
                clean(save.state, NAME_MAX).into(),
                clean(save.narrative, POSTMORTEM_MAX).into(),
                clean(save.document, POSTMORTEM_MAX).into(),
                number(current + 1),
                save.now_ms.into(),
            ],
        )?;
        put_actions(database, save, &incident.environment)?;
        let said = json!({
            "incident": save.incident,
            "state": save.state,
            "version": current + 1,
            "changed_ms": save.now_ms,
            "actions": save.actions.len(),
            "digest": sha256([save.narrative, save.document].concat().as_bytes()),
        });
        let which = format_args!("{}/{}", save.incident, current + 1);
        let event = own::event(own::POSTMORTEM, which, "", &said);
        own::append(database, save.now_ms, &[event])?;
        postmortem(database, save.incident)?.ok_or_else(missing)
    })
}

fn put_actions<D: Database>(
    database: &mut D,
    save: &PostmortemSave<'_>,
    environment: &str,
) -> Answer<()> {
    let of = [save.incident.into()];
    database.execute("DELETE FROM action_item WHERE incident = $1", &of)?;
    for (place, action) in (1..).zip(save.actions) {
        revision::fits("action", action.action.len(), ACTION_MAX)?;
        database.execute(
            "INSERT INTO action_item (incident, number, environment, action, team, state, due_ms,
             changed_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            &[
                save.incident.into(),
                number(place),
                environment.into(),
                clean(&action.action, ACTION_MAX).into(),
                clean(&action.team, NAME_MAX).into(),
                clean(&action.state, NAME_MAX).into(),
                optional(action.due_ms.and_then(|due| u64::try_from(due).ok())),
                save.now_ms.into(),
            ],
        )?;
    }
    Ok(())
}

pub(super) fn actions_of<D: Database>(database: &mut D, incident: &str) -> Answer<Vec<ActionRow>> {
    let sql = format!("SELECT {ACTION} FROM action_item WHERE incident = $1 ORDER BY number");
    rows(database, &sql, &[incident.into()], action)
}

pub(super) fn actions<D: Database>(
    database: &mut D,
    environment: &str,
    state: &str,
    most: usize,
) -> Answer<Vec<ActionRow>> {
    let sql = format!(
        "SELECT {ACTION} FROM action_item
         WHERE environment = $1 AND ($2 = '' OR state = $3)
         ORDER BY CASE WHEN due_ms IS NULL THEN 1 ELSE 0 END, due_ms, incident, number LIMIT $4"
    );
    let values = [environment.into(), state.into(), state.into(), limit(most)];
    rows(database, &sql, &values, action)
}

pub(super) fn set_action<D: Database>(
    database: &mut D,
    incident: &str,
    place: u64,
    state: &str,
    now_ms: i64,
) -> Answer<()> {
    let updated = database.execute(
        "UPDATE action_item SET state = $1, changed_ms = $2 WHERE incident = $3 AND number = $4",
        &[
            clean(state, NAME_MAX).into(),
            now_ms.into(),
            incident.into(),
            number(place),
        ],
    )?;
    match updated {
        0 => Err(ControlError::Missing(format!(
            "action {place} of incident {incident}"
        ))),
        _ => Ok(()),
    }
}
