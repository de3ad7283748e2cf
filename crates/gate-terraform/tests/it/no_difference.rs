//! No perpetual difference: whatever a configuration says, after applying it a plan is empty, and
//! what was read back equals what was written.

use crate::calls::{Caller, complete, value};
use gate_terraform::convert::check;
use gate_terraform::schema::{Attribute, Catalogue, Kind, Object, Origin, Quantity, Shape, Text};
use gate_terraform::value::Value;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn any_shape(shape: &Shape, depth: u32) -> BoxedStrategy<Value> {
    match shape {
        Shape::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Shape::Json => {
            let texts: &[&str] = &["{\"a\":[1,2]}", " { \"b\": null } ", "7"];
            proptest::sample::select(texts)
                .prop_map(Value::text)
                .boxed()
        }
        Shape::Number {
            whole: true,
            minimum,
            maximum,
        } => {
            let (least, most) = (minimum.unwrap_or(-5), maximum.unwrap_or(100_000));
            (least..=most).prop_map(|n| Value::Number(n.into())).boxed()
        }
        Shape::Number { .. } => (0_u32..400)
            .prop_map(|n| {
                let number = serde_json::Number::from_f64(f64::from(n) / 8.0).unwrap();
                Value::Number(number)
            })
            .boxed(),
        Shape::Text(Text::Any) => "[a-z/]{1,8}".prop_map(Value::Text).boxed(),
        Shape::Text(Text::Word(words)) => proptest::sample::select(words.clone())
            .prop_map(Value::Text)
            .boxed(),
        Shape::Text(Text::Quantity(quantity)) => any_quantity(*quantity),
        Shape::List(inner) => proptest::collection::vec(any_shape(inner, depth + 1), 0..3)
            .prop_map(Value::List)
            .boxed(),
        Shape::Map(inner) => {
            proptest::collection::btree_map("[a-z.]{1,5}", any_shape(inner, depth + 1), 0..3)
                .prop_map(Value::Map)
                .boxed()
        }
        Shape::Object(object) => any_object(object, depth),
    }
}

fn any_quantity(quantity: Quantity) -> BoxedStrategy<Value> {
    let texts: &[&str] = match quantity {
        Quantity::ByteSize => &["1MiB", "1024KiB", "65536", "1.5 MiB"],
        Quantity::Period => &["60s", "1m", "1.5s", "1500ms", "0s"],
        Quantity::Percent => &["50%", "50 %", "0.5%"],
        Quantity::Rate => &["100/s", "6000/m"],
        Quantity::Money => &["1", "1.50", "1.5"],
        Quantity::Timestamp => &["2026-01-01T00:00:00Z", "2026-01-01"],
        Quantity::Sha256 => &[
            "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb",
            "41EF4BB0B23661E66301AAC36066912DAC037827B4AE63A7B1165A5AA93ED4EB",
        ],
    };
    proptest::sample::select(texts)
        .prop_map(Value::text)
        .boxed()
}

fn any_object(object: &Object, depth: u32) -> BoxedStrategy<Value> {
    let choices: Vec<String> = object
        .choice
        .iter()
        .map(|choice| choice.name.clone())
        .collect();
    let chosen = match choices.is_empty() {
        true => Just(String::new()).boxed(),
        false => proptest::sample::select(choices.clone()).boxed(),
    };
    let object = object.clone();
    chosen
        .prop_flat_map(move |chosen| {
            let of = |attribute: &Attribute| {
                let name = attribute.name.clone();
                let given = any_shape(&attribute.shape, depth + 1);
                let is_choice = choices.contains(&name);
                let likely = if depth < 3 { 0.4 } else { 0.15 };
                let strategy = match &attribute.origin {
                    Origin::WriteOnly => Just(Value::Null).boxed(),
                    Origin::HashOf(_) => given,
                    Origin::Given if is_choice && name != chosen => Just(Value::Null).boxed(),
                    Origin::Given if is_choice || attribute.required => given,
                    Origin::Given => proptest::option::weighted(likely, given)
                        .prop_map(Option::unwrap_or_default)
                        .boxed(),
                };
                strategy
                    .prop_map(move |value| (name.clone(), value))
                    .boxed()
            };
            object.attributes.iter().map(of).collect::<Vec<_>>()
        })
        .prop_map(|entries| Value::Map(entries.into_iter().collect::<BTreeMap<_, _>>()))
        .boxed()
}

/// Applies a configuration past the server's checks, reads it back and plans again.
fn settles(kind: &'static Kind, type_name: &str, config: &Value) -> Result<(), TestCaseError> {
    let caller = Caller::new(&["staging"]);
    let mut config = complete(&kind.object, config);
    config.set("name", Value::text("x"));
    if kind.scoped {
        config.set("environment", Value::Null);
    }
    let found = check::shape(&kind.object, &config, true);
    prop_assert!(found.is_empty(), "{found:?}");
    let planned = caller.plan(type_name, &Value::Null, &config);
    let state = value(planned.planned_state.as_ref());
    let document = gate_terraform::convert::to_document(kind, &state);
    match kind.scoped {
        true => caller
            .server
            .meddle("staging", &kind.name, "x", Some(document.clone())),
        false => drop(caller.apply(type_name, &Value::Null, &state, &config)),
    }
    let read = caller.read(type_name, &state);
    prop_assert_eq!(&read, &state, "what was read is what was written");
    let again = caller.plan(type_name, &read, &config);
    prop_assert_eq!(
        value(again.planned_state.as_ref()),
        read,
        "the plan is empty"
    );
    prop_assert!(again.requires_replace.is_empty());
    // Without the state (as after an import), the document that is read is the one that was written.
    let mut bare = state.clone();
    for attribute in &kind.object.attributes {
        bare.set(&attribute.name, Value::Null);
    }
    let imported = caller.read(type_name, &bare);
    let same = gate_terraform::convert::to_document(kind, &imported);
    prop_assert!(
        gate_terraform::convert::same::documents(kind, &same, &document),
        "{same} is not {document}"
    );
    let after = caller.plan(type_name, &imported, &imported);
    prop_assert_eq!(
        value(after.planned_state.as_ref()),
        imported,
        "an import plans nothing"
    );
    Ok(())
}

#[test]
fn whatever_was_applied_plans_nothing() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for (type_name, kind) in Catalogue::get().iter() {
        let any = any_shape(&Shape::Object(kind.object.clone()), 0);
        for _ in 0..24 {
            let config = any.new_tree(&mut runner).unwrap().current();
            if let Err(error) = settles(kind, type_name, &config) {
                panic!("{type_name}: {error}\n{config:?}");
            }
        }
    }
}

#[test]
fn a_spelling_that_means_the_same_is_no_change() {
    use crate::calls::config;
    use serde_json::json;
    let caller = Caller::new(&["staging"]);
    let written = |connect: &str, status: &str| {
        let json = json!({
            "endpoints": ["a:1"], "timeouts": { "connect": connect },
            "outlier": { "share": status },
        });
        config("tidegate_upstream", "u", json)
    };
    let state = caller
        .create("tidegate_upstream", &written("60s", "50%"))
        .unwrap();
    let planned = caller.plan("tidegate_upstream", &state, &written("1m", "50 %"));
    assert_eq!(value(planned.planned_state.as_ref()), state);
    let planned = caller.plan("tidegate_upstream", &state, &written("2m", "50 %"));
    let planned = value(planned.planned_state.as_ref());
    assert_eq!(*planned.get("timeouts").get("connect"), Value::text("2m"));
    assert_eq!(*planned.get("outlier").get("share"), Value::text("50%"));
}
