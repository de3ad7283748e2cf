//! Runs of experiments as this process sees them: when each began and ended, where it is right to say
//! that something fails, and which routes it may touch.
//!
//! Whoever watches them looks once a second or so, and keeps its own [`Runs`]: there is nothing to share
//! and nothing to lock. What bounds an experiment is in `gate_flow::experiment`, what a run means for
//! alerts and incidents in `gate_ops::incident`.

use gate_flow::ExperimentState;
use gate_kit::order::Gather;
use gate_model::resources::{ExperimentScope, Model, Resources, Target};
use gate_ops::attribution::Conjunction;
use gate_ops::incident::Run;
use gate_proxy::experiments::ExperimentReport;
use gate_proxy::process::Process;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// So long what is over is remembered, in milliseconds: alerts may still come of it.
const KEPT_MS: u64 = 600_000;
/// Most runs that are remembered; the oldest go first.
const RUNS_MAX: usize = 1000;

/// A run, and what was told of it.
#[derive(Debug, Clone)]
struct Seen {
    run: Run,
    /// Why it ended, and after how many strikes here.
    end: Option<String>,
    is_begin_told: bool,
    is_end_told: bool,
}

/// News of a run.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// It began here.
    Began(Run),
    /// It is over here: the run, and why in words.
    Ended(Run, String),
}

/// The runs that were seen, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Runs(Vec<Seen>);

impl Runs {
    /// Looks how the process's experiments stand.
    pub(crate) fn look(&mut self, process: &Process, now_ms: u64) {
        let shared = process.shared();
        let reports = shared.experiments.reports();
        if reports.is_empty() && self.0.is_empty() {
            return;
        }
        let snapshot = shared.snapshot.load();
        for report in &reports {
            let Some(began) = report.counts.began else {
                continue;
            };
            let known = self.0.iter().any(|seen| is_of(&seen.run, report, began));
            if !known {
                let run = run(&snapshot.resources, snapshot.revision, report, began);
                self.0.push(Seen {
                    run,
                    end: None,
                    is_begin_told: false,
                    is_end_told: false,
                });
            }
        }
        for seen in self.0.iter_mut().filter(|seen| seen.run.ended_ms.is_none()) {
            let is_it = |one: &&ExperimentReport| {
                one.counts
                    .began
                    .is_some_and(|began| is_of(&seen.run, one, began))
            };
            let end = match reports.iter().find(is_it) {
                None => Some("it was taken out of the configuration".to_owned()),
                Some(report) => how(report),
            };
            if end.is_some() {
                seen.end = end;
                seen.run.ended_ms = Some(now_ms.min(seen.run.ends_ms));
            }
        }
        let is_kept = |seen: &Seen| {
            let ended_ms = seen.run.ended_ms;
            ended_ms.is_none_or(|ended_ms| now_ms.saturating_sub(ended_ms) < KEPT_MS)
        };
        self.0.retain(is_kept);
        let passed = self.0.len().saturating_sub(RUNS_MAX);
        self.0.drain(..passed);
    }

    /// The runs, those that are over a short while ago included.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Run> + Clone {
        self.0.iter().map(|seen| &seen.run)
    }

    /// What was not told yet.
    pub(crate) fn news(&self) -> Vec<News> {
        let mut news = Vec::new();
        for seen in &self.0 {
            if !seen.is_begin_told {
                let run = Run {
                    ended_ms: None,
                    ..seen.run.clone()
                };
                news.push(News::Began(run));
            }
            if let Some(how) = seen.end.as_ref().filter(|_| !seen.is_end_told) {
                news.push(News::Ended(seen.run.clone(), how.clone()));
            }
        }
        news
    }

    /// All news were told.
    pub(crate) fn told(&mut self) {
        for seen in &mut self.0 {
            seen.is_begin_told = true;
            seen.is_end_told = seen.end.is_some();
        }
    }
}

fn ms(unix: Duration) -> u64 {
    u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)
}

