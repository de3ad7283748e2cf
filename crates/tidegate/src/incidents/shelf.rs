//! Where incidents are kept: in the store, or in this process's memory where it has none.

use crate::follow::OpenStore;
use gate_ops::incident::OPEN_MAX;
use gate_store::Database;
use gate_store::control::{ControlError, ControlStore, IncidentQuery, IncidentRow, SqlControl};
use gate_store::sqlite::Sqlite;
use std::sync::{Mutex, PoisonError};

/// The incidents of an environment. The loop and the admin API share one connection; neither holds it
/// for longer than a question.
pub(crate) struct Shelf {
    /// The environment; `file` for a gateway that follows none.
    pub environment: String,
    open: Option<OpenStore>,
    store: Mutex<Option<Box<dyn ControlStore>>>,
}

impl Shelf {
    pub(crate) fn new(environment: &str, open: Option<OpenStore>) -> Self {
        Self {
            environment: environment.to_owned(),
            open,
            store: Mutex::default(),
        }
    }

    /// Whether incidents outlive this process.
    pub(crate) fn is_durable(&self) -> bool {
        self.open.is_some()
    }

    /// Whether there is nothing to lead: nothing was kept in memory yet.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.is_durable() && self.lock().is_none()
    }

    /// The incidents that are open, by id.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) fn open_ids(&self) -> Result<Vec<String>, ControlError> {
        let query = IncidentQuery {
            environment: &self.environment,
            on_desk: true,
            limit: OPEN_MAX * 2,
            ..IncidentQuery::default()
        };
        let rows = self.ask(|store| store.incidents(&query))?;
        let is_open =
            |row: &IncidentRow| matches!(&*row.life, "detected" | "triaged" | "mitigated");
        Ok(rows.into_iter().filter(is_open).map(|row| row.id).collect())
    }

    /// Asks the store, which is opened where that is needed.
    ///
    /// # Errors
    /// What the store says; a connection that failed is opened anew the next time.
    pub(crate) fn ask<T>(
        &self,
        question: impl FnOnce(&mut dyn ControlStore) -> Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        let mut place = self.lock();
        let mut store = match (place.take(), &self.open) {
            (Some(store), _) => store,
            (None, Some(open)) => open()?,
            (None, None) => {
                let database: Box<dyn Database> = Box::new(Sqlite::in_memory()?);
                Box::new(SqlControl::open(database)?)
            }
        };
        let answer = question(&mut *store);
        let has_failed = matches!(&answer, Err(ControlError::Store(_)));
        // What is in memory ends with its connection.
        if !has_failed || !self.is_durable() {
            *place = Some(store);
        }
        answer
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Box<dyn ControlStore>>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
