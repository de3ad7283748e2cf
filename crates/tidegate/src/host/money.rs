//! Usage and budgets for the admin API, read from the ledger on a connection of their own.

#![allow(
    clippy::result_large_err,
    reason = "a problem is made once, for an answer; nothing here is hot"
)]

use crate::api::callers;
use crate::config::Secrets;
use crate::usage::day;
use gate_admin::UsageQuery;
use gate_api::problem::{Code, Problem};
use gate_api::types::{BudgetState, UsageRow, VersionState};
use gate_kit::clock::Clock;
use gate_model::resources::{BudgetLimit, BudgetOf, Resources};
use gate_model::units::{Money, Timestamp};
use gate_proxy::money::store;
use gate_proxy::record::Readers;
use gate_store::ledger::{self, UsageBy};
use gate_store::{Store, StoreError};
use std::path::Path;

/// How far back usage is shown when nothing is asked for, in seconds.
const SPAN_S: u64 = 30 * 86_400;

fn open(resources: &Resources, folder: &Path) -> Result<Box<dyn Store>, Problem> {
    let settings = resources.gateway.store.as_ref().ok_or_else(|| {
        Problem::new(
            Code::NotSupported,
            "this gateway keeps no ledger (`gateway.store`)",
        )
    })?;
    store::open(settings, &Secrets, folder).map_err(|error| unavailable(&error))
}

fn unavailable(error: &StoreError) -> Problem {
    Problem::new(Code::StoreUnavailable, error.to_string())
}

/// Usage by day, consumer and model.
///
/// # Errors
/// The problem to answer with.
pub(super) fn usage(
    resources: &Resources,
    folder: &Path,
    query: &UsageQuery,
) -> Result<Vec<UsageRow>, Problem> {
    let time = |text: &Option<String>| -> Result<Option<u64>, Problem> {
        let Some(text) = text else { return Ok(None) };
        let time: Result<Timestamp, _> = text.parse();
        let wrong = |_| Problem::new(Code::BadParameter, format!("`{text}` is no day"));
        time.map(|time| Some(time.unix_s())).map_err(wrong)
    };
    let until = time(&query.until)?.unwrap_or_else(|| Clock::System.unix().as_secs() + 1);
    let from = time(&query.from)?.unwrap_or(until.saturating_sub(SPAN_S));
    let milliseconds =
        |seconds: u64| i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
    let rows = open(resources, folder)?.usage(&ledger::UsageQuery {
        by: vec![
            UsageBy::Day,
            UsageBy::Consumer,
            UsageBy::Team,
            UsageBy::Provider,
            UsageBy::ProviderModel,
        ],
        since_ms: milliseconds(from),
        until_ms: milliseconds(until),
        provider: String::new(),
    });
    let rows = rows.map_err(|error| unavailable(&error))?;
    let seen = |row: &UsageRow| match (&query.teams, &row.team) {
        (None, _) => true,
        (Some(teams), team) => team.as_ref().is_some_and(|team| teams.contains(team)),
    };
    let rows = rows.into_iter().map(shown).filter(seen);
    Ok(rows.skip(query.offset).take(query.limit).collect())
}

/// Versions and their callers: from the store, or what this process knows where there is none.
///
/// # Errors
/// The problem to answer with.
pub(super) fn versions(
    resources: &Resources,
    folder: &Path,
    readers: &Readers,
    api: Option<&str>,
    from: Option<&str>,
) -> Result<Vec<VersionState>, Problem> {
    const DAY_S: u64 = 86_400;
    let now_s = Clock::System.unix().as_secs();
    let since = match from {
        None => now_s / DAY_S - callers::SPAN_DAYS,
        Some(text) => {
            let time: Result<Timestamp, _> = text.parse();
            let wrong = |_| Problem::new(Code::BadParameter, format!("`{text}` is no day"));
            time.map_err(wrong)?.unix_s() / DAY_S
        }
    };
    let since = i64::try_from(since).unwrap_or(0);
    let rows = match resources.gateway.store {
        Some(_) => {
            let mut store = open(resources, folder)?;
            let rows = store.callers(api.unwrap_or_default(), since);
            rows.map_err(|error| unavailable(&error))?
        }
        None => {
            let mut rows = readers.callers();
            rows.retain(|row| row.day >= since);
            rows
        }
    };
    let mut states = callers::states(resources, &rows, now_s);
    states.retain(|state| api.is_none_or(|api| state.api == api));
    Ok(states)
}

fn shown(row: ledger::UsageRow) -> UsageRow {
    let mut names = row.names.into_iter();
    let mut name = || names.next().filter(|name| !name.is_empty());
    let first = name().and_then(|seconds| seconds.parse().ok());
    let (consumer, team, provider) = (name(), name(), name());
    // The last column is `PROVIDER/MODEL`.
    let model = name().and_then(|model| {
        let prefix = format!("{}/", provider.as_deref().unwrap_or_default());
        let model = model.strip_prefix(&prefix).unwrap_or(&model);
        Some(model.to_owned()).filter(|model| !model.is_empty())
    });
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    UsageRow {
        day: first.map(day).unwrap_or_default(),
        consumer,
        team,
        provider,
        model,
        calls: count(row.calls),
        tokens_in: count(row.input_tokens),
        tokens_out: count(row.output_tokens),
        cost: Money::from_picodollars(row.cost_picodollars).to_string(),
    }
}

/// How budgets stand, each in its newest period.
///
/// # Errors
/// The problem to answer with.
pub(super) fn budgets(resources: &Resources, folder: &Path) -> Result<Vec<BudgetState>, Problem> {
    let rows = open(resources, folder)?.balances();
    let rows = rows.map_err(|error| unavailable(&error))?;
    let budgets = resources.budgets.iter();
    Ok(budgets
        .map(|(name, budget)| {
            let of_budget = rows.iter().filter(|row| row.budget == *name);
            let newest = of_budget.max_by_key(|row| row.period);
            let spent = newest.map_or(0, |row| row.settled.saturating_add(row.unsettled));
            let reserved = newest.map_or(0, |row| row.leased);
            let started = newest.and_then(|row| u64::try_from(row.period).ok());
            let (unit, limit) = match budget.limit {
                BudgetLimit::Usd(money) => ("dollars", money.picodollars()),
                BudgetLimit::Tokens(tokens) => {
                    ("tokens", i64::try_from(tokens).unwrap_or(i64::MAX))
                }
            };
            let amount = |amount: i64| match budget.limit {
                BudgetLimit::Usd(_) => Money::from_picodollars(amount).to_string(),
                BudgetLimit::Tokens(_) => amount.to_string(),
            };
            #[allow(
                clippy::cast_precision_loss,
                reason = "a share is shown, not settled by"
            )]
            let share = if limit > 0 {
                spent as f64 / limit as f64
            } else {
                0.0
            };
            BudgetState {
                name: name.clone(),
                of: Some(of(&budget.of)),
                period: match started {
                    Some(start) if start > 0 => day(start),
                    _ => "total".to_owned(),
                },
                unit: unit.to_owned(),
                limit: amount(limit),
                spent: amount(spent),
                reserved: amount(reserved),
                share,
            }
        })
        .collect())
}

fn of(of: &BudgetOf) -> String {
    match of {
        BudgetOf::Key(name) => format!("key {name}"),
        BudgetOf::Consumer(name) => format!("consumer {name}"),
        BudgetOf::Team(name) => format!("team {name}"),
        BudgetOf::Provider(name) => format!("provider {name}"),
    }
}
