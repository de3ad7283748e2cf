//! The tables of runbooks: see `crate::control::runbook`.

/// A desk is what all gateways of an environment agree on about runs under way and actions in force.
/// Runs are rows of their own, so that they can be shown long after; what keys have started stays longer
/// than they do, so that nothing is started twice.
pub(super) const RUNBOOKS: &str = "CREATE TABLE runbook_desk (
    environment TEXT PRIMARY KEY,
    data TEXT NOT NULL,
    version BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL
);
CREATE TABLE runbook_run (
    id TEXT PRIMARY KEY,
    environment TEXT NOT NULL,
    number BIGINT NOT NULL,
    runbook TEXT NOT NULL,
    state TEXT NOT NULL,
    is_over BIGINT NOT NULL,
    data TEXT NOT NULL,
    began_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX runbook_run_number ON runbook_run (environment, number);
CREATE TABLE runbook_key (
    environment TEXT NOT NULL,
    runbook TEXT NOT NULL,
    key TEXT NOT NULL,
    run TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment, runbook, key)
);";
