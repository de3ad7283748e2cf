//! Old incidents: those that are over, with their postmortems and actions that are closed.

use crate::control::row::{Row, limit, number, rows};
use crate::control::{Answer, NewAudit, audit};
use crate::database::{Database, transaction};

/// Incidents that one slice takes away at most.
const PRUNED_MAX: usize = 200;

/// Which incidents that are over stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IncidentKeep {
    /// How many of an environment; the oldest go first.
    pub most: u64,
    /// How long after they were last written, in milliseconds; 0 for ever.
    pub age_ms: i64,
}

/// Takes a slice of what is not kept of an environment's incidents away, with postmortems and actions
/// that are closed. What signals may join, is not over, or has an open action stays. Says how many went.
pub(in crate::control) fn prune<D: Database>(
    database: &mut D,
    environment: &str,
    keep: &IncidentKeep,
    now_ms: i64,
) -> Answer<u64> {
    let before_ms = match keep.age_ms {
        0 => i64::MIN,
        age_ms => now_ms.saturating_sub(age_ms),
    };
    let old = "SELECT id FROM incident AS i WHERE environment = $1 AND on_desk = 0
               AND life IN ('resolved', 'reviewed')
               AND (changed_ms < $2 OR number <= COALESCE((SELECT number FROM incident
                    WHERE environment = $3 ORDER BY number DESC LIMIT 1 OFFSET $4), -1))
               AND NOT EXISTS (SELECT 1 FROM action_item AS a
                               WHERE a.incident = i.id AND a.state = 'open')
               ORDER BY number LIMIT $5";
    let values = [
        environment.into(),
        before_ms.into(),
        environment.into(),
        number(keep.most),
        limit(PRUNED_MAX),
    ];
    let old = rows(database, old, &values, |row: &mut Row| Ok(row.text()))?;
    if old.is_empty() {
        return Ok(0);
    }
    transaction(database, |database| {
        audit::wait_for_writers(database)?;
        let mut gone = 0;
        for id in &old {
            // It may have been opened again, or written, since it was looked at.
            let delete = "DELETE FROM incident WHERE id = $1 AND on_desk = 0
                          AND life IN ('resolved', 'reviewed') AND NOT EXISTS
                          (SELECT 1 FROM action_item WHERE incident = $2 AND state = 'open')";
            let values = [id.as_str().into(), id.as_str().into()];
            if database.execute(delete, &values)? == 0 {
                continue;
            }
            gone += 1;
            for table in ["postmortem", "action_item"] {
                let sql = format!("DELETE FROM {table} WHERE incident = $1");
                database.execute(&sql, &values[..1])?;
            }
        }
        if gone > 0 {
            let detail = format!("{gone} old incidents");
            let line = NewAudit {
                actor: "gateway",
                role: "system",
                action: "retention.incidents",
                subject: environment,
                outcome: "done",
                detail: &detail,
            };
            audit::append(database, &line, now_ms)?;
        }
        Ok(gone)
    })
}
