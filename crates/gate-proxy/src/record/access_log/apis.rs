//! Of a row: the API and version that it was for, and where its messages broke their contract.

use super::format::{list, number, object, optional, text};
use gate_flow::{ContractFacts, Record};

/// Writes what there is.
pub(super) fn write(to: &mut Vec<u8>, record: &Record) {
    if let Some(facts) = &record.api {
        object(to, "api", |to| {
            text(to, "name", &facts.api);
            optional(to, "version", facts.version.as_deref().unwrap_or_default());
            if facts.refused {
                to.extend_from_slice(b",\"refused\":true");
            }
        });
    }
    if let Some(facts) = &record.contract {
        contract(to, facts);
    }
}

/// Where messages broke their contract.
fn contract(to: &mut Vec<u8>, facts: &ContractFacts) {
    object(to, "contract", |to| {
        text(to, "api", &facts.api);
        text(to, "operation", &facts.operation);
        list(to, "broken", &facts.broken, |to, one| {
            text(to, "side", one.side);
            text(to, "in", one.place);
            optional(to, "name", &one.name);
            text(to, "pointer", &one.pointer);
            text(to, "detail", &one.detail);
        });
        if facts.more > 0 {
            number(to, "more", facts.more.into());
        }
    });
}
