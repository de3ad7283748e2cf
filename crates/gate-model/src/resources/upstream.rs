//! Balanced services: endpoints, health, connections, retries.

use crate::units::{Percent, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A balanced service.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// `host:port`, `[ipv6]:port` or `unix:/path`; names are resolved again at their TTL.
    pub endpoints: Vec<String>,
    /// Share of requests per endpoint, by its text in `endpoints`; 1 when left out.
    #[serde(default)]
    pub weights: BTreeMap<String, u32>,
    /// How an endpoint is chosen.
    #[serde(default)]
    pub balance: Balance,
    /// What is spoken to the endpoints.
    #[serde(default)]
    pub protocol: UpstreamProtocol,
    /// TLS to the endpoints; plain text when left out.
    #[serde(default)]
    pub tls: Option<UpstreamTls>,
    /// How the gateway proves itself to the endpoints; not at all when left out.
    #[serde(default)]
    pub credential: Option<super::UpstreamCredential>,
    /// Which Host the endpoints see.
    #[serde(default)]
    pub host_header: HostHeader,
    /// Active health checks; none when left out.
    #[serde(default)]
    pub health: Option<Health>,
    /// Passive health: endpoints that keep failing are left out for a while.
    #[serde(default)]
    pub outlier: Outlier,
    /// Time over which an endpoint that has come back takes up its full share; `0s` for at once.
    #[serde(default)]
    pub slow_start: Period,
    /// Connections kept to each endpoint.
    #[serde(default)]
    pub pool: Pool,
    /// How long each step may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Trying again after a failure.
    #[serde(default)]
    pub retry: Retry,
    /// Concurrent requests allowed to this upstream over the whole process; more are refused.
    #[serde(default = "concurrency")]
    pub concurrency: u32,
    /// A second request for idempotent calls that are slow to answer; none when left out.
    #[serde(default)]
    pub hedge: Option<Hedge>,
    /// Outbound HTTP proxy to reach the endpoints through (CONNECT), as `http://host:port`.
    #[serde(default)]
    pub proxy: Option<String>,
}

fn concurrency() -> u32 {
    10_000
}

/// How an endpoint is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Balance {
    /// The less busy of two random endpoints.
    LeastRequest {},
    /// One after the other, by weight.
    RoundRobin {},
    /// The same value goes to the same endpoint as long as it is healthy.
    RingHash {
        /// What is hashed.
        by: HashBy,
    },
}

impl Default for Balance {
    fn default() -> Self {
        Balance::LeastRequest {}
    }
}

/// What a ring hash looks at; requests without it are spread evenly.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HashBy {
    /// A request header, by name.
    Header(String),
    /// A cookie, by name.
    Cookie(String),
    /// The authenticated consumer.
    Consumer {},
    /// The caller's address.
    Address {},
}

/// What is spoken to endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: by ALPN with TLS, by prior knowledge (h2c) without.
    Http2,
}

/// TLS to endpoints.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamTls {
    /// Server name to ask for and to verify; the endpoint's own name when left out.
    pub server_name: Option<String>,
    /// PEM file of certificate authorities to trust instead of the public ones.
    pub authorities: Option<PathBuf>,
    /// Certificate to present (mTLS).
    pub certificate: Option<super::Certificate>,
}

/// Which Host an endpoint sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostHeader {
    /// The caller's.
    #[default]
    Preserve,
    /// The endpoint's own, as written in `endpoints`.
    Endpoint,
}

/// An active health check.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Health {
    /// A GET request; any 2xx or 3xx answer is healthy.
    Http {
        /// Path to ask for.
        path: String,
        /// Time between checks.
        #[serde(default = "health_interval")]
        interval: Period,
        /// Time a check may take.
        #[serde(default = "health_timeout")]
        timeout: Period,
        /// Successes in a row before an endpoint is used again.
        #[serde(default = "health_rise")]
        rise: u32,
        /// Failures in a row before an endpoint is left out.
        #[serde(default = "health_fall")]
        fall: u32,
    },
    /// A connection; being accepted is healthy.
    Tcp {
        /// Time between checks.
        #[serde(default = "health_interval")]
        interval: Period,
        /// Time a check may take.
        #[serde(default = "health_timeout")]
        timeout: Period,
        /// Successes in a row before an endpoint is used again.
        #[serde(default = "health_rise")]
        rise: u32,
        /// Failures in a row before an endpoint is left out.
        #[serde(default = "health_fall")]
        fall: u32,
    },
}

