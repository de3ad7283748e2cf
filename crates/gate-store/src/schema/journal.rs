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

/// Events of one commit as one row, by the place of the last of them; where the key of each is, but for
/// the store's own, which nobody appends twice; and up to where everything is: `end` is the newest place
/// and the row that writers wait for, `pruned` the last that was taken away, `node` a node's newest
/// event, and `anchor` its last that was taken away. A reader's position counts how often it was asked to move;
/// `seen` is what of that was seen when something was to be taken away. [`crate::journal::pack`] brings the events of
/// [`JOURNAL`] over, whose tables stay for gateways of the version before.
pub(super) const GROUPS: &str = "CREATE TABLE journal_group (
    place {place},
    events BIGINT NOT NULL,
    node TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    hash {bytes} NOT NULL,
    heads {bytes} NOT NULL,
    payloads {bytes} NOT NULL
);
CREATE TABLE journal_place (key TEXT PRIMARY KEY, place BIGINT NOT NULL){clustered};
CREATE TABLE journal_mark (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    place BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    hash {bytes} NOT NULL,
    PRIMARY KEY (kind, name)
);
INSERT INTO journal_mark (kind, name, place, sequence, hash) VALUES ('end', '', 0, 0, '');
CREATE TABLE journal_position (
    name TEXT PRIMARY KEY,
    place BIGINT NOT NULL,
    moves BIGINT NOT NULL,
    seen_moves BIGINT NOT NULL,
    seen_ms BIGINT NOT NULL
);
INSERT INTO journal_position (name, place, moves, seen_moves, seen_ms)
    SELECT name, place, 0, -1, 0 FROM journal_reader";
