//! What costs more than usual: hours of the ledger, watched by [`gate_ops::spend`], told in words and with
//! what made the difference, and warned of by alerts that page nobody.
//!
//! Once an hour is over its sums are kept in the store, where they outlive the ledger's entries; every
//! gateway learns from the same sums and so suspects the same. The hour that runs is summed up whenever
//! somebody looks. The first look at a store fills in hours that nobody has kept, for a few seconds at a
//! time. Workers and the ledger's own thread do nothing for it.

use crate::config::Secrets;
use gate_api::types::{SpendPart, SpendSuspicion};
use gate_kit::clock::{Clock, Moment};
use gate_kit::order::{Gather, Order};
use gate_model::resources::Resources;
use gate_model::units::Timestamp;
use gate_ops::notify::Alert;
use gate_ops::spend::{COLUMNS, Cell, HOURS, Of, Part, Sums, Suspicion, Watch, narrowed, parts};
use gate_proxy::money::store;
use gate_proxy::process::Process;
use gate_store::ledger::{SpendRow, UsageBy, UsageQuery};
use gate_store::{Store, StoreError};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const HOUR_S: u64 = 3_600;
const HOUR_MS: i64 = 3_600_000;
/// From the end of an hour until all that it cost is in the ledger: what dead gateways left open is
/// charged within a minute.
const SETTLED_S: u64 = 150;
/// How long one look fills in hours.
const PATIENCE: Duration = Duration::from_secs(5);
/// What was found is told again for so long.
const FRESH: Duration = Duration::from_secs(5);
/// Most names of each kind that an hour is kept of, the dearest.
const NAMES_MAX: usize = 200;
/// Suspicions of the past that are told.
const PAST_SHOWN: usize = 20;

/// The ledger's column for each of [`COLUMNS`].
const BY: [UsageBy; COLUMNS.len()] = [
    UsageBy::Team,
    UsageBy::Consumer,
    UsageBy::Key,
    UsageBy::Model,
    UsageBy::Route,
    UsageBy::Tag,
    UsageBy::Revision,
];

/// A suspicion with what made the difference.
type Found = (Suspicion, Vec<Part>);

/// What a process has learnt of its store.
#[derive(Debug, Default)]
struct Spend(Mutex<Looks>);

#[derive(Debug, Default)]
struct Looks {
    learner: Learner,
    /// What was found, and when.
    found: Option<(Moment, Vec<SpendSuspicion>)>,
}

/// Learns hour by hour.
#[derive(Debug, Default)]
pub(crate) struct Learner {
    watch: Watch,
    /// The hour that is learnt next; none before the first look, and while nothing was ever spent.
    next: Option<u64>,
    /// Hours that were kept and are not learnt yet.
    kept: BTreeMap<u64, Sums>,
    /// It learns everything at once, however long that takes.
    is_whole: bool,
    /// What made the difference in hours that are over.
    parts: BTreeMap<(Of, String, u64), Vec<Part>>,
}

/// Suspicions of a process's store, the open ones first; none where there is no store.
///
/// # Errors
/// Why the store does not say.
pub(crate) fn suspicions(
    process: &Process,
    folder: &Path,
) -> Result<Vec<SpendSuspicion>, StoreError> {
    let settings = {
        let snapshot = process.shared().snapshot.load();
        snapshot.resources.gateway.store.clone()
    };
    let Some(settings) = settings else {
        return Ok(Vec::new());
    };
    let spend = process.shared().state.get_or_insert("", Spend::default);
    let mut looks = spend.0.lock().unwrap_or_else(PoisonError::into_inner);
    let clock = &process.shared().clock;
    if let Some((at, found)) = &looks.found
        && clock.now().since(*at) < FRESH
    {
        return Ok(found.clone());
    }
    let mut store = store::open(&settings, &Secrets, folder)?;
    let found = looks.learner.look(&mut *store, clock)?;
    looks.found = Some((clock.now(), found.clone()));
    Ok(found)
}

/// Those that callers who see some teams alone may see.
pub(crate) fn seen(
    mut found: Vec<SpendSuspicion>,
    resources: &Resources,
    teams: &[String],
) -> Vec<SpendSuspicion> {
    let is_of = |team: Option<&String>| team.is_some_and(|team| teams.contains(team));
    found.retain(|one| match &*one.of {
        "team" => is_of(Some(&one.name)),
        "consumer" => {
            let consumer = resources.consumers.get(&one.name);
            is_of(consumer.and_then(|consumer| consumer.team.as_ref()))
        }
        _ => false,
    });
    found
}

/// Alerts for what is suspected, and ends of those that are over; `warned` is what was warned of.
pub(super) fn alerts(
    process: &Process,
    folder: &Path,
    warned: &mut BTreeMap<(String, String), Alert>,
) -> Vec<Alert> {
    match suspicions(process, folder) {
        Ok(found) => warnings(&found, warned),
        Err(error) => {
            tracing::debug!(%error, "what is spent is not compared with what is usual");
            Vec::new()
        }
    }
}

