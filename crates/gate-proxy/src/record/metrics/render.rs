//! Families of the process: what is open, the configuration in force, what sinks wrote and lost.

use super::exposition::{Exposition, Kind};
use super::gauges::Gauges;
use super::series::Shard;
use super::{ConfigFacts, SinkCounts};
use crate::record::lake::LakeCounts;

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
    let counted: [(&'static str, &str, u64); 6] = [
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
            "tidegate_clients_refused",
            "Connections closed because one client had used up its own limit.",
            gauges.clients_refused.sum(),
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

/// What became of the rows of the lake.
fn lake(page: &mut Exposition, lake: &LakeCounts) {
    let counters: [(&'static str, &str, u64); 5] = [
        (
            "tidegate_lake_rows",
            "Rows that this gateway has written to the lake.",
            lake.rows,
        ),
        (
            "tidegate_lake_rows_dropped",
            "Rows lost to a full queue, refused at the door, or given up because the lake could not be written for long.",
            lake.dropped,
        ),
        (
            "tidegate_lake_files_written",
            "Files that this gateway has written with rows.",
            lake.files,
        ),
        (
            "tidegate_lake_bytes_written",
            "Bytes of those files.",
            lake.bytes,
        ),
        (
            "tidegate_lake_keep_failures",
            "Times that the lake could not be looked after.",
            lake.keep_failures,
        ),
    ];
    for (name, help, value) in counters {
        page.single(name, Kind::Counter, "", help, value);
    }
    page.single(
        "tidegate_lake_lag_seconds",
        Kind::Gauge,
        "seconds",
        "How long the oldest row that is not in the lake has waited.",
        lake.lag.as_secs_f64(),
    );
    page.single(
        "tidegate_lake_settled_files",
        Kind::Gauge,
        "",
        "Settled files of the lake, as of the last time this gateway looked.",
        lake.settled_files,
    );
    page.single(
        "tidegate_lake_settled_bytes",
        Kind::Gauge,
        "bytes",
        "Bytes of settled files of the lake, as of the last time this gateway looked.",
        lake.settled_bytes,
    );
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
    let payers = [&sum.consumers, &sum.teams, &sum.tags];
    let payers: u64 = payers.iter().map(|payers| payers.folded).sum();
    let folded = sum.routes.folded + sum.upstreams.folded + sum.models.folded + endpoints + payers;
    let counters: [(&'static str, &str, u64); 8] = [
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
            "tidegate_records_kept",
            "Recent records written to gateway.records.",
            sinks.records_kept,
        ),
        (
            "tidegate_records_dropped",
            "Recent records lost to a full queue or a failing disk.",
            sinks.records_dropped,
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
    lake(page, &sinks.lake);
}
