//! The tables of objectives: what each gateway counted, and what an environment's gate holds.

/// Counts per objective and life of a gateway, in the form that they are sent in; the newest number has
/// a row of its own, which writers wait for: so numbers become visible in their order. And what is
/// frozen or allowed in spite of spent budgets, per environment.
pub(super) const PROMISES: &str = "CREATE TABLE promise (
    environment TEXT NOT NULL,
    objective TEXT NOT NULL,
    node TEXT NOT NULL,
    number BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    counts {bytes} NOT NULL,
    PRIMARY KEY (environment, objective, node)
);
CREATE INDEX promise_number ON promise (number);
CREATE TABLE promise_newest (id BIGINT PRIMARY KEY, number BIGINT NOT NULL);
INSERT INTO promise_newest (id, number) VALUES (1, 0);
CREATE TABLE promise_gate (
    environment TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    data TEXT NOT NULL
);";

/// What each gateway suspected when it wrote its counts, as JSON; empty where it did not say.
pub(super) const SUSPICIONS: &str =
    "ALTER TABLE promise ADD COLUMN suspicion TEXT NOT NULL DEFAULT ''";

/// Histograms of durations, a row per subject and life of a gateway, in the form that they are sent in,
/// numbered as counts of objectives are.
pub(super) const DURATIONS: &str = "CREATE TABLE promise_duration (
    environment TEXT NOT NULL,
    subject TEXT NOT NULL,
    node TEXT NOT NULL,
    number BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    durations {bytes} NOT NULL,
    PRIMARY KEY (environment, subject, node)
);";
