//! Drift: what a gateway runs is not what it should, and stays so.
//!
//! Two things say what a gateway should run: its file, and the revision of the environment that it
//! follows. Whoever puts them into force notes here what was refused, and what runs instead. What differs
//! for [`AFTER_MS`] is told, and so is the end of it. A gateway that cannot ask the store does not know
//! what it should run: that is no drift.

use gate_api::document::hex_sha256;
use gate_kit::clock::Clock;
use gate_ops::event::cloud::CloudEvent;
use gate_ops::event::own::{DriftFound, DriftMended, event, time};
use gate_proxy::process::Process;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long something differs before it is drift, in milliseconds: what is pushed and pushed again right
/// is none.
const AFTER_MS: i64 = 10_000;
/// Most bytes of a reason that are told.
const REASON_MAX: usize = 4 << 10;

/// What says what a gateway should run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Of {
    /// Its own file.
    File,
    /// The revision of its environment.
    Revision,
}

impl Of {
    const fn as_str(self) -> &'static str {
        match self {
            Of::File => "file",
            Of::Revision => "revision",
        }
    }
}

/// What should run and does not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The digest of what should run; empty where it cannot be read.
    pub(crate) wanted: String,
    /// The digest of what runs instead; empty where nothing does.
    pub(crate) running: String,
    /// The number of the revision that should run.
    pub(crate) revision: Option<u64>,
    /// Why it does not run, for people.
    pub(crate) reason: String,
}

/// What differs in a process.
#[derive(Debug, Default)]
pub(crate) struct Drift(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    /// What differs, and since when, in UNIX milliseconds.
    now: BTreeMap<Of, (i64, Difference)>,
    /// What was told to differ.
    told: BTreeMap<Of, (i64, Difference)>,
}

impl Drift {
    /// That of a process; it lasts as long as somebody holds it.
    pub(crate) fn of(process: &Process) -> Arc<Self> {
        process.shared().state.get_or_insert("", Self::default)
    }

    /// Notes that something else should run, since now unless something differed already.
    pub(crate) fn differs(&self, of: Of, difference: Difference, now_ms: i64) {
        let mut noted = self.lock();
        let since = noted.now.get(&of).map_or(now_ms, |(since, _)| *since);
        noted.now.insert(of, (since, difference));
    }

    /// Notes that what should run does.
    pub(crate) fn agrees(&self, of: Of) {
        self.lock().now.remove(&of);
    }

    /// What differs now.
    pub(crate) fn now(&self, of: Of) -> Option<Difference> {
        let noted = self.lock();
        noted.now.get(&of).map(|(_, difference)| difference.clone())
    }

