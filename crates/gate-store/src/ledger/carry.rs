//! What the journal carries of the ledger: the entries of a commit, in the same transaction, as one
//! event for each consumer, because a payload is destroyed with its consumer's key. An event for each
//! entry would cost the hot groups several times as much. Behind them stand thresholds of budgets that
//! these entries crossed.

use super::group::Group;
use super::write_charges;
use crate::StoreError;
use crate::database::Database;
use crate::journal::{NewEvent, own};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An event that is longer is closed, and the consumer's next entry begins another.
const BYTES: usize = 256 << 10;

/// Entries of one transaction on their way to the journal.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// By consumer, as the inside of a JSON list.
    open: BTreeMap<Arc<str>, Vec<u8>>,
    full: Vec<(Arc<str>, Vec<u8>)>,
    told: Vec<NewEvent>,
}

/// An entry, named as its columns are.
#[derive(Serialize)]
struct Said<'a> {
    kind: &'a str,
    exchange: String,
    at_ms: i64,
    key_id: &'a str,
    team: &'a str,
    route: &'a str,
    model: &'a str,
    provider: &'a str,
    provider_model: &'a str,
    tag: &'a str,
    revision: u64,
    outcome: &'a str,
    input_tokens: i64,
    output_tokens: i64,
    cached_tokens: i64,
    written_tokens: i64,
    reasoning_tokens: i64,
    estimated: i64,
    cost: Option<i64>,
    charges: String,
    calls: i64,
}

impl Carried {
    /// Takes an entry that was written.
    pub(super) fn add(&mut self, group: &Group<'_>, kind: &str) {
        let (first, tokens) = (group.first(), &group.sum.tokens);
        let facts = &first.facts;
        let said = Said {
            kind,
            exchange: first.exchange.to_string(),
            at_ms: first.at_ms,
            key_id: &facts.key,
            team: &facts.team,
            route: &facts.route,
            model: &facts.model,
            provider: &facts.provider,
            provider_model: &facts.provider_model,
            tag: &facts.tag,
            revision: facts.revision,
            outcome: first.outcome,
            input_tokens: tokens.input,
            output_tokens: tokens.output,
            cached_tokens: tokens.cached,
            written_tokens: tokens.written,
            reasoning_tokens: tokens.reasoning,
            estimated: group.sum.estimated,
            cost: group.sum.cost.map(|money| money.picodollars()),
            charges: write_charges(&group.sum.charges),
            calls: group.sum.calls,
        };
        let list = self.open.entry(facts.consumer.clone()).or_default();
        list.push(if list.is_empty() { b'[' } else { b',' });
        // Texts and numbers are JSON, and writing to memory does not fail.
        let _ = serde_json::to_writer(&mut *list, &said);
        if list.len() >= BYTES {
            let list = std::mem::take(list);
            self.full.push((facts.consumer.clone(), list));
        }
    }

    /// Takes an event whose key is new, as whoever makes it has seen in this transaction.
    pub(super) fn tell(&mut self, event: NewEvent) {
        self.told.push(event);
    }

    /// Appends what was taken. `instance` and `number` make the keys, which no other process has.
    pub(super) fn append<D: Database>(
        self,
        database: &mut D,
        now_ms: i64,
        instance: &str,
        number: &mut u64,
    ) -> Result<(), StoreError> {
        let open = self.open.into_iter().filter(|(_, list)| !list.is_empty());
        let events: Vec<NewEvent> = self
            .full
            .into_iter()
            .chain(open)
            .map(|(consumer, mut list)| {
                list.push(b']');
                *number += 1;
                let which = format_args!("{instance}/{number:012}");
                NewEvent {
                    payload: list.into(),
                    ..own::event(own::LEDGER, which, &consumer, &())
                }
            })
            .chain(self.told)
            .collect();
        own::append(database, now_ms, &events)
    }
}
