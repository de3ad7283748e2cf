//! Gateways that follow an environment: real processes on one store, on SQLite and on PostgreSQL.
//!
//! Most changes are written straight into the store here, as any gateway's admin API would; what
//! counts is what the processes serve, say and keep. [`commands`] and its neighbours go through the
//! API and the command line.

mod apart;
mod canary;
mod certificates;
mod change;
mod commands;
mod delivery;
mod documents;
mod durations;
mod events;
mod experiments;
mod faces;
mod fleet;
mod forget;
mod incidents;
mod killed;
mod large;
pub(crate) mod load;
mod notices;
mod objectives;
mod places;
mod purge;
mod rollback;
mod rollouts;
mod runbooks;
mod sealed;
mod spend;
mod states;
mod versions;
mod writers;

use crate::support::{Gateway, eventually};
use change::Tap;
use fleet::{Fleet, fixed, revision};
use load::Load;
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn every_gateway_serves_what_the_environment_says() {
    for fleet in Fleet::all() {
        let (a, b) = (fleet.node("a", &[]), fleet.node("b", &[]));
        for node in [&a, &b] {
            let ready = fleet::admin(node, "/readyz");
            assert_eq!(ready.status, 503, "{ready:?}");
            assert!(ready.body.contains("no configuration"), "{ready:?}");
        }
        fleet.variables(&[("GREETING", "hello from main")]);
        let first = fleet.apply(fixed("${vars.GREETING}"));
        for node in [&a, &b] {
            fleet::eventually_serves(node, "hello from main");
            assert_eq!(fleet::admin(node, "/readyz").status, 200);
            let page = node.metrics();
            assert!(page.contains(&first.digest), "{page}");
        }
        let acks = fleet.acks_of(first.number, 2);
        assert!(
            acks.iter()
                .all(|ack| ack.applied && ack.digest == first.digest)
        );
        // A variable is no part of the revision, and takes effect all the same.
        fleet.variables(&[("GREETING", "hello again")]);
        fleet::eventually_serves(&a, "hello again");
        fleet::eventually_serves(&b, "hello again");
    }
}

#[test]
fn who_cannot_apply_a_revision_says_why_and_goes_on() {
    for fleet in Fleet::all() {
        let a = fleet.node("a", &[("ONLY_AT_A", "secret-of-a")]);
        let b = fleet.node("b", &[]);
        fleet.apply(fixed("one"));
        fleet::eventually_serves(&a, "one");
        fleet::eventually_serves(&b, "one");
        let mut second = fixed("two");
        second["providers"] =
            json!({ "x": { "openai": { "credentials": [{ "env": "ONLY_AT_A" }] } } });
        let second = fleet.apply(second);
        fleet::eventually_serves(&a, "two");
        let acks = fleet.acks_of(second.number, 2);
        let refused: Vec<_> = acks.iter().filter(|ack| !ack.applied).collect();
        assert_eq!(refused.len(), 1, "{acks:?}");
        assert!(refused[0].reason.contains("ONLY_AT_A"), "{refused:?}");
        assert!(!refused[0].reason.contains("secret-of-a"), "{refused:?}");
        fleet::serves(&b, "one");
        assert_eq!(fleet::admin(&b, "/readyz").status, 200);
        // A variable that is missing is a reason like any other.
        let third = fleet.apply(fixed("${vars.NOBODY_SET_ME}"));
        let acks = fleet.acks_of(third.number, 2);
        for ack in &acks {
            assert!(
                !ack.applied && ack.reason.contains("missing_variable"),
                "{acks:?}"
            );
        }
        fleet::serves(&a, "two");
        // What is right again is served by all.
        fleet.apply(fixed("four"));
        fleet::eventually_serves(&a, "four");
        fleet::eventually_serves(&b, "four");
    }
}

/// Revokes keys on two gateways and returns how long each took to be refused by both, counted from
/// when the store had acknowledged it.
fn revocations(fleet: &Fleet, rounds: u32) -> Vec<Duration> {
    let nodes = [fleet.node("a", &[]), fleet.node("b", &[])];
    let mut took = Vec::new();
    for round in 0..rounds {
        fleet.apply(change::with_key(round));
        let key = format!("authorization: Bearer {}", change::key(round));
        for node in &nodes {
            fleet::eventually_answers(node, &["-H", &key], 200);
        }
        fleet.apply(fixed("nobody may call").tap_auth());
        let revoked = Instant::now();
        for node in &nodes {
            fleet::eventually_answers(node, &["-H", &key], 401);
        }
        took.push(revoked.elapsed());
    }
    eprintln!("a revoked key was refused by both gateways after {took:?}");
    took
}

#[test]
fn a_revoked_key_is_refused_everywhere() {
    for fleet in Fleet::all() {
        assert_eq!(revocations(&fleet, 2).len(), 2);
    }
}

