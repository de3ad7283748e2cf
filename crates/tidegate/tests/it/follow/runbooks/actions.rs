//! Each action by hand: seen in traffic, and over by itself.

use super::*;

/// How long actions last here: long enough to be seen, short enough to be waited for.
const LASTS: &str = "6s";

fn act(desk: &Desk, arguments: &[&str]) -> String {
    let more = ["--for", LASTS, "--reason", "a test"];
    desk.run(&[&["actions"], arguments, &more].concat(), 0)
}

#[test]
fn an_endpoint_is_ejected_for_a_while() {
    let (good, bad) = (Service::start("good"), Service::start("bad"));
    let desk = desk("");
    desk.apply_document(&balanced(good.address(), bad.address()));
    fleet::eventually_serves(&desk.node, "bad");
    let said = act(&desk, &["eject", "service", bad.address()]);
    assert!(said.contains("eject"), "{said}");
    (0..30).for_each(|_| fleet::serves(&desk.node, "good"));
    let only = desk.run(
        &[
            "actions",
            "eject",
            "service",
            good.address(),
            "--for",
            "5s",
            "--reason",
            "x",
        ],
        1,
    );
    assert!(
        only.contains("no other endpoint of `service` can be called"),
        "{only}"
    );
    fleet::eventually_serves(&desk.node, "bad");
    eventually("it is over", || desk.actions().is_empty());
    let audit = desk.run(&["audit"], 0);
    assert!(audit.contains("undoAction"), "{audit}");
    let unknown = desk.run(
        &[
            "actions",
            "eject",
            "service",
            "127.0.0.1:1",
            "--for",
            "5s",
            "--reason",
            "x",
        ],
        1,
    );
    assert!(unknown.contains("has no endpoint"), "{unknown}");
    assert!(desk.actions().is_empty());
}

#[test]
fn an_action_reaches_every_gateway_and_outlives_one() {
    let (good, bad) = (Service::start("good"), Service::start("bad"));
    let mut desk = desk("");
    let other = desk.fleet.node("b", &[]);
    desk.apply_document(&balanced(good.address(), bad.address()));
    fleet::eventually_serves(&desk.node, "bad");
    fleet::eventually_serves(&other, "bad");
    let arguments = [
        "actions",
        "eject",
        "service",
        bad.address(),
        "--for",
        "1h",
        "--reason",
        "x",
    ];
    desk.run(&arguments, 0);
    let twenty =
        |node: &crate::support::Gateway| (0..20).all(|_| fleet::ask(node, &[]).body == "good");
    eventually("the other gateway hears of it", || twenty(&other));
    desk.kill();
    eventually("a gateway that starts again hears of it", || {
        twenty(&desk.node)
    });
    let id = desk.actions()[0]["id"].as_str().unwrap().to_owned();
    desk.run(&["actions", "undo", &id], 0);
    fleet::eventually_serves(&desk.node, "bad");
    fleet::eventually_serves(&other, "bad");
}

#[test]
fn what_is_least_important_is_shed_for_a_while() {
    let desk = desk("");
    desk.apply_document(&fixed("served"));
    fleet::eventually_serves(&desk.node, "served");
    let low = "request.headers['x-priority'] == 'low'";
    act(&desk, &["shed", low, "--route", "all"]);
    assert_eq!(with_header(&desk, "x-priority: low"), 503);
    assert_eq!(with_header(&desk, "x-priority: high"), 200);
    eventually("it is over", || {
        with_header(&desk, "x-priority: low") == 200
    });
    let wrong = [
        "actions",
        "shed",
        "nonsense ==",
        "--for",
        "5s",
        "--reason",
        "x",
    ];
    desk.run(&wrong, 1);
    assert!(desk.actions().is_empty());
}

#[test]
fn concurrency_is_lowered_and_raised_for_a_while() {
    let slow = Upstream::start(|_| Reply::text("slow").after(Duration::from_millis(500)));
    let desk = desk("");
    let mut document = fixed("unused");
    document["upstreams"] = json!({ "service": { "endpoints": [slow.address], "concurrency": 3 } });
    document["routes"]["all"]["target"] = json!({ "upstream": "service" });
    desk.apply_document(&document);
    fleet::eventually_serves(&desk.node, "slow");
    // How many of so many at once are answered.
    let answered = |count: usize| {
        let callers: Vec<_> = (0..count)
            .map(|_| {
                let url = format!("http://{}/", desk.node.late_address("public"));
                std::thread::spawn(move || curl(&["--max-time", "20", &url]).status)
            })
            .collect();
        let statuses = callers.into_iter().map(|caller| caller.join().unwrap());
        statuses.filter(|status| *status == 200).count()
    };
    act(&desk, &["concurrency", "service", "1"]);
    eventually("fewer are let through", || answered(3) < 3);
    eventually("it is over", || answered(3) == 3);
    let many = [
        "actions",
        "concurrency",
        "service",
        "20",
        "--for",
        "1h",
        "--reason",
        "x",
    ];
    desk.run(&many, 0);
    eventually("more are let through", || answered(8) == 8);
}

