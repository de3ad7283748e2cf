//! Stores to test against, and calls to write into them.

pub(crate) mod nats;
pub(crate) mod postgres;
pub(crate) mod server;

use gate_kit::clock::Clock;
use gate_model::resources::BudgetPeriod;
use gate_model::units::{Money, TimeZone};
use gate_store::books::{BudgetSpec, Settlement, Unit};
use gate_store::control::SqlControl;
use gate_store::journal::{ReadJournal, Reading};
use gate_store::ledger::{Charge, CrossedEvent, Entry, Facts, HoldRow, LeaseRequest, Tokens};
use gate_store::postgres::Postgres;
use gate_store::schema::{Form, bring};
use gate_store::sqlite::Sqlite;
use gate_store::{
    Books, BooksOptions, ControlStore, Database, Instance, SqlStore, Store, StoreError,
};
use server::server;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A folder, and whether it goes with this process.
pub(crate) enum Scratch {
    Own(tempfile::TempDir),
    Borrowed(PathBuf),
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self::Own(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Own(folder) => folder.path(),
            Self::Borrowed(path) => path,
        }
    }
}

/// A place where stores can be opened.
pub(crate) enum Place {
    Sqlite(Scratch),
    Postgres(String),
}

impl Place {
    /// One of each kind; PostgreSQL only where it is installed.
    pub(crate) fn all() -> Vec<Self> {
        let mut places = vec![Self::Sqlite(Scratch::new())];
        match server() {
            Some(server) => places.push(Self::Postgres(server.database())),
            None => eprintln!("skipped: PostgreSQL is not installed (initdb, postgres)"),
        }
        places
    }

    /// A place by its name, which another process gave.
    pub(crate) fn at(name: &str) -> Self {
        match name.strip_prefix("postgres ") {
            Some(address) => Self::Postgres(address.to_owned()),
            None => Self::Sqlite(Scratch::Borrowed(name.into())),
        }
    }

    /// Its name, for another process.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Sqlite(folder) => folder.path().display().to_string(),
            Self::Postgres(address) => format!("postgres {address}"),
        }
    }

    /// Waits until nobody else is connected: a server goes on for a moment with what a process that
    /// was killed had asked for.
    pub(crate) fn wait_for_others(&self) {
        let others = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()
                      AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
        let are_gone = || matches!(self, Self::Sqlite(_)) || self.number(others).unwrap() == 0;
        for _ in 0..1_000 {
            if are_gone() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("somebody is still connected");
    }

    pub(crate) fn open(&self, instance: Instance) -> Result<Box<dyn Store>, StoreError> {
        Ok(match self {
            Self::Sqlite(folder) => {
                let database = Sqlite::open(&folder.path().join("ledger.db"))?;
                Box::new(SqlStore::open(database, instance)?)
            }
            Self::Postgres(address) => {
                Box::new(SqlStore::open(Postgres::connect(address)?, instance)?)
            }
        })
    }

    /// What the control plane keeps, on a connection of its own.
    pub(crate) fn control(&self) -> Box<dyn ControlStore> {
        match self {
            Self::Sqlite(folder) => {
                let database = Sqlite::open(&folder.path().join("ledger.db")).unwrap();
                Box::new(SqlControl::open(database).unwrap())
            }
            Self::Postgres(address) => {
                Box::new(SqlControl::open(Postgres::connect(address).unwrap()).unwrap())
            }
        }
    }

    /// The same as gateways open it, which wait longer for each other.
    pub(crate) fn patient(&self) -> Box<dyn ControlStore> {
        match self {
            Self::Sqlite(folder) => {
                let database = Sqlite::open(&folder.path().join("ledger.db")).unwrap();
                Box::new(SqlControl::open(database.patient().unwrap()).unwrap())
            }
            Self::Postgres(_) => self.control(),
        }
    }

    /// The journal beside both, read on a connection of its own.
    pub(crate) fn reading(&self) -> Box<dyn ReadJournal> {
        match self {
            Self::Sqlite(folder) => {
                let database = Sqlite::open(&folder.path().join("ledger.db")).unwrap();
                Box::new(Reading::new(database))
            }
            Self::Postgres(address) => Box::new(Reading::new(Postgres::connect(address).unwrap())),
        }
    }

    /// Brings the tables through forms, as a gateway does that knows these.
    pub(crate) fn bring(&self, forms: &[Form]) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(folder) => {
                bring(&mut Sqlite::open(&folder.path().join("ledger.db"))?, forms)
            }
            Self::Postgres(address) => bring(&mut Postgres::connect(address)?, forms),
        }
    }

    /// Asks for one number behind the stores' backs.
    pub(crate) fn number(&self, sql: &str) -> Result<i64, StoreError> {
        let rows = match self {
            Self::Sqlite(folder) => Sqlite::open(&folder.path().join("ledger.db"))?.query(sql, &[]),
            Self::Postgres(address) => Postgres::connect(address)?.query(sql, &[]),
        };
        Ok(rows?[0][0].int())
    }

    /// Runs statements behind the stores' backs.
    pub(crate) fn script(&self, sql: &str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(folder) => Sqlite::open(&folder.path().join("ledger.db"))?.script(sql),
            Self::Postgres(address) => Postgres::connect(address)?.script(sql),
        }
    }

    pub(crate) fn store(&self, name: &str) -> Box<dyn Store> {
        self.open(instance(name)).unwrap()
    }

    /// The same, which tells the journal of thresholds that are crossed.
    pub(crate) fn telling(&self, name: &str, crossed: CrossedEvent) -> Box<dyn Store> {
        let (instance, crossed) = (instance(name), Some(crossed));
        match self {
            Self::Sqlite(folder) => {
                let database = Sqlite::open(&folder.path().join("ledger.db")).unwrap();
                let store = SqlStore::open(database, instance).unwrap();
                Box::new(store.telling(crossed))
            }
            Self::Postgres(address) => {
                let database = Postgres::connect(address).unwrap();
                let store = SqlStore::open(database, instance).unwrap();
                Box::new(store.telling(crossed))
            }
        }
    }

    /// Books as one process keeps them.
    pub(crate) fn books(&self, name: &str, options: BooksOptions) -> Arc<Books> {
        self.books_at(name, options, Clock::System)
    }

    /// The same by another clock.
    pub(crate) fn books_at(&self, name: &str, options: BooksOptions, clock: Clock) -> Arc<Books> {
        let again = match self {
            Self::Sqlite(folder) => Self::borrowed(folder.path()),
            Self::Postgres(address) => Again::Postgres(address.clone()),
        };
        let name = name.to_owned();
        let connect = Box::new(move || again.open(instance(&name)));
        Books::open(connect, options, clock).unwrap()
    }

    fn borrowed(path: &Path) -> Again {
        Again::Sqlite(path.join("ledger.db"))
    }
}

