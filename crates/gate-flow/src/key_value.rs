//! Asking a key-value server (Redis, Valkey) through the worker.
//!
//! Policies say what they want to know; connections, pools and the wire format are the worker's
//! ([`crate::Services::key_value`]).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A server and how it is asked.
#[derive(Clone)]
pub struct KeyValueServer {
    /// `host:port`, or `unix:/path`.
    pub address: String,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// A bundle of private authorities, trusted instead of Mozilla's set.
    pub authorities: Option<PathBuf>,
    /// User of Redis' access control lists; the default user when empty.
    pub username: String,
    /// Its password; none is sent when empty.
    pub password: String,
    /// Number of the database.
    pub database: u32,
    /// Time for one question, connecting included.
    pub timeout: Duration,
    /// Most bytes of a value.
    pub value_max: usize,
}

impl std::fmt::Debug for KeyValueServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyValueServer({})", self.address)
    }
}

/// One question.
#[derive(Debug, Clone)]
pub enum KeyValueQuestion {
    /// The value of a key.
    Get(Vec<u8>),
    /// Keep a value under a key for so long.
    Set(Vec<u8>, Vec<u8>, Duration),
    /// Add bytes behind a key's value, which begins empty, and keep the whole for so long from now.
    Append(Vec<u8>, Vec<u8>, Duration),
    /// So many bytes of a key's value from a position on; fewer where it ends, none where it is not.
    Range(Vec<u8>, u64, u32),
}

/// What it answers: the value, if there is one; nothing for what is kept.
pub type KeyValueAnswer = Result<Option<Vec<u8>>, KeyValueError>;

/// Why it did not answer, for the operator. Holds no key, value or password.
#[derive(Debug, Clone)]
pub struct KeyValueError(pub String);

impl std::fmt::Display for KeyValueError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyValueError {}

/// A server as it is shared between policies and workers; its address in memory is its identity.
pub type SharedKeyValueServer = Arc<KeyValueServer>;
