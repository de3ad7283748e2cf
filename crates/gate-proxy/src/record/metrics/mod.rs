//! Counts what finished exchanges did, for Prometheus and everything that reads its formats.
//!
//! [`Metrics::observe`] runs once per exchange on its worker: it takes that worker's own lock,
//! which only a scrape contends for, and adds to rows it finds by name. Read [`series`] for what
//! is counted, [`render_traffic`] and its neighbours for how it is
//! named, [`exposition`] for the formats.

mod access;
pub mod cache;
pub mod certificates;
#[cfg(test)]
pub(in crate::record) mod checker;
mod contact;
pub mod contract;
mod detours;
mod exposition;
mod gauges;
mod histogram;
pub mod jobs;
pub mod journal;
pub mod notices;
mod process;
pub mod products;
mod protobuf;
mod render;
mod render_models;
mod render_traffic;
mod rpc;
mod series;
pub mod subscribers;
mod table;
#[cfg(test)]
mod tests;
mod timings;

pub use contact::Contact;
pub use exposition::{Exposition, Format, Kind};
pub use gauges::{Gauge, Gauges};
pub use jobs::{BatchCounts, JobCounts};
pub use notices::NoticeCounts;
pub use subscribers::{SubscriberCounts, SubscriberFigures};
pub use timings::{Subject, Timing};

use gate_flow::Record;
use gate_kit::clock::Clock;
use gate_kit::counter::{SHARDS, shard};
use gate_kit::durations::Durations;
use gate_kit::http::{Method, Version};
use series::{NAMES_MAX, Shard};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Every counter, histogram and gauge of the process. Nothing in it is ever dropped or reset.
pub struct Metrics {
    shards: [Slot; SHARDS],
    gauges: Arc<Gauges>,
    config: Mutex<ConfigFacts>,
    contact: Contact,
    clock: Clock,
    started_unix: Duration,
}

/// A worker's counts on cache lines of their own.
#[derive(Default)]
#[repr(align(64))]
struct Slot(Mutex<Shard>);

/// What is known about the configuration in force.
#[derive(Debug, Clone, Default)]
struct ConfigFacts {
    revision: u64,
    digest: String,
    applied_unix: Duration,
    reloads_ok: u64,
    reloads_failed: u64,
}

/// Counts of the readers beside metrics, taken at a scrape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SinkCounts {
    /// Recent records that were kept.
    pub records_kept: u64,
    /// Recent records lost: the queue was full, or the disk failed.
    pub records_dropped: u64,
    /// Access log rows written.
    pub log_rows: u64,
    /// Access log rows lost: the queue was full, or the sink failed.
    pub log_dropped: u64,
    /// Spans and OTLP log rows that a collector accepted.
    pub otlp_exported: u64,
    /// Spans and OTLP log rows lost: the queue was full, or the collector failed.
    pub otlp_dropped: u64,
    /// Exports that failed, retries included.
    pub otlp_failures: u64,
    /// What has become of rows of the lake.
    pub lake: super::lake::LakeCounts,
}

impl Metrics {
    /// No counts yet; the process counts as started now.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            shards: std::array::from_fn(|_| Slot::default()),
            gauges: Arc::default(),
            config: Mutex::default(),
            contact: Contact::default(),
            started_unix: clock.unix(),
            clock,
        }
    }

    /// The gauges, for whoever opens and closes things.
    #[must_use]
    pub fn gauges(&self) -> &Arc<Gauges> {
        &self.gauges
    }

    /// When the store of a followed environment answered, for whoever follows.
    #[must_use]
    pub fn contact(&self) -> &Contact {
        &self.contact
    }

    /// Counts one finished exchange. Takes this worker's lock for well under a microsecond and
    /// allocates only when a route, upstream, model or status is new.
    pub fn observe(&self, record: &Record, method: &Method, version: Version) {
        let slot = &self.shards[shard()].0;
        slot.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .observe(record, method, version);
    }

    /// Counts what an exchange that is nobody's request consumed of models.
    pub fn observe_models(&self, record: &Record) {
        if let Some(ai) = &record.ai {
            let slot = &self.shards[shard()].0;
            slot.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .observe_ai(record, ai);
        }
    }

    /// Notes the configuration in force. The first is no reload; later ones count as successful
    /// reloads.
    pub fn config_applied(&self, revision: u64, digest: &str) {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        config.reloads_ok += u64::from(!config.digest.is_empty());
        config.revision = revision;
        config.digest = digest.to_owned();
        config.applied_unix = self.clock.unix();
    }

    /// Counts a reload that changed nothing because its document was refused.
    pub fn config_refused(&self) {
        self.config
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .reloads_failed += 1;
    }

    /// Exchanges that were finished since the process began, by route, for the first so many by name.
    #[must_use]
    pub fn exchanges(&self, most: usize) -> Vec<(String, u64)> {
        let sum = self.sum();
        let rows = sum.routes.sorted().into_iter();
        // What begins so stands for no route.
        let named = rows.filter(|(name, _)| !name.starts_with('_'));
        let count = |(name, series): (&str, &series::RouteSeries)| {
            (name.to_owned(), series.duration.count())
        };
        named.map(count).take(most).collect()
    }

    fn sum(&self) -> Shard {
        let mut sum = Shard::with_room(NAMES_MAX * SHARDS);
        for slot in &self.shards {
            sum.absorb(&slot.0.lock().unwrap_or_else(PoisonError::into_inner));
        }
        sum
    }

    /// When the counts began, as UNIX time.
    #[must_use]
    pub const fn started(&self) -> Duration {
        self.started_unix
    }

    /// Durations by route and first tokens by model, as they are now.
    #[must_use]
    pub fn timings(&self) -> Vec<Timing> {
        timings::of(&self.sum())
    }

    /// The durations of one subject, as they are now: one look at the row of each worker, or at all of
    /// them where the subject is every route or every model.
    #[must_use]
    pub fn durations(&self, of: &Subject) -> Durations {
        let mut sum = Durations::default();
        for slot in &self.shards {
            let shard = slot.0.lock().unwrap_or_else(PoisonError::into_inner);
            timings::add(&mut sum, &shard, of);
        }
        sum
    }

    /// Writes the whole page. `more` adds families of others (health, pools, policies).
    ///
    /// Takes up to milliseconds and reads files: never call it on a worker.
    #[must_use]
    pub fn page(
        &self,
        format: Format,
        sinks: &SinkCounts,
        more: impl FnOnce(&mut Exposition),
    ) -> Vec<u8> {
        let sum = self.sum();
        let mut page = Exposition::new(format);
        render_traffic::requests(&mut page, &sum);
        access::routes(&mut page, &sum);
        cache::routes(&mut page, &sum);
        render_traffic::upstreams(&mut page, &sum);
        render_models::models(&mut page, &sum);
        render_models::detours(&mut page, &sum);
        rpc::render(&mut page, &sum.servers);
        render::gauges(&mut page, &self.gauges);
        let config = self
            .config
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        render::config(&mut page, &config);
        self.contact.page(&mut page, self.clock.unix());
        render::sinks(&mut page, sinks, &sum);
        more(&mut page);
        process::write(&mut page, self.started_unix.as_secs_f64());
        page.finish()
    }
}
