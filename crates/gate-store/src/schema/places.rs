//! Where each gateway saw exchanges fail of late.

/// A row per life of a gateway, in the form that it is sent in, numbered as counts of objectives are.
pub(super) const PLACES: &str = "CREATE TABLE promise_place (
    environment TEXT NOT NULL,
    node TEXT NOT NULL,
    number BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    places {bytes} NOT NULL,
    PRIMARY KEY (environment, node)
);";
