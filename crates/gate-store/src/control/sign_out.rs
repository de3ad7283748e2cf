//! Sign-outs, which every gateway hears of: what a browser's cookie says of a session counts no more.

use super::Answer;
use super::row::{Row, limit, number, row, rows};
use crate::database::{Database, transaction};

/// Somebody who signed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignOutRow {
    /// Grows with each; given by the store, and ignored where one is written.
    pub number: u64,
    /// A hash of the session or of its holder, and of where they signed in.
    pub who: String,
    /// When they did, in UNIX seconds.
    pub at_s: u64,
    /// Until when it has to be known, in UNIX milliseconds.
    pub until_ms: i64,
}

pub(super) fn write<D: Database>(
    database: &mut D,
    sign_outs: &[SignOutRow],
    now_ms: i64,
) -> Answer<()> {
    transaction(database, |database| {
        let count = number(sign_outs.len() as u64);
        // Whoever comes second waits here for the first.
        database.execute(
            "UPDATE sign_out_newest SET number = number + $1 WHERE id = 1",
            &[count],
        )?;
        let newest = newest(database)?;
        let first = newest.saturating_sub(sign_outs.len() as u64) + 1;
        for (given, sign_out) in (first..).zip(sign_outs) {
            database.execute(
                "INSERT INTO sign_out (number, who, at_s, until_ms) VALUES ($1, $2, $3, $4)",
                &[
                    number(given),
                    sign_out.who.as_str().into(),
                    number(sign_out.at_s),
                    sign_out.until_ms.into(),
                ],
            )?;
        }
        let past = "DELETE FROM sign_out WHERE until_ms < $1";
        database.execute(past, &[now_ms.into()])?;
        Ok(())
    })
}

pub(super) fn newest<D: Database>(database: &mut D) -> Answer<u64> {
    let sql = "SELECT number FROM sign_out_newest WHERE id = 1";
    Ok(row(database, sql, &[], |row: &mut Row| Ok(row.number()))?.unwrap_or(0))
}

pub(super) fn after<D: Database>(
    database: &mut D,
    after: u64,
    most: usize,
) -> Answer<Vec<SignOutRow>> {
    let read = |row: &mut Row| {
        Ok(SignOutRow {
            number: row.number(),
            who: row.text(),
            at_s: row.number(),
            until_ms: row.time(),
        })
    };
    rows(
        database,
        "SELECT number, who, at_s, until_ms FROM sign_out WHERE number > $1
         ORDER BY number LIMIT $2",
        &[number(after), limit(most)],
        read,
    )
}
