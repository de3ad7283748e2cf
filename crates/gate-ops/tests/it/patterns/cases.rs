//! The reference's correctness cases and performance scenarios (aws/event-ruler, Apache-2.0), which
//! lie beside the repository at `../shared/vectors/events`; where they are absent, the tests say
//! `skipped`.

use gate_ops::event::pattern::{Matched, Memory, Pattern, RuleSet};
use serde_json::{Value, json};
use std::path::Path;

fn vectors(name: &str) -> Option<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/events");
    let Ok(text) = std::fs::read_to_string(folder.join(name)) else {
        println!("skipped: ../shared/vectors/events/{name} is absent");
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

fn holds(rule: &Value, event: &Value) -> bool {
    let mut rules = RuleSet::default();
    let pattern = Pattern::parse(&rule.to_string()).unwrap();
    rules.add(1, &pattern).unwrap();
    let mut matched = Matched::default();
    let event = event.to_string();
    rules
        .find(event.as_bytes(), &mut Memory::default(), &mut matched)
        .unwrap();
    assert_eq!(matched.undecided, [0; 0]);
    matched.rules == [1]
}

/// The verdicts of event-ruler 337e8d9 on its cases, in their order: `1` holds, `0` does not. The
/// file has none.
const VERDICTS: &str = "101011110110101011010011010100011111101111110101110";

#[test]
fn verdicts_are_those_of_the_reference() {
    let Some(cases) = vectors("correctness-cases.json") else {
        return;
    };
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 51);
    for (case, expected) in cases.iter().zip(VERDICTS.bytes()) {
        let found = holds(&case["rule"], &case["event"]);
        assert_eq!(found, expected == b'1', "{}", case["name"]);
    }
    assert_eq!(cases.len(), VERDICTS.len());
}

#[test]
fn the_references_examples_are_read_as_it_reads_them() {
    let Some(rules) = vectors("orRelationshipRules.json") else {
        return;
    };
    for rule in rules.as_array().unwrap() {
        Pattern::parse(&rule.to_string()).unwrap();
    }
    for name in [
        "wrongOrRelationshipRules.json",
        "normalRulesWithOrWording.json",
    ] {
        let rules = vectors(name).expect("lies beside the other");
        for rule in rules.as_array().unwrap() {
            Pattern::parse(&rule.to_string()).unwrap_err();
        }
    }
    // Each of its rules on each of its events, as it says itself.
    let mut verdicts = String::new();
    for rule in 1..=4 {
        let rule = vectors(&format!("arrayRule{rule}.json")).expect("lies beside the others");
        for event in 1..=4 {
            let event = vectors(&format!("arrayEvent{event}.json")).expect("lies beside it");
            verdicts.push(if holds(&rule, &event) { '1' } else { '0' });
        }
    }
    assert_eq!(verdicts, "1000100000010011");
    let (rule, event) = (vectors("bigEventRule.json"), vectors("bigEvent.json"));
    assert!(holds(&rule.unwrap(), &event.unwrap()));
}

/// An event for a scenario. The file names generators and says in notes what they make.
fn generated(generator: &str, size: usize) -> Value {
    let all = |make: &dyn Fn(usize) -> Value| (0..size).map(make).collect::<Vec<Value>>();
    let texts = || all(&|n| json!(format!("t{n}")));
    let both = |n: usize| json!({"a": n, "b": n});
    match generator {
        "primArrayPlusScalar" => json!({"d": {"tags": texts(), "type": "x"}}),
        "primArrayOnly" => json!({"d": {"tags": texts()}}),
        "objArrayBothFields" => json!({"d": all(&both)}),
        "objArrayLastValid" => json!({"d": all(&|n| match n + 1 < size {
            true => json!({"a": n}),
            false => both(n),
        })}),
        "objArrayAllPartial" => json!({"d": all(&|n| match n % 2 {
            0 => json!({"a": n}),
            _ => json!({"b": n}),
        })}),
        "customerLike" => json!({"detail": {
            "data": all(&|n| json!({
                "name": format!("n{n}"), "type": "t", "domains": [{"email": format!("{n}@x")}],
            })),
            "context": {"companyId": 1, "userId": 2, "email": "a@x"},
        }}),
        "primInsideObjArray" => json!({"detail": {"data": [
            {"name": texts(), "type": "t"}, {"name": texts()}, {"type": "t"},
        ]}}),
        "noObjArrayLargePrim" => json!({"detail": {"data": {"name": texts(), "type": "t"}}}),
        "nested2Level" => json!({"a": all(&|_| {
            let inner: Vec<Value> = (0..10).map(|n| json!({"x": n, "y": n})).collect();
            json!({"b": inner})
        })}),
        "deepNestedPrim" => {
            let inner = json!({"b": {"tags": texts(), "type": "t"}});
            json!({"a": [inner, inner, inner]})
        }
        "wideRulePrimArray" => json!({"d": {"a": texts(), "b": texts(), "c": "x"}}),
        "twoPrimArrays" => json!({"tags": texts(), "cats": texts(), "v": "1"}),
        "controlScalar" => json!({"a": 1, "b": 2}),
        other => panic!("the generator {other} is new"),
    }
}

#[test]
fn scenarios_hold_as_the_reference_says() {
    let Some(scenarios) = vectors("perf-scenarios.json") else {
        return;
    };
    let clock = gate_kit::clock::Clock::System;
    for scenario in scenarios.as_array().unwrap() {
        let mut rules = RuleSet::default();
        let pattern = Pattern::parse(&scenario["rule"].to_string()).unwrap();
        rules.add(1, &pattern).unwrap();
        let (mut memory, mut matched) = (Memory::default(), Matched::default());
        for size in scenario["sizes"].as_array().unwrap() {
            let size = size.as_u64().unwrap() as usize;
            let event = generated(scenario["generator"].as_str().unwrap(), size).to_string();
            let began = clock.now();
            rules
                .find(event.as_bytes(), &mut memory, &mut matched)
                .unwrap();
            let took = clock.now().since(began);
            assert_eq!(matched.undecided, [0; 0]);
            let expected = scenario["expectedMatches"].as_u64().unwrap();
            assert_eq!(matched.rules.len() as u64, expected, "{}", scenario["name"]);
            println!("{took:>10.1?} {size:>5} {}", scenario["name"]);
        }
    }
}

/// Choices that multiply: of as many arrays as there are fields, none of which has all.
#[test]
fn elements_that_never_agree_are_decided_at_once() {
    let names: Vec<String> = (0..12).map(|n| format!("f{n}")).collect();
    let mut event = serde_json::Map::new();
    let mut rule = serde_json::Map::new();
    for name in &names {
        let elements: Vec<Value> = (0..200).map(|n| json!({"x": n, "y": n + 1})).collect();
        event.insert(name.clone(), json!(elements));
        rule.insert(name.clone(), json!({"x": [5], "y": [6]}));
    }
    assert!(holds(&json!(rule), &json!(event)));
    rule.insert("f11".into(), json!({"x": [5], "y": [7]}));
    assert!(!holds(&json!(rule), &json!(event)));
    // The same where a field is asked to be missing, which is searched.
    rule.insert("f0".into(), json!({"x": [5], "y": [{"exists": false}]}));
    assert!(!holds(&json!(rule), &json!(event)));
}