fn is_of(run: &Run, report: &ExperimentReport, began: Duration) -> bool {
    run.experiment == *report.name && run.digest == *report.digest && run.began_ms == ms(began)
}

/// Why it ended; none while it runs.
fn how(report: &ExperimentReport) -> Option<String> {
    let why = match report.counts.state {
        ExperimentState::Awaited | ExperimentState::Running => return None,
        ExperimentState::Ended => "its time was over",
        ExperimentState::Stopped => "it was stopped",
        ExperimentState::StoppedByGuard => "its guard stopped it",
        ExperimentState::StoppedByBudget => "an error budget ran low",
    };
    Some(format!("{why}, after {} strikes", report.counts.strikes))
}

fn run(resources: &Resources, revision: u64, report: &ExperimentReport, began: Duration) -> Run {
    let scope = serde_json::to_value(&report.scope).unwrap_or_default();
    let fields = scope.as_object().into_iter().flatten();
    let fields = fields.filter_map(|(field, value)| Some((field.clone(), value.as_str()?.into())));
    Run {
        experiment: report.name.to_string(),
        digest: report.digest.to_string(),
        revision: if revision == 0 {
            String::new()
        } else {
            revision.to_string()
        },
        inject: report.kind.to_owned(),
        scope: fields.into_map(),
        places: places(resources, &report.scope),
        routes: routes(resources, &report.scope).into_keys().into_set(),
        began_ms: ms(began),
        ends_ms: report.counts.ends.map_or(u64::MAX, ms),
        ..Run::default()
    }
}

/// Routes that a scope may touch, and whether all that each asks is in the scope.
fn routes(resources: &Resources, scope: &ExperimentScope) -> BTreeMap<String, bool> {
    let mut found = BTreeMap::new();
    for (name, route) in &resources.routes {
        if scope.route.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        if let Some(is_all) = touches(resources, &route.target, scope) {
            found.insert(name.clone(), is_all);
        }
    }
    found
}

/// Whether a target is within a scope, and if so whether as a whole.
fn touches(resources: &Resources, target: &Target, scope: &ExperimentScope) -> Option<bool> {
    let of_models = scope.provider.is_some() || scope.model.is_some();
    if scope.upstream.is_none() && !of_models && scope.mcp_server.is_none() {
        return Some(true);
    }
    match target {
        Target::Upstream(name) => (scope.upstream.as_ref() == Some(name)).then(|| {
            let upstream = resources.upstreams.get(name);
            scope.endpoint.is_none() || upstream.is_some_and(|one| one.endpoints.len() == 1)
        }),
        Target::Models(names) if of_models => {
            let is_meant = |name: &str, model: &Model| {
                let all = || model.targets.iter().chain(&model.fallback);
                let provider = scope.provider.as_ref();
                let is_model = scope.model.as_ref().is_none_or(|only| only == name);
                let at = |wanted: &String| all().filter(|one| one.provider == *wanted).count();
                let hit = provider.map_or(all().count(), at);
                (is_model && hit > 0, is_model && hit == all().count())
            };
            let offered = resources
                .models
                .iter()
                .filter(|(name, _)| names.iter().any(|one| one == "*" || one == *name));
            let meant: Vec<(bool, bool)> =
                offered.map(|(name, model)| is_meant(name, model)).collect();
            let is_touched = meant.iter().any(|(hit, _)| *hit);
            is_touched.then(|| meant.iter().all(|(_, all)| *all))
        }
        Target::Mcp(servers) => {
            let wanted = scope.mcp_server.as_ref()?;
            let hit = servers.iter().any(|one| one.server == *wanted);
            hit.then(|| servers.iter().all(|one| one.server == *wanted))
        }
        _ => None,
    }
}

