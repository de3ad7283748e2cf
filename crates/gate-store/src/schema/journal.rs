//! Tables of the journal: see `crate::journal`.

/// Events by their place in the order that all readers see, the newest event of each node's chain,
/// and how far each reader has come. `journal_end` counts places; its one row is what writers wait
/// for.
pub(super) const JOURNAL: &str = "CREATE TABLE journal (
    place BIGINT PRIMARY KEY,
    node TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    consumer TEXT NOT NULL,
    digest {bytes} NOT NULL,
    hash {bytes} NOT NULL,
    payload {bytes}
);
CREATE UNIQUE INDEX journal_key ON journal (key);
CREATE INDEX journal_consumer ON journal (consumer, place) WHERE consumer <> '';
CREATE TABLE journal_node (
    node TEXT PRIMARY KEY,
    sequence BIGINT NOT NULL,
    hash {bytes} NOT NULL
);
CREATE TABLE journal_end (name TEXT PRIMARY KEY, place BIGINT NOT NULL);
INSERT INTO journal_end VALUES ('journal', 0);
CREATE TABLE journal_reader (name TEXT PRIMARY KEY, place BIGINT NOT NULL);";

/// Keys under which payloads of consumers are sealed, since which place; and the last event of each
/// node that was taken away from the front. `journal_end` says up to which place, as `pruned`.
pub(super) const KEYS: &str = "CREATE TABLE journal_secret (
    consumer TEXT PRIMARY KEY,
    id {bytes} NOT NULL,
    secret {bytes} NOT NULL,
    place BIGINT NOT NULL,
    made_ms BIGINT NOT NULL
);
CREATE TABLE journal_anchor (
    node TEXT PRIMARY KEY,
    sequence BIGINT NOT NULL,
    hash {bytes} NOT NULL
)";
