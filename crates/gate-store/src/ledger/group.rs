//! Calls that are written as one row: those of one commit that differ in nothing a reader asks for.
//!
//! A busy gateway ends thousands of calls a second, and a row for each would cost more than the
//! call. Most are summed as they end already, by the addresses of what they share; here by what it
//! says. Calls of one second with the same facts, outcome and budgets are summed; nothing is lost
//! that [`super::usage`] or a budget reads. A group has the id of its first call. Grouping depends
//! on nothing but the entries and their order, so that a commit that is repeated writes the same
//! groups, whose ids are taken if the first attempt took effect.

use super::{BATCH, Entry, Facts};
use std::collections::HashMap;
use std::sync::Arc;

/// Calls that are one row.
pub(super) struct Group<'e> {
    pub(super) entries: Vec<&'e Entry>,
    pub(super) sum: Entry,
}

/// What calls of one group have in common.
#[derive(PartialEq, Eq, Hash)]
struct Kind<'e> {
    facts: &'e Facts,
    outcome: &'static str,
    unix_s: i64,
    is_priced: bool,
    budgets: Vec<(&'e Arc<str>, i64)>,
}

impl<'e> Group<'e> {
    /// One entry.
    pub(super) fn of(entry: &'e Entry) -> Self {
        Self {
            entries: vec![entry],
            sum: Entry {
                held: Vec::new(),
                ..entry.clone()
            },
        }
    }

    /// Facts, outcome and id, which are those of the first call.
    pub(super) fn first(&self) -> &'e Entry {
        self.entries[0]
    }

    fn add(&mut self, entry: &'e Entry) {
        self.entries.push(entry);
        let charged = entry.charges.iter().map(|charge| charge.amount);
        let (estimated, calls) = (entry.estimated, entry.calls);
        self.sum
            .add(&entry.tokens, estimated, entry.cost, calls, charged);
    }
}

/// Whether it has an id that others may use as well, under which it has to be found.
fn is_single(entry: &Entry) -> bool {
    entry.outcome == BATCH || entry.exchange.is_item()
}

/// What [`Kind`] compares.
fn is_alike(one: &Entry, other: &Entry) -> bool {
    !is_single(one)
        && !is_single(other)
        && one.charges.len() == other.charges.len()
        && one.at_ms.div_euclid(1000) == other.at_ms.div_euclid(1000)
        && one.cost.is_some() == other.cost.is_some()
        && one.outcome == other.outcome
        && (Arc::ptr_eq(&one.facts, &other.facts) || one.facts == other.facts)
        && one
            .charges
            .iter()
            .zip(&other.charges)
            .all(|(one, other)| one.period == other.period && one.budget == other.budget)
}

/// The groups of these entries, in the order of their first calls.
pub(super) fn groups(entries: &[Entry]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut known: HashMap<Kind<'_>, usize> = HashMap::new();
    let mut last = 0;
    for entry in entries {
        // Mostly the group of the call before, which is found without hashing all of it.
        if let Some(group) = groups.get_mut(last)
            && is_alike(group.first(), entry)
        {
            group.add(entry);
            continue;
        }
        if is_single(entry) {
            last = groups.len();
            groups.push(Group::of(entry));
            continue;
        }
        let budgets = entry.charges.iter();
        let kind = Kind {
            facts: &entry.facts,
            outcome: entry.outcome,
            unix_s: entry.at_ms.div_euclid(1000),
            is_priced: entry.cost.is_some(),
            budgets: budgets
                .map(|charge| (&charge.budget, charge.period))
                .collect(),
        };
        match known.get(&kind) {
            Some(&index) => {
                last = index;
                groups[index].add(entry);
            }
            None => {
                last = groups.len();
                known.insert(kind, last);
                groups.push(Group::of(entry));
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Charge, Tokens};
    use gate_model::units::Money;

    fn entry(exchange: &str, consumer: &str, at_ms: i64, cost: Option<i64>, amount: i64) -> Entry {
        Entry {
            exchange: exchange.into(),
            at_ms,
            facts: Arc::new(Facts {
                consumer: consumer.into(),
                ..Facts::default()
            }),
            outcome: "complete",
            tokens: Tokens {
                input: 2,
                output: 3,
                ..Tokens::default()
            },
            estimated: i64::from(amount == 1),
            cost: cost.map(Money::from_picodollars),
            charges: std::iter::once(Charge {
                budget: "b".into(),
                period: 0,
                amount,
            })
            .collect(),
            calls: 1,
            held: Vec::new(),
        }
    }

    #[test]
    fn calls_that_differ_in_nothing_read_are_summed() {
        let entries = [
            entry("a", "x", 1_000, Some(7), 1),
            entry("b", "y", 1_000, Some(7), 1),
            entry("c", "x", 1_999, Some(8), 2),
            entry("d", "x", 2_000, Some(8), 2),
            entry("e", "x", 1_500, None, 4),
        ];
        let groups = groups(&entries);
        let seen: Vec<_> = groups
            .iter()
            .map(|group| {
                let cost = group.sum.cost.map(Money::picodollars);
                let id = group.first().exchange.to_string();
                (
                    id,
                    group.sum.calls,
                    cost,
                    group.sum.charges[0].amount,
                    group.sum.estimated,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("a".to_owned(), 2, Some(15), 3, 1),
                ("b".to_owned(), 1, Some(7), 1, 1),
                ("d".to_owned(), 1, Some(8), 2, 0),
                ("e".to_owned(), 1, None, 4, 0),
            ]
        );
        assert_eq!(groups[0].sum.tokens.total(), 10);
    }

    #[test]
    fn what_has_an_id_of_its_own_keeps_it() {
        let batch = |id: &str| Entry {
            outcome: BATCH,
            ..entry(id, "x", 1_000, Some(7), 1)
        };
        let entries = [batch("batch/p/1"), batch("batch/p/2"), batch("batch/p/3")];
        let ids = |groups: &[Group<'_>]| -> Vec<String> {
            let id = |group: &Group<'_>| group.first().exchange.to_string();
            groups.iter().map(id).collect()
        };
        assert_eq!(
            ids(&groups(&entries)),
            ["batch/p/1", "batch/p/2", "batch/p/3"]
        );
    }
}