/// Places that are right answers to where a scope fails. A route or an endpoint that is nowhere else
/// says as much as the upstream's name, which is no dimension of attribution.
fn places(resources: &Resources, scope: &ExperimentScope) -> Vec<Conjunction> {
    let fields = [
        ("route", &scope.route),
        ("endpoint", &scope.endpoint),
        ("provider", &scope.provider),
        ("model", &scope.model),
        ("consumer", &scope.consumer),
    ];
    let named: Conjunction = fields
        .into_iter()
        .filter_map(|(field, value)| Some((field.to_owned(), value.clone()?)))
        .collect();
    let with = |field: &str, value: &str| {
        let mut place = named.clone();
        place.insert(field.to_owned(), value.to_owned());
        place
    };
    let mut places = BTreeSet::new();
    let says_where = named.keys().any(|field| field != "consumer");
    if says_where {
        places.insert(named.clone());
    }
    let upstream = scope.upstream.as_ref();
    let upstream = upstream.and_then(|name| resources.upstreams.get(name));
    if let Some(upstream) = upstream.filter(|_| scope.endpoint.is_none()) {
        places.extend(upstream.endpoints.iter().map(|one| with("endpoint", one)));
    }
    let touched = routes(resources, scope);
    let whole = touched.iter().filter(|(_, is_whole)| **is_whole);
    places.extend(whole.map(|(route, _)| with("route", route)));
    if places.is_empty() {
        places.extend(touched.keys().map(|route| with("route", route)));
    }
    places.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources() -> Resources {
        let model = |providers: &[&str]| {
            let one = |name: &&str| serde_json::json!({ "provider": name, "model": "m" });
            serde_json::json!({ "targets": providers.iter().map(one).collect::<Vec<_>>() })
        };
        let made = serde_json::json!({
            "upstreams": {
                "orders": { "endpoints": ["a:1", "b:1"] }, "search": { "endpoints": ["c:1"] },
            },
            "models": { "large": model(&["p", "q"]), "small": model(&["p"]) },
            "routes": {
                "orders": { "target": { "upstream": "orders" } },
                "search": { "target": { "upstream": "search" } },
                "chat": { "target": { "models": ["large", "small"] } },
                "little": { "target": { "models": ["small"] } },
                "tools": { "target": { "mcp": [{ "server": "s" }, { "server": "t" }] } },
                "here": { "target": { "fixed": { "status": 200 } } },
            },
        });
        let document =
            gate_model::document::Document::parse(made.to_string().as_bytes(), "test").unwrap();
        Resources::read(&document).expect("resources")
    }

    #[track_caller]
    fn check(scope: serde_json::Value, places_of: &[&[(&str, &str)]], touched: &[&str]) {
        let scope: ExperimentScope = serde_json::from_value(scope).expect("a scope");
        let all = resources();
        let pairs = |pairs: &&[(&str, &str)]| -> Conjunction {
            let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            pairs.iter().map(own).collect()
        };
        let expected: Vec<Conjunction> = places_of.iter().map(pairs).collect();
        assert_eq!(places(&all, &scope), expected);
        assert_eq!(
            routes(&all, &scope).into_keys().collect::<Vec<_>>(),
            touched
        );
    }

    #[test]
    fn right_answers_are_what_is_nowhere_else() {
        use serde_json::json;
        check(
            json!({ "upstream": "orders" }),
            &[
                &[("endpoint", "a:1")],
                &[("endpoint", "b:1")],
                &[("route", "orders")],
            ],
            &["orders"],
        );
        // One endpoint of two is not all of the route.
        check(
            json!({ "upstream": "orders", "endpoint": "a:1" }),
            &[&[("endpoint", "a:1")]],
            &["orders"],
        );
        check(
            json!({ "provider": "p" }),
            &[
                &[("provider", "p")],
                &[("provider", "p"), ("route", "little")],
            ],
            &["chat", "little"],
        );
        check(
            json!({ "route": "search", "consumer": "c" }),
            &[&[("consumer", "c"), ("route", "search")]],
            &["search"],
        );
        check(
            json!({ "mcp_server": "s" }),
            &[&[("route", "tools")]],
            &["tools"],
        );
    }
}
