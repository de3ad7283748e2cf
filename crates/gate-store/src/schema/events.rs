//! What the gateway that leads remembers about events that were published.

/// One row for each environment.
pub(super) const EVENTS: &str = "CREATE TABLE event_state (
    environment TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    data TEXT NOT NULL
);";
