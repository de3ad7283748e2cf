//! PostgreSQL, the store that several gateways share.
//!
//! One connection, used by one thread. Every wait has a limit: connecting, a statement, a lock, and
//! bytes that nobody acknowledges (RFC 5482). Transport encryption is not built in yet: an address
//! that asks for it is refused rather than served in the clear; run the server on this machine, over
//! a Unix socket, or behind a tunnel.

use crate::StoreError;
use crate::database::{Database, Value};
use postgres::config::SslMode;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, NoTls, Statement};
use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest wait for bytes to be acknowledged.
const SILENCE: Duration = Duration::from_secs(5);
/// Limits on the server's side, in milliseconds, and what it calls us.
const OPTIONS: &str = "-c statement_timeout=4000 -c lock_timeout=3000 \
                       -c idle_in_transaction_session_timeout=10000 -c synchronous_commit=on";
/// Most prepared statements that are kept; ours are fewer.
const STATEMENTS_MAX: usize = 64;

/// A connection to a server.
pub struct Postgres {
    config: Config,
    client: Option<Client>,
    statements: HashMap<String, Statement>,
}

impl Postgres {
    /// Connects to `postgres://user:password@host/database` or `host=... dbname=...`.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when the address cannot be understood or asks for TLS,
    /// [`StoreError::Unreachable`] when nobody answers there.
    pub fn connect(address: &str) -> Result<Self, StoreError> {
        // The parser's own words may quote the address, which holds a password.
        let mut config: Config = address.parse().map_err(|_| {
            StoreError::Unusable("the address of PostgreSQL is not understood".into())
        })?;
        if config.get_ssl_mode() == SslMode::Require {
            let text = "TLS to PostgreSQL is not supported; use a local server or a tunnel";
            return Err(StoreError::Unusable(text.into()));
        }
        config
            .connect_timeout(CONNECT)
            .tcp_user_timeout(SILENCE)
            .application_name("tidegate")
            .options(OPTIONS);
        let mut this = Self {
            config,
            client: None,
            statements: HashMap::new(),
        };
        this.client()?;
        Ok(this)
    }

    /// The connection, made anew when the last one is gone.
    fn client(&mut self) -> Result<&mut Client, StoreError> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            self.client = None;
            self.statements.clear();
            let client = self.config.connect(NoTls)?;
            self.client = Some(client);
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

impl Database for Postgres {
    const SEQUENCE: &'static str = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY";
    const BYTES: &'static str = "BYTEA";
    const BEGIN: &'static str = "BEGIN";

    fn script(&mut self, sql: &str) -> Result<(), StoreError> {
        if sql != Self::BEGIN && self.client.as_ref().is_none_or(Client::is_closed) {
            return Err(StoreError::Unreachable("the connection broke".into()));
        }
        Ok(self.client()?.batch_execute(sql)?)
    }

    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let (statement, client) = self.prepared(sql)?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|v| v as _).collect();
        Ok(client.execute(&statement, &values)?)
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        let (statement, client) = self.prepared(sql)?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|v| v as _).collect();
        let rows = client.query(&statement, &values)?;
        let read = |row: &postgres::Row| -> Result<Vec<Value>, StoreError> {
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
        };
        rows.iter().map(read).collect()
    }
}
