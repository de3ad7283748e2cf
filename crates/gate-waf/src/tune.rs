//! Learns exclusions from what was noted of requests that are in order.
//!
//! The narrowest exclusion that lets a request pass is one rule for one member of one collection. One is
//! suggested where the same rule keeps matching the same member: the more requests and the more
//! different callers, the less likely is an attack. What decides (the sum of scores) is never excluded.

use std::collections::{BTreeMap, BTreeSet};

/// One match of one request.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    /// Route that served it.
    pub route: &'a str,
    /// The rule's id.
    pub rule: u32,
    /// The rule's message.
    pub message: &'a str,
    /// What it looked at, such as `ARGS:q`.
    pub variable: &'a str,
    /// Shape of the value.
    pub shape: &'a str,
    /// Who called: a consumer or an address.
    pub caller: &'a str,
    /// Whether the request was, or would have been refused.
    pub refused: bool,
}

/// An exclusion, and what speaks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The route it is for.
    pub route: String,
    /// The rule's id.
    pub rule: u32,
    /// The rule's message.
    pub message: String,
    /// What is left out.
    pub target: String,
    /// Matches that it would have prevented.
    pub matches: u64,
    /// How many of their requests were, or would have been refused.
    pub refused: u64,
    /// Different callers among them, counted up to 1,000.
    pub callers: usize,
    /// Shapes that were seen, the most frequent first, three at most.
    pub shapes: Vec<String>,
    /// Whether the member's name itself matched, so that it cannot be told apart: look closer.
    pub broad: bool,
}

/// What a suggestion needs.
#[derive(Debug, Clone, Copy)]
pub struct Least {
    /// Matches.
    pub matches: u64,
    /// Different callers.
    pub callers: usize,
}

impl Default for Least {
    fn default() -> Self {
        Least {
            matches: 10,
            callers: 3,
        }
    }
}

/// Most callers and shapes that one row remembers, and most rows.
const CALLERS_MAX: usize = 1000;
const SHAPES_MAX: usize = 100;
const ROWS_MAX: usize = 100_000;

#[derive(Debug, Default)]
struct Row {
    message: String,
    matches: u64,
    refused: u64,
    callers: BTreeSet<String>,
    shapes: BTreeMap<String, u64>,
}

/// Gathers matches.
#[derive(Debug, Default)]
pub struct Tuner {
    rows: BTreeMap<(String, u32, String), Row>,
    /// Matches that could not be gathered because there were too many different ones.
    pub left_out: u64,
}

/// Rules that sum up, and those about bodies that cannot be read: excluding them would disarm all.
fn decides(rule: u32, variable: &str) -> bool {
    matches!(rule, 949_000..=949_999 | 959_000..=959_999 | 980_000..=980_999 | 200_000..=200_999)
        || variable.is_empty()
        || variable.starts_with("TX")
        || variable.starts_with("MATCHED_VAR")
}

impl Tuner {
    /// Adds a match.
    pub fn add(&mut self, observed: &Observed<'_>) {
        if decides(observed.rule, observed.variable) {
            return;
        }
        let key = (
            observed.route.to_owned(),
            observed.rule,
            observed.variable.to_owned(),
        );
        if self.rows.len() >= ROWS_MAX && !self.rows.contains_key(&key) {
            self.left_out += 1;
            return;
        }
        let row = self.rows.entry(key).or_default();
        if row.message.is_empty() {
            row.message = observed.message.to_owned();
        }
        row.matches += 1;
        row.refused += u64::from(observed.refused);
        if row.callers.len() < CALLERS_MAX {
            row.callers.insert(observed.caller.to_owned());
        }
        if row.shapes.len() < SHAPES_MAX || row.shapes.contains_key(observed.shape) {
            *row.shapes.entry(observed.shape.to_owned()).or_default() += 1;
        }
    }

    /// The suggestions, what would have prevented most refusals first.
    pub fn suggest(&self, least: Least) -> Vec<Suggestion> {
        let enough = |row: &Row| row.matches >= least.matches && row.callers.len() >= least.callers;
        let rows = self.rows.iter().filter(|(_, row)| enough(row));
        let mut found: Vec<Suggestion> = rows
            .map(|((route, rule, variable), row)| {
                let (collection, key) = variable.split_once(':').unwrap_or((variable, ""));
                Suggestion {
                    route: route.clone(),
                    rule: *rule,
                    message: row.message.clone(),
                    target: variable.clone(),
                    matches: row.matches,
                    refused: row.refused,
                    callers: row.callers.len(),
                    shapes: most_frequent(&row.shapes),
                    broad: key.is_empty() || collection.ends_with("_NAMES"),
                }
            })
            .collect();
        found.sort_by(|one, other| {
            let order = |one: &Suggestion| {
                (
                    std::cmp::Reverse(one.refused),
                    std::cmp::Reverse(one.matches),
                )
            };
            order(one).cmp(&order(other))
        });
        found
    }
}

fn most_frequent(shapes: &BTreeMap<String, u64>) -> Vec<String> {
    let mut shapes: Vec<(&String, &u64)> = shapes.iter().collect();
    shapes.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
    shapes
        .into_iter()
        .take(3)
        .map(|(shape, _)| shape.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(caller: &'static str, rule: u32, variable: &'static str) -> Observed<'static> {
        Observed {
            route: "shop",
            rule,
            message: "SQL",
            variable,
            shape: "a' aa 9",
            caller,
            refused: true,
        }
    }

    #[test]
    fn what_many_callers_send_is_suggested_narrowly() {
        let mut tuner = Tuner::default();
        for caller in ["a", "b", "c", "a"] {
            tuner.add(&observed(caller, 942_100, "ARGS:comment"));
            tuner.add(&observed(caller, 949_110, "TX:score"));
        }
        tuner.add(&observed("a", 942_200, "ARGS:q"));
        let least = Least {
            matches: 4,
            callers: 3,
        };
        let found = tuner.suggest(least);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].rule, found[0].target.as_str()),
            (942_100, "ARGS:comment")
        );
        assert_eq!(
            (found[0].matches, found[0].callers, found[0].broad),
            (4, 3, false)
        );
        assert!(
            tuner
                .suggest(Least {
                    matches: 4,
                    callers: 4
                })
                .is_empty()
        );
    }

    #[test]
    fn one_caller_alone_is_no_evidence() {
        let mut tuner = Tuner::default();
        (0..1000).for_each(|_| tuner.add(&observed("attacker", 942_100, "ARGS:q")));
        assert!(tuner.suggest(Least::default()).is_empty());
    }
}
