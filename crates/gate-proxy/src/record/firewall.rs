//! What the firewall's rules matched of late, for people who look.
//!
//! Kept in memory, bounded by the number of matches, the newest only; the access log is what keeps all
//! of them. Exchanges that no rule matched do not come here, and neither do those of mode `count`.
//! Values are shapes already.

use super::recent::forget::Wanted;
use super::time;
use gate_flow::{Record, WafFacts};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most matches that are kept, of about 300 bytes each.
pub const MATCHES_MAX: usize = 4096;

/// An exchange of which rules matched something.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// When it began, in UNIX time.
    pub at: Duration,
    /// Its route.
    pub route: Option<Arc<str>>,
    /// Who called.
    pub consumer: Option<Arc<str>>,
    /// The caller's team.
    pub team: Option<Arc<str>>,
    /// The caller's address, as trusted proxies vouch for it.
    pub address: IpAddr,
    /// The status that the caller got.
    pub status: u16,
    /// Its trace's identity; zeros where it has none.
    pub trace: [u8; 16],
    /// What was found.
    pub facts: WafFacts,
}

impl Sighting {
    /// When it began, as RFC 3339 in UTC.
    #[must_use]
    pub fn began(&self) -> String {
        let mut text = Vec::new();
        time::write_rfc3339(&mut text, self.at);
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// The newest sightings of the process.
#[derive(Default)]
pub(super) struct Firewall(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    sightings: VecDeque<Arc<Sighting>>,
    matches: usize,
}

impl Firewall {
    /// Keeps what was found in an exchange, and forgets the oldest where there is no room.
    pub(super) fn add(&self, record: &Record, address: IpAddr) {
        let Some(facts) = record.waf.as_deref().filter(|facts| !facts.counted_only) else {
            return;
        };
        let sighting = Arc::new(Sighting {
            at: record.started_unix,
            route: record.route.clone(),
            consumer: record.consumer.clone(),
            team: record.team.clone(),
            address,
            status: record.status,
            trace: record.trace.trace_id,
            facts: facts.clone(),
        });
        let mut kept = self.lock();
        kept.matches += facts.matches.len();
        kept.sightings.push_back(sighting);
        while kept.matches > MATCHES_MAX {
            let Some(oldest) = kept.sightings.pop_front() else {
                break;
            };
            kept.matches -= oldest.facts.matches.len();
        }
    }

    /// Forgets what consumers did until a moment, each its own; says how many matches that were.
    pub(super) fn forget(&self, wanted: &Wanted) -> u64 {
        let mut kept = self.lock();
        let before = kept.matches;
        kept.sightings.retain(|sighting| {
            let until = sighting
                .consumer
                .as_deref()
                .and_then(|name| wanted.get(name));
            until.is_none_or(|until| sighting.at.as_millis() > u128::from(*until))
        });
        let matches = kept.sightings.iter().map(|one| one.facts.matches.len());
        kept.matches = matches.sum();
        (before - kept.matches) as u64
    }

    /// What is kept, the newest first.
    pub(super) fn newest_first(&self) -> Vec<Arc<Sighting>> {
        self.lock().sightings.iter().rev().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_flow::{WafAction, WafMatch};
    use std::net::Ipv4Addr;

    fn record(at: u64, matches: usize, counted_only: bool) -> Record {
        let one = WafMatch {
            rule: 942_100,
            phase: 2,
            message: "SQL".into(),
            variable: "ARGS:q".into(),
            shape: "9 aa".into(),
            severity: "CRITICAL",
        };
        Record {
            started_unix: Duration::from_secs(at),
            waf: Some(Box::new(WafFacts {
                action: WafAction::Detected,
                matches: vec![one; matches],
                counted_only,
                ..WafFacts::default()
            })),
            ..Record::default()
        }
    }

    #[test]
    fn the_newest_are_kept_within_the_bound() {
        let firewall = Firewall::default();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        firewall.add(&Record::default(), address);
        firewall.add(&record(1, 3, true), address);
        assert!(firewall.newest_first().is_empty());
        for at in 0..200 {
            firewall.add(&record(at, 64, false), address);
        }
        let kept = firewall.newest_first();
        assert_eq!(kept.len(), MATCHES_MAX / 64);
        assert_eq!(kept[0].at.as_secs(), 199);
        let oldest = kept.last().expect("some are kept");
        assert_eq!(oldest.at.as_secs(), 200 - MATCHES_MAX as u64 / 64);
    }

    #[test]
    fn a_consumer_is_forgotten_until_a_moment() {
        let firewall = Firewall::default();
        for (at, name) in [
            (1, Some("ada")),
            (2, Some("bob")),
            (3, None),
            (4, Some("ada")),
        ] {
            let mut record = record(at, 2, false);
            record.consumer = name.map(Arc::from);
            firewall.add(&record, IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let wanted = Wanted::from([("ada".to_owned(), 3_999)]);
        assert_eq!(firewall.forget(&wanted), 2);
        let left = firewall.newest_first();
        let left: Vec<u64> = left.iter().map(|one| one.at.as_secs()).collect();
        assert_eq!(left, [4, 3, 2]);
        assert_eq!(firewall.forget(&wanted), 0);
    }
}
