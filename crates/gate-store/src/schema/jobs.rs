//! The tables of jobs: see `crate::jobs`.

/// A job is a row; its items are marks in pages of 4,096, so that a million of them that all go well
/// are some hundred rows. Only what goes wrong with an item, or twice, has a row of its own. Results lie
/// together as they were written, with where each is.
pub(super) const JOBS: &str = "CREATE TABLE job (
    id TEXT PRIMARY KEY,
    environment TEXT NOT NULL,
    number BIGINT NOT NULL,
    key TEXT NOT NULL,
    queue TEXT NOT NULL,
    team TEXT NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    items BIGINT NOT NULL,
    state TEXT NOT NULL,
    is_over BIGINT NOT NULL,
    wish TEXT NOT NULL,
    spec TEXT NOT NULL,
    progress TEXT NOT NULL,
    offsets {bytes},
    submitted_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX job_number ON job (environment, number);
CREATE UNIQUE INDEX job_key ON job (environment, key);
CREATE TABLE job_desk (
    environment TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    number BIGINT NOT NULL
);
CREATE TABLE job_page (
    job TEXT NOT NULL,
    page BIGINT NOT NULL,
    started {bytes} NOT NULL,
    succeeded {bytes} NOT NULL,
    failed {bytes} NOT NULL,
    PRIMARY KEY (job, page)
);
CREATE TABLE job_note (
    job TEXT NOT NULL,
    place BIGINT NOT NULL,
    item BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (job, place)
);
CREATE TABLE job_result (
    job TEXT NOT NULL,
    page BIGINT NOT NULL,
    segment BIGINT NOT NULL,
    head {bytes} NOT NULL,
    data {bytes} NOT NULL,
    PRIMARY KEY (job, page, segment)
);";

/// Jobs over a file are run by who has the folder that it is in.
pub(super) const FOLDERS: &str = "ALTER TABLE job ADD COLUMN folder TEXT NOT NULL DEFAULT '';";
