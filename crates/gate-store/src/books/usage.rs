//! How often consumers called APIs, as far as the store knew a few seconds ago.
//!
//! The writer reads it, and whoever shows it (the developer portal) looks it up without a trip to the
//! store.

use crate::ledger::UsedApi;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How far back calls count, in days, today not counted.
pub const SPAN_DAYS: i64 = 30;

type Table = HashMap<(Arc<str>, Arc<str>), UsedApi>;

/// Calls by API and consumer, over every process of the store.
#[derive(Debug, Default)]
pub struct Usage(Mutex<Option<Table>>);

impl Usage {
    /// How often a consumer called an API in the last [`SPAN_DAYS`] days; none where the store has
    /// not been read yet, and zeros where it knows of no call.
    #[must_use]
    pub fn of(&self, api: &str, consumer: &str) -> Option<UsedApi> {
        let (api, consumer): (Arc<str>, Arc<str>) = (api.into(), consumer.into());
        let table = self.lock();
        let found = table.as_ref()?.get(&(api.clone(), consumer.clone()));
        Some(found.cloned().unwrap_or(UsedApi {
            api,
            consumer,
            calls: 0,
            failed: 0,
            last_ms: 0,
        }))
    }

    pub(super) fn replace(&self, rows: Vec<UsedApi>) {
        let keyed = |row: UsedApi| ((row.api.clone(), row.consumer.clone()), row);
        let table: Table = rows.into_iter().map(keyed).collect();
        *self.lock() = Some(table);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Table>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
