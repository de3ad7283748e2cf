//! The cache's settings, and what they become.

use super::disk::Disk;
use super::key::KeyMaker;
use super::store::{LOCKS, Store};
use super::{Cache, Inner, Settings};
use crate::places::HeaderName;
use gate_cache::{Heads, Rules};
use gate_flow::{CacheCounts, CompileContext, Policy, Purges, Sweep};
use gate_kit::order::Order;
use gate_kit::random;
use gate_model::units::{ByteSize, Percent, Period};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Settings of `cache`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Bytes of memory for this route's answers.
    pub memory: ByteSize,
    /// Most bytes of one answer; larger ones pass and are not kept. At most a sixteenth of `memory`.
    pub entry: ByteSize,
    /// Keeps answers on disk as well, where a restart finds them.
    pub disk: Option<CacheDisk>,
    /// Gives each consumer answers of its own; nothing is then shared between two of them.
    pub by_consumer: bool,
    /// Names of request headers that tell answers apart, whatever their Vary says.
    pub by_headers: Vec<String>,
    /// Names of query parameters that make no difference; a `*` at the end stands for anything.
    pub ignore_query: Vec<String>,
    /// How long answers are fresh that say nothing of it, by status (`"404"`) or class (`"5xx"`).
    pub lifetimes: BTreeMap<String, Period>,
    /// Part of the time since its last change for which an answer that says nothing else is fresh
    /// (RFC 9111 section 4.2.2).
    pub heuristic: Percent,
    /// Most that comes of `heuristic`.
    pub heuristic_max: Period,
    /// How long stale answers are given while they are asked for again, where they do not say.
    pub stale_while_revalidate: Period,
    /// How long stale answers are given instead of an error (500, 502, 503, 504), where they do not
    /// say.
    pub stale_if_error: Period,
    /// How long stale answers are given while the target cannot be reached at all, unless they
    /// forbid it (RFC 9111 section 4.2.4).
    pub stale_if_unreachable: Period,
    /// Whether callers decide too.
    pub callers: CacheCallers,
    /// How long a request waits for the answer to the same one that is under way; `0s` asks beside
    /// it.
    pub collapse: Period,
    /// Names of the fields in which answers carry their tags, for purges.
    pub tags: Vec<String>,
}

/// What a caller's Cache-Control and Pragma count for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheCallers {
    /// They are obeyed (RFC 9111 section 5.2.1).
    #[default]
    Obey,
    /// Nothing: no caller can have the target asked.
    Ignore,
}

/// Answers on disk.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheDisk {
    /// A folder of the cache's own, made if it is not there. Answers lie there as they are.
    pub folder: PathBuf,
    /// Bytes of disk.
    #[serde(default = "gibibyte")]
    pub size: ByteSize,
}

fn gibibyte() -> ByteSize {
    ByteSize::from_kibibytes(1024 * 1024)
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            memory: ByteSize::from_kibibytes(64 * 1024),
            entry: ByteSize::from_kibibytes(1024),
            disk: None,
            by_consumer: false,
            by_headers: Vec::new(),
            ignore_query: Vec::new(),
            lifetimes: BTreeMap::new(),
            heuristic: Percent::from_percents(10),
            heuristic_max: Period::from_seconds(86_400),
            stale_while_revalidate: Period::ZERO,
            stale_if_error: Period::ZERO,
            stale_if_unreachable: Period::from_seconds(600),
            callers: CacheCallers::default(),
            collapse: Period::from_seconds(10),
            tags: vec!["cache-tag".into(), "surrogate-key".into()],
        }
    }
}

