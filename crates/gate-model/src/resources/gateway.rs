//! Settings of the process itself: workers, the admin address, logs and traces.

use crate::units::{ByteSize, Percent, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Settings of the process itself.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gateway {
    /// Worker threads of the data plane; one per core when left out. Needs a restart to change.
    pub workers: Option<u16>,
    /// Where health, metrics, the admin API and the console are served; nowhere when left out.
    pub admin: Option<super::Admin>,
    /// How long exchanges in flight may take to finish after SIGTERM before they are cut.
    pub drain: Period,
    /// Name servers that the names of endpoints and of what is fetched are asked of, as `ADDRESS:PORT`;
    /// those of the system (`/etc/resolv.conf`, `/etc/hosts`) when left out. Needs a restart to change.
    #[schemars(with = "Vec<String>")]
    pub name_servers: Vec<SocketAddr>,
    /// Proxies whose X-Forwarded-For and Forwarded fields are believed, as CIDR blocks.
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// One row per finished exchange.
    pub access_log: Option<AccessLog>,
    /// Traces and logs to an OpenTelemetry collector.
    pub tracing: Option<Tracing>,
    /// Where recent records are kept for searches and for the effect of plans; nowhere when left out.
    pub records: Option<Records>,
    /// Where records of all exchanges are kept as Parquet files, for queries; nowhere when left out.
    pub lake: Option<super::Lake>,
    /// Where the ledger of calls and budgets is kept; nowhere when left out.
    pub store: Option<super::Store>,
    /// The environment whose current revision this process serves; it comes from `store`, and this
    /// file then holds nothing but `gateway`. Needs a restart to change.
    pub environment: Option<String>,
    /// File that keeps the last revision that was applied, from which the process serves while the
    /// store cannot be reached; `last-good.json` beside the SQLite file when left out. Needs a
    /// restart to change.
    pub last_good: Option<PathBuf>,
    /// An authority that certificates for `listeners.*.tls.names` are ordered from; none when left
    /// out.
    pub acme: Option<super::Acme>,
    /// Vocabularies for exact token counts, by their encoding (`o200k_base`, `cl100k_base`): files in
    /// tiktoken's format.
    pub tokenizers: BTreeMap<String, PathBuf>,
    /// What runbooks may do on this machine.
    pub runbooks: super::RunbookSettings,
    /// Files and batches that the gateway keeps for callers of models; those of providers are passed
    /// through as they are when left out. Needs a store, and a restart to change.
    pub files: Option<super::Files>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            workers: None,
            admin: None,
            drain: Period::from_seconds(30),
            name_servers: Vec::new(),
            trusted_proxies: Vec::new(),
            access_log: None,
            tracing: None,
            records: None,
            lake: None,
            store: None,
            environment: None,
            last_good: None,
            acme: None,
            tokenizers: BTreeMap::new(),
            runbooks: super::RunbookSettings::default(),
            files: None,
        }
    }
}

/// Where the access log goes and what it holds.
///
/// Credentials (Authorization, cookies, keys) are never written.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccessLog {
    /// Where rows go.
    pub to: LogSink,
    /// How a row is written.
    pub format: LogFormat,
    /// Share of successful exchanges that is logged; faults, and what the firewall would have refused,
    /// always are.
    pub sample: Percent,
    /// Request headers to add to each row, by name. Credentials stay redacted.
    pub request_headers: Vec<String>,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self {
            to: LogSink::Stdout {},
            format: LogFormat::Json,
            sample: Percent::HUNDRED,
            request_headers: Vec::new(),
        }
    }
}

/// Recent records, kept on this machine.
///
/// A record keeps of its request what the rules of the running configuration read, and its outcome.
/// Credentials are kept as keyed hashes only; the key lies in the folder, readable by its user only.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// Folder, which no other gateway uses; made when it is not there.
    pub folder: PathBuf,
    /// Most bytes on disk, compressed; the oldest records go first.
    #[serde(default = "records_size")]
    pub size: ByteSize,
    /// Share of the exchanges that is kept.
    #[serde(default = "everything")]
    pub sample: Percent,
}

fn records_size() -> ByteSize {
    ByteSize::from_kibibytes(256 * 1024)
}

/// Where log rows go.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LogSink {
    /// The process's standard output.
    Stdout {},
    /// A file, appended to; reopened on SIGHUP so that it can be rotated.
    File {
        /// Path of the file.
        path: PathBuf,
    },
}

/// How a log row is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// One line of text in the combined style that nginx and Apache write.
    Text,
}

/// OpenTelemetry export over OTLP/HTTP.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tracing {
    /// Base URL of the collector, such as `http://127.0.0.1:4318`.
    pub endpoint: String,
    /// Share of new traces that is kept; a caller's own decision (W3C traceparent) is followed.
    #[serde(default = "everything")]
    pub sample: Percent,
    /// Headers to send with every export.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Whether records are exported as OTLP logs too.
    #[serde(default)]
    pub logs: bool,
    /// Whether durations of routes and times to models' first tokens are exported as OTLP exponential
    /// histograms too, every 15 s and at the end.
    #[serde(default)]
    pub metrics: bool,
    /// The `service.name` of this gateway.
    #[serde(default = "service")]
    pub service: String,
}

fn everything() -> Percent {
    Percent::HUNDRED
}

fn service() -> String {
    "tidegate".into()
}
