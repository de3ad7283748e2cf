//! Counting of promises: whether an exchange that has ended was good for each objective that it is
//! about, added to counts that outlive snapshots.
//!
//! What a route's exchanges count for is compiled into the route, so that one without objectives
//! pays for one branch. Workers add to shards of their own; one thread of the control plane reads the
//! sums once a second, so that what was added since is that second's. Beside the counts stand cells
//! ([`Cells`]): the same events by where they happened, for attribution. What counts mean (budgets,
//! burn, alerts) is decided elsewhere, in `gate-ops`.

mod cells;

pub use cells::{CELLS_MAX, CellCounts, Cells, DIMENSIONS, Place};

use crate::{Condition, Exchange, Outcome, Record, is_error};
use gate_kit::counter::{SHARDS, shard};
use gate_model::units::Money;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Most objectives that one exchange counts for.
pub const OBJECTIVES_PER_ROUTE_MAX: usize = 1_000;

/// Events and the bad ones among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Events {
    /// All.
    pub total: u64,
    /// Bad ones.
    pub bad: u64,
}

impl Events {
    /// What was added between two readings of a [`Score`], the earlier one first: exact as long as
    /// fewer than 2^32 events lie between them.
    #[must_use]
    pub fn between(earlier: u64, later: u64) -> Self {
        let added = later.wrapping_sub(earlier);
        Self {
            total: added & u64::from(u32::MAX),
            bad: added >> 32,
        }
    }
}

/// One worker's part of a score, in a cache line of its own: events plus 2^32 times the bad ones, so
/// that both are added at once. It wraps, which differences do not mind.
#[repr(align(64))]
#[derive(Default)]
struct Line(AtomicU64);

/// The counts of one objective in this process. They only grow, and nothing added is ever lost.
#[derive(Default)]
pub struct Score {
    lines: [Line; SHARDS],
    /// The reading that [`Score::take`] took last.
    taken: AtomicU64,
}

impl std::fmt::Debug for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Score({:?})", Events::between(0, self.reading()))
    }
}

impl Score {
    /// Counts one event on this thread's shard.
    #[inline]
    pub fn add(&self, is_bad: bool) {
        let event = 1 | u64::from(is_bad) << 32;
        self.lines[shard()].0.fetch_add(event, Ordering::Relaxed);
    }

    /// Where the counts are now, to be compared with another reading ([`Events::between`]).
    #[must_use]
    pub fn reading(&self) -> u64 {
        let lines = self.lines.iter().map(|line| line.0.load(Ordering::Relaxed));
        lines.fold(0, u64::wrapping_add)
    }

    /// What was counted since this was called last. Whoever calls it is the only one.
    #[must_use]
    pub fn take(&self) -> Events {
        let reading = self.reading();
        Events::between(self.taken.swap(reading, Ordering::Relaxed), reading)
    }
}

/// When an exchange is good.
pub enum Judge {
    /// It was answered whole, without a failure of ours or of what is behind us.
    Available,
    /// Its answer was complete within this time.
    Latency(Duration),
    /// Its first token was there within this time.
    FirstToken(Duration),
    /// It cost at most so much.
    Cost(Money),
    /// This rule of a guard found nothing.
    Quality(Box<str>),
    /// A condition holds.
    Holds(Box<dyn Condition>),
}

impl Judge {
    /// Whether the exchange is bad; none where it says nothing about this.
    #[must_use]
    pub fn is_bad(&self, exchange: &Exchange) -> Option<bool> {
        match self {
            Judge::Holds(condition) => condition.holds(exchange).ok().map(|good| !good),
            other => other.is_bad_by(&exchange.record),
        }
    }

