//! Orders and the state of notifications, and reported deployments.

use crate::support::Place;
use gate_store::control::{ControlError, DeploymentRow, NoticesSave, ORDER_MAX};

#[test]
fn orders_and_what_is_known_are_saved_together_and_by_who_leads() {
    for place in Place::all() {
        let (mut one, mut two) = (place.control(), place.control());
        assert_eq!(one.notices("prod").unwrap(), None);
        two.put_notice_orders("prod", &["a".into(), "b".into()], 1)
            .unwrap();
        one.put_notice_orders("prod", &["c".into()], 1).unwrap();
        one.put_notice_orders("test", &["d".into()], 1).unwrap();
        let orders = one.notice_orders("prod", 10).unwrap();
        let texts: Vec<&str> = orders.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["a", "b", "c"]);
        let lease = one.take_lease("notices/prod", "one", 0, 1_000).unwrap();
        let taken: Vec<u64> = orders[..2].iter().map(|(number, _)| *number).collect();
        let save = |expected, data| NoticesSave {
            environment: "prod",
            expected,
            data,
            taken: &taken,
            lease: &lease,
            now_ms: 5,
        };
        assert_eq!(one.save_notices(&save(0, "first")).unwrap(), 1);
        assert_eq!(two.notices("prod").unwrap(), Some((1, "first".into())));
        assert_eq!(two.notice_orders("prod", 10).unwrap(), orders[2..]);
        assert_eq!(two.notice_orders("test", 10).unwrap().len(), 1);
        // Who has not seen the newest changes nothing, and takes no order.
        let late = one.save_notices(&save(0, "late"));
        assert!(
            matches!(late, Err(ControlError::Stale { current: 1, .. })),
            "{late:?}"
        );
        assert_eq!(one.save_notices(&save(1, "second")).unwrap(), 2);
        // Nor does who leads no more.
        let other = two.take_lease("notices/prod", "two", 2_000, 1_000).unwrap();
        assert!(other.is_held_by("two", 2_000));
        let last = orders[2..]
            .iter()
            .map(|(number, _)| *number)
            .collect::<Vec<_>>();
        let deposed = NoticesSave {
            taken: &last,
            ..save(2, "deposed")
        };
        let deposed = one.save_notices(&deposed);
        assert!(
            matches!(deposed, Err(ControlError::NotLeader(_))),
            "{deposed:?}"
        );
        assert_eq!(one.notice_orders("prod", 10).unwrap().len(), 1);
        let large = one.put_notice_orders("prod", &["x".repeat(ORDER_MAX + 1)], 1);
        assert!(
            matches!(large, Err(ControlError::TooLarge { .. })),
            "{large:?}"
        );
    }
}

#[test]
fn deployments_are_read_page_by_page_and_forgotten_after_400_days() {
    const DAY: i64 = 86_400_000;
    for place in Place::all() {
        let mut store = place.control();
        let row = |id: &str, at_ms| DeploymentRow {
            id: id.into(),
            service: "orders".into(),
            team: "shop".into(),
            data: "{}".into(),
            at_ms,
        };
        for (id, at_ms) in [("b", DAY), ("a", DAY), ("c", 2 * DAY), ("old", 5)] {
            store.put_deployment(&row(id, at_ms), 3 * DAY).unwrap();
        }
        let first = store.deployments(DAY, &(0, String::new()), 2).unwrap();
        assert_eq!(first, [row("a", DAY), row("b", DAY)]);
        let last = store.deployments(DAY, &(DAY, "b".into()), 2).unwrap();
        assert_eq!(last, [row("c", 2 * DAY)]);
        // A later report of the same one replaces the earlier.
        store
            .put_deployment(&row("c", 4 * DAY), 400 * DAY + 10)
            .unwrap();
        let all = store.deployments(0, &(0, String::new()), 10).unwrap();
        assert_eq!(all, [row("a", DAY), row("b", DAY), row("c", 4 * DAY)]);
        let huge = DeploymentRow {
            data: "x".repeat(20 << 10),
            ..row("d", DAY)
        };
        assert!(store.put_deployment(&huge, DAY).is_err());
    }
}
