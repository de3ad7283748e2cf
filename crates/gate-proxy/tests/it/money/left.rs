//! Callers who leave before their answer is whole: what they are charged.

use super::{CHAT, Caller, Ledger, REQUEST, SQLITE, document};
use crate::cassettes::Provider;
use crate::support::eventually;
use gate_store::ledger::UsageBy;
use std::net::SocketAddr;
use std::time::Duration;

const BUDGETS: &str = "budgets: { b: { of: { consumer: shop }, limit: { usd: 9 }, per: total } }\n";
const TARGETS: &str = "targets: [{ provider: one, model: first }]\n    \
                       fallback: [{ provider: two, model: second }]";

fn ledger(one: SocketAddr, two: SocketAddr, model: &str) -> Ledger {
    let yaml = document(one, two, SQLITE, BUDGETS);
    assert!(yaml.contains(TARGETS));
    Ledger::of(&yaml.replace(TARGETS, model))
}

fn written(ledger: &Ledger) {
    eventually("everything is written", || {
        ledger
            .gateway
            .metrics()
            .contains("tidegate_ledger_pending 0")
    });
}

#[test]
fn leaving_between_two_tries_costs_nothing() {
    let busy = || Provider::refusing(503, "", "{}");
    let (one, two) = (busy(), busy());
    let model =
        format!("{TARGETS}\n    retry: {{ attempts: 1, backoff: {{ base: 20s, most: 20s }} }}");
    let ledger = ledger(one.address, two.address, &model);
    let mut caller: Caller = ledger.caller();
    caller.send(CHAT, REQUEST);
    eventually("both have refused", || two.calls() == 1);
    // Its answer is read, and the gateway sleeps.
    std::thread::sleep(Duration::from_millis(300));
    drop(caller);
    written(&ledger);
    let rows = ledger.usage(&[UsageBy::Provider]);
    assert!(rows.is_empty(), "{rows:?}");
    assert_eq!(ledger.balance("b").map_or(0, |row| row.settled), 0);
    assert_eq!((one.calls(), two.calls()), (1, 1));
}
