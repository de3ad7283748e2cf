//! What was noticed of an experiment: when, whether its place was named, and how soon all was well.
//!
//! Everything is read from the run's incident, so that what scores is what an operator would have seen:
//! its signals, the order of its hypotheses, and its curve. The label that says which exchanges were
//! struck is no part of any of it.

use super::{Incident, Moment, Opening, What};
use crate::attribution::Conjunction;

/// A second in which more than this share failed, or twice what was usual, is not well.
const USUAL: f64 = 0.01;
/// Seconds with exchanges that have to be well, one after the other, before it counts as over.
const WELL: usize = 2;
/// Answers that count as having named a place at all.
pub const NAMED_MAX: usize = 3;

/// The score of a run. Times are milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Score {
    /// From its beginning until the fast signal.
    pub suspected_ms: Option<u64>,
    /// From its beginning until a page.
    pub paged_ms: Option<u64>,
    /// Which of the answers to where it is was the first right one, from 1.
    pub rank: Option<usize>,
    /// From its beginning until exchanges failed no more than usual, by what was done or by its end.
    pub mitigated_ms: Option<u64>,
    /// From its end until exchanges failed no more than usual; 0 where that was so before.
    pub recovered_ms: Option<u64>,
}

impl Score {
    /// From its beginning until the first signal of any kind.
    #[must_use]
    pub fn detected_ms(&self) -> Option<u64> {
        [self.suspected_ms, self.paged_ms]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether the right place was among the first `most` answers.
    #[must_use]
    pub fn named(&self, most: usize) -> bool {
        self.rank.is_some_and(|rank| rank <= most)
    }
}

/// Scores the run that an incident is of; none for a real one.
#[must_use]
pub fn score(incident: &Incident) -> Option<Score> {
    let run = incident.run.as_ref()?;
    let since = |at_ms: u64| at_ms.saturating_sub(run.began_ms);
    let first = |wanted: Opening| {
        let mut signals = incident.facts.iter().filter(
            |fact| matches!(&fact.what, What::Signal { opening, .. } if *opening == Some(wanted)),
        );
        signals.next().map(|fact| since(fact.at_ms))
    };
    let curve = well(incident, run.began_ms);
    let ended_ms = run.ended_ms;
    Some(Score {
        suspected_ms: first(Opening::Suspicion),
        paged_ms: first(Opening::Page),
        rank: rank(incident),
        mitigated_ms: curve.filter(|_| ended_ms.is_some()).map(since),
        recovered_ms: curve
            .zip(ended_ms)
            .map(|(at_ms, ended_ms)| at_ms.saturating_sub(ended_ms)),
    })
}

/// Whether a game day came to what its plan hopes for; none without a plan.
#[must_use]
pub fn passed(incident: &Incident) -> Option<bool> {
    let plan = incident.run.as_ref()?.plan.as_ref()?;
    let score = score(incident)?;
    let within = |time: Option<u64>, most: u64| time.is_some_and(|time| time <= most);
    let is_noticed = plan.objective.is_empty() || incident.objectives.contains(&plan.objective);
    Some(
        is_noticed
            && within(score.detected_ms(), plan.detect_within_ms)
            && score.named(NAMED_MAX)
            && within(score.recovered_ms, plan.recover_within_ms),
    )
}

/// The place of the first right answer among those that signals brought, from 1.
fn rank(incident: &Incident) -> Option<usize> {
    let run = incident.run.as_ref()?;
    let names = run.plan.as_ref().map_or(&[][..], |plan| &plan.names);
    let within = |place: &Conjunction, cause: &Conjunction| {
        place
            .iter()
            .all(|(key, value)| cause.get(key) == Some(value))
    };
    let is_right = |cause: &Conjunction| match names {
        [] => run.places.iter().any(|place| within(place, cause)),
        names => cause.values().any(|value| names.contains(value)),
    };
    // What people or records added later is no answer to an alert.
    let answers = incident.hypotheses.iter().filter(|one| {
        one.facts.iter().any(|id| {
            let cited = incident.facts.iter().find(|fact| fact.id == *id);
            cited.is_some_and(|fact| matches!(fact.what, What::Signal { .. }))
        })
    });
    let mut ranked = (1..).zip(answers.map(|one| &one.cell));
    let right = ranked.find(|(_, causes)| !causes.is_empty() && causes.iter().all(is_right));
    right.map(|(rank, _)| rank)
}

/// When seconds were well again, by the curve since `began_ms`; none where nothing failed, or where it
/// does not show that it is over.
fn well(incident: &Incident, began_ms: u64) -> Option<u64> {
    let (mut total, mut bad) = (0, 0);
    let is_before = |one: &&Moment| one.at_ms + 1000 <= began_ms;
    for one in incident.series.iter().filter(is_before) {
        total += one.count.total;
        bad += one.count.bad;
    }
    let before = if total > 0 {
        bad as f64 / total as f64
    } else {
        0.0
    };
    let usual = (2.0 * before).max(USUAL);
    let busy: Vec<&Moment> = incident
        .series
        .iter()
        .filter(|one| one.at_ms + 1000 > began_ms && one.count.total > 0)
        .collect();
    let is_bad = |one: &&Moment| one.count.bad as f64 > usual * one.count.total as f64;
    let last = busy.iter().rposition(is_bad)?;
    let after = &busy[last + 1..];
    (after.len() >= WELL).then(|| after[0].at_ms)
}

#[cfg(test)]
#[path = "score_tests.rs"]
mod tests;
