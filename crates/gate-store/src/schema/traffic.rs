//! The table of what was counted by the hour: see `crate::control::traffic`.

/// What all gateways of an environment counted in an hour (hours since 1970).
pub(super) const TRAFFIC: &str = "CREATE TABLE traffic_hour (
    environment TEXT NOT NULL,
    hour BIGINT NOT NULL,
    version BIGINT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (environment, hour)
);";
