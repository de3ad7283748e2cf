//! `tidegate usage`: what calls to models cost, read from the ledger; and the ledger against a bill.
//!
//! Reads the store that a configuration names, beside a gateway that may be running on it. Amounts
//! are shown exactly, in dollars. Comparing with a bill is in `bill`, options in `options`.

mod bill;
mod options;

use crate::config::{self, Secrets};
use crate::delivery::spend::Learner;
use crate::output;
use crate::table::Table;
use gate_api::types::{SpendSuspicion, one_line};
use gate_kit::clock::Clock;
use gate_kit::order::Order;
use gate_model::resources::{Resources, Store as Settings};
use gate_model::units::{Money, Timestamp};
use gate_proxy::money;
use gate_store::Store;
use gate_store::ledger::{BalanceRow, UnsettledRow, UsageQuery, UsageRow};
pub(crate) use options::UsageCommand;
use options::{UsageFormat, UsageOptions, UsageSort, UsageSubcommand};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

const DAY_S: u64 = 86_400;

/// Runs the command.
pub(crate) fn usage(command: &UsageCommand) -> Result<ExitCode, String> {
    match (&command.command, &command.show.file) {
        (Some(UsageSubcommand::Reconcile(options)), _) => bill::reconcile(options),
        (None, Some(file)) => show(file, &command.show),
        (None, None) => Err("which configuration? `tidegate usage FILE`".into()),
    }
}

