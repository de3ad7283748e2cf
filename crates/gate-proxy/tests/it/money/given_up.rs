//! Tries that came to nothing, and that a provider may bill: on whose budgets they are, and that no
//! budget is overspent by them.

use super::{COST, Caller, Ledger, MOST, REQUEST, SQLITE, STREAM, answering, document};
use crate::cassettes::Provider;
use crate::support::{Upstream, eventually, read_request};
use gate_store::ledger::UsageBy;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const TARGETS: &str = "targets: [{ provider: one, model: first }]\n    \
                       fallback: [{ provider: two, model: second }]";
/// The same for the streamed request.
const STREAM_MOST: i64 = MOST + (STREAM.len() - REQUEST.len()) as i64 * 1_000_000;

/// What a provider does with a request that it has read; the second one counts requests.
fn doing(what: fn(&mut TcpStream)) -> (Upstream, Arc<AtomicUsize>) {
    let calls: Arc<AtomicUsize> = Arc::default();
    let counted = calls.clone();
    let upstream = Upstream::raw(move |mut stream, _| {
        let (head, _) = read_request(&mut stream);
        if !head.is_empty() {
            counted.fetch_add(1, Ordering::SeqCst);
            what(&mut stream);
        }
    });
    (upstream, calls)
}

/// Until the gateway lets go.
fn silent(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 1]);
}

fn reset(_: &mut TcpStream) {}

fn cut(stream: &mut TcpStream) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let _ = stream.write_all(head.as_bytes());
}

/// A stream that has begun, and never comes to its first token.
fn wordless(stream: &mut TcpStream) {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 10000\r\n\r\n: \n\n";
    let _ = stream.write_all(head.as_bytes());
    silent(stream);
}

/// A stream with a word that breaks off.
fn breaking(stream: &mut TcpStream) {
    let event = r#"data: {"id":"a","object":"chat.completion.chunk","created":1,"model":"x","choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}"#;
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 100000\r\n\r\n";
    let _ = stream.write_all(format!("{head}{event}\n\n").as_bytes());
}

/// Budgets of the caller and of both providers, with these limits in picodollars.
fn budgets(caller: i64, one: i64, two: i64) -> String {
    let usd = |limit| gate_model::units::Money::from_picodollars(limit).to_string();
    format!(
        "budgets:\n  b: {{ of: {{ consumer: shop }}, limit: {{ usd: '{}' }}, per: total }}\n  \
         p: {{ of: {{ provider: one }}, limit: {{ usd: '{}' }}, per: total }}\n  \
         q: {{ of: {{ provider: two }}, limit: {{ usd: '{}' }}, per: total }}\n",
        usd(caller),
        usd(one),
        usd(two)
    )
}

const PLENTY: i64 = 9_000_000_000_000;

fn ledger(one: SocketAddr, two: SocketAddr, budgets: &str, model: &str) -> Ledger {
    let yaml = document(one, two, SQLITE, budgets);
    assert!(yaml.contains(TARGETS) && yaml.contains("first_byte: 2s"));
    let yaml = yaml.replace(
        "first_byte: 2s",
        "first_byte: 300ms\n    first_token: 300ms",
    );
    Ledger::of(&yaml.replace(TARGETS, model))
}

fn settled(ledger: &Ledger, budget: &str) -> i64 {
    ledger.balance(budget).map_or(0, |row| row.settled)
}

/// Waits until nothing is open or unwritten.
fn written(ledger: &Ledger) {
    eventually("everything is written", || {
        ledger
            .gateway
            .metrics()
            .contains("tidegate_ledger_pending 0")
    });
}

#[test]
fn a_try_that_came_to_nothing_is_on_its_own_providers_budget() {
    for (what, outcome, request) in [
        (silent as fn(&mut TcpStream), "timeout", REQUEST),
        (reset, "reset", REQUEST),
        (cut, "cut", REQUEST),
        (wordless, "no token", STREAM),
    ] {
        let (one, _) = doing(what);
        let two = answering();
        let budgets = budgets(PLENTY, PLENTY, PLENTY);
        let ledger = ledger(one.address, two.address, &budgets, TARGETS);
        let answer = ledger.post(request);
        assert_eq!(answer.status, 200, "{outcome}: {answer:?}");
        written(&ledger);
        let rows = ledger.usage(&[UsageBy::Provider, UsageBy::ProviderModel]);
        let of = |name: &str| rows.iter().find(|row| row.names[0] == name);
        let lost = of("one").unwrap_or_else(|| panic!("{outcome}: {rows:?}"));
        assert_eq!(
            (&*lost.names[1], lost.estimated),
            ("one/first", 1),
            "{outcome}"
        );
        assert!(lost.cost_picodollars > 0, "{outcome}: {lost:?}");
        assert_eq!(settled(&ledger, "p"), lost.cost_picodollars, "{outcome}");
        let won = of("two").unwrap_or_else(|| panic!("{outcome}: {rows:?}"));
        assert_eq!(settled(&ledger, "q"), won.cost_picodollars, "{outcome}");
        let both = lost.cost_picodollars + won.cost_picodollars;
        assert_eq!(settled(&ledger, "b"), both, "{outcome}");
        if request == REQUEST {
            assert_eq!(won.cost_picodollars, COST, "{outcome}");
        }
    }
}