#[test]
fn changes_are_frozen_for_a_while() {
    let desk = desk("");
    desk.apply_document(&fixed("one"));
    fleet::eventually_serves(&desk.node, "one");
    act(&desk, &["freeze"]);
    let refused = desk.try_document(&fixed("two"), 1);
    assert!(
        refused.contains("gate_shut") && refused.contains("a test"),
        "{refused}"
    );
    let file = desk.write("document.json", &fixed("two").to_string());
    eventually("changes pass again", || {
        desk.run_any(&["apply", &file]);
        fleet::ask(&desk.node, &[]).body == "two"
    });
}

#[test]
fn a_revision_is_rolled_back_for_a_while() {
    let desk = desk("");
    desk.apply_document(&fixed("one"));
    fleet::eventually_serves(&desk.node, "one");
    desk.apply_document(&fixed("two"));
    fleet::eventually_serves(&desk.node, "two");
    act(&desk, &["roll-back"]);
    fleet::eventually_serves(&desk.node, "one");
    // Nobody confirms it, so that it goes forward again.
    fleet::eventually_serves(&desk.node, "two");
    let long = ["actions", "roll-back", "--for", "1h", "--reason", "x"];
    desk.run(&long, 0);
    fleet::eventually_serves(&desk.node, "one");
    let id = desk.actions().last().unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    desk.run(&["actions", "undo", &id], 0);
    fleet::eventually_serves(&desk.node, "two");
    // Confirmed, it stays.
    desk.run(&long, 0);
    fleet::eventually_serves(&desk.node, "one");
    desk.run(&["confirm"], 0);
    let id = desk.actions().last().unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    desk.run(&["actions", "undo", &id], 0);
    fleet::serves(&desk.node, "one");
}

#[test]
fn a_provider_is_failed_over_for_a_while() {
    let provider = |said: &'static str| {
        Upstream::start(move |_| {
            let body = json!({
                "id": "c", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{ "index": 0, "finish_reason": "stop",
                    "message": { "role": "assistant", "content": said } }],
                "usage": { "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5 },
            });
            Reply::text(body.to_string()).header("content-type", "application/json")
        })
    };
    let (first, second) = (provider("from the first"), provider("from the second"));
    let desk = desk("");
    let base = |one: &Upstream| json!({ "compatible": { "base_url": format!("http://{}/v1", one.address) } });
    let mut document = fixed("unused");
    document["providers"] = json!({ "first": base(&first), "second": base(&second) });
    document["models"] = json!({ "m": {
        "targets": [{ "provider": "first", "model": "x" }],
        "fallback": [{ "provider": "second", "model": "x" }],
    } });
    document["routes"]["all"]["target"] = json!({ "models": ["m"] });
    desk.apply_document(&document);
    let says = || {
        let url = format!(
            "http://{}/v1/chat/completions",
            desk.node.late_address("public")
        );
        let body = r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#;
        let json = "content-type: application/json";
        curl(&["--max-time", "20", "-H", json, "-d", body, &url]).body
    };
    eventually("the first answers", || says().contains("from the first"));
    act(&desk, &["fail-over", "first"]);
    assert!(says().contains("from the second"));
    eventually("it is over", || says().contains("from the first"));
    let unknown = [
        "actions",
        "fail-over",
        "third",
        "--for",
        "5s",
        "--reason",
        "x",
    ];
    desk.run(&unknown, 1);
    // Where nothing else can take a call, it is called all the same.
    let long = ["--for", "1h", "--reason", "x"];
    desk.run(&[&["actions", "fail-over", "first"], &long[..]].concat(), 0);
    desk.run(
        &[&["actions", "fail-over", "second"], &long[..]].concat(),
        0,
    );
    assert!(says().contains("from the"));
}