    /// What is to be told of this gateway since the last time.
    pub(super) fn news(&self, gateway: &str, environment: &str, now_ms: i64) -> Vec<CloudEvent> {
        let mut noted = self.lock();
        let source = format!("gateway:{gateway}");
        let mut events = Vec::new();
        let told = std::mem::take(&mut noted.told);
        for (of, (since, was)) in told {
            if noted.now.contains_key(&of) {
                noted.told.insert(of, (since, was));
                continue;
            }
            let data = DriftMended {
                gateway: gateway.to_owned(),
                environment: environment.to_owned(),
                of: of.as_str().to_owned(),
                wanted: was.wanted,
                since: time(since).unwrap_or_default(),
            };
            let id = format!("drift/{}/{since}/mended", of.as_str());
            events.push(event(&source, id, of.as_str(), now_ms, &data));
        }
        let due: Vec<(Of, i64, Difference)> = noted
            .now
            .iter()
            .filter(|(of, (since, difference))| {
                let was = noted.told.get(of).map(|(_, was)| &was.wanted);
                now_ms.saturating_sub(*since) >= AFTER_MS && was != Some(&difference.wanted)
            })
            .map(|(of, (since, difference))| (*of, *since, difference.clone()))
            .collect();
        for (of, since, difference) in due {
            noted.told.insert(of, (since, difference.clone()));
            let data = DriftFound {
                gateway: gateway.to_owned(),
                environment: environment.to_owned(),
                of: of.as_str().to_owned(),
                wanted: difference.wanted,
                running: difference.running,
                revision: difference.revision,
                reason: cut(&difference.reason).to_owned(),
                since: time(since).unwrap_or_default(),
            };
            let id = format!("drift/{}/{since}/{}", of.as_str(), data.wanted);
            events.push(event(&source, id, of.as_str(), now_ms, &data));
        }
        events
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a process's own file is about to be, and what of it was put into force.
#[derive(Debug)]
pub(crate) struct FileDrift {
    drift: Arc<Drift>,
    /// The digest of the bytes that were last put into force.
    running: Mutex<String>,
}

impl FileDrift {
    /// Of a process that runs on a file with these bytes.
    pub(crate) fn new(process: &Process, bytes: &[u8]) -> Self {
        Self {
            drift: Drift::of(process),
            running: Mutex::new(hex_sha256(bytes)),
        }
    }

    /// Notes that bytes with this digest run.
    pub(crate) fn applied(&self, digest: String) {
        *self.lock() = digest;
        self.drift.agrees(Of::File);
    }

    /// Notes that bytes with this digest do not run; it is empty where they cannot be read.
    pub(crate) fn refused(&self, digest: String, reason: &str) {
        let difference = Difference {
            wanted: digest,
            running: self.lock().clone(),
            revision: None,
            reason: reason.to_owned(),
        };
        let now_ms = i64::try_from(Clock::System.unix().as_millis()).unwrap_or(i64::MAX);
        self.drift.differs(Of::File, difference, now_ms);
    }

    /// Notes that the file can be read, and holds what it held before it could not.
    pub(crate) fn is_back(&self, bytes: &[u8]) {
        let now = self.drift.now(Of::File);
        if now.is_none_or(|now| !now.wanted.is_empty()) {
            return;
        }
        let digest = hex_sha256(bytes);
        let is_running = *self.lock() == digest;
        match is_running {
            true => self.drift.agrees(Of::File),
            false => self.refused(digest, "it was refused before"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(wanted: &str) -> Difference {
        Difference {
            wanted: wanted.into(),
            running: "one".into(),
            revision: Some(2),
            reason: "é".repeat(4_000),
        }
    }

    #[test]
    fn what_differs_for_a_while_is_told_once_and_so_is_its_end() {
        let drift = Drift::default();
        let kinds = |now_ms: i64| -> Vec<(String, String)> {
            let events = drift.news("a", "main", now_ms);
            assert!(events.iter().all(|event| event.check().is_ok()));
            events.into_iter().map(|one| (one.kind, one.id)).collect()
        };
        let found = |id: &str| vec![("tidegate.drift.found".to_owned(), id.to_owned())];
        let mended = |id: &str| vec![("tidegate.drift.mended".to_owned(), id.to_owned())];
        // What is mended at once is told to nobody.
        drift.differs(Of::File, difference("two"), 1_000);
        assert_eq!(kinds(10_999), []);
        drift.agrees(Of::File);
        assert_eq!(kinds(60_000), []);

        drift.differs(Of::File, difference("two"), 100_000);
        drift.differs(Of::File, difference("three"), 105_000);
        assert_eq!(kinds(109_999), []);
        assert_eq!(kinds(110_000), found("drift/file/100000/three"));
        assert_eq!(kinds(120_000), []);
        // The same is refused again, then something else.
        drift.differs(Of::File, difference("three"), 121_000);
        assert_eq!(kinds(122_000), []);
        drift.differs(Of::File, difference("four"), 123_000);
        assert_eq!(kinds(123_000), found("drift/file/100000/four"));
        drift.differs(Of::Revision, difference("nine"), 123_000);
        drift.agrees(Of::File);
        assert_eq!(kinds(124_000), mended("drift/file/100000/mended"));
        assert_eq!(kinds(133_000), found("drift/revision/123000/nine"));
        assert_eq!(drift.now(Of::File), None);
        assert_eq!(drift.now(Of::Revision), Some(difference("nine")));
    }
}