/// The bar; it counts on a machine that has nothing else to do.
#[test]
#[ignore = "a bar on time, for a quiet machine"]
fn a_revoked_key_is_refused_everywhere_within_a_second() {
    for fleet in Fleet::all() {
        let took = revocations(&fleet, 10);
        assert!(took.iter().all(|took| *took < Duration::from_secs(1)));
    }
}

/// While the store is down nobody can revoke a key, and the last good revision's keys count; a key
/// that was revoked as soon as the store was back is refused soon after.
#[test]
fn a_key_lives_on_while_the_store_is_down_and_not_longer() {
    let Some(fleet) = Fleet::postgres() else {
        return;
    };
    let nodes = [fleet.node("a", &[]), fleet.node("b", &[])];
    fleet.apply(change::with_key(0));
    let key = format!("authorization: Bearer {}", change::key(0));
    for node in &nodes {
        fleet::eventually_answers(node, &["-H", &key], 200);
    }
    fleet.stop();
    for node in &nodes {
        fleet::eventually_answers(node, &["-H", &key], 200);
    }
    fleet.start();
    fleet.apply(fixed("nobody may call").tap_auth());
    let revoked = Instant::now();
    for node in &nodes {
        fleet::eventually_answers(node, &["-H", &key], 401);
    }
    let took = revoked.elapsed();
    eprintln!("a key that was revoked after the store came back was refused after {took:?}");
}

#[test]
fn the_last_good_revision_is_served_without_the_store() {
    let Some(fleet) = Fleet::postgres() else {
        return;
    };
    let mut node = fleet.node("a", &[]);
    let kept = fleet.apply(fixed("kept"));
    fleet::eventually_serves(&node, "kept");
    fleet.acks_of(kept.number, 1);
    // Refused ones are not kept.
    let refused = fleet.apply(json!({ "routes": { "x": { "target": { "upstream": "none" } } } }));
    fleet.acks_of(refused.number, 1);
    let folder = node.folder.clone();
    node.process.child.kill().unwrap();
    node.process.ended();
    fleet.stop();
    let node = fleet.restart(folder.clone(), &[]);
    fleet::eventually_serves(&node, "kept");
    assert_eq!(fleet::admin(&node, "/readyz").status, 200);
    // A file that is not whole is as good as none: not ready rather than wrong.
    drop(node);
    std::fs::write(folder.path().join("last-good.json"), "{\"format\":1").unwrap();
    let node = fleet.restart(folder, &[]);
    assert_eq!(fleet::admin(&node, "/readyz").status, 503);
    fleet.start();
    fleet.apply(fixed("back again"));
    fleet::eventually_serves(&node, "back again");
    assert_eq!(fleet::admin(&node, "/readyz").status, 200);
}

/// The value of a family without labels on the metrics page.
fn metric(node: &Gateway, name: &str) -> f64 {
    let page = node.metrics();
    let line = page
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{page}"));
    line.rsplit(' ').next().unwrap().parse().expect("a number")
}

#[test]
fn the_stores_silence_is_told_while_requests_are_served() {
    let Some(fleet) = Fleet::postgres() else {
        return;
    };
    let node = fleet.node("a", &[]);
    fleet.apply(fixed("served"));
    fleet::eventually_serves(&node, "served");
    assert_eq!(metric(&node, "tidegate_store_unreachable_seconds"), 0.0);
    eventually("the store has answered", || {
        metric(&node, "tidegate_store_contact_timestamp_seconds") > 1.7e9
    });
    let contact = metric(&node, "tidegate_store_contact_timestamp_seconds");
    fleet.stop();
    eventually("the silence is counted", || {
        fleet::serves(&node, "served");
        metric(&node, "tidegate_store_unreachable_seconds") > 1.0
    });
    let said = node.process.line_with("the store does not answer");
    assert!(
        said.contains("revision") && said.contains("silent_s"),
        "{said}"
    );
    fleet.start();
    eventually("the silence is over", || {
        fleet::serves(&node, "served");
        metric(&node, "tidegate_store_unreachable_seconds") == 0.0
    });
    assert!(metric(&node, "tidegate_store_contact_timestamp_seconds") > contact);
}

#[test]
fn a_store_that_stops_and_starts_is_noticed_by_no_request() {
    let Some(fleet) = Fleet::postgres() else {
        return;
    };
    let node = fleet.node("a", &[]);
    fleet.apply(fixed("one"));
    fleet::eventually_serves(&node, "one");
    let load = Load::start(&node.late_address("public"), 4);
    fleet.stop();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(fleet::admin(&node, "/readyz").status, 200);
    fleet.start();
    fleet.apply(fixed("two"));
    fleet::eventually_serves(&node, "two");
    let answers = load.end();
    answers.expect_only(&["one", "two"]);
}