#[test]
fn what_was_certainly_not_sent_costs_nothing() {
    let two = answering();
    let budgets = budgets(PLENTY, PLENTY, PLENTY);
    let ledger = ledger(super::nowhere(), two.address, &budgets, TARGETS);
    assert_eq!(ledger.post(REQUEST).status, 200);
    ledger.settles("b", COST);
    assert_eq!((settled(&ledger, "p"), settled(&ledger, "q")), (0, COST));
}

#[test]
fn another_try_is_made_only_where_the_callers_budget_has_room_for_both() {
    for (limit, status, calls) in [(2 * MOST - 1, 502, 0), (2 * MOST, 200, 1)] {
        let (one, asked) = doing(reset);
        let two = answering();
        let budgets = budgets(limit, PLENTY, PLENTY);
        let ledger = ledger(one.address, two.address, &budgets, TARGETS);
        let answer = ledger.post(REQUEST);
        assert_eq!((answer.status, two.calls()), (status, calls), "{answer:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        written(&ledger);
        assert!((1..=limit).contains(&settled(&ledger, "b")), "{limit}");
        assert_eq!(settled(&ledger, "q"), COST * calls as i64);
    }
}

#[test]
fn a_provider_is_asked_again_only_where_its_own_budget_has_room_for_both() {
    let again = format!("{TARGETS}\n    retry: {{ attempts: 1 }}");
    for (limit, asked_one) in [(2 * MOST - 1, 1), (2 * MOST, 2)] {
        let (one, asked) = doing(reset);
        // Does not answer either, so that there is another round.
        let two = Provider::refusing(503, "", "{}");
        let budgets = budgets(PLENTY, limit, PLENTY);
        let ledger = ledger(one.address, two.address, &budgets, &again);
        let answer = ledger.post(REQUEST);
        assert!(answer.status >= 500, "{answer:?}");
        assert_eq!(asked.load(Ordering::SeqCst), asked_one, "{limit}");
        assert_eq!(two.calls(), 2, "{limit}");
        written(&ledger);
        let spent = settled(&ledger, "p");
        assert!((1..=limit).contains(&spent), "{limit}: {spent}");
        assert_eq!(settled(&ledger, "b"), spent, "{limit}");
        assert_eq!(settled(&ledger, "q"), 0, "{limit}");
    }
}

#[test]
fn a_caller_who_leaves_a_race_has_both_calls_charged() {
    let (one, _) = doing(silent);
    let (two, raced) = doing(silent);
    let hedged = "strategy: { priority: {} }\n    hedge: { after: 50ms }\n    \
                  targets: [{ provider: one, model: first }, { provider: two, model: second }]";
    let yaml = document(
        one.address,
        two.address,
        SQLITE,
        &budgets(PLENTY, PLENTY, PLENTY),
    );
    let yaml = yaml.replace("first_byte: 2s", "first_byte: 60s");
    let ledger = Ledger::of(&yaml.replace(TARGETS, hedged));
    let mut caller: Caller = ledger.caller();
    caller.send(super::CHAT, STREAM);
    eventually("both are asked", || raced.load(Ordering::SeqCst) == 1);
    drop(caller);
    eventually("both are written", || {
        ledger.usage(&[UsageBy::Provider]).len() == 2
    });
    written(&ledger);
    let (one, two) = (settled(&ledger, "p"), settled(&ledger, "q"));
    assert!(one > 0 && two > 0, "{one} {two}");
    assert_eq!(settled(&ledger, "b"), one + two);
}

#[test]
fn a_stream_is_continued_only_as_often_as_budgets_have_room() {
    let resumed = "strategy: { priority: {} }\n    resume: true\n    \
                   targets: [{ provider: one, model: first }, { provider: two, model: second }]";
    // Two providers are reserved for, and the first may be asked a second time.
    for (limit, asked_one) in [(3 * STREAM_MOST - 1, 1), (3 * STREAM_MOST + PLENTY, 2)] {
        let (one, asked) = doing(breaking);
        let (two, went_on) = doing(breaking);
        let budgets = budgets(limit, PLENTY, PLENTY);
        let ledger = ledger(one.address, two.address, &budgets, resumed);
        let answer = ledger.post(STREAM);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(asked.load(Ordering::SeqCst), asked_one, "{limit}");
        assert_eq!(went_on.load(Ordering::SeqCst), 1, "{limit}");
        written(&ledger);
        let (p, q) = (settled(&ledger, "p"), settled(&ledger, "q"));
        assert!(p > 0 && q > 0, "{p} {q}");
        assert_eq!(settled(&ledger, "b"), p + q, "{limit}");
        assert!(p + q <= limit);
        assert_eq!(
            ledger.usage(&[UsageBy::Model])[0].calls,
            1 + asked_one as i64
        );
    }
}

#[test]
fn what_is_given_up_again_and_again_stays_within_the_budget() {
    // Eight callers at once, all of whose first tries come to nothing.
    let (one, _) = doing(reset);
    let two = answering();
    let limit = 6 * MOST;
    let budgets = budgets(limit, PLENTY, PLENTY);
    let ledger = ledger(one.address, two.address, &budgets, TARGETS);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..4 {
                    let _ = ledger.post(REQUEST);
                }
            });
        }
    });
    written(&ledger);
    let spent = settled(&ledger, "b");
    assert!(spent > 0 && spent <= limit, "{spent} of {limit}");
    assert_eq!(spent, settled(&ledger, "p") + settled(&ledger, "q"));
}
