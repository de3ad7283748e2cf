//! Deployments of what stands behind the gateway, as they were reported.

use super::row::{Row, clean, limit, rows};
use super::{Answer, ControlError};
use crate::database::Database;

/// Most bytes of what is kept of a deployment.
const DATA_MAX: usize = 16 << 10;
/// Most bytes of a name.
const NAME_MAX: usize = 1 << 10;
/// How long they are kept, in milliseconds: 400 days.
const KEPT_MS: i64 = 400 * 86_400_000;

/// A deployment that was reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentRow {
    /// Which it is: the same report twice is one deployment, and a later report replaces an earlier
    /// one.
    pub id: String,
    /// What was deployed.
    pub service: String,
    /// The team that owns it.
    pub team: String,
    /// All else, as JSON; at most 16 KiB.
    pub data: String,
    /// When, in UNIX milliseconds.
    pub at_ms: i64,
}

pub(super) fn put<D: Database>(database: &mut D, row: &DeploymentRow, now_ms: i64) -> Answer<()> {
    if row.data.len() > DATA_MAX {
        return Err(ControlError::TooLarge {
            what: "deployment",
            bytes: row.data.len(),
            limit: DATA_MAX,
        });
    }
    database.execute(
        "INSERT INTO deployment (id, service, team, data, at_ms) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE SET service = excluded.service, team = excluded.team,
         data = excluded.data, at_ms = excluded.at_ms",
        &[
            clean(&row.id, NAME_MAX).into(),
            clean(&row.service, NAME_MAX).into(),
            clean(&row.team, NAME_MAX).into(),
            clean(&row.data, DATA_MAX).into(),
            row.at_ms.into(),
        ],
    )?;
    let past = now_ms.saturating_sub(KEPT_MS);
    database.execute("DELETE FROM deployment WHERE at_ms < $1", &[past.into()])?;
    Ok(())
}

pub(super) fn page<D: Database>(
    database: &mut D,
    from_ms: i64,
    after: &(i64, String),
    most: usize,
) -> Answer<Vec<DeploymentRow>> {
    let read = |row: &mut Row| {
        Ok(DeploymentRow {
            id: row.text(),
            service: row.text(),
            team: row.text(),
            data: row.text(),
            at_ms: row.time(),
        })
    };
    rows(
        database,
        "SELECT id, service, team, data, at_ms FROM deployment
         WHERE at_ms >= $1 AND (at_ms > $2 OR (at_ms = $2 AND id > $3))
         ORDER BY at_ms, id LIMIT $4",
        &[
            from_ms.into(),
            after.0.into(),
            after.1.as_str().into(),
            limit(most),
        ],
        read,
    )
}