#[test]
fn revisions_change_under_load_without_losing_a_request() {
    for fleet in Fleet::all() {
        let node = fleet.node("a", &[]);
        fleet.apply(fixed("one"));
        fleet::eventually_serves(&node, "one");
        let load = Load::start(&node.late_address("public"), 4);
        for body in ["two", "one"].repeat(5) {
            fleet.apply(fixed(body));
            fleet::eventually_serves(&node, body);
        }
        load.end().expect_only(&["one", "two"]);
    }
}

#[test]
fn what_is_not_confirmed_goes_back_by_itself_though_its_gateway_died() {
    for fleet in Fleet::all() {
        let (mut a, b) = (fleet.node("a", &[]), fleet.node("b", &[]));
        let good = fleet.apply(fixed("confirmed"));
        fleet::eventually_serves(&a, "confirmed");
        fleet::eventually_serves(&b, "confirmed");
        fleet.apply_until(fixed("on trial"), Duration::from_secs(4));
        fleet::eventually_serves(&a, "on trial");
        fleet::eventually_serves(&b, "on trial");
        a.process.child.kill().unwrap();
        a.process.ended();
        fleet::eventually_serves(&b, "confirmed");
        let row = fleet.row();
        assert_eq!(row.confirm_until_ms, None);
        let now = fleet.revision(row.revision.unwrap());
        assert_eq!(now.cause, gate_store::control::Cause::Revert);
        assert_eq!(now.digest, good.digest);
        assert!(
            now.number > good.number,
            "going back is a revision of its own"
        );
        // Confirmed in time, it stays.
        fleet.apply_until(fixed("here to stay"), Duration::from_secs(3));
        fleet::eventually_serves(&b, "here to stay");
        fleet.confirm();
        std::thread::sleep(Duration::from_secs(4));
        fleet::serves(&b, "here to stay");
    }
}

#[test]
fn a_gateway_killed_while_it_applies_comes_back_whole() {
    for fleet in Fleet::all() {
        let bodies = ["x".repeat(40_000), "y".repeat(40_000)];
        fleet.apply(fixed(&bodies[0]));
        let mut node = fleet.node("a", &[]);
        for round in 0..8_u32 {
            let body = &bodies[(round as usize + 1) % 2];
            fleet.apply(fixed(body));
            std::thread::sleep(Duration::from_millis(u64::from(round) * 37));
            let folder = node.folder.clone();
            node.process.child.kill().unwrap();
            node.process.ended();
            node = fleet.restart(folder, &[]);
            fleet::eventually_serves(&node, body);
        }
        let last = fleet.row().revision.unwrap();
        let acks = fleet.acks_of(last, 1);
        assert!(acks.iter().any(|ack| ack.applied), "{acks:?}");
    }
}

#[test]
fn a_file_beside_an_environment_is_refused_and_changes_of_it_take_effect() {
    let Some(fleet) = Fleet::all().into_iter().next() else {
        return;
    };
    let node = fleet.node("a", &[]);
    let first = fleet.apply(fixed("one"));
    fleet::eventually_serves(&node, "one");
    node.rewrite(|text| format!("{text}\nroutes: {{}}\n"));
    node.process.line_with("two_sources");
    fleet::serves(&node, "one");
    node.rewrite(|text| {
        text.replace("\nroutes: {}\n", "")
            .replace("workers: 1", "workers: 1, drain: 7s")
    });
    node.process.line_with("configuration applied");
    fleet::serves(&node, "one");
    let page = node.metrics();
    assert!(page.contains(&first.digest), "the revision stays: {page}");
    assert_eq!(revision(&page), Some(first.number));
}

#[test]
fn a_secret_that_changed_is_a_revision_of_its_own() {
    for fleet in Fleet::all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "first").unwrap();
        let (a, b) = (fleet.node("a", &[]), fleet.node("b", &[]));
        let mut document = fixed("served");
        document["providers"] = json!({ "x": { "openai": { "credentials": [{ "file": file }] } } });
        let before = fleet.apply(document);
        fleet::eventually_serves(&a, "served");
        fleet::eventually_serves(&b, "served");
        std::fs::write(&file, "second").unwrap();
        crate::support::eventually("a revision says so", || {
            fleet.row().revision != Some(before.number)
        });
        let now = fleet.revision(fleet.row().revision.unwrap());
        assert_eq!(now.cause, gate_store::control::Cause::Rotate);
        assert_eq!(now.digest, before.digest, "the resources are the same");
        assert!(fleet.acks_of(now.number, 2).iter().all(|ack| ack.applied));
        let told = std::time::Duration::from_secs(3);
        std::thread::sleep(told);
        assert_eq!(fleet.row().revision, Some(now.number), "written once");
        fleet::serves(&a, "served");
    }
}
