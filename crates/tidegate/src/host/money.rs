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
use gate_kit::order::Order;
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

/// Usage by day, consumer and model, or by what is asked for.
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
    let mut by = match &query.by {
        None => DAYS.to_vec(),
        Some(text) => text.split(',').map(column).collect::<Result<_, _>>()?,
    };
    // Whoever sees some teams alone is shown whose each row is.
    if query.teams.is_some() && !by.contains(&UsageBy::Team) {
        by.push(UsageBy::Team);
    }
    let rows = open(resources, folder)?.usage(&ledger::UsageQuery {
        by: by.clone(),
        since_ms: milliseconds(from),
        until_ms: milliseconds(until),
        provider: String::new(),
        only: Vec::new(),
    });
    let mut rows = rows.map_err(|error| unavailable(&error))?;
    if query.by.is_some() {
        rows.order_by_key(|row| std::cmp::Reverse(row.cost_picodollars));
    }
    let seen = |row: &UsageRow| match (&query.teams, &row.team) {
        (None, _) => true,
        (Some(teams), team) => team.as_ref().is_some_and(|team| teams.contains(team)),
    };
    let rows = rows.into_iter().map(|row| shown(&by, row)).filter(seen);
    Ok(rows.skip(query.offset).take(query.limit).collect())
}

/// What is summed by when nothing is asked for.
const DAYS: [UsageBy; 5] = [
    UsageBy::Day,
    UsageBy::Consumer,
    UsageBy::Team,
    UsageBy::Provider,
    UsageBy::ProviderModel,
];

/// The ledger's column for a member of [`UsageRow`].
fn column(name: &str) -> Result<UsageBy, Problem> {
    Ok(match name {
        "day" => UsageBy::Day,
        "team" => UsageBy::Team,
        "consumer" => UsageBy::Consumer,
        "key" => UsageBy::Key,
        "model" => UsageBy::ProviderModel,
        "asked" => UsageBy::Model,
        "provider" => UsageBy::Provider,
        "route" => UsageBy::Route,
        "tag" => UsageBy::Tag,
        "revision" => UsageBy::Revision,
        other => {
            let text = format!("usage is not summed by `{other}`");
            return Err(Problem::new(Code::BadParameter, text));
        }
    })
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

fn shown(by: &[UsageBy], row: ledger::UsageRow) -> UsageRow {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let mut one = UsageRow {
        calls: count(row.calls),
        unsettled: count(row.unsettled),
        unpriced: count(row.unpriced),
        tokens_in: count(row.input_tokens),
        tokens_out: count(row.output_tokens),
        cost: Money::from_picodollars(row.cost_picodollars).to_string(),
        ..UsageRow::default()
    };
    for (by, name) in by.iter().zip(row.names) {
        let known = Some(name).filter(|name| !name.is_empty());
        let place = match by {
            UsageBy::Day => {
                let seconds = known.and_then(|seconds| seconds.parse().ok());
                one.day = seconds.map(day).unwrap_or_default();
                continue;
            }
            UsageBy::Revision => {
                let number = known.and_then(|number| number.parse().ok());
                one.revision = number.filter(|number| *number > 0);
                continue;
            }
            // `CONSUMER/KEY` and `PROVIDER/MODEL`, also where neither is known.
            UsageBy::Key => {
                one.key = known.filter(|key| key != "/");
                continue;
            }
            UsageBy::ProviderModel => {
                let model = known.and_then(|name| Some(name.split_once('/')?.1.to_owned()));
                one.model = model.filter(|model| !model.is_empty());
                continue;
            }
            UsageBy::Consumer => &mut one.consumer,
            UsageBy::Team => &mut one.team,
            UsageBy::Model => &mut one.asked,
            UsageBy::Provider => &mut one.provider,
            UsageBy::Tag => &mut one.tag,
            UsageBy::Route => &mut one.route,
        };
        *place = known;
    }
    one
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
