//! Families of routes and upstreams: names, units, help texts, labels.
//!
//! Names follow <https://prometheus.io/docs/practices/naming/>. Families of model calls are in
//! [`super::render_models`], those of the process in [`super::render`].

use super::exposition::{Exposition, Kind};
use super::histogram::{DURATION, SIZE};
use super::series::{METHODS, RouteSeries, Shard};
use super::table::OTHER;

/// A family: name, what it means, its samples of one route.
type Counted = (
    &'static str,
    &'static str,
    fn(&mut Exposition, &str, &RouteSeries),
);

/// Families by route.
pub(super) fn requests(page: &mut Exposition, sum: &Shard) {
    let mut rows = sum.routes.sorted();
    rows.retain(|(_, series)| series.duration.count() > 0);
    let counters: [Counted; 7] = [
        (
            "tidegate_requests",
            "Finished exchanges; status 0 when none was sent.",
            answers,
        ),
        (
            "tidegate_request_outcomes",
            "Finished exchanges by how they ended.",
            outcomes,
        ),
        (
            "tidegate_faults",
            "Faults by code and by the side that caused them.",
            faults,
        ),
        (
            "tidegate_policy_answers",
            "Exchanges that a policy answered or refused.",
            policies,
        ),
        (
            "tidegate_guard_findings",
            "What guards found, by rule, point and what was done about it.",
            guards,
        ),
        (
            "tidegate_waf_matches",
            "Rules of the web application firewall that matched, by what became of the exchange.",
            waf,
        ),
        (
            "tidegate_bodies_dropped",
            "Bodies that were to be recorded and were not, because too many wait to be written.",
            |page, route, series| {
                if series.bodies_dropped > 0 {
                    page.sample(&[("route", route)], series.bodies_dropped);
                }
            },
        ),
    ];
    for (name, help, samples) in counters {
        page.family(name, Kind::Counter, "", help);
        rows.iter()
            .for_each(|(route, series)| samples(page, route, series));
    }
    let name = "tidegate_request_duration_seconds";
    let help = "From a request's head to the end of its exchange.";
    page.family(name, Kind::Histogram, "seconds", help);
    for (route, series) in &rows {
        page.timed(&[("route", route)], &DURATION, &series.duration);
    }
    let help = "Body bytes received from callers.";
    page.family(
        "tidegate_request_body_bytes",
        Kind::Histogram,
        "bytes",
        help,
    );
    for (route, series) in &rows {
        page.histogram(&[("route", route)], &SIZE, &series.request_bytes);
    }
    let help = "Body bytes sent to callers.";
    page.family(
        "tidegate_response_body_bytes",
        Kind::Histogram,
        "bytes",
        help,
    );
    for (route, series) in &rows {
        page.histogram(&[("route", route)], &SIZE, &series.response_bytes);
    }
}

fn guards(page: &mut Exposition, route: &str, series: &RouteSeries) {
    for (verdict, count) in &series.guards {
        let labels = [
            ("route", route),
            ("rule", &*verdict.rule),
            ("point", verdict.point),
            ("action", verdict.action),
        ];
        page.sample(&labels, *count);
    }
    if series.guards_other > 0 {
        let labels = [
            ("route", route),
            ("rule", OTHER),
            ("point", OTHER),
            ("action", OTHER),
        ];
        page.sample(&labels, series.guards_other);
    }
}

fn waf(page: &mut Exposition, route: &str, series: &RouteSeries) {
    for ((rule, action), count) in &series.waf {
        let rule = rule.to_string();
        let labels = [
            ("route", route),
            ("rule", rule.as_str()),
            ("action", action.as_str()),
        ];
        page.sample(&labels, *count);
    }
    if series.waf_other > 0 {
        let labels = [("route", route), ("rule", OTHER), ("action", OTHER)];
        page.sample(&labels, series.waf_other);
    }
}

fn answers(page: &mut Exposition, route: &str, series: &RouteSeries) {
    let mut sample = |method: &str, status: &str, version: &str, count: u64| {
        let labels = [
            ("route", route),
            ("method", method),
            ("status", status),
            ("version", version),
        ];
        page.sample(&labels, count);
    };
    for (answer, count) in series.requests.iter() {
        let method = METHODS[usize::from(answer.method)];
        let status = answer.status.to_string();
        sample(method, &status, answer.version.as_str(), *count);
    }
    if series.requests.other() > 0 {
        sample(OTHER, OTHER, OTHER, series.requests.other());
    }
}

fn outcomes(page: &mut Exposition, route: &str, series: &RouteSeries) {
    for (outcome, count) in series.outcomes.iter() {
        page.sample(&[("route", route), ("outcome", outcome.as_str())], count);
    }
}

fn faults(page: &mut Exposition, route: &str, series: &RouteSeries) {
    for (code, count) in series.faults.iter() {
        let source = code.source().as_str();
        page.sample(
            &[
                ("route", route),
                ("code", code.as_str()),
                ("source", source),
            ],
            count,
        );
    }
}

fn policies(page: &mut Exposition, route: &str, series: &RouteSeries) {
    for (policy, count) in series.answered.iter() {
        page.sample(&[("route", route), ("policy", policy)], count);
    }
}

/// Families by upstream.
pub(super) fn upstreams(page: &mut Exposition, sum: &Shard) {
    let rows: Vec<_> = sum
        .upstreams
        .sorted()
        .into_iter()
        .filter(|(_, series)| series.duration.count() > 0)
        .collect();
    page.family(
        "tidegate_upstream_attempts",
        Kind::Counter,
        "",
        "Tries at endpoints; status 0 when none came.",
    );
    for (upstream, series) in &rows {
        for (endpoint, endings) in series.endpoints.sorted() {
            for (ending, count) in endings.iter() {
                let fault = ending.fault.map_or("", |code| code.as_str());
                let status = ending.status.to_string();
                let labels = [
                    ("upstream", *upstream),
                    ("endpoint", endpoint),
                    ("status", &status),
                    ("fault", fault),
                ];
                page.sample(&labels, count);
            }
            if endings.other() > 0 {
                let labels = [
                    ("upstream", *upstream),
                    ("endpoint", endpoint),
                    ("status", OTHER),
                    ("fault", OTHER),
                ];
                page.sample(&labels, endings.other());
            }
        }
    }
    page.family(
        "tidegate_upstream_retries",
        Kind::Counter,
        "",
        "Tries after the first of an exchange.",
    );
    for (upstream, series) in &rows {
        page.sample(&[("upstream", upstream)], series.retries);
    }
    page.family(
        "tidegate_upstream_reused",
        Kind::Counter,
        "",
        "Tries on a connection that had been used before.",
    );
    for (upstream, series) in &rows {
        page.sample(&[("upstream", upstream)], series.reused);
    }
    let help = "From a try's start to the first byte of its answer or its failure.";
    page.family(
        "tidegate_upstream_duration_seconds",
        Kind::Histogram,
        "seconds",
        help,
    );
    for (upstream, series) in &rows {
        page.histogram(&[("upstream", upstream)], &DURATION, &series.duration);
    }
}
