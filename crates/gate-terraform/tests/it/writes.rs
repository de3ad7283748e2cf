//! Writes of a whole run: in any order, at the same time, against others who write too.

use crate::calls::{Caller, config, plain, value};
use gate_terraform::value::Value;
use serde_json::json;
use std::sync::atomic::Ordering;

#[test]
fn two_hundred_at_once_become_few_revisions() {
    let caller = Caller::new(&["staging"]);
    let upstream = config("tidegate_upstream", "u", json!({ "endpoints": ["a:1"] }));
    caller.create("tidegate_upstream", &upstream).unwrap();
    std::thread::scope(|scope| {
        for worker in 0..10 {
            let caller = &caller;
            scope.spawn(move || {
                for n in 0..20 {
                    let path = format!("/r{worker}-{n}");
                    let json = json!({ "match": { "path": path }, "target": { "upstream": "u" } });
                    let name = format!("r{worker}-{n}");
                    caller
                        .create("tidegate_route", &config("tidegate_route", &name, json))
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(caller.server.count("staging"), 201);
    let revisions = caller.server.revisions.load(Ordering::SeqCst);
    assert!(revisions <= 100, "{revisions} revisions for 201 resources");
}

#[test]
fn what_refers_to_something_waits_for_it() {
    let caller = Caller::new(&["staging"]);
    std::thread::scope(|scope| {
        let route = scope.spawn(|| {
            let json = json!({ "target": { "upstream": "late" } });
            caller.create("tidegate_route", &config("tidegate_route", "r", json))
        });
        std::thread::sleep(std::time::Duration::from_millis(300));
        let json = json!({ "endpoints": ["a:1"] });
        caller
            .create(
                "tidegate_upstream",
                &config("tidegate_upstream", "late", json),
            )
            .unwrap();
        route.join().unwrap().unwrap();
    });
    assert_eq!(caller.server.count("staging"), 2);
}

#[test]
fn two_that_need_each_other_become_one_revision() {
    let caller = Caller::new(&["staging"]);
    let upstream = config("tidegate_upstream", "u", json!({ "endpoints": ["a:1"] }));
    caller.create("tidegate_upstream", &upstream).unwrap();
    let before = caller.server.revisions.load(Ordering::SeqCst);
    std::thread::scope(|scope| {
        let listener = scope.spawn(|| {
            let json = json!({ "address": "127.0.0.1:0", "protocol": "tcp" });
            caller.create("tidegate_listener", &config("tidegate_listener", "l", json))
        });
        std::thread::sleep(std::time::Duration::from_millis(500));
        let json = json!({ "match": { "listeners": ["l"] }, "target": { "upstream": "u" } });
        caller
            .create("tidegate_route", &config("tidegate_route", "r", json))
            .unwrap();
        listener.join().unwrap().unwrap();
    });
    let revisions = caller.server.revisions.load(Ordering::SeqCst) - before;
    assert_eq!((revisions, caller.server.count("staging")), (1, 3));
}

#[test]
fn what_refers_to_nothing_is_refused_and_the_rest_is_made() {
    let caller = Caller::new(&["staging"]);
    std::thread::scope(|scope| {
        let lost = scope.spawn(|| {
            let json = json!({ "target": { "upstream": "never" } });
            caller.create("tidegate_route", &config("tidegate_route", "lost", json))
        });
        let others: Vec<_> = (0..4)
            .map(|n| {
                let caller = &caller;
                scope.spawn(move || {
                    let json = json!({ "endpoints": ["a:1"] });
                    let name = format!("u{n}");
                    caller.create(
                        "tidegate_upstream",
                        &config("tidegate_upstream", &name, json),
                    )
                })
            })
            .collect();
        for other in others {
            other.join().unwrap().unwrap();
        }
        let told = lost.join().unwrap().unwrap_err();
        assert!(
            told.contains("routes.lost.target.upstream: there is no upstream `never`"),
            "{told}"
        );
        assert!(told.contains("tidegate_upstream.orders.name"), "{told}");
    });
    assert_eq!(caller.server.count("staging"), 4);
}

#[test]
fn removing_waits_for_what_still_refers_to_it() {
    let caller = Caller::new(&["staging"]);
    let upstream = config("tidegate_upstream", "u", json!({ "endpoints": ["a:1"] }));
    let upstream = caller.create("tidegate_upstream", &upstream).unwrap();
    let route = config(
        "tidegate_route",
        "r",
        json!({ "target": { "upstream": "u" } }),
    );
    let route = caller.create("tidegate_route", &route).unwrap();
    let remove = |type_name: &'static str, state: &Value| {
        caller.apply(type_name, state, &Value::Null, &Value::Null)
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| remove("tidegate_upstream", &upstream));
        std::thread::sleep(std::time::Duration::from_millis(200));
        remove("tidegate_route", &route).unwrap();
        assert_eq!(first.join().unwrap(), Ok(Value::Null));
    });
    assert_eq!(caller.server.count("staging"), 0);
    // Removing what is gone is no failure.
    assert_eq!(remove("tidegate_route", &route), Ok(Value::Null));
}

#[test]
fn a_faster_writer_costs_another_look_and_no_change_is_lost() {
    let caller = Caller::new(&["staging"]);
    let team = config("tidegate_team", "t", json!({ "description": "one" }));
    caller.server.stale.store(3, Ordering::SeqCst);
    let state = caller.create("tidegate_team", &team).unwrap();
    let changed = config("tidegate_team", "t", json!({ "description": "two" }));
    let planned = caller.plan("tidegate_team", &state, &changed);
    let planned = value(planned.planned_state.as_ref());
    // Another resource may change between plan and apply; this very one may not.
    caller
        .server
        .meddle("staging", "teams", "other", Some(json!({})));
    let state = caller
        .apply("tidegate_team", &state, &planned, &changed)
        .unwrap();
    let third = config("tidegate_team", "t", json!({ "description": "three" }));
    let planned = caller.plan("tidegate_team", &state, &third);
    let planned = value(planned.planned_state.as_ref());
    let theirs = json!({ "description": "theirs" });
    caller
        .server
        .meddle("staging", "teams", "t", Some(theirs.clone()));
    let told = caller
        .apply("tidegate_team", &state, &planned, &third)
        .unwrap_err();
    assert!(
        told[0]
            .detail
            .contains("has changed since this was planned"),
        "{told:?}"
    );
    assert_eq!(caller.server.get("staging", "teams", "t"), Some(theirs));
}

#[test]
fn what_others_own_is_taken_over_only_on_purpose() {
    let caller = Caller::new(&["staging"]);
    caller.server.meddle(
        "staging",
        "teams",
        "t",
        Some(json!({ "description": "theirs" })),
    );
    let team = config("tidegate_team", "t", json!({ "description": "mine" }));
    let told = caller.create("tidegate_team", &team).unwrap_err();
    assert!(told.contains("console"), "{told}");
    let block = json!({ "environment": "staging", "take_over": true });
    let taking = Caller::configured(&["staging"], block);
    taking.server.meddle(
        "staging",
        "teams",
        "t",
        Some(json!({ "description": "theirs" })),
    );
    taking.create("tidegate_team", &team).unwrap();
    assert_eq!(
        taking.server.get("staging", "teams", "t"),
        Some(json!({ "description": "mine" }))
    );
}

#[test]
fn a_second_attempt_after_a_lost_answer_is_no_conflict() {
    let caller = Caller::new(&["staging"]);
    let team = config("tidegate_team", "t", json!({ "description": "mine" }));
    caller.create("tidegate_team", &team).unwrap();
    caller.create("tidegate_team", &team).unwrap();
    let another = config("tidegate_team", "t", json!({ "description": "another" }));
    let told = caller.create("tidegate_team", &another).unwrap_err();
    assert!(told.contains("exists already. Import it"), "{told}");
}

#[test]
fn drift_is_read_and_renaming_is_replacing() {
    let caller = Caller::new(&["staging", "production"]);
    let upstream = json!({ "endpoints": ["a:1"], "timeouts": { "connect": "60s" } });
    let desired = config("tidegate_upstream", "u", upstream);
    let state = caller.create("tidegate_upstream", &desired).unwrap();
    let same =
        json!({ "endpoints": ["a:1"], "timeouts": { "connect": "1m" }, "concurrency": 10000 });
    caller
        .server
        .meddle("staging", "upstreams", "u", Some(same));
    std::thread::sleep(std::time::Duration::from_millis(2100));
    assert_eq!(
        caller.read("tidegate_upstream", &state),
        state,
        "another spelling is no drift"
    );
    let other = json!({ "endpoints": ["b:1"], "timeouts": { "connect": "1m" } });
    caller
        .server
        .meddle("staging", "upstreams", "u", Some(other));
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let drifted = caller.read("tidegate_upstream", &state);
    assert_eq!(*drifted.get("endpoints"), plain(&json!(["b:1"])));
    assert_eq!(*drifted.get("timeouts").get("connect"), Value::text("60s"));
    caller.server.meddle("staging", "upstreams", "u", None);
    std::thread::sleep(std::time::Duration::from_millis(2100));
    assert_eq!(caller.read("tidegate_upstream", &state), Value::Null);
    let mut renamed = desired.clone();
    renamed.set("name", Value::text("v"));
    assert_eq!(
        caller
            .plan("tidegate_upstream", &state, &renamed)
            .requires_replace
            .len(),
        1
    );
    let mut moved = desired.clone();
    moved.set("environment", Value::text("production"));
    assert_eq!(
        caller
            .plan("tidegate_upstream", &state, &moved)
            .requires_replace
            .len(),
        1
    );
}

#[test]
fn an_environment_that_is_missing_is_told_with_its_remedy() {
    let caller = Caller::configured(&["staging"], json!({ "environment": "nowhere" }));
    let team = config("tidegate_team", "t", json!({}));
    let told = caller.create("tidegate_team", &team).unwrap_err();
    assert!(told.contains("tidegate env set nowhere"), "{told}");
}

#[test]
fn a_server_that_is_away_is_a_warning_to_a_plan_and_an_error_to_an_apply() {
    let caller = Caller::new(&["staging"]);
    caller.server.down.store(1, Ordering::SeqCst);
    let team = config("tidegate_team", "t", json!({}));
    let planned = caller.plan("tidegate_team", &Value::Null, &team);
    assert_eq!(planned.diagnostics.len(), 1);
    assert_eq!(planned.diagnostics[0].severity, 2);
    let told = caller.create("tidegate_team", &team).unwrap_err();
    assert!(told.contains("connection refused"), "{told}");
}

#[test]
fn a_rollout_that_is_taken_back_fails_the_apply_and_says_why() {
    let block = json!({ "environment": "staging", "canary": "careful" });
    let caller = Caller::configured(&["staging"], block);
    let team = |text: &str| config("tidegate_team", "t", json!({ "description": text }));
    // The first revision has nothing to be compared with, and needs no rollout.
    let state = caller.create("tidegate_team", &team("one")).unwrap();
    let change = |state: &Value, text: &str| {
        let planned = caller.plan("tidegate_team", state, &team(text));
        let planned = value(planned.planned_state.as_ref());
        caller.apply("tidegate_team", state, &planned, &team(text))
    };
    let state = change(&state, "two").unwrap();
    caller.server.worse.store(1, Ordering::SeqCst);
    let told = change(&state, "three").unwrap_err();
    assert!(
        told[0].detail.contains("taken back: errors up tenfold"),
        "{told:?}"
    );
    let kept = caller.server.get("staging", "teams", "t");
    assert_eq!(kept, Some(json!({ "description": "two" })));
}
