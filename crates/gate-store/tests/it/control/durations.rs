//! Histograms of durations: each node's latest, and those of lives that are over as one.

use crate::support::Place;
use gate_store::control::{ControlError, DURATIONS_BYTES_MAX, DurationsRow, PAST};

fn row(subject: &str, node: &str, durations: &[u8]) -> DurationsRow {
    DurationsRow {
        environment: "prod".into(),
        subject: subject.into(),
        node: node.into(),
        number: 0,
        at_ms: 5,
        durations: durations.into(),
    }
}

fn seen(rows: &[DurationsRow]) -> Vec<(&str, &[u8])> {
    rows.iter()
        .map(|row| (&*row.node, &*row.durations))
        .collect()
}

#[test]
fn each_node_has_its_latest() {
    for place in Place::all() {
        let (mut one, mut two) = (place.control(), place.control());
        assert_eq!(one.durations_of("prod", "a").unwrap(), []);
        one.put_durations(&[row("a", "n1", b"1"), row("b", "n1", b"2")])
            .unwrap();
        two.put_durations(&[row("a", "n2", b"3")]).unwrap();
        two.put_durations(&[]).unwrap();
        one.put_durations(&[row("a", "n1", b"4")]).unwrap();
        let rows = two.durations_of("prod", "a").unwrap();
        let expected: [(&str, &[u8]); 2] = [("n1", b"4"), ("n2", b"3")];
        assert_eq!(seen(&rows), expected);
        assert!(rows[0].number > rows[1].number);
        assert_eq!(one.durations_of("test", "a").unwrap(), []);
        // Too much is refused whole.
        let large = vec![0; DURATIONS_BYTES_MAX + 1];
        let refused = one.put_durations(&[row("c", "n1", b"5"), row("a", "n1", &large)]);
        assert!(matches!(refused, Err(ControlError::TooLarge { .. })));
        assert_eq!(one.durations_of("prod", "c").unwrap(), []);
    }
}

#[test]
fn lives_that_are_over_become_one() {
    for place in Place::all() {
        let mut store = place.control();
        for number in 0..8 {
            let crowded = store.crowded_durations("prod", 6, 9).unwrap();
            assert_eq!(crowded, Vec::<String>::new());
            let node = format!("n{number}");
            store
                .put_durations(&[row("a", &node, b"1"), row("b", PAST, b"1")])
                .unwrap();
        }
        assert_eq!(store.crowded_durations("prod", 6, 9).unwrap(), ["a"]);
        for (environment, before_ms) in [("prod", 5), ("test", 6)] {
            let crowded = store.crowded_durations(environment, before_ms, 9).unwrap();
            assert_eq!(crowded, Vec::<String>::new());
        }
        let rows = store.durations_of("prod", "a").unwrap();
        let nodes: Vec<_> = rows
            .iter()
            .map(|row| (row.node.clone(), row.number))
            .collect();
        // What was written meanwhile is not folded.
        store.put_durations(&[row("a", "n7", b"2")]).unwrap();
        assert!(!store.fold_durations(&row("a", PAST, b"9"), &nodes).unwrap());
        assert_eq!(store.durations_of("prod", "a").unwrap().len(), 8);
        assert!(
            store
                .fold_durations(&row("a", PAST, b"9"), &nodes[..7])
                .unwrap()
        );
        let left = store.durations_of("prod", "a").unwrap();
        let expected: [(&str, &[u8]); 2] = [(PAST, b"9"), ("n7", b"2")];
        assert_eq!(seen(&left), expected);
    }
}
