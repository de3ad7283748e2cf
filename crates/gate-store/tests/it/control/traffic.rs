//! Hours of traffic: written by several gateways over what they read, and forgotten after 32 days.

use crate::support::Place;
use gate_store::control::{ControlError, TRAFFIC_HOURS_KEPT, TrafficHour};

fn hour(hour: u64, version: u64, data: &str) -> TrafficHour {
    TrafficHour {
        environment: "prod".into(),
        hour,
        version,
        data: data.into(),
    }
}

#[test]
fn an_hour_is_written_over_what_was_read_alone() {
    for place in Place::all() {
        let (mut one, mut two) = (place.control(), place.control());
        assert!(one.save_traffic_hour(&hour(9, 0, "a")).unwrap());
        assert!(!two.save_traffic_hour(&hour(9, 0, "b")).unwrap());
        let read = two.traffic_hour("prod", 9).unwrap();
        assert_eq!(read, Some(hour(9, 1, "a")));
        assert!(two.save_traffic_hour(&hour(9, 1, "ab")).unwrap());
        assert!(!one.save_traffic_hour(&hour(9, 1, "ac")).unwrap());
        assert_eq!(one.traffic_hour("test", 9).unwrap(), None);
        // An hour that is too old goes when a new one is written.
        let late = 10 + TRAFFIC_HOURS_KEPT;
        assert!(one.save_traffic_hour(&hour(10, 0, "c")).unwrap());
        assert!(one.save_traffic_hour(&hour(late, 0, "d")).unwrap());
        let all = two.traffic_hours("prod", 0).unwrap();
        assert_eq!(all, [hour(10, 1, "c"), hour(late, 1, "d")]);
        assert_eq!(two.traffic_hours("prod", 11).unwrap(), all[1..]);
        let much = one.save_traffic_hour(&hour(late, 1, &"x".repeat(600 << 10)));
        assert!(
            matches!(much, Err(ControlError::TooLarge { .. })),
            "{much:?}"
        );
    }
}
