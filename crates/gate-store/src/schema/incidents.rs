//! The tables of incidents: see `crate::control::incident`.

/// A desk is the state of whoever leads about incidents of one environment; its version grows with each
/// write of an incident of that environment, so that one number says whether something is new. A
/// postmortem's actions are rows of their own, because they are followed until they are closed,
/// whatever becomes of the text.
pub(super) const INCIDENTS: &str =
    "INSERT INTO head (name, number, hash) VALUES ('incident', 0, '');
CREATE TABLE incident_desk (
    environment TEXT PRIMARY KEY,
    data TEXT NOT NULL,
    version BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL
);
CREATE TABLE incident (
    id TEXT PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    environment TEXT NOT NULL,
    life TEXT NOT NULL,
    on_desk BIGINT NOT NULL,
    data TEXT NOT NULL,
    version BIGINT NOT NULL,
    opened_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL
);
CREATE INDEX incident_environment ON incident (environment, number);
CREATE INDEX incident_desk_of ON incident (environment, on_desk);
CREATE TABLE postmortem (
    incident TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    narrative TEXT NOT NULL,
    document TEXT NOT NULL,
    version BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL
);
CREATE TABLE action_item (
    incident TEXT NOT NULL,
    number BIGINT NOT NULL,
    environment TEXT NOT NULL,
    action TEXT NOT NULL,
    team TEXT NOT NULL,
    state TEXT NOT NULL,
    due_ms BIGINT,
    changed_ms BIGINT NOT NULL,
    PRIMARY KEY (incident, number)
);
CREATE INDEX action_item_state ON action_item (environment, state);";
