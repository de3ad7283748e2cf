//! The policy on exchanges: requests, whole answers, streams, and guards elsewhere.

use super::*;
use crate::testing::{Harness, Script, VerdictExt, response};
use gate_flow::{FetchError, Fetched, GuardVerdict};
use gate_kit::http::{BodyErrorKind, Frame, frame};
use gate_model::finding::Finding;

const REDACT: &str = "rules: [{ find: { patterns: [email, card] }, action: redact }]";
const JSON: (&str, &str) = ("content-type", "application/json");
const SSE: (&str, &str) = ("content-type", "text/event-stream");
const URL: &str = "http://guard.test/check";

/// A chat request with this text on an exchange.
fn asking(harness: &Harness, text: &str) -> Exchange {
    let mut exchange = harness.exchange("POST /v1/chat/completions");
    exchange.request.body = chat(text).into_bytes_body();
    exchange
}

trait IntoBody {
    fn into_bytes_body(self) -> Body;
}

impl IntoBody for String {
    fn into_bytes_body(self) -> Body {
        Body::from(Chunk::from(self))
    }
}

fn chat(text: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#)
}

fn answered(text: &str) -> String {
    format!(r#"{{"choices":[{{"index":0,"message":{{"content":"{text}"}}}}]}}"#)
}

fn delta(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

/// Everything a body holds, and how it ends.
fn read(harness: &Harness, body: &mut Body) -> (String, Option<BodyErrorKind>) {
    harness.block_on(async {
        let mut text = String::new();
        loop {
            match frame(body).await {
                Some(Ok(Frame::Data(chunk))) => text.push_str(std::str::from_utf8(&chunk).unwrap()),
                Some(Err(error)) => return (text, Some(error.kind)),
                _ => return (text, None),
            }
        }
    })
}

fn verdicts(exchange: &Exchange) -> Vec<(String, &'static str, &'static str, u32)> {
    let facts = exchange.guard.as_ref().expect("a guard looked").borrow();
    let row = |v: &GuardVerdict| (v.rule.to_string(), v.point, v.action, v.count);
    facts.verdicts.iter().map(row).collect()
}

fn wrong(yaml: &str) -> Finding {
    Harness::new()
        .compile::<Guard>(yaml)
        .err()
        .unwrap_or_else(|| panic!("accepted: {yaml}"))
}

#[test]
fn a_value_goes_as_a_placeholder_and_comes_back() {
    let harness = Harness::new();
    let policy = harness.policy::<Guard>(REDACT);
    let mut exchange = asking(&harness, "I am jane@example.com");
    assert!(harness.request(&policy, &mut exchange).is_next());
    let (sent, _) = read(&harness, &mut exchange.request.body);
    assert_eq!(sent, chat("I am [EMAIL_1]"));
    let whole = answered("Hello [EMAIL_1]").into_bytes_body();
    let mut out = harness.respond(&policy, &mut exchange, response(200, &[JSON], whole));
    assert_eq!(
        read(&harness, &mut out.body).0,
        answered("Hello jane@example.com")
    );
    assert_eq!(
        verdicts(&exchange),
        [("email".into(), "request", "redact", 1)]
    );
}

#[test]
fn a_stream_gives_values_back_wherever_it_is_cut() {
    let stream = [
        delta("Hello [EMA"),
        delta("IL_1], bye"),
        "data: [DONE]\n\n".into(),
    ]
    .concat();
    let expected = [
        delta("Hello jane@example.com"),
        delta(", bye"),
        "data: [DONE]\n\n".into(),
    ]
    .concat();
    for at in 1..stream.len() {
        let harness = Harness::new();
        let policy = harness.policy::<Guard>(REDACT);
        let mut exchange = asking(&harness, "I am jane@example.com");
        assert!(harness.request(&policy, &mut exchange).is_next());
        let script = Script::of(&[&stream[..at], "", &stream[at..]]);
        let mut out = harness.respond(&policy, &mut exchange, response(200, &[SSE], script.body()));
        assert_eq!(
            read(&harness, &mut out.body),
            (expected.clone(), None),
            "cut at {at}"
        );
    }
}

#[test]
fn what_blocks_refuses_the_request_or_the_answer() {
    let harness = Harness::new();
    let yaml = "rules: [{ name: keys, find: { patterns: [secret] }, action: block }]";
    let policy = harness.policy::<Guard>(yaml);
    let mut exchange = asking(&harness, "my key AKIAIOSFODNN7EXAMPLE");
    let fault = harness
        .request(&policy, &mut exchange)
        .refused()
        .expect("refused");
    assert_eq!(fault.code, FaultCode::GuardBlocked);
    assert!(
        fault.message.contains("`keys`") && !fault.message.contains("AKIA"),
        "{fault:?}"
    );
    assert_eq!(
        verdicts(&exchange),
        [("keys".into(), "request", "block", 1)]
    );

    let mut exchange = asking(&harness, "tell me a key");
    assert!(harness.request(&policy, &mut exchange).is_next());
    let mut whole = response(
        200,
        &[JSON],
        answered("AKIAIOSFODNN7EXAMPLE").into_bytes_body(),
    );
    let later = policy
        .answer(&mut exchange, &mut whole)
        .expect("a whole body is waited for");
    let fault = harness.block_on(later).expect_err("refused");
    assert_eq!(fault.code, FaultCode::GuardBlocked);
    assert_eq!(
        verdicts(&exchange),
        [("keys".into(), "response", "block", 1)]
    );
}

#[test]
fn what_blocks_ends_a_stream_and_its_source() {
    let harness = Harness::new();
    let policy =
        harness.policy::<Guard>("rules: [{ find: { patterns: [secret] }, action: block }]");
    let mut exchange = asking(&harness, "tell me a key");
    assert!(harness.request(&policy, &mut exchange).is_next());
    let (a, b, c) = (
        delta("fine so far, AKIAIO"),
        delta("SFODNN7EXAMPLE "),
        delta("and more"),
    );
    let script = Script::of(&[&delta("well, "), &a, "", &b, &c]);
    let mut out = harness.respond(&policy, &mut exchange, response(200, &[SSE], script.body()));
    let (text, end) = read(&harness, &mut out.body);
    assert_eq!(end, None);
    assert!(
        text.starts_with(&delta("well, ")) && text.contains("guard_blocked"),
        "{text}"
    );
    assert!(!text.contains("AKIA") && !text.contains("more"), "{text}");
    let facts = exchange.guard.as_ref().expect("looked").borrow();
    assert!(facts.cut);
}

#[test]
fn a_stream_that_breaks_says_so_after_what_it_had() {
    let harness = Harness::new();
    let policy = harness.policy::<Guard>("rules: [{ find: { patterns: [email] }, action: mask }]");
    let mut exchange = asking(&harness, "hi");
    assert!(harness.request(&policy, &mut exchange).is_next());
    let mut script = Script::of(&[&delta("half")]);
    let error = gate_kit::http::BodyError::new(BodyErrorKind::Disconnected, "gone");
    script.steps.push_back(Some(Err(error)));
    let mut out = harness.respond(&policy, &mut exchange, response(200, &[SSE], script.body()));
    assert_eq!(
        read(&harness, &mut out.body),
        (delta("half"), Some(BodyErrorKind::Disconnected))
    );
}

#[test]
fn observing_changes_nothing_and_notes_everything() {
    let harness = Harness::new();
    let yaml = "mode: observe\nrules: [{ find: { patterns: [email] }, action: block }]";
    let policy = harness.policy::<Guard>(yaml);
    let mut exchange = asking(&harness, "a@b.co and c@d.co");
    assert!(harness.request(&policy, &mut exchange).is_next());
    assert_eq!(
        read(&harness, &mut exchange.request.body).0,
        chat("a@b.co and c@d.co")
    );
    assert_eq!(
        verdicts(&exchange),
        [("email".into(), "request", "observe", 2)]
    );
}

#[test]
fn a_large_body_is_checked_off_the_worker() {
    let harness = Harness::new();
    let policy = harness.policy::<Guard>(REDACT);
    let text = format!("{} a@b.co", "word ".repeat(20_000));
    let mut exchange = asking(&harness, &text);
    assert!(harness.request(&policy, &mut exchange).is_next());
    let (sent, _) = read(&harness, &mut exchange.request.body);
    assert!(
        sent.ends_with("word  [EMAIL_1]\"}]}"),
        "{}",
        &sent[sent.len() - 40..]
    );
}

#[test]
fn what_cannot_be_read_is_refused_unless_it_may_pass() {
    let harness = Harness::new();
    for (extra, path, passes) in [
        ("", "POST /v1/files", false),
        ("\nunread: pass", "POST /v1/files", true),
        ("", "GET /v1/models", true),
        ("", "POST /nowhere", true),
        ("\nmode: observe", "POST /v1/files", true),
    ] {
        let policy = harness.policy::<Guard>(&format!("{REDACT}{extra}"));
        let verdict = harness.request(&policy, &mut harness.exchange(path));
        assert_eq!(verdict.is_next(), passes, "{extra} {path}");
    }
    let policy = harness.policy::<Guard>(REDACT);
    let mut exchange = harness.exchange("POST /v1/embeddings");
    exchange.request.body = r#"{"model":"e","input":["x a@b.co"]}"#.to_owned().into_bytes_body();
    assert!(harness.request(&policy, &mut exchange).is_next());
    assert_eq!(
        read(&harness, &mut exchange.request.body).0,
        r#"{"model":"e","input":["x [EMAIL_1]"]}"#
    );
    let mut exchange = harness.exchange("POST /v1/messages");
    exchange.request.body = "no JSON".to_owned().into_bytes_body();
    let fault = harness
        .request(&policy, &mut exchange)
        .refused()
        .expect("refused");
    assert_eq!(fault.code, FaultCode::InvalidBody);
}

#[test]
fn a_compressed_answer_is_refused_not_passed() {
    let harness = Harness::new();
    let policy = harness.policy::<Guard>(REDACT);
    let mut exchange = asking(&harness, "hi");
    assert!(harness.request(&policy, &mut exchange).is_next());
    let headers = [JSON, ("content-encoding", "gzip")];
    let mut whole = response(200, &headers, answered("x").into_bytes_body());
    let later = policy.answer(&mut exchange, &mut whole).expect("an answer");
    assert_eq!(
        harness.block_on(later).expect_err("refused").code,
        FaultCode::PolicyFailed
    );
    let mut exchange = asking(&harness, "jane@example.com");
    assert!(harness.request(&policy, &mut exchange).is_next());
    let headers = [("content-type", "application/x-unknown")];
    let mut strange = response(200, &headers, answered("x").into_bytes_body());
    let later = policy
        .answer(&mut exchange, &mut strange)
        .expect("an answer");
    let fault = harness.block_on(later).expect_err("unread, so refused");
    assert_eq!(fault.code, FaultCode::PolicyFailed);
}

/// The whole of a stream whose chunks wait between each other.
fn checked_stream(yaml: &str, request: String, pieces: &[&str]) -> (String, Vec<&'static str>) {
    let harness = Harness::new();
    let policy = harness.policy::<Guard>(yaml);
    let mut exchange = asking(&harness, "x");
    exchange.request.body = request.into_bytes_body();
    assert!(harness.request(&policy, &mut exchange).is_next());
    let script = Script::of(pieces);
    let mut out = harness.respond(&policy, &mut exchange, response(200, &[SSE], script.body()));
    let (text, _) = read(&harness, &mut out.body);
    let actions = verdicts(&exchange).into_iter().map(|row| row.2).collect();
    (text, actions)
}

#[test]
fn a_stream_waits_for_its_form_and_only_for_that() {
    let schema = r#"{"type":"object","required":["n"]}"#;
    let request = chat("x").replace(
        "\"messages\"",
        &format!("\"response_format\":{{\"type\":\"json_schema\",\"json_schema\":{{\"name\":\"a\",\"schema\":{schema}}}}},\"messages\""),
    );
    let stop = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let thought =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n";
    let (one, two) = (delta("{\\\"n\\\":"), delta("1}"));
    let long = delta(&" ".repeat(20_000));
    let form = "rules: [{ find: { schema: {} }, action: block }]";
    let pieces = [thought, &one, "", &two, &long, stop, "data: [DONE]\n\n"];
    let (text, actions) = checked_stream(form, request.clone(), &pieces);
    assert_eq!((text, actions), (pieces.concat(), vec![]));
    let broken = [thought, &one, stop, "data: [DONE]\n\n"];
    let (text, actions) = checked_stream(form, request.clone(), &broken);
    assert!(
        text.starts_with(thought) && text.contains("guard_blocked"),
        "{text}"
    );
    assert!(
        !text.contains("\\\"n") && !text.contains("[DONE]"),
        "{text}"
    );
    assert_eq!(actions, ["block"]);
    let observing = form.replace("block", "observe");
    let (text, actions) = checked_stream(&observing, request, &broken);
    assert_eq!((text, actions), (broken.concat(), vec!["observe"]));
}

fn verdict(status: u16, body: &str) -> Result<Fetched, FetchError> {
    Ok(Fetched {
        status,
        max_age: None,
        body: body.into(),
    })
}

fn elsewhere(more: &str) -> String {
    format!(
        "rules: [{{ name: away, find: {{ http: {{ url: \"{URL}\"{more} }} }}, action: block }}]"
    )
}

#[test]
fn a_guard_elsewhere_decides_and_its_failure_is_decided_here() {
    let block = r#"{"verdict":"block","reason":"because"}"#;
    for (answer, more, code) in [
        (verdict(200, r#"{"verdict":"pass"}"#), "", None),
        (verdict(200, block), "", Some(FaultCode::GuardBlocked)),
        (verdict(500, block), "", Some(FaultCode::PolicyFailed)),
        (verdict(200, "maybe"), "", Some(FaultCode::PolicyFailed)),
        (
            Err(FetchError("down".into())),
            "",
            Some(FaultCode::PolicyFailed),
        ),
        (Err(FetchError("down".into())), ", on_failure: pass", None),
        (
            verdict(200, r#"{"verdict":"pass"}"#),
            ", text: 3B",
            Some(FaultCode::PolicyFailed),
        ),
    ] {
        let harness = Harness::new();
        harness.services.answer_only(URL, answer.clone());
        let policy = harness.policy::<Guard>(&elsewhere(more));
        let verdict = harness.request(&policy, &mut asking(&harness, "hello"));
        assert_eq!(
            verdict.refused().map(|fault| fault.code),
            code,
            "{answer:?}{more}"
        );
    }
    let harness = Harness::new();
    harness
        .services
        .answer(URL, verdict(200, r#"{"verdict":"pass"}"#));
    let policy = harness.policy::<Guard>(&elsewhere(""));
    assert!(
        harness
            .request(&policy, &mut asking(&harness, "he\\u006clo"))
            .is_next()
    );
    let fetched = harness.services.fetched.borrow();
    let body = &fetched[0].post.as_ref().expect("a POST").body;
    let question: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    assert_eq!(
        (&question["text"], &question["point"]),
        (&"hello".into(), &"request".into())
    );
}

#[test]
fn a_stream_waits_for_a_guard_elsewhere_window_by_window() {
    let pass = r#"{"verdict":"pass"}"#;
    for (second, leaves) in [(pass, true), (r#"{"verdict":"block"}"#, false)] {
        let harness = Harness::new();
        harness.services.answer(URL, verdict(200, pass));
        harness.services.answer(URL, verdict(200, pass));
        harness.services.answer(URL, verdict(200, second));
        let policy = harness.policy::<Guard>(&elsewhere(", window: 10B"));
        let mut exchange = asking(&harness, "hello");
        assert!(harness.request(&policy, &mut exchange).is_next());
        let script = Script::of(&[
            &delta("first one "),
            &delta("sec"),
            "",
            &delta("ond"),
            "data: [DONE]\n\n",
        ]);
        let mut out = harness.respond(&policy, &mut exchange, response(200, &[SSE], script.body()));
        let (text, _) = read(&harness, &mut out.body);
        assert!(text.starts_with(&delta("first one ")), "{text}");
        assert_eq!(
            (text.contains("ond"), text.contains("guard_blocked")),
            (leaves, !leaves),
            "{text}"
        );
    }
}

#[test]
fn a_model_judges() {
    let models = "providers: { p: { openai: { credentials: [] } } }\n\
        models: { small: { targets: [{ provider: p, model: x }] } }\n\
        routes: { r: { target: { models: [small] } } }";
    for (text, more, code) in [
        ("good", "", None),
        ("bad", "", Some(FaultCode::GuardBlocked)),
        ("mute", "", Some(FaultCode::PolicyFailed)),
        ("mute", ", on_failure: pass", None),
    ] {
        let harness = Harness::new().resources(models);
        let yaml = format!(
            "rules: [{{ find: {{ judge: {{ model: small, block_if: is bad{more} }} }}, action: block }}]"
        );
        let policy = harness.policy::<Guard>(&yaml);
        let verdict = harness.request(&policy, &mut asking(&harness, text));
        assert_eq!(
            verdict.refused().map(|fault| fault.code),
            code,
            "{text}{more}"
        );
    }
    let harness = Harness::new().resources(models);
    let yaml = "rules: [{ find: { judge: { model: smal, block_if: x } }, action: block }]";
    let finding = harness.compile::<Guard>(yaml).err().expect("refused");
    assert!(
        finding.message.contains("did you mean `small`?"),
        "{finding}"
    );
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for (yaml, words) in [
        ("rules: []", "1 to 256 rules"),
        (
            "rules: [{ find: { patterns: [] }, action: mask }]",
            "names none",
        ),
        ("rules: [{ find: { regex: 'a+' }, action: mask }]", "{1,64}"),
        (
            "rules: [{ find: { size: 1KiB }, action: redact }]",
            "nothing to redact",
        ),
        (
            "rules: [{ find: { words: { list: [] } }, action: mask }]",
            "lists none",
        ),
        (
            "rules: [{ find: { words: { file: w.txt } }, action: mask }]",
            "w.txt",
        ),
        (
            "rules: [{ find: { http: { url: 'ftp://x' } }, action: block }]",
            "http://",
        ),
        (
            "rules: [{ find: { http: { url: 'http://x' } }, action: redact }]",
            "observed or block",
        ),
        (
            "rules: [{ find: { schema: {} }, at: [request], action: block }]",
            "`response` and `tool_call`",
        ),
        (
            "rules: [{ find: { schema: {} }, action: mask }]",
            "observed or block",
        ),
        (
            "rules: [{ find: { schema: { file: s.json } }, action: block }]",
            "s.json",
        ),
        (
            "mode: sample\nshare: 0%\nrules: [{ find: { patterns: [ip] }, action: mask }]",
            "nothing",
        ),
    ] {
        let finding = wrong(yaml);
        assert!(finding.message.contains(words), "{yaml}: {finding}");
    }
    let upstream = "upstreams: { u: { endpoints: ['127.0.0.1:9'] } }\nroutes: { r: { target: { upstream: u } } }";
    let harness = Harness::new().resources(upstream);
    let finding = harness.compile::<Guard>(REDACT).err().expect("refused");
    assert!(
        finding.message.contains("only routes to models"),
        "{finding}"
    );
}
