//! Exports traces, logs and histograms of durations to an OpenTelemetry collector, as OTLP/HTTP with
//! protobuf.
//!
//! Workers only queue rows. One thread turns them into spans and log records, sends a batch at
//! most once a second and tries again with growing pauses; what cannot be sent is dropped and
//! counted. Source: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.

mod convert;
mod histograms;
mod messages;
mod post;
#[cfg(test)]
mod tests;

use super::finished_within;
use super::metrics::Metrics;
use super::row::Row;
use gate_kit::clock::Clock;
use gate_kit::queue::BoundedQueue;
use gate_kit::random;
use gate_model::resources::Tracing;
use messages::{
    KeyValue, LogsExport, MetricsExport, Resource, ResourceLogs, ResourceMetrics, ResourceSpans,
    Scope, ScopeLogs, ScopeMetrics, ScopeSpans, TraceExport,
};
use post::{Answer, Endpoint};
use prost::Message;
use rustls::ClientConfig;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Rows that may wait. A row takes about 1 KiB, at most 12 KiB.
const ROWS_MAX: usize = 4096;
/// Rows of one export.
const BATCH: usize = 512;
/// How long rows gather before an export.
const LINGER: Duration = Duration::from_secs(1);
/// How often the thread looks whether it must end.
const TICK: Duration = Duration::from_millis(50);
/// How often histograms are exported, where they are.
const METRICS: Duration = Duration::from_secs(15);
/// How long one export may take, connecting included.
const EXPORT_TIME: Duration = Duration::from_secs(10);
/// Tries of one export.
const TRIES_MAX: u32 = 5;
/// Before the first retry; doubles with each.
const BACKOFF: Duration = Duration::from_millis(500);
/// The longest pause, also where a collector asks for more.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// What an exchange is exported as.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) row: Arc<Row>,
    /// As spans.
    pub(super) trace: bool,
    /// As a log record.
    pub(super) log: bool,
}

/// Checked settings of the export.
#[derive(Debug, Clone)]
pub(super) struct Collector {
    endpoint: Endpoint,
    headers: Vec<(String, String)>,
    service: String,
    /// Whether histograms go there, too.
    metrics: bool,
}

impl Collector {
    /// Checks the settings. Nothing is connected yet.
    ///
    /// # Errors
    /// A sentence on what is wrong with the endpoint or a header's name; values are not shown.
    pub(super) fn new(settings: &Tracing, tls: &Arc<ClientConfig>) -> Result<Self, String> {
        let mut check = gate_kit::http::Headers::new();
        for (name, value) in &settings.headers {
            check
                .try_append(name.as_bytes(), value.as_bytes())
                .map_err(|error| format!("tracing header `{}`: {error}", name.escape_debug()))?;
        }
        Ok(Self {
            endpoint: Endpoint::parse(&settings.endpoint, tls)?,
            headers: settings.headers.clone().into_iter().collect(),
            service: settings.service.clone(),
            metrics: settings.metrics,
        })
    }

    fn resource(&self) -> Resource {
        let facts = [
            ("service.name", self.service.as_str()),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("telemetry.sdk.name", "tidegate"),
            ("telemetry.sdk.language", "rust"),
        ];
        let attribute = |(key, value): (&str, &str)| KeyValue {
            key: key.into(),
            value: Some(value.into()),
        };
        Resource {
            attributes: facts.map(attribute).into(),
        }
    }
}

fn scope() -> Scope {
    Scope {
        name: "tidegate".into(),
        version: env!("CARGO_PKG_VERSION").into(),
    }
}

/// The queue and its thread, which starts with the first collector.
pub(super) struct Exporter {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    queue: BoundedQueue<Item>,
    metrics: Arc<Metrics>,
    collector: Mutex<Option<Arc<Collector>>>,
    clock: Clock,
    closed: AtomicBool,
    exported: AtomicU64,
    lost: AtomicU64,
    failures: AtomicU64,
}

impl Exporter {
    pub(super) fn new(clock: Clock, metrics: Arc<Metrics>) -> Self {
        let shared = Shared {
            queue: BoundedQueue::new(ROWS_MAX),
            metrics,
            collector: Mutex::default(),
            clock,
            closed: AtomicBool::new(false),
            exported: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
            thread: Mutex::default(),
        }
    }

    /// Exports go here from the next batch on.
    pub(super) fn set_collector(&self, collector: Collector) -> io::Result<()> {
        let slot = &self.shared.collector;
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(collector));
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let shared = self.shared.clone();
            let run = move || shared.run();
            *thread = Some(std::thread::Builder::new().name("otlp".into()).spawn(run)?);
        }
        Ok(())
    }

    /// Queues an exchange, or drops and counts it.
    pub(super) fn push(&self, item: Item) {
        self.shared.queue.push(item);
    }

    /// Exported, lost, and failed exports.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let shared = &self.shared;
        let lost = shared.lost.load(Ordering::Relaxed) + shared.queue.dropped();
        let exported = shared.exported.load(Ordering::Relaxed);
        (exported, lost, shared.failures.load(Ordering::Relaxed))
    }

    /// Takes no more rows and waits until the queued ones are sent, up to `patience`. Each batch
    /// then gets one try.
    pub(super) fn close(&self, patience: Duration) -> bool {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.queue.close();
        finished_within(&self.thread, patience)
    }
}

