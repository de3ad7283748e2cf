//! Counts of contracts: by API and operation, what came of holding messages against them.

use super::exposition::{Exposition, Kind};
use gate_flow::ContractCounts;
use std::sync::Arc;

/// The families of contracts; nothing without one. Operations are named `API/OPERATION`.
pub fn page(page: &mut Exposition, contracts: &[(String, Arc<ContractCounts>)]) {
    if contracts.is_empty() {
        return;
    }
    let help = "Messages that were held against an API's contract, by side and by what came of it.";
    page.family("tidegate_contract_messages", Kind::Counter, "", help);
    for (name, counts) in contracts {
        let (api, operation) = name.split_once('/').unwrap_or((name, ""));
        let sums = [
            ("request", "kept", counts.requests_kept.sum()),
            ("request", "broken", counts.requests_broken.sum()),
            ("request", "unread", counts.requests_unread.sum()),
            ("response", "kept", counts.answers_kept.sum()),
            ("response", "broken", counts.answers_broken.sum()),
            ("response", "unread", counts.answers_unread.sum()),
        ];
        for (side, outcome, count) in sums.into_iter().filter(|(.., count)| *count > 0) {
            let labels = [
                ("api", api),
                ("operation", operation),
                ("side", side),
                ("outcome", outcome),
            ];
            page.sample(&labels, count);
        }
    }
}

/// Writes every family once: what the reference shows.
pub fn example(to: &mut Exposition) {
    let counts = ContractCounts::default();
    counts.requests_kept.add(1);
    page(to, &[("orders/getOrder".into(), Arc::new(counts))]);
}
