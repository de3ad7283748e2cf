//! A lane's window, look by look.

use super::*;

/// Looks at a lane four times a second, in which as many items as may are under way and `ended` end.
struct Looks {
    pace: Pace,
    pacing: Pacing,
    now_ms: u64,
}

impl Looks {
    fn new(most: f64) -> Self {
        let (first, reserve) = (4.0, 0.2);
        Self {
            pace: Pace::default(),
            pacing: Pacing {
                first,
                most,
                reserve,
            },
            now_ms: 0,
        }
    }

    fn look(&mut self, seen: Seen, ended: u32) -> u32 {
        self.now_ms += 250;
        let in_flight = self.pace.allowed();
        (0..ended).for_each(|_| self.pace.ended());
        let (pacing, now_ms) = (&self.pacing, self.now_ms);
        self.pace.look(pacing, &seen, in_flight, now_ms, 250);
        self.pace.allowed()
    }
}

fn interactive(interactive: u32) -> Seen {
    Seen {
        interactive,
        ..Seen::default()
    }
}

const REFUSED: Seen = Seen {
    left: None,
    calls_left: None,
    places: None,
    interactive: 0,
    waiting: 0,
    refused: 1,
    rests: false,
};

#[test]
fn a_pace_fills_what_is_idle_and_gives_way() {
    let mut lane = Looks::new(32.0);
    for _ in 0..200 {
        lane.look(Seen::default(), 0);
    }
    assert_eq!(lane.pace.allowed(), 32, "all of what is idle");
    assert_eq!(lane.look(interactive(30), 0), 2, "others' places at once");
    lane.look(Seen::default(), 0);
    for _ in 0..200 {
        lane.look(Seen::default(), 0);
    }
    assert_eq!(lane.look(REFUSED, 0), 16);
    for _ in 0..3 {
        assert_eq!(lane.look(REFUSED, 0), 16, "the same trouble");
    }
    assert_eq!(lane.look(REFUSED, 0), 8);
    let low = Seen {
        left: Some(0.19),
        calls_left: Some(19.0),
        ..Seen::default()
    };
    let before = lane.pace.allowed();
    assert!(
        lane.look(low, 0) <= before,
        "what is reserved is left alone"
    );
    let rests = Seen {
        rests: true,
        ..Seen::default()
    };
    assert_eq!(lane.look(rests, 0), 0);
    assert!(lane.look(Seen::default(), 0) > 0);
}

/// What is idle is filled as fast as items end, until somebody complains; from then on with care.
#[test]
fn a_pace_begins_fast_and_then_goes_slowly() {
    let mut lane = Looks::new(64.0);
    assert_eq!(lane.look(interactive(15), 0), 4, "its first beside others");
    let mut looks = 0;
    while lane.pace.allowed() < 64 {
        let ended = lane.pace.allowed();
        lane.look(interactive(15), ended);
        looks += 1;
        assert!(looks < 10, "{} after {looks} looks", lane.pace.allowed());
    }
    assert_eq!(lane.look(interactive(15), 900), 64, "no more than its most");
    let places = Seen {
        places: Some(32),
        ..interactive(15)
    };
    assert_eq!(lane.look(places, 0), 48 - 15, "few wait for places");
    for _ in 0..9 {
        let ended = lane.pace.allowed();
        lane.look(interactive(15), ended);
    }
    let complaint = Seen {
        interactive: 15,
        ..REFUSED
    };
    let half = lane.look(complaint, 0);
    assert_eq!(half, (64 + 15) / 2 - 15);
    for _ in 0..4 {
        lane.look(interactive(15), half);
    }
    assert_eq!(lane.pace.allowed(), half + 2, "two a second");
}

/// Where interactive calls are more than items may be, items go on beside them while nobody complains.
#[test]
fn many_interactive_calls_do_not_hold_items_for_ever() {
    let mut lane = Looks::new(8.0);
    lane.look(Seen::default(), 0);
    assert_eq!(lane.look(interactive(100), 0), 0, "a burst stops them");
    for _ in 0..60 {
        let ended = lane.pace.allowed();
        lane.look(interactive(100), ended);
    }
    assert_eq!(lane.pace.allowed(), 8);
}
