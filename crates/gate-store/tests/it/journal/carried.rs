//! What the store writes by itself is in the journal with the transaction that it is about, or not.

use crate::control::{apply, change, create, line};
use crate::support::{Place, entry, facts, hold};
use gate_store::control::{DeskSave, Expected, IncidentSave, PostmortemSave};
use gate_store::journal::{Event, ReadJournal, node};
use gate_store::ledger::{Batch, Entry};
use serde_json::{Value, json};

fn events(reading: &mut dyn ReadJournal) -> Vec<Event> {
    let check = reading.verify().unwrap();
    assert_eq!(check.fault, None);
    let events = reading.behind(0, 10_000).unwrap();
    assert_eq!(events.len() as u64, check.events);
    assert!(events.iter().all(|event| event.node == node()));
    events
}

fn payload(event: &Event) -> Value {
    serde_json::from_slice(event.payload.as_ref().unwrap()).unwrap()
}

fn keys(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| &*event.key).collect()
}

#[test]
fn changes_and_audit_lines_are_carried_as_they_commit() {
    for place in Place::all() {
        let mut store = place.control();
        create(&mut *store, "prod");
        apply(&mut *store, "id", "prod", 1, "{}").unwrap();
        // Repeated, refused and stale changes write nothing.
        apply(&mut *store, "id", "prod", 1, "{}").unwrap();
        apply(&mut *store, "", "prod", 1, "{}").unwrap_err();
        store.audit(&line("eve", "refused"), 7).unwrap();
        store
            .remove_environment("prod", 2, &line("ada", "remove"), 9)
            .unwrap();
        let mut reading = place.reading();
        let events = events(&mut *reading);
        let expected = [
            "@environment/prod/1",
            "@audit/1",
            "@environment/prod/2",
            "@audit/2",
            "@audit/3",
            "@environment/prod/3",
            "@audit/4",
        ];
        assert_eq!(keys(&events), expected, "{}", place.name());
        let applied = payload(&events[2]);
        assert_eq!(applied["revision"], 1);
        assert_eq!(
            (&applied["actor"], &applied["removed"]),
            (&json!("ada"), &json!(false))
        );
        let lines = store.audit_lines(None, 10).unwrap();
        let refused = serde_json::to_value(&lines[1]).unwrap();
        assert_eq!(payload(&events[4]), refused);
        assert_eq!((events[4].at_ms, &*events[4].kind), (7, "audit"));
        assert_eq!(payload(&events[5])["removed"], true);
    }
}

#[test]
fn incidents_and_postmortems_are_carried() {
    for place in Place::all() {
        let mut store = place.control();
        let incident = |expected, life, data| IncidentSave {
            id: "a",
            expected,
            life,
            on_desk: true,
            data,
            opened_ms: 5,
        };
        let mut save = |incident: IncidentSave<'_>| {
            store.save_incidents(&DeskSave {
                environment: "prod",
                desk: None,
                incidents: &[incident],
                lease: None,
                now_ms: 10,
            })
        };
        save(incident(0, "detected", "{}")).unwrap();
        save(incident(1, "resolved", "{\"n\":1}")).unwrap();
        save(incident(1, "resolved", "{\"late\":1}")).unwrap_err();
        store
            .save_postmortem(&PostmortemSave {
                incident: "a",
                expected: 0,
                state: "published",
                narrative: "{}",
                document: "what we learnt",
                actions: &[],
                now_ms: 11,
            })
            .unwrap();
        let events = events(&mut *place.reading());
        assert_eq!(
            keys(&events),
            ["@incident/a/1", "@incident/a/2", "@postmortem/a/1"]
        );
        assert_eq!(payload(&events[1])["life"], "resolved");
        assert_ne!(payload(&events[0])["digest"], payload(&events[1])["digest"]);
        assert_eq!(payload(&events[2])["state"], "published");
    }
}

#[test]
fn ledger_entries_are_carried_once_by_consumer() {
    for place in Place::all() {
        let mut store = place.store("one");
        let of = |consumer: &str, exchange: &str| Entry {
            facts: facts(consumer),
            ..entry(exchange, "b", 5)
        };
        let batch = Batch {
            now_ms: 2_500,
            entries: vec![of("x", "1"), of("y", "2"), of("x", "3"), of("x", "4")],
            ..Batch::default()
        };
        store.commit(&batch).unwrap();
        // Repeated because nobody knows its outcome; and another that has nothing to say.
        let mut again = batch.clone();
        again.note_try();
        store.commit(&again).unwrap();
        store.commit(&Batch::default()).unwrap();
        let mut reading = place.reading();
        let first = events(&mut *reading);
        let consumers: Vec<&str> = first.iter().map(|event| &*event.consumer).collect();
        assert_eq!(consumers, ["x", "y"], "{}", place.name());
        let x = payload(&first[0]);
        // Calls that differ in nothing are one entry.
        assert_eq!(x.as_array().unwrap().len(), 1);
        assert_eq!(
            (&x[0]["calls"], &x[0]["cost"], &x[0]["charges"]),
            (&json!(3), &json!(15), &json!("b@0=15"))
        );
        assert_eq!(
            (&x[0]["kind"], &x[0]["exchange"]),
            (&json!("settle"), &json!("1"))
        );
        assert_eq!(first[0].at_ms, 2_500);
        // What a dead process left open, and what is taken back of it.
        let mut dead = place.store("dead");
        let open = Batch {
            now_ms: 3_000,
            holds: vec![hold("9", "b", 7)],
            ..Batch::default()
        };
        dead.commit(&open).unwrap();
        assert_eq!(store.recover(90_000).unwrap().unsettled, 1);
        assert!(store.release("9", 90_001).unwrap());
        let later = events(&mut *reading);
        let kinds: Vec<Value> = later[2..]
            .iter()
            .map(|event| payload(event)[0]["kind"].clone())
            .collect();
        assert_eq!(kinds, ["unsettled", "release"]);
        // A consumer is forgotten; what was spent still counts.
        assert_eq!(reading.forget("x", 1).unwrap().events, 1);
        assert_eq!(reading.behind(0, 1).unwrap()[0].payload, None);
        let spent = store.balances().unwrap();
        assert_eq!(
            spent.iter().find(|row| row.budget == "b").unwrap().settled,
            20
        );
    }
}

#[test]
fn a_change_that_fails_late_leaves_nothing_in_the_journal() {
    for place in Place::all() {
        let mut store = place.control();
        create(&mut *store, "prod");
        // The audit line comes last of all.
        place
            .script("DELETE FROM head WHERE name = 'audit'")
            .unwrap();
        let lost = store.change(&change("", "prod", Expected::Generation(1)));
        lost.unwrap_err();
        assert_eq!(events(&mut *place.reading()).len(), 2);
    }
}
