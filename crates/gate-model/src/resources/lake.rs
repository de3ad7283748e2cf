//! The lake: where records are kept as Parquet files, for how long, and what of them is not.

use super::StorePlace;
use crate::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Records of all exchanges as Parquet files, in a folder or a bucket, for queries of one's own and
/// of others.
///
/// Several gateways may write one lake; one of them at a time keeps it. Rows are found in it about a
/// second after their exchange ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lake {
    /// Where the files lie.
    pub to: LakePlace,
    /// What this gateway is called in the column `node`; the host's name when left out.
    #[serde(default)]
    pub node: Option<String>,
    /// The rows without content.
    #[serde(default)]
    pub records: LakeSet,
    /// Bodies, where a resource says that they are recorded; not written when left out.
    #[serde(default)]
    pub bodies: Option<LakeSet>,
    /// Where the key is kept with which columns are hashed.
    #[serde(default)]
    pub hash_key: Option<StorePlace>,
}

/// Where the files of a lake lie.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LakePlace {
    /// A folder on a local disk.
    Directory {
        /// Path of the folder; made when it is not there, for its owner only.
        path: PathBuf,
    },
    /// A bucket of an S3-compatible store that knows `If-None-Match`.
    S3(LakeBucket),
}

/// A bucket of an S3-compatible store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LakeBucket {
    /// The bucket, which must be there.
    pub bucket: String,
    /// In front of every object's name.
    #[serde(default)]
    pub prefix: String,
    /// The region, such as `eu-west-1`; stores that know none take any.
    pub region: String,
    /// URL of the store; AWS's own in the region when left out.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// File of authorities that the store's certificate is checked against, instead of Mozilla's.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
    /// Where the id of the access key is kept.
    pub access_key_id: StorePlace,
    /// Where its secret is kept.
    pub secret_access_key: StorePlace,
    /// Where the token of a session is kept, for temporary credentials.
    #[serde(default)]
    pub session_token: Option<StorePlace>,
}

/// What becomes of the rows of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LakeSet {
    /// How long rows are kept; for good when left out.
    pub keep: Option<Period>,
    /// Columns that are left empty.
    pub drop: Vec<String>,
    /// Columns whose text is replaced by a keyed hash.
    pub hash: Vec<String>,
}
