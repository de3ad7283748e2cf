//! Acknowledgements, leases and evidence.

use super::{change, create, revision};
use crate::support::Place;
use gate_store::ControlStore;
use gate_store::control::{
    AckRow, ControlError, EvidenceRow, Expected, NewRollout, RolloutSave, Target,
};

pub(super) fn ack(instance: &str, applied: bool, at_ms: i64) -> AckRow {
    AckRow {
        instance: instance.into(),
        environment: "prod".into(),
        revision: 3,
        digest: "d".into(),
        applied,
        reason: if applied { "" } else { "port 80 is taken" }.into(),
        generation: 7,
        at_ms,
    }
}

#[test]
fn the_last_word_of_an_instance_counts() {
    for place in Place::all() {
        let mut store = place.control();
        store.acknowledge(&ack("b", true, 10)).unwrap();
        store.acknowledge(&ack("a", true, 20)).unwrap();
        store.acknowledge(&ack("b", false, 30)).unwrap();
        let said = store.acks("prod", 0).unwrap();
        assert_eq!(said, [ack("a", true, 20), ack("b", false, 30)]);
        assert_eq!(store.acks("prod", 25).unwrap(), [ack("b", false, 30)]);
        assert_eq!(store.acks("test", 0).unwrap(), []);
        assert_eq!(store.forget_acks(25).unwrap(), 1);
        assert_eq!(store.acks("prod", 0).unwrap().len(), 1);
    }
}

#[test]
fn one_holds_a_lease_until_it_ends() {
    for place in Place::all() {
        let (mut one, mut two) = (place.control(), place.control());
        let mine = one.take_lease("leader", "one", 1_000, 500).unwrap();
        assert!(mine.is_held_by("one", 1_499) && !mine.is_held_by("one", 1_500));
        let theirs = two.take_lease("leader", "two", 1_499, 500).unwrap();
        assert_eq!(theirs, mine);
        assert!(!theirs.is_held_by("two", 1_499));
        let renewed = one.take_lease("leader", "one", 1_400, 500).unwrap();
        assert_eq!((renewed.token, renewed.expires_ms), (mine.token, 1_900));
        let taken = two.take_lease("leader", "two", 1_900, 500).unwrap();
        assert!(taken.is_held_by("two", 2_000) && taken.token > mine.token);
        // What is no longer held cannot be given back.
        one.give_lease(&renewed).unwrap();
        assert_eq!(one.take_lease("leader", "one", 2_000, 500).unwrap(), taken);
        two.give_lease(&taken).unwrap();
        let again = one.take_lease("leader", "one", 2_000, 500).unwrap();
        assert!(again.is_held_by("one", 2_001) && again.token > taken.token);
    }
}

#[test]
fn a_lease_has_one_holder_however_many_want_it() {
    for place in Place::all() {
        let all = std::sync::Barrier::new(6);
        let held: usize = std::thread::scope(|scope| {
            let take = |node: usize| {
                let (all, place) = (&all, &place);
                move || {
                    let (mut store, name) = (place.control(), format!("node-{node}"));
                    all.wait();
                    let lease = store.take_lease("leader", &name, 1_000, 500).unwrap();
                    usize::from(lease.is_held_by(&name, 1_000))
                }
            };
            let nodes: Vec<_> = (0..6).map(|node| scope.spawn(take(node))).collect();
            nodes.into_iter().map(|node| node.join().unwrap()).sum()
        });
        assert_eq!(held, 1);
    }
}

fn started(place: &Place) -> Box<dyn ControlStore> {
    let mut store = place.control();
    create(&mut *store, "prod");
    let mut start = change("", "prod", Expected::Generation(1));
    start.revision = Some(revision("{}"));
    start.rollout = Some(NewRollout {
        id: "r1",
        expected: 0,
        candidate: Target::New,
        control: None,
        state: "running",
        data: "{}",
    });
    store.change(&start).unwrap();
    store
}

#[test]
fn a_rollout_is_saved_by_its_leader_only_and_once() {
    for place in Place::all() {
        let mut store = started(&place);
        let old = store.take_lease("leader", "one", 0, 10).unwrap();
        let new = store.take_lease("leader", "two", 20, 10).unwrap();
        let mut save = RolloutSave {
            id: "r1",
            expected: 1,
            state: "held",
            data: r#"{"share":0.05}"#,
            lease: Some(&old),
            now_ms: 21,
        };
        let refused = store.save_rollout(&save).unwrap_err();
        assert!(matches!(refused, ControlError::NotLeader(_)));
        save.lease = Some(&new);
        let saved = store.save_rollout(&save).unwrap();
        assert_eq!((saved.version, saved.state.as_str()), (2, "held"));
        let stale = store.save_rollout(&save).unwrap_err();
        let told = matches!(
            stale,
            ControlError::StaleRollout {
                expected: 1,
                current: 2
            }
        );
        assert!(told, "{stale}");
        save.id = "r2";
        let missing = store.save_rollout(&save).unwrap_err();
        assert!(matches!(missing, ControlError::Missing(_)));
    }
}

#[test]
fn evidence_may_be_reported_again() {
    for place in Place::all() {
        let mut store = started(&place);
        let row = |instance: &str, bad: u64, at_ms: i64| EvidenceRow {
            rollout: "r1".into(),
            instance: instance.into(),
            step: 1,
            slice: "orders".into(),
            signal: "errors".into(),
            control_total: 100,
            candidate_total: 10,
            candidate_bad: bad,
            at_ms,
            ..Default::default()
        };
        store
            .report_evidence(&[row("b", 1, 10), row("a", 2, 10)])
            .unwrap();
        store.report_evidence(&[row("b", 4, 30)]).unwrap();
        // One that was overtaken.
        store.report_evidence(&[row("b", 3, 20)]).unwrap();
        let found = store.evidence("r1").unwrap();
        assert_eq!(found, [row("a", 2, 10), row("b", 4, 30)]);
    }
}
