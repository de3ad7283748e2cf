//! What the firewall matched of late, as the admin API shows it.

use crate::waf::entry;
use gate_admin::WafQuery;
use gate_api::types::{WafMatch, WafSuggestion};
use gate_flow::WafAction;
use gate_proxy::process::Process;
use gate_proxy::record::firewall::Sighting;
use gate_waf::{Least, Observed, Tuner};
use std::sync::Arc;

/// Matches, the newest first; those of one exchange in the order of their rules.
pub(super) fn matches(process: &Process, query: &WafQuery) -> Vec<WafMatch> {
    let mut found = Vec::new();
    for sighting in seen(process, query) {
        let named = |name: &Option<Arc<str>>| name.as_deref().map(str::to_owned);
        let (facts, trace) = (&sighting.facts, sighting.trace);
        let of_rule = facts
            .matches
            .iter()
            .filter(|one| fits(query.rule, u64::from(one.rule)) && looks_at(query, &one.variable));
        found.extend(of_rule.map(|one| WafMatch {
            at: sighting.began(),
            route: named(&sighting.route),
            rule: one.rule,
            message: one.message.to_string(),
            severity: one.severity.to_owned(),
            phase: one.phase,
            variable: one.variable.to_string(),
            shape: one.shape.to_string(),
            action: facts.action.as_str().to_owned(),
            inbound_score: facts.inbound_score,
            outbound_score: facts.outbound_score,
            status: sighting.status,
            consumer: named(&sighting.consumer),
            client: sighting.address.to_canonical().to_string(),
            trace: (trace != [0; 16]).then(|| format!("{:032x}", u128::from_be_bytes(trace))),
        }));
    }
    found
}

/// Exclusions that would have prevented some of them, from at least so many matches and callers.
pub(super) fn suggestions(
    process: &Process,
    query: &WafQuery,
    (matches, callers): (u64, u64),
) -> Vec<WafSuggestion> {
    let mut tuner = Tuner::default();
    for sighting in seen(process, query) {
        let client = sighting.address.to_canonical().to_string();
        let facts = &sighting.facts;
        for one in &facts.matches {
            if !fits(query.rule, u64::from(one.rule)) || !looks_at(query, &one.variable) {
                continue;
            }
            tuner.add(&Observed {
                route: sighting.route.as_deref().unwrap_or_default(),
                rule: one.rule,
                message: &one.message,
                variable: &one.variable,
                shape: &one.shape,
                caller: sighting.consumer.as_deref().unwrap_or(&client),
                refused: facts.action != WafAction::Passed,
            });
        }
    }
    let least = Least {
        matches,
        callers: usize::try_from(callers).unwrap_or(usize::MAX),
    };
    let found = tuner.suggest(least).into_iter();
    found
        .map(|one| WafSuggestion {
            yaml: entry(&one),
            route: one.route,
            rule: one.rule,
            message: one.message,
            target: one.target,
            matches: one.matches,
            refused: one.refused,
            callers: one.callers as u64,
            shapes: one.shapes,
            broad: one.broad,
        })
        .collect()
}

/// Exchanges that were asked for, the newest first.
fn seen(process: &Process, query: &WafQuery) -> Vec<Arc<Sighting>> {
    let mut seen = process.shared().readers.firewall();
    let is = |wanted: &Option<String>, found: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
    };
    seen.retain(|one| {
        is(&query.route, one.route.as_deref())
            && is(&query.action, Some(one.facts.action.as_str()))
            && query.teams.as_ref().is_none_or(|teams| {
                let team = one.team.as_deref();
                team.is_some_and(|team| teams.iter().any(|known| known == team))
            })
    });
    seen
}

fn fits(wanted: Option<u64>, found: u64) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}

/// Whether a variable is the one that was asked for, or a member of it.
fn looks_at(query: &WafQuery, variable: &str) -> bool {
    query.variable.as_deref().is_none_or(|wanted| {
        let rest = variable.strip_prefix(wanted);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    })
}
