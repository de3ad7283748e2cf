//! The readers of a finished exchange's record: metrics, the access log, and OpenTelemetry export.
//!
//! [`Readers::finish`] is called exactly once per exchange, on its worker. Counters are added to at
//! once and never dropped; log rows and spans go through bounded queues to threads of their own
//! and may be dropped, which is counted. What is logged and traced follows the configuration that
//! served the exchange; where it goes follows the last one applied. Nothing here knows sockets of
//! callers or how the exchange was served.

mod access_log;
pub mod admin;
mod callers;
pub mod firewall;
pub mod lake;
pub mod live;
pub mod metrics;
mod otlp;
pub mod recent;
pub(crate) mod redact;
mod row;
#[cfg(test)]
mod tests;
pub(crate) mod time;
pub mod trace;

use access_log::{LogTarget, LogWriter};
use callers::Callers;
use firewall::{Firewall, Sighting};
use gate_flow::{Client, Exchange, KeptRequest, Record, SecretSource, WafAction};
use gate_kit::clock::Clock;
use gate_kit::http::RequestHead;
use gate_kit::random;
use gate_model::resources::{Gateway, Route};
use gate_model::units::Percent;
use lake::{LakeTarget, LakeWriter};
use live::Live;
use metrics::{Exposition, Format, Metrics, SinkCounts};
use otlp::{Collector, Exporter, Item};
use recent::{RecordsTarget, RecordsWriter};
use row::{Row, has_failed};
use rustls::ClientConfig;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Everything that reads records. One object per process, shared by its workers.
pub struct Readers {
    metrics: Arc<Metrics>,
    log: LogWriter,
    otlp: Exporter,
    recent: RecordsWriter,
    lake: LakeWriter,
    clock: Clock,
    live: Live,
    callers: Arc<Callers>,
    firewall: Firewall,
    tls: Arc<ClientConfig>,
}

/// Sinks of a new configuration, opened and checked, not yet in use.
#[derive(Debug)]
pub struct Prepared {
    log: Option<LogTarget>,
    collector: Option<Collector>,
    records: Option<RecordsTarget>,
    lake: Option<LakeTarget>,
}

/// Why the sinks of a configuration cannot be used, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderError(pub String);

impl std::fmt::Display for ReaderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ReaderError {}

/// What is read of an exchange that has ended.
struct Finished<'a> {
    record: &'a mut Record,
    head: &'a RequestHead,
    client: &'a Client,
    address: IpAddr,
    gateway: &'a Gateway,
    routes: &'a BTreeMap<String, Route>,
    kept: Option<Box<KeptRequest>>,
}

impl Readers {
    /// Readers without sinks. `tls` is how the gateway connects to others; collectors with
    /// `https` are reached with it.
    #[must_use]
    pub fn new(clock: Clock, tls: Arc<ClientConfig>) -> Self {
        let metrics = Arc::new(Metrics::new(clock.clone()));
        Self {
            otlp: Exporter::new(clock.clone(), metrics.clone()),
            metrics,
            log: LogWriter::new(),
            live: Live::new(clock.clone()),
            lake: LakeWriter::new(clock.clone()),
            recent: RecordsWriter::new(clock.clone()),
            clock,
            callers: Arc::default(),
            firewall: Firewall::default(),
            tls,
        }
    }

    /// Opens and checks the sinks of a configuration. Relative paths start from `folder`.
    ///
    /// # Errors
    /// What is wrong with a sink; nothing has changed then.
    pub fn prepare(
        &self,
        gateway: &Gateway,
        folder: &Path,
        secrets: &dyn SecretSource,
    ) -> Result<Prepared, ReaderError> {
        let log = gateway.access_log.as_ref();
        let log = log
            .map(|settings| LogTarget::open(settings, folder))
            .transpose();
        let collector = gateway.tracing.as_ref();
        let collector = collector
            .map(|settings| Collector::new(settings, &self.tls))
            .transpose();
        let records = gateway.records.as_ref();
        let records = records
            .map(|settings| RecordsTarget::open(settings, folder))
            .transpose();
        Ok(Prepared {
            log: log.map_err(ReaderError)?,
            collector: collector.map_err(ReaderError)?,
            records: records.map_err(ReaderError)?,
            lake: LakeTarget::open(gateway, folder, secrets, &self.clock).map_err(ReaderError)?,
        })
    }