    fn is_bad_by(&self, record: &Record) -> Option<bool> {
        let ai = || record.ai.as_deref();
        match self {
            Judge::Available => Some(is_error(record)),
            Judge::Latency(within) => {
                let counts = record.outcome == Outcome::Complete && !is_error(record);
                counts.then(|| record.duration > *within)
            }
            Judge::FirstToken(within) => Some(ai()?.first_token? > *within),
            Judge::Cost(at_most) => Some(ai()?.cost? > *at_most),
            Judge::Quality(rule) => {
                let own = |verdict: &&crate::GuardVerdict| *verdict.rule == **rule;
                let verdicts = record
                    .guard
                    .as_ref()
                    .map_or(&[][..], |found| &found.verdicts);
                let mut own = verdicts.iter().filter(own).peekable();
                if own.peek().is_some() {
                    // One that could not judge says nothing.
                    let found = own.any(|verdict| verdict.action != "failed" && verdict.count > 0);
                    return found.then_some(true);
                }
                (record.outcome == Outcome::Complete && !is_error(record)).then_some(false)
            }
            Judge::Holds(_) => None,
        }
    }
}

/// Which of a route's exchanges count; a field that is none does not restrict them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restriction {
    /// Asking for this model.
    pub model: Option<Box<str>>,
    /// This provider was called last.
    pub provider: Option<Box<str>>,
    /// This consumer called.
    pub consumer: Option<Box<str>>,
    /// This team pays.
    pub team: Option<Box<str>>,
}

impl Restriction {
    fn admits(&self, record: &Record) -> bool {
        let is = |wanted: &Option<Box<str>>, known: Option<&Arc<str>>| {
            (wanted.as_deref()).is_none_or(|wanted| known.is_some_and(|known| **known == *wanted))
        };
        let ai = record.ai.as_deref();
        is(&self.model, ai.map(|ai| &ai.model))
            && is(&self.provider, ai.and_then(|ai| ai.provider.as_ref()))
            && is(&self.consumer, record.consumer.as_ref())
            && is(&self.team, record.team.as_ref())
    }
}

/// An objective, as it counts the exchanges of one route.
pub struct Counting {
    /// Its name.
    pub name: Arc<str>,
    /// Which exchanges count; none where all do, the usual case.
    pub restriction: Option<Restriction>,
    /// When one is good.
    pub judge: Judge,
    /// Its counts.
    pub score: Arc<Score>,
}

/// Everything that the exchanges of a route count for.
pub struct Countings {
    /// The objectives, by name.
    pub objectives: Vec<Counting>,
    /// Their names, in the same order: what cells refer to.
    pub names: Arc<[Arc<str>]>,
    /// Where events are counted by their place.
    pub cells: Arc<Cells>,
}

impl Exchange {
    /// Counts it for the objectives of its route, once its record is complete.
    #[inline]
    pub fn count(&self) {
        let route = self.route.and_then(|index| self.snapshot.routes.get(index));
        if let Some(objectives) = route.and_then(|route| route.objectives.as_ref()) {
            objectives.count(self);
        }
    }
}

