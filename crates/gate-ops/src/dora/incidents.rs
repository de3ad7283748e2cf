//! Failures of deployments as incidents tell them.
//!
//! An incident is a revision's failure where the revision is named by a rollback, by attribution, or by a
//! person who found that it explains the facts; never where it was an experiment, or a person found that
//! the revision does not explain it.

use crate::incident::{Incident, Opening, Standing};
use gate_kit::order::Gather;

/// How long after a revision began to serve attribution may make it the cause, in milliseconds.
/// Attribution compares the last minutes with the hour before; what has served for longer is part of what
/// is compared with, and some other thing has changed.
pub(super) const CAUSED_MS: u64 = 3_600_000;
/// How much earlier than the revision the trouble may seem to have begun, in milliseconds: the curve of an
/// incident has a point a second, and each gateway's exchanges carry its own clock.
pub(super) const ONSET_MS: u64 = 1000;

/// An incident as a failure of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributed {
    /// The incident.
    pub incident: String,
    /// The environment that the revision serves in.
    pub environment: String,
    /// The revision.
    pub revision: u64,
    /// When the trouble began, in UNIX milliseconds.
    pub onset_ms: u64,
    /// When it was over, if it is.
    pub recovered_ms: Option<u64>,
    /// Whether it does not rest on attribution alone: the revision was taken back, or a person has found
    /// that it is the cause.
    pub is_certain: bool,
}

/// The revisions that an incident of an environment is a failure of.
#[must_use]
pub fn attributed(environment: &str, incident: &Incident) -> Vec<Attributed> {
    if incident.experiment.is_some() {
        return Vec::new();
    }
    let judged = |revision: &str, standing: Standing| {
        incident.hypotheses.iter().any(|one| {
            let names = |cause: &crate::attribution::Conjunction| {
                cause.get("revision").is_some_and(|named| named == revision)
            };
            one.standing == standing && one.cell.len() == 1 && one.cell.iter().all(names)
        })
    };
    let supported = incident
        .hypotheses
        .iter()
        .filter(|one| one.standing == Standing::Supported && one.cell.len() == 1)
        .filter_map(|one| one.cell[0].get("revision"));
    let named: std::collections::BTreeSet<&String> =
        incident.revisions.iter().chain(supported).into_set();
    named
        .into_iter()
        .filter_map(|name| {
            let is_supported = judged(name, Standing::Supported);
            if judged(name, Standing::Refuted) && !is_supported {
                return None;
            }
            let is_taken_back =
                incident.opening == Opening::Rollback && incident.revisions.contains(name);
            Some(Attributed {
                incident: incident.id.clone(),
                environment: environment.to_owned(),
                revision: name.parse().ok()?,
                onset_ms: incident.onset_ms(),
                recovered_ms: incident.recovered_ms(),
                is_certain: is_supported || is_taken_back,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::{Desk, Hypothesis, Query, Signal, Subject, What};
    use std::collections::BTreeMap;

    fn query() -> Query {
        Query {
            of: "records".into(),
            filter: BTreeMap::new(),
            from_ms: 0,
            until_ms: 0,
        }
    }

    /// An incident about revision 7, opened like this at 50 s.
    fn incident(opening: Opening, experiment: Option<&str>) -> Incident {
        let mut desk = Desk::default();
        let signal = Signal {
            opening,
            subject: Subject {
                revision: Some("7".into()),
                route: Some("orders".into()),
                objective: None,
            },
            attribution: None,
            query: query(),
            experiment: experiment.map(str::to_owned),
            text: "orders fail".into(),
        };
        desk.hear(signal, 50_000, |_| "inc-1".into());
        desk.incidents().next().unwrap().clone()
    }

    fn suppose(incident: &mut Incident, revision: &str, standing: Standing) {
        incident
            .suppose(Hypothesis {
                text: "it is the revision".into(),
                cell: vec![BTreeMap::from([("revision".into(), revision.into())])],
                explained: 1.0,
                standing,
                facts: vec![1],
            })
            .unwrap();
    }

    fn shown(incident: &Incident) -> Vec<(u64, bool)> {
        let found = attributed("prod", incident);
        found
            .iter()
            .map(|one| (one.revision, one.is_certain))
            .collect()
    }

    #[test]
    fn a_revision_that_is_named_failed_unless_somebody_found_otherwise() {
        let mut page = incident(Opening::Page, None);
        assert_eq!(shown(&page), [(7, false)]);
        assert_eq!(shown(&incident(Opening::Rollback, None)), [(7, true)]);
        assert_eq!(shown(&incident(Opening::Page, Some("slow"))), []);
        suppose(&mut page, "7", Standing::Refuted);
        assert_eq!(shown(&page), []);
        // A person knows better, whatever was named.
        suppose(&mut page, "6", Standing::Supported);
        suppose(&mut page, "5", Standing::Open);
        assert_eq!(shown(&page), [(6, true)]);
        let over = &mut incident(Opening::Page, None);
        over.note(90_000, What::Recovery {}, query());
        let found = &attributed("prod", over)[0];
        assert_eq!((found.onset_ms, found.recovered_ms), (50_000, Some(90_000)));
    }
}
