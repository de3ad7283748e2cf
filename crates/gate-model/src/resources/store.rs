//! The store: where the gateway keeps what must not be lost, under which keys, and for how long.

use crate::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where the gateway keeps what must not be lost: the ledger of calls and budgets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// The database. Needs a restart to change.
    pub engine: StoreEngine,
    /// What becomes of calls under a budget while the store cannot be reached and what the gateway
    /// holds of the budget is used up.
    #[serde(default)]
    pub fail: StoreFail,
    /// How long settled calls are kept; balances of budgets always are.
    #[serde(default = "retention")]
    pub retention: Period,
    /// A request header whose value (at most 64 letters, digits and `-._:/`) is kept with each call
    /// as its tag, for `tidegate usage --by tag`. It is not sent on to providers.
    #[serde(default)]
    pub tag_header: Option<String>,
    /// The keys under which stored secrets and Terraform states are encrypted: a line `ID BASE64` for
    /// each key of 32 bytes, the one in use first. Without it nothing of the kind can be stored.
    #[serde(default)]
    pub key: Option<StoreKey>,
    /// What of the past is kept of revisions, the audit log, Terraform states and rollouts.
    #[serde(default)]
    pub history: History,
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StoreEngine {
    /// A file of this gateway's own, on a local disk.
    Sqlite {
        /// Path of the file; made when it does not exist.
        path: PathBuf,
    },
    /// A PostgreSQL server, which several gateways may share.
    Postgres {
        /// Where `postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full` is kept. Without the
        /// last part the connection is not encrypted; `&sslrootcert=PATH` trusts a file of
        /// authorities instead of Mozilla's.
        address: StorePlace,
    },
}

/// Where something secret is kept that must be known before the store can be asked: the address of
/// a database, a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StorePlace {
    /// Name of an environment variable.
    Env(String),
    /// Path of a file.
    File(PathBuf),
}

/// Where the keys of a store are kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StoreKey {
    /// Name of an environment variable.
    Env(String),
    /// Path of a file.
    File(PathBuf),
    /// Keys that AWS KMS has wrapped and unwraps again when they are first needed.
    AwsKms(AwsKms),
}

/// Keys that AWS KMS has wrapped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsKms {
    /// The region, such as `eu-west-1`.
    pub region: String,
    /// The key in KMS: its id, its ARN, or `alias/NAME`.
    pub key: String,
    /// Where the wrapped keys are kept: a line `ID BASE64` for each, the one in use first, as
    /// `tidegate secrets new-key --config FILE` prints it.
    pub wrapped: StorePlace,
    /// Where the access key's id is kept.
    pub access_key_id: StorePlace,
    /// Where its secret is kept.
    pub secret_access_key: StorePlace,
    /// Where the session's token is kept, for temporary credentials.
    #[serde(default)]
    pub session_token: Option<StorePlace>,
    /// Address instead of `https://kms.REGION.amazonaws.com`.
    #[serde(default)]
    pub address: Option<String>,
}

/// What of the past is kept. Nothing that is in use goes: revisions that an environment or a rollout
/// points to, rollouts that run, the version that a Terraform state is at. One of the gateways that
/// follow an environment takes the rest away, a little at a time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// Revisions of each environment with their documents, and what happened to the environment.
    pub revisions: Kept,
    /// Lines of the audit log, which stays verifiable from the first that is left.
    pub audit: Kept,
    /// How long events of the journal are kept; 0 keeps all. One that a reader has not read is kept
    /// longer.
    pub journal: Period,
    /// Versions of each Terraform state.
    pub states: Kept,
    /// Rollouts of each environment that have ended, with their evidence.
    pub rollouts: Kept,
    /// How long a gateway that says nothing more is remembered; 0 keeps all.
    pub instances: Period,
    /// Incidents of each environment that are over, with their postmortems and the scores of
    /// experiments.
    pub incidents: KeptIncidents,
}

/// Which incidents stay: those that are young, and of these at most so many. One that is open, or has
/// an open action item, stays whatever its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeptIncidents {
    /// How many stay at most; the oldest go first.
    pub most: u32,
    /// How long one stays after it was last written; 0 sets no limit of age.
    pub age: Period,
}

impl Default for KeptIncidents {
    fn default() -> Self {
        Self {
            most: 10_000,
            age: Period::from_seconds(400 * 86_400),
        }
    }
}

/// What stays of a kind: whatever is among the newest, and whatever is young.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// How many of the newest stay, whatever their age.
    pub newest: u32,
    /// Until what age all stay; 0 keeps everything.
    pub age: Period,
}

impl Default for History {
    fn default() -> Self {
        let kept = |newest, days: u64| Kept {
            newest,
            age: Period::from_seconds(days * 86_400),
        };
        Self {
            revisions: kept(100, 90),
            audit: kept(10_000, 400),
            journal: Period::from_seconds(90 * 86_400),
            states: kept(50, 90),
            rollouts: kept(50, 90),
            instances: Period::from_seconds(7 * 86_400),
            incidents: KeptIncidents::default(),
        }
    }
}

/// What becomes of calls under a budget while the store is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreFail {
    /// They are refused with `budget_unavailable`.
    #[default]
    Closed,
    /// Each gateway may spend a 128th of each budget beyond it, and settles that later.
    OpenLocal,
}

fn retention() -> Period {
    Period::from_seconds(400 * 86_400)
}
