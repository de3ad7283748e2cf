//! Opening the store that a configuration names.

use gate_flow::SecretSource;
use gate_kit::clock::Clock;
use gate_model::resources::{Store as Settings, StoreEngine, StoreFail, StorePlace};
use gate_store::control::{ControlStore, SqlControl};
use gate_store::files::{FilesStore, SqlFiles};
use gate_store::jobs::{JobStore, SqlJobs};
use gate_store::journal::{self, Journal, JournalOptions, ReadJournal, Reading};
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

    fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        let instance = Instance::this();
        Ok(match self {
            Self::Sqlite(path) => Box::new(SqlStore::open(Sqlite::open(path)?, instance)?),
            Self::Postgres(address) => {
                Box::new(SqlStore::open(Postgres::connect(address)?, instance)?)
            }
        })
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
    Engine::of(settings, secrets, folder)?.open()
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
    Ok(match Engine::of(settings, secrets, folder)? {
        Engine::Sqlite(path) => Box::new(SqlControl::open(Sqlite::open(&path)?.patient()?)?),
        Engine::Postgres(address) => Box::new(SqlControl::open(Postgres::connect(&address)?)?),
    })
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
    Ok(match Engine::of(settings, secrets, folder)? {
        Engine::Sqlite(path) => Box::new(SqlJobs::open(Sqlite::open(&path)?.patient()?)?),
        Engine::Postgres(address) => Box::new(SqlJobs::open(Postgres::connect(&address)?)?),
    })
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
    Ok(match Engine::of(settings, secrets, folder)? {
        Engine::Sqlite(path) => Box::new(SqlFiles::open(Sqlite::open(&path)?.patient()?)?),
        Engine::Postgres(address) => Box::new(SqlFiles::open(Postgres::connect(&address)?)?),
    })
}

/// Opens the store and the books over it. A server that does not answer is tried again.
///
/// # Errors
/// A sentence for the operator, where trying again would not help.
pub fn open_books(
    settings: &Settings,
    secrets: &dyn SecretSource,
    folder: &Path,
    clock: &Clock,
) -> Result<Arc<Books>, String> {
    let engine = Engine::of(settings, secrets, folder).map_err(|error| error.to_string())?;
    let options = BooksOptions {
        when_down: match settings.fail {
            StoreFail::Closed => WhenDown::Closed,
            StoreFail::OpenLocal => WhenDown::OpenLocal,
        },
        retention: (!settings.retention.is_zero()).then(|| settings.retention.duration()),
    };
    let connect = Box::new(move || engine.open());
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
    match Engine::of(settings, secrets, folder)? {
        Engine::Sqlite(path) => {
            let connect = move || brought(Sqlite::open(&path)?.patient()?);
            Journal::open(node, Box::new(connect), options, clock)
        }
        Engine::Postgres(address) => {
            let connect = move || brought(Postgres::connect(&address)?);
            Journal::open(node, Box::new(connect), options, clock)
        }
    }
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
    Ok(match Engine::of(settings, secrets, folder)? {
        Engine::Sqlite(path) => {
            let database = brought(Sqlite::open(&path)?.patient()?)?;
            Box::new(Reading::new(database))
        }
        Engine::Postgres(address) => {
            let database = brought(Postgres::connect(&address)?)?;
            Box::new(Reading::new(database))
        }
    })
}

/// A database whose tables are of the newest form.
fn brought<D: Database>(mut database: D) -> Result<D, StoreError> {
    migrate(&mut database)?;
    Ok(database)
}
