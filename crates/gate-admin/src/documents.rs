//! Revisions' contents, parsed once: lists of resources are read page by page.

use gate_api::document::{Document, Managed};
use gate_api::problem::{Code, Problem};
use gate_store::control::{ControlStore, RevisionRow};
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, PoisonError};

use crate::reply::refused;

/// Contents that are kept.
const KEPT: usize = 4;

/// The contents read last, by the digests of document and managers.
#[derive(Default)]
pub(crate) struct Documents {
    kept: Mutex<Vec<(String, String, Arc<Managed>)>>,
}

impl Documents {
    /// What a revision holds.
    pub(crate) fn of(
        &self,
        store: &mut dyn ControlStore,
        row: &RevisionRow,
    ) -> Result<Arc<Managed>, Problem> {
        let same = |(digest, managers, _): &(String, String, Arc<Managed>)| {
            *digest == row.digest && *managers == row.managers
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = kept.iter().position(same) {
            let entry = kept.remove(position);
            let content = entry.2.clone();
            kept.push(entry);
            return Ok(content);
        }
        drop(kept);
        let content = Arc::new(Managed {
            document: read(store, &row.digest)?,
            managers: read(store, &row.managers)?,
        });
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((row.digest.clone(), row.managers.clone(), content.clone()));
        Ok(content)
    }
}

fn read<T: DeserializeOwned + Default>(
    store: &mut dyn ControlStore,
    digest: &str,
) -> Result<T, Problem> {
    let broken = |what: &str| Problem::new(Code::Internal, format!("document {digest}: {what}"));
    let text = store.document(digest).map_err(refused)?;
    let text = text.ok_or_else(|| broken("it is not in the store"))?;
    serde_json::from_str(&text).map_err(|_| broken("it is no document"))
}

/// The content of nothing.
pub(crate) fn empty() -> Arc<Managed> {
    Arc::new(Managed {
        document: Document::default(),
        ..Managed::default()
    })
}
