//! Deployments of the gateway's own configuration: revisions, rollouts, what took them back, and the
//! incidents that are attributed to them.

use super::incidents::{Attributed, CAUSED_MS, ONSET_MS};
use super::{Deployment, Failure};
use gate_kit::order::Gather;
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

/// Deployments and their failures, at most one of each revision: its incidents from the first onset until
/// all are over, or else, where it was taken back, from when it began to serve until it did no more.
#[must_use]
pub fn deployments(
    revisions: &[Revision],
    trials: &[Trial],
    incidents: &[Attributed],
) -> (Vec<Deployment>, Vec<Failure>) {
    let mut attributed: BTreeMap<(&str, u64), Vec<&Attributed>> = BTreeMap::new();
    for one in incidents {
        let key = (one.environment.as_str(), one.revision);
        attributed.entry(key).or_default().push(one);
    }
    let tried: BTreeMap<u64, &Trial> = trials.iter().map(|one| (one.candidate, one)).into_map();
    let taken_back: BTreeMap<u64, u64> = revisions
        .iter()
        .filter(|one| one.cause == Cause::TakeBack)
        .filter_map(|one| Some((one.parent?, one.at_ms)))
        .into_map();
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
        let own = attributed.get(&(revision.environment.as_str(), revision.number));
        let own = own.map_or(&[][..], |own| own);
        let told = told(own, began_ms).or_else(|| {
            let told = (format!("revision {number}"), began_ms, Some(ended_ms?));
            Some(told)
        });
        if let Some((incident, onset_ms, recovered_ms)) = told {
            failures.push(Failure {
                incident,
                service: service.clone(),
                revision: number.clone(),
                onset_ms,
                recovered_ms,
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

/// A revision's failure as its incidents tell it: the first one's name, when it began, and when all were
/// over.
fn told(own: &[&Attributed], began_ms: u64) -> Option<(String, u64, Option<u64>)> {
    let is_caused = |one: &&&Attributed| {
        // The change point is known to the second, and gateways' clocks are not the store's.
        let reach = began_ms.saturating_sub(ONSET_MS)..began_ms.saturating_add(CAUSED_MS);
        one.is_certain || reach.contains(&one.onset_ms)
    };
    let own: Vec<_> = own.iter().filter(is_caused).collect();
    let first = own.iter().min_by_key(|one| one.onset_ms)?;
    let over: Option<Vec<u64>> = own.iter().map(|one| one.recovered_ms).collect();
    let over = over.and_then(|over| over.into_iter().max());
    Some((first.incident.clone(), first.onset_ms, over))
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
        let (deployments, failures) = deployments(&revisions, &trials, &[]);
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
    #[test]
    fn an_incident_is_its_revisions_failure_and_counts_once_with_the_rollback() {
        let revisions = [
            revision(1, None, Cause::Change),
            revision(2, Some(1), Cause::Change),
            revision(3, Some(2), Cause::TakeBack),
            revision(4, Some(3), Cause::Change),
        ];
        let incident = |number: u64, revision, onset_ms, recovered_ms, is_certain| Attributed {
            incident: format!("inc-{number}"),
            environment: "prod".into(),
            revision,
            onset_ms,
            recovered_ms,
            is_certain,
        };
        let failures = |incidents: &[Attributed]| {
            let (all, failures) = deployments(&revisions, &[], incidents);
            assert_eq!(all.len(), 3);
            let shown = failures.into_iter();
            shown
                .map(|one| (one.revision, one.incident, one.onset_ms, one.recovered_ms))
                .collect::<Vec<_>>()
        };
        let own = |n: &str, of: &str, onset, over| (n.to_owned(), of.to_owned(), onset, over);
        // The rollback's own account gives way to the incident's; two incidents are one failure.
        let found = failures(&[
            incident(1, 2, 2100, Some(3500), true),
            incident(2, 2, 2050, Some(3100), false),
            incident(3, 4, 5000, None, false),
        ]);
        let second = own("2", "inc-2", 2050, Some(3500));
        assert_eq!(found, [second, own("4", "inc-3", 5000, None)]);
        // As long as one of them goes on, it is not recovered from.
        let found = failures(&[
            incident(1, 2, 2100, Some(3500), true),
            incident(2, 2, 2050, None, false),
        ]);
        assert_eq!(found, [own("2", "inc-2", 2050, None)]);
        // What has served for more than an hour is not named by attribution alone, and what had not begun
        // is not either; of another environment is another's.
        let late = 1000 + CAUSED_MS;
        let mut other = incident(9, 1, 1500, None, true);
        other.environment = "staging".into();
        let taken_back = own("2", "revision 2", 2000, Some(3000));
        let found = failures(&[
            incident(1, 1, late, None, false),
            incident(2, 4, 3999 - ONSET_MS, None, false),
            other,
        ]);
        assert_eq!(found, std::slice::from_ref(&taken_back));
        let early = 4000 - ONSET_MS;
        let found = failures(&[incident(1, 4, early, None, false)]);
        let within_its_second = own("4", "inc-1", early, None);
        assert_eq!(found, [taken_back.clone(), within_its_second]);
        let found = failures(&[incident(1, 1, late, Some(late + 5), true)]);
        assert_eq!(found, [own("1", "inc-1", late, Some(late + 5)), taken_back]);
    }
}
