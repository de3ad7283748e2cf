//! The rows of a batch as statements and their values.

use super::group::Group;
use super::{Facts, HoldRow, write_charges};
use crate::database::Value;
use std::fmt::Write;

pub(super) const ENTRY: &str = "entry (exchange, kind, at_ms, consumer, key_id, team, route, model, provider, \
    provider_model, tag, revision, outcome, input_tokens, output_tokens, cached_tokens, written_tokens, \
    reasoning_tokens, estimated, cost, charges, calls)";
pub(super) const ENTRY_COLUMNS: usize = 22;
pub(super) const HOLD: &str = "hold (exchange, instance, at_ms, consumer, key_id, team, route, model, \
    provider, provider_model, tag, revision, cost, charges)";
pub(super) const HOLD_COLUMNS: usize = 14;

/// `INSERT INTO table VALUES ($1, ...), ...`, which leaves rows alone that are there.
pub(super) fn insert(table: &str, columns: usize, rows: usize, end: &str) -> String {
    let mut sql = format!("INSERT INTO {table} VALUES ");
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            let comma = if column == 0 { "" } else { ", " };
            let _ = write!(sql, "{comma}${}", row * columns + column + 1);
        }
        sql.push(')');
    }
    sql.push_str(" ON CONFLICT DO NOTHING");
    sql.push_str(end);
    sql
}

fn facts_values(values: &mut Vec<Value>, facts: &Facts) {
    let parts = [
        &facts.consumer,
        &facts.key,
        &facts.team,
        &facts.route,
        &facts.model,
        &facts.provider,
        &facts.provider_model,
        &facts.tag,
    ];
    values.extend(parts.map(|part| (&**part).into()));
    values.push(i64::try_from(facts.revision).unwrap_or(0).into());
}

pub(super) fn entry_values(values: &mut Vec<Value>, group: &Group<'_>, kind: &str) {
    let first = group.first();
    values.push((&first.exchange).into());
    values.push(kind.into());
    values.push(first.at_ms.into());
    facts_values(values, &first.facts);
    values.push(first.outcome.into());
    let tokens = &group.sum.tokens;
    let counts = [
        tokens.input,
        tokens.output,
        tokens.cached,
        tokens.written,
        tokens.reasoning,
        group.sum.estimated,
    ];
    values.extend(counts.map(Value::Int));
    values.push(group.sum.cost.map(|money| money.picodollars()).into());
    values.push(Value::Text(write_charges(&group.sum.charges)));
    values.push(group.sum.calls.into());
}

pub(super) fn hold_values(values: &mut Vec<Value>, hold: &HoldRow, instance: &str) {
    values.push((&hold.exchange).into());
    values.push(instance.into());
    values.push(hold.at_ms.into());
    facts_values(values, &hold.facts);
    values.push(hold.cost.map(|money| money.picodollars()).into());
    values.push(Value::Text(write_charges(&hold.charges)));
}
