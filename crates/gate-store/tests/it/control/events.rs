//! What the gateway that leads remembers about events that were told.

use crate::support::Place;
use gate_store::control::{ControlError, EVENT_STATE_MAX, EventStateSave};

#[test]
fn what_was_told_is_remembered_by_who_leads_and_saw_the_newest() {
    for place in Place::all() {
        let (mut one, mut two) = (place.control(), place.control());
        assert_eq!(one.event_state("prod").unwrap(), None);
        let lease = one.take_lease("events/prod", "one", 0, 1_000).unwrap();
        let save = |expected, data| EventStateSave {
            environment: "prod",
            expected,
            data,
            lease: &lease,
        };
        assert_eq!(one.save_event_state(&save(0, "first")).unwrap(), 1);
        assert_eq!(two.event_state("prod").unwrap(), Some((1, "first".into())));
        assert_eq!(two.event_state("test").unwrap(), None);
        for expected in [0, 2] {
            let late = one.save_event_state(&save(expected, "late"));
            let is_stale = matches!(late, Err(ControlError::Stale { current: 1, .. }));
            assert!(is_stale, "{late:?}");
        }
        assert_eq!(one.save_event_state(&save(1, "second")).unwrap(), 2);
        let long = "x".repeat(EVENT_STATE_MAX + 1);
        let large = one.save_event_state(&save(2, &long));
        assert!(
            matches!(large, Err(ControlError::TooLarge { .. })),
            "{large:?}"
        );
        let other = two.take_lease("events/prod", "two", 2_000, 1_000).unwrap();
        assert!(other.is_held_by("two", 2_000));
        let deposed = one.save_event_state(&save(2, "deposed"));
        assert!(
            matches!(deposed, Err(ControlError::NotLeader(_))),
            "{deposed:?}"
        );
        assert_eq!(two.event_state("prod").unwrap(), Some((2, "second".into())));
    }
}