impl Shared {
    /// The thread: gathers, converts, sends.
    fn run(&self) {
        let mut items = Vec::new();
        let mut measured = self.clock.now();
        loop {
            let open = self
                .queue
                .drain(&mut items, BATCH, Duration::from_millis(250));
            if !items.is_empty() && items.len() < BATCH {
                self.pause(LINGER, || self.queue.len() + items.len() >= BATCH);
                let room = BATCH - items.len();
                self.queue.drain(&mut items, room, Duration::ZERO);
            }
            let collector = self
                .collector
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            if let (Some(collector), false) = (&collector, items.is_empty()) {
                self.export(collector, &items);
            }
            items.clear();
            let is_due = !open || self.clock.now().since(measured) >= METRICS;
            if let Some(collector) = collector.filter(|collector| collector.metrics && is_due) {
                measured = self.clock.now();
                self.measure(&collector);
            }
            if !open {
                return;
            }
        }
    }

    fn export(&self, collector: &Collector, items: &[Item]) {
        let traced = items.iter().filter(|item| item.trace);
        let spans: Vec<_> = traced.flat_map(|item| convert::spans(&item.row)).collect();
        if !spans.is_empty() {
            let count = spans.len();
            let scope_spans = vec![ScopeSpans {
                scope: Some(scope()),
                spans,
            }];
            let resource = Some(collector.resource());
            let resource_spans = vec![ResourceSpans {
                resource,
                scope_spans,
            }];
            let body = TraceExport { resource_spans }.encode_to_vec();
            self.send(collector, "/v1/traces", &body, count);
        }
        let observed = self.clock.unix();
        let logged = items.iter().filter(|item| item.log);
        let log_records: Vec<_> = logged
            .map(|item| convert::log(&item.row, observed))
            .collect();
        if !log_records.is_empty() {
            let count = log_records.len();
            let scope_logs = vec![ScopeLogs {
                scope: Some(scope()),
                log_records,
            }];
            let resource = Some(collector.resource());
            let resource_logs = vec![ResourceLogs {
                resource,
                scope_logs,
            }];
            let body = LogsExport { resource_logs }.encode_to_vec();
            self.send(collector, "/v1/logs", &body, count);
        }
    }

    /// Exports histograms. They are those since the start, so that one which is lost costs nothing.
    fn measure(&self, collector: &Collector) {
        let timings = self.metrics.timings();
        if timings.is_empty() {
            return;
        }
        let metrics = histograms::metrics(&timings, self.metrics.started(), self.clock.unix());
        let scope_metrics = vec![ScopeMetrics {
            scope: Some(scope()),
            metrics,
        }];
        let resource_metrics = vec![ResourceMetrics {
            resource: Some(collector.resource()),
            scope_metrics,
        }];
        let body = MetricsExport { resource_metrics }.encode_to_vec();
        self.send(collector, "/v1/metrics", &body, 0);
    }

    /// Sends one export of `count` entries, trying again where OTLP allows it.
    fn send(&self, collector: &Collector, path: &str, body: &[u8], count: usize) {
        for attempt in 0..TRIES_MAX {
            let last = self.closed.load(Ordering::Acquire);
            let headers = &collector.headers;
            let sent = collector
                .endpoint
                .post(path, headers, body, &self.clock, EXPORT_TIME);
            let asked = match sent {
                Ok(Answer {
                    status: 200..300, ..
                }) => {
                    self.exported.fetch_add(count as u64, Ordering::Relaxed);
                    return;
                }
                Ok(Answer {
                    status: 429 | 502 | 503 | 504,
                    retry_after,
                }) => retry_after,
                Ok(_) => {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Err(_) => None,
            };
            self.failures.fetch_add(1, Ordering::Relaxed);
            if last || attempt + 1 == TRIES_MAX {
                break;
            }
            let jitter = 0.5 + random::fraction() / 2.0;
            let pause = asked
                .unwrap_or(BACKOFF * 2_u32.pow(attempt))
                .mul_f64(jitter);
            self.pause(pause.min(BACKOFF_MAX), || false);
        }
        self.lost.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Waits, but not past the gateway's end nor once `enough`.
    fn pause(&self, time: Duration, enough: impl Fn() -> bool) {
        let mut left = time;
        while !left.is_zero() && !self.closed.load(Ordering::Acquire) && !enough() {
            let step = left.min(TICK);
            std::thread::sleep(step);
            left -= step;
        }
    }
}