    /// Uses these sinks from now on. Counters and queued rows are kept.
    ///
    /// # Errors
    /// When the system has no thread for a sink.
    pub fn apply(&self, prepared: Prepared) -> Result<(), ReaderError> {
        let failed = |error| ReaderError(format!("a writer thread cannot be started: {error}"));
        if let Some(target) = prepared.log {
            self.log.set_target(target).map_err(failed)?;
        }
        if let Some(collector) = prepared.collector {
            self.otlp.set_collector(collector).map_err(failed)?;
        }
        let keeps = prepared.records.is_some();
        self.live.set_always(keeps).map_err(failed)?;
        if let Some(records) = prepared.records {
            self.recent.set_target(records).map_err(failed)?;
        }
        if let Some(lake) = prepared.lake {
            self.lake.set_target(lake).map_err(failed)?;
        }
        Ok(())
    }

    /// Reads the record of an exchange that has ended; call it last and once, because the record
    /// may have moved out of the exchange afterwards. Never blocks beyond two short locks.
    pub fn finish(&self, exchange: &mut Exchange) {
        self.read(Finished {
            record: &mut exchange.record,
            head: &exchange.request.head,
            client: &exchange.client,
            address: exchange.address,
            gateway: &exchange.snapshot.resources.gateway,
            routes: &exchange.snapshot.resources.routes,
            kept: exchange.kept.take(),
        });
    }

    fn read(&self, finished: Finished<'_>) {
        let Finished {
            record,
            head,
            client,
            address,
            gateway,
            routes,
            kept,
        } = finished;
        // Ahead of the counters: who has seen these finds the matches too.
        self.firewall.add(record, address);
        self.metrics.observe(record, &head.method, head.version);
        if record.api.is_some() {
            self.callers.add(record);
        }
        let log = gateway.access_log.as_ref();
        let logged = has_failed(record)
            || is_refused(record)
            || log.is_none_or(|log| is_sampled(log.sample));
        let to_log = logged && log.is_some();
        let tracing = gateway.tracing.as_ref();
        let trace = tracing.is_some() && record.trace.sampled;
        let to_otlp_log = logged && tracing.is_some_and(|tracing| tracing.logs);
        let watched = self.live.is_on();
        let to_lake = gateway.lake.is_some();
        if !(to_log || trace || to_otlp_log || kept.is_some() || watched || to_lake) {
            return;
        }
        let headers = log.map_or(&[][..], |log| &log.request_headers);
        let mut row = Row::new(std::mem::take(record), head, client, address, headers);
        row.tag = to_lake.then(|| tag(head, gateway)).flatten();
        if trace || to_otlp_log {
            let name = row.record.route.as_deref();
            let route = name.and_then(|name| routes.get(name));
            row.route_path = route.and_then(|route| route.matches.path.clone());
        }
        let row = Arc::new(row);
        if trace || to_otlp_log {
            self.otlp.push(Item {
                row: row.clone(),
                trace,
                log: to_otlp_log,
            });
        }
        if let Some(kept) = kept {
            let row = row.clone();
            self.recent.push(recent::Item { row, kept });
        }
        if watched {
            self.live.push(row.clone());
        }
        if to_lake {
            self.lake.push(row.clone());
        }
        if to_log {
            self.log.push(row);
        }
    }

    /// The lake that records go to.
    #[must_use]
    pub const fn lake(&self) -> &LakeWriter {
        &self.lake
    }

    /// Deletes what consumers have left in recent records and the firewall's matches, each up to a
    /// moment in UNIX milliseconds; says how many rows and matches that were, none where no records
    /// are kept. Blocks for as long as what is kept takes to be read and written.
    ///
    /// # Errors
    /// A sentence on what failed; it can be asked for again.
    pub fn forget(
        &self,
        wanted: &recent::forget::Wanted,
        patience: Duration,
    ) -> Result<Option<u64>, String> {
        let matches = self.firewall.forget(wanted);
        let rows = self.recent.forget(wanted, patience)?;
        Ok(match rows {
            None if matches == 0 => None,
            rows => Some(rows.unwrap_or(0) + matches),
        })
    }

    /// The folder of recent records; none where none are kept.
    #[must_use]
    pub fn records_folder(&self) -> Option<PathBuf> {
        self.recent.folder()
    }

    /// Has traffic be counted by the second; to be said again within [`live::WATCHED`].
    ///
    /// # Errors
    /// When the system has no thread.
    pub fn watch_traffic(&self) -> Result<(), ReaderError> {
        let failed = |error| ReaderError(format!("a counting thread cannot be started: {error}"));
        self.live.watch().map_err(failed)
    }

