//! Runs of runbooks and the desk that they are on.

use crate::support::Place;
use gate_store::control::{ControlError, ControlStore, NewAudit, RUNS_KEPT, RunSave, RunbooksSave};

fn run<'a>(id: &'a str, number: u64, key: Option<&'a str>, state: &'a str) -> RunSave<'a> {
    RunSave {
        id,
        number,
        runbook: "eject",
        key,
        state,
        is_over: state == "done",
        data: "{}",
        began_ms: 1,
    }
}

fn save(
    store: &mut dyn ControlStore,
    expected: u64,
    runs: &[RunSave<'_>],
) -> Result<u64, ControlError> {
    let line = NewAudit {
        actor: "ann",
        role: "operator",
        action: "startRun",
        subject: "runbooks/eject",
        outcome: "done",
        detail: "",
    };
    store.save_runbooks(&RunbooksSave {
        environment: "prod",
        expected,
        data: &format!("{{\"at\":{expected}}}"),
        runs,
        audit: &[line],
        lease: None,
        now_ms: 5,
    })
}

#[test]
fn a_key_starts_one_run_and_all_is_written_or_nothing() {
    for place in Place::all() {
        let (mut one, mut two) = (place.control(), place.control());
        assert_eq!(one.runbook_desk("prod").unwrap(), None);
        assert_eq!(one.runbook_desk_version("prod").unwrap(), 0);
        let first = [run("run-1", 1, Some("inc-1"), "awaits_step")];
        assert_eq!(save(&mut *one, 0, &first).unwrap(), 1);
        let late = save(
            &mut *two,
            0,
            &[run("run-2", 2, Some("inc-2"), "awaits_step")],
        );
        assert!(
            matches!(late, Err(ControlError::Stale { current: 1, .. })),
            "{late:?}"
        );
        let again = save(
            &mut *two,
            1,
            &[run("run-2", 2, Some("inc-1"), "awaits_step")],
        );
        assert!(matches!(again, Err(ControlError::Exists(_))), "{again:?}");
        assert_eq!(two.runbook_run("run-2").unwrap(), None);
        assert_eq!(
            two.runbook_desk("prod").unwrap(),
            Some((1, "{\"at\":0}".into()))
        );
        assert_eq!(
            two.runbook_key("prod", "eject", "inc-1")
                .unwrap()
                .as_deref(),
            Some("run-1")
        );
        assert_eq!(two.runbook_key("prod", "other", "inc-1").unwrap(), None);
        assert_eq!(
            save(&mut *two, 1, &[run("run-1", 1, None, "done")]).unwrap(),
            2
        );
        let shown = one.runbook_run("run-1").unwrap().unwrap();
        assert_eq!((shown.state.as_str(), shown.is_over), ("done", true));
        assert_eq!(one.audit_lines(None, 10).unwrap().len(), 2);
    }
}

#[test]
fn runs_are_kept_up_to_a_bound_and_those_under_way_besides() {
    for place in Place::all() {
        let mut store = place.control();
        let ids: Vec<String> = (0..RUNS_KEPT + 3)
            .map(|number| format!("run-{number}"))
            .collect();
        let mut runs = Vec::new();
        for (number, id) in (1..).zip(&ids) {
            let state = if number == 2 { "awaits_answer" } else { "done" };
            runs.push(run(id, number, Some(id), state));
        }
        save(&mut *store, 0, &runs).unwrap();
        let kept =
            |store: &mut dyn ControlStore, id: &str| store.runbook_run(id).unwrap().is_some();
        assert!(!kept(&mut *store, "run-0") && kept(&mut *store, "run-1"));
        assert!(!kept(&mut *store, "run-2") && kept(&mut *store, "run-3"));
        let page = store.runbook_runs("prod", "eject", Some(1003), 2).unwrap();
        let numbers: Vec<u64> = page.iter().map(|row| row.number).collect();
        assert_eq!(numbers, [1002, 1001]);
        assert!(
            store
                .runbook_runs("prod", "other", None, 2)
                .unwrap()
                .is_empty()
        );
        assert_eq!(
            store
                .runbook_key("prod", "eject", "run-0")
                .unwrap()
                .as_deref(),
            Some("run-0")
        );
    }
}
