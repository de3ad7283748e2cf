//! The tables, as migrations that both databases run.
//!
//! Migrations only ever grow at the end. Amounts are whole picodollars or tokens, times are UNIX
//! milliseconds; `period` is the UNIX second a budget's period began, 0 for budgets without end.

use crate::StoreError;
use crate::database::{Database, transaction};

/// `{sequence}` stands for a column that counts rows by itself.
const MIGRATIONS: &[&str] = &[
    // 1: the ledger, open reservations, balances of budgets, leases of processes.
    "CREATE TABLE entry (
        sequence {sequence},
        exchange TEXT NOT NULL,
        kind TEXT NOT NULL,
        at_ms BIGINT NOT NULL,
        consumer TEXT NOT NULL,
        key_id TEXT NOT NULL,
        team TEXT NOT NULL,
        route TEXT NOT NULL,
        model TEXT NOT NULL,
        provider TEXT NOT NULL,
        provider_model TEXT NOT NULL,
        tag TEXT NOT NULL,
        outcome TEXT NOT NULL,
        input_tokens BIGINT NOT NULL,
        output_tokens BIGINT NOT NULL,
        cached_tokens BIGINT NOT NULL,
        written_tokens BIGINT NOT NULL,
        reasoning_tokens BIGINT NOT NULL,
        estimated BIGINT NOT NULL,
        cost BIGINT,
        charges TEXT NOT NULL,
        UNIQUE (exchange, kind)
    );
    CREATE INDEX entry_at ON entry (at_ms);
    CREATE TABLE hold (
        exchange TEXT PRIMARY KEY,
        instance TEXT NOT NULL,
        at_ms BIGINT NOT NULL,
        consumer TEXT NOT NULL,
        key_id TEXT NOT NULL,
        team TEXT NOT NULL,
        route TEXT NOT NULL,
        model TEXT NOT NULL,
        provider TEXT NOT NULL,
        provider_model TEXT NOT NULL,
        tag TEXT NOT NULL,
        cost BIGINT,
        charges TEXT NOT NULL
    );
    CREATE INDEX hold_instance ON hold (instance);
    CREATE TABLE balance (
        budget TEXT NOT NULL,
        period BIGINT NOT NULL,
        settled BIGINT NOT NULL,
        unsettled BIGINT NOT NULL,
        leased BIGINT NOT NULL,
        wanted_ms BIGINT NOT NULL,
        PRIMARY KEY (budget, period)
    );
    CREATE TABLE lease (
        instance TEXT NOT NULL,
        budget TEXT NOT NULL,
        period BIGINT NOT NULL,
        amount BIGINT NOT NULL,
        PRIMARY KEY (instance, budget, period)
    );
    CREATE TABLE threshold (
        budget TEXT NOT NULL,
        period BIGINT NOT NULL,
        amount BIGINT NOT NULL,
        at_ms BIGINT NOT NULL,
        PRIMARY KEY (budget, period, amount)
    );
    CREATE TABLE instance (
        id TEXT PRIMARY KEY,
        host TEXT NOT NULL,
        pid BIGINT NOT NULL,
        born BIGINT NOT NULL,
        expires_ms BIGINT NOT NULL
    );",
    // 2: a row of the ledger may stand for several calls.
    "ALTER TABLE entry ADD COLUMN calls BIGINT NOT NULL DEFAULT 1;",
];

/// Brings a database to the newest form. Safe to run from several processes at once.
///
/// # Errors
/// [`StoreError::Unusable`] when a newer gateway has been here, or what the database says.
pub fn migrate<D: Database>(database: &mut D) -> Result<(), StoreError> {
    let table = "CREATE TABLE IF NOT EXISTS migration (version BIGINT PRIMARY KEY)";
    if let Err(error) = database.script(table) {
        // Two that make the same table at once: PostgreSQL refuses one of them, and it exists.
        database
            .query("SELECT version FROM migration", &[])
            .map_err(|_| error)?;
    }
    transaction(database, |database| {
        // Whoever comes second waits here for the first.
        database.execute(
            "INSERT INTO migration VALUES ($1) ON CONFLICT DO NOTHING",
            &[0.into()],
        )?;
        database.execute(
            "UPDATE migration SET version = version WHERE version = $1",
            &[0.into()],
        )?;
        let newest = database.query("SELECT MAX(version) FROM migration", &[])?;
        let newest = newest
            .first()
            .and_then(|row| row.first())
            .map_or(0, |v| v.int());
        let newest = usize::try_from(newest).unwrap_or(usize::MAX);
        if newest > MIGRATIONS.len() {
            return Err(StoreError::Unusable(format!(
                "the store has tables of form {newest}, written by a newer gateway; this one \
                 knows {}",
                MIGRATIONS.len()
            )));
        }
        for (index, migration) in MIGRATIONS.iter().enumerate().skip(newest) {
            database.script(&migration.replace("{sequence}", D::SEQUENCE))?;
            let version = i64::try_from(index + 1).unwrap_or(i64::MAX);
            database.execute("INSERT INTO migration VALUES ($1)", &[version.into()])?;
        }
        Ok(())
    })
}