    /// What went through in these seconds of UNIX time, as far as it was watched.
    #[must_use]
    pub fn traffic(
        &self,
        of: &live::TrafficOf,
        seconds: &std::ops::Range<u64>,
    ) -> live::TrafficCount {
        self.live.traffic(of, seconds)
    }

    /// Tries by endpoint of an upstream in these seconds, and bad ones of them.
    #[must_use]
    pub fn endpoint_traffic(
        &self,
        upstream: &str,
        seconds: &std::ops::Range<u64>,
    ) -> Vec<(Arc<str>, u64, u64)> {
        self.live.endpoints(upstream, seconds)
    }

    /// What the last minutes come to. Counting begins with the first look, and goes on for
    /// [`live::WATCHED`] after the last one; where records are kept it never stops. Takes a lock that
    /// only a thread of its own contends for.
    #[must_use]
    pub fn look(&self) -> gate_api::types::Live {
        self.live.look()
    }

    /// What has been counted of callers since this source was asked last, for the books.
    #[must_use]
    pub fn caller_source(&self) -> gate_store::books::CallerSource {
        let callers = self.callers.clone();
        Box::new(move || callers.take_new())
    }

    /// Who called which version of which API today and yesterday, as far as this process knows.
    #[must_use]
    pub fn callers(&self) -> Vec<gate_store::ledger::CallerRow> {
        self.callers.all()
    }

    /// What the firewall's rules matched of late in this process, the newest first.
    #[must_use]
    pub fn firewall(&self) -> Vec<Arc<Sighting>> {
        self.firewall.newest_first()
    }

    /// The counters and gauges.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The metrics page; `more` adds families of others. Reads files: never call it on a worker.
    #[must_use]
    pub fn metrics_page(&self, format: Format, more: impl FnOnce(&mut Exposition)) -> Vec<u8> {
        self.metrics.page(format, &self.sink_counts(), more)
    }

    /// What the log and the export wrote and lost.
    #[must_use]
    pub fn sink_counts(&self) -> SinkCounts {
        let (log_rows, log_dropped) = self.log.counts();
        let (otlp_exported, otlp_dropped, otlp_failures) = self.otlp.counts();
        let (records_kept, records_dropped) = self.recent.counts();
        SinkCounts {
            records_kept,
            records_dropped,
            log_rows,
            log_dropped,
            otlp_exported,
            otlp_dropped,
            otlp_failures,
            lake: self.lake.counts(),
        }
    }

    /// Has the access log's file opened again, after SIGHUP.
    pub fn reopen(&self) {
        self.log.reopen();
    }

    /// Takes no more rows and writes out the queued ones, within `patience`. Blocks; for the end
    /// of the process. Returns whether everything was handed over in time.
    pub fn flush(&self, patience: Duration) -> bool {
        // The log is on this machine and quick; the collector may have what is left.
        let half = patience / 2;
        let log = self.log.close(half);
        let records = self.recent.close(half);
        let live = self.live.close(half);
        let lake = self.lake.close(half);
        self.otlp.close(half) && log && records && live && lake
    }
}

/// The tag that a request carries, as the ledger keeps it.
fn tag(head: &RequestHead, gateway: &Gateway) -> Option<Arc<str>> {
    let header = gateway.store.as_ref()?.tag_header.as_deref()?;
    let value = head.headers.get_named(header)?;
    Some(crate::money::reserve::tag_of(value))
}

/// Whether the firewall refused it, or would have: what rules are tuned by.
fn is_refused(record: &Record) -> bool {
    let facts = record.waf.as_deref();
    facts.is_some_and(|facts| facts.action != WafAction::Passed && !facts.counted_only)
}

fn is_sampled(share: Percent) -> bool {
    let share = share_of(share);
    share >= 1.0 || random::fraction() < share
}

/// A percentage as a share of one.
#[must_use]
pub fn share_of(percent: Percent) -> f64 {
    percent.fraction()
}

/// Waits for a thread to end, up to `patience`; leaves it running then. True without a thread.
fn finished_within(thread: &Mutex<Option<JoinHandle<()>>>, patience: Duration) -> bool {
    const STEP: Duration = Duration::from_millis(5);
    let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(thread) = thread else { return true };
    let mut left = patience;
    while !thread.is_finished() {
        if left.is_zero() {
            return false;
        }
        std::thread::sleep(left.min(STEP));
        left = left.saturating_sub(STEP);
    }
    thread.join().is_ok()
}
