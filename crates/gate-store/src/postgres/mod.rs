//! PostgreSQL, the store that several gateways share.
//!
//! One connection, used by one thread. Every wait has a limit: connecting, a statement, a lock, and
//! bytes that nobody acknowledges (RFC 5482). What an address may say about TLS is in `address.rs`.

mod address;
mod tls;

use crate::StoreError;
use crate::database::{Database, Dialect, Value};
use crate::slow;
use address::Address;
use postgres::config::{Host, SslMode};
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, NoTls, Statement};
use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;
use tls::Tls;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest wait for bytes to be acknowledged.
const SILENCE: Duration = Duration::from_secs(5);
/// Limits on the server's side, in milliseconds, and what it calls us.
const OPTIONS: &str = "-c statement_timeout=4000 -c lock_timeout=3000 \
                       -c idle_in_transaction_session_timeout=10000 -c synchronous_commit=on";
/// Longest wait for a sign of life of a connection that failed.
const ALIVE: Duration = Duration::from_secs(1);
/// Most prepared statements that are kept; ours are fewer.
const STATEMENTS_MAX: usize = 64;

/// A connection to a server.
pub struct Postgres {
    config: Config,
    /// Whom to trust, when the address asks for TLS.
    tls: Option<Tls>,
    /// Whether this connection is told of others' commits.
    is_listening: bool,
    /// Whether a transaction is open: a connection made anew would be outside of it.
    in_transaction: bool,
    client: Option<Client>,
    statements: HashMap<String, Statement>,
}

impl Postgres {
    /// Connects to `postgres://user:password@host/database` or `host=... dbname=...`, encrypted and
    /// verified where it says `sslmode=verify-full` (or `require`, which means the same here), by
    /// Mozilla's authorities or those of the file `sslrootcert`.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when the address or its file of authorities cannot be understood,
    /// [`StoreError::Unreachable`] when nobody answers there, or somebody who cannot be trusted.
    pub fn connect(address: &str) -> Result<Self, StoreError> {
        let Address { mut config, roots } = Address::parse(address)?;
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(Tls::new(roots.as_deref())?),
        };
        if tls.is_none() && is_remote(&config) {
            tracing::warn!(
                "the connection to PostgreSQL is not encrypted; add sslmode=verify-full to its address"
            );
        }
        config
            .connect_timeout(CONNECT)
            .tcp_user_timeout(SILENCE)
            .application_name("tidegate")
            .options(OPTIONS);
        let mut this = Self {
            config,
            tls,
            is_listening: false,
            in_transaction: false,
            client: None,
            statements: HashMap::new(),
        };
        this.client()?;
        Ok(this)
    }

    /// The connection, made anew when the last one is gone, unless a transaction went with it.
    fn client(&mut self) -> Result<&mut Client, StoreError> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            if self.in_transaction {
                return Err(StoreError::Unreachable("the connection broke".into()));
            }
            self.client = None;
            self.statements.clear();
            self.is_listening = false;
            self.client = Some(match &self.tls {
                Some(tls) => self.config.connect(tls.clone())?,
                None => self.config.connect(NoTls)?,
            });
        }
        self.client
            .as_mut()
            .ok_or_else(|| StoreError::Unreachable("not connected".into()))
    }

    fn prepared(&mut self, sql: &str) -> Result<(Statement, &mut Client), StoreError> {
        self.client()?;
        let known = self.statements.get(sql).cloned();
        let client = self
            .client
            .as_mut()
            .ok_or_else(|| StoreError::Unreachable("not connected".into()))?;
        let statement = match known {
            Some(statement) => statement,
            None => {
                let statement = client.prepare(sql)?;
                if self.statements.len() < STATEMENTS_MAX {
                    self.statements.insert(sql.to_owned(), statement.clone());
                }
                statement
            }
        };
        Ok((statement, client))
    }
}