fn warnings(
    found: &[SpendSuspicion],
    warned: &mut BTreeMap<(String, String), Alert>,
) -> Vec<Alert> {
    let mut now = BTreeMap::new();
    for one in found.iter().filter(|one| one.until.is_none()) {
        let labels = [
            ("alertname", "SpendUnusual"),
            ("alert", "suspicion"),
            ("what", "spend"),
            ("of", one.of.as_str()),
            ("name", one.name.as_str()),
            ("severity", "ticket"),
        ];
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let alert = Alert {
            labels: labels.map(own).into_iter().into_map(),
            text: one.text.clone(),
            since_ms: one.since_ms,
            is_on: true,
        };
        now.insert((one.of.clone(), one.name.clone()), alert);
    }
    let over = warned.iter().filter(|(key, _)| !now.contains_key(*key));
    let over = over.map(|(_, alert)| Alert {
        is_on: false,
        ..alert.clone()
    });
    let mut alerts: Vec<Alert> = over.collect();
    alerts.extend(now.values().cloned());
    *warned = now;
    alerts
}

impl Learner {
    /// One that learns everything at its first look, for whoever looks once.
    pub(crate) fn whole() -> Self {
        Self {
            is_whole: true,
            ..Self::default()
        }
    }

    /// Learns hours that are over, and says what is suspected, with the hour that runs; nothing while
    /// there is still something to be learnt.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) fn look(
        &mut self,
        store: &mut dyn Store,
        clock: &Clock,
    ) -> Result<Vec<SpendSuspicion>, StoreError> {
        let now_s = clock.unix().as_secs();
        let ended = now_s.saturating_sub(SETTLED_S) / HOUR_S;
        if !self.learn(store, ended, clock)? {
            return Ok(Vec::new());
        }
        // For a while after the hour two of them run.
        let mut open: BTreeMap<(Of, String), Suspicion> = BTreeMap::new();
        for hour in ended..=now_s / HOUR_S {
            let so_far = sums(store, hour)?;
            for one in self.watch.open(hour, &so_far) {
                let key = (one.of, one.name.clone());
                let known = open.entry(key).or_insert_with(|| one.clone());
                if one.excess() > known.excess() {
                    let since = known.since;
                    *known = Suspicion { since, ..one };
                }
            }
        }
        let past = self.watch.past().take(PAST_SHOWN).cloned();
        let past: Vec<Suspicion> = past.collect();
        let open = self.explained(store, open.into_values(), ended)?;
        let past = self.explained(store, past.into_iter(), ended)?;
        // What is told of no more is forgotten.
        let told: Vec<(Of, String, u64)> =
            open.iter().chain(&past).map(|(one, _)| id(one)).collect();
        if self.parts.len() > 4 * (told.len() + PAST_SHOWN) {
            self.parts.retain(|id, _| told.contains(id));
        }
        let mut found = narrowed(open);
        let mut past = narrowed(past);
        past.order_by_key(|(one, _)| std::cmp::Reverse(one.since));
        found.extend(past);
        Ok(found.into_iter().map(shown).collect())
    }

    /// Learns every hour before `ended` that there is. Whether that is all of them.
    fn learn(
        &mut self,
        store: &mut dyn Store,
        ended: u64,
        clock: &Clock,
    ) -> Result<bool, StoreError> {
        let Some(mut hour) = self.first(store, ended)? else {
            return Ok(false);
        };
        let begun = clock.now();
        while hour < ended {
            let known = match self.kept.remove(&hour) {
                Some(known) => known,
                None => {
                    let found = sums(store, hour)?;
                    store.keep_spend(signed(hour), &rows(hour, &found))?;
                    found
                }
            };
            self.watch.close(hour, &known);
            hour += 1;
            self.next = Some(hour);
            if !self.is_whole && clock.now().since(begun) > PATIENCE {
                return Ok(hour >= ended);
            }
        }
        Ok(true)
    }

    /// The hour that is learnt next; none where nothing was ever spent.
    fn first(&mut self, store: &mut dyn Store, ended: u64) -> Result<Option<u64>, StoreError> {
        if self.next.is_some() {
            return Ok(self.next);
        }
        let least = ended.saturating_sub(HOURS);
        for row in store.spend_hours(signed(least))? {
            let hour = u64::try_from(row.hour).unwrap_or(0);
            let sums = self.kept.entry(hour).or_default();
            let of = Of::EACH.into_iter().find(|of| of.as_str() == row.column);
            if let Some(of) = of {
                sums.insert((of, row.name), dollars(row.cost));
            }
        }
        let first = store.first_entry()?;
        let first = first.and_then(|ms| u64::try_from(ms / HOUR_MS).ok());
        let kept = self.kept.keys().next().copied();
        let first = first.into_iter().chain(kept).min();
        self.next = first.map(|hour| hour.max(least));
        Ok(self.next)
    }

    /// Suspicions with what made the difference.
    fn explained(
        &mut self,
        store: &mut dyn Store,
        all: impl Iterator<Item = Suspicion>,
        ended: u64,
    ) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        for one in all {
            let known = self.parts.get(&id(&one)).cloned();
            let parts = match known {
                Some(parts) => parts,
                None => {
                    let now = cells(store, &one, one.hour, one.hour + 1)?;
                    let before = cells(store, &one, one.hour.saturating_sub(24), one.hour)?;
                    let parts = parts(&one, &now, &before);
                    if one.hour < ended {
                        self.parts.insert(id(&one), parts.clone());
                    }
                    parts
                }
            };
            found.push((one, parts));
        }
        Ok(found)
    }
}

