//! Families about budgets and the ledger.

use crate::record::metrics::{Exposition, Kind};
use gate_model::units::Money;
use gate_store::Books;
use gate_store::books::{AccountState, Unit};

/// What the families say.
struct Facts {
    accounts: Vec<AccountState>,
    events: u64,
    lost: u64,
    pending: usize,
    is_up: bool,
}

/// Writes the families of the books; nothing without a store.
pub fn page(page: &mut Exposition, books: Option<&Books>) {
    let Some(books) = books else { return };
    let facts = Facts {
        accounts: books.accounts(),
        events: books.events(),
        lost: books.lost(),
        pending: books.pending(),
        is_up: books.is_up(),
    };
    write(page, &facts);
}

/// Writes every family once, with one budget: what the reference shows.
pub fn example(page: &mut Exposition) {
    let account = AccountState {
        name: "budget".into(),
        unit: Unit::Money,
        limit: 0,
        settled: 0,
        unsettled: 0,
        reserved: 0,
    };
    let facts = Facts {
        accounts: vec![account],
        events: 0,
        lost: 0,
        pending: 0,
        is_up: true,
    };
    write(page, &facts);
}

fn write(page: &mut Exposition, facts: &Facts) {
    let gauges: [(&'static str, &str, fn(&AccountState) -> i64); 4] = [
        (
            "tidegate_budget_limit",
            "What a budget allows in its period, in dollars or tokens.",
            |account| account.limit,
        ),
        (
            "tidegate_budget_settled",
            "What was spent of a budget, by every gateway.",
            |account| account.settled,
        ),
        (
            "tidegate_budget_unsettled",
            "What is charged to a budget for calls of gateways that died.",
            |account| account.unsettled,
        ),
        (
            "tidegate_budget_reserved",
            "What calls in flight on this gateway hold of a budget.",
            |account| account.reserved,
        ),
    ];
    for (name, help, pick) in gauges {
        page.family(name, Kind::Gauge, "", help);
        for account in &facts.accounts {
            let amount = pick(account);
            let (unit, text) = match account.unit {
                Unit::Money => ("usd", Money::from_picodollars(amount).to_string()),
                Unit::Tokens => ("tokens", amount.to_string()),
                Unit::Requests => ("requests", amount.to_string()),
            };
            page.sample(&[("budget", &account.name), ("unit", unit)], text);
        }
    }
    singles(page, facts);
}

fn singles(page: &mut Exposition, facts: &Facts) {
    let help = "Shares of budgets whose crossing this gateway has reported.";
    page.single(
        "tidegate_budget_thresholds",
        Kind::Counter,
        "",
        help,
        facts.events,
    );
    let help = "Calls without a budget that were not written into the ledger.";
    page.single("tidegate_ledger_lost", Kind::Counter, "", help, facts.lost);
    let help = "Calls that are open or not yet written into the ledger.";
    page.single(
        "tidegate_ledger_pending",
        Kind::Gauge,
        "",
        help,
        facts.pending,
    );
    let help = "Whether the store answers: 1 or 0.";
    page.single(
        "tidegate_store_up",
        Kind::Gauge,
        "",
        help,
        u8::from(facts.is_up),
    );
}