impl Postgres {
    /// Runs what may be run twice, once more when the connection had broken since it was used last: a
    /// server that was restarted is not noticed. Within a transaction it is run once.
    fn again<T>(
        &mut self,
        mut run: impl FnMut(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let is_old = self.client.is_some() && !self.in_transaction;
        let result = run(self);
        if !is_old || !matches!(result, Err(StoreError::Unreachable(_))) {
            return result;
        }
        let is_alive = |client: &mut Client| client.is_valid(ALIVE).is_ok();
        match self.client.as_mut().is_some_and(is_alive) {
            true => result,
            false => {
                self.client = None;
                run(self)
            }
        }
    }

    fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        let (statement, client) = self.prepared(sql)?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|v| v as _).collect();
        let rows = slow::timed(sql, || client.query(&statement, &values))?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &postgres::Row) -> Result<Vec<Value>, StoreError> {
    (0..row.len())
        .map(|index| {
            Ok(match *row.columns()[index].type_() {
                Type::INT8 => row.try_get::<_, Option<i64>>(index)?.into(),
                Type::BYTEA => row
                    .try_get::<_, Option<Vec<u8>>>(index)?
                    .map_or(Value::Null, Value::Bytes),
                _ => row
                    .try_get::<_, Option<String>>(index)?
                    .map_or(Value::Null, Value::Text),
            })
        })
        .collect()
}

/// Whether bytes leave this machine.
fn is_remote(config: &Config) -> bool {
    let is_local = |host: &Host| match host {
        Host::Tcp(name) => {
            let address: Option<std::net::IpAddr> = name.parse().ok();
            name == "localhost" || address.is_some_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    };
    !config.get_hosts().iter().all(is_local)
}

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut postgres::types::private::BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(number) => number.to_sql(kind, out),
            Value::Text(text) => text.to_sql(kind, out),
            Value::Bytes(bytes) => bytes.to_sql(kind, out),
        }
    }

    // Columns are BIGINT, TEXT and BYTEA only; the server checks the rest.
    fn accepts(kind: &Type) -> bool {
        <i64 as ToSql>::accepts(kind)
            || <String as ToSql>::accepts(kind)
            || <Vec<u8> as ToSql>::accepts(kind)
    }

    to_sql_checked!();
}

const BEGIN: &str = "BEGIN";

static DIALECT: Dialect = Dialect {
    sequence: "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    place: "BIGINT PRIMARY KEY",
    clustered: "",
    bytes: "BYTEA",
    begin: BEGIN,
    wake: "NOTIFY tidegate",
    // Writers of other rows do not wait for each other's disk here.
    fleeting: ["", ""],
    // Neither its pages nor its log can be told to.
    erasing: "",
};

impl Database for Postgres {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn script(&mut self, sql: &str) -> Result<(), StoreError> {
        let run = |this: &mut Self| Ok(this.client()?.batch_execute(sql)?);
        let result = match sql {
            BEGIN => self.again(run),
            _ => run(self),
        };
        match sql {
            BEGIN => self.in_transaction = result.is_ok(),
            "COMMIT" | "ROLLBACK" => self.in_transaction = false,
            _ => {}
        }
        result
    }

    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let (statement, client) = self.prepared(sql)?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|v| v as _).collect();
        Ok(slow::timed(sql, || client.execute(&statement, &values))?)
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        self.again(|this| this.rows(sql, values))
    }

    fn wait(&mut self, at_most: Duration) -> Result<(), StoreError> {
        self.client()?;
        if !self.is_listening {
            self.client()?.batch_execute("LISTEN tidegate")?;
            self.is_listening = true;
            return Ok(());
        }
        let client = self.client()?;
        let mut notices = client.notifications();
        let mut waiting = notices.timeout_iter(at_most);
        waiting.next()?;
        drop(waiting);
        // One look serves for all that have come.
        let mut others = notices.iter();
        while others.next()?.is_some() {}
        Ok(())
    }
}
