//! Old versions of Terraform states. The one that a state is at stays, and versions go on counting.

use super::Slice;
use crate::control::row::{Row, limit, number, rows};
use crate::control::{Answer, audit};
use crate::database::{Database, transaction};

pub(super) fn prune<D: Database>(database: &mut D, slice: &Slice<'_>) -> Answer<u64> {
    let keep = &slice.retention.states;
    let Some(before_ms) = keep.before_ms(slice.now_ms) else {
        return Ok(0);
    };
    let old = "SELECT v.state, v.version FROM state_version AS v
               JOIN state AS s ON s.name = v.state
               WHERE v.created_ms < $1 AND v.version <= s.versions - $2
               AND (s.version IS NULL OR v.version <> s.version)
               ORDER BY v.state, v.version LIMIT $3";
    let values = [before_ms.into(), number(keep.newest), limit(slice.most)];
    let read = |row: &mut Row| Ok((row.text(), row.number()));
    let old = rows(database, old, &values, read)?;
    if old.is_empty() {
        return Ok(0);
    }
    transaction(database, |database| {
        audit::wait_for_writers(database)?;
        let mut gone = 0;
        for (state, version) in &old {
            // It was not the state's when it was looked at without waiting for writers, and may be
            // now: a restore writes a version of its own, but nothing here depends on that.
            let delete = "DELETE FROM state_version WHERE state = $1 AND version = $2
                          AND NOT EXISTS (SELECT 1 FROM state WHERE name = $1 AND version = $2)";
            gone += database.execute(delete, &[state.as_str().into(), number(*version)])?;
        }
        if gone > 0 {
            let detail = format!("{gone} old versions");
            let line = slice.line("retention.states", "states", &detail);
            audit::append(database, &line, slice.now_ms)?;
        }
        Ok(gone)
    })
}
