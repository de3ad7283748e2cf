//! Tables of notifications and of reported deployments: see `crate::control::notice` and
//! `crate::control::deployment`.

/// What waits to be taken in by the one gateway that tells people, in the order of arrival; and what
/// that gateway knows.
pub(super) const NOTICES: &str = "CREATE TABLE notice_order (
    number {sequence},
    environment TEXT NOT NULL,
    data TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);
CREATE INDEX notice_order_environment ON notice_order (environment, number);
CREATE TABLE notice_state (
    environment TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    data TEXT NOT NULL,
    changed_ms BIGINT NOT NULL
);
CREATE TABLE deployment (
    id TEXT PRIMARY KEY,
    service TEXT NOT NULL,
    team TEXT NOT NULL,
    data TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);
CREATE INDEX deployment_at ON deployment (at_ms);";
