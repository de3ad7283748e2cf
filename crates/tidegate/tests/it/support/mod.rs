//! What the tests start: the binary, an upstream, curl.

#[path = "../../../../gate-net/tests/it/net/certificates.rs"]
pub(crate) mod certificates;
pub(crate) mod curl;
pub(crate) mod gateway;
#[path = "../../../../gate-secrets/tests/it/moto.rs"]
pub(crate) mod moto;
#[path = "../../../../gate-store/tests/it/support/postgres.rs"]
pub(crate) mod postgres;
pub(crate) mod provider;
pub(crate) mod upstream;

pub(crate) use curl::{Answer, curl};
pub(crate) use gateway::{Gateway, Running, command, tidegate};
pub(crate) use upstream::{Reply, Seen, Upstream};

use std::time::{Duration, Instant};

/// Longest that anything here is waited for; far more than it takes, because machines are busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something holds.
#[track_caller]
pub(crate) fn eventually(what: &str, holds: impl FnMut() -> bool) {
    eventually_within(PATIENCE, what, holds);
}

/// The same with another patience.
#[track_caller]
pub(crate) fn eventually_within(patience: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < patience, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