fn id(of: &Suspicion) -> (Of, String, u64) {
    (of.of, of.name.clone(), of.hour)
}

/// A query over some hours.
fn hours(by: &[UsageBy], from: u64, until: u64) -> UsageQuery {
    UsageQuery {
        by: by.to_vec(),
        since_ms: signed(from).saturating_mul(HOUR_MS),
        until_ms: signed(until).saturating_mul(HOUR_MS),
        provider: String::new(),
        only: Vec::new(),
    }
}

/// What an hour cost, by everything that is watched.
fn sums(store: &mut dyn Store, hour: u64) -> Result<Sums, StoreError> {
    let by = [UsageBy::Consumer, UsageBy::Team, UsageBy::Model];
    let mut sums = Sums::from([((Of::All, String::new()), 0.0)]);
    for row in store.usage(&hours(&by, hour, hour + 1))? {
        let usd = dollars(row.cost_picodollars);
        let names = Of::EACH
            .into_iter()
            .zip(row.names)
            .filter(|(_, name)| !name.is_empty());
        for key in names.chain([(Of::All, String::new())]) {
            *sums.entry(key).or_default() += usd;
        }
    }
    Ok(sums)
}

/// The rows that an hour is kept as: of each kind the dearest.
fn rows(hour: u64, sums: &Sums) -> Vec<SpendRow> {
    let mut rows = Vec::new();
    for of in Of::EACH {
        let own = sums.iter().filter(|((kind, _), _)| *kind == of);
        let mut own: Vec<(&str, f64)> = own.map(|((_, name), usd)| (&**name, *usd)).collect();
        own.order_by(|(_, one), (_, other)| other.total_cmp(one));
        own.truncate(NAMES_MAX);
        rows.extend(own.into_iter().map(|(name, usd)| SpendRow {
            hour: signed(hour),
            column: of.as_str().to_owned(),
            name: name.to_owned(),
            #[allow(clippy::cast_possible_truncation, reason = "what an hour cost fits")]
            cost: (usd * 1e12) as i64,
        }));
    }
    rows
}

/// What some hours of a suspicion are made of.
fn cells(
    store: &mut dyn Store,
    of: &Suspicion,
    from: u64,
    until: u64,
) -> Result<Vec<Cell>, StoreError> {
    let mut query = hours(&BY, from, until);
    let column = match of.of {
        Of::Consumer => Some(UsageBy::Consumer),
        Of::Team => Some(UsageBy::Team),
        Of::Model => Some(UsageBy::Model),
        Of::All => None,
    };
    query
        .only
        .extend(column.map(|column| (column, of.name.clone())));
    let cell = |row: gate_store::ledger::UsageRow| {
        let mut names = row.names.into_iter();
        Cell {
            names: std::array::from_fn(|place| {
                let name = names.next().unwrap_or_default();
                // What stands for none of them.
                let is_none = matches!((COLUMNS[place], &*name), ("key", "/") | ("revision", "0"));
                if is_none { String::new() } else { name }
            }),
            usd: dollars(row.cost_picodollars),
        }
    };
    Ok(store.usage(&query)?.into_iter().map(cell).collect())
}

/// A suspicion in the words of the API.
fn shown((one, parts): Found) -> SpendSuspicion {
    let mut text = one.to_string();
    for (index, part) in parts
        .iter()
        .filter(|part| part.column != one.of.as_str())
        .enumerate()
    {
        text += if index == 0 {
            "; of the difference "
        } else {
            ", "
        };
        text += &part.to_string();
    }
    let time = |hour: u64| Timestamp::from_unix_s(hour * HOUR_S).to_string();
    SpendSuspicion {
        of: one.of.as_str().to_owned(),
        name: one.name.clone(),
        since: time(one.since),
        since_ms: one.since * HOUR_S * 1000,
        until: one.until.map(time),
        hour: time(one.hour),
        spent: one.spent,
        expected: one.expected,
        high: one.high,
        text,
        parts: parts
            .into_iter()
            .map(|part| SpendPart {
                column: part.column,
                name: part.name,
                spent: part.spent,
                expected: part.expected,
                share: part.share,
                is_new: part.is_new,
            })
            .collect(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "compared, not settled by")]
fn dollars(picodollars: i64) -> f64 {
    picodollars as f64 / 1e12
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
