//! The tables of subscribers: see `crate::control::delivery`.

/// A course is where a subscriber is in the journal and what it has open there, written by the gateway
/// that leads; replay 0 is the subscriber itself. The desk is what people want of subscribers. A dead
/// letter names an event of the journal, which has the payload: what is destroyed there is gone here too.
pub(super) const DELIVERIES: &str = "CREATE TABLE delivery_desk (
    environment TEXT PRIMARY KEY,
    data TEXT NOT NULL,
    version BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL
);
CREATE TABLE delivery_course (
    environment TEXT NOT NULL,
    subscriber TEXT NOT NULL,
    replay BIGINT NOT NULL,
    data TEXT NOT NULL,
    is_over BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL,
    PRIMARY KEY (environment, subscriber, replay)
);
CREATE TABLE dead_letter (
    environment TEXT NOT NULL,
    subscriber TEXT NOT NULL,
    place BIGINT NOT NULL,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    is_redriven BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment, subscriber, place)
);";