impl Countings {
    /// Counts an exchange whose record is complete. Takes a lock that only a thread which takes a
    /// reading contends for, a few instructions long.
    pub fn count(&self, exchange: &Exchange) {
        let mut verdicts: SmallVec<[(usize, bool); 8]> = SmallVec::new();
        for (index, counting) in self.objectives.iter().enumerate() {
            let restriction = counting.restriction.as_ref();
            if !restriction.is_none_or(|only| only.admits(&exchange.record)) {
                continue;
            }
            if let Some(is_bad) = counting.judge.is_bad(exchange) {
                counting.score.add(is_bad);
                verdicts.push((index, is_bad));
            }
        }
        if !verdicts.is_empty() {
            self.cells.add(&exchange.record, &self.names, &verdicts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AiFacts, GuardFacts, GuardVerdict};
    use gate_model::fault::FaultCode;

    #[test]
    fn no_event_is_lost_and_none_is_bad_without_having_been() {
        let score = Score::default();
        let (mut before, mut sum) = (score.reading(), Events::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|number| score.add(number % 10 == 0)));
            }
            for _ in 0..1000 {
                let now = score.reading();
                let added = Events::between(before, now);
                assert!(added.bad <= added.total, "{added:?}");
                (sum.total, sum.bad) = (sum.total + added.total, sum.bad + added.bad);
                before = now;
            }
        });
        let last = Events::between(before, score.reading());
        assert_eq!(
            (sum.total + last.total, sum.bad + last.bad),
            (40_000, 4_000)
        );
    }

    #[test]
    fn a_score_that_wraps_is_read_all_the_same() {
        let earlier = u64::MAX - 2;
        let later = earlier.wrapping_add(7 | 3 << 32);
        let added = Events::between(earlier, later);
        assert_eq!((added.total, added.bad), (7, 3));
    }

    fn record(status: u16, fault: Option<FaultCode>, outcome: Outcome) -> Record {
        Record {
            status,
            fault,
            outcome,
            duration: Duration::from_millis(21),
            ..Record::default()
        }
    }

    #[test]
    fn callers_are_not_to_blame_for_us_nor_we_for_them() {
        let refused = Some(FaultCode::UpstreamUnreachable);
        let cases = [
            (record(200, None, Outcome::Complete), false),
            (record(404, None, Outcome::Complete), false),
            (
                record(0, Some(FaultCode::ClientClosed), Outcome::ClientClosed),
                false,
            ),
            (record(500, None, Outcome::Complete), true),
            (record(502, refused, Outcome::Complete), true),
            (record(200, None, Outcome::Cut), true),
        ];
        for (record, is_bad) in cases {
            assert_eq!(
                Judge::Available.is_bad_by(&record),
                Some(is_bad),
                "{record:?}"
            );
        }
    }

    #[test]
    fn what_says_nothing_does_not_count() {
        let within = |ms| Judge::Latency(Duration::from_millis(ms));
        let answered = record(200, None, Outcome::Complete);
        assert_eq!(within(21).is_bad_by(&answered), Some(false));
        assert_eq!(within(20).is_bad_by(&answered), Some(true));
        let failed = record(503, None, Outcome::Complete);
        assert_eq!(within(1).is_bad_by(&failed), None);
        let gone = record(200, None, Outcome::ClientClosed);
        assert_eq!(within(1).is_bad_by(&gone), None);
        let first = Judge::FirstToken(Duration::from_millis(300));
        assert_eq!(first.is_bad_by(&answered), None);
        let dear = Judge::Cost(Money::from_picodollars(100));
        assert_eq!(dear.is_bad_by(&answered), None);
        let call = Record {
            ai: Some(Box::new(AiFacts {
                first_token: Some(Duration::from_millis(301)),
                cost: Some(Money::from_picodollars(100)),
                ..AiFacts::default()
            })),
            ..answered
        };
        assert_eq!(first.is_bad_by(&call), Some(true));
        assert_eq!(dear.is_bad_by(&call), Some(false));
    }

    #[test]
    fn a_detector_that_could_not_judge_says_nothing() {
        let quality = Judge::Quality("insults".into());
        let verdict = |rule: &str, action| GuardVerdict {
            rule: rule.into(),
            point: "response",
            action,
            count: 1,
        };
        let with = |verdicts: Vec<GuardVerdict>| Record {
            guard: Some(Box::new(GuardFacts {
                verdicts,
                ..GuardFacts::default()
            })),
            ..record(200, None, Outcome::Complete)
        };
        let is_bad = |verdicts| quality.is_bad_by(&with(verdicts));
        assert_eq!(is_bad(vec![]), Some(false));
        assert_eq!(is_bad(vec![verdict("secrets", "block")]), Some(false));
        assert_eq!(is_bad(vec![verdict("insults", "failed")]), None);
        assert_eq!(is_bad(vec![verdict("insults", "observe")]), Some(true));
    }

    #[test]
    fn a_restriction_holds_for_whom_it_names() {
        let mut record = record(200, None, Outcome::Complete);
        record.consumer = Some("storefront".into());
        let only = |consumer: &str, team: Option<&str>| Restriction {
            consumer: Some(consumer.into()),
            team: team.map(Into::into),
            ..Restriction::default()
        };
        assert!(only("storefront", None).admits(&record));
        assert!(!only("store", None).admits(&record));
        assert!(!only("storefront", Some("shop")).admits(&record));
        record.team = Some("shop".into());
        assert!(only("storefront", Some("shop")).admits(&record));
    }
}
