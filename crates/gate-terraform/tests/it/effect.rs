//! What a plan would have done to recent traffic is asked once for all that is planned, told once,
//! and changes nothing of the plan.

use crate::calls::{Caller, config, dynamic, value};
use crate::real::Workbench;
use gate_api::types::{Effect, EffectChange, Example, What};
use gate_terraform::plugin::messages::{self as wire, Diagnostic};
use gate_terraform::value::Value;
use serde_json::{Value as Json, json};

/// What a plan of so many changes would have done.
pub(crate) fn of(changed: u64) -> Effect {
    let example = Example {
        record: "1".into(),
        request: "GET api.example.com/orders/1".into(),
        before: "orders".into(),
        after: "route_not_found".into(),
    };
    Effect {
        records: 40,
        changed: vec![EffectChange {
            what: What::Route,
            count: changed,
            share: changed as f64 / 40.0,
            examples: vec![example],
            before: None,
            after: None,
        }],
        unchanged: 40 - changed,
        ..Effect::default()
    }
}

fn caller(records: bool) -> Caller {
    let caller = Caller::configured(&["staging"], json!({ "environment": "staging" }));
    *caller.server.planned.lock().unwrap() = records.then(Vec::new);
    caller
}

/// How often effects were asked for, and about how many resources last.
fn asked(caller: &Caller) -> (usize, usize) {
    let planned = caller.server.planned.lock().unwrap();
    let planned = planned.as_deref().unwrap_or_default();
    let last = planned.last();
    (
        planned.len(),
        last.map_or(0, |document| document.resources().count()),
    )
}

fn upstream(name: &str, endpoint: &str) -> Value {
    config(
        "tidegate_upstream",
        name,
        json!({ "endpoints": [endpoint] }),
    )
}

fn removal(caller: &Caller, prior: &Value) -> Vec<Diagnostic> {
    let request = wire::Plan {
        type_name: "tidegate_upstream".into(),
        prior_state: dynamic(prior),
        proposed_new_state: dynamic(&Value::Null),
        config: dynamic(&Value::Null),
        prior_private: Vec::new(),
    };
    let planned: wire::Planned = caller.call("PlanResourceChange", &request);
    assert!(value(planned.planned_state.as_ref()).is_null());
    planned.diagnostics
}

#[test]
fn a_plan_of_twenty_tells_its_effect_as_a_whole() {
    let caller = caller(true);
    let told = std::thread::scope(|scope| {
        let plan = |n: usize| {
            let caller = &caller;
            scope.spawn(move || {
                let new = upstream(&format!("u{n}"), "a:1");
                let planned = caller.plan("tidegate_upstream", &Value::Null, &new);
                planned.diagnostics
            })
        };
        let plans: Vec<_> = (0..20).map(plan).collect();
        let told = plans.into_iter().flat_map(|plan| plan.join().unwrap());
        told.collect::<Vec<_>>()
    });
    let (times, last) = asked(&caller);
    assert!((1..20).contains(&times), "{times} questions for one plan");
    assert_eq!(last, 20);
    let whole = "What these 20 changes would have done to recent requests";
    let whole: Vec<_> = told.iter().filter(|one| one.summary == whole).collect();
    assert_eq!(whole.len(), 1, "{told:?}");
    assert_eq!((whole[0].severity, &whole[0].attribute), (2, &None));
    let lines = [
        "Effect on 40 recorded requests",
        "route",
        "50.00 %",
        "unchanged",
    ];
    for line in lines {
        assert!(whole[0].detail.contains(line), "{}", whole[0].detail);
    }
    let example = "GET api.example.com/orders/1: orders -> route_not_found";
    assert!(whole[0].detail.contains(example), "{}", whole[0].detail);
}

#[test]
fn what_goes_belongs_to_the_effect() {
    let caller = caller(true);
    let config = upstream("u", "a:1");
    let state = caller.create("tidegate_upstream", &config).unwrap();
    // In the same run of Terraform, resources are planned once more when they are applied.
    let (before, _) = asked(&caller);
    let again = caller.plan("tidegate_upstream", &state, &upstream("u", "b:1"));
    assert_eq!(again.diagnostics, []);
    assert_eq!(asked(&caller).0, before);
    let next = Caller {
        provider: std::sync::Arc::new(crate::calls::provider(&caller.server)),
        server: caller.server.clone(),
    };
    let request = wire::Configure {
        terraform_version: "1.11.4".into(),
        config: dynamic(&crate::calls::plain(&json!({ "environment": "staging" }))),
    };
    let _: wire::Diagnosed = next.call("ConfigureProvider", &request);
    // Nothing changes: nothing is asked.
    let same = next.plan("tidegate_upstream", &state, &config);
    assert_eq!(same.diagnostics, []);
    assert_eq!(asked(&next).0, before);
    let told = removal(&next, &state);
    let what = "What this change would have done to recent requests";
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].severity, &*told[0].summary), (2, what));
    let planned = next.server.planned.lock().unwrap();
    let last = planned.as_ref().and_then(|planned| planned.last()).unwrap();
    assert_eq!(last.get("upstreams", "u"), Some(&Json::Null));
}

#[test]
fn without_records_or_a_wish_nothing_is_told() {
    let plan = |caller: &Caller| {
        let new = upstream("u", "a:1");
        let planned = caller.plan("tidegate_upstream", &Value::Null, &new);
        planned.diagnostics
    };
    assert_eq!(plan(&caller(false)), []);
    let block = json!({ "environment": "staging", "effect": false });
    let unwilling = Caller::configured(&["staging"], block);
    *unwilling.server.planned.lock().unwrap() = Some(Vec::new());
    assert_eq!(plan(&unwilling), []);
    assert_eq!(asked(&unwilling).0, 0);
}

#[test]
fn terraform_shows_what_a_plan_would_have_done() {
    let Some(bench) = Workbench::new("effect", &["staging"]) else {
        return;
    };
    *bench.server.planned.lock().unwrap() = Some(Vec::new());
    let provider = "provider \"tidegate\" { environment = \"staging\" }\n";
    bench.write(
        "main.tf",
        &format!("{provider}{}", include_str!("whole.tf")),
    );
    bench.must(&["init"]);
    let shown = bench.exits(&["plan", "-detailed-exitcode"], 2);
    for words in [
        "Warning: What these",
        "changes would have done to recent requests",
        "GET api.example.com/orders/1: orders -> route_not_found",
    ] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
    bench.must(&["apply", "-auto-approve"]);
    let quiet = bench.exits(&["plan", "-detailed-exitcode"], 0);
    assert!(!quiet.contains("recent requests"), "{quiet}");
    let destroy = bench.exits(&["plan", "-destroy", "-detailed-exitcode"], 2);
    assert!(
        destroy.contains("would have done to recent requests"),
        "{destroy}"
    );
    bench.must(&["destroy", "-auto-approve"]);
    assert_eq!(bench.server.count("staging"), 0);
}
