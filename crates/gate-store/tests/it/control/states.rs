//! Terraform states: locks, lineages, serials and versions.

use super::line;
use crate::support::Place;
use gate_store::ControlStore;
use gate_store::control::{
    Answer, ControlError, NewState, Sealed, StateLock, StateVersionRow, WrappedKey,
};

pub(crate) fn sealed(content: &str) -> Sealed {
    Sealed {
        key: WrappedKey {
            id: "k1".into(),
            wrapped: vec![1, 2, 3],
        },
        ciphertext: content.as_bytes().to_vec(),
    }
}

fn lock(id: &str) -> StateLock {
    StateLock {
        id: id.into(),
        holder: format!("{id}@host"),
        info: format!(r#"{{"ID":"{id}"}}"#),
        since_ms: 5,
    }
}

/// Writes a version whose content is its serial.
pub(super) fn write(
    store: &mut dyn ControlStore,
    lock_id: Option<&str>,
    lineage: &str,
    serial: u64,
) -> Answer<StateVersionRow> {
    let content = format!("{lineage} {serial}");
    store.write_state(&NewState {
        name: "network",
        lock_id,
        lineage,
        serial,
        digest: &content,
        size: content.len() as u64,
        sealed: &sealed(&content),
        force: false,
        audit: line("terraform", "state.write"),
        now_ms: 7,
    })
}

#[test]
fn a_lock_keeps_others_away() {
    for place in Place::all() {
        let mut store = place.control();
        let store = &mut *store;
        assert_eq!(store.state("network").unwrap(), None);
        store
            .lock_state("network", &lock("l1"), &line("ada", "lock"))
            .unwrap();
        store
            .lock_state("network", &lock("l1"), &line("ada", "lock"))
            .unwrap();
        let held = store
            .lock_state("network", &lock("l2"), &line("bob", "lock"))
            .unwrap_err();
        assert!(matches!(&held, ControlError::StateLocked(held) if *held == lock("l1")));
        let row = store.state("network").unwrap().unwrap();
        assert_eq!((row.version, row.lock), (None, Some(lock("l1"))));
        for id in [None, Some("l2")] {
            let refused = write(store, id, "a", 1).unwrap_err();
            assert!(matches!(refused, ControlError::StateLocked(_)), "{refused}");
            let refused = store.remove_state("network", id, &line("bob", "delete"), 1);
            assert!(matches!(refused, Err(ControlError::StateLocked(_))));
        }
        write(store, Some("l1"), "a", 1).unwrap();
        let other = store.unlock_state("network", Some("l2"), &line("bob", "unlock"), 1);
        assert!(matches!(other, Err(ControlError::StateLocked(_))));
        let forced = store
            .unlock_state("network", None, &line("bob", "unlock"), 1)
            .unwrap();
        assert_eq!(forced, Some(lock("l1")));
        // Whose lock was taken away by force may not write any more.
        let refused = write(store, Some("l1"), "a", 2).unwrap_err();
        assert!(
            matches!(refused, ControlError::StateNotLocked(_)),
            "{refused}"
        );
        let none = store
            .unlock_state("network", Some("l1"), &line("ada", "unlock"), 1)
            .unwrap();
        assert_eq!(none, None);
        write(store, None, "a", 2).unwrap();
    }
}

#[test]
fn versions_stay_and_only_newer_ones_follow() {
    for place in Place::all() {
        let mut store = place.control();
        let store = &mut *store;
        assert_eq!(write(store, None, "a", 1).unwrap().version, 1);
        assert_eq!(write(store, None, "a", 4).unwrap().version, 2);
        assert_eq!(write(store, None, "a", 4).unwrap().version, 2);
        let older = write(store, None, "a", 3).unwrap_err();
        assert!(matches!(older, ControlError::Serial { kept: 4, given: 3 }));
        let other = write(store, None, "b", 9).unwrap_err();
        assert!(matches!(other, ControlError::Lineage { .. }));
        let (row, content) = store.state_content("network", 1).unwrap().unwrap();
        assert_eq!((row.serial, content), (1, sealed("a 1")));
        assert_eq!(store.state_content("network", 9).unwrap(), None);
        let versions = store.state_versions("network", None, 10).unwrap();
        let numbers: Vec<u64> = versions.iter().map(|row| row.version).collect();
        assert_eq!(numbers, [2, 1]);
        assert_eq!(
            store.state_versions("network", Some(2), 10).unwrap().len(),
            1
        );
        // Emptied, it begins with any lineage, and goes on counting versions.
        assert!(
            store
                .remove_state("network", None, &line("ada", "delete"), 1)
                .unwrap()
        );
        assert!(
            !store
                .remove_state("network", None, &line("ada", "delete"), 1)
                .unwrap()
        );
        assert_eq!(store.state("network").unwrap(), None);
        assert_eq!(store.states("", 10).unwrap(), []);
        assert_eq!(write(store, None, "b", 1).unwrap().version, 3);
        assert_eq!(
            store.states("", 10).unwrap()[0]
                .version
                .as_ref()
                .unwrap()
                .lineage,
            "b"
        );
        assert!(store.state_content("network", 1).unwrap().is_some());
        assert_eq!(store.verify_audit().unwrap().broken, None);
    }
}

#[test]
fn of_two_that_lock_a_new_state_one_does() {
    for place in Place::all() {
        let all = std::sync::Barrier::new(6);
        let held: usize = std::thread::scope(|scope| {
            let take = |node: usize| {
                let (all, place) = (&all, &place);
                move || {
                    let mut store = place.control();
                    all.wait();
                    let lock = lock(&format!("l{node}"));
                    let taken = store.lock_state("network", &lock, &line("ada", "lock"));
                    usize::from(taken.is_ok())
                }
            };
            let nodes: Vec<_> = (0..6).map(|node| scope.spawn(take(node))).collect();
            nodes.into_iter().map(|node| node.join().unwrap()).sum()
        });
        assert_eq!(held, 1);
    }
}
