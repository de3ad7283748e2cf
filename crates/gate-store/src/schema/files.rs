//! Tables of callers' files and batches: see `crate::files`.

/// Files whose bytes lie in a directory, and batches over them. `number` orders both as they were made;
/// `version` lets a batch's runner and its owner write it side by side.
pub(super) const KEPT: &str = "CREATE TABLE kept_file (
    number {sequence},
    id TEXT NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    purpose TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX kept_file_id ON kept_file (id);
CREATE INDEX kept_file_owner ON kept_file (owner, number);
CREATE INDEX kept_file_expires ON kept_file (expires_ms);
CREATE TABLE kept_batch (
    number {sequence},
    id TEXT NOT NULL,
    owner TEXT NOT NULL,
    api TEXT NOT NULL,
    state TEXT NOT NULL,
    is_over BIGINT NOT NULL,
    data TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX kept_batch_id ON kept_batch (id);
CREATE INDEX kept_batch_owner ON kept_batch (owner, api, number);
CREATE INDEX kept_batch_over ON kept_batch (is_over, changed_ms);";
