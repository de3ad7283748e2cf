//! Past incidents that were alike: by what they were about and where they were.

use super::Incident;
use crate::attribution::Conjunction;
use gate_kit::order::Order;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is kept of an incident to compare it with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Its name.
    pub id: String,
    /// What it had: `objective=...`, `route=...`, and values of the cell. Revisions do not count,
    /// because no two incidents share one.
    pub traits: BTreeSet<String>,
}

/// One that was alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Similar {
    /// Its name.
    pub id: String,
    /// What both had, of what either had; from 0 to 1.
    pub share: f64,
    /// What both had.
    pub common: Vec<String>,
}

impl Past {
    /// Of an incident.
    #[must_use]
    pub fn of(incident: &Incident) -> Past {
        let mut traits = BTreeSet::new();
        traits.extend(
            incident
                .objectives
                .iter()
                .map(|name| format!("objective={name}")),
        );
        traits.extend(incident.routes.iter().map(|name| format!("route={name}")));
        let values = |cause: &Conjunction| -> Vec<String> {
            let kept = cause
                .iter()
                .filter(|(key, _)| !["revision", "arm"].contains(&key.as_str()));
            kept.map(|(key, value)| format!("{key}={value}")).collect()
        };
        traits.extend(incident.cell.iter().flat_map(values));
        Past {
            id: incident.id.clone(),
            traits,
        }
    }
}

/// At most `most` past incidents that have something in common, the most alike first; of equals those
/// that stand later in `past`.
#[must_use]
pub fn similar(incident: &Incident, past: &[Past], most: usize) -> Vec<Similar> {
    let own = Past::of(incident);
    let mut found: Vec<Similar> = past
        .iter()
        .rev()
        .filter(|one| one.id != own.id)
        .filter_map(|one| {
            let common: Vec<String> = own.traits.intersection(&one.traits).cloned().collect();
            let all = own.traits.union(&one.traits).count();
            (!common.is_empty()).then(|| Similar {
                id: one.id.clone(),
                share: common.len() as f64 / all as f64,
                common,
            })
        })
        .collect();
    found.order_by(|a, b| b.share.total_cmp(&a.share));
    found.truncate(most);
    found
}
