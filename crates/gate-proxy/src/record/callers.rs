//! Who calls which version of which API.
//!
//! Counts by day, API, version, consumer and route, in memory for two days and in the store, where
//! there is one, for as long as the ledger is kept. Only exchanges for an API come here; the version is
//! empty where none was chosen. Bounded: what does not fit is counted under the consumer `_other`.

use gate_flow::Record;
use gate_model::fault::FaultSource;
use gate_store::ledger::CallerRow;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most rows of one day that are counted apart.
const ROWS_MAX: usize = 20_000;
/// The consumer that holds what did not fit.
const OTHER: &str = "_other";
const DAY_S: u64 = 86_400;

/// Counts of the process.
#[derive(Default)]
pub(super) struct Callers(Mutex<Table>);

#[derive(Default)]
struct Table {
    rows: FxHashMap<Key, Counts>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    day: i64,
    api: Arc<str>,
    version: Arc<str>,
    consumer: Arc<str>,
    route: Arc<str>,
}

#[derive(Default)]
struct Counts {
    calls: i64,
    failed: i64,
    refused: i64,
    last_ms: i64,
    /// Whether it has grown since it was taken to be written.
    is_new: bool,
}

impl Callers {
    /// Counts an exchange for which a version was chosen, or refused.
    pub(super) fn add(&self, record: &Record) {
        let Some(facts) = record.api.as_deref() else {
            return;
        };
        let name = |name: Option<&Arc<str>>| name.cloned().unwrap_or_default();
        let mut key = Key {
            day: i64::try_from(record.started_unix.as_secs() / DAY_S).unwrap_or(0),
            api: facts.api.clone(),
            version: name(facts.version.as_ref()),
            consumer: name(record.consumer.as_ref()),
            route: name(record.route.as_ref()),
        };
        let others = record
            .fault
            .is_some_and(|code| code.source() != FaultSource::Client);
        let failed = !facts.refused && (record.status >= 500 || others);
        let ended = record.started_unix + record.duration;
        let mut table = self.lock();
        if table.rows.len() >= ROWS_MAX && !table.rows.contains_key(&key) {
            let day = key.day;
            // What is older is in the store, or lost with its day.
            table.rows.retain(|known, _| known.day >= day);
            if table.rows.len() >= ROWS_MAX {
                key.consumer = OTHER.into();
            }
        }
        let counts = table.rows.entry(key).or_default();
        counts.calls += 1;
        counts.failed += i64::from(failed);
        counts.refused += i64::from(facts.refused);
        counts.last_ms = counts
            .last_ms
            .max(i64::try_from(ended.as_millis()).unwrap_or(i64::MAX));
        counts.is_new = true;
    }

    /// What has grown since this was asked last; days before the last two are forgotten.
    pub(super) fn take_new(&self) -> Vec<CallerRow> {
        let mut table = self.lock();
        let mut new = Vec::new();
        let mut latest = 0;
        for (key, counts) in &mut table.rows {
            latest = latest.max(key.day);
            if std::mem::take(&mut counts.is_new) {
                new.push(row(key, counts));
            }
        }
        table.rows.retain(|key, _| key.day + 1 >= latest);
        new
    }

    /// Everything that is in memory.
    pub(super) fn all(&self) -> Vec<CallerRow> {
        let table = self.lock();
        table
            .rows
            .iter()
            .map(|(key, counts)| row(key, counts))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn row(key: &Key, counts: &Counts) -> CallerRow {
    CallerRow {
        day: key.day,
        api: key.api.clone(),
        version: key.version.clone(),
        consumer: key.consumer.clone(),
        route: key.route.clone(),
        calls: counts.calls,
        failed: counts.failed,
        refused: counts.refused,
        last_ms: counts.last_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_flow::ApiFacts;
    use gate_model::fault::FaultCode;
    use std::time::Duration;

    fn record(consumer: &str, day: u64, status: u16, refused: bool) -> Record {
        Record {
            started_unix: Duration::from_secs(day * DAY_S + 5),
            consumer: Some(consumer.into()),
            route: Some("r".into()),
            status,
            fault: refused.then_some(FaultCode::ApiVersionPaused),
            api: Some(Box::new(ApiFacts {
                api: "orders".into(),
                version: Some("1.0.0".into()),
                refused,
            })),
            ..Record::default()
        }
    }

    #[test]
    fn calls_are_counted_by_day_and_consumer_and_written_once_they_grow() {
        let callers = Callers::default();
        callers.add(&Record::default());
        for (status, refused) in [(200, false), (502, false), (503, true)] {
            callers.add(&record("shop", 10, status, refused));
        }
        callers.add(&record("app", 11, 404, false));
        let mut rows = callers.take_new();
        rows.sort_by_key(|row| row.day);
        let shown: Vec<_> = rows
            .iter()
            .map(|row| (row.day, &*row.consumer, row.calls, row.failed, row.refused))
            .collect();
        assert_eq!(shown, [(10, "shop", 3, 1, 1), (11, "app", 1, 0, 0)]);
        assert_eq!(rows[0].last_ms, (10 * 86_400 + 5) * 1000);
        assert_eq!(callers.take_new(), []);
        callers.add(&record("app", 12, 200, false));
        assert_eq!(callers.take_new().len(), 1);
        let days: Vec<_> = callers.all().iter().map(|row| row.day).collect();
        assert!(!days.contains(&10) && days.len() == 2, "{days:?}");
    }

    #[test]
    fn what_does_not_fit_is_counted_together() {
        let callers = Callers::default();
        for number in 0..ROWS_MAX + 5 {
            callers.add(&record(&number.to_string(), 10, 200, false));
        }
        let rows = callers.all();
        assert_eq!(rows.len(), ROWS_MAX + 1);
        let other = rows
            .iter()
            .find(|row| &*row.consumer == OTHER)
            .expect("others");
        assert_eq!(other.calls, 5);
    }
}
