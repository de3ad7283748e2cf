//! Opening the store that a configuration names.

use gate_flow::SecretSource;
use gate_kit::clock::Clock;
use gate_model::resources::{Store as Settings, StoreEngine, StoreFail, StorePlace};
use gate_store::control::{ControlStore, SqlControl};
use gate_store::files::{FilesStore, SqlFiles};
use gate_store::jobs::{JobStore, SqlJobs};
use gate_store::journal::{self, Journal, JournalOptions, ReadJournal, Reading};
use gate_store::ledger::CrossedEvent;
use gate_store::postgres::Postgres;
use gate_store::schema::migrate;
use gate_store::sqlite::Sqlite;
use gate_store::{Books, BooksOptions, Database, Instance, SqlStore, Store, StoreError, WhenDown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A database, its address resolved.
#[derive(Clone)]
enum Engine {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Engine {
    fn of(
        settings: &Settings,
        secrets: &dyn SecretSource,
        folder: &Path,
    ) -> Result<Self, StoreError> {
        Ok(match &settings.engine {
            StoreEngine::Sqlite { path } => Self::Sqlite(folder.join(path)),
            StoreEngine::Postgres { address } => {
                let secret = match address {
                    StorePlace::Env(name) => secrets.env(name),
                    StorePlace::File(path) => secrets.file(&folder.join(path)),
                };
                Self::Postgres(secret.map_err(StoreError::Unusable)?)
            }
        })
    }

    /// Its tables are brought to the newest form by whoever opens them.
    fn connect(&self) -> Result<Box<dyn Database>, StoreError> {
        Ok(match self {
            Self::Sqlite(path) => Box::new(Sqlite::open(path)?),
            Self::Postgres(address) => Box::new(Postgres::connect(address)?),
        })
    }

    /// A connection that waits while others write.
    fn patient(&self) -> Result<Box<dyn Database>, StoreError> {
        Ok(match self {
            Self::Sqlite(path) => Box::new(Sqlite::open(path)?.patient()?),
            Self::Postgres(_) => self.connect()?,
        })
    }

    fn open(&self, crossed: Option<CrossedEvent>) -> Result<Box<dyn Store>, StoreError> {
        let store = SqlStore::open(self.connect()?, Instance::this())?;
        Ok(Box::new(store.telling(crossed)))
    }
}

/// Opens the store for reading and mending, beside a gateway that may run.
///
/// # Errors
/// [`StoreError`], which names what is wrong.
pub fn open(
    settings: &Settings,
    secrets: &dyn SecretSource,
    folder: &Path,
) -> Result<Box<dyn Store>, StoreError> {
    Engine::of(settings, secrets, folder)?.open(None)
}

/// Opens the control plane's part of the store, on a connection of its own.
///
/// # Errors
/// [`StoreError`], which names what is wrong.
pub fn open_control(
    settings: &Settings,
    secrets: &dyn SecretSource,
    folder: &Path,
) -> Result<Box<dyn ControlStore>, StoreError> {
    let database = Engine::of(settings, secrets, folder)?.patient()?;
    Ok(Box::new(SqlControl::open(database)?))
}

/// Opens what is kept of jobs, on a connection of its own.
///
/// # Errors
/// [`StoreError`], which names what is wrong.
pub fn open_jobs(
    settings: &Settings,
    secrets: &dyn SecretSource,
    folder: &Path,
) -> Result<Box<dyn JobStore>, StoreError> {
    let database = Engine::of(settings, secrets, folder)?.patient()?;
    Ok(Box::new(SqlJobs::open(database)?))
}

/// Opens the part of the store that knows callers' files and batches, on a connection of its own.
///
/// # Errors
/// [`StoreError`], which names what is wrong.
pub fn open_files(
    settings: &Settings,
    secrets: &dyn SecretSource,
    folder: &Path,
) -> Result<Box<dyn FilesStore>, StoreError> {
    let database = Engine::of(settings, secrets, folder)?.patient()?;
    Ok(Box::new(SqlFiles::open(database)?))
}

/// Opens the store and the books over it. A server that does not answer is tried again. `crossed` is
/// what the journal is told of thresholds.
///
/// # Errors
/// A sentence for the operator, where trying again would not help.
pub fn open_books(
    settings: &Settings,
    secrets: &dyn SecretSource,
    folder: &Path,
    clock: &Clock,
    crossed: Option<CrossedEvent>,
) -> Result<Arc<Books>, String> {
    let engine = Engine::of(settings, secrets, folder).map_err(|error| error.to_string())?;
    let options = BooksOptions {
        when_down: match settings.fail {
            StoreFail::Closed => WhenDown::Closed,
            StoreFail::OpenLocal => WhenDown::OpenLocal,
        },
        retention: (!settings.retention.is_zero()).then(|| settings.retention.duration()),
    };
    let connect = Box::new(move || engine.open(crossed));
    Books::open(connect, options, clock.clone()).map_err(|error| error.to_string())
}

/// Opens the journal of this machine over the store. It connects when the first event is there.
///
/// # Errors
/// [`StoreError`], where the store's address cannot be had or there is no thread.
pub fn open_journal(
    settings: &Settings,
    secrets: &dyn SecretSource,
    folder: &Path,
    clock: &Clock,
) -> Result<Journal, StoreError> {
    let keep = settings.history.journal;
    let options = JournalOptions {
        keep: (!keep.is_zero()).then(|| keep.duration()),
        ..JournalOptions::default()
    };
    let (node, clock) = (journal::node(), clock.clone());
    let engine = Engine::of(settings, secrets, folder)?;
    let connect = Box::new(move || brought(engine.patient()?));
    Journal::open(node, connect, options, clock)
}

/// Opens the journal for readers, on a connection of its own.
///
/// # Errors
/// [`StoreError`], which names what is wrong.
pub fn open_reading(
    settings: &Settings,
    secrets: &dyn SecretSource,
    folder: &Path,
) -> Result<Box<dyn ReadJournal>, StoreError> {
    let database = brought(Engine::of(settings, secrets, folder)?.patient()?)?;
    Ok(Box::new(Reading::new(database)))
}

/// A database whose tables are of the newest form.
fn brought(mut database: Box<dyn Database>) -> Result<Box<dyn Database>, StoreError> {
    migrate(&mut database)?;
    Ok(database)
}
