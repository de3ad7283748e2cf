//! The names, units and help texts of every family, and which labels each carries.
//!
//! Names follow Prometheus's practice; those of model calls are OpenTelemetry's GenAI conventions
//! as its Prometheus translation spells them (dots become underscores, units a suffix), see
//! <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/>.

use super::exposition::{Exposition, Kind};
use super::gauges::Gauges;
use super::histogram::{DURATION, FIRST_TOKEN, Histogram, OPERATION, SIZE, Scale, TOKENS};
use super::series::{AiSeries, Ending, METHODS, OTHER, RouteSeries, Shard};
use super::{ConfigFacts, SinkCounts};

/// Families by route.
pub(super) fn requests(page: &mut Exposition, sum: &Shard) {
    let routes = sum.routes.sorted();
    let used = |routes: &[(&str, &Box<RouteSeries>)]| -> Vec<(String, usize)> {
        let count = |series: &RouteSeries| series.duration.count() > 0;
        let named = routes
            .iter()
            .enumerate()
            .filter(|(_, (_, series))| count(series));
        named
            .map(|(position, (name, _))| ((*name).to_owned(), position))
            .collect()
    };
    let used = used(&routes);
    let rows = || {
        used.iter()
            .map(|(name, position)| (name.as_str(), routes[*position].1))
    };

    page.family(
        "tidegate_requests",
        Kind::Counter,
        "",
        "Finished exchanges; status 0 when none was sent.",
    );
    for (route, series) in rows() {
        for (answer, count) in series.requests.iter() {
            let labels = [
                ("route", route),
                ("method", METHODS[usize::from(answer.method)]),
                ("status", itoa::Buffer::new().format(answer.status)),
                ("version", answer.version.as_str()),
            ]
            .map(|(name, value)| (name, value.to_owned()));
            page.sample(&borrowed(&labels), count);
        }
        if series.requests.other() > 0 {
            let labels = [
                ("route", route),
                ("method", OTHER),
                ("status", OTHER),
                ("version", OTHER),
            ];
            page.sample(&labels, series.requests.other());
        }
    }
    page.family(
        "tidegate_request_outcomes",
        Kind::Counter,
        "",
        "Finished exchanges by how they ended.",
    );
    for (route, series) in rows() {
        for (outcome, count) in series.outcomes.iter() {
            page.sample(&[("route", route), ("outcome", outcome.as_str())], count);
        }
    }
    page.family(
        "tidegate_faults",
        Kind::Counter,
        "",
        "Faults by code and by the side that caused them.",
    );
    for (route, series) in rows() {
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
    page.family(
        "tidegate_policy_answers",
        Kind::Counter,
        "",
        "Exchanges that a policy answered or refused.",
    );
    for (route, series) in rows() {
        for (policy, count) in series.answered.iter() {
            page.sample(&[("route", route), ("policy", policy)], count);
        }
    }
    type Pick = fn(&RouteSeries) -> &Histogram;
    let histograms: [(&'static str, &str, &str, &Scale, Pick); 3] = [
        (
            "tidegate_request_duration_seconds",
            "seconds",
            "From a request's head to the end of its exchange.",
            &DURATION,
            |series| &series.duration,
        ),
        (
            "tidegate_request_body_bytes",
            "bytes",
            "Body bytes received from callers.",
            &SIZE,
            |series| &series.request_bytes,
        ),
        (
            "tidegate_response_body_bytes",
            "bytes",
            "Body bytes sent to callers.",
            &SIZE,
            |series| &series.response_bytes,
        ),
    ];
    for (name, unit, help, scale, pick) in histograms {
        page.family(name, Kind::Histogram, unit, help);
        for (route, series) in rows() {
            page.histogram(&[("route", route)], scale, pick(series));
        }
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

/// Families by model and provider.
pub(super) fn models(page: &mut Exposition, sum: &Shard) {
    let models = sum.models.sorted();
    let rows = || {
        models
            .iter()
            .flat_map(|(model, all)| all.iter().map(|series| (*model, series)))
    };
    let help = "Tokens of a call, input with cached ones included.";
    page.family("gen_ai_client_token_usage", Kind::Histogram, "", help);
    for (model, series) in rows() {
        for (kind, histogram) in [("input", &series.input), ("output", &series.output)] {
            if histogram.count() > 0 {
                page.histogram(
                    &ai_labels(model, series, &[("gen_ai_token_type", kind)]),
                    &TOKENS,
                    histogram,
                );
            }
        }
    }
    let help = "Duration of calls to models.";
    page.family(
        "gen_ai_client_operation_duration_seconds",
        Kind::Histogram,
        "seconds",
        help,
    );
    for (model, series) in rows() {
        for (ending, histogram) in &series.durations {
            let error = ending.map(error_type).unwrap_or_default();
            page.histogram(
                &ai_labels(model, series, &[("error_type", &error)]),
                &OPERATION,
                histogram,
            );
        }
    }
    let help = "From an exchange's start to the first token of its answer.";
    page.family(
        "gen_ai_server_time_to_first_token_seconds",
        Kind::Histogram,
        "seconds",
        help,
    );
    for (model, series) in rows().filter(|(_, series)| series.first_token.count() > 0) {
        page.histogram(
            &ai_labels(model, series, &[]),
            &FIRST_TOKEN,
            &series.first_token,
        );
    }
    let counters: [(&'static str, &str, fn(&AiSeries) -> u64); 6] = [
        (
            "tidegate_ai_cached_tokens",
            "Input tokens that came from a provider's prompt cache.",
            |series| series.cached,
        ),
        (
            "tidegate_ai_cache_written_tokens",
            "Input tokens written to a provider's prompt cache.",
            |series| series.cache_written,
        ),
        (
            "tidegate_ai_reasoning_tokens",
            "Output tokens spent on reasoning.",
            |series| series.reasoning,
        ),
        (
            "tidegate_ai_streams",
            "Calls answered as a stream.",
            |series| series.streams,
        ),
        (
            "tidegate_ai_translated",
            "Calls translated between dialects.",
            |series| series.translated,
        ),
        (
            "tidegate_ai_losses",
            "Fields that a provider's dialect could not express.",
            |series| series.losses,
        ),
    ];
    for (name, help, pick) in counters {
        page.family(name, Kind::Counter, "", help);
        for (model, series) in rows() {
            page.sample(&ai_labels(model, series, &[]), pick(series));
        }
    }
}

/// What is open, and rare events.
pub(super) fn gauges(page: &mut Exposition, gauges: &Gauges) {
    let open: [(&'static str, &str, u64); 3] = [
        (
            "tidegate_connections_open",
            "Open connections of callers.",
            gauges.connections.now(),
        ),
        (
            "tidegate_exchanges_open",
            "Exchanges in flight.",
            gauges.exchanges.now(),
        ),
        (
            "tidegate_upstream_connections_open",
            "Open connections to upstreams, idle ones included.",
            gauges.upstream_connections.now(),
        ),
    ];
    for (name, help, value) in open {
        page.single(name, Kind::Gauge, "", help, value);
    }
    let counted: [(&'static str, &str, u64); 5] = [
        (
            "tidegate_connections",
            "Connections accepted from callers.",
            gauges.connections.total(),
        ),
        (
            "tidegate_upstream_connections",
            "Connections opened to upstreams.",
            gauges.upstream_connections.total(),
        ),
        (
            "tidegate_connections_refused",
            "Connections closed because a limit was reached.",
            gauges.connections_refused.sum(),
        ),
        (
            "tidegate_handshakes_failed",
            "TLS handshakes of callers that failed.",
            gauges.handshakes_failed.sum(),
        ),
        (
            "tidegate_panics",
            "Exchanges that ended in a broken invariant of the gateway.",
            gauges.panics.sum(),
        ),
    ];
    for (name, help, value) in counted {
        page.single(name, Kind::Counter, "", help, value);
    }
}

/// The configuration in force and the build.
pub(super) fn config(page: &mut Exposition, config: &ConfigFacts) {
    page.family("tidegate_build", Kind::Info, "", "The gateway's build.");
    page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.family(
        "tidegate_config",
        Kind::Info,
        "",
        "The configuration in force.",
    );
    if !config.digest.is_empty() {
        let revision = config.revision.to_string();
        page.sample(&[("revision", &revision), ("digest", &config.digest)], 1);
    }
    let help = "Number of the revision in force; 0 before the first.";
    page.single(
        "tidegate_config_revision",
        Kind::Gauge,
        "",
        help,
        config.revision,
    );
    let help = "UNIX time at which the configuration in force was applied.";
    let applied = config.applied_unix.as_secs_f64();
    page.single(
        "tidegate_config_applied_timestamp_seconds",
        Kind::Gauge,
        "seconds",
        help,
        applied,
    );
    page.family(
        "tidegate_config_reloads",
        Kind::Counter,
        "",
        "Reloads, by whether their document was applied.",
    );
    page.sample(&[("result", "ok")], config.reloads_ok);
    page.sample(&[("result", "failed")], config.reloads_failed);
}

/// What the other readers wrote and lost, and how often a name did not fit its table.
pub(super) fn sinks(page: &mut Exposition, sinks: &SinkCounts, sum: &Shard) {
    let endpoints: u64 = sum
        .upstreams
        .sorted()
        .iter()
        .map(|(_, series)| series.endpoints.folded)
        .sum();
    let folded = sum.routes.folded + sum.upstreams.folded + sum.models.folded + endpoints;
    let counters: [(&'static str, &str, u64); 6] = [
        (
            "tidegate_log_rows",
            "Access log rows written.",
            sinks.log_rows,
        ),
        (
            "tidegate_log_rows_dropped",
            "Access log rows lost to a full queue or a failing sink.",
            sinks.log_dropped,
        ),
        (
            "tidegate_otlp_exported",
            "Spans and log rows that the collector accepted.",
            sinks.otlp_exported,
        ),
        (
            "tidegate_otlp_dropped",
            "Spans and log rows lost to a full queue or a failing collector.",
            sinks.otlp_dropped,
        ),
        (
            "tidegate_otlp_failures",
            "Exports that failed, retries included.",
            sinks.otlp_failures,
        ),
        (
            "tidegate_metrics_folded",
            "Times a name did not fit its table and was counted as _other.",
            folded,
        ),
    ];
    for (name, help, value) in counters {
        page.single(name, Kind::Counter, "", help, value);
    }
}

/// OpenTelemetry's `error.type`: the fault's code, else the status.
fn error_type(ending: Ending) -> String {
    ending.fault.map_or_else(
        || ending.status.to_string(),
        |code| code.as_str().to_owned(),
    )
}

fn ai_labels<'a>(
    model: &'a str,
    series: &'a AiSeries,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut labels = vec![
        ("gen_ai_operation_name", series.operation),
        ("gen_ai_provider_name", series.provider_kind),
        (
            "gen_ai_request_model",
            series.provider_model.as_deref().unwrap_or_default(),
        ),
        ("tidegate_model", model),
        (
            "tidegate_provider",
            series.provider.as_deref().unwrap_or_default(),
        ),
    ];
    labels.extend_from_slice(more);
    labels
}

fn borrowed<'a, const N: usize>(labels: &'a [(&'a str, String); N]) -> [(&'a str, &'a str); N] {
    std::array::from_fn(|position| (labels[position].0, labels[position].1.as_str()))
}
