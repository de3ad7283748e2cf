//! What durations are of, and how those of lives that are over become one.

use super::*;
use gate_model::resources::Resources;
use gate_store::control::SqlControl;

fn subjects(json: serde_json::Value) -> Vec<(String, Option<String>)> {
    let all = serde_json::json!({ "objectives": json });
    let document =
        gate_model::document::Document::parse(all.to_string().as_bytes(), "test").unwrap();
    let resources = Resources::read(&document).expect("objectives");
    let all = resources.objectives.iter();
    let of = |(name, one): (&String, _)| {
        let of = subject(&gate_ops::slo::definition(name, one));
        (name.clone(), of.as_ref().map(key))
    };
    all.map(of).collect()
}

#[test]
fn durations_are_of_routes_and_of_models() {
    let latency = serde_json::json!({ "latency": { "within": "300ms" } });
    let first = serde_json::json!({ "time_to_first_token": { "within": "300ms" } });
    let found = subjects(serde_json::json!({
        "a": { "target": "99 %", "route": "r" },
        "b": { "target": "99 %", "route": "r", "indicator": latency },
        "c": { "target": "99 %", "indicator": latency },
        "d": { "target": "99 %", "route": "r", "consumer": "x", "indicator": latency },
        "e": { "target": "99 %", "model": "m", "indicator": latency },
        "f": { "target": "99 %", "model": "m", "indicator": first },
        "g": { "target": "99 %", "indicator": first },
        "h": { "target": "99 %", "route": "r", "model": "m", "indicator": first },
        "i": { "target": "99 %", "model": "m", "provider": "p", "indicator": first },
    }));
    let named: Vec<_> = found
        .iter()
        .map(|(name, of)| (&**name, of.as_deref()))
        .collect();
    let expected = [
        ("a", None),
        ("b", Some("route/r")),
        ("c", Some("routes")),
        ("d", None),
        ("e", None),
        ("f", Some("first_token/m")),
        ("g", Some("first_tokens")),
        ("h", None),
        ("i", None),
    ];
    assert_eq!(named, expected);
}

#[test]
fn lives_that_are_over_add_up_to_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let database = gate_store::sqlite::Sqlite::open(&folder.path().join("db")).unwrap();
    let mut store = SqlControl::open(database).unwrap();
    let mut expected = Durations::default();
    for life in 1..=12_u64 {
        let mut own = Durations::default();
        (0..life * 10).for_each(|number| own.record(life * 1_000_000 + number * 7));
        expected.merge(&own);
        let row = DurationsRow {
            environment: "main".into(),
            subject: "routes".into(),
            node: format!("n{life:02}"),
            number: 0,
            // The last two are alive.
            at_ms: if life > 10 { 200 } else { 50 },
            durations: own.packed().unwrap(),
        };
        store.put_durations(&[row]).unwrap();
    }
    for _ in 0..2 {
        fold(&mut store, "main", 100, 200).unwrap();
        let rows = store.durations_of("main", "routes").unwrap();
        let nodes: Vec<_> = rows.iter().map(|row| &*row.node).collect();
        assert_eq!(nodes, [PAST, "n11", "n12"]);
        let mut sum = Durations::default();
        rows.iter().filter_map(read).for_each(|one| sum.merge(&one));
        assert_eq!(sum, expected);
    }
}
