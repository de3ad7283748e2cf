//! The tables, as forms that both databases go through one after the other.
//!
//! Forms only ever grow at the end. Each says which is the oldest gateway that can still use the
//! tables once they have it ([`Form::oldest`]): one that only adds tables, or columns with defaults,
//! disturbs nobody, so that gateways of the version before go on beside newer ones, and a downgrade
//! needs nothing. Times are UNIX milliseconds.
//!
//! Two tables remember this. `form` holds the forms that were reached. The newest number in
//! `migration` is how many forms a gateway must know to use the tables; gateways from before `form`
//! existed look at nothing else, which is why they go on as well.

mod control;
mod deliveries;
mod events;
mod files;
mod incidents;
mod jobs;
mod journal;
mod ledger;
mod notices;
mod places;
mod promises;
mod runbooks;
mod traffic;

use crate::StoreError;
use crate::database::{Database, transaction};

/// A step from one form of the tables to the next.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// What leads to it. `{sequence}` stands for a column that counts rows by itself, `{place}` for
    /// one of numbers that its table is kept by, `{clustered}` behind a table for its being kept by
    /// its key, `{bytes}` for the kind of a column of bytes.
    pub sql: &'static str,
    /// How many forms a gateway must know to use the tables from then on; at most its own number.
    pub oldest: usize,
}

/// All forms, the first one first.
pub const FORMS: &[Form] = &[
    Form {
        sql: ledger::LEDGER,
        oldest: 1,
    },
    Form {
        sql: ledger::CALLS,
        oldest: 2,
    },
    Form {
        sql: control::CONTROL,
        oldest: 2,
    },
    Form {
        sql: control::DIGESTS,
        oldest: 2,
    },
    Form {
        sql: ledger::COUNTED,
        oldest: 2,
    },
    Form {
        sql: ledger::CALLERS,
        oldest: 2,
    },
    Form {
        sql: control::SIGN_OUTS,
        oldest: 2,
    },
    Form {
        sql: control::FILES,
        oldest: 2,
    },
    Form {
        sql: promises::PROMISES,
        oldest: 2,
    },
    Form {
        sql: incidents::INCIDENTS,
        oldest: 2,
    },
    Form {
        sql: notices::NOTICES,
        oldest: 2,
    },
    Form {
        sql: places::PLACES,
        oldest: 2,
    },
    Form {
        sql: runbooks::RUNBOOKS,
        oldest: 2,
    },
    Form {
        sql: promises::SUSPICIONS,
        oldest: 2,
    },
    Form {
        sql: journal::JOURNAL,
        oldest: 2,
    },
    Form {
        sql: traffic::TRAFFIC,
        oldest: 2,
    },
    Form {
        sql: promises::DURATIONS,
        oldest: 2,
    },
    Form {
        sql: journal::KEYS,
        oldest: 2,
    },
    Form {
        sql: events::EVENTS,
        oldest: 2,
    },
    Form {
        sql: jobs::JOBS,
        oldest: 2,
    },
    Form {
        sql: files::KEPT,
        oldest: 2,
    },
    Form {
        sql: deliveries::DELIVERIES,
        oldest: 2,
    },
    Form {
        sql: ledger::REVISIONS,
        oldest: 2,
    },
    Form {
        sql: ledger::SPEND,
        oldest: 2,
    },
    Form {
        sql: jobs::FOLDERS,
        oldest: 2,
    },
    Form {
        sql: journal::GROUPS,
        oldest: 2,
    },
];

/// Brings a database to the newest form. Safe to run from several processes at once.
///
/// # Errors
/// As [`bring`].
pub fn migrate<D: Database>(database: &mut D) -> Result<(), StoreError> {
    bring(database, FORMS)
}

/// Brings a database through the forms that a gateway knows, as [`migrate`] does with ours.
///
/// # Errors
/// [`StoreError::Unusable`] when a newer gateway has left what this one cannot use, or what the
/// database says.
pub fn bring<D: Database>(database: &mut D, forms: &[Form]) -> Result<(), StoreError> {
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
        let needed = newest(database, "SELECT MAX(version) FROM migration")?;
        if needed > forms.len() {
            return Err(StoreError::Unusable(format!(
                "the store has tables of form {needed}, written by a newer gateway; this one \
                 knows {}",
                forms.len()
            )));
        }
        database.script("CREATE TABLE IF NOT EXISTS form (version BIGINT PRIMARY KEY)")?;
        let reached = newest(database, "SELECT MAX(version) FROM form")?.max(needed);
        if reached > forms.len() {
            tracing::info!(
                reached,
                known = forms.len(),
                "the store's tables are of a newer form, which this gateway can use"
            );
        }
        for (index, form) in forms.iter().enumerate().skip(reached) {
            step(database, form, index + 1)?;
        }
        Ok(())
    })
}

/// Goes one form further.
fn step<D: Database>(database: &mut D, form: &Form, version: usize) -> Result<(), StoreError> {
    let dialect = database.dialect();
    let mut sql = form.sql.to_owned();
    for (name, kind) in [
        ("{sequence}", dialect.sequence),
        ("{place}", dialect.place),
        ("{clustered}", dialect.clustered),
        ("{bytes}", dialect.bytes),
    ] {
        sql = sql.replace(name, kind);
    }
    database.script(&sql)?;
    // The one form whose rows no statement can bring over.
    if form.sql == journal::GROUPS {
        crate::journal::pack(database)?;
    }
    let insert = [
        ("INSERT INTO form VALUES ($1)", version),
        (
            "INSERT INTO migration VALUES ($1) ON CONFLICT DO NOTHING",
            form.oldest.min(version),
        ),
    ];
    for (sql, number) in insert {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        database.execute(sql, &[number.into()])?;
    }
    Ok(())
}

fn newest<D: Database>(database: &mut D, sql: &str) -> Result<usize, StoreError> {
    let rows = database.query(sql, &[])?;
    let number = rows.first().and_then(|row| row.first());
    let number = number.map_or(0, crate::database::Value::int);
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}
