//! `tidegate secrets rewrap`: data keys are wrapped under another key, a hundred at a time.
//!
//! Gateways go on meanwhile: they have both keys then. One that is cut off goes on where it was.

use super::{audit, keys, now_ms, open_store};
use crate::output;
use gate_model::resources::Store as Settings;
use gate_store::control::NewAudit;
use std::path::Path;

/// Data keys of a kind that are wrapped anew in one transaction.
const BATCH: usize = 100;

/// Wraps all data keys under the first key.
pub(super) fn rewrap(settings: &Settings, folder: &Path) -> Result<(), String> {
    let ring = keys::now(settings, folder)?;
    let mut store = open_store(settings, folder)?;
    let (to, mut all) = (ring.current(), 0);
    loop {
        let done = store.rewrap(to, BATCH, &mut |key| ring.rewrap(key));
        let done = done.map_err(|error| match all {
            0 => error.to_string(),
            _ => format!("{error}; {all} data keys were wrapped before that, and stay so"),
        })?;
        if done == 0 {
            break;
        }
        all += done;
        output::tell(&format!("{all} data keys are wrapped under {to} so far"));
    }
    if all > 0 {
        let (subject, detail) = (format!("keys/{to}"), format!("{all} data keys"));
        let line = NewAudit {
            detail: &detail,
            ..audit("secret.rewrap", &subject)
        };
        let written = store.audit(&line, now_ms());
        written.map_err(|error| error.to_string())?;
    }
    output::print(&format!(
        "every data key is wrapped under {to}; no other key of the store is needed any more\n"
    ))
}
