//! Counts of objectives: each node's latest, read in the order in which they were written.

use crate::support::Place;
use gate_store::control::{ControlError, PAST, PLACES_BYTES_MAX, PlacesRow, PromiseRow};

fn counted(objective: &str, node: &str, counts: &[u8]) -> PromiseRow {
    PromiseRow {
        environment: "prod".into(),
        objective: objective.into(),
        node: node.into(),
        number: 0,
        at_ms: 5,
        counts: counts.into(),
        suspicion: format!("of {node}"),
    }
}

fn seen(rows: &[PromiseRow]) -> Vec<(u64, &str, &str, &[u8])> {
    let of = |row: &'_ PromiseRow| row.number;
    rows.iter()
        .map(|row| (of(row), &*row.objective, &*row.node, &*row.counts))
        .collect()
}

#[test]
fn a_later_reading_takes_the_place_of_an_earlier_one() {
    for place in Place::all() {
        let (mut one, mut two) = (place.control(), place.control());
        assert_eq!(one.newest_promise().unwrap(), 0);
        one.count_promises(&[counted("a", "n1", b"1"), counted("b", "n1", b"2")])
            .unwrap();
        two.count_promises(&[counted("a", "n2", b"3")]).unwrap();
        two.count_promises(&[]).unwrap();
        assert_eq!(one.newest_promise().unwrap(), 2);
        let all = one.promises((0, "", ""), "prod", 10).unwrap();
        let expected: [(u64, &str, &str, &[u8]); 3] = [
            (1, "a", "n1", b"1"),
            (1, "b", "n1", b"2"),
            (2, "a", "n2", b"3"),
        ];
        assert_eq!(seen(&all), expected);
        assert_eq!(one.promises((0, "", ""), "test", 10).unwrap(), []);
        // Page by page, also where a page ends within one write.
        let first = one.promises((0, "", ""), "prod", 1).unwrap();
        assert_eq!(seen(&first), expected[..1]);
        let rest = one.promises((1, "a", "n1"), "prod", 10).unwrap();
        assert_eq!(seen(&rest), expected[1..]);
        one.count_promises(&[counted("a", "n1", b"4")]).unwrap();
        let new = two.promises((2, "a", "n2"), "prod", 10).unwrap();
        let expected: [(u64, &str, &str, &[u8]); 1] = [(3, "a", "n1", b"4")];
        assert_eq!(seen(&new), expected);
        assert_eq!(two.promises_of("prod", "a").unwrap().len(), 2);
    }
}

#[test]
fn what_was_written_meanwhile_is_not_folded() {
    for place in Place::all() {
        let mut store = place.control();
        store.count_promises(&[counted("a", "n1", b"1")]).unwrap();
        store.count_promises(&[counted("a", "n2", b"2")]).unwrap();
        let past = counted("a", PAST, b"3");
        let nodes = |second| [("n1".to_owned(), 1), ("n2".to_owned(), second)];
        assert!(!store.fold_promises(&past, &nodes(1)).unwrap());
        assert_eq!(store.promises_of("prod", "a").unwrap().len(), 2);
        assert!(store.fold_promises(&past, &nodes(2)).unwrap());
        let left = store.promises_of("prod", "a").unwrap();
        assert_eq!(
            (left.len(), &*left[0].node, &*left[0].counts),
            (1, PAST, &b"3"[..])
        );
        // Whoever reads on sees it.
        assert_eq!(store.promises((2, "a", "n2"), "prod", 10).unwrap(), left);
    }
}

#[test]
fn who_has_many_lives_is_crowded() {
    for place in Place::all() {
        let mut store = place.control();
        for number in 0..8 {
            let node = format!("n{number}");
            assert_eq!(
                store.crowded_promises("prod", 6, 9).unwrap(),
                Vec::<String>::new()
            );
            let rows = [counted("a", &node, b"1"), counted("b", PAST, b"1")];
            store.count_promises(&rows).unwrap();
        }
        assert_eq!(store.crowded_promises("prod", 6, 9).unwrap(), ["a"]);
        assert_eq!(
            store.crowded_promises("prod", 5, 9).unwrap(),
            Vec::<String>::new()
        );
        assert_eq!(
            store.crowded_promises("test", 6, 9).unwrap(),
            Vec::<String>::new()
        );
    }
}

#[test]
fn a_gate_is_written_by_who_saw_its_version() {
    for place in Place::all() {
        let mut store = place.control();
        assert_eq!(store.promise_gate("prod").unwrap(), None);
        assert!(store.save_promise_gate("prod", 0, "{}").unwrap());
        assert!(!store.save_promise_gate("prod", 0, "{1}").unwrap());
        assert!(store.save_promise_gate("prod", 1, "{2}").unwrap());
        assert!(!store.save_promise_gate("prod", 1, "{3}").unwrap());
        assert_eq!(store.promise_gate("prod").unwrap(), Some((2, "{2}".into())));
    }
}

#[test]
fn places_are_read_once_in_their_order_and_forgotten() {
    for place in Place::all() {
        let (mut one, mut two) = (place.control(), place.control());
        let row = |node: &str, at_ms: i64, places: &[u8]| PlacesRow {
            environment: "prod".into(),
            node: node.into(),
            number: 0,
            at_ms,
            places: places.into(),
        };
        one.put_places(&row("n1", 5, b"1"), 0).unwrap();
        two.put_places(&row("n2", 6, b"2"), 0).unwrap();
        one.put_places(&row("n1", 7, b"3"), 0).unwrap();
        assert_eq!(one.newest_promise().unwrap(), 3);
        let shown = |rows: Vec<PlacesRow>| -> Vec<(u64, String, Vec<u8>)> {
            let rows = rows.into_iter();
            rows.map(|row| (row.number, row.node, row.places)).collect()
        };
        let all = shown(two.places("prod", 0, 10).unwrap());
        let expected = [
            (2, "n2".to_owned(), b"2".to_vec()),
            (3, "n1".to_owned(), b"3".to_vec()),
        ];
        assert_eq!(all, expected);
        assert_eq!(shown(two.places("prod", 2, 10).unwrap()), expected[1..]);
        assert_eq!(two.places("test", 0, 10).unwrap(), []);
        // What was written before that time is gone, and too much is refused.
        one.put_places(&row("n3", 9, b"4"), 7).unwrap();
        assert_eq!(shown(two.places("prod", 0, 10).unwrap()).len(), 2);
        let much = vec![0; PLACES_BYTES_MAX + 1];
        let refused = one.put_places(&row("n1", 9, &much), 0);
        assert!(matches!(refused, Err(ControlError::TooLarge { .. })));
    }
}
