//! Callers who leave before their answer is whole, and streams that went on elsewhere: who is
//! charged for what.

use super::{CHAT, COST, Caller, Ledger, REQUEST, SQLITE, STREAM, document};
use crate::cassettes::Provider;
use crate::support::{Upstream, eventually, read_request};
use gate_store::ledger::{UsageBy, UsageRow};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const BUDGETS: &str = "budgets: { b: { of: { consumer: shop }, limit: { usd: 9 }, per: total } }\n";
const TARGETS: &str = "targets: [{ provider: one, model: first }]\n    \
                       fallback: [{ provider: two, model: second }]";

fn ledger(one: SocketAddr, two: SocketAddr, model: &str) -> Ledger {
    let yaml = document(one, two, SQLITE, BUDGETS);
    assert!(yaml.contains(TARGETS));
    Ledger::of(&yaml.replace(TARGETS, model))
}

/// A provider that answers each call with the head of a stream and does what `script` says.
fn streaming(script: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Upstream {
    Upstream::raw(move |mut stream, _| {
        let (head, _) = read_request(&mut stream);
        let answer =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 100000\r\n\r\n";
        if !head.is_empty() && stream.write_all(answer.as_bytes()).is_ok() {
            script(&mut stream);
        }
    })
}

fn event(rest: &str) -> String {
    let head = r#"{"id":"a","object":"chat.completion.chunk","created":1,"model":"x","choices":"#;
    format!("data: {head}{rest}}}\n\n")
}

fn word() -> String {
    event(r#"[{"index":0,"delta":{"content":"word "},"finish_reason":null}]"#)
}

fn written(ledger: &Ledger) {
    eventually("everything is written", || {
        ledger
            .gateway
            .metrics()
            .contains("tidegate_ledger_pending 0")
    });
}

/// The only row of the ledger, once it is there.
fn only(ledger: &Ledger) -> UsageRow {
    eventually("the call is written", || {
        ledger.usage(&[UsageBy::Provider]).len() == 1
    });
    ledger.usage(&[UsageBy::Provider]).remove(0)
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

#[test]
fn leaving_a_stream_in_silence_is_charged_by_its_time() {
    let one = streaming(|stream| {
        let _ = stream.write_all(b": thinking\n\n");
        let _ = stream.read(&mut [0; 1]);
    });
    let ledger = ledger(
        one.address,
        super::nowhere(),
        "targets: [{ provider: one, model: first }]",
    );
    let mut caller: Caller = ledger.caller();
    caller.send(CHAT, STREAM);
    caller.first_byte();
    std::thread::sleep(Duration::from_millis(300));
    drop(caller);
    let row = only(&ledger);
    // At 200 tokens a second, and no more than the caller allows.
    assert!((60..=100).contains(&row.output_tokens), "{row:?}");
    assert_eq!(row.estimated, 1);
}

#[test]
fn leaving_a_stream_in_its_text_is_charged_by_its_text() {
    let one = streaming(|stream| {
        let _ = stream.write_all(word().as_bytes());
        let _ = stream.read(&mut [0; 1]);
    });
    let ledger = ledger(
        one.address,
        super::nowhere(),
        "targets: [{ provider: one, model: first }]",
    );
    let request = STREAM.replace("\"max_tokens\":100", "\"max_tokens\":9999");
    let mut caller: Caller = ledger.caller();
    caller.send(CHAT, &request);
    caller.first_byte();
    std::thread::sleep(Duration::from_millis(2_500));
    drop(caller);
    let row = only(&ledger);
    // The time after the first token, which would be 500 and more, is told by what came in it.
    assert!((1..400).contains(&row.output_tokens), "{row:?}");
}

#[test]
fn a_stream_that_went_on_elsewhere_leaves_its_usage_with_whom_it_is_of() {
    let used =
        event(r#"[],"usage":{"prompt_tokens":1000,"completion_tokens":50,"total_tokens":1050}"#);
    let first = format!("{}{used}", word());
    let one = streaming(move |stream| {
        let _ = stream.write_all(first.as_bytes());
    });
    let stop = event(r#"[{"index":0,"delta":{},"finish_reason":"stop"}]"#);
    let two = Provider::with(crate::cassettes::Reply {
        status: 200,
        headers: "content-type: text/event-stream\r\n".into(),
        pieces: vec![format!("{}{stop}data: [DONE]\n\n", word()).into()],
    });
    let ledger = ledger(
        one.address,
        two.address,
        "strategy: { priority: {} }\n    resume: true\n    \
         targets: [{ provider: one, model: first }, { provider: two, model: second }]",
    );
    let answer = ledger.caller().post(CHAT, STREAM);
    assert!(answer.complete, "{answer:?}");
    eventually("both are written", || {
        ledger.usage(&[UsageBy::Provider]).len() == 2
    });
    let rows = ledger.usage(&[UsageBy::Provider]);
    let of = |name: &str| rows.iter().find(|row| row.names == [name]).unwrap();
    let (broken, went_on) = (of("one"), of("two"));
    assert_eq!(
        (
            broken.input_tokens,
            broken.output_tokens,
            broken.cost_picodollars
        ),
        (1_000, 50, COST),
        "{broken:?}"
    );
    assert_eq!(went_on.estimated, 1, "{went_on:?}");
    assert!(went_on.input_tokens < 1_000, "{went_on:?}");
    assert!((1..50).contains(&went_on.output_tokens), "{went_on:?}");
}
