//! Why the control plane's store did not do what was asked.

use super::{Lock, StateLock};
use crate::StoreError;

/// A refusal, or a store that cannot answer. Its text is for the operator and names no secret.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ControlError {
    /// The store itself failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such thing: `environment prod`, `revision 17`.
    #[error("there is no {0}")]
    Missing(String),
    /// There is one already.
    #[error("the {0} exists already")]
    Exists(String),
    /// Somebody changed it since the caller looked.
    #[error("it is at generation {current}, not at {expected}: look again, then change it")]
    Stale {
        /// What the caller had seen; 0 when it expected nothing to be there.
        expected: u64,
        /// What is there now.
        current: u64,
    },
    /// The environment is locked by somebody else.
    #[error("the environment is locked by {}: {}", .0.holder, .0.reason)]
    Locked(Lock),
    /// The rollout was written by somebody else meanwhile.
    #[error("the rollout is at version {current}, not at {expected}")]
    StaleRollout {
        /// What the caller had seen; 0 when it expected none.
        expected: u64,
        /// What is there now; 0 when there is none.
        current: u64,
    },
    /// The lease that the caller acts under is not its own any more.
    #[error("the lease `{0}` is held by another")]
    NotLeader(String),
    /// The Terraform state is locked by somebody else.
    #[error("the state is locked by {} (lock {})", .0.holder, .0.id)]
    StateLocked(StateLock),
    /// A lock was named that is not held: it was taken away by force.
    #[error("the lock `{0}` is not held any more")]
    StateNotLocked(String),
    /// The Terraform state comes from another lineage than the one kept.
    #[error("the state has the lineage `{kept}`, not `{given}`")]
    Lineage {
        /// What is kept.
        kept: String,
        /// What was to be written.
        given: String,
    },
    /// The Terraform state is no newer than the one kept.
    #[error("the state is at serial {kept}; {given} is no newer")]
    Serial {
        /// What is kept.
        kept: u64,
        /// What was to be written.
        given: u64,
    },
    /// More than is kept.
    #[error("the {what} has {bytes} bytes; at most {limit} are kept")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// A sealed value cannot be opened or wrapped anew: an unknown key, or it was altered.
    #[error("{0}")]
    Seal(String),
}
