//! Courses of subscribers, what people want of them, and dead letters.

use crate::support::Place;
use gate_store::control::{
    ControlError, ControlStore, CourseId, CourseSave, DeadLetterRow, DeliveriesSave, Lease,
    NewAudit, Redrive,
};

fn id(subscriber: &str, replay: u64) -> CourseId {
    let subscriber = subscriber.to_owned();
    CourseId { subscriber, replay }
}

fn dead(subscriber: &str, place: u64, at_ms: i64) -> DeadLetterRow {
    DeadLetterRow {
        subscriber: subscriber.to_owned(),
        place,
        key: format!("/shop {place}"),
        kind: "order.placed".into(),
        reason: "it answered with status 500".into(),
        attempts: 3,
        is_redriven: false,
        at_ms,
    }
}

fn line() -> NewAudit<'static> {
    NewAudit {
        actor: "ann",
        role: "operator",
        action: "redrive",
        subject: "subscribers/mail",
        outcome: "done",
        detail: "",
    }
}

fn save(
    store: &mut dyn ControlStore,
    lease: &Lease,
    dead: &[DeadLetterRow],
    gone: &[(String, u64)],
    forgotten: &[CourseId],
) -> Result<(), ControlError> {
    let course = id("mail", 0);
    store.save_deliveries(&DeliveriesSave {
        environment: "prod",
        lease,
        courses: &[CourseSave {
            id: &course,
            data: "{\"place\":7}",
            is_over: false,
        }],
        dead,
        gone,
        forgotten,
        now_ms: 5,
    })
}

#[test]
fn only_who_leads_writes_where_subscribers_are() {
    for place in Place::all() {
        let mut store = place.control();
        let lease = store.take_lease("subscribers/prod", "a", 0, 3_000).unwrap();
        save(&mut *store, &lease, &[dead("mail", 3, 4)], &[], &[]).unwrap();
        let courses = store.courses("prod").unwrap();
        assert_eq!((courses.len(), &*courses[0].data), (1, "{\"place\":7}"));
        assert_eq!(store.courses("staging").unwrap(), []);
        let other = store
            .take_lease("subscribers/prod", "b", 9_000, 3_000)
            .unwrap();
        assert_eq!(other.holder, "b");
        let late = save(&mut *store, &lease, &[dead("mail", 4, 4)], &[], &[]);
        assert!(matches!(late, Err(ControlError::NotLeader(_))), "{late:?}");
        assert_eq!(
            store.dead_letters("prod", "mail", None, 10).unwrap().len(),
            1
        );
        save(&mut *store, &other, &[], &[], &[id("mail", 0)]).unwrap();
        assert_eq!(store.dead_letters("prod", "mail", None, 10).unwrap(), []);
        assert_eq!(store.courses("prod").unwrap(), []);
    }
}

#[test]
fn dead_letters_are_marked_delivered_again_and_forgotten() {
    for place in Place::all() {
        let mut store = place.control();
        let lease = store.take_lease("subscribers/prod", "a", 0, 3_000).unwrap();
        let all: Vec<DeadLetterRow> = (1..=6).map(|n| dead("mail", n, n as i64 * 10)).collect();
        save(&mut *store, &lease, &all, &[], &[]).unwrap();
        save(&mut *store, &lease, &[dead("other", 2, 20)], &[], &[]).unwrap();
        let page = store.dead_letters("prod", "mail", Some(5), 2).unwrap();
        assert_eq!(page.iter().map(|one| one.place).collect::<Vec<_>>(), [4, 3]);
        let counts = store.dead_letter_counts("prod").unwrap();
        let counted = counts
            .iter()
            .map(|one| (one.count, one.redriven, one.first));
        let counted: Vec<_> = counted.collect();
        assert_eq!(counted, [(6, 0, 1), (1, 0, 2)]);
        let one = store
            .redrive("prod", "mail", Redrive::Place(4), &line(), 5)
            .unwrap();
        let none = store
            .redrive("prod", "mail", Redrive::Place(9), &line(), 5)
            .unwrap();
        assert_eq!((one, none), (1, 0));
        let marked = store.redriven("prod", "mail", 10).unwrap();
        assert_eq!(marked.iter().map(|one| one.place).collect::<Vec<_>>(), [4]);
        save(&mut *store, &lease, &[], &[("mail".into(), 4)], &[]).unwrap();
        assert_eq!(store.redriven("prod", "mail", 10).unwrap(), []);
        let since = store
            .redrive("prod", "mail", Redrive::Since(30), &line(), 5)
            .unwrap();
        assert_eq!(since, 3, "3, 5 and 6");
        // It is dead once more, for another reason: marked no more.
        save(&mut *store, &lease, &[dead("mail", 5, 90)], &[], &[]).unwrap();
        assert_eq!(store.redriven("prod", "mail", 10).unwrap().len(), 2);
        let all = store
            .redrive("prod", "mail", Redrive::Since(0), &line(), 5)
            .unwrap();
        assert_eq!(all, 5);
        assert_eq!(
            store.prune_dead_letters("prod", "mail", 20, 2).unwrap(),
            1 + 2
        );
        let left = store.dead_letters("prod", "mail", None, 10).unwrap();
        assert_eq!(left.iter().map(|one| one.place).collect::<Vec<_>>(), [6, 5]);
        let lines = store.audit_lines(None, 10).unwrap();
        assert_eq!(lines.len(), 4);
    }
}

#[test]
fn what_people_want_is_written_by_who_has_seen_the_newest() {
    for place in Place::all() {
        let mut store = place.control();
        assert_eq!(store.delivery_desk("prod").unwrap(), None);
        assert_eq!(
            store
                .save_delivery_desk("prod", 0, "{}", &line(), 5)
                .unwrap(),
            1
        );
        let late = store.save_delivery_desk("prod", 0, "{\"x\":1}", &line(), 5);
        assert!(
            matches!(late, Err(ControlError::Stale { current: 1, .. })),
            "{late:?}"
        );
        assert_eq!(store.delivery_desk_version("prod").unwrap(), 1);
        assert_eq!(store.delivery_desk("prod").unwrap(), Some((1, "{}".into())));
    }
}
