//! The ledger's tables.
//!
//! Amounts are whole picodollars or tokens; `period` is the UNIX second a budget's period began, 0
//! for budgets without end.

/// The ledger, open reservations, balances of budgets, leases of processes.
pub(super) const LEDGER: &str = "CREATE TABLE entry (
    sequence {sequence},
    exchange TEXT NOT NULL,
    kind TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    consumer TEXT NOT NULL,
    key_id TEXT NOT NULL,
    team TEXT NOT NULL,
    route TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    provider_model TEXT NOT NULL,
    tag TEXT NOT NULL,
    outcome TEXT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    written_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    cost BIGINT,
    charges TEXT NOT NULL,
    UNIQUE (exchange, kind)
);
CREATE INDEX entry_at ON entry (at_ms);
CREATE TABLE hold (
    exchange TEXT PRIMARY KEY,
    instance TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    consumer TEXT NOT NULL,
    key_id TEXT NOT NULL,
    team TEXT NOT NULL,
    route TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    provider_model TEXT NOT NULL,
    tag TEXT NOT NULL,
    cost BIGINT,
    charges TEXT NOT NULL
);
CREATE INDEX hold_instance ON hold (instance);
CREATE TABLE balance (
    budget TEXT NOT NULL,
    period BIGINT NOT NULL,
    settled BIGINT NOT NULL,
    unsettled BIGINT NOT NULL,
    leased BIGINT NOT NULL,
    wanted_ms BIGINT NOT NULL,
    PRIMARY KEY (budget, period)
);
CREATE TABLE lease (
    instance TEXT NOT NULL,
    budget TEXT NOT NULL,
    period BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (instance, budget, period)
);
CREATE TABLE threshold (
    budget TEXT NOT NULL,
    period BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (budget, period, amount)
);
CREATE TABLE instance (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    born BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);";

/// A row of the ledger may stand for several calls.
pub(super) const CALLS: &str = "ALTER TABLE entry ADD COLUMN calls BIGINT NOT NULL DEFAULT 1;";

/// A row says which revision served its calls; those from before say 0.
pub(super) const REVISIONS: &str =
    "ALTER TABLE entry ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
ALTER TABLE hold ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;";

/// What hours cost, by name: see `crate::ledger::spend`.
pub(super) const SPEND: &str = "CREATE TABLE spend_hour (
    hour BIGINT NOT NULL,
    of_column TEXT NOT NULL,
    name TEXT NOT NULL,
    cost BIGINT NOT NULL,
    PRIMARY KEY (hour, of_column, name)
);";

/// A process says which of its counts of requests was the last to be written.
pub(super) const COUNTED: &str =
    "ALTER TABLE instance ADD COLUMN counted BIGINT NOT NULL DEFAULT 0;";
/// How often each consumer called each version of an API, by day and process.
pub(super) const CALLERS: &str = "CREATE TABLE api_caller (
    day BIGINT NOT NULL,
    api TEXT NOT NULL,
    version TEXT NOT NULL,
    consumer TEXT NOT NULL,
    route TEXT NOT NULL,
    instance TEXT NOT NULL,
    calls BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    refused BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    PRIMARY KEY (day, api, version, consumer, route, instance)
);";