/// The resources of a file, and its store.
pub(crate) fn open(file: &Path) -> Result<(Resources, Box<dyn Store>), String> {
    let bytes = config::read(file)?;
    let told = |findings: Vec<gate_model::finding::Finding>| {
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    let document = config::parse(&bytes, file).map_err(told)?;
    let resources = Resources::read(&document).map_err(told)?;
    let settings: &Settings = resources.gateway.store.as_ref().ok_or_else(|| {
        format!(
            "{}: there is no `gateway.store`, so nothing is kept",
            file.display()
        )
    })?;
    let store = money::store::open(settings, &Secrets, &config::folder(file));
    let store = store.map_err(|error| error.to_string())?;
    Ok((resources, store))
}

fn show(file: &Path, options: &UsageOptions) -> Result<ExitCode, String> {
    let (resources, mut store) = open(file)?;
    let text = if options.unusual {
        let found = Learner::whole().look(&mut *store, &Clock::System);
        unusual(&found.map_err(|error| error.to_string())?, options.format())
    } else if options.unsettled {
        let rows = store.unsettled().map_err(|error| error.to_string())?;
        unsettled(&rows, options.format())
    } else if options.budgets {
        let rows = store.balances().map_err(|error| error.to_string())?;
        budgets(&resources, &rows, options.format())
    } else {
        let until_ms = ms(options.until.map_or_else(now_s, Timestamp::unix_s) + 1);
        let since = options
            .since
            .map_or_else(|| now_s().saturating_sub(30 * DAY_S), Timestamp::unix_s);
        let query = UsageQuery {
            by: options.by.iter().map(|by| by.column()).collect(),
            since_ms: ms(since),
            until_ms,
            provider: options.provider.clone().unwrap_or_default(),
            only: Vec::new(),
        };
        let mut rows = store.usage(&query).map_err(|error| error.to_string())?;
        if options.sort == UsageSort::Cost {
            rows.order_by_key(|row| std::cmp::Reverse(row.cost_picodollars));
        }
        calls(options, &rows)
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn now_s() -> u64 {
    Clock::System.unix().as_secs()
}

fn ms(seconds: u64) -> i64 {
    i64::try_from(seconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(1000)
}

fn dollars(picodollars: i64) -> String {
    Money::from_picodollars(picodollars).to_string()
}

fn calls(options: &UsageOptions, rows: &[UsageRow]) -> String {
    let heads: Vec<&str> = options.by.iter().map(|by| by.word()).collect();
    if options.format() == UsageFormat::Json {
        let row = |row: &UsageRow| {
            let mut value = json!({
                "calls": row.calls,
                "unsettled": row.unsettled,
                "estimated": row.estimated,
                "unpriced": row.unpriced,
                "input_tokens": row.input_tokens,
                "output_tokens": row.output_tokens,
                "cached_tokens": row.cached_tokens,
                "cost_usd": dollars(row.cost_picodollars),
            });
            for (by, name) in options.by.iter().zip(&row.names) {
                value[by.word()] = by.shown(name).into();
            }
            value
        };
        return lines(rows.iter().map(row));
    }
    let mut table = Table::new(&heads);
    table.head(&["calls", "input", "cached", "output", "cost (USD)", "notes"]);
    for row in rows {
        let names = options
            .by
            .iter()
            .zip(&row.names)
            .map(|(by, name)| by.shown(name));
        let notes = [
            (row.unsettled, "unsettled"),
            (row.estimated, "estimated"),
            (row.unpriced, "without price"),
        ];
        let notes: Vec<String> = notes
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        let mut cells: Vec<String> = names.collect();
        cells.extend(
            [
                row.calls,
                row.input_tokens,
                row.cached_tokens,
                row.output_tokens,
            ]
            .map(|n| n.to_string()),
        );
        cells.push(dollars(row.cost_picodollars));
        cells.push(notes.join(", "));
        table.row(cells);
    }
    table.finish()
}

fn unusual(found: &[SpendSuspicion], format: UsageFormat) -> String {
    if format == UsageFormat::Json {
        return lines(found.iter().map(|one| json!(one)));
    }
    let mut table = Table::new(&["since", "until", "what"]);
    for one in found {
        let until = one.until.clone().unwrap_or_else(|| "open".to_owned());
        table.row(vec![one.since.clone(), until, one_line(&one.text)]);
    }
    table.finish()
}

fn unsettled(rows: &[UnsettledRow], format: UsageFormat) -> String {
    if format == UsageFormat::Json {
        return lines(rows.iter().map(|row| json!(row)));
    }
    let mut table = Table::new(&["call", "day", "consumer", "model", "charged"]);
    for row in rows {
        table.row(vec![
            row.exchange.clone(),
            day(u64::try_from(row.at_ms / 1000).unwrap_or(0)),
            row.consumer.clone(),
            row.model.clone(),
            row.charges.replace('\n', ", "),
        ]);
    }
    table.finish()
}

fn budgets(resources: &Resources, rows: &[BalanceRow], format: UsageFormat) -> String {
    let is_money = |name: &str| {
        let limit = resources.budgets.get(name).map(|budget| budget.limit);
        !matches!(limit, Some(gate_model::resources::BudgetLimit::Tokens(_)))
    };
    let amount = |row: &BalanceRow, amount: i64| match is_money(&row.budget) {
        true => dollars(amount),
        false => amount.to_string(),
    };
    let limit = |row: &BalanceRow| match resources.budgets.get(&row.budget).map(|b| b.limit) {
        Some(gate_model::resources::BudgetLimit::Usd(money)) => money.to_string(),
        Some(gate_model::resources::BudgetLimit::Tokens(tokens)) => tokens.to_string(),
        None => "not configured".to_owned(),
    };
    let since = |row: &BalanceRow| match u64::try_from(row.period) {
        Ok(start) if start > 0 => day(start),
        _ => "ever".to_owned(),
    };
    if format == UsageFormat::Json {
        let row = |row: &BalanceRow| {
            json!({
                "budget": row.budget,
                "unit": if is_money(&row.budget) { "usd" } else { "tokens" },
                "since": since(row),
                "limit": limit(row),
                "settled": amount(row, row.settled),
                "unsettled": amount(row, row.unsettled),
                "leased": amount(row, row.leased),
            })
        };
        return lines(rows.iter().map(row));
    }
    let mut table = Table::new(&["budget", "since"]);
    table.head(&["limit", "settled", "unsettled", "leased"]);
    for row in rows {
        table.row(vec![
            row.budget.clone(),
            since(row),
            limit(row),
            amount(row, row.settled),
            amount(row, row.unsettled),
            amount(row, row.leased),
        ]);
    }
    table.finish()
}

/// A day of UNIX time, in UTC.
pub(crate) fn day(unix_s: u64) -> String {
    Timestamp::from_unix_s(unix_s - unix_s % DAY_S).to_string()
}

fn lines(rows: impl Iterator<Item = Value>) -> String {
    rows.fold(String::new(), |mut text, row| {
        let _ = writeln!(text, "{row}");
        text
    })
}
