//! The policy on exchanges: what is kept of bodies, and what of it can be read.

use super::*;
use crate::testing::{Harness, Script, VerdictExt, response};
use gate_kit::http::{Chunk, frame};

const BOTH: &str = "request: true\nresponse: true";
const JSON: (&str, &str) = ("content-type", "application/json");
const SSE: (&str, &str) = ("content-type", "text/event-stream");
const CHAT: &str = "POST /v1/chat/completions\ncontent-type: application/json";

fn harness() -> Harness {
    Harness::new().resources("gateway: { access_log: {} }")
}

fn drain(harness: &Harness, body: &mut Body) {
    harness.block_on(async { while frame(body).await.is_some_and(|frame| frame.is_ok()) {} });
}

/// What is kept of an exchange.
fn kept(yaml: &str, head: &str, request: &str, answer: (&str, &str), pieces: &[&str]) -> Bodies {
    let harness = harness();
    let policy = harness.policy::<RecordBodies>(yaml);
    let mut exchange = harness.exchange(head);
    exchange.request.body = Body::from(Chunk::from(request.to_owned()));
    assert!(harness.request(&policy, &mut exchange).is_next());
    drain(&harness, &mut exchange.request.body);
    let body = Script::of(pieces).body();
    let mut out = harness.respond(&policy, &mut exchange, response(200, &[answer], body));
    drain(&harness, &mut out.body);
    exchange
        .bodies
        .map(|bodies| bodies.take())
        .unwrap_or_default()
}

fn text(body: &Option<RecordedBody>) -> &str {
    body.as_ref().map_or("", RecordedBody::text)
}

#[test]
fn bodies_are_kept_redacted_and_bounded() {
    let request = r#"{"model":"m","messages":[{"role":"user","content":"I am jane@example.com, AKIAIOSFODNN7EXAMPLE"}]}"#;
    let answer = r#"{"choices":[{"message":{"content":"card 4111 1111 1111 1111"}}]}"#;
    let bodies = kept(BOTH, CHAT, request, JSON, &[&answer[..20], &answer[20..]]);
    assert_eq!(
        text(&bodies.request),
        r#"{"model":"m","messages":[{"role":"user","content":"I am ****@*******.***, ********************"}]}"#
    );
    assert_eq!(
        text(&bodies.response),
        r#"{"choices":[{"message":{"content":"card **** **** **** 1111"}}]}"#
    );
    let (request_kept, answer_kept) = (bodies.request.unwrap(), bodies.response.unwrap());
    assert_eq!(
        (request_kept.total, request_kept.is_truncated()),
        (request.len() as u64, false)
    );
    assert!(
        request_kept
            .messages()
            .unwrap()
            .contains("****@*******.***")
    );
    assert!(!answer_kept.is_truncated());
    // Cut in the middle of an address: what is cut off is looked at, too.
    for most in 1..request.len() {
        let bodies = kept(
            &format!("{BOTH}\nmax: {most}B"),
            CHAT,
            request,
            JSON,
            &["{}"],
        );
        let kept = bodies.request.expect("kept");
        assert!(kept.text().len() <= most && kept.is_truncated());
        assert!(
            !kept.text().contains("jane") && !kept.text().contains("AKIA"),
            "{}",
            kept.text()
        );
        assert_eq!(kept.messages(), None);
    }
}

#[test]
fn values_split_over_events_are_masked() {
    let delta = |text: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    };
    let events = [
        delta("I am ja"),
        delta("ne@exam"),
        delta("ple.com or"),
        delta(" so"),
    ];
    let pieces: Vec<&str> = events.iter().map(String::as_str).collect();
    let bodies = kept(BOTH, CHAT, "{}", SSE, &pieces);
    let text = text(&bodies.response);
    assert!(
        !text.contains("ja") && !text.contains("exam") && text.contains(" so"),
        "{text}"
    );
    let bodies = kept(&format!("{BOTH}\nredact: []"), CHAT, "{}", SSE, &pieces);
    let kept = bodies.response.expect("kept");
    assert_eq!(kept.text(), events.concat());
    assert!(
        kept.messages()
            .unwrap()
            .contains("I am jane@example.com or so")
    );
}

#[test]
fn only_what_is_asked_for_and_can_be_read_is_kept() {
    let bodies = kept("request: true", CHAT, "{\"a\":1}", JSON, &["{}"]);
    assert!(bodies.request.is_some() && bodies.response.is_none());
    let bodies = kept(
        "response: true",
        CHAT,
        "{}",
        ("content-type", "image/png"),
        &["x"],
    );
    assert!(bodies.request.is_none() && bodies.response.is_none());
    let plain = kept(
        BOTH,
        "POST /x\ncontent-type: text/plain",
        "hi a@b.co",
        JSON,
        &["{}"],
    );
    assert_eq!(text(&plain.request), "hi *@*.**");
    let zipped = kept(
        BOTH,
        "POST /x\ncontent-type: text/plain\ncontent-encoding: gzip",
        "hi",
        JSON,
        &["{}"],
    );
    assert!(zipped.request.is_none());
}

#[test]
fn what_waits_is_bounded_and_what_does_not_fit_is_counted() {
    let harness = harness();
    let policy = harness.policy::<RecordBodies>("request: true\nmax: 1MiB");
    let mut waiting = Vec::new();
    let dropped = (0..100).find_map(|_| {
        let mut exchange = harness.exchange(CHAT);
        exchange.request.body = Body::from(Chunk::from("{}".to_owned()));
        assert!(harness.request(&policy, &mut exchange).is_next());
        let bodies = exchange.bodies.take().expect("begun").take();
        let dropped = bodies.dropped;
        waiting.push(bodies);
        (dropped > 0).then_some(dropped)
    });
    assert_eq!(dropped, Some(1));
    assert_eq!(waiting.len(), 64, "63 of a MiB and a bit each fit");
    waiting.clear();
    let mut exchange = harness.exchange(CHAT);
    exchange.request.body = Body::from(Chunk::from("{}".to_owned()));
    assert!(harness.request(&policy, &mut exchange).is_next());
    assert_eq!(exchange.bodies.expect("begun").borrow().dropped, 0);
}

#[test]
fn settings_that_keep_nothing_are_refused() {
    for (yaml, words) in [
        ("{}", "neither `request` nor `response`"),
        ("request: true\nmax: 0B", "1 MiB"),
        ("request: true\nmax: 2MiB", "1 MiB"),
        ("request: true\nshare: 0%", "keeps nothing"),
    ] {
        let finding = harness().compile::<RecordBodies>(yaml).err();
        let finding = finding.unwrap_or_else(|| panic!("accepted: {yaml}"));
        assert!(finding.message.contains(words), "{yaml}: {finding}");
    }
    let finding = Harness::new()
        .compile::<RecordBodies>("request: true")
        .err();
    assert!(
        finding
            .expect("refused")
            .message
            .contains("none of them is configured")
    );
}
