//! Files and batches that the gateway keeps for callers of models.

use crate::units::{ByteSize, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Files and batches that the gateway keeps for callers of models, at `/v1/files`, `/v1/batches` and
/// `/v1/messages/batches` of every route to models.
///
/// A batch is run by this gateway as a job, request by request, as its owner: every request is an exchange
/// of the same route, under the same policies and budgets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Folder on a local disk; made when it is not there. Of several gateways over one folder one runs
    /// the batches. A gateway with a folder of its own beside others over the same store has its batches
    /// to itself, but lists those of all.
    pub folder: PathBuf,
    /// Largest file, in bytes.
    #[serde(default = "file_size")]
    pub file_size: ByteSize,
    /// What the files of one consumer may have together, in bytes.
    #[serde(default = "owner_size")]
    pub owner_size: ByteSize,
    /// How many files a consumer may have.
    #[serde(default = "owner_files")]
    pub owner_files: u32,
    /// How many batches of a consumer may be under way.
    #[serde(default = "owner_batches")]
    pub owner_batches: u32,
    /// How long files are kept whose owners do not say, results of batches among them.
    #[serde(default = "keep")]
    pub keep: Period,
    /// The queue of jobs that batches are run in, which says how much of them is under way at a time and
    /// what they leave to others. A batch is a job of its owner's team there.
    #[serde(default = "queue")]
    pub queue: String,
    /// Whether a batch goes to the providers' own batch APIs, where targets of its models have one: it is
    /// cheaper and takes longer. What no provider runs is run here.
    #[serde(default)]
    pub relay: bool,
}

fn file_size() -> ByteSize {
    ByteSize::from_kibibytes(512 * 1024)
}

fn owner_size() -> ByteSize {
    ByteSize::from_kibibytes(20 * 1024 * 1024)
}

const fn owner_files() -> u32 {
    10_000
}

const fn owner_batches() -> u32 {
    100
}

fn keep() -> Period {
    Period::from_seconds(30 * 86_400)
}

fn queue() -> String {
    "default".to_owned()
}
