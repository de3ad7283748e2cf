//! Gateways of two versions on one store: the older goes on where the newer's form lets it.

use super::{apply, create};
use crate::support::{Place, entry};
use gate_store::ledger::Batch;
use gate_store::schema::{FORMS, Form};
use gate_store::{ControlStore, StoreError};

/// What the version after this one might do to the tables and leave them usable.
const ADDS: &str = "ALTER TABLE environment ADD COLUMN note TEXT NOT NULL DEFAULT '';
    CREATE TABLE invented (name TEXT PRIMARY KEY)";

fn next(oldest: usize) -> Vec<Form> {
    let mut forms = FORMS.to_vec();
    forms.push(Form { sql: ADDS, oldest });
    forms
}

/// The newest form of the tables; none before it is missing.
fn reached(place: &Place) -> usize {
    let number = |sql| usize::try_from(place.number(sql).unwrap()).unwrap();
    let newest = number("SELECT MAX(version) FROM form");
    assert_eq!(number("SELECT COUNT(*) FROM form"), newest);
    newest
}

#[test]
fn every_form_names_a_gateway_that_there_was() {
    for (index, form) in FORMS.iter().enumerate() {
        assert!((1..=index + 1).contains(&form.oldest), "form {}", index + 1);
    }
    let floors: Vec<usize> = FORMS.iter().map(|form| form.oldest).collect();
    assert!(floors.is_sorted(), "{floors:?}");
}

/// The version before the control plane looks only at the newest number in `migration`.
#[test]
fn the_version_before_the_control_plane_goes_on_after_the_upgrade() {
    for place in Place::all() {
        place.bring(&FORMS[..2]).unwrap();
        let mut old = place.store("old");
        let batch = |exchange: &str| Batch {
            now_ms: 1,
            entries: vec![entry(exchange, "b", 5)],
            ..Batch::default()
        };
        old.commit(&batch("before")).unwrap();
        create(&mut *place.control(), "prod");
        let floor = place.number("SELECT MAX(version) FROM migration").unwrap();
        assert_eq!(floor, 2);
        // One that runs goes on, and one that starts does, too.
        old.commit(&batch("after")).unwrap();
        place.bring(&FORMS[..2]).unwrap();
        let entries = place.number("SELECT COUNT(*) FROM entry").unwrap();
        assert_eq!(entries, 2);
        assert_eq!(place.control().generation("prod").unwrap(), 1);
    }
}

/// The version before this one knows three forms.
#[test]
fn the_version_before_this_one_uses_the_tables_beside_it() {
    for place in Place::all() {
        place.bring(&FORMS[..3]).unwrap();
        let mut new = place.control();
        create(&mut *new, "prod");
        assert_eq!(reached(&place), FORMS.len());
        place.bring(&FORMS[..3]).unwrap();
        apply(&mut *new, "", "prod", 1, "{}").unwrap();
        assert_eq!(reached(&place), FORMS.len());
    }
}

#[test]
fn this_version_goes_on_beside_the_next_and_after_it() {
    for place in Place::all() {
        let mut running: Box<dyn ControlStore> = place.control();
        create(&mut *running, "prod");
        apply(&mut *running, "", "prod", 1, "{}").unwrap();
        place.bring(&next(FORMS.len())).unwrap();
        // It was running while the tables changed.
        apply(&mut *running, "", "prod", 2, "{}").unwrap();
        // It starts on the newer tables: the downgrade.
        let mut again = place.control();
        apply(&mut *again, "", "prod", 3, "{}").unwrap();
        apply(&mut *running, "", "prod", 4, "{}").unwrap();
        assert_eq!(place.number("SELECT COUNT(*) FROM invented").unwrap(), 0);
        // And the upgrade once more, which has nothing to do.
        place.bring(&next(FORMS.len())).unwrap();
        assert_eq!(again.verify_audit().unwrap().broken, None);
        assert_eq!(reached(&place), FORMS.len() + 1);
    }
}

#[test]
fn a_form_that_leaves_this_version_out_is_refused_by_it() {
    for place in Place::all() {
        create(&mut *place.control(), "prod");
        place.bring(&next(FORMS.len() + 1)).unwrap();
        match place.bring(FORMS) {
            Err(StoreError::Unusable(why)) => assert!(why.contains("newer gateway"), "{why}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(place.number("SELECT COUNT(*) FROM environment").unwrap(), 1);
    }
}

#[test]
fn two_versions_may_start_at_once() {
    for _ in 0..5 {
        for place in Place::all() {
            let all = std::sync::Barrier::new(6);
            std::thread::scope(|scope| {
                for node in 0..6 {
                    let (all, place) = (&all, &place);
                    scope.spawn(move || {
                        let forms = match node % 2 {
                            0 => FORMS.to_vec(),
                            _ => next(FORMS.len()),
                        };
                        all.wait();
                        place.bring(&forms).unwrap();
                    });
                }
            });
            assert_eq!(reached(&place), FORMS.len() + 1);
            create(&mut *place.control(), "prod");
        }
    }
}