type Wrong = (Option<&'static str>, String);

/// Where a policy's store lies between snapshots; opening one may fail, which state cannot.
#[derive(Default)]
struct Place(Mutex<Weak<Store>>);

/// Makes the policy.
pub(super) fn compile(
    config: CacheConfig,
    context: &CompileContext<'_>,
) -> Result<Arc<dyn Policy>, Wrong> {
    if config.entry.len() > config.memory.len() / LOCKS {
        let message = format!("an entry may be at most 1/{LOCKS} of `memory`");
        return Err((Some("entry"), message));
    }
    let rules = Rules {
        heuristic: config.heuristic.fraction(),
        heuristic_max: seconds(config.heuristic_max),
        lifetimes: lifetimes(&config.lifetimes).map_err(|wrong| (Some("lifetimes"), wrong))?,
        disconnected: seconds(config.stale_if_unreachable),
        while_revalidate: seconds(config.stale_while_revalidate),
        if_error: seconds(config.stale_if_error),
    };
    let settings = Settings {
        rules,
        entry: config.entry.len(),
        by_consumer: config.by_consumer,
        by_headers: names(&config.by_headers).map_err(|wrong| (Some("by_headers"), wrong))?,
        tags: names(&config.tags).map_err(|wrong| (Some("tags"), wrong))?,
        ignore_query: config.ignore_query.clone(),
        obeys_callers: config.callers == CacheCallers::Obey,
        collapse: config.collapse.duration(),
    };
    let store = store(&config, context).map_err(|wrong| (Some("disk"), wrong))?;
    Ok(Arc::new(Cache(Arc::new(Inner {
        settings,
        store,
        position: context.position,
    }))))
}

/// The store of this place on its route, as long as its bounds stay; another one once what is kept
/// would have another key.
fn store(config: &CacheConfig, context: &CompileContext<'_>) -> Result<Arc<Store>, String> {
    let disk = config.disk.as_ref();
    let written = disk.map(|disk| (context.resolve(&disk.folder), disk.size.len()));
    let what = (config.by_consumer, &config.by_headers, &config.ignore_query);
    let name = context.identity("cache");
    let identity = format!("{name}/{}/{written:?}/{what:?}", config.memory.len());
    let place = context.state.get_or_insert(&identity, Place::default);
    let mut place = place.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(store) = place.upgrade() {
        return Ok(store);
    }
    let counts = context.state.get_or_insert(&name, CacheCounts::default);
    let (disk, secret) = match written {
        None => {
            let secret = random::secret().map_err(|error| error.to_string())?;
            (None, secret)
        }
        Some((folder, bytes)) => {
            // What is kept under other keys is no use to this one.
            let folder = folder.join(folder_name(&name, &what));
            let opened = Disk::open(&folder, bytes, counts.clone());
            let (disk, secret) =
                opened.map_err(|error| format!("`{}`: {error}", folder.display()))?;
            (Some(disk), secret)
        }
    };
    let purges = context.state.get_or_insert("", Purges::default);
    let keys = KeyMaker::new(&secret);
    let store = Store::new(
        config.memory.len(),
        disk,
        keys,
        context.state.get_or_insert("", Heads::default),
        purges.clone(),
        counts,
        context.route,
    );
    let store = Arc::new(store);
    let sweeper: Arc<dyn Sweep> = store.clone();
    purges.join(Arc::downgrade(&sweeper));
    *place = Arc::downgrade(&store);
    Ok(store)
}

/// The folder of one place on a route with one form of keys.
fn folder_name(name: &str, what: &impl std::fmt::Debug) -> String {
    let written = format!("{name} {what:?}");
    format!("{:016x}", KeyMaker::checksum(&[written.as_bytes()]))
}

fn seconds(period: Period) -> u32 {
    u32::try_from(period.duration().as_secs()).unwrap_or(u32::MAX)
}

fn names(written: &[String]) -> Result<Vec<HeaderName>, String> {
    written.iter().map(|name| HeaderName::parse(name)).collect()
}

/// Statuses in front of classes, so that the nearer rule is found first.
fn lifetimes(
    written: &BTreeMap<String, Period>,
) -> Result<Vec<(RangeInclusive<u16>, u32)>, String> {
    let mut rules = Vec::new();
    for (statuses, period) in written {
        let rule = range(statuses)
            .ok_or_else(|| format!("`{statuses}` is neither a status nor a class such as `5xx`"))?;
        rules.push((rule, seconds(*period)));
    }
    rules.order_by_key(|(range, _)| range.end() - range.start());
    Ok(rules)
}

fn range(statuses: &str) -> Option<RangeInclusive<u16>> {
    if let Some(class) = statuses.strip_suffix("xx") {
        let first: u16 = class.parse().ok().filter(|class| (2..=5).contains(class))?;
        return Some(first * 100..=first * 100 + 99);
    }
    let status: u16 = statuses.parse().ok()?;
    (200..600).contains(&status).then_some(status..=status)
}
