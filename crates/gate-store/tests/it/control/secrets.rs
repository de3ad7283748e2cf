//! Stored secrets and states, sealed: nothing of them is in the tables, and keys can be changed.

use super::line;
use crate::support::{Place, Scratch};
use gate_store::ControlStore;
use gate_store::control::{
    Answer, ControlError, Keyring, NewSecret, NewState, SecretRow, secret_context, state_context,
};

const VALUE: &str = "hunter2-hunter2-hunter2";

fn put(
    store: &mut dyn ControlStore,
    ring: &Keyring,
    name: &str,
    expected: Option<u64>,
) -> Answer<SecretRow> {
    store.put_secret(&NewSecret {
        name,
        expected,
        sealed: &ring.seal(&secret_context(name), VALUE.as_bytes())?,
        audit: line("ada", "secret.write"),
        now_ms: 5,
    })
}

fn value(store: &mut dyn ControlStore, ring: &Keyring, name: &str) -> Answer<Vec<u8>> {
    let (_, sealed) = store.secret(name)?.unwrap();
    ring.open(&secret_context(name), &sealed)
}

fn ring(id: &str) -> (String, Keyring) {
    let line = Keyring::new_line(id).unwrap();
    let ring = Keyring::parse(&line).unwrap();
    (line, ring)
}

#[test]
fn secrets_are_written_by_version() {
    for place in Place::all() {
        let mut store = place.control();
        let store = &mut *store;
        let (_, ring) = ring("k1");
        assert_eq!(put(store, &ring, "b", Some(0)).unwrap().version, 1);
        let stale = put(store, &ring, "b", Some(0)).unwrap_err();
        assert!(matches!(stale, ControlError::Stale { current: 1, .. }));
        assert_eq!(put(store, &ring, "b", Some(1)).unwrap().version, 2);
        assert_eq!(put(store, &ring, "a", None).unwrap().version, 1);
        assert_eq!(value(store, &ring, "b").unwrap(), VALUE.as_bytes());
        let names: Vec<String> = store
            .secrets("", 9)
            .unwrap()
            .into_iter()
            .map(|s| s.name)
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(store.secrets("a", 9).unwrap().len(), 1);
        assert!(
            store
                .remove_secret("a", &line("ada", "secret.remove"), 6)
                .unwrap()
        );
        assert!(
            !store
                .remove_secret("a", &line("ada", "secret.remove"), 6)
                .unwrap()
        );
        assert_eq!(store.secret("a").unwrap(), None);
        assert_eq!(store.audit_lines(None, 10).unwrap().len(), 4);
    }
}

#[test]
fn a_value_that_was_moved_does_not_open() {
    for place in Place::all() {
        let mut store = place.control();
        let (_, ring) = ring("k1");
        put(&mut *store, &ring, "mine", None).unwrap();
        place.script("UPDATE secret SET name = 'theirs'").unwrap();
        let refused = value(&mut *store, &ring, "theirs").unwrap_err();
        assert!(matches!(refused, ControlError::Seal(_)), "{refused}");
    }
}

#[test]
fn a_key_can_be_changed_while_everything_stays() {
    for place in Place::all() {
        let mut store = place.control();
        let store = &mut *store;
        let (old_line, old) = ring("k1");
        for name in ["a", "b", "c"] {
            put(store, &old, name, None).unwrap();
        }
        for serial in 1..=3 {
            let sealed = old
                .seal(&state_context("network"), VALUE.as_bytes())
                .unwrap();
            let new = NewState {
                name: "network",
                lock_id: None,
                lineage: "l",
                serial,
                digest: "d",
                size: 1,
                sealed: &sealed,
                force: false,
                audit: line("ada", "state.write"),
                now_ms: 1,
            };
            store.write_state(&new).unwrap();
        }
        let (new_line, new) = ring("k2");
        let both = Keyring::parse(&format!("{new_line}\n{old_line}")).unwrap();
        let mut rounds = Vec::new();
        loop {
            let done = store.rewrap("k2", 2, &mut |key| both.rewrap(key)).unwrap();
            if done == 0 {
                break;
            }
            rounds.push(done);
        }
        assert_eq!(rounds, [4, 2]);
        assert_eq!(value(store, &new, "c").unwrap(), VALUE.as_bytes());
        for version in 1..=3 {
            let (row, sealed) = store.state_content("network", version).unwrap().unwrap();
            assert_eq!(row.key_id, "k2");
            let content = new.open(&state_context("network"), &sealed).unwrap();
            assert_eq!(content, VALUE.as_bytes());
        }
        // A ring that lacks the key changes nothing.
        let refused = store
            .rewrap("k3", 9, &mut |key| old.rewrap(key))
            .unwrap_err();
        assert!(matches!(refused, ControlError::Seal(_)));
        assert_eq!(value(store, &new, "a").unwrap(), VALUE.as_bytes());
    }
}

#[test]
fn nothing_of_a_value_is_in_the_file() {
    let place = Place::Sqlite(Scratch::new());
    let mut store = place.control();
    let (text, ring) = ring("k1");
    put(&mut *store, &ring, "name-that-is-there", None).unwrap();
    drop(store);
    let Place::Sqlite(folder) = &place else {
        unreachable!("it was just made")
    };
    let files = std::fs::read_dir(folder.path()).unwrap();
    let bytes: Vec<u8> = files
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect();
    let holds = |wanted: &[u8]| bytes.windows(wanted.len()).any(|found| found == wanted);
    assert!(holds(b"name-that-is-there"));
    assert!(!holds(b"hunter2") && !holds(&text.as_bytes()[3..]));
}
