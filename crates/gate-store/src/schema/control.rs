//! The control plane's tables: see `crate::control`.

/// `head` counts what must have no gaps; its row `audit` is what every writer waits for. An
/// environment that was removed keeps its row, so that its generation never begins anew.
pub(super) const CONTROL: &str = "CREATE TABLE head (
    name TEXT PRIMARY KEY,
    number BIGINT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO head (name, number, hash) VALUES
    ('revision', 0, ''),
    ('rollout', 0, ''),
    ('audit', 0, '0000000000000000000000000000000000000000000000000000000000000000');
CREATE TABLE document (
    digest TEXT PRIMARY KEY,
    size BIGINT NOT NULL,
    content {bytes} NOT NULL
);
CREATE TABLE revision (
    number BIGINT PRIMARY KEY,
    environment TEXT NOT NULL,
    digest TEXT NOT NULL,
    managers TEXT NOT NULL,
    parent BIGINT,
    author TEXT NOT NULL,
    cause TEXT NOT NULL,
    message TEXT NOT NULL,
    source_commit TEXT,
    plan TEXT,
    checks TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE INDEX revision_environment ON revision (environment, number);
CREATE TABLE environment (
    name TEXT PRIMARY KEY,
    generation BIGINT NOT NULL,
    revision BIGINT,
    stable BIGINT,
    confirm_until_ms BIGINT,
    candidate BIGINT,
    rollout TEXT,
    variables TEXT NOT NULL,
    lock_holder TEXT,
    lock_reason TEXT,
    lock_since_ms BIGINT,
    promotes_to TEXT,
    changed_ms BIGINT NOT NULL,
    removed BIGINT NOT NULL
);
CREATE TABLE environment_history (
    environment TEXT NOT NULL,
    generation BIGINT NOT NULL,
    change_id TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    revision BIGINT,
    stable BIGINT,
    candidate BIGINT,
    written BIGINT,
    removed BIGINT NOT NULL,
    PRIMARY KEY (environment, generation),
    UNIQUE (environment, change_id)
);
CREATE TABLE audit (
    sequence BIGINT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    role TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE TABLE ack (
    environment TEXT NOT NULL,
    instance TEXT NOT NULL,
    revision BIGINT NOT NULL,
    digest TEXT NOT NULL,
    applied BIGINT NOT NULL,
    reason TEXT NOT NULL,
    generation BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment, instance)
);
CREATE TABLE leader (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    token BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);
CREATE TABLE rollout (
    id TEXT PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    environment TEXT NOT NULL,
    candidate BIGINT NOT NULL,
    control BIGINT,
    state TEXT NOT NULL,
    data TEXT NOT NULL,
    version BIGINT NOT NULL,
    started_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL
);
CREATE INDEX rollout_environment ON rollout (environment, number);
CREATE TABLE evidence (
    rollout TEXT NOT NULL,
    step BIGINT NOT NULL,
    slice TEXT NOT NULL,
    signal TEXT NOT NULL,
    instance TEXT NOT NULL,
    control_total BIGINT NOT NULL,
    control_bad BIGINT NOT NULL,
    candidate_total BIGINT NOT NULL,
    candidate_bad BIGINT NOT NULL,
    data TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (rollout, step, slice, signal, instance)
);
CREATE TABLE secret (
    name TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    wrapped {bytes} NOT NULL,
    ciphertext {bytes} NOT NULL,
    created_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL
);
CREATE TABLE state (
    name TEXT PRIMARY KEY,
    version BIGINT,
    versions BIGINT NOT NULL,
    lock_id TEXT,
    lock_holder TEXT,
    lock_info TEXT,
    lock_since_ms BIGINT
);
CREATE TABLE state_version (
    state TEXT NOT NULL,
    version BIGINT NOT NULL,
    lineage TEXT NOT NULL,
    serial BIGINT NOT NULL,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    author TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    wrapped {bytes} NOT NULL,
    ciphertext {bytes} NOT NULL,
    PRIMARY KEY (state, version)
);
CREATE INDEX state_version_key ON state_version (key_id);";

/// Who signed out of which provider's sessions, until those would have ended anyway. The newest number
/// has a row of its own, which writers wait for: so numbers become visible in their order.
pub(super) const SIGN_OUTS: &str = "CREATE TABLE sign_out (
    number BIGINT PRIMARY KEY,
    who TEXT NOT NULL,
    at_s BIGINT NOT NULL,
    until_ms BIGINT NOT NULL
);
CREATE INDEX sign_out_until ON sign_out (until_ms);
CREATE TABLE sign_out_newest (id BIGINT PRIMARY KEY, number BIGINT NOT NULL);
INSERT INTO sign_out_newest (id, number) VALUES (1, 0);";

/// Files that a revision was made with, as a document like any other.
pub(super) const FILES: &str = "ALTER TABLE revision ADD COLUMN files TEXT;
CREATE INDEX revision_files ON revision (files);";

/// Who still points to a document is asked when revisions are taken away.
pub(super) const DIGESTS: &str = "CREATE INDEX revision_digest ON revision (digest);
CREATE INDEX revision_managers ON revision (managers);";