enum Again {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Again {
    fn open(&self, instance: Instance) -> Result<Box<dyn Store>, StoreError> {
        Ok(match self {
            Self::Sqlite(path) => Box::new(SqlStore::open(Sqlite::open(path)?, instance)?),
            Self::Postgres(address) => {
                Box::new(SqlStore::open(Postgres::connect(address)?, instance)?)
            }
        })
    }
}

/// A process of another host, so that only its expiry says that it is dead.
pub(crate) fn instance(name: &str) -> Instance {
    Instance {
        id: name.to_owned(),
        host: String::new(),
        pid: 1,
        born: 1,
    }
}

pub(crate) fn facts(consumer: &str) -> Arc<Facts> {
    Arc::new(Facts {
        consumer: consumer.into(),
        model: "assistant".into(),
        provider: "gpt".into(),
        ..Facts::default()
    })
}

pub(crate) fn charge(budget: &str, amount: i64) -> Charge {
    Charge {
        budget: budget.into(),
        period: 0,
        amount,
    }
}

pub(crate) fn hold(exchange: &str, budget: &str, amount: i64) -> HoldRow {
    HoldRow {
        exchange: exchange.into(),
        at_ms: 1_000,
        facts: facts("storefront"),
        cost: Some(Money::from_picodollars(amount)),
        charges: [charge(budget, amount)].into_iter().collect(),
    }
}

pub(crate) fn entry(exchange: &str, budget: &str, amount: i64) -> Entry {
    Entry {
        exchange: exchange.into(),
        at_ms: 2_000,
        facts: facts("storefront"),
        outcome: "complete",
        tokens: Tokens {
            input: 10,
            output: 5,
            ..Tokens::default()
        },
        estimated: 0,
        cost: Some(Money::from_picodollars(amount)),
        charges: [charge(budget, amount)].into_iter().collect(),
        calls: 1,
        held: vec![exchange.into()],
    }
}

pub(crate) fn lease(budget: &str, limit: i64, target: i64) -> LeaseRequest {
    LeaseRequest {
        budget: budget.into(),
        period: 0,
        limit,
        target,
        thresholds: [limit / 2].into_iter().collect(),
    }
}

pub(crate) fn spec(name: &str, unit: Unit, limit: i64) -> BudgetSpec {
    BudgetSpec {
        name: name.into(),
        unit,
        limit,
        period: BudgetPeriod::Total,
        zone: TimeZone::utc(),
        thresholds: [limit / 2].into_iter().collect(),
    }
}

pub(crate) fn settlement(cost: i64) -> Settlement {
    Settlement {
        outcome: "complete",
        tokens: Tokens::default(),
        estimated: false,
        cost: Some(Money::from_picodollars(cost)),
    }
}
