//! Reading the ledger: sums by whom or what, and balances of budgets.

use crate::StoreError;
use crate::database::{Database, Value};
use serde::Serialize;

/// What usage is grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageBy {
    /// The consumer's key.
    Key,
    /// The consumer.
    Consumer,
    /// The team.
    Team,
    /// The model that was asked for.
    Model,
    /// The provider that was called.
    Provider,
    /// The provider's model that was called.
    ProviderModel,
    /// The caller's own word.
    Tag,
    /// The route.
    Route,
    /// The revision that served it, as its number; 0 where that is not known.
    Revision,
    /// The day (UTC), as its first UNIX second.
    Day,
}

impl UsageBy {
    const fn column(self) -> &'static str {
        match self {
            UsageBy::Key => "consumer || '/' || key_id",
            UsageBy::Consumer => "consumer",
            UsageBy::Team => "team",
            UsageBy::Model => "model",
            UsageBy::Provider => "provider",
            UsageBy::ProviderModel => "provider || '/' || provider_model",
            UsageBy::Tag => "tag",
            UsageBy::Route => "route",
            UsageBy::Revision => "CAST(revision AS TEXT)",
            UsageBy::Day => "CAST(at_ms / 86400000 * 86400 AS TEXT)",
        }
    }
}

/// Which entries to sum up.
#[derive(Debug, Clone)]
pub struct UsageQuery {
    /// What rows are for: one or two of them.
    pub by: Vec<UsageBy>,
    /// From this time on, in UNIX milliseconds.
    pub since_ms: i64,
    /// Up to but without this time.
    pub until_ms: i64,
    /// Only this provider; any when empty.
    pub provider: String,
    /// Only entries that have these names, each as [`UsageRow::names`] would.
    pub only: Vec<(UsageBy, String)>,
}

/// Sums of entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageRow {
    /// What it is for, one word for each of [`UsageQuery::by`].
    pub names: Vec<String>,
    /// Calls that have ended or were charged unsettled.
    pub calls: i64,
    /// Those of them that are charged at what was reserved, because their process died.
    pub unsettled: i64,
    /// Those of them whose tokens were estimated.
    pub estimated: i64,
    /// Those of them that have no price.
    pub unpriced: i64,
    /// Input tokens.
    pub input_tokens: i64,
    /// Output tokens.
    pub output_tokens: i64,
    /// Input tokens from providers' caches.
    pub cached_tokens: i64,
    /// Cost in picodollars.
    pub cost_picodollars: i64,
}

/// A budget's period as the store has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BalanceRow {
    /// The budget.
    pub budget: String,
    /// When the period began, in UNIX seconds; 0 for budgets without end.
    pub period: i64,
    /// Settled, in picodollars or tokens.
    pub settled: i64,
    /// Charged for reservations of dead processes.
    pub unsettled: i64,
    /// Held by running gateways.
    pub leased: i64,
}

/// A charge of a call whose process died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnsettledRow {
    /// The call's id; `lease/...` for what a process held beyond known reservations.
    pub exchange: String,
    /// When the reservation was made, or the lease taken back, in UNIX milliseconds.
    pub at_ms: i64,
    /// The consumer.
    pub consumer: String,
    /// The model that was asked for.
    pub model: String,
    /// What is charged: `budget@period=amount`, one a line.
    pub charges: String,
}

pub(super) fn unsettled<D: Database>(database: &mut D) -> Result<Vec<UnsettledRow>, StoreError> {
    let rows = database.query(
        "SELECT exchange, at_ms, consumer, model, charges FROM entry
         WHERE kind = 'unsettled' AND NOT EXISTS (
               SELECT 1 FROM entry AS later WHERE later.exchange = entry.exchange
               AND later.kind IN ('settle', 'release'))
         ORDER BY sequence LIMIT 1000",
        &[],
    )?;
    let row = |row: &Vec<Value>| UnsettledRow {
        exchange: row[0].text().to_owned(),
        at_ms: row[1].int(),
        consumer: row[2].text().to_owned(),
        model: row[3].text().to_owned(),
        charges: row[4].text().to_owned(),
    };
    Ok(rows.iter().map(row).collect())
}

/// An `unsettled` entry counts until a later entry of the same call takes it back.
pub(super) fn usage<D: Database>(
    database: &mut D,
    query: &UsageQuery,
) -> Result<Vec<UsageRow>, StoreError> {
    let columns: Vec<&str> = query.by.iter().map(|by| by.column()).collect();
    let names = columns.join(", ");
    let places: Vec<String> = (1..=columns.len()).map(|n| n.to_string()).collect();
    let groups = places.join(", ");
    let also: Vec<String> = (query.only.iter().zip(5..))
        .map(|((by, _), place)| format!(" AND {} = ${place}", by.column()))
        .collect();
    let also = also.concat();
    let sum = |what: &str| format!("CAST(COALESCE(SUM({what}), 0) AS BIGINT)");
    let sql = format!(
        "SELECT {names}, {}, {}, {}, {}, {}, {}, {}, {}
         FROM entry
         WHERE at_ms >= $1 AND at_ms < $2 AND ($3 = '' OR provider = $4){also}
           AND (kind = 'settle' OR (kind = 'unsettled' AND NOT EXISTS (
                SELECT 1 FROM entry AS later WHERE later.exchange = entry.exchange
                AND later.kind IN ('settle', 'release'))))
         GROUP BY {groups} ORDER BY {groups}",
        sum("calls"),
        sum("CASE WHEN kind = 'unsettled' THEN calls ELSE 0 END"),
        sum("estimated"),
        sum("CASE WHEN cost IS NULL THEN calls ELSE 0 END"),
        sum("input_tokens"),
        sum("output_tokens"),
        sum("cached_tokens"),
        sum("cost"),
    );
    let provider: Value = query.provider.as_str().into();
    let mut values = vec![
        query.since_ms.into(),
        query.until_ms.into(),
        provider.clone(),
        provider,
    ];
    values.extend(query.only.iter().map(|(_, name)| name.as_str().into()));
    let rows = database.query(&sql, &values)?;
    let row = |row: &Vec<Value>| {
        let (names, numbers) = row.split_at(columns.len());
        let number = |index: usize| numbers.get(index).map_or(0, Value::int);
        UsageRow {
            names: names.iter().map(|name| name.text().to_owned()).collect(),
            calls: number(0),
            unsettled: number(1),
            estimated: number(2),
            unpriced: number(3),
            input_tokens: number(4),
            output_tokens: number(5),
            cached_tokens: number(6),
            cost_picodollars: number(7),
        }
    };
    Ok(rows.iter().map(row).collect())
}

pub(super) fn balances<D: Database>(database: &mut D) -> Result<Vec<BalanceRow>, StoreError> {
    let rows = database.query(
        // Quotas of requests (books/count.rs) are no budgets.
        "SELECT budget, period, settled, unsettled, leased FROM balance
         WHERE budget NOT LIKE 'quota:%' ORDER BY budget, period",
        &[],
    )?;
    let row = |row: &Vec<Value>| BalanceRow {
        budget: row[0].text().to_owned(),
        period: row[1].int(),
        settled: row[2].int(),
        unsettled: row[3].int(),
        leased: row[4].int(),
    };
    Ok(rows.iter().map(row).collect())
}
