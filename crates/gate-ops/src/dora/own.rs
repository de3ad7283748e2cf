//! Deployments of the gateway's own configuration: revisions, rollouts, and what took them back.

use super::{Deployment, Failure};
use std::collections::BTreeMap;

/// The service of an environment's revisions.
#[must_use]
pub fn service(environment: &str) -> String {
    format!("gateway/{environment}")
}

/// Who owns them, as far as metrics are concerned.
pub const TEAM: &str = "gateway";

/// Why a revision was made, as far as delivery is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// To change something: a deployment.
    Change,
    /// To take its parent back.
    TakeBack,
    /// Something else: a secret that changed, what a rollout's verdict restored.
    Other,
}

/// A revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its number.
    pub number: u64,
    /// Its environment.
    pub environment: String,
    /// The revision that was in force before.
    pub parent: Option<u64>,
    /// Why it was made.
    pub cause: Cause,
    /// When its commit was made, if its provenance says so; UNIX milliseconds.
    pub committed_ms: Option<u64>,
    /// The incident that it mends, if its provenance names one.
    pub mends: Option<String>,
    /// When it was made.
    pub at_ms: u64,
}

/// A rollout of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    /// The revision.
    pub candidate: u64,
    /// Whether it was promoted; none while it runs.
    pub is_promoted: Option<bool>,
    /// When it began.
    pub began_ms: u64,
    /// When that was decided.
    pub ended_ms: u64,
}

/// Deployments, and the failures that are known without incidents: what was taken back, from when it
/// began to serve until it did no more.
#[must_use]
pub fn deployments(revisions: &[Revision], trials: &[Trial]) -> (Vec<Deployment>, Vec<Failure>) {
    let tried: BTreeMap<u64, &Trial> = trials.iter().map(|one| (one.candidate, one)).collect();
    let taken_back: BTreeMap<u64, u64> = revisions
        .iter()
        .filter(|one| one.cause == Cause::TakeBack)
        .filter_map(|one| Some((one.parent?, one.at_ms)))
        .collect();
    let (mut deployments, mut failures) = (Vec::new(), Vec::new());
    for revision in revisions.iter().filter(|one| one.cause == Cause::Change) {
        let trial = tried.get(&revision.number);
        let (began_ms, at_ms, mut ended_ms) = match trial.map(|trial| (trial, trial.is_promoted)) {
            None => (revision.at_ms, revision.at_ms, None),
            // It is no deployment yet.
            Some((_, None)) => continue,
            Some((trial, Some(true))) => (trial.began_ms, trial.ended_ms, None),
            Some((trial, Some(false))) => (trial.began_ms, trial.ended_ms, Some(trial.ended_ms)),
        };
        ended_ms = ended_ms.or_else(|| taken_back.get(&revision.number).copied());
        let (service, number) = (service(&revision.environment), revision.number.to_string());
        if let Some(ended_ms) = ended_ms {
            failures.push(Failure {
                incident: format!("revision {number}"),
                service: service.clone(),
                revision: number.clone(),
                onset_ms: began_ms,
                recovered_ms: Some(ended_ms),
            });
        }
        deployments.push(Deployment {
            service,
            team: TEAM.to_owned(),
            revision: number,
            committed_ms: revision.committed_ms,
            at_ms,
            is_rolled_back: ended_ms.is_some(),
            mends: revision.mends.clone(),
        });
    }
    (deployments, failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(number: u64, parent: Option<u64>, cause: Cause) -> Revision {
        Revision {
            number,
            environment: "prod".into(),
            parent,
            cause,
            committed_ms: Some(number * 1000 - 500),
            mends: None,
            at_ms: number * 1000,
        }
    }

    #[test]
    fn what_was_taken_back_failed_and_what_took_it_back_is_no_deployment() {
        let revisions = [
            revision(1, None, Cause::Change),
            revision(2, Some(1), Cause::Change),
            revision(3, Some(2), Cause::TakeBack),
            revision(4, Some(3), Cause::Change),
            revision(5, Some(3), Cause::Other),
            revision(6, Some(5), Cause::Change),
            revision(7, Some(5), Cause::Change),
        ];
        let trial = |candidate, is_promoted| Trial {
            candidate,
            is_promoted,
            began_ms: candidate * 1000 + 1,
            ended_ms: candidate * 1000 + 900,
        };
        let trials = [trial(4, Some(false)), trial(6, Some(true)), trial(7, None)];
        let (deployments, failures) = deployments(&revisions, &trials);
        let shown: Vec<_> = deployments
            .iter()
            .map(|one| (one.revision.as_str(), one.at_ms, one.is_rolled_back))
            .collect();
        assert_eq!(
            shown,
            [
                ("1", 1000, false),
                ("2", 2000, true),
                ("4", 4900, true),
                ("6", 6900, false)
            ]
        );
        let shown: Vec<_> = failures
            .iter()
            .map(|one| (one.revision.as_str(), one.onset_ms, one.recovered_ms))
            .collect();
        assert_eq!(shown, [("2", 2000, Some(3000)), ("4", 4001, Some(4900))]);
    }
}
