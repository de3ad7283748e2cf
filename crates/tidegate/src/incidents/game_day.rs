//! Scores of experiments, as the admin API shows them: read from their incidents.

#![allow(
    clippy::result_large_err,
    reason = "a problem is made once, for an answer; nothing here is hot"
)]

use super::answer::{read, time};
use gate_api::problem::Problem;
use gate_api::types as api;
use gate_ops::incident::{self as ops, Incident, Refused};
use gate_store::control::{IncidentQuery, IncidentRow, PAGE_MAX};

/// Pages of incidents that are looked through for experiments.
const PAGES_MAX: usize = 20;

/// What was noticed of experiments in an environment, the newest first.
pub(super) fn all(
    ask: impl Fn(&IncidentQuery<'_>) -> Result<Vec<IncidentRow>, Problem>,
    environment: &str,
) -> Result<Vec<api::GameDay>, Problem> {
    let (mut days, mut before) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let query = IncidentQuery {
            environment,
            before,
            limit: PAGE_MAX,
            ..IncidentQuery::default()
        };
        let rows = ask(&query)?;
        days.extend(rows.iter().filter_map(|row| game_day(&read(row)?)));
        before = rows.last().map(|row| row.number);
        if rows.len() < PAGE_MAX || days.len() >= PAGE_MAX {
            break;
        }
    }
    Ok(days)
}

/// Says what is hoped for of the experiment that an incident is of.
pub(super) fn plan(incident: &mut Incident, input: &api::GameDayInput) -> Result<(), Refused> {
    let run = incident.run.as_mut();
    let run = run.ok_or_else(|| Refused("no experiment makes this incident".into()))?;
    run.plan = Some(ops::GamePlan {
        name: input.plan.clone(),
        objective: input.objective.clone(),
        names: input.names.clone(),
        detect_within_ms: input.detect_within.microseconds() / 1000,
        recover_within_ms: input.recover_within.microseconds() / 1000,
    });
    Ok(())
}

/// What was noticed of the experiment that makes an incident; none for a real one.
pub(super) fn game_day(incident: &Incident) -> Option<api::GameDay> {
    let run = incident.run.as_ref()?;
    let score = ops::score(incident)?;
    let seconds = |ms: Option<u64>| ms.map(|ms| ms as f64 / 1000.0);
    Some(api::GameDay {
        incident: incident.id.clone(),
        plan: run
            .plan
            .as_ref()
            .map_or_else(String::new, |plan| plan.name.clone()),
        experiment: run.experiment.clone(),
        inject: run.inject.clone(),
        scope: run.scope.clone(),
        began: time(run.began_ms),
        ended: run.ended_ms.map(time),
        suspected_s: seconds(score.suspected_ms),
        paged_s: seconds(score.paged_ms),
        said: incident
            .hypotheses
            .first()
            .map_or_else(String::new, |one| one.text.clone()),
        rank: score.rank.and_then(|rank| u32::try_from(rank).ok()),
        mitigated_s: seconds(score.mitigated_ms),
        recovered_s: seconds(score.recovered_ms),
        passed: ops::passed(incident),
    })
}