fn health_interval() -> Period {
    Period::from_seconds(5)
}

fn health_timeout() -> Period {
    Period::from_seconds(2)
}

fn health_rise() -> u32 {
    2
}

fn health_fall() -> u32 {
    3
}

/// When a failing endpoint is left out, and for how long.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Outlier {
    /// Failures in a row (connect errors, resets, timeouts, 502 to 504) before an endpoint is left
    /// out; 0 turns this off.
    pub failures: u32,
    /// How long it is left out the first time; doubles with each repetition, up to ten times.
    pub ejection: Period,
    /// The largest share of endpoints that may be left out at once.
    pub share: Percent,
}

impl Default for Outlier {
    fn default() -> Self {
        Self {
            failures: 5,
            ejection: Period::from_seconds(10),
            share: Percent::from_percents(50),
        }
    }
}

/// Connections kept to each endpoint.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pool {
    /// Open connections to one endpoint, per worker; requests beyond wait for `timeouts.connect`.
    pub connections: u32,
    /// Idle connections kept to one endpoint, per worker.
    pub idle: u32,
    /// How long an idle connection is kept; keep it below the endpoint's own limit.
    pub idle_time: Period,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            connections: 1024,
            idle: 256,
            idle_time: Period::from_seconds(50),
        }
    }
}

/// How long each step of a request may take.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// To open a connection, TLS included.
    pub connect: Period,
    /// From the request being sent to the first byte of the answer.
    pub first_byte: Period,
    /// Between two pieces of the answer.
    pub idle: Period,
    /// For everything, retries and the whole answer included, but for what an upgrade tunnels; `0s` means
    /// no limit.
    pub total: Period,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Period::from_seconds(5),
            first_byte: Period::from_seconds(60),
            idle: Period::from_seconds(60),
            total: Period::ZERO,
        }
    }
}

/// Trying again after a failure, on another endpoint where there is one.
///
/// Only what is safe is repeated: idempotent methods, or requests of which no byte was sent; never
/// once a byte of the answer has reached the caller.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Tries after the first one; 0 turns retrying off.
    pub attempts: u32,
    /// What is worth another try.
    pub on: Vec<RetryOn>,
    /// Retries allowed as a share of the requests of the last ten seconds (a few are always).
    pub budget: Percent,
    /// Time before a retry.
    pub backoff: Backoff,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 1,
            on: vec![RetryOn::Connect, RetryOn::Reset, RetryOn::Unavailable],
            budget: Percent::from_percents(20),
            backoff: Backoff::default(),
        }
    }
}

/// What is worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// No connection could be made; nothing was sent.
    Connect,
    /// The connection ended before the first byte of an answer.
    Reset,
    /// No first byte in time.
    Timeout,
    /// An answer of 502, 503 or 504.
    Unavailable,
    /// An answer of 429.
    TooMany,
}

/// Time before a retry: `base`, doubled each time up to `most`, of which a random part is waited.
///
/// A Retry-After from the endpoint is waited instead. An endpoint that asks for more than `most` is not
/// asked again: another one is where there is one, and else the caller gets the answer, with its
/// Retry-After.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Backoff {
    /// Before the first retry.
    pub base: Period,
    /// The longest.
    pub most: Period,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Period::from_millis(25),
            most: Period::from_seconds(1),
        }
    }
}

/// A second request when the first is slow; the first answer wins and the other is cancelled.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hedge {
    /// How long the first may take before the second is sent. Hedges count against `retry.budget`.
    pub after: Period,
}
