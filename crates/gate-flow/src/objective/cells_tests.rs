//! Places told apart, bounded, with nothing lost.

use super::*;
use crate::Attempt;
use gate_kit::clock::Moment;
use std::time::Duration;

fn record(consumer: &str, endpoint: &Arc<str>, status: u16) -> Record {
    let mut record = Record {
        revision: 7,
        route: Some("orders".into()),
        consumer: Some(consumer.into()),
        status,
        started: Moment::default(),
        ..Record::default()
    };
    record.attempts.push(Attempt {
        endpoint: endpoint.clone(),
        status,
        fault: None,
        started: Duration::ZERO,
        duration: Duration::ZERO,
        reused: false,
    });
    record
}

fn sums(cells: &Cells) -> Vec<(String, String, u32, u32)> {
    let mut sums = std::collections::BTreeMap::new();
    for one in cells.take() {
        let key = (one.place.values().join("/"), one.objective.to_string());
        let sum: &mut (u32, u32) = sums.entry(key).or_default();
        *sum = (sum.0 + one.total, sum.1 + one.bad);
    }
    let flat = |((place, objective), (total, bad))| (place, objective, total, bad);
    sums.into_iter().map(flat).collect()
}

#[test]
fn events_are_counted_where_they_happened() {
    let cells = Cells::default();
    let names: Arc<[Arc<str>]> = ["available".into(), "fast".into()].into();
    let endpoint: Arc<str> = "10.0.0.1:80".into();
    for number in 0..10 {
        // Names that lie elsewhere each time are the same place.
        let record = record("storefront", &endpoint, 200);
        cells.add(&record, &names, &[(0, false), (1, number < 3)]);
    }
    cells.add(&record("storefront", &endpoint, 503), &names, &[(0, true)]);
    let place = |status| format!("7//orders///10.0.0.1:80/storefront//{status}/");
    let expected = vec![
        (place(200), "available".into(), 10, 0),
        (place(200), "fast".into(), 10, 3),
        (place(503), "available".into(), 1, 1),
    ];
    assert_eq!(sums(&cells), expected);
    assert_eq!(sums(&cells), []);
    cells.add(&record("storefront", &endpoint, 503), &names, &[(0, true)]);
    assert_eq!(sums(&cells), expected[2..]);
}

#[test]
fn cells_are_bounded_and_nothing_is_lost() {
    let cells = Cells::default();
    let names: Arc<[Arc<str>]> = ["available".into()].into();
    let endpoint: Arc<str> = "e".into();
    for round in 0..3 {
        for number in 0..2 * CELLS_MAX {
            let record = record(&format!("{round}-{number}"), &endpoint, 200);
            cells.add(&record, &names, &[(0, number % 2 == 0)]);
        }
        let counted = cells.take();
        assert!(counted.len() <= CELLS_MAX + 1, "{}", counted.len());
        let total: u32 = counted.iter().map(|one| one.total).sum();
        let bad: u32 = counted.iter().map(|one| one.bad).sum();
        assert_eq!((total, bad), (2 * CELLS_MAX as u32, CELLS_MAX as u32));
        let other = counted.iter().find(|one| one.place.is_other);
        let other = other.map(|one| one.place.values());
        assert_eq!(other.map(|values| values[2].clone()), Some("orders".into()));
    }
}
